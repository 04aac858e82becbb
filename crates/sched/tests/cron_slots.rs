//! Slots of many schedules in many zones, around their clock changes: what this project says of them, kept as text, and
//! what must hold of all of them.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::fmt::Write;

use expect_test::expect_file;
use jiff::civil::Time;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};
use sched::cron::{Dst, Schedule};

const SCHEDULES: [&str; 16] = [
    "0 * * * *",
    "*/15 * * * *",
    "*/7 1-3 * * *",
    "0 0 * * *",
    "30 0 * * *",
    "30 1 * * *",
    "0 2 * * *",
    "30 2 * * *",
    "0 3 * * *",
    "0 12 1 * *",
    "0 9 * * 1-5",
    "0 4 13 * 5",
    "0 0 */2 * 1",
    "59 23 31 * *",
    "0 0 29 2 *",
    "@every 1h30m",
];

/// Each with a moment shortly before its clock changes, or does something else worth keeping.
const MOMENTS: [(&str, &str); 17] = [
    ("UTC", "2026-02-27T12:00:00Z"),
    ("America/New_York", "2026-03-07T12:00:00Z"),
    ("America/New_York", "2026-10-31T12:00:00Z"),
    ("Europe/Berlin", "2026-03-28T12:00:00Z"),
    ("Europe/Berlin", "2026-10-24T12:00:00Z"),
    ("Asia/Seoul", "2026-06-30T12:00:00Z"),
    ("Asia/Kathmandu", "2026-06-30T12:00:00Z"),
    ("Africa/Cairo", "2026-04-22T12:00:00Z"),
    ("Africa/Casablanca", "2026-02-14T12:00:00Z"),
    ("Asia/Beirut", "2026-03-28T12:00:00Z"),
    ("America/Santiago", "2026-09-05T12:00:00Z"),
    ("America/Havana", "2026-11-01T02:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-03T12:00:00Z"),
    ("Pacific/Chatham", "2026-09-25T12:00:00Z"),
    ("Pacific/Apia", "2011-12-29T00:00:00Z"),
    ("America/St_Johns", "2006-10-28T12:00:00Z"),
    ("Antarctica/Troll", "2026-03-28T12:00:00Z"),
];

/// The same on every machine; that of the machine itself may be older.
fn zones() -> TimeZoneDatabase {
    TimeZoneDatabase::bundled()
}

fn zone(name: &str) -> TimeZone {
    zones().get(name).unwrap()
}

fn slots(schedule: &Schedule, zone: &TimeZone, dst: Dst, from: Timestamp) -> impl Iterator<Item = Timestamp> {
    std::iter::successors(Some(from), move |at| schedule.next_after(*at, zone, dst)).skip(1)
}

#[test]
fn slots_are_those_on_record() {
    let mut text = String::new();
    for (name, moment) in MOMENTS {
        let (zone, from) = (zone(name), moment.parse().unwrap());
        for expression in SCHEDULES {
            let schedule = Schedule::parse(expression).unwrap();
            for dst in [Dst::Kubernetes, Dst::RunOnce] {
                let found: Vec<_> =
                    slots(&schedule, &zone, dst, from).take(5).map(|at| at.to_string()).collect();
                writeln!(text, "{name} | {moment} | {expression} | {dst:?} | {}", found.join(" ")).unwrap();
            }
        }
    }
    expect_file!["cron_slots.txt"].assert_eq(&text);
}

/// The clock changes of 2020 to 2037 of every zone. Zones whose clocks are never apart, from five years before until five after,
/// are looked at once: no search for a slot sees further.
fn changes() -> Vec<(TimeZone, Timestamp)> {
    let instant = |text: &str| text.parse::<Timestamp>().unwrap();
    let (begin, end) = (instant("2015-01-01T00:00:00Z"), instant("2043-01-01T00:00:00Z"));
    let years = instant("2020-01-01T00:00:00Z")..instant("2038-01-01T00:00:00Z");
    let mut seen = BTreeSet::new();
    let mut changes = Vec::new();
    for name in zones().available() {
        let zone = zone(name.as_str());
        let mut clocks = vec![(begin, zone.to_offset(begin).seconds())];
        let following = zone.following(begin).take_while(|change| change.timestamp() < end);
        clocks.extend(following.map(|change| (change.timestamp(), change.offset().seconds())));
        let moved = clocks.windows(2).filter(|pair| pair[0].1 != pair[1].1).map(|pair| pair[1].0);
        let moved: Vec<_> = moved.filter(|at| years.contains(at)).collect();
        if seen.insert(clocks) {
            changes.extend(moved.into_iter().map(|at| (zone.clone(), at)));
        }
    }
    assert!(changes.len() > 1_000, "only {} clock changes", changes.len());
    changes
}

/// A minute of a clock.
struct Minute {
    at: Timestamp,
    /// From Sunday, 0.
    weekday: i64,
    hour: i64,
    minute: i64,
}

/// Every minute between two instants: the plainest way to find a schedule's slots.
fn minutes(zone: &TimeZone, from: Timestamp, until: Timestamp) -> Vec<Minute> {
    let (from, until) = (from.as_second(), until.as_second());
    let mut minutes = Vec::new();
    for unix in (from + 60 - from.rem_euclid(60)..=until).step_by(60) {
        let at = Timestamp::from_second(unix).unwrap();
        let local = (unix + i64::from(zone.to_offset(at).seconds())) / 60;
        // 1970 began on a Thursday.
        let weekday = (local / 1440 + 4) % 7;
        minutes.push(Minute { at, weekday, hour: local / 60 % 24, minute: local % 60 });
    }
    minutes
}

