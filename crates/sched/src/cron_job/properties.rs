//! What holds of every CronJob, whatever becomes of it.

use arbitrary::Unstructured;
use arbtest::arbtest;
use std::sync::Arc;

use super::stories::{World, spec};
use super::*;

fn any_spec(u: &mut Unstructured<'_>) -> arbitrary::Result<Spec> {
    let schedule =
        *u.choose(&["* * * * *", "*/5 * * * *", "0 * * * *", "30 2 * * *", "@every 90s", "@every 1h"])?;
    let concurrency = *u.choose(&[Concurrency::Allow, Concurrency::Forbid, Concurrency::Replace])?;
    let catch_up = *u.choose(&[
        CatchUp::Last,
        CatchUp::Last,
        CatchUp::None,
        CatchUp::All { limit: 1 },
        CatchUp::All { limit: 5 },
        CatchUp::All { limit: 1000 },
    ])?;
    let deadline = *u.choose(&[None, None, Some(0), Some(1), Some(30), Some(3600)])?;
    Ok(Spec {
        concurrency,
        catch_up,
        starting_deadline: deadline.map(Millis::from_secs),
        suspend: u.ratio(1, 8)?,
        successful_limit: Some(u.int_in_range(0..=3)?),
        failed_limit: Some(u.int_in_range(0..=2)?),
        splay: Millis(*u.choose(&[0, 0, 0, 1, 12_345])?),
        ..spec(schedule)
    })
}

/// Something happens in the world; its clock is not put back meanwhile.
fn live(world: &mut World, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    for _ in 0..u.int_in_range(1..=12)? {
        let wall = world.now.wall;
        let later = Timestamp::from_second(wall.as_second() + u.int_in_range(1..=20_000)?).unwrap();
        let later = later.to_string();
        match u.int_in_range(0..=7)? {
            0 | 1 => drop(world.until(&later)),
            2 => drop(world.down_until(&later)),
            3 => drop(world.set_clock(&later)),
            4 => drop(world.edit(|spec| spec.suspend = !spec.suspend)),
            5 => {
                let zone = world.cron.spec.zone.is_none().then_some(TimeZone::UTC);
                world.rezone(zone);
            }
            6 => {
                // The agent starts with other data than it had.
                let zone = world.cron.spec.zone.is_none().then_some(TimeZone::UTC);
                Arc::make_mut(&mut world.cron.spec).zone = zone;
                world.down_until(&later);
            }
            _ => {
                world.run = *u.choose(&[None, Some(0), Some(30), Some(400), Some(5000)])?;
            }
        }
        assert!(world.cron.last_schedule.is_none_or(|slot| slot <= world.latest));
        if world.cron.spec.concurrency == Concurrency::Forbid {
            assert!(world.cron.active.len() <= 1);
        }
    }
    Ok(())
}

#[test]
fn every_slot_that_came_due_starts_one_job_or_is_missed_once() {
    arbtest(|u| {
        let mut world = World::new("2026-03-01T10:00:20Z", any_spec(u)?);
        live(&mut world, u)?;
        // Which slots came due while its zone was not known is known when it is.
        world.rezone(Some(TimeZone::UTC));
        let (cron, clock) = (world.cron.clone(), world.watch.clock());
        let every = cron.spec.schedule.as_ref().unwrap().period();
        let by = Timestamp::from_millisecond(clock.wall.as_millisecond() - cron.spec.splay.0).unwrap();
        let mut runs = world.missed.clone();
        runs.extend(cron.clone().close_books(clock));
        for run in &runs {
            let schedule = cron.spec.schedule.as_ref().unwrap();
            if every.is_none() {
                let before = Timestamp::from_second(run.first.as_second() - 1).unwrap();
                assert_eq!(
                    schedule.count(before, run.last, &TimeZone::UTC, Dst::Kubernetes),
                    run.count,
                    "{run:?}"
                );
            }
            assert!(
                world.started.iter().all(|slot| *slot < run.first || *slot > run.last),
                "{run:?} and started"
            );
        }
        for (earlier, later) in runs.iter().zip(runs.iter().skip(1)) {
            assert!(earlier.last < later.first, "{earlier:?} then {later:?}");
        }
        for (earlier, later) in world.started.iter().zip(world.started.iter().skip(1)) {
            assert!(earlier < later, "{earlier} then {later}");
        }
        let accounted = world.started.len() as u64 + runs.iter().map(|run| run.count).sum::<u64>();
        let due = match every {
            // Its rhythm begins anew with each Job.
            Some(_) => return Ok(()),
            None => {
                let schedule = cron.spec.schedule.as_ref().unwrap();
                schedule.count(cron.since, by, &TimeZone::UTC, Dst::Kubernetes)
            }
        };
        assert_eq!(accounted, due, "{:?} {runs:?}", world.started);
        Ok(())
    });
}

