//! The next slots, with what clock changes do to them on the way.
//!
//! What is left out or moved is found by counting: between a slot and the next the calendar has no other match, unless a clock
//! change took it away. Schedules of every hour get no notes: an hour that is left out or comes twice is nothing to them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::field::Fields;
use super::offsets::{Offsets, date_time};
use super::{Dst, Kind, Schedule, calendar, floor, once};

const MINUTE: i64 = 60;
const DAY_MINUTES: i64 = 1440;
/// Every hour of a day.
const ALL_HOURS: u64 = (1 << 24) - 1;
/// Between two slots so many days on which something is dropped are told of, at most.
const DAYS_TOLD: usize = 16;

/// One slot, or one that a clock change drops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previewed {
    /// The instant and what clocks are ahead of UTC then; `None` if it is dropped.
    pub slot: Option<(Timestamp, Offset)>,
    /// What clocks show there, or would have shown.
    pub local: DateTime,
    /// What a clock change does to it.
    pub change: Option<ClockChange>,
    /// The same in words; empty if there is none.
    pub note: String,
}

/// What a clock change does to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockChange {
    /// Its local time is left out that day, and it with it.
    Dropped,
    /// Its local time is left out that day; it comes when that time would have begun.
    Moved,
    /// Its local time comes twice; this is the first.
    FirstOfTwo,
    /// Its local time comes twice; this is the second.
    SecondOfTwo,
    /// Its local time comes twice, and it fires at the first only.
    OnceOfTwo,
}

impl Previewed {
    /// What clocks show, with the offset; without one if it is dropped. As RFC 3339.
    pub fn local_text(&self) -> String {
        match self.slot {
            Some((slot, offset)) => slot.display_with_offset(offset).to_string(),
            None => self.local.to_string(),
        }
    }
}

impl Schedule {
    /// The next `count` slots after an instant, and between them those that clock changes drop.
    pub fn preview(&self, from: Timestamp, count: usize, zone: &TimeZone, dst: Dst) -> Vec<Previewed> {
        let mut previewed = Vec::new();
        let mut offsets = Offsets::new(zone);
        let mut before = floor(from);
        // Until here, on the calendar, all was told with a slot that was moved, or came before.
        let mut told = match dst {
            Dst::RunOnce if self.is_fixed_time() => {
                once::over(before, zone).map(|over| over.div_euclid(MINUTE))
            }
            Dst::RunOnce | Dst::Kubernetes => None,
        };
        for _ in 0..count {
            let next = match &self.0 {
                Kind::Every(seconds) => before.checked_add(*seconds),
                Kind::Fields(fields) => super::next(fields, dst, before, &mut offsets),
            };
            let Some((slot, instant)) =
                next.and_then(|next| Some((next, Timestamp::from_second(next).ok()?)))
            else {
                break;
            };
            let offset = zone.to_offset(instant);
            let local = offset.to_datetime(instant);
            let (mut change, mut note) = (None, String::new());
            if let Kind::Fields(fields) = &self.0
                && (fields.is_fixed_time() || fields.hour != ALL_HOURS)
            {
                let once = dst == Dst::RunOnce && fields.is_fixed_time();
                let notes = Notes { schedule: self, fields, zone, dst, once };
                let begun = minute_of(before, &mut offsets).max(told.unwrap_or(i64::MIN));
                let reached = minute_of(slot, &mut offsets);
                previewed.extend(notes.dropped(begun, reached));
                if let Some((last, moved)) = notes.moved(begun, reached, local) {
                    told = Some(last);
                    (change, note) = (Some(ClockChange::Moved), moved);
                } else {
                    told = None;
                    (change, note) = notes.doubled(instant, offset);
                }
            }
            previewed.push(Previewed { slot: Some((instant, offset)), local, change, note });
            before = slot;
        }
        previewed
    }
}

/// The minute that clocks show, as if local time were UTC.
fn minute_of(unix: i64, offsets: &mut Offsets) -> i64 {
    (unix + offsets.at(unix)).div_euclid(MINUTE)
}

struct Notes<'a> {
    schedule: &'a Schedule,
    fields: &'a Fields,
    zone: &'a TimeZone,
    dst: Dst,
    /// It fires once a day, whatever the clock does.
    once: bool,
}

