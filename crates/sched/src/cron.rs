//! When a CronJob is due: its schedule, read and worked out as Kubernetes does.
//!
//! Kubernetes uses robfig/cron v3.0.1 with its standard parser. Schedules are taken and refused as it does, oddities
//! included, and slots are its slots, also where a clock change makes them odd: whoever moves a CronJob here must find it
//! run at the same seconds. Two things are better: a weekday may be 7 (Sunday, as in every Unix cron), and no schedule loops
//! for ever or goes back in time, as some do there when a day is left out or repeated. [`Dst::RunOnce`] is ours.
//!
//! Zones arrive resolved. Deliberately absent: what a slot leads to (a Job, or a record that it was missed).

mod calendar;
mod every;
mod field;
mod kubernetes;
mod offsets;
mod once;
mod preview;
mod runs;
mod splay;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use field::Fields;
use offsets::Offsets;
pub use preview::{ClockChange, Previewed};
use runs::Runs;
pub use splay::splay;

/// A schedule that can be kept: whoever holds one holds a valid one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// At local times that match.
    Fields(Fields),
    /// So many seconds after the last time.
    Every(i64),
}

/// What happens to slots when clocks change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dst {
    /// As on Kubernetes: a slot in the hour that is left out is skipped that day, one in the hour that comes twice fires
    /// twice.
    #[default]
    Kubernetes,
    /// As in cronie: a slot in the hour that is left out fires when that hour would have begun (and
    /// in the minute before, where another day begins then), one in the hour that comes
    /// twice fires the first time. Schedules with `*` as minute or hour go by elapsed time, as ever.
    RunOnce,
}

/// Why a schedule is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Nothing is there.
    #[error("is empty; give five fields (minute hour day month weekday), as in `0 3 * * *`")]
    Empty,
    /// Not five fields.
    #[error("{0} fields; Kubernetes cron has 5 (minute hour day month weekday)")]
    Count(usize),
    /// A zone within the schedule.
    #[error("`{0}` is not taken within a schedule; give the zone as timeZone")]
    Zone(String),
    /// `@something`.
    #[error(
        "`{0}` is not one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly and `@every DURATION`"
    )]
    Descriptor(String),
    /// What follows `@every`.
    #[error("`{0}` is not a duration; one is `1h30m` or `45s`, in units of h, m, s, ms, us and ns")]
    Duration(String),
    /// Something within a field.
    #[error("{field}: `{text}` {why}")]
    Field {
        /// `minute`, `hour`, `day of month`, `month` or `day of week`.
        field: &'static str,
        /// The part that is wrong.
        text: String,
        /// What is wrong with it, and what would be right.
        why: String,
    },
}

