//! What holds of every CronJob, whatever becomes of it.

use arbitrary::Unstructured;
use arbtest::arbtest;

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

/// Something happens in the world; its clock is never put back.
fn live(world: &mut World, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    for _ in 0..u.int_in_range(1..=12)? {
        let wall = world.now.wall;
        let later = Timestamp::from_second(wall.as_second() + u.int_in_range(1..=20_000)?).unwrap();
        let later = later.to_string();
        match u.int_in_range(0..=6)? {
            0 | 1 => drop(world.until(&later)),
            2 => drop(world.down_until(&later)),
            3 => drop(world.set_clock(&later)),
            4 => drop(world.edit(|spec| spec.suspend = !spec.suspend)),
            5 => {
                let zone = world.cron.spec.zone.is_none().then_some(TimeZone::UTC);
                world.rezone(zone);
            }
            _ => {
                world.run = *u.choose(&[None, Some(0), Some(30), Some(400), Some(5000)])?;
            }
        }
        assert!(world.cron.last_schedule.is_none_or(|slot| slot <= world.now.wall));
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
fn asking_again_changes_nothing() {
    arbtest(|u| {
        let mut world = World::new("2026-03-01T10:00:20Z", any_spec(u)?);
        live(&mut world, u)?;
        world.sync();
        let children: Vec<Child> = world.children.values().cloned().collect();
        let taken = |name: &str| world.children.contains_key(name);
        let plan = reconcile(world.cron.clone(), "c", &children, &taken, usize::MAX, world.watch.clock());
        assert!(!plan.changed && !plan.more && plan.start.is_empty() && plan.missed.is_empty(), "{plan:?}");
        assert!(plan.delete.is_empty(), "{plan:?}");
        Ok(())
    });
}
