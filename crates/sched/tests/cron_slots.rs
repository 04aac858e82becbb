//! Slots of many schedules in many zones, around their clock changes: what this project says of them, kept as text, and
//! what must hold of all of them.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::fmt::Write;

use expect_test::expect_file;
use jiff::civil::{DateTime, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, ToSpan};
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

/// Clock changes of 2020 to 2037, each once: zones that share one share its answers.
fn changes() -> Vec<(TimeZone, Timestamp)> {
    let (from, until): (Timestamp, Timestamp) =
        ("2020-01-01T00:00:00Z".parse().unwrap(), "2038-01-01T00:00:00Z".parse().unwrap());
    let mut seen = BTreeSet::new();
    let mut changes = Vec::new();
    for name in zones().available() {
        let zone = zone(name.as_str());
        for change in zone.following(from).take_while(|change| change.timestamp() < until) {
            let at = change.timestamp();
            let before = zone.to_offset(at - 1.second());
            if before != change.offset() && seen.insert((at, before.seconds(), change.offset().seconds())) {
                changes.push((zone.clone(), at));
            }
        }
    }
    assert!(changes.len() > 500, "only {} clock changes", changes.len());
    changes
}

/// Every minute between two instants, with its local time: the plainest way to find a schedule's slots.
fn minutes(zone: &TimeZone, from: Timestamp, until: Timestamp) -> Vec<(Timestamp, DateTime)> {
    let minutes = std::iter::successors(Some(from), |at| Some(*at + SignedDuration::from_mins(1)));
    minutes.skip(1).take_while(|at| *at <= until).map(|at| (at, zone.to_datetime(at))).collect()
}

#[test]
fn slots_rise_and_agree_with_a_walk_through_the_minutes() {
    for (zone, change) in changes() {
        let (from, until) = (change - 26.hours(), change + 50.hours());
        let (before, after) = (zone.to_offset(change - 1.second()), zone.to_offset(change));
        let local = before.to_datetime(change);
        // Kubernetes steps in whole hours from whole hours, and from midnight to midnight: where a change is none of these,
        // or takes a midnight away, it does not agree with the walk. The corpus says what it does there.
        let whole = (after.seconds() - before.seconds()) % 3600 == 0 && local.minute() == 0;
        let midnight = local.date().tomorrow().unwrap().to_datetime(Time::midnight());
        let takes_midnight = local.hour() == 0 || after.to_datetime(change) >= midnight;
        let walked = minutes(&zone, from, until);
        for (hour, minute) in [(0, 0), (0, 30), (1, 0), (1, 30), (2, 0), (2, 30), (3, 0), (12, 0), (23, 30)] {
            let schedule = Schedule::parse(&format!("{minute} {hour} * * *")).unwrap();
            let found: Vec<_> =
                slots(&schedule, &zone, Dst::Kubernetes, from).take_while(|at| *at <= until).collect();
            assert!(found.is_sorted_by(|one, next| one < next), "{zone:?} {change}: {found:?}");
            if whole && !takes_midnight {
                let matches =
                    |local: &DateTime| (local.hour(), local.minute(), local.second()) == (hour, minute, 0);
                let expected: Vec<_> =
                    walked.iter().filter(|(_, local)| matches(local)).map(|(at, _)| *at).collect();
                assert_eq!(found, expected, "{hour}:{minute} in {:?} around {change}", zone.iana_name());
            }
        }
    }
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