impl Notes<'_> {
    /// What is dropped between two slots: an entry for each day.
    fn dropped(&self, begun: i64, reached: i64) -> Vec<Previewed> {
        let mut dropped = Vec::new();
        let mut after = begun;
        // What is left out on the day of a slot that fires once is not dropped, but moved.
        let end = if self.once { reached.div_euclid(DAY_MINUTES) * DAY_MINUTES - 1 } else { reached - 1 };
        while dropped.len() < DAYS_TOLD {
            let end_of_day = |minute: i64| minute.div_euclid(DAY_MINUTES) * DAY_MINUTES + DAY_MINUTES - 1;
            if calendar::count(self.fields, after, end) == 0 {
                break;
            }
            let Some(first) = calendar::nth(self.fields, after, 1) else { break };
            let last = end.min(end_of_day(first));
            let count = calendar::count(self.fields, first - 1, last);
            let last = calendar::nth(self.fields, first - 1, count).unwrap_or(first);
            let local = date_time(first * MINUTE);
            let times = times(local, date_time(last * MINUTE), count);
            let note = match self.zone.to_ambiguous_timestamp(local).offset() {
                AmbiguousOffset::Gap { before, after } if whole_day(before, after) => {
                    format!("clocks go forward by {}: this day does not exist", amount(before, after))
                }
                AmbiguousOffset::Gap { before, after } => {
                    let does = if count == 1 { "does" } else { "do" };
                    format!(
                        "clocks go forward by {}: {times} {does} not exist on this day",
                        amount(before, after)
                    )
                }
                AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
                    format!(
                        "Kubernetes passes over {times} of this day, because of a clock change at midnight"
                    )
                }
            };
            dropped.push(Previewed { slot: None, local, change: Some(ClockChange::Dropped), note });
            after = end_of_day(first);
        }
        dropped
    }

    /// What is said of a slot whose local time comes twice.
    fn doubled(&self, slot: Timestamp, offset: Offset) -> (Option<ClockChange>, String) {
        let local = offset.to_datetime(slot);
        let AmbiguousOffset::Fold { before, after } = self.zone.to_ambiguous_timestamp(local).offset() else {
            return (None, String::new());
        };
        let twice = format!("clocks go back by {}: {} comes twice", amount(after, before), time(local));
        if offset == after {
            return (Some(ClockChange::SecondOfTwo), format!("{twice}; this is the second"));
        }
        let second = slot.checked_add(before.until(after).abs()).unwrap_or(slot);
        if self.schedule.latest(slot, second, self.zone, self.dst) == Some(second) {
            (Some(ClockChange::FirstOfTwo), format!("{twice}; this is the first"))
        } else {
            (Some(ClockChange::OnceOfTwo), format!("{twice}; it fires the first time only"))
        }
    }

    /// What is said of a slot that comes for times that are left out, and the last of them.
    fn moved(&self, begun: i64, reached: i64, local: DateTime) -> Option<(i64, String)> {
        if !self.once {
            return None;
        }
        // The last minute of a day stands in for those of an hour that is left out after it.
        let day = reached.div_euclid(DAY_MINUTES) * DAY_MINUTES;
        let first = calendar::nth(self.fields, begun.max(day - 1), 1)?;
        let gap = |minute: i64| match self.zone.to_ambiguous_timestamp(date_time(minute * MINUTE)).offset() {
            AmbiguousOffset::Gap { before, after } => Some((before, after)),
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => None,
        };
        let (before, after) = gap(first)?;
        // Until the end of what is left out.
        let missing = (i64::from(after.seconds() - before.seconds()) + MINUTE - 1) / MINUTE;
        let mut last = first;
        let mut count = 1;
        while let Some(next) = calendar::nth(self.fields, last, 1).filter(|next| *next < first + missing) {
            if gap(next).is_none() {
                break;
            }
            last = next;
            count += 1;
        }
        let times = times(date_time(first * MINUTE), date_time(last * MINUTE), count);
        let (does, come) = if count == 1 { ("does", "it comes") } else { ("do", "they come") };
        let amount = amount(before, after);
        let at = time(local);
        let once = if count == 1 { "" } else { ", once" };
        let note = format!(
            "clocks go forward by {amount}: {times} {does} not exist on this day; {come} at {at}{once}"
        );
        Some((last, note))
    }
}

fn whole_day(before: Offset, after: Offset) -> bool {
    i64::from(after.seconds() - before.seconds()) >= DAY_MINUTES * MINUTE
}

/// `02:30`, or `02:00 and 3 more until 02:45`.
fn times(first: DateTime, last: DateTime, count: u64) -> String {
    match count {
        1 => time(first),
        2 => format!("{} and {}", time(first), time(last)),
        _ => format!("{} and {} more until {}", time(first), count - 1, time(last)),
    }
}

fn time(local: DateTime) -> String {
    match local.second() {
        0 => format!("{:02}:{:02}", local.hour(), local.minute()),
        second => format!("{:02}:{:02}:{second:02}", local.hour(), local.minute()),
    }
}

/// By how much clocks change: `1h`, `30m`, `24h`.
fn amount(less: Offset, more: Offset) -> String {
    let seconds = more.seconds() - less.seconds();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let part = |value: i32, unit: &str| if value == 0 { String::new() } else { format!("{value}{unit}") };
    format!("{}{}{}", part(hours, "h"), part(minutes, "m"), part(seconds, "s"))
}
