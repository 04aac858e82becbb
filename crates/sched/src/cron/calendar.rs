//! What matches on a calendar without clock changes, counted without looking at each.
//!
//! Times are whole minutes since 1970, as if local time were UTC. A day's matches are the product of its hours and its
//! minutes; a month's days are the bits of one mask. Work grows with months, not with matches.

use jiff::ToSpan;
use jiff::civil::{Date, Time};

use super::field::{Fields, has};
use super::offsets::{date_time, unix_of};

const HOUR: i64 = 60;
const DAY: i64 = 1440;
const DAY_SECONDS: i64 = 86_400;

/// So many matches lie after one minute and not after another, of the same month or a later one.
pub(super) fn count(fields: &Fields, after: i64, until: i64) -> u64 {
    if until <= after {
        return 0;
    }
    let (from, to) = (Minute::of(after), Minute::of(until));
    let times = |minute: i64| times_until(fields, minute);
    let matches = |minute: &Minute| u64::from(fields.day_matches_in_month(minute.date));
    if from.day == to.day {
        return matches(&from) * (times(to.minute) - times(from.minute));
    }
    let whole = times(DAY - 1);
    let first = matches(&from) * (whole - times(from.minute));
    let last = matches(&to) * times(to.minute);
    let mut between = 0;
    let mut month = from.date.first_of_month();
    while month <= to.date {
        let mut days = fields.days_of(month);
        if month == from.date.first_of_month() {
            days &= after_day(from.date);
        }
        if month == to.date.first_of_month() {
            days &= before_day(to.date);
        }
        between += u64::from(days.count_ones());
        let Some(next) = next_month(month) else { break };
        month = next;
    }
    first + between * whole + last
}

/// The `n`-th match after a minute, counted from 1; there must be so many.
pub(super) fn nth(fields: &Fields, after: i64, n: u64) -> Option<i64> {
    let from = Minute::of(after);
    let whole = times_until(fields, DAY - 1);
    let mut left = n.checked_sub(1)?;
    if fields.day_matches_in_month(from.date) {
        let gone = times_until(fields, from.minute);
        if left < whole - gone {
            return Some(from.day * DAY + nth_time(fields, gone + left)?);
        }
        left -= whole - gone;
    }
    let mut month = from.date.first_of_month();
    let mut days = fields.days_of(month) & after_day(from.date);
    let whole_days = left.checked_div(whole)?;
    let mut skip = whole_days;
    loop {
        let here = u64::from(days.count_ones());
        if skip < here {
            let day = nth_bit(u64::from(days), skip)?;
            let date = month.checked_add((i64::from(day) - 1).days()).ok()?;
            let midnight = unix_of(date.to_datetime(Time::midnight())).div_euclid(HOUR);
            return Some(midnight + nth_time(fields, left - whole_days * whole)?);
        }
        skip -= here;
        month = next_month(month)?;
        days = fields.days_of(month);
    }
}

/// A minute, taken apart.
struct Minute {
    /// Days since 1970.
    day: i64,
    /// Of its day.
    minute: i64,
    date: Date,
}

impl Minute {
    fn of(minutes: i64) -> Minute {
        let day = minutes.div_euclid(DAY);
        let date = date_time(day.saturating_mul(DAY_SECONDS)).date();
        Minute { day, minute: minutes.rem_euclid(DAY), date }
    }
}

/// So many times of a day match until this minute of it, itself included.
fn times_until(fields: &Fields, minute: i64) -> u64 {
    let (hour, minute) = (minute / HOUR, minute % HOUR);
    let hours = u64::from((fields.hour & below(hour)).count_ones());
    let minutes = u64::from(fields.minute.count_ones());
    let begun = fields.hour >> hour & 1;
    hours * minutes + begun * u64::from((fields.minute & below(minute + 1)).count_ones())
}

/// The time of a day that so many come before, in minutes.
fn nth_time(fields: &Fields, n: u64) -> Option<i64> {
    let minutes = u64::from(fields.minute.count_ones());
    let hour = nth_bit(fields.hour, n.checked_div(minutes)?)?;
    let minute = nth_bit(fields.minute, n % minutes)?;
    Some(i64::from(hour) * HOUR + i64::from(minute))
}

/// The place of the bit that so many come before.
fn nth_bit(mut bits: u64, n: u64) -> Option<u32> {
    for _ in 0..n {
        bits &= bits.checked_sub(1)?;
    }
    (bits != 0).then(|| bits.trailing_zeros())
}

fn below(value: i64) -> u64 {
    if value >= 64 { u64::MAX } else { (1 << value) - 1 }
}

fn after_day(date: Date) -> u32 {
    !(u32::MAX >> (31 - u32::from(date.day().unsigned_abs())))
}

fn before_day(date: Date) -> u32 {
    (1 << date.day().unsigned_abs()) - 1
}

fn next_month(first: Date) -> Option<Date> {
    first.checked_add(1.month()).ok()
}

impl Fields {
    /// The days of the month that match, a bit for each; the day given is the first.
    fn days_of(&self, first: Date) -> u32 {
        if !has(self.month, first.month()) {
            return 0;
        }
        // The weekdays as bits, the first day's lowest, over and over.
        let shift = u32::from(first.weekday().to_sunday_zero_offset().unsigned_abs());
        let week = self.weekday | self.weekday << 7;
        let week = week >> shift & 0x7f;
        let weekdays = (week | week << 7 | week << 14 | week << 21 | week << 28) << 1;
        let matches = if self.both_days { self.day & weekdays } else { self.day | weekdays };
        let length = u32::from(first.days_in_month().unsigned_abs());
        u32::try_from(matches & ((2 << length) - 2)).unwrap_or(0)
    }

    fn day_matches_in_month(&self, date: Date) -> bool {
        has(self.month, date.month()) && self.day_matches(date)
    }
}

#[cfg(test)]
mod tests {
    use arbtest::arbtest;
    use jiff::Timestamp;
    use jiff::tz::Offset;

    use super::*;

    fn plainly(fields: &Fields, after: i64, until: i64) -> Vec<i64> {
        let matches = |minute: &i64| {
            let local = Offset::UTC.to_datetime(Timestamp::from_second(minute * 60).unwrap());
            has(fields.minute, local.minute())
                && has(fields.hour, local.hour())
                && has(fields.month, local.month())
                && fields.day_matches(local.date())
        };
        (after + 1..=until).filter(matches).collect()
    }

    #[test]
    fn counting_and_looking_at_each_minute_agree() {
        let texts = [
            "* * * * *",
            "0 0 * * *",
            "*/7 1-3 * * *",
            "59 23 31 * *",
            "0 4 13 * 5",
            "0 0 */2 * 1",
            "5,50 0,23 29 2 *",
            "0 0 * 2,3 0",
            ", * * * *",
            "0 0 1 1 *",
        ];
        arbtest(|u| {
            let fields = Fields::parse(u.choose(&texts)?).unwrap();
            let after = u.int_in_range(20_000_000i64..=30_000_000)?;
            let until = after + u.int_in_range(0..=100 * DAY)?;
            let expected = plainly(&fields, after, until);
            assert_eq!(count(&fields, after, until), expected.len() as u64);
            if let Some(last) = expected.len().checked_sub(1) {
                let n = u.int_in_range(0..=last)?;
                assert_eq!(nth(&fields, after, n as u64 + 1), Some(expected[n]));
            }
            Ok(())
        })
        .budget_ms(2_000);
    }
}
