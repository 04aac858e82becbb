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
        let instant = instant(calendar, offsets.zone())?;
        if let Some(slot) = instant.slot.filter(|slot| *slot > after) {
            return Some(slot);
        }
        calendar = calendar.max(instant.passed);
    }
}

/// Until when, on the calendar, all is over at an instant: what clocks show, and in the second of two hours the end of both.
pub(super) fn over(unix: i64, zone: &TimeZone) -> Option<i64> {
    let shown = zone.to_offset(Timestamp::from_second(unix).ok()?);
    let calendar = unix + i64::from(shown.seconds());
    Some(match zone.to_ambiguous_timestamp(date_time(calendar)).offset() {
        AmbiguousOffset::Fold { after, .. } if after == shown => instant(calendar, zone)?.passed,
        _ => calendar,
    })
}

/// What a calendar's time comes to.
struct Instant {
    /// When it fires, if it does.
    slot: Option<i64>,
    /// Until here, on the calendar, nothing fires later than that.
    passed: i64,
}

fn instant(calendar: i64, zone: &TimeZone) -> Option<Instant> {
    let seconds = |offset: Offset| i64::from(offset.seconds());
    // The first change after an instant.
    let change = |unix: i64| {
        let following = zone.following(Timestamp::from_second(unix).ok()?).next()?;
        Some(following.timestamp())
    };
    Some(match zone.to_ambiguous_timestamp(date_time(calendar)).offset() {
        AmbiguousOffset::Unambiguous { offset } => {
            Instant { slot: Some(calendar - seconds(offset)), passed: calendar }
        }
        AmbiguousOffset::Fold { before, .. } => {
            let slot = calendar - seconds(before);
            // For whoever asks in the second of two hours, all of the first is over.
            Instant { slot: Some(slot), passed: change(slot)?.as_second() + seconds(before) - 1 }
        }
        AmbiguousOffset::Gap { before, after } => {
            // With the offset that holds afterwards it would have been before the change.
            let change = change(calendar - seconds(after))?;
            let same_day = zone.to_datetime(change).date() == date_time(calendar).date();
            let at_change = change.as_second() - if same_day { 0 } else { MINUTE };
            let whole_day = seconds(after) - seconds(before) >= DAY;
            let slot = (!whole_day).then_some(at_change);
            // All that is left out comes at the same moment, unless another day begins in it.
            let end_of_day = calendar - calendar.rem_euclid(DAY) + DAY - 1;
            let passed = (change.as_second() + seconds(after) - 1).min(end_of_day);
            Instant { slot, passed }
        }
    })
}