#[test]
fn whatever_its_schedule_was_no_slot_is_told_of_twice_and_none_is_left_out() {
    arbtest(|u| {
        let schedules = ["* * * * *", "*/5 * * * *", "0 * * * *", "30 2 * * *", "17 */2 * * *"];
        let first = *u.choose(&schedules)?;
        let schedule = Schedule::parse(first).map_err(|error| error.to_string());
        let mut world = World::new("2026-03-01T10:00:20Z", Spec { schedule, ..any_spec(u)? });
        // Each schedule, and until where all was settled by it.
        let mut stretches: Vec<(Schedule, Timestamp)> = Vec::new();
        let begin = world.cron.since;
        for _ in 0..u.int_in_range(1..=6)? {
            live(&mut world, u)?;
            if u.ratio(1, 3)? {
                let back = world.now.wall.as_second() - u.int_in_range(1..=20_000)?;
                world.set_clock(&Timestamp::from_second(back).unwrap().to_string());
            }
            world.rezone(Some(TimeZone::UTC));
            let before = world.cron.spec.schedule.clone().unwrap();
            let (next, catch_up) = (*u.choose(&schedules)?, *u.choose(&[CatchUp::Last, CatchUp::None])?);
            world.edit(|spec| {
                spec.schedule = Ok(Schedule::parse(next).unwrap());
                spec.catch_up = catch_up;
            });
            if world.cron.spec.schedule.as_ref() != Ok(&before) {
                stretches.push((before, world.cron.settled));
            }
        }
        let cron = world.cron.clone();
        let clock = world.watch.clock();
        let runs = cron.clone().close_books(clock);
        let by = cron.due_by(clock.wall).max(cron.settled);
        stretches.push((cron.spec.schedule.clone().unwrap(), by));
        world.missed_by.resize(world.missed.len() + runs.len(), cron.spec.schedule.clone());
        world.missed.extend(runs);

        let slots = |schedule: &Schedule, after: Timestamp, until: Timestamp| {
            let next = |at: &Timestamp| schedule.next_after(*at, &TimeZone::UTC, Dst::Kubernetes);
            let slots = std::iter::successors(next(&after), next);
            slots.take_while(|slot| *slot <= until).collect::<Vec<_>>()
        };
        let mut told = std::collections::BTreeSet::new();
        for slot in &world.started {
            assert!(told.insert(*slot), "{slot} started twice");
        }
        for (run, schedule) in world.missed.iter().zip(&world.missed_by) {
            let before = Timestamp::from_second(run.first.as_second() - 1).unwrap();
            let slots = slots(schedule.as_ref().unwrap(), before, run.last);
            assert_eq!(slots.len() as u64, run.count, "{run:?} of {schedule:?}");
            for slot in slots {
                assert!(told.insert(slot), "{slot} is told of twice: {run:?}");
            }
        }
        let mut after = begin;
        for (schedule, until) in stretches {
            for slot in slots(&schedule, after, until) {
                assert!(told.contains(&slot), "nothing became of {slot}, of {schedule:?} until {until}");
            }
            after = after.max(until);
        }
        Ok(())
    });
}

#[test]
fn asking_again_changes_nothing() {
    arbtest(|u| {
        let mut world = World::new("2026-03-01T10:00:20Z", any_spec(u)?);
        live(&mut world, u)?;
        world.sync();
        let children: Vec<Child> = world.children.values().cloned().collect();
        let taken = |name: &str| world.children.contains_key(name);
        let plan = reconcile(&world.cron, "c", &children, &taken, usize::MAX, world.watch.clock());
        assert!(!plan.changed && !plan.more && plan.start.is_empty() && plan.missed.is_empty(), "{plan:?}");
        assert!(plan.delete.is_empty(), "{plan:?}");
        Ok(())
    });
}