type Matches = fn(&Minute) -> bool;

/// Schedules, and the same in Rust.
const WALKED: [(&str, Matches); 16] = [
    ("0 0 * * *", |at| at.hour == 0 && at.minute == 0),
    ("30 0 * * *", |at| at.hour == 0 && at.minute == 30),
    ("0 1 * * *", |at| at.hour == 1 && at.minute == 0),
    ("30 1 * * *", |at| at.hour == 1 && at.minute == 30),
    ("0 2 * * *", |at| at.hour == 2 && at.minute == 0),
    ("30 2 * * *", |at| at.hour == 2 && at.minute == 30),
    ("0 3 * * *", |at| at.hour == 3 && at.minute == 0),
    ("0 12 * * *", |at| at.hour == 12 && at.minute == 0),
    ("30 23 * * *", |at| at.hour == 23 && at.minute == 30),
    ("59 * * * *", |at| at.minute == 59),
    ("*/25 */2 * * *", |at| at.minute % 25 == 0 && at.hour % 2 == 0),
    ("10,40 0-3 * * *", |at| (at.minute == 10 || at.minute == 40) && at.hour <= 3),
    ("5-25/10 1-23/2 * * *", |at| [5, 15, 25].contains(&at.minute) && at.hour % 2 == 1),
    ("0,30 1,2 * * 0", |at| at.minute % 30 == 0 && (at.hour == 1 || at.hour == 2) && at.weekday == 0),
    ("15 0,2,22 * * 1-5", |at| {
        at.minute == 15 && [0, 2, 22].contains(&at.hour) && (1..=5).contains(&at.weekday)
    }),
    ("45 */3 * * sat,sun", |at| at.minute == 45 && at.hour % 3 == 0 && at.weekday % 6 == 0),
];

#[test]
fn slots_rise_and_agree_with_a_walk_through_the_minutes() {
    let schedules = WALKED.map(|(text, matches)| (text, Schedule::parse(text).unwrap(), matches));
    let mut agreed = 0;
    for (zone, change) in changes() {
        let (from, until) = (change - 26.hours(), change + 26.hours());
        let (before, after) = (zone.to_offset(change - 1.second()), zone.to_offset(change));
        // Kubernetes steps in whole hours from whole hours, and on to a day that matches from midnight to midnight: where a
        // change is none of these, or takes a midnight away, it does not agree with the walk, nor for some weekdays where a
        // midnight comes twice. The corpus says what it does there.
        let (shown, shows) = (before.to_datetime(change), after.to_datetime(change));
        let whole = (after.seconds() - before.seconds()) % 3600 == 0 && shown.minute() == 0;
        let (first, last) = (shown.min(shows), shown.max(shows));
        let midnight = first.time() == Time::midnight()
            || (first.date() < last.date() && last.time() > Time::midnight());
        agreed += usize::from(whole && !midnight);
        let walked = if whole { minutes(&zone, from, until) } else { Vec::new() };
        for (text, schedule, matches) in &schedules {
            let what = format!("`{text}` in {:?} around {change}", zone.iana_name());
            let found =
                |dst| slots(schedule, &zone, dst, from).take_while(|at| *at <= until).collect::<Vec<_>>();
            let kubernetes = found(Dst::Kubernetes);
            assert!(kubernetes.is_sorted_by(|one, next| one < next), "{what}: {kubernetes:?}");
            let every_day = text.ends_with("* * *");
            if whole && (!midnight || (shows < shown && every_day)) {
                let expected: Vec<_> =
                    walked.iter().filter(|minute| matches(minute)).map(|minute| minute.at).collect();
                assert_eq!(kubernetes, expected, "{what}");
            }
            let once = found(Dst::RunOnce);
            assert!(once.is_sorted_by(|one, next| one < next), "{what}: {once:?}");
            if !schedule.is_fixed_time() {
                assert_eq!(once, kubernetes, "{what}");
            }
        }
    }
    assert!(agreed > 800, "only {agreed} changes were walked past");
}

#[test]
fn run_once_fires_once_on_every_local_day() {
    for (zone, change) in changes() {
        let first = zone.to_datetime(change).date().yesterday().unwrap().yesterday().unwrap();
        for (hour, minute) in [(0, 0), (0, 30), (1, 30), (2, 0), (2, 30), (3, 0), (23, 59)] {
            let schedule = Schedule::parse(&format!("{minute} {hour} * * *")).unwrap();
            let mut at = zone.to_timestamp(first.to_datetime(Time::midnight())).unwrap() - 1.second();
            for days in 0..5 {
                let day = first.checked_add(days.days()).unwrap();
                at = schedule.next_after(at, &zone, Dst::RunOnce).unwrap();
                let local = zone.to_datetime(at);
                let on_time = (local.hour(), local.minute()) == (hour, minute);
                assert_eq!(local.date(), day, "{hour}:{minute} in {:?} around {change}", zone.iana_name());
                let at_change = at == change || at == change - 1.minute();
                assert!(on_time || at_change, "{at} is neither {hour}:{minute} nor the change at {change}");
            }
        }
    }
}
