//! Counting slots says what finding them one after the other says: in every zone, across its clock changes.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;

use arbitrary::Unstructured;
use arbtest::arbtest;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use sched::cron::{ClockChange, Dst, Schedule};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn zones() -> Vec<TimeZone> {
    let database = TimeZoneDatabase::bundled();
    let zones: Vec<_> = database.available().map(|name| database.get(name.as_str()).unwrap()).collect();
    assert!(zones.len() > 400, "only {} zones", zones.len());
    zones
}

fn any_field(u: &mut Unstructured, least: u32, most: u32) -> arbitrary::Result<String> {
    let value = |u: &mut Unstructured| u.int_in_range(least..=most);
    Ok(match u.int_in_range(0..=6)? {
        0 | 1 => "*".to_owned(),
        2 => format!("*/{}", u.int_in_range(1..=20)?),
        3 => format!("{},{}", value(u)?, value(u)?),
        4 => {
            let (one, two) = (value(u)?, value(u)?);
            format!("{}-{}", one.min(two), one.max(two))
        }
        _ => value(u)?.to_string(),
    })
}

fn any_schedule(u: &mut Unstructured) -> arbitrary::Result<(String, Schedule)> {
    let text = if u.ratio(1, 20)? {
        format!("@every {}s", u.int_in_range(1..=100_000)?)
    } else {
        let mut fields = Vec::new();
        for (least, most) in [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)] {
            fields.push(any_field(u, least, most)?);
        }
        fields.join(" ")
    };
    let schedule = Schedule::parse(&text).unwrap();
    Ok((text, schedule))
}

/// An instant of the last hundred and the next fifty years; mostly one close to a clock change, or within hours of it.
fn any_instant(u: &mut Unstructured, zone: &TimeZone) -> arbitrary::Result<Timestamp> {
    let at = u.int_in_range(-3_000_000_000i64..=3_600_000_000)?;
    let at = Timestamp::from_second(at).unwrap();
    let Some(change) = zone.following(at).next().filter(|_| u.ratio(3, 4).unwrap_or(false)) else {
        return Ok(at);
    };
    let distance = match u.ratio(1, 3)? {
        true => u.int_in_range(-4 * HOUR..=4 * HOUR)?,
        false => u.int_in_range(-40 * DAY..=5 * DAY)?,
    };
    Ok(Timestamp::from_second(change.timestamp().as_second() + distance).unwrap())
}

/// So many slots are looked for one after the other, at most.
const LOOKED_FOR: usize = 5_000;

fn agree(
    zone: &TimeZone,
    text: &str,
    schedule: &Schedule,
    dst: Dst,
    after: Timestamp,
    until: Timestamp,
    n: u64,
) {
    let found: Vec<_> = std::iter::successors(Some(after), |at| {
        schedule.next_after(*at, zone, dst).filter(|next| *next <= until)
    })
    .skip(1)
    .take(LOOKED_FOR)
    .collect();
    // Where there were more, they are compared up to the last that was looked for.
    let until = if found.len() == LOOKED_FOR { found[LOOKED_FOR - 1] } else { until };
    let what = format!("`{text}` {dst:?} in {:?} from {after} to {until}", zone.iana_name());
    let count = schedule.count(after, until, zone, dst);
    assert_eq!(count, found.len() as u64, "{what}");
    assert_eq!(schedule.latest(after, until, zone, dst), found.last().copied(), "{what}");
    let between = schedule.between(after, until, zone, dst);
    assert_eq!(between.map(|slots| slots.first), found.first().copied(), "{what}");
    let n = n % (count + 2);
    let expected = found.len().checked_sub(n as usize).and_then(|place| found.get(place).copied());
    assert_eq!(schedule.nth_last(after, until, n, zone, dst), expected, "{n} of {what}");
}