impl Schedule {
    /// Reads a schedule. One with a zone in it (`TZ=…`) is refused: [`split_zone`] takes it off first.
    pub fn parse(text: &str) -> Result<Schedule, ScheduleError> {
        if text.is_empty() {
            return Err(ScheduleError::Empty);
        }
        if let Some((zone, _)) = zone_prefix(text) {
            return Err(ScheduleError::Zone(zone.to_owned()));
        }
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ if text.starts_with('@') => {
                let Some(length) = text.strip_prefix("@every ") else {
                    return Err(ScheduleError::Descriptor(text.to_owned()));
                };
                let seconds = every::seconds(length);
                return match seconds {
                    Some(seconds) => Ok(Schedule(Kind::Every(seconds))),
                    None => Err(ScheduleError::Duration(length.to_owned())),
                };
            }
            _ => text,
        };
        Ok(Schedule(Kind::Fields(Fields::parse(fields)?)))
    }

    /// The length of `@every`; `None` if it goes by the calendar.
    pub fn period(&self) -> Option<SignedDuration> {
        match self.0 {
            Kind::Every(seconds) => Some(SignedDuration::from_secs(seconds)),
            Kind::Fields(_) => None,
        }
    }

    /// True if it names times of day (neither minute nor hour begins with a star): what a clock change may drop, move or
    /// double. Others go by elapsed time.
    pub fn is_fixed_time(&self) -> bool {
        match &self.0 {
            Kind::Every(_) => false,
            Kind::Fields(fields) => fields.is_fixed_time(),
        }
    }

    /// The first slot after an instant, in this zone; `None` if none comes before the end of the fifth year after it.
    ///
    /// `@every` counts from the instant given, whatever the zone.
    pub fn next_after(&self, after: Timestamp, zone: &TimeZone, dst: Dst) -> Option<Timestamp> {
        let after = floor(after);
        let next = match &self.0 {
            Kind::Every(seconds) => after.checked_add(*seconds)?,
            Kind::Fields(fields) => next(fields, dst, after, &mut Offsets::new(zone))?,
        };
        Timestamp::from_second(next).ok()
    }

    /// How many slots lie after one instant and not after another: as many as [`Schedule::next_after`] finds one after the
    /// other. The time it takes grows with months and clock changes, and not with slots.
    pub fn count(&self, after: Timestamp, until: Timestamp, zone: &TimeZone, dst: Dst) -> u64 {
        self.between(after, until, zone, dst).map_or(0, |slots| slots.count)
    }

    /// The latest slot after one instant and not after another: what is still to be done after a long pause.
    pub fn latest(&self, after: Timestamp, until: Timestamp, zone: &TimeZone, dst: Dst) -> Option<Timestamp> {
        self.between(after, until, zone, dst).map(|slots| slots.last)
    }

    /// The slots after one instant and not after another, in sum; `None` if there are none.
    pub fn between(&self, after: Timestamp, until: Timestamp, zone: &TimeZone, dst: Dst) -> Option<Slots> {
        let (after, until) = (floor(after), floor(until));
        let slots = |first: i64, last: i64, count: u64| {
            let at = |unix: i64| Timestamp::from_second(unix).ok();
            Some(Slots { first: at(first)?, last: at(last)?, count })
        };
        match &self.0 {
            Kind::Every(seconds) => {
                let count = until.checked_sub(after)?.div_euclid(*seconds);
                let last = after.checked_add(count.checked_mul(*seconds)?)?;
                slots(
                    after.checked_add(*seconds)?,
                    last,
                    u64::try_from(count).ok().filter(|count| *count > 0)?,
                )
            }
            Kind::Fields(fields) => {
                let mut runs = Runs::new(fields, dst, zone, after, until);
                let first = runs.next()?;
                let (mut last, mut count) = (first.last, first.count);
                let first = first.first;
                for run in runs {
                    last = run.last;
                    count += run.count;
                }
                slots(first, last, count)
            }
        }
    }

    /// Of the slots after one instant and not after another, the one from which so many are left, itself included: the first
    /// of the latest `n`. `None` if there are fewer.
    pub fn nth_last(
        &self,
        after: Timestamp,
        until: Timestamp,
        n: u64,
        zone: &TimeZone,
        dst: Dst,
    ) -> Option<Timestamp> {
        let mut skip = self.count(after, until, zone, dst).checked_sub(n)?;
        if n == 0 {
            return None;
        }
        let (after, until) = (floor(after), floor(until));
        let found = match &self.0 {
            Kind::Every(seconds) => {
                after.checked_add(i64::try_from(skip).ok()?.checked_add(1)?.checked_mul(*seconds)?)?
            }
            Kind::Fields(fields) => {
                let mut runs = Runs::new(fields, dst, zone, after, until);
                loop {
                    let run = runs.next()?;
                    if skip < run.count {
                        break run.nth(fields, skip)?;
                    }
                    skip -= run.count;
                }
            }
        };
        Timestamp::from_second(found).ok()
    }
}

/// Slots, in sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// The first.
    pub first: Timestamp,
    /// The last.
    pub last: Timestamp,
    /// How many there are from the first to the last, both counted; at least one.
    pub count: u64,
}

fn next(fields: &Fields, dst: Dst, after: i64, offsets: &mut Offsets) -> Option<i64> {
    match dst {
        Dst::RunOnce if fields.is_fixed_time() => once::next(fields, after, offsets),
        Dst::RunOnce | Dst::Kubernetes => kubernetes::next(fields, after, offsets),
    }
}

/// The zone and the schedule of `TZ=Asia/Seoul 0 3 * * *`, which Kubernetes still runs where it was stored long ago;
/// `None` if there is no zone in it. An error is a zone with nothing behind it.
pub fn split_zone(text: &str) -> Option<Result<(&str, &str), ScheduleError>> {
    let (prefix, rest) = zone_prefix(text)?;
    let Some(rest) = rest else { return Some(Err(ScheduleError::Zone(prefix.to_owned()))) };
    let (_, zone) = prefix.split_once('=')?;
    Some(Ok((zone, rest.trim())))
}

/// `TZ=…` or `CRON_TZ=…` at the beginning, and what follows its blank.
fn zone_prefix(text: &str) -> Option<(&str, Option<&str>)> {
    if !text.starts_with("TZ=") && !text.starts_with("CRON_TZ=") {
        return None;
    }
    Some(match text.split_once(' ') {
        Some((prefix, rest)) => (prefix, Some(rest)),
        None => (text, None),
    })
}

