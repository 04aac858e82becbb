//! The one place where `wick` reads the clock, and how times are written out.
//!
//! Whatever renders is given a [`Clock`], so that a test can say what time it is. Waiting for something with a time
//! limit is not told here: that is tokio's timer, which steps of the clock do not move.

use api::cron_job::Zones as _;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use zones::Zones;

/// What time it is, and where.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// Now.
    pub(crate) now: Timestamp,
    /// The reader's zone; times are written in it.
    pub(crate) zone: TimeZone,
}

impl Clock {
    /// Reads it.
    pub(crate) fn read() -> Clock {
        Clock { now: Timestamp::now(), zone: zones().local() }
    }

    /// A time with its day and zone, as kubectl's `describe` writes it: `Thu, 20 Nov 2026 15:04:05 +0100`.
    pub(crate) fn date(&self, time: Timestamp) -> String {
        time.to_zoned(self.zone.clone()).strftime("%a, %d %b %Y %H:%M:%S %z").to_string()
    }
}

/// The zones of the device this runs on.
pub(crate) fn zones() -> Zones {
    // Only a zone that was named can be unknown.
    Zones::open(None).unwrap_or_else(|_| Zones::bundled())
}

/// A local time of the wire (`2026-11-20T16:00:00+01:00`) as [`Clock::date`] writes it; one that clocks leave out has no
/// offset, there as here.
pub(crate) fn local(wire: &str) -> String {
    const DATE: &str = "%a, %d %b %Y %H:%M:%S";
    match Zoned::strptime("%Y-%m-%dT%H:%M:%S%:z", wire) {
        Ok(local) => local.strftime(&format!("{DATE} %z")).to_string(),
        // One that is left out was never a time of any offset.
        Err(_) => match wire.parse::<DateTime>() {
            Ok(local) => local.strftime(DATE).to_string(),
            Err(_) => wire.to_owned(),
        },
    }
}

/// A time of the wire as a time; `None` if it is unset or beyond every calendar.
pub(crate) fn time(wire: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    let wire = wire?;
    Timestamp::new(wire.seconds, wire.nanos).ok()
}

/// A time as the wire has it.
pub(crate) fn wire(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}

/// What a test says the time is: 2026-11-20 15:00:00 UTC.
#[cfg(test)]
pub(crate) fn noon() -> Clock {
    Clock { now: Timestamp::new(1_795_186_800, 0).unwrap(), zone: TimeZone::UTC }
}

/// A time so many seconds before [`noon`].
#[cfg(test)]
pub(crate) fn ago(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: 1_795_186_800 - seconds, nanos: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_date_has_its_day_and_a_numeric_zone() {
        let clock = noon();
        expect!["Fri, 20 Nov 2026 15:00:00 +0000"].assert_eq(&clock.date(clock.now));
        let east = Clock { zone: TimeZone::fixed(jiff::tz::offset(1)), ..clock };
        expect!["Fri, 20 Nov 2026 16:00:00 +0100"].assert_eq(&east.date(east.now));
    }

    #[test]
    fn a_time_of_the_wire_comes_back_as_it_was() {
        let time_there = prost_types::Timestamp { seconds: 1_795_186_800, nanos: 5 };
        assert_eq!(time(Some(&time_there)).map(wire), Some(time_there));
        assert_eq!(time(Some(&prost_types::Timestamp { seconds: i64::MAX, nanos: 0 })), None);
    }
}
