//! The five fields of a schedule: minute, hour, day of month, month, day of week.

use std::fmt::Display;

use jiff::civil::{Date, DateTime};

use super::ScheduleError;

/// Which values match, a bit for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) minute: u64,
    pub(super) hour: u64,
    pub(super) day: u64,
    pub(super) month: u64,
    pub(super) weekday: u64,
    /// Both the day of the month and that of the week must match. Else one of them is enough.
    pub(super) both_days: bool,
    /// Neither minute nor hour begins with a star.
    fixed_time: bool,
}

/// What a field may hold.
struct Bounds {
    name: &'static str,
    least: u32,
    most: u32,
    /// Names of values, in order from `least`.
    names: &'static [&'static str],
}

const MINUTE: Bounds = Bounds { name: "minute", least: 0, most: 59, names: &[] };
const HOUR: Bounds = Bounds { name: "hour", least: 0, most: 23, names: &[] };
const DAY: Bounds = Bounds { name: "day of month", least: 1, most: 31, names: &[] };
const MONTH: Bounds = Bounds {
    name: "month",
    least: 1,
    most: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: Bounds = Bounds {
    name: "day of week",
    least: 0,
    most: 6,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};
/// Sunday too, in every cron but Kubernetes'.
const SUNDAY: u32 = 7;

/// The most days of each month.
const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The values of one field, and whether it is a star.
#[derive(Clone, Copy, Default)]
struct Matches {
    bits: u64,
    /// A star without a step, or with the step 1.
    star: bool,
    /// It begins with a star, whatever the step.
    any_star: bool,
}

impl Fields {
    pub(super) fn parse(text: &str) -> Result<Fields, ScheduleError> {
        let fields: Vec<_> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(ScheduleError::Count(fields.len()));
        };
        let (minute, hour) = (field(minute, &MINUTE)?, field(hour, &HOUR)?);
        let (day, month, weekday) = (field(day, &DAY)?, field(month, &MONTH)?, field(weekday, &WEEKDAY)?);
        Ok(Fields {
            both_days: day.star || weekday.star,
            fixed_time: !minute.any_star && !hour.any_star,
            minute: minute.bits,
            hour: hour.bits,
            day: day.bits,
            month: month.bits,
            weekday: weekday.bits,
        })
    }

    /// True if it names times of day, and not how often.
    pub(super) fn is_fixed_time(&self) -> bool {
        self.fixed_time
    }

    /// True if nothing can match: a field has no values, or no month has such a day.
    pub(super) fn is_never(&self) -> bool {
        let mut days = 0;
        for (place, length) in LENGTHS.iter().enumerate() {
            if self.month >> (place + 1) & 1 == 1 {
                days |= (2 << length) - 2;
            }
        }
        let no_day = if self.both_days {
            self.day & days == 0 || self.weekday == 0
        } else {
            self.day & days | self.weekday == 0
        };
        self.minute == 0 || self.hour == 0 || self.month == 0 || no_day
    }

    pub(super) fn month_matches(&self, month: i8) -> bool {
        has(self.month, month)
    }

    pub(super) fn day_matches(&self, date: Date) -> bool {
        let day = has(self.day, date.day());
        let weekday = has(self.weekday, date.weekday().to_sunday_zero_offset());
        if self.both_days { day && weekday } else { day || weekday }
    }

    /// True if a schedule names this local time, whatever its second.
    pub(super) fn matches(&self, local: DateTime) -> bool {
        has(self.minute, local.minute())
            && has(self.hour, local.hour())
            && self.month_matches(local.month())
            && self.day_matches(local.date())
    }
}

/// True if this value's bit is set.
pub(super) fn has(bits: u64, value: i8) -> bool {
    bits >> u32::from(value.unsigned_abs()) & 1 == 1
}

fn field(text: &str, bounds: &Bounds) -> Result<Matches, ScheduleError> {
    let mut matches = Matches::default();
    // What is between two commas may be nothing.
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let more = range(part, bounds)?;
        matches.bits |= more.bits;
        matches.star |= more.star;
        matches.any_star |= more.any_star;
    }
    Ok(matches)
}

fn range(text: &str, bounds: &Bounds) -> Result<Matches, ScheduleError> {
    let wrong = |why: String| ScheduleError::Field { field: bounds.name, text: text.to_owned(), why };
    let Bounds { least, most, .. } = bounds;
    let mut slashes = text.split('/');
    let (from_to, step) = (slashes.next().unwrap_or_default(), slashes.next());
    if slashes.next().is_some() {
        return Err(wrong("has too many slashes; a step is given once, as in `*/5`".to_owned()));
    }
    let mut hyphens = from_to.split('-');
    let (from, to) = (hyphens.next().unwrap_or_default(), hyphens.next());
    let any_star = matches!(from, "*" | "?");
    let (first, last) = if any_star {
        (*least, *most) // What follows a star's hyphen is not looked at.
    } else {
        if hyphens.next().is_some() {
            return Err(wrong("has too many hyphens; a range is `FROM-TO`".to_owned()));
        }
        let first = value(from, bounds).map_err(|why| wrong(why.to_string()))?;
        match to {
            Some(to) => (first, value(to, bounds).map_err(|why| wrong(why.to_string()))?),
            None if step.is_some() => (first, *most), // `5/10` goes on to the end.
            None => (first, first),
        }
    };
    let step = match step {
        None => 1,
        Some(step) => number(step).map_err(|why| wrong(format!("has a step that {why}")))?,
    };
    let most_allowed = if *most == WEEKDAY.most { SUNDAY } else { *most };
    if first < *least {
        return Err(wrong(format!("is below {least}; it must be from {least} to {most}")));
    }
    if last > most_allowed || first > most_allowed {
        return Err(wrong(format!("is above {most}; it must be from {least} to {most}")));
    }
    // `7/2` goes on from Sunday, the first day.
    let first = if first == SUNDAY && to.is_none() && last < SUNDAY { 0 } else { first };
    if first > last {
        return Err(wrong("goes backwards; give it as two, as in `22-23,0-6`".to_owned()));
    }
    if step == 0 {
        return Err(wrong("has the step 0; the least is 1".to_owned()));
    }
    let mut bits = 0;
    for value in (first..=last).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
        bits |= 1 << if *most == WEEKDAY.most { value % SUNDAY } else { value };
    }
    Ok(Matches { bits, star: any_star && step == 1, any_star })
}

fn value(text: &str, bounds: &Bounds) -> Result<u32, impl Display + use<>> {
    let name = bounds.names.iter().position(|name| name.eq_ignore_ascii_case(text));
    if let Some(index) = name.and_then(|index| u32::try_from(index).ok()) {
        return Ok(bounds.least + index);
    }
    // What is larger than any bound is just that.
    number(text).map(|value| u32::try_from(value).unwrap_or(u32::MAX)).map_err(|why| {
        let names = match bounds.names {
            [first, .., last] => format!(", or a name from {first} to {last}"),
            _ => String::new(),
        };
        format!("{why}; it must be a number from {} to {}{names}", bounds.least, bounds.most)
    })
}

/// A number as Go's `Atoi` reads it, not below 0.
fn number(text: &str) -> Result<u64, &'static str> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("is not a number");
    }
    let number: i64 = text.parse().map_err(|_| "is too large")?;
    u64::try_from(number).map_err(|_| "is below 0")
}