#[test]
fn counting_agrees_with_finding_each() {
    let zones = zones();
    arbtest(|u| {
        let zone = u.choose(&zones)?;
        let (text, schedule) = any_schedule(u)?;
        let after = any_instant(u, zone)?;
        let until = after.as_second() + u.int_in_range(-DAY..=100 * DAY)?;
        let dst = if u.arbitrary()? { Dst::Kubernetes } else { Dst::RunOnce };
        agree(zone, &text, &schedule, dst, after, Timestamp::from_second(until).unwrap(), u.arbitrary()?);
        Ok(())
    })
    .budget_ms(300);
}

#[test]
fn an_hour_that_begins_in_the_one_that_is_left_out_is_counted_as_it_is_found() {
    // In Chatham clocks go from 2:45 to 3:45: the walk finds 3:56, and nothing at 4.
    let zone = TimeZoneDatabase::bundled().get("Pacific/Chatham").unwrap();
    let text = "*/14 */2 16 * 4,0";
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let (after, until) = (at("2028-08-27T08:42:19Z"), at("2028-11-04T18:31:34Z"));
    agree(&zone, text, &Schedule::parse(text).unwrap(), Dst::Kubernetes, after, until, 7);
}

#[test]
fn what_follows_a_slot_of_a_month_that_does_not_match_is_counted_as_it_is_found() {
    // In Ulyanovsk April 1981 began at 1: the walk finds midnight of its 8th, and after it goes on from 1 on the first of May.
    let zone = TimeZoneDatabase::bundled().get("Europe/Ulyanovsk").unwrap();
    let text = "*/10 */10 */7 */2 *";
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let (after, until) = (at("1981-03-26T03:33:05Z"), at("1981-05-10T06:02:18Z"));
    agree(&zone, text, &Schedule::parse(text).unwrap(), Dst::Kubernetes, after, until, 7);
}

#[test]
fn counting_agrees_around_the_changes_of_every_zone() {
    let texts = [
        "*/6 * * * *",
        "*/30 0-3 * * *",
        "30 0,1,2 * * *",
        "0 0 * * *",
        "59 23 * * 1-5",
        "0 12 24,30,31 * *",
    ];
    let schedules = texts.map(|text| (text, Schedule::parse(text).unwrap()));
    // Every change there ever was, each once: zones that share one share its answers.
    let mut seen = BTreeSet::new();
    for zone in zones() {
        let begin: Timestamp = "1890-01-01T00:00:00Z".parse().unwrap();
        for change in
            zone.following(begin).take_while(|change| change.timestamp().as_second() < 2_200_000_000)
        {
            let at =
                |distance: i64| Timestamp::from_second(change.timestamp().as_second() + distance).unwrap();
            let (before, after) = (zone.to_offset(at(-1)), change.offset());
            if before == after || !seen.insert((change.timestamp(), before.seconds(), after.seconds())) {
                continue;
            }
            // Which schedule is looked at is left to the change's number.
            let place = seen.len();
            let (text, schedule) = &schedules[place % schedules.len()];
            let dst = if place / schedules.len() % 2 == 0 { Dst::Kubernetes } else { Dst::RunOnce };
            agree(&zone, text, schedule, dst, at(-30 * HOUR), at(30 * HOUR), place as u64);
        }
    }
    assert!(seen.len() > 3_000, "only {} changes", seen.len());
}

