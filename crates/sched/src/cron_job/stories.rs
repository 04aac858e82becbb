//! Stories: a CronJob, what happens to it, and what it does, second by second.

mod zones;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use expect_test::{Expect, expect};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::clock::{ClockNews, ClockWatch};
use crate::{Now, Steady};

/// A world with one CronJob in it, and Jobs that run for as long as they are told.
pub(super) struct World {
    pub(super) cron: CronJob,
    wake: Option<Timestamp>,
    pub(super) children: BTreeMap<String, Child>,
    /// When each running Job ends, and whether it succeeds.
    ends: BTreeMap<String, (Timestamp, bool)>,
    /// How long the next Jobs run, in seconds; for ever if it is not told.
    pub(super) run: Option<i64>,
    succeed: bool,
    pub(super) watch: ClockWatch,
    pub(super) now: Now,
    /// What the clock said at the latest.
    pub(super) latest: Timestamp,
    uids: u32,
    /// So many Jobs may be made.
    room: usize,
    story: String,
    /// What became of slots, as it was told: those that started, and runs of those that were missed.
    pub(super) started: Vec<Timestamp>,
    pub(super) missed: Vec<Missed>,
    /// The schedule of each of those runs.
    pub(super) missed_by: Vec<Result<Schedule, String>>,
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn spec(schedule: &str) -> Spec {
    Spec {
        schedule: Schedule::parse(schedule).map_err(|error| error.to_string()),
        zone: Some(TimeZone::UTC),
        zone_name: None,
        starting_deadline: None,
        concurrency: Concurrency::Allow,
        suspend: false,
        successful_limit: Some(3),
        failed_limit: Some(1),
        dst: Dst::Kubernetes,
        catch_up: CatchUp::Last,
        splay: Millis(0),
    }
}

impl World {
    pub(super) fn new(created: &str, spec: Spec) -> World {
        let since = at(created);
        let now = Now { wall: since, steady: Steady(0) };
        let cron = CronJob {
            spec: spec.into(),
            since,
            last_schedule: None,
            last_successful: None,
            active: Vec::new(),
            settled: since,
            waiting: None,
            told: None,
            open: None,
            held: None,
            next: None,
            deleting: false,
        };
        let mut world = World {
            cron,
            wake: None,
            children: BTreeMap::new(),
            ends: BTreeMap::new(),
            run: Some(5),
            succeed: true,
            watch: ClockWatch::new(now, at("2026-01-01T00:00:00Z"), None),
            now,
            latest: since,
            uids: 0,
            room: usize::MAX,
            story: String::new(),
            started: Vec::new(),
            missed: Vec::new(),
            missed_by: Vec::new(),
        };
        world.sync();
        world
    }

    fn say(&mut self, what: impl std::fmt::Display) {
        let _ = writeln!(self.story, "{} {what}", time(self.now.wall));
    }

