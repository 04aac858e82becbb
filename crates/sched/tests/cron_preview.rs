//! What previews say of slots around clock changes.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fmt::Write;

use expect_test::{Expect, expect};
use jiff::tz::TimeZoneDatabase;
use sched::cron::{Dst, Schedule};

fn check(text: &str, zone: &str, from: &str, count: usize, dst: Dst, expected: Expect) {
    let zone = TimeZoneDatabase::bundled().get(zone).unwrap();
    let schedule = Schedule::parse(text).unwrap();
    let mut lines = String::new();
    for previewed in schedule.preview(from.parse().unwrap(), count, &zone, dst) {
        let local = previewed.local_text();
        let slot = previewed.slot.map_or("-".to_owned(), |(slot, _)| slot.to_string());
        let change = previewed.change.map(|change| format!("{change:?}: ")).unwrap_or_default();
        writeln!(lines, "{}", format!("{slot} | {local} | {change}{}", previewed.note).trim_end()).unwrap();
    }
    expected.assert_eq(&lines);
}

#[test]
fn a_slot_in_the_hour_that_is_left_out_is_dropped() {
    let from = "2026-03-07T00:00:00Z";
    check(
        "30 2 * * *",
        "America/New_York",
        from,
        3,
        Dst::Kubernetes,
        expect![[r#"
        2026-03-07T07:30:00Z | 2026-03-07T02:30:00-05:00 |
        - | 2026-03-08T02:30:00 | Dropped: clocks go forward by 1h: 02:30 does not exist on this day
        2026-03-09T06:30:00Z | 2026-03-09T02:30:00-04:00 |
        2026-03-10T06:30:00Z | 2026-03-10T02:30:00-04:00 |
    "#]],
    );
    check(
        "0,15,30 2,3 * * *",
        "America/New_York",
        "2026-03-08T05:00:00Z",
        2,
        Dst::Kubernetes,
        expect![[r#"
        - | 2026-03-08T02:00:00 | Dropped: clocks go forward by 1h: 02:00 and 2 more until 02:30 do not exist on this day
        2026-03-08T07:00:00Z | 2026-03-08T03:00:00-04:00 |
        2026-03-08T07:15:00Z | 2026-03-08T03:15:00-04:00 |
    "#]],
    );
    check(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-27T12:00:00Z",
        2,
        Dst::Kubernetes,
        expect![[r#"
        2026-03-28T01:30:00Z | 2026-03-28T02:30:00+01:00 |
        - | 2026-03-29T02:30:00 | Dropped: clocks go forward by 1h: 02:30 does not exist on this day
        2026-03-30T00:30:00Z | 2026-03-30T02:30:00+02:00 |
    "#]],
    );
    check(
        "*/20 2 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        1,
        Dst::Kubernetes,
        expect![[r#"
        - | 2026-03-29T02:00:00 | Dropped: clocks go forward by 1h: 02:00 and 2 more until 02:40 do not exist on this day
        2026-03-30T00:00:00Z | 2026-03-30T02:00:00+02:00 |
    "#]],
    );
}

#[test]
fn a_slot_in_the_hour_that_comes_twice_fires_twice() {
    check(
        "30 1 * * *",
        "America/New_York",
        "2026-10-31T12:00:00Z",
        3,
        Dst::Kubernetes,
        expect![[r#"
        2026-11-01T05:30:00Z | 2026-11-01T01:30:00-04:00 | FirstOfTwo: clocks go back by 1h: 01:30 comes twice; this is the first
        2026-11-01T06:30:00Z | 2026-11-01T01:30:00-05:00 | SecondOfTwo: clocks go back by 1h: 01:30 comes twice; this is the second
        2026-11-02T06:30:00Z | 2026-11-02T01:30:00-05:00 |
    "#]],
    );
    check(
        "0 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00:00Z",
        3,
        Dst::Kubernetes,
        expect![[r#"
        2026-10-25T00:00:00Z | 2026-10-25T02:00:00+02:00 | FirstOfTwo: clocks go back by 1h: 02:00 comes twice; this is the first
        2026-10-25T01:00:00Z | 2026-10-25T02:00:00+01:00 | SecondOfTwo: clocks go back by 1h: 02:00 comes twice; this is the second
        2026-10-26T01:00:00Z | 2026-10-26T02:00:00+01:00 |
    "#]],
    );
    check(
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-04T00:00:00Z",
        3,
        Dst::Kubernetes,
        expect![[r#"
        2026-04-04T14:45:00Z | 2026-04-05T01:45:00+11:00 | FirstOfTwo: clocks go back by 30m: 01:45 comes twice; this is the first
        2026-04-04T15:15:00Z | 2026-04-05T01:45:00+10:30 | SecondOfTwo: clocks go back by 30m: 01:45 comes twice; this is the second
        2026-04-05T15:15:00Z | 2026-04-06T01:45:00+10:30 |
    "#]],
    );
}

#[test]
fn a_midnight_that_is_left_out_takes_the_day_with_it() {
    check(
        "0 0 * * *",
        "Africa/Cairo",
        "2026-04-22T12:00:00Z",
        2,
        Dst::Kubernetes,
        expect![[r#"
        2026-04-22T22:00:00Z | 2026-04-23T00:00:00+02:00 |
        - | 2026-04-24T00:00:00 | Dropped: clocks go forward by 1h: 00:00 does not exist on this day
        2026-04-24T21:00:00Z | 2026-04-25T00:00:00+03:00 |
    "#]],
    );
    // The search goes from midnight to midnight, and there is none.
    check(
        "0 12 24 * *",
        "Africa/Cairo",
        "2026-04-01T00:00:00Z",
        1,
        Dst::Kubernetes,
        expect![[r#"
        - | 2026-04-24T12:00:00 | Dropped: Kubernetes passes over 12:00 of this day, because of a clock change at midnight
        2026-05-24T09:00:00Z | 2026-05-24T12:00:00+03:00 |
    "#]],
    );
    check(
        "0 0 24 4 *",
        "Africa/Cairo",
        "2026-04-01T00:00:00Z",
        1,
        Dst::Kubernetes,
        expect![[r#"
        - | 2026-04-24T00:00:00 | Dropped: clocks go forward by 1h: 00:00 does not exist on this day
        2027-04-23T22:00:00Z | 2027-04-24T00:00:00+02:00 |
    "#]],
    );
    check(
        "0 9 * * *",
        "Pacific/Apia",
        "2011-12-29T00:00:00Z",
        2,
        Dst::Kubernetes,
        expect![[r#"
        2011-12-29T19:00:00Z | 2011-12-29T09:00:00-10:00 |
        - | 2011-12-30T09:00:00 | Dropped: clocks go forward by 24h: this day does not exist
        2011-12-30T19:00:00Z | 2011-12-31T09:00:00+14:00 |
    "#]],
    );
    check(
        "0 9 * * *",
        "Pacific/Apia",
        "2011-12-29T00:00:00Z",
        2,
        Dst::RunOnce,
        expect![[r#"
        2011-12-29T19:00:00Z | 2011-12-29T09:00:00-10:00 |
        - | 2011-12-30T09:00:00 | Dropped: clocks go forward by 24h: this day does not exist
        2011-12-30T19:00:00Z | 2011-12-31T09:00:00+14:00 |
    "#]],
    );
}

#[test]
fn run_once_moves_a_slot_and_fires_once() {
    check(
        "30 2 * * *",
        "America/New_York",
        "2026-03-07T12:00:00Z",
        2,
        Dst::RunOnce,
        expect![[r#"
        2026-03-08T07:00:00Z | 2026-03-08T03:00:00-04:00 | Moved: clocks go forward by 1h: 02:30 does not exist on this day; it comes at 03:00
        2026-03-09T06:30:00Z | 2026-03-09T02:30:00-04:00 |
    "#]],
    );
    check(
        "0,15,30 2,3 * * *",
        "America/New_York",
        "2026-03-08T05:00:00Z",
        3,
        Dst::RunOnce,
        expect![[r#"
        2026-03-08T07:00:00Z | 2026-03-08T03:00:00-04:00 | Moved: clocks go forward by 1h: 02:00 and 2 more until 02:30 do not exist on this day; they come at 03:00, once
        2026-03-08T07:15:00Z | 2026-03-08T03:15:00-04:00 |
        2026-03-08T07:30:00Z | 2026-03-08T03:30:00-04:00 |
    "#]],
    );
    check(
        "30 1 * * *",
        "America/New_York",
        "2026-10-31T12:00:00Z",
        2,
        Dst::RunOnce,
        expect![[r#"
        2026-11-01T05:30:00Z | 2026-11-01T01:30:00-04:00 | OnceOfTwo: clocks go back by 1h: 01:30 comes twice; it fires the first time only
        2026-11-02T06:30:00Z | 2026-11-02T01:30:00-05:00 |
    "#]],
    );
    check(
        "30 0 * * *",
        "Africa/Cairo",
        "2026-04-22T12:00:00Z",
        3,
        Dst::RunOnce,
        expect![[r#"
        2026-04-22T22:30:00Z | 2026-04-23T00:30:00+02:00 |
        2026-04-23T22:00:00Z | 2026-04-24T01:00:00+03:00 | Moved: clocks go forward by 1h: 00:30 does not exist on this day; it comes at 01:00
        2026-04-24T21:30:00Z | 2026-04-25T00:30:00+03:00 |
    "#]],
    );
    // The hour that is left out is the last of its day.
    check(
        "30 23 * * *",
        "America/Scoresbysund",
        "2026-03-27T12:00:00Z",
        4,
        Dst::RunOnce,
        expect![[r#"
            2026-03-28T01:30:00Z | 2026-03-27T23:30:00-02:00 |
            2026-03-29T00:59:00Z | 2026-03-28T22:59:00-02:00 | Moved: clocks go forward by 1h: 23:30 does not exist on this day; it comes at 22:59
            2026-03-30T00:30:00Z | 2026-03-29T23:30:00-01:00 |
            2026-03-31T00:30:00Z | 2026-03-30T23:30:00-01:00 |
        "#]],
    );
}

#[test]
fn nothing_is_dropped_between_a_slot_and_a_change_by_no_rule() {
    // In January 2019 Metlakatla joined the rest of Alaska, half a winter after Alaska's own clocks went back.
    for dst in [Dst::Kubernetes, Dst::RunOnce] {
        check(
            "56 */20 */13 */6 *",
            "America/Metlakatla",
            "2019-01-14T05:00:00Z",
            3,
            dst,
            expect![[r#"
                2019-01-14T08:56:00Z | 2019-01-14T00:56:00-08:00 |
                2019-01-15T04:56:00Z | 2019-01-14T20:56:00-08:00 |
                2019-01-27T09:56:00Z | 2019-01-27T00:56:00-09:00 |
            "#]],
        );
    }
}

#[test]
fn a_slot_is_moved_by_less_than_a_minute_too() {
    // Clocks went from local mean time to that of the zone.
    let from = "1894-12-31T12:00:00Z";
    check(
        "0,17 0 * * *",
        "America/Toronto",
        from,
        1,
        Dst::RunOnce,
        expect![[r#"
        1895-01-01T05:17:32Z | 1895-01-01T00:17:32-05:00 | Moved: clocks go forward by 17m32s: 00:00 and 00:17 do not exist on this day; they come at 00:17:32, once
    "#]],
    );
    check(
        "17 0 * * *",
        "America/Toronto",
        from,
        2,
        Dst::RunOnce,
        expect![[r#"
            1895-01-01T05:17:32Z | 1895-01-01T00:17:32-05:00 | Moved: clocks go forward by 17m32s: 00:17 does not exist on this day; it comes at 00:17:32
            1895-01-02T05:17:00Z | 1895-01-02T00:17:00-05:00 |
        "#]],
    );
}

#[test]
fn what_came_in_the_first_of_two_hours_is_not_dropped_in_the_second() {
    check(
        "30 1 * * *",
        "America/New_York",
        "2026-11-01T06:10:00Z",
        1,
        Dst::RunOnce,
        expect![[r#"
            2026-11-02T06:30:00Z | 2026-11-02T01:30:00-05:00 |
        "#]],
    );
    // The hour that comes twice is the last of its day.
    check(
        "30 23 * * *",
        "America/Scoresbysund",
        "2026-10-25T01:10:00Z",
        1,
        Dst::RunOnce,
        expect![[r#"
            2026-10-26T01:30:00Z | 2026-10-25T23:30:00-02:00 |
        "#]],
    );
}

#[test]
fn schedules_of_every_hour_get_no_notes() {
    check(
        "0 * * * *",
        "America/New_York",
        "2026-03-08T05:30:00Z",
        3,
        Dst::Kubernetes,
        expect![[r#"
        2026-03-08T06:00:00Z | 2026-03-08T01:00:00-05:00 |
        2026-03-08T07:00:00Z | 2026-03-08T03:00:00-04:00 |
        2026-03-08T08:00:00Z | 2026-03-08T04:00:00-04:00 |
    "#]],
    );
    check(
        "@every 1h",
        "America/New_York",
        "2026-11-01T04:30:00Z",
        3,
        Dst::RunOnce,
        expect![[r#"
        2026-11-01T05:30:00Z | 2026-11-01T01:30:00-04:00 |
        2026-11-01T06:30:00Z | 2026-11-01T01:30:00-05:00 |
        2026-11-01T07:30:00Z | 2026-11-01T02:30:00-05:00 |
    "#]],
    );
}

#[test]
fn what_never_comes_has_no_preview() {
    check("0 0 30 2 *", "America/New_York", "2026-03-08T05:30:00Z", 3, Dst::Kubernetes, expect![[r#""#]]);
    check(
        "0 0 29 2 *",
        "UTC",
        "2092-03-01T00:00:00Z",
        5,
        Dst::Kubernetes,
        expect![[r#"
        2096-02-29T00:00:00Z | 2096-02-29T00:00:00+00:00 |
    "#]],
    );
}
