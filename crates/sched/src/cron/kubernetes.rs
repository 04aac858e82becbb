//! The next slot as Kubernetes finds it: robfig/cron's walk from field to field, retold.
//!
//! The walk goes through real time and looks at the local clock, so that an hour that comes twice matches twice and one that
//! is left out never. Where a day or a month begins in an hour that is left out it does stranger things, such as missing the
//! whole day; those are Kubernetes' answers too. Where it would never end, or go back (in zones that left out a day, or went
//! back over midnight), we take every minute that matches instead, until the clock change is past.
//!
//! Where the offset stays the same, a walk of many steps is one jump.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time};

use super::calendar;
use super::field::{Fields, has};
use super::offsets::Offsets;

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
/// How far ahead is looked, in calendar years.
const YEARS: i16 = 5;
/// More rounds than any schedule takes: one for each month, and one for each day on which the hour has passed.
const ROUNDS: u32 = 3_000;

/// The first slot after an instant, both in seconds since 1970.
pub(super) fn next(fields: &Fields, after: i64, offsets: &mut Offsets) -> Option<i64> {
    if fields.is_never() {
        return None;
    }
    let mut walk = Walk { fields, offsets, limit: 0 };
    walk.limit = walk.offsets.local(after.checked_add(1)?).year().saturating_add(YEARS);
    let mut from = after;
    loop {
        let caught = match walk.next(from) {
            Ended::Found(slot) if slot > from => return Some(slot),
            Ended::Nothing => return None,
            Ended::Found(at) | Ended::Caught(at) => at,
        };
        let begin = from.max(caught - 2 * DAY);
        let change = walk.offsets.change_after(begin - DAY)?;
        let past = change.max(begin) + DAY;
        if let Some(slot) = walk.plainly(begin, past) {
            return Some(slot);
        }
        from = past;
    }
}

struct Walk<'a, 'zone> {
    fields: &'a Fields,
    offsets: &'a mut Offsets<'zone>,
    /// The last year that is looked at.
    limit: i16,
}

enum Ended {
    Found(i64),
    /// Nothing matches until the years are over.
    Nothing,
    /// It does not get on from here.
    Caught(i64),
}

impl Walk<'_, '_> {
    fn next(&mut self, after: i64) -> Ended {
        let fields = self.fields;
        let mut at = after + 1;
        // Once something did not match, all that is smaller is counted from its beginning.
        let mut begun = false;
        'anew: for _ in 0..ROUNDS {
            let mut local = self.offsets.local(at);
            if local.year() > self.limit {
                return Ended::Nothing;
            }
            while !fields.month_matches(local.month()) {
                if !begun {
                    begun = true;
                    at = self.offsets.instant(local.date().first_of_month().to_datetime(Time::midnight()));
                    local = self.offsets.local(at);
                }
                let before = at;
                (at, local) = self.month_later(local);
                if at <= before {
                    return Ended::Caught(before);
                }
                if local.month() == 1 {
                    continue 'anew;
                }
            }
            while !fields.day_matches(local.date()) {
                if !begun {
                    begun = true;
                    at = self.offsets.instant(local.date().to_datetime(Time::midnight()));
                    local = self.offsets.local(at);
                }
                let before = at;
                (at, local) = self.day_later(at, local);
                if at <= before {
                    return Ended::Caught(before);
                }
                if local.day() == 1 {
                    continue 'anew;
                }
            }
            while !has(fields.hour, local.hour()) {
                if !begun {
                    begun = true;
                    at = self.offsets.instant(local.date().at(local.hour(), 0, 0, 0));
                    local = self.offsets.local(at);
                }
                at += self.jump(at, HOUR, until(fields.hour, local.hour(), 24));
                local = self.offsets.local(at);
                if local.hour() == 0 {
                    continue 'anew;
                }
            }
            while !has(fields.minute, local.minute()) {
                if !begun {
                    begun = true;
                    at -= at.rem_euclid(MINUTE);
                    local = self.offsets.local(at);
                }
                at += self.jump(at, MINUTE, until(fields.minute, local.minute(), 60));
                local = self.offsets.local(at);
                if local.minute() == 0 {
                    continue 'anew;
                }
            }
            if local.second() == 0 {
                return Ended::Found(at);
            }
            begun = true;
            at += self.jump(at, 1, 60 - i64::from(local.second()));
        }
        Ended::Caught(at)
    }

    /// So many steps at once, or only one if the offset changes on the way.
    fn jump(&mut self, at: i64, step: i64, steps: i64) -> i64 {
        if self.offsets.is_steady(at, step * steps) { step * steps } else { step }
    }

    /// The same day and time of the next month; days that it does not have are those of the month after.
    fn month_later(&mut self, local: DateTime) -> (i64, DateTime) {
        let first = local.date().first_of_month().checked_add(1.month()).unwrap_or(Date::MAX);
        let date = first.checked_add((local.day() - 1).days()).unwrap_or(Date::MAX);
        let at = self.offsets.instant(date.to_datetime(local.time()));
        (at, self.offsets.local(at))
    }

    /// The next midnight, or what is taken for it; while nothing changes, that of the next day that matches.
    fn day_later(&mut self, at: i64, local: DateTime) -> (i64, DateTime) {
        let mut date = tomorrow(local.date());
        // Whole days of which nothing can come before the change after them.
        let room = self.offsets.steady_until(at).saturating_sub(at) / DAY - 1;
        if room > 0 && local.time() == Time::midnight() && self.offsets.is_steady_around(at, DAY, DAY) {
            let mut days = 1;
            while days < room && date.day() != 1 && !self.fields.day_matches(date) {
                date = tomorrow(date);
                days += 1;
            }
            return (at + days * DAY, date.to_datetime(Time::midnight()));
        }
        let mut at = self.offsets.instant(date.to_datetime(local.time()));
        let mut local = self.offsets.local(at);
        // Where there is no midnight: the hour before the next, or after the last.
        let hour = i64::from(local.hour());
        if hour != 0 {
            at += if hour > 12 { (24 - hour) * HOUR } else { -hour * HOUR };
            local = self.offsets.local(at);
        }
        (at, local)
    }

    /// The first slot after one instant and until another, by the calendar of each stretch without a change.
    fn plainly(&mut self, after: i64, until: i64) -> Option<i64> {
        let mut begin = after + 1;
        while begin <= until {
            let offset = self.offsets.at(begin);
            let end = self.offsets.steady_until(begin).min(until + 1);
            let minute = |unix: i64| (unix + offset).div_euclid(MINUTE);
            if calendar::count(self.fields, minute(begin - 1), minute(end - 1)) > 0 {
                let slot = calendar::nth(self.fields, minute(begin - 1), 1)?;
                return Some(slot * MINUTE - offset);
            }
            begin = end;
        }
        None
    }
}

fn tomorrow(date: Date) -> Date {
    date.tomorrow().unwrap_or(Date::MAX)
}

/// Steps from a value to the next that matches, or to where the values begin again.
fn until(bits: u64, value: i8, end: i64) -> i64 {
    let value = u32::from(value.unsigned_abs());
    let later = bits >> value >> 1;
    if later == 0 { end - i64::from(value) } else { i64::from(later.trailing_zeros()) + 1 }
}
