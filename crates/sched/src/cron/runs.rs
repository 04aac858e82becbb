//! Many slots at once: how many there are between two instants, which is the last, which the one so many before.
//!
//! Slots come in runs. The first of a run is found by the walk, as [`super::Schedule::next_after`] finds it; those that
//! follow before the next clock change are what matches on the calendar, and are counted there. What counts is therefore
//! what the walk would have found, one after the other, oddities around clock changes included, and the work grows with
//! clock changes and months, and not with slots.

use jiff::tz::TimeZone;

use super::field::Fields;
use super::offsets::{Offsets, date_time};
use super::{Dst, calendar};

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;
/// So close to a clock change a run ends with its day: whoever walks over midnight may see the change there.
const MARGIN: i64 = 3 * DAY;
/// No run is longer, so that two slots are never further apart than the walk looks ahead.
const YEAR: i64 = 365 * DAY;

/// Slots in a row, in seconds since 1970, between which no clock changes.
pub(super) struct Run {
    pub(super) first: i64,
    pub(super) count: u64,
    pub(super) last: i64,
    offset: i64,
}

impl Run {
    /// The slot of this run that so many come before.
    pub(super) fn nth(&self, fields: &Fields, n: u64) -> Option<i64> {
        if n == 0 {
            return Some(self.first);
        }
        let minute = (self.first + self.offset).div_euclid(MINUTE);
        Some(calendar::nth(fields, minute, n)? * MINUTE - self.offset)
    }
}

/// The slots after an instant and not after another.
pub(super) struct Runs<'a> {
    fields: &'a Fields,
    dst: Dst,
    offsets: Offsets<'a>,
    at: i64,
    until: i64,
}

impl<'a> Runs<'a> {
    pub(super) fn new(fields: &'a Fields, dst: Dst, zone: &'a TimeZone, after: i64, until: i64) -> Runs<'a> {
        Runs { fields, dst, offsets: Offsets::new(zone), at: after, until }
    }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        if self.at >= self.until {
            return None;
        }
        let first = super::next(self.fields, self.dst, self.at, &mut self.offsets)?;
        if first > self.until {
            self.at = self.until;
            return None;
        }
        let offset = self.offsets.at(first);
        let local = first + offset;
        let end_of_day = first - local.rem_euclid(DAY) + DAY - 1;
        let change = self.offsets.steady_until(first);
        let end = if !self.fields.matches(date_time(local)) {
            // One of the oddities: the walk goes back from it, to where its month, day or hour began, and on from there.
            first
        } else if self.offsets.is_steady_around(first, MARGIN, 0) {
            end_of_day.max(change.saturating_sub(MARGIN).min(first + YEAR))
        } else {
            end_of_day
        };
        let end = end.min(change - 1).min(self.until);
        let minute = local.div_euclid(MINUTE);
        let more = calendar::count(self.fields, minute, (end + offset).div_euclid(MINUTE));
        let mut run = Run { first, count: more + 1, last: first, offset };
        run.last = run.nth(self.fields, more)?;
        self.at = run.last;
        Some(run)
    }
}
