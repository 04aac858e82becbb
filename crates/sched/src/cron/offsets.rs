//! A zone's offsets, as the calendar asks for them: mostly the same one again.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// So much earlier than what was asked for is asked for next: the beginning of its day, and the day before.
const EARLIER: i64 = 2 * 86_400;

/// A zone, and a stretch of it without a change, or the last part of one.
pub(super) struct Offsets<'zone> {
    zone: &'zone TimeZone,
    /// Seconds since 1970: from the first to before the second the offset does not change.
    from: i64,
    before: i64,
    offset: i64,
}

impl<'zone> Offsets<'zone> {
    pub(super) fn new(zone: &'zone TimeZone) -> Offsets<'zone> {
        Offsets { zone, from: 0, before: 0, offset: 0 }
    }

    pub(super) fn zone(&self) -> &'zone TimeZone {
        self.zone
    }

    /// Seconds east of UTC at an instant, in seconds since 1970.
    pub(super) fn at(&mut self, unix: i64) -> i64 {
        if self.from <= unix && unix < self.before {
            return self.offset;
        }
        let Ok(instant) = Timestamp::from_second(unix) else { return 0 };
        self.offset = i64::from(self.zone.to_offset(instant).seconds());
        // What precedes an instant is not asked: jiff passes over the last change of a zone's list where none of the rule that
        // goes on from there is so late, as in Metlakatla in January 2019.
        let earlier = unix.saturating_sub(EARLIER);
        (self.from, self.before) = match self.following(earlier) {
            change if change > unix => (earlier, change),
            _ => (unix, self.following(unix)),
        };
        self.offset
    }

    /// The first change after an instant; the last instant there is if there is none.
    fn following(&self, unix: i64) -> i64 {
        let Ok(instant) = Timestamp::from_second(unix) else { return i64::MIN };
        self.zone.following(instant).next().map_or(i64::MAX, |change| change.timestamp().as_second())
    }

    /// The instant at which the offset of this one ends; the last there is if it never does.
    pub(super) fn steady_until(&mut self, unix: i64) -> i64 {
        self.at(unix);
        self.before
    }

    /// When the offset changes next after an instant; `None` if it never does.
    pub(super) fn change_after(&mut self, unix: i64) -> Option<i64> {
        Some(self.steady_until(unix)).filter(|change| *change != i64::MAX)
    }

    /// True if the offset is the same at an instant and so many seconds after it, and all the time in between.
    pub(super) fn is_steady(&mut self, unix: i64, seconds: i64) -> bool {
        self.at(unix);
        unix.saturating_add(seconds) < self.before
    }

    /// True if the offset is the same for so long before and so long after an instant.
    pub(super) fn is_steady_around(&mut self, unix: i64, before: i64, after: i64) -> bool {
        self.is_steady(unix, after) && self.is_steady(unix.saturating_sub(before), before)
    }

    /// The local time at an instant.
    pub(super) fn local(&mut self, unix: i64) -> DateTime {
        date_time(unix.saturating_add(self.at(unix)))
    }

    /// The instant of a local time, as Go's `time.Date` has it where there is none, or where there are two.
    pub(super) fn instant(&mut self, local: DateTime) -> i64 {
        let local = unix_of(local);
        match self.at(local) {
            0 => local,
            offset => {
                let near = self.at(local - offset);
                local - near
            }
        }
    }
}

/// What the clock shows at so many seconds since 1970, as if it were UTC.
pub(super) fn date_time(local: i64) -> DateTime {
    // Beyond the years there are it does not matter: every search ends there.
    Timestamp::from_second(local).map_or(DateTime::MAX, |local| Offset::UTC.to_datetime(local))
}

/// A local time as if it were UTC, in seconds since 1970.
pub(super) fn unix_of(local: DateTime) -> i64 {
    Offset::UTC.to_timestamp(local).map_or(i64::MAX, Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZoneDatabase;

    use super::*;

    #[test]
    fn what_is_kept_of_a_zone_is_what_the_zone_says() {
        let database = TimeZoneDatabase::bundled();
        let begin: Timestamp = "1840-01-01T00:00:00Z".parse().unwrap();
        for name in database.available() {
            let zone = database.get(name.as_str()).unwrap();
            let following = zone.following(begin).map(|change| change.timestamp().as_second());
            let changes: Vec<_> = following.take_while(|change| *change < 2_300_000_000).collect();
            let said = |unix: i64| zone.to_offset(Timestamp::from_second(unix).unwrap()).seconds();
            for stretch in changes.windows(2) {
                let (first, end) = (stretch[0], stretch[1]);
                for kept_for in [first - 1, first, end - 1, end] {
                    let mut offsets = Offsets::new(&zone);
                    for asked in [kept_for, end, end - 1, first, first - 1] {
                        assert_eq!(offsets.at(asked), i64::from(said(asked)), "{} at {asked}", name.as_str());
                    }
                    assert!(
                        offsets.is_steady_around(end - 1, end - 1 - first, 0),
                        "{} to {end}",
                        name.as_str()
                    );
                    assert!(!offsets.is_steady_around(end - 1, end - first, 0), "{} to {end}", name.as_str());
                    assert!(!offsets.is_steady_around(first, 0, end - first), "{} to {end}", name.as_str());
                }
            }
        }
    }
}