#[test]
fn previews_hold_every_slot_and_drop_none_of_them() {
    let zones = zones();
    arbtest(|u| {
        let zone = u.choose(&zones)?;
        let (text, schedule) = any_schedule(u)?;
        let from = any_instant(u, zone)?;
        let dst = if u.arbitrary()? { Dst::Kubernetes } else { Dst::RunOnce };
        let previewed = schedule.preview(from, 50, zone, dst);
        let what = format!("`{text}` {dst:?} in {:?} from {from}", zone.iana_name());
        let found: Vec<_> = std::iter::successors(Some(from), |at| schedule.next_after(*at, zone, dst))
            .skip(1)
            .take(50)
            .collect();
        let slots: Vec<_> = previewed.iter().filter_map(|previewed| previewed.slot).collect();
        assert!(slots.iter().map(|(slot, _)| *slot).eq(found), "{what}");
        let shown: BTreeSet<_> = previewed
            .iter()
            .filter(|previewed| previewed.slot.is_some())
            .map(|previewed| previewed.local)
            .collect();
        for dropped in previewed.iter().filter(|previewed| previewed.slot.is_none()) {
            assert!(!shown.contains(&dropped.local), "{what} drops {}, which it has", dropped.local);
        }
        for previewed in &previewed {
            assert_eq!(previewed.note.is_empty(), previewed.change.is_none(), "{what}");
        }
        Ok(())
    })
    .budget_ms(300);
}

#[test]
fn previews_tell_of_every_time_that_the_calendar_has() {
    let zones = zones();
    arbtest(|u| {
        let zone = u.choose(&zones)?;
        let (hour, minute) = (u.int_in_range(0..=23i8)?, u.int_in_range(0..=59i8)?);
        let days = [any_field(u, 1, 31)?, any_field(u, 1, 12)?, any_field(u, 0, 6)?];
        let text = format!("{minute} {hour} {}", days.join(" "));
        let schedule = Schedule::parse(&text).unwrap();
        let from = any_instant(u, zone)?;
        let dst = if u.arbitrary()? { Dst::Kubernetes } else { Dst::RunOnce };
        let previewed = schedule.preview(from, 30, zone, dst);
        let what = format!("`{text}` {dst:?} in {:?} from {from}", zone.iana_name());
        let Some(last) = previewed.last() else { return Ok(()) };
        let told: BTreeSet<_> = previewed
            .iter()
            .map(|one| match one.change {
                Some(ClockChange::Moved) => one.local.date().at(hour, minute, 0, 0),
                _ => one.local,
            })
            .collect();
        let slots: Vec<_> = previewed.iter().filter(|one| one.slot.is_some()).map(|one| one.local).collect();
        let dropped = previewed.len() - slots.len();
        // What the calendar has is what comes where no clock ever changes.
        let as_utc = |local: DateTime| TimeZone::UTC.to_timestamp(local).unwrap();
        let calendar = std::iter::successors(Some(as_utc(zone.to_datetime(from))), |at| {
            schedule.next_after(*at, &TimeZone::UTC, Dst::Kubernetes)
        });
        for time in calendar.skip(1).take_while(|at| *at <= as_utc(last.local)) {
            let local = TimeZone::UTC.to_datetime(time);
            let ambiguous = zone.to_ambiguous_timestamp(local);
            let over = matches!(ambiguous.offset(), AmbiguousOffset::Fold { .. })
                && ambiguous.earlier().is_ok_and(|first| first <= from);
            // Of a whole month that is passed over no more is told.
            assert!(over || dropped >= 16 || told.contains(&local), "{what} does not tell of {local}");
        }
        for one in &previewed {
            let times = slots.iter().filter(|local| **local == one.local).count();
            match one.change {
                Some(ClockChange::Dropped) if dst == Dst::RunOnce => {
                    let AmbiguousOffset::Gap { before, after } =
                        zone.to_ambiguous_timestamp(one.local).offset()
                    else {
                        panic!("{what} drops {}, which there is", one.local)
                    };
                    assert!(
                        i64::from(after.seconds() - before.seconds()) >= DAY,
                        "{what} drops {}",
                        one.local
                    );
                }
                Some(ClockChange::OnceOfTwo) => assert_eq!(times, 1, "{what} has {}", one.local),
                Some(ClockChange::FirstOfTwo) if one != last => {
                    assert_eq!(times, 2, "{what} has {}", one.local);
                }
                _ => {}
            }
        }
        Ok(())
    })
    .budget_ms(300);
}