    pub(super) fn sync(&mut self) {
        self.latest = self.latest.max(self.now.wall);
        for news in self.watch.look(self.now) {
            match news {
                ClockNews::Stepped { from, to } => self.say(format!("clock {} -> {}", time(from), time(to))),
                ClockNews::Plausible { .. } => self.say("clock is set"),
                ClockNews::Implausible => self.say("clock is not set"),
            }
        }
        for _ in 0..100 {
            let children: Vec<Child> = self.children.values().cloned().collect();
            let taken = |name: &str| self.children.contains_key(name) || name.ends_with("-taken");
            let plan = reconcile(&self.cron, "c", &children, &taken, self.room, self.watch.clock());
            let more = plan.more;
            self.cron = plan.next;
            for note in plan.notes {
                self.say(format!("{note:?}"));
            }
            for job in plan.delete {
                self.children.remove(&job.name);
                self.ends.remove(&job.name);
            }
            self.tell_missed(plan.missed);
            for start in plan.start {
                self.uids += 1;
                self.started.push(start.slot);
                let uid = format!("u{}", self.uids);
                for active in self.cron.active.iter_mut().filter(|active| active.name == start.name) {
                    active.uid.clone_from(&uid);
                }
                self.say(format!("start {} for {}", start.name, time(start.slot)));
                self.add_job(&start.name, &uid);
            }
            self.wake = plan.wake;
            if !more {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    fn tell_missed(&mut self, runs: Vec<Missed>) {
        self.tell_missed_by(self.cron.spec.schedule.clone(), runs);
    }

    fn tell_missed_by(&mut self, schedule: Result<Schedule, String>, runs: Vec<Missed>) {
        self.missed.extend(&runs);
        self.missed_by.resize(self.missed.len(), schedule);
        for Missed { first, last, count, why } in runs {
            self.say(format!("missed {count} from {} to {}: {}", time(first), time(last), why.name()));
        }
    }

    fn add_job(&mut self, name: &str, uid: &str) {
        let job = JobRef { name: name.to_owned(), uid: uid.to_owned() };
        let child = Child { job, started: Some(self.now.wall), ended: None, deleting: false };
        self.children.insert(name.to_owned(), child);
        if let Some(run) = self.run {
            let end = self.now.wall + SignedDuration::from_secs(run);
            self.ends.insert(name.to_owned(), (end, self.succeed));
        }
    }

    /// Time goes by.
    pub(super) fn until(&mut self, text: &str) -> &mut World {
        let until = at(text);
        loop {
            let end = self.ends.iter().map(|(name, (at, _))| (*at, name.clone())).min();
            let next = [end.as_ref().map(|(at, _)| *at), self.wake].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.go(next.max(self.now.wall));
            let ended: Vec<String> = self
                .ends
                .iter()
                .filter(|(_, (at, _))| *at <= self.now.wall)
                .map(|(name, _)| name.clone())
                .collect();
            for name in ended {
                let (at, succeed) = self.ends.remove(&name).unwrap();
                let ended = if succeed { Ended::Complete(at) } else { Ended::Failed };
                self.children.get_mut(&name).unwrap().ended = Some(ended);
            }
            self.sync();
        }
        self.go(until);
        self
    }

    fn go(&mut self, to: Timestamp) {
        let passed = to.as_millisecond() - self.now.wall.as_millisecond();
        self.now = Now { wall: to, steady: self.now.steady + Millis(passed) };
        self.watch.look(self.now);
    }

    pub(super) fn edit(&mut self, change: impl FnOnce(&mut Spec)) -> &mut World {
        let mut spec = Spec::clone(&self.cron.spec);
        change(&mut spec);
        let rearmed = spec.schedule != self.cron.spec.schedule || spec.zone_name != self.cron.spec.zone_name;
        let schedule = self.cron.spec.schedule.clone();
        let runs = self.cron.revise(spec, self.watch.clock());
        self.say("edited");
        self.tell_missed_by(schedule, runs);
        if rearmed {
            let next = self.cron.next_start(self.now.wall).map(|(_, start)| start);
            self.wake = [self.wake, next].into_iter().flatten().min();
        } else {
            self.sync();
        }
        self
    }

    /// The agent is down until then; Jobs that ran fail.
    pub(super) fn down_until(&mut self, text: &str) -> &mut World {
        let to = at(text);
        let recorded = self.now.wall;
        let passed = to.as_millisecond() - recorded.as_millisecond();
        self.now = Now { wall: to, steady: self.now.steady + Millis(passed) };
        self.watch = ClockWatch::new(self.now, at("2026-01-01T00:00:00Z"), Some(recorded));
        self.say("up again");
        for name in std::mem::take(&mut self.ends).into_keys() {
            self.children.get_mut(&name).unwrap().ended = Some(Ended::Failed);
        }
        self.sync();
        self
    }

    /// What is known of the zone changes.
    pub(super) fn rezone(&mut self, zone: Option<TimeZone>) -> &mut World {
        let runs = self.cron.rezone(zone, self.watch.clock());
        self.tell_missed(runs);
        self.sync();
        self
    }

    /// The wall clock is set.
    pub(super) fn set_clock(&mut self, text: &str) -> &mut World {
        self.now.wall = at(text);
        self.sync();
        self
    }

    fn check(&mut self, expected: Expect) {
        expected.assert_eq(&self.story);
    }
}

/// `10:01:00`, with the day where it is another than the first of 2026's fifteenth day.
fn time(at: Timestamp) -> String {
    let text = at.to_string();
    let text = text.trim_start_matches("2026-01-15T");
    text.trim_end_matches('Z').to_owned()
}

#[test]
fn every_slot_starts_its_job_on_the_second() {
    World::new("2026-01-15T10:00:20Z", spec("* * * * *")).until("2026-01-15T10:02:30Z").check(expect![[r#"
        10:01:00 start c-29474521 for 10:01:00
        10:01:05 SawCompleted("c-29474521", true)
        10:02:00 start c-29474522 for 10:02:00
        10:02:05 SawCompleted("c-29474522", true)
    "#]]);
}

#[test]
fn a_slot_that_forbid_held_back_starts_when_the_job_has_finished() {
    let mut world =
        World::new("2026-01-15T10:00:20Z", Spec { concurrency: Concurrency::Forbid, ..spec("* * * * *") });
    world.run = Some(150);
    world.until("2026-01-15T10:04:30Z").check(expect![[r#"
        10:01:00 start c-29474521 for 10:01:00
        10:02:00 JobAlreadyActive
        10:03:00 JobAlreadyActive
        10:03:30 SawCompleted("c-29474521", true)
        10:03:30 missed 1 from 10:02:00 to 10:02:00: Forbidden
        10:03:30 start c-29474523 for 10:03:00
        10:04:00 JobAlreadyActive
    "#]]);
}

#[test]
fn replace_stops_the_job_that_runs() {
    let mut world =
        World::new("2026-01-15T10:00:20Z", Spec { concurrency: Concurrency::Replace, ..spec("* * * * *") });
    world.run = Some(150);
    world.until("2026-01-15T10:02:30Z").check(expect![[r#"
        10:01:00 start c-29474521 for 10:01:00
        10:02:00 Deleted("c-29474521")
        10:02:00 start c-29474522 for 10:02:00
    "#]]);
}

#[test]
fn after_time_off_the_latest_slot_starts_and_the_others_were_missed() {
    World::new("2026-01-15T10:00:20Z", spec("* * * * *"))
        .until("2026-01-15T10:01:30Z")
        .down_until("2026-01-15T10:06:30Z")
        .until("2026-01-15T10:07:30Z")
        .check(expect![[r#"
            10:01:00 start c-29474521 for 10:01:00
            10:01:05 SawCompleted("c-29474521", true)
            10:06:30 up again
            10:06:30 missed 4 from 10:02:00 to 10:05:00: AgentDown
            10:06:30 start c-29474526 for 10:06:00
            10:06:35 SawCompleted("c-29474526", true)
            10:07:00 start c-29474527 for 10:07:00
            10:07:05 SawCompleted("c-29474527", true)
        "#]]);
}

#[test]
fn with_catch_up_all_they_start_in_order_up_to_the_limit() {
    let catch_up = CatchUp::All { limit: 3 };
    World::new("2026-01-15T10:00:20Z", Spec { catch_up, ..spec("* * * * *") })
        .down_until("2026-01-15T10:06:30Z")
        .until("2026-01-15T10:07:30Z")
        .check(expect![[r#"
            10:06:30 up again
            10:06:30 missed 3 from 10:01:00 to 10:03:00: AgentDown
            10:06:30 start c-29474524 for 10:04:00
            10:06:30 start c-29474525 for 10:05:00
            10:06:30 start c-29474526 for 10:06:00
            10:06:35 SawCompleted("c-29474524", true)
            10:06:35 SawCompleted("c-29474525", true)
            10:06:35 SawCompleted("c-29474526", true)
            10:07:00 start c-29474527 for 10:07:00
            10:07:05 Deleted("c-29474524")
            10:07:05 SawCompleted("c-29474527", true)
        "#]]);
}

#[test]
fn with_catch_up_all_and_forbid_they_queue() {
    let catch_up = CatchUp::All { limit: 2 };
    let concurrency = Concurrency::Forbid;
    let mut world = World::new("2026-01-15T10:00:20Z", Spec { catch_up, concurrency, ..spec("* * * * *") });
    world.run = Some(90);
    world.until("2026-01-15T10:06:45Z").check(expect![[r#"
        10:01:00 start c-29474521 for 10:01:00
        10:02:00 JobAlreadyActive
        10:02:30 SawCompleted("c-29474521", true)
        10:02:30 start c-29474522 for 10:02:00
        10:03:00 JobAlreadyActive
        10:04:00 SawCompleted("c-29474522", true)
        10:04:00 JobAlreadyActive
        10:04:00 start c-29474523 for 10:03:00
        10:05:00 JobAlreadyActive
        10:05:30 SawCompleted("c-29474523", true)
        10:05:30 JobAlreadyActive
        10:05:30 start c-29474524 for 10:04:00
        10:06:00 JobAlreadyActive
    "#]]);
}

#[test]
fn without_catch_up_none_does() {
    World::new("2026-01-15T10:00:20Z", Spec { catch_up: CatchUp::None, ..spec("* * * * *") })
        .down_until("2026-01-15T10:06:30Z")
        .until("2026-01-15T10:07:30Z")
        .check(expect![[r#"
            10:06:30 up again
            10:07:00 missed 6 from 10:01:00 to 10:06:00: AgentDown
            10:07:00 start c-29474527 for 10:07:00
            10:07:05 SawCompleted("c-29474527", true)
        "#]]);
}

#[test]
fn a_slot_may_start_strictly_before_its_deadline() {
    for (seconds, up_at) in [(30, "2026-01-15T11:00:29Z"), (30, "2026-01-15T11:00:30Z")] {
        let starting_deadline = Some(Millis::from_secs(seconds));
        let mut world = World::new("2026-01-15T10:00:20Z", Spec { starting_deadline, ..spec("0 * * * *") });
        world.down_until(up_at);
        let started = world.story.contains("start c-");
        assert_eq!(started, up_at.ends_with("29Z"), "{}", world.story);
    }
}

#[test]
fn with_a_deadline_of_0_nothing_ever_starts_and_every_slot_is_told_of() {
    let starting_deadline = Some(Millis(0));
    World::new("2026-01-15T10:00:20Z", Spec { starting_deadline, ..spec("* * * * *") })
        .until("2026-01-15T10:03:30Z")
        .edit(|spec| spec.starting_deadline = None)
        .until("2026-01-15T10:04:30Z")
        .check(expect![[r#"
            10:03:30 edited
            10:03:30 missed 2 from 10:01:00 to 10:02:00: TooLate
            10:03:30 start c-29474523 for 10:03:00
            10:03:35 SawCompleted("c-29474523", true)
            10:04:00 start c-29474524 for 10:04:00
            10:04:05 SawCompleted("c-29474524", true)
        "#]]);
}

#[test]
fn resumed_it_starts_the_latest_slot_at_once() {
    World::new("2026-01-15T10:00:20Z", Spec { suspend: true, ..spec("* * * * *") })
        .until("2026-01-15T10:05:30Z")
        .edit(|spec| spec.suspend = false)
        .until("2026-01-15T10:06:30Z")
        .check(expect![[r#"
            10:05:30 edited
            10:05:30 missed 4 from 10:01:00 to 10:04:00: Suspended
            10:05:30 start c-29474525 for 10:05:00
            10:05:35 SawCompleted("c-29474525", true)
            10:06:00 start c-29474526 for 10:06:00
            10:06:05 SawCompleted("c-29474526", true)
        "#]]);
}

#[test]
fn suspended_its_running_jobs_are_still_seen_to() {
    let mut world = World::new("2026-01-15T10:00:20Z", spec("* * * * *"));
    world.run = Some(30);
    world.until("2026-01-15T10:01:10Z").edit(|spec| spec.suspend = true).until("2026-01-15T10:03:30Z").check(
        expect![[r#"
            10:01:00 start c-29474521 for 10:01:00
            10:01:10 edited
            10:01:30 SawCompleted("c-29474521", true)
        "#]],
    );
}

#[test]
fn another_schedule_starts_nothing_until_the_next_look() {
    let mut world = World::new("2026-01-14T00:00:00Z", spec("0 23 * * *"));
    world
        .until("2026-01-15T15:00:00Z")
        .edit(|spec| spec.schedule = Ok(Schedule::parse("0 5 * * *").unwrap()))
        .until("2026-01-16T06:00:00Z")
        .check(expect![[r#"
            2026-01-14T23:00:00 start c-29473860 for 2026-01-14T23:00:00
            2026-01-14T23:00:05 SawCompleted("c-29473860", true)
            15:00:00 edited
            23:00:00 start c-29474220 for 05:00:00
            23:00:05 SawCompleted("c-29474220", true)
            2026-01-16T05:00:00 start c-29475660 for 2026-01-16T05:00:00
            2026-01-16T05:00:05 SawCompleted("c-29475660", true)
        "#]]);
}

#[test]
fn a_schedule_that_is_changed_and_changed_back_has_no_slot_told_of_twice() {
    let (every_ten, hourly) = ("*/10 * * * *", "17 * * * *");
    let mut world = World::new("2026-01-15T10:00:20Z", spec(every_ten));
    world.until("2026-01-15T10:12:00Z");
    world.room = 0;
    world
        .until("2026-01-15T10:45:00Z")
        .edit(|spec| {
            spec.schedule = Ok(Schedule::parse(hourly).unwrap());
            spec.catch_up = CatchUp::All { limit: 1 };
        })
        .edit(|spec| {
            spec.schedule = Ok(Schedule::parse(every_ten).unwrap());
            spec.catch_up = CatchUp::Last;
        });
    world.room = 9;
    world.sync();
    world.until("2026-01-15T10:55:00Z").check(expect![[r#"
        10:10:00 start c-29474530 for 10:10:00
        10:10:05 SawCompleted("c-29474530", true)
        10:45:00 edited
        10:45:00 missed 3 from 10:20:00 to 10:40:00: FailedCreate
        10:45:00 edited
        10:50:00 start c-29474570 for 10:50:00
        10:50:05 SawCompleted("c-29474570", true)
    "#]]);
}

#[test]
fn another_schedule_starts_no_slot_that_was_missed_by_the_one_before() {
    let mut world = World::new("2026-01-15T04:30:00Z", Spec { suspend: true, ..spec("0 * * * *") });
    world
        .until("2026-01-15T10:30:00Z")
        .edit(|spec| spec.schedule = Ok(Schedule::parse("0 5 * * *").unwrap()))
        .edit(|spec| spec.suspend = false)
        .until("2026-01-16T05:00:00Z")
        .check(expect![[r#"
            10:30:00 edited
            10:30:00 missed 6 from 05:00:00 to 10:00:00: Suspended
            10:30:00 edited
            2026-01-16T05:00:00 start c-29475660 for 2026-01-16T05:00:00
        "#]]);
}

#[test]
fn more_than_100_missed_slots_are_worth_a_warning_and_no_more() {
    World::new("2026-01-15T10:00:20Z", spec("* * * * *"))
        .down_until("2026-01-15T11:40:30Z")
        .down_until("2026-01-15T13:21:40Z")
        .check(expect![[r#"
            11:40:30 up again
            11:40:30 missed 99 from 10:01:00 to 11:39:00: AgentDown
            11:40:30 start c-29474620 for 11:40:00
            13:21:40 up again
            13:21:40 SawCompleted("c-29474620", false)
            13:21:40 TooManyMissed(101)
            13:21:40 missed 100 from 11:41:00 to 13:20:00: AgentDown
            13:21:40 start c-29474721 for 13:21:00
        "#]]);
}

#[test]
fn old_finished_jobs_go() {
    let mut world =
        World::new("2026-01-15T10:00:20Z", Spec { successful_limit: Some(1), ..spec("* * * * *") });
    world.until("2026-01-15T10:02:30Z");
    world.succeed = false;
    world.until("2026-01-15T10:04:30Z").check(expect![[r#"
        10:01:00 start c-29474521 for 10:01:00
        10:01:05 SawCompleted("c-29474521", true)
        10:02:00 start c-29474522 for 10:02:00
        10:02:05 Deleted("c-29474521")
        10:02:05 SawCompleted("c-29474522", true)
        10:03:00 start c-29474523 for 10:03:00
        10:03:05 SawCompleted("c-29474523", false)
        10:04:00 start c-29474524 for 10:04:00
        10:04:05 Deleted("c-29474523")
        10:04:05 SawCompleted("c-29474524", false)
    "#]]);
}

#[test]
fn jobs_that_it_did_not_start_and_jobs_that_vanish_are_told_of() {
    let mut world = World::new("2026-01-15T10:00:20Z", spec("0 * * * *"));
    world.add_job("by-hand", "h1");
    world.until("2026-01-15T11:00:02Z");
    world.children.remove("c-29474580");
    world.ends.clear();
    world.sync();
    world.check(expect![[r#"
        11:00:00 start c-29474580 for 11:00:00
        11:00:02 MissingJob("c-29474580")
    "#]]);
    assert_eq!(world.cron.last_successful, Some(at("2026-01-15T10:00:25Z")));
}

#[test]
fn the_first_of_two_sub_minute_slots_has_the_name() {
    let mut world = World::new("2026-01-15T10:00:05Z", spec("@every 20s"));
    world.run = Some(1);
    world.until("2026-01-15T10:02:00Z").check(expect![[r#"
        10:00:25 start c-29474520 for 10:00:25
        10:00:26 SawCompleted("c-29474520", true)
        10:01:05 missed 1 from 10:00:45 to 10:00:45: JobExists
        10:01:05 start c-29474521 for 10:01:05
        10:01:06 SawCompleted("c-29474521", true)
    "#]]);
}

#[test]
fn put_forward_the_clock_jumps_over_slots_and_put_back_it_repeats_none() {
    World::new("2026-01-15T10:00:20Z", spec("*/10 * * * *"))
        .until("2026-01-15T10:15:00Z")
        .set_clock("2026-01-15T12:15:00Z")
        .until("2026-01-15T12:25:00Z")
        .set_clock("2026-01-15T11:25:00Z")
        .until("2026-01-15T12:35:00Z")
        .check(expect![[r#"
            10:10:00 start c-29474530 for 10:10:00
            10:10:05 SawCompleted("c-29474530", true)
            12:15:00 clock 10:15:00 -> 12:15:00
            12:15:00 missed 11 from 10:20:00 to 12:00:00: JumpedOver
            12:15:00 start c-29474650 for 12:10:00
            12:15:05 SawCompleted("c-29474650", true)
            12:20:00 start c-29474660 for 12:20:00
            12:20:05 SawCompleted("c-29474660", true)
            11:25:00 clock 12:25:00 -> 11:25:00
            12:30:00 start c-29474670 for 12:30:00
            12:30:05 Deleted("c-29474530")
            12:30:05 SawCompleted("c-29474670", true)
        "#]]);
}

#[test]
fn until_the_clock_is_set_no_slot_starts() {
    let mut world = World::new("1970-01-01T00:00:20Z", spec("* * * * *"));
    world.until("1970-01-01T00:05:20Z");
    world.now.wall = at("2026-01-15T10:05:30Z");
    let news = world.watch.look(world.now);
    let Some(ClockNews::Plausible { up_since }) = news.last() else { panic!("{news:?}") };
    world.cron.due_since(*up_since);
    world.sync();
    world.until("2026-01-15T10:06:30Z").check(expect![[r#"
        10:05:30 missed 4 from 10:01:00 to 10:04:00: ClockNotPlausible
        10:05:30 start c-29474525 for 10:05:00
        10:05:35 SawCompleted("c-29474525", true)
        10:06:00 start c-29474526 for 10:06:00
        10:06:05 SawCompleted("c-29474526", true)
    "#]]);
}

#[test]
fn with_a_splay_the_job_starts_later_and_is_named_after_its_slot() {
    World::new("2026-01-15T10:00:20Z", Spec { splay: Millis(17_500), ..spec("*/5 * * * *") })
        .until("2026-01-15T10:12:00Z")
        .check(expect![[r#"
            10:05:17.5 start c-29474525 for 10:05:00
            10:05:22.5 SawCompleted("c-29474525", true)
            10:10:17.5 start c-29474530 for 10:10:00
            10:10:22.5 SawCompleted("c-29474530", true)
        "#]]);
}

#[test]
fn where_there_is_no_room_the_slot_is_held_and_starts_when_there_is() {
    let mut world = World::new("2026-01-15T10:00:20Z", spec("* * * * *"));
    world.room = 0;
    world.until("2026-01-15T10:03:30Z");
    world.room = 1;
    world.sync();
    world.check(expect![[r#"
        10:03:30 missed 2 from 10:01:00 to 10:02:00: FailedCreate
        10:03:30 start c-29474523 for 10:03:00
    "#]]);
}

#[test]
fn a_name_that_is_taken_is_left_to_whoever_has_it() {
    let mut world = World::new("2026-01-15T10:00:20Z", spec("0 * * * *"));
    let children = Vec::new();
    world.go(at("2026-01-15T11:00:00Z"));
    let plan = reconcile(&world.cron, "c", &children, &|_| true, 9, world.watch.clock());
    assert_eq!(plan.notes, [Note::JobExists("c-29474580".to_owned())]);
    assert_eq!(plan.start, []);
    assert_eq!(plan.next.last_schedule, None);
    assert_eq!(plan.next.held.map(|held| held.why), Some(Reason::JobExists));
}

#[test]
fn a_schedule_that_never_comes_is_told_of() {
    World::new("2026-01-15T10:00:20Z", spec("0 0 31 2 *")).check(expect![[r#"
        10:00:20 InvalidSchedule
    "#]]);
}

#[test]
fn a_day_whose_hour_comes_twice_has_two_slots_or_with_run_once_one() {
    for (dst, slots) in [(Dst::Kubernetes, 2), (Dst::RunOnce, 1)] {
        let zone = Some(TimeZone::get("America/New_York").unwrap());
        let mut world = World::new("2026-10-31T10:00:00Z", Spec { zone, dst, ..spec("30 1 * * *") });
        world.until("2026-11-01T12:00:00Z");
        assert_eq!(world.story.matches("start ").count(), slots, "{}", world.story);
    }
}

#[test]
fn what_was_held_back_is_missed_when_the_cron_job_goes() {
    let mut world = World::new("2026-01-15T10:00:20Z", Spec { suspend: true, ..spec("* * * * *") });
    world.until("2026-01-15T10:03:30Z");
    let runs = world.cron.close_books(world.watch.clock());
    world.tell_missed(runs);
    world.check(expect![[r#"
        10:03:30 missed 3 from 10:01:00 to 10:03:00: Suspended
    "#]]);
}
