//! Zones that vanish, return and change, and what waits meanwhile.

use super::*;

#[test]
fn a_zone_that_vanishes_costs_slots_until_it_is_back() {
    let mut world = World::new("2026-01-15T10:00:20Z", spec("*/10 * * * *"));
    world
        .until("2026-01-15T10:12:00Z")
        .rezone(None)
        .until("2026-01-15T10:45:00Z")
        .rezone(Some(TimeZone::UTC));
    world.until("2026-01-15T10:55:00Z").check(expect![[r#"
        10:10:00 start c-29474530 for 10:10:00
        10:10:05 SawCompleted("c-29474530", true)
        10:12:00 UnknownTimeZone
        10:20:00 UnknownTimeZone
        10:45:00 missed 2 from 10:20:00 to 10:30:00: UnknownTimeZone
        10:45:00 start c-29474560 for 10:40:00
        10:45:05 SawCompleted("c-29474560", true)
        10:50:00 start c-29474570 for 10:50:00
        10:50:05 SawCompleted("c-29474570", true)
    "#]]);
}

#[test]
fn a_slot_that_a_schedule_before_would_have_had_is_none_while_the_zone_is_not_known() {
    let mut world = World::new("2026-01-15T10:00:20Z", spec("*/10 * * * *"));
    world
        .until("2026-01-15T10:12:00Z")
        .edit(|spec| spec.schedule = Ok(Schedule::parse("45 * * * *").unwrap()))
        .rezone(None)
        .until("2026-01-15T12:12:00Z")
        .rezone(Some(TimeZone::UTC));
    world.until("2026-01-15T12:55:00Z").check(expect![[r#"
        10:10:00 start c-29474530 for 10:10:00
        10:10:05 SawCompleted("c-29474530", true)
        10:12:00 edited
        10:12:00 UnknownTimeZone
        10:45:00 UnknownTimeZone
        12:12:00 missed 1 from 10:45:00 to 10:45:00: UnknownTimeZone
        12:12:00 start c-29474625 for 11:45:00
        12:12:05 SawCompleted("c-29474625", true)
        12:45:00 start c-29474685 for 12:45:00
        12:45:05 SawCompleted("c-29474685", true)
    "#]]);
}

#[test]
fn of_a_schedule_that_is_new_while_the_zone_is_not_known_no_slot_is_known() {
    let mut world = World::new("2026-01-15T10:00:20Z", spec("*/10 * * * *"));
    world
        .until("2026-01-15T10:12:00Z")
        .rezone(None)
        .edit(|spec| spec.schedule = Ok(Schedule::parse("45 * * * *").unwrap()))
        .until("2026-01-15T10:35:00Z")
        .rezone(Some(TimeZone::UTC))
        .until("2026-01-15T10:55:00Z")
        .check(expect![[r#"
            10:10:00 start c-29474530 for 10:10:00
            10:10:05 SawCompleted("c-29474530", true)
            10:12:00 UnknownTimeZone
            10:12:00 edited
            10:20:00 UnknownTimeZone
            10:45:00 start c-29474565 for 10:45:00
            10:45:05 SawCompleted("c-29474565", true)
        "#]]);
}

#[test]
fn another_splay_brings_no_slot_from_before_it() {
    let mut world =
        World::new("2026-01-15T10:00:20Z", Spec { splay: Millis::from_secs(300), ..spec("0 * * * *") });
    world
        .until("2026-01-15T10:12:00Z")
        .edit(|spec| {
            spec.schedule = Ok(Schedule::parse("*/10 * * * *").unwrap());
            spec.splay = Millis(0);
        })
        .until("2026-01-15T10:15:00Z");
    assert_eq!(world.cron.settled, at("2026-01-15T10:12:00Z"));
}

/// By 10:42 three slots wait to be caught up with.
fn waiting() -> World {
    let all = Spec {
        catch_up: CatchUp::All { limit: 10 },
        concurrency: Concurrency::Forbid,
        ..spec("*/10 * * * *")
    };
    let mut world = World::new("2026-01-15T10:00:20Z", all);
    world.run = Some(2500);
    world.until("2026-01-15T10:42:00Z");
    world.run = Some(5);
    world
}

#[test]
fn what_waits_to_be_caught_up_with_waits_on_while_its_zone_is_not_known() {
    let mut world = waiting();
    world.rezone(None).until("2026-01-15T10:55:00Z").rezone(Some(TimeZone::UTC));
    world.until("2026-01-15T11:05:00Z").check(expect![[r#"
        10:10:00 start c-29474530 for 10:10:00
        10:20:00 JobAlreadyActive
        10:30:00 JobAlreadyActive
        10:40:00 JobAlreadyActive
        10:42:00 UnknownTimeZone
        10:50:00 UnknownTimeZone
        10:51:40 SawCompleted("c-29474530", true)
        10:51:40 UnknownTimeZone
        10:55:00 JobAlreadyActive
        10:55:00 start c-29474540 for 10:20:00
        10:55:05 SawCompleted("c-29474540", true)
        10:55:05 JobAlreadyActive
        10:55:05 start c-29474550 for 10:30:00
        10:55:10 SawCompleted("c-29474550", true)
        10:55:10 JobAlreadyActive
        10:55:10 start c-29474560 for 10:40:00
        10:55:15 Deleted("c-29474530")
        10:55:15 SawCompleted("c-29474560", true)
        10:55:15 start c-29474570 for 10:50:00
        10:55:20 Deleted("c-29474540")
        10:55:20 SawCompleted("c-29474570", true)
        11:00:00 start c-29474580 for 11:00:00
        11:00:05 Deleted("c-29474550")
        11:00:05 SawCompleted("c-29474580", true)
    "#]]);
}

#[test]
fn what_waits_to_be_caught_up_with_waits_on_where_the_agent_starts_and_knows_no_zone() {
    let mut world = waiting();
    Arc::make_mut(&mut world.cron.spec).zone = None;
    world.down_until("2026-01-15T10:55:00Z");
    Arc::make_mut(&mut world.cron.spec).zone = Some(TimeZone::UTC);
    world.down_until("2026-01-15T10:56:00Z").until("2026-01-15T11:05:00Z").check(expect![[r#"
        10:10:00 start c-29474530 for 10:10:00
        10:20:00 JobAlreadyActive
        10:30:00 JobAlreadyActive
        10:40:00 JobAlreadyActive
        10:55:00 up again
        10:55:00 SawCompleted("c-29474530", false)
        10:55:00 UnknownTimeZone
        10:56:00 up again
        10:56:00 JobAlreadyActive
        10:56:00 start c-29474540 for 10:20:00
        10:56:05 SawCompleted("c-29474540", true)
        10:56:05 JobAlreadyActive
        10:56:05 start c-29474550 for 10:30:00
        10:56:10 SawCompleted("c-29474550", true)
        10:56:10 JobAlreadyActive
        10:56:10 start c-29474560 for 10:40:00
        10:56:15 SawCompleted("c-29474560", true)
        10:56:15 start c-29474570 for 10:50:00
        10:56:20 Deleted("c-29474540")
        10:56:20 SawCompleted("c-29474570", true)
        11:00:00 start c-29474580 for 11:00:00
        11:00:05 Deleted("c-29474550")
        11:00:05 SawCompleted("c-29474580", true)
    "#]]);
}

#[test]
fn what_waits_is_missed_if_by_its_zones_new_data_it_is_no_slot() {
    let mut world = waiting();
    Arc::make_mut(&mut world.cron.spec).zone = None;
    world.down_until("2026-01-15T10:55:00Z");
    Arc::make_mut(&mut world.cron.spec).zone =
        Some(TimeZone::fixed(jiff::tz::Offset::from_seconds(300).unwrap()));
    world.down_until("2026-01-15T10:56:00Z").until("2026-01-15T11:05:00Z").check(expect![[r#"
        10:10:00 start c-29474530 for 10:10:00
        10:20:00 JobAlreadyActive
        10:30:00 JobAlreadyActive
        10:40:00 JobAlreadyActive
        10:55:00 up again
        10:55:00 SawCompleted("c-29474530", false)
        10:55:00 UnknownTimeZone
        10:56:00 up again
        10:56:00 missed 4 from 10:20:00 to 10:50:00: Forbidden
        10:56:00 start c-29474575 for 10:55:00
        10:56:05 SawCompleted("c-29474575", true)
        11:05:00 start c-29474585 for 11:05:00
    "#]]);
}

#[test]
fn what_waits_is_missed_when_the_cron_job_goes_and_its_zone_is_not_known() {
    let mut world = waiting();
    Arc::make_mut(&mut world.cron.spec).zone = None;
    world.down_until("2026-01-15T10:55:00Z");
    world.cron.deleting = true;
    world.sync();
    world.check(expect![[r#"
        10:10:00 start c-29474530 for 10:10:00
        10:20:00 JobAlreadyActive
        10:30:00 JobAlreadyActive
        10:40:00 JobAlreadyActive
        10:55:00 up again
        10:55:00 SawCompleted("c-29474530", false)
        10:55:00 UnknownTimeZone
        10:55:00 missed 4 from 10:20:00 to 10:50:00: Forbidden
    "#]]);
}

#[test]
fn what_waits_is_missed_when_the_cron_job_goes_and_its_clock_was_put_back() {
    let mut world = waiting();
    world.set_clock("2026-01-15T10:25:00Z");
    world.cron.deleting = true;
    world.sync();
    world.check(expect![[r#"
        10:10:00 start c-29474530 for 10:10:00
        10:20:00 JobAlreadyActive
        10:30:00 JobAlreadyActive
        10:40:00 JobAlreadyActive
        10:25:00 clock 10:42:00 -> 10:25:00
        10:25:00 JobAlreadyActive
        10:25:00 missed 3 from 10:20:00 to 10:40:00: Forbidden
    "#]]);
}

#[test]
fn what_waits_is_missed_when_the_schedule_changes_and_the_clock_is_not_set() {
    let mut world = waiting();
    let recorded = world.now.wall;
    world.now.wall = at("1970-01-01T00:00:20Z");
    world.watch = ClockWatch::new(world.now, at("2026-01-01T00:00:00Z"), Some(recorded));
    world.edit(|spec| spec.schedule = Ok(Schedule::parse("0 * * * *").unwrap())).check(expect![[r#"
        10:10:00 start c-29474530 for 10:10:00
        10:20:00 JobAlreadyActive
        10:30:00 JobAlreadyActive
        10:40:00 JobAlreadyActive
        1970-01-01T00:00:20 edited
        1970-01-01T00:00:20 missed 3 from 10:20:00 to 10:40:00: Forbidden
    "#]]);
    assert_eq!(world.cron.settled, at("2026-01-15T10:40:00Z"));
}
