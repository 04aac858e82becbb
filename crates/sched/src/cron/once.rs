//! Slots that fire once a local day, whatever the clock does: [`super::Dst::RunOnce`].
//!
//! Schedules are looked up on the calendar, and what they name is then an instant: the first of two, or, where there is none,
//! the moment at which the clock was put forward. Where that moment begins another day (the last hour of a day was left out),
//! the last minute before it, so that every day has its slot. A day that a zone left out altogether stays left out.

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::field::Fields;
use super::kubernetes;
use super::offsets::{Offsets, date_time};

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;

/// The first slot after an instant, both in seconds since 1970.
pub(super) fn next(fields: &Fields, after: i64, offsets: &mut Offsets) -> Option<i64> {
    let utc = TimeZone::UTC;
    let mut no_offsets = Offsets::new(&utc);
    // The calendar, as if it were UTC. Slots that the clock was put past fire at the change, those it was put back to fired.
    let mut calendar = after.checked_add(offsets.at(after))?;
    loop {
        calendar = kubernetes::next(fields, calendar, &mut no_offsets)?;
        if let Some(slot) = instant(calendar, offsets.zone()).filter(|slot| *slot > after) {
            return Some(slot);
        }
    }
}

fn instant(calendar: i64, zone: &TimeZone) -> Option<i64> {
    let at = |offset: Offset| calendar - i64::from(offset.seconds());
    match zone.to_ambiguous_timestamp(date_time(calendar)).offset() {
        AmbiguousOffset::Unambiguous { offset } => Some(at(offset)),
        AmbiguousOffset::Fold { before, .. } => Some(at(before)),
        AmbiguousOffset::Gap { before, after } => {
            let left_out = i64::from(after.seconds() - before.seconds());
            if left_out >= DAY {
                return None;
            }
            // With the offset that holds afterwards it would have been before the change.
            let change = zone.following(Timestamp::from_second(at(after)).ok()?).next()?.timestamp();
            let same_day = zone.to_datetime(change).date() == date_time(calendar).date();
            Some(change.as_second() - if same_day { 0 } else { MINUTE })
        }
    }
}