/// Whole seconds since 1970, the begun one not counted.
fn floor(at: Timestamp) -> i64 {
    at.as_second() - i64::from(at.subsec_nanosecond() < 0)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn refused(texts: &[&str], expected: Expect) {
        let lines: Vec<_> = texts
            .iter()
            .map(|text| match Schedule::parse(text) {
                Ok(_) => format!("{text}: taken\n"),
                Err(error) => format!("{error}\n"),
            })
            .collect();
        expected.assert_eq(&lines.concat());
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_what_would_be_right() {
        refused(
            &[
                "",
                "* * * * * *",
                "60 * * * *",
                "0 24 * * *",
                "0 0 0 * *",
                "0 0 * 13 *",
                "0 0 * * 8",
                "0 22-6 * * *",
                "*/0 * * * *",
                "0 0 L * *",
                "0 0 * * fryday",
                "1-5/2/3 * * * *",
                "1--5 * * * *",
                "@reboot",
                "@every 1d",
                "TZ=Asia/Seoul 0 3 * * *",
                "99999999999999999999 * * * *",
                "*/-1 * * * *",
                "0 0 * * 7-5",
            ],
            expect![[r#"
                is empty; give five fields (minute hour day month weekday), as in `0 3 * * *`
                6 fields; Kubernetes cron has 5 (minute hour day month weekday)
                minute: `60` is above 59; it must be from 0 to 59
                hour: `24` is above 23; it must be from 0 to 23
                day of month: `0` is below 1; it must be from 1 to 31
                month: `13` is above 12; it must be from 1 to 12
                day of week: `8` is above 6; it must be from 0 to 6
                hour: `22-6` goes backwards; give it as two, as in `22-23,0-6`
                minute: `*/0` has the step 0; the least is 1
                day of month: `L` is not a number; it must be a number from 1 to 31
                day of week: `fryday` is not a number; it must be a number from 0 to 6, or a name from sun to sat
                minute: `1-5/2/3` has too many slashes; a step is given once, as in `*/5`
                minute: `1--5` has too many hyphens; a range is `FROM-TO`
                `@reboot` is not one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly and `@every DURATION`
                `1d` is not a duration; one is `1h30m` or `45s`, in units of h, m, s, ms, us and ns
                `TZ=Asia/Seoul` is not taken within a schedule; give the zone as timeZone
                minute: `99999999999999999999` is too large; it must be a number from 0 to 59
                minute: `*/-1` has a step that is below 0
                day of week: `7-5` goes backwards; give it as two, as in `22-23,0-6`
            "#]],
        );
    }

    #[test]
    fn weekday_7_is_sunday() {
        let sundays = Schedule::parse("0 0 * * 0");
        for text in ["0 0 * * 7", "0 0 * * 7-7", "0 0 * * 0,7"] {
            assert_eq!(Schedule::parse(text), sundays, "{text}");
        }
        assert_eq!(Schedule::parse("0 0 * * 5-7"), Schedule::parse("0 0 * * 0,5,6"));
    }

    #[test]
    fn the_latest_slot_is_found_however_long_the_pause() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let latest = |text: &str, after: &str, until: &str| {
            let schedule = Schedule::parse(text).unwrap();
            let found = schedule.latest(at(after), at(until), &TimeZone::UTC, Dst::Kubernetes);
            found.map(|found| found.to_string())
        };
        let found = |text: &str| Some(text.to_owned());
        assert_eq!(
            latest("* * * * *", "2020-01-01T00:00:00Z", "2026-01-01T00:00:30Z"),
            found("2026-01-01T00:00:00Z")
        );
        assert_eq!(
            latest("0 9 * * 1-5", "2026-01-07T09:00:00Z", "2026-01-10T12:00:00Z"),
            found("2026-01-09T09:00:00Z")
        );
        assert_eq!(latest("0 0 29 2 *", "2024-03-01T00:00:00Z", "2027-01-01T00:00:00Z"), None);
        assert_eq!(
            latest("@every 7s", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
            found("2026-01-01T00:00:56Z")
        );
        // Strictly after the first, and the second itself counts.
        assert_eq!(latest("0 9 * * *", "2026-01-01T09:00:00Z", "2026-01-02T08:59:59Z"), None);
        assert_eq!(
            latest("0 9 * * *", "2026-01-01T09:00:00Z", "2026-01-02T09:00:00Z"),
            found("2026-01-02T09:00:00Z")
        );
    }

    #[test]
    fn a_zone_within_a_schedule_can_be_split_off() {
        assert_eq!(split_zone("TZ=Asia/Seoul 0 3 * * *"), Some(Ok(("Asia/Seoul", "0 3 * * *"))));
        assert_eq!(split_zone("CRON_TZ=UTC  @daily"), Some(Ok(("UTC", "@daily"))));
        assert!(matches!(split_zone("TZ=0"), Some(Err(ScheduleError::Zone(_)))));
        assert_eq!(split_zone("0 3 * * *"), None);
    }
}
