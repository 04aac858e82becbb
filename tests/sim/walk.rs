//! When a CronJob is due, minute by minute: slow, simple, and without the code that it is to check.
//!
//! It knows the few forms of schedules that worlds have. In zones whose clocks change at midnight, Kubernetes goes past slots
//! that a walk finds, and so it does for some schedules where they change by less than an hour: worlds have none of those.

use jiff::Timestamp;
use jiff::tz::TimeZone;

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;

/// All slots after an instant, as far as somebody walked. Times are seconds since 1970.
pub(crate) struct Walk {
    kind: Kind,
    walked: i64,
    slots: Vec<i64>,
}

enum Kind {
    Every(i64),
    Fields(Box<Fields>),
}

struct Fields {
    minutes: Vec<bool>,
    hours: Vec<bool>,
    weekdays: Vec<bool>,
    /// What is left out by a clock fires at its change, and what comes twice the first time.
    once: bool,
    zone: TimeZone,
    stretch: Stretch,
}

/// Time between two clock changes.
struct Stretch {
    from: i64,
    until: i64,
    before: i64,
    offset: i64,
}

/// A schedule without the words that stand for others.
pub(crate) fn plain(schedule: &str) -> &str {
    match schedule {
        "@hourly" => "0 * * * *",
        "@daily" => "0 0 * * *",
        other => other,
    }
}

impl Walk {
    /// `None` if the schedule is none that can be walked.
    pub(crate) fn new(schedule: &str, zone: TimeZone, run_once: bool, since: i64) -> Option<Walk> {
        let schedule = plain(schedule);
        let kind = match schedule.strip_prefix("@every ") {
            Some(length) => Kind::Every(seconds(length)?),
            None => Kind::Fields(Box::new(Fields::new(schedule, zone, run_once, since)?)),
        };
        Some(Walk { kind, walked: since, slots: Vec::new() })
    }

    /// The slots until then, and perhaps some later ones.
    pub(crate) fn until(&mut self, at: i64) -> &[i64] {
        match &mut self.kind {
            Kind::Every(period) => {
                while self.walked + *period <= at {
                    self.walked += *period;
                    self.slots.push(self.walked);
                }
            }
            Kind::Fields(fields) => {
                while self.walked < at {
                    let minute = (self.walked.div_euclid(MINUTE) + 1) * MINUTE;
                    if minute > at {
                        break;
                    }
                    if fields.fires(minute) {
                        self.slots.push(minute);
                    }
                    self.walked = minute;
                }
            }
        }
        &self.slots
    }

    /// The first slot after one instant and not after another.
    pub(crate) fn first(&mut self, after: i64, until: i64) -> Option<i64> {
        let slots = self.until(until);
        slots.get(slots.partition_point(|slot| *slot <= after)).copied().filter(|slot| *slot <= until)
    }
}

impl Fields {
    fn new(schedule: &str, zone: TimeZone, run_once: bool, since: i64) -> Option<Fields> {
        let parts: Vec<&str> = schedule.split(' ').collect();
        let [minute, hour, "*", "*", weekday] = parts[..] else { return None };
        let fixed = !minute.starts_with('*') && !hour.starts_with('*');
        let at = Timestamp::from_second(since).ok()?;
        let offset = i64::from(zone.to_offset(at).seconds());
        let stretch = Stretch {
            from: zone.preceding(at).next().map_or(i64::MIN, |change| change.timestamp().as_second()),
            until: since,
            before: offset,
            offset,
        };
        let mut fields = Fields {
            minutes: values(minute, 60)?,
            hours: values(hour, 24)?,
            weekdays: values(weekday, 7)?,
            once: run_once && fixed,
            zone,
            stretch,
        };
        if fields.stretch.from > i64::MIN {
            let before = Timestamp::from_second(fields.stretch.from - 1).ok()?;
            fields.stretch.before = i64::from(fields.zone.to_offset(before).seconds());
        }
        fields.look_ahead(since);
        Some(fields)
    }

