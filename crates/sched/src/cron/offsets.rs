//! A zone's offsets, as the calendar asks for them: mostly the same one again.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// A zone, and the last stretch of it without a change.
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
        let second = |at: Timestamp| at.as_second();
        let following = self.zone.following(instant).next();
        self.before = following.map_or(i64::MAX, |change| second(change.timestamp()));
        let next = instant.checked_add(SignedDuration::from_secs(1)).unwrap_or(instant);
        let preceding = self.zone.preceding(next).next();
        self.from = preceding.map_or(i64::MIN, |change| second(change.timestamp()));
        self.offset
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
        self.is_steady(unix, after) && self.from <= unix - before
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