    fn fires(&mut self, minute: i64) -> bool {
        if minute >= self.stretch.until {
            let before = self.stretch.offset;
            self.stretch.from = self.stretch.until;
            self.stretch.before = before;
            let at = Timestamp::from_second(minute).unwrap_or_default();
            self.stretch.offset = i64::from(self.zone.to_offset(at).seconds());
            self.look_ahead(minute);
        }
        let Stretch { from, before, offset, .. } = self.stretch;
        let local = minute + offset;
        if !self.once {
            return self.matches(local);
        }
        if minute == from && offset > before {
            return (minute + before..=local).step_by(60).any(|local| self.matches(local));
        }
        let again = local < from.saturating_add(before);
        self.matches(local) && !again
    }

    fn look_ahead(&mut self, at: i64) {
        let at = Timestamp::from_second(at).unwrap_or_default();
        let change = self.zone.following(at).next();
        self.stretch.until = change.map_or(i64::MAX, |change| change.timestamp().as_second());
    }

    fn matches(&self, local: i64) -> bool {
        let index = |value: i64| usize::try_from(value).unwrap_or(0);
        let of_day = local.rem_euclid(DAY);
        // 1970 began on a Thursday.
        let weekday = (local.div_euclid(DAY) + 4).rem_euclid(7);
        self.minutes[index(of_day / MINUTE % 60)]
            && self.hours[index(of_day / 3600)]
            && self.weekdays[index(weekday)]
    }
}

fn values(field: &str, most: usize) -> Option<Vec<bool>> {
    let mut values = vec![false; most];
    for part in field.split(',') {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
            None if range == "*" => (0, most - 1),
            None => (range.parse().ok()?, range.parse().ok()?),
        };
        let chosen: std::ops::RangeInclusive<usize> = first..=last;
        for value in chosen.step_by(step.parse().ok()?) {
            *values.get_mut(value)? = true;
        }
    }
    Some(values)
}

fn seconds(length: &str) -> Option<i64> {
    let (number, unit) = length.split_at_checked(length.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    Some(number.parse::<i64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::zones::WorldZones;

    fn check(schedule: &str, zone: &str, once: bool, from: &str, until: &str, expected: Expect) {
        let second = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        let zone = WorldZones::new("UTC").data(Some(zone)).unwrap();
        let mut walk = Walk::new(schedule, zone, once, second(from)).unwrap();
        let slots = walk.until(second(until));
        let told = slots.iter().map(|slot| Timestamp::from_second(*slot).unwrap().to_string() + "\n");
        expected.assert_eq(&told.collect::<String>());
    }

    #[test]
    fn clock_changes_drop_and_double_slots_or_not() {
        let (from, until) = ("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
        check(
            "30 2 * * *",
            "Europe/Berlin",
            false,
            from,
            until,
            expect![[r#"
            2026-03-30T00:30:00Z
        "#]],
        );
        check(
            "30 2 * * *",
            "Europe/Berlin",
            true,
            from,
            until,
            expect![[r#"
            2026-03-29T01:00:00Z
            2026-03-30T00:30:00Z
        "#]],
        );
        let (from, until) = ("2026-10-31T12:00:00Z", "2026-11-02T05:00:00Z");
        check(
            "30 1 * * *",
            "America/New_York",
            false,
            from,
            until,
            expect![[r#"
            2026-11-01T05:30:00Z
            2026-11-01T06:30:00Z
        "#]],
        );
        check(
            "30 1 * * *",
            "America/New_York",
            true,
            from,
            until,
            expect![[r#"
            2026-11-01T05:30:00Z
        "#]],
        );
        check(
            "@every 90m",
            "UTC",
            false,
            from,
            "2026-10-31T16:00:00Z",
            expect![[r#"
            2026-10-31T13:30:00Z
            2026-10-31T15:00:00Z
        "#]],
        );
    }
}
