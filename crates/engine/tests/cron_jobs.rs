//! CronJobs on a node: what is stored of them and of their Jobs, and what becomes of both.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api::pb::k8s::batch::v1::{CronJob, Job};
use common::{Node, default_config, new_cron_job};
use engine::{Config, Event, Limits, ObjectKey, Propagation, Rejected, Reply, WriteMode};
use expect_test::{Expect, expect};
use jiff::tz::{Offset, TimeZone};
use sched::Exit;
use sched::cron_job::Zones;

/// A node at 2027-01-15T08:00:20Z, and what happens on it.
struct Story {
    node: Node,
    seen: usize,
    text: String,
}

impl Story {
    fn new() -> Story {
        Story::with(default_config())
    }

    fn with(config: Config) -> Story {
        let mut node = Node::with(config);
        node.wait(20_000);
        node.push_image("hello");
        Story { node, seen: 0, text: String::new() }
    }

    fn write(&mut self, manifest: &str, mode: WriteMode<CronJob>) -> Result<Reply, Rejected> {
        let cron_job = Box::new(new_cron_job(manifest));
        self.node.apply(vec![Event::WriteCronJob { cron_job, mode, dry_run: false }]).remove(0)
    }

    fn create(mut self, spec: &str) -> Story {
        self.write(&manifest(spec), WriteMode::Create).unwrap();
        self
    }

    fn apply(mut self, spec: &str) -> Story {
        self.write(&manifest(spec), WriteMode::Apply).unwrap();
        self.tell("applied")
    }

    fn delete(mut self, propagation: Propagation) -> Story {
        let event = Event::DeleteCronJob { key: key(), uid: String::new(), propagation };
        self.node.apply(vec![event]).remove(0).unwrap();
        self.tell("deleted")
    }

    fn wait(mut self, seconds: i64) -> Story {
        self.node.wait(seconds * 1000);
        self.tell("")
    }

    fn end_all(mut self, exit: Exit) -> Story {
        self.node.end_all(&exit);
        self.tell("guests end")
    }

    fn down_for(mut self, seconds: i64) -> Story {
        self.node.crash();
        self.node.now += seconds * 1000;
        self.node.boot();
        self.tell("up again")
    }

    fn set_clock(mut self, by_seconds: i64) -> Story {
        self.node.wall_ahead += by_seconds * 1000;
        self.node.settle();
        self.tell("clock set")
    }

    /// What the ledger was told, and how the CronJob and its Jobs are.
    fn tell(mut self, what: &str) -> Story {
        let time = self.node.time().wall.to_string();
        let _ = writeln!(self.text, "{} {what}", &time[11..19]);
        for entry in &self.node.ledger[self.seen..] {
            let at = |time: &Option<prost_types::Timestamp>| {
                time.as_ref()
                    .map_or(String::new(), |time| api::time::instant(time).to_string()[11..19].to_owned())
            };
            let line = match entry.r#type.as_str() {
                "Started" => format!("{} started {}", at(&entry.slot), entry.job),
                "Missed" => {
                    format!(
                        "{} to {} missed {}: {}",
                        at(&entry.first),
                        at(&entry.last),
                        entry.count,
                        entry.reason
                    )
                }
                "Finished" => format!("{} finished: {}", entry.job, entry.reason),
                other => format!("{other} {}", entry.job),
            };
            let _ = writeln!(self.text, "  {line}");
        }
        self.seen = self.node.ledger.len();
        if let Some(cron_job) = self.cron_job() {
            let status = cron_job.status.unwrap_or_default();
            let active: Vec<_> = status.active.iter().map(|job| job.name.clone()).collect();
            let last =
                status.last_schedule_time.map(|at| api::time::instant(&at).to_string()[11..19].to_owned());
            let deleting = cron_job.metadata.unwrap().deletion_timestamp.map_or("", |_| ", being deleted");
            let _ = writeln!(self.text, "  CronJob: active {active:?}, last {last:?}{deleting}");
        }
        for job in self.jobs() {
            let name = job.metadata.as_ref().unwrap().name.clone();
            let owners = job.metadata.unwrap().owner_references.len();
            let owned = if owners == 0 { " (without an owner)" } else { "" };
            let summary = self.node.summary(&name);
            let _ = writeln!(
                self.text,
                "  {name}{owned}: {}",
                summary.split_once('[').unwrap().1.trim_end_matches(']')
            );
        }
        self
    }

    fn cron_job(&mut self) -> Option<CronJob> {
        self.node.engine().reader().cron_job(&key()).map(|cron_job| CronJob::clone(&cron_job))
    }

    fn jobs(&mut self) -> Vec<Job> {
        let (jobs, _) = self.node.engine().reader().jobs("");
        jobs.iter().map(|job| Job::clone(job)).collect()
    }

    fn check(self, expected: Expect) -> Story {
        expected.assert_eq(&self.text);
        self
    }

    fn events(&mut self) -> String {
        let (events, _) = self.node.engine().reader().events("");
        let about = |kind: &str| ["CronJob", "Node"].contains(&kind);
        let mut lines: Vec<_> = events
            .iter()
            .filter(|event| about(&event.involved_object.as_ref().unwrap().kind))
            .map(|event| {
                let version = event.metadata.as_ref().unwrap().resource_version.parse::<u64>().unwrap();
                (version, format!("{} {} x{}: {}\n", event.r#type, event.reason, event.count, event.message))
            })
            .collect();
        lines.sort();
        lines.into_iter().map(|(_, line)| line).collect()
    }
}

fn key() -> ObjectKey {
    ObjectKey::new("default", "c")
}

fn manifest(spec: &str) -> String {
    format!(
        "{{apiVersion: batch/v1, kind: CronJob, metadata: {{name: c}}, spec: {{{spec}, jobTemplate: {{metadata: {{labels: \
         {{from: template}}}}, spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: main, image: \
         hello}}]}}}}}}}}}}}}"
    )
}

#[test]
fn a_slot_starts_a_job_that_says_whose_it_is() {
    let mut story =
        Story::new().create("schedule: '* * * * *'").wait(45).end_all(Exit::Code(0)).wait(60).check(expect![
            [r#"
            08:01:05 
              08:01:00 started c-30000001
              CronJob: active ["c-30000001"], last Some("08:01:00")
              c-30000001: 
            08:01:05 guests end
              c-30000001 finished: Completed
              CronJob: active [], last Some("08:01:00")
              c-30000001: SuccessCriteriaMet Complete
            08:02:05 
              08:02:00 started c-30000002
              CronJob: active ["c-30000002"], last Some("08:02:00")
              c-30000001: SuccessCriteriaMet Complete
              c-30000002: 
        "#]
        ]);
    let job = story.jobs().remove(1);
    let meta = job.metadata.unwrap();
    let owner = meta.owner_references.first().unwrap();
    assert_eq!(
        (owner.kind.as_str(), owner.controller, owner.block_owner_deletion),
        ("CronJob", Some(true), Some(true))
    );
    expect![[
        r#"Some("template") {"batch.kubernetes.io/cronjob-scheduled-timestamp": "2027-01-15T08:02:00Z"}"#
    ]]
    .assert_eq(&format!("{:?} {:?}", meta.labels.get("from"), meta.annotations));
    let status = story.cron_job().unwrap().status.unwrap();
    assert_eq!(status.active[0].uid, meta.uid);
    assert!(status.last_successful_time.is_some());
    expect![[r#"
        Normal SuccessfulCreate x1: Created job c-30000001
        Normal SawCompletedJob x1: Saw completed job: c-30000001, condition: Complete
        Normal SuccessfulCreate x1: Created job c-30000002
    "#]]
    .assert_eq(&story.events());
}

#[test]
fn what_came_due_while_the_agent_was_down_is_on_record() {
    Story::new()
        .create("schedule: '* * * * *', concurrencyPolicy: Forbid")
        .wait(45)
        .down_for(300)
        .end_all(Exit::Code(0))
        .wait(60)
        .check(expect![[r#"
            08:01:05 
              08:01:00 started c-30000001
              CronJob: active ["c-30000001"], last Some("08:01:00")
              c-30000001: 
            08:06:05 up again
              08:02:00 to 08:05:00 missed 4: AgentDown
              Ran c-30000001
              CronJob: active ["c-30000001"], last Some("08:01:00")
              c-30000001: 
            08:06:05 guests end
              c-30000001 finished: Completed
              08:06:00 started c-30000006
              CronJob: active ["c-30000006"], last Some("08:06:00")
              c-30000001: SuccessCriteriaMet Complete
              c-30000006: 
            08:07:05 
              CronJob: active ["c-30000006"], last Some("08:06:00")
              c-30000001: SuccessCriteriaMet Complete
              c-30000006: 
        "#]]);
}

#[test]
fn one_crash_after_another_starts_no_slot_twice() {
    let mut story = Story::new().create("schedule: '* * * * *'");
    for _ in 0..20 {
        story.node.wait(7_000);
        story.node.crash();
        story.node.boot();
    }
    let mut started: Vec<_> = story.node.ledger.iter().filter(|entry| entry.r#type == "Started").collect();
    started.dedup_by_key(|entry| entry.slot);
    assert_eq!(started.len(), 2, "{started:?}");
}

#[test]
fn replace_takes_the_job_that_runs_away() {
    Story::new().create("schedule: '* * * * *', concurrencyPolicy: Replace").wait(45).wait(60).check(
        expect![[r#"
            08:01:05 
              08:01:00 started c-30000001
              CronJob: active ["c-30000001"], last Some("08:01:00")
              c-30000001: 
            08:02:05 
              c-30000001 finished: Deleted
              08:02:00 started c-30000002
              CronJob: active ["c-30000002"], last Some("08:02:00")
              c-30000002: 
        "#]],
    );
}

#[test]
fn deleted_in_the_background_it_goes_and_its_jobs_follow() {
    Story::new()
        .create("schedule: '* * * * *', suspend: false")
        .wait(45)
        .delete(Propagation::Background)
        .check(expect![[r#"
            08:01:05 
              08:01:00 started c-30000001
              CronJob: active ["c-30000001"], last Some("08:01:00")
              c-30000001: 
            08:01:05 deleted
              c-30000001 finished: Deleted
        "#]]);
}

#[test]
fn deleted_in_the_foreground_it_waits_for_its_jobs() {
    let mut story = Story::new().create("schedule: '* * * * *'").wait(45).delete(Propagation::Foreground);
    story.node.stop_asked();
    story.tell("stopped").wait(120).check(expect![[r#"
        08:01:05 
          08:01:00 started c-30000001
          CronJob: active ["c-30000001"], last Some("08:01:00")
          c-30000001: 
        08:01:05 deleted
          CronJob: active ["c-30000001"], last Some("08:01:00"), being deleted
          c-30000001: 
        08:01:05 stopped
          c-30000001 finished: Deleted
        08:03:05 
    "#]]);
}

#[test]
fn deleted_alone_it_leaves_its_jobs() {
    let mut story = Story::new().create("schedule: '* * * * *'").wait(45).delete(Propagation::Orphan);
    story = story.end_all(Exit::Code(0)).check(expect![[r#"
        08:01:05 
          08:01:00 started c-30000001
          CronJob: active ["c-30000001"], last Some("08:01:00")
          c-30000001: 
        08:01:05 deleted
          c-30000001 (without an owner): 
        08:01:05 guests end
          c-30000001 finished: Completed
          c-30000001 (without an owner): SuccessCriteriaMet Complete
    "#]]);
    assert!(story.cron_job().is_none());
}

#[test]
fn suspended_it_starts_nothing_and_resumed_the_latest_slot() {
    Story::new()
        .create("schedule: '* * * * *', suspend: true")
        .wait(200)
        .apply("schedule: '* * * * *', suspend: false")
        .check(expect![[r#"
            08:03:40 
              CronJob: active [], last None
            08:03:40 applied
              08:01:00 to 08:02:00 missed 2: Suspended
              08:03:00 started c-30000003
              CronJob: active ["c-30000003"], last Some("08:03:00")
              c-30000003: 
        "#]]);
}

#[test]
fn another_schedule_only_sets_the_timer() {
    Story::new()
        .create("schedule: '0 * * * *'")
        .wait(45)
        .apply("schedule: '*/2 * * * *'")
        .wait(20)
        .wait(120)
        .check(expect![[r#"
            08:01:05 
              CronJob: active [], last None
            08:01:05 applied
              CronJob: active [], last None
            08:01:25 
              CronJob: active [], last None
            08:03:25 
              08:02:00 started c-30000002
              CronJob: active ["c-30000002"], last Some("08:02:00")
              c-30000002: 
        "#]]);
}

#[test]
fn a_clock_that_was_set_is_told_of() {
    let mut story = Story::new()
        .create("schedule: '*/10 * * * *'")
        .wait(45)
        .set_clock(3600)
        .set_clock(-3600)
        .wait(3600)
        .check(expect![[r#"
            08:01:05 
              CronJob: active [], last None
            09:01:05 clock set
              08:10:00 to 08:50:00 missed 5: JumpedOver
              09:00:00 started c-30000060
              CronJob: active ["c-30000060"], last Some("09:00:00")
              c-30000060: 
            08:01:05 clock set
              CronJob: active ["c-30000060"], last Some("09:00:00")
              c-30000060: 
            09:01:05 
              CronJob: active ["c-30000060"], last Some("09:00:00")
              c-30000060: 
        "#]]);
    expect![[r#"
        Warning ClockStepped x1: the clock was set from 2027-01-15T08:01:05Z to 2027-01-15T09:01:05Z
        Warning SlotsMissed x1: missed 5 slots from 2027-01-15T08:10:00Z to 2027-01-15T08:50:00Z: the clock was put forward past them
        Normal SuccessfulCreate x1: Created job c-30000060
        Warning ClockStepped x1: the clock was set from 2027-01-15T09:01:05Z to 2027-01-15T08:01:05Z
    "#]].assert_eq(&story.events());
}

#[test]
fn before_the_clock_is_set_nothing_starts() {
    let now = 1_800_000_000_000i64;
    let mut node = Node::with(Config { not_before: sched::Now::at(now - 1).wall, ..default_config() });
    node.push_image("hello");
    node.crash();
    // The device boots in 1970.
    node.now = now + 20_000;
    node.wall_ahead = -now;
    node.boot();
    let story = Story { node, seen: 0, text: String::new() };
    let mut story = story.create("schedule: '* * * * *'").wait(200);
    story.node.wall_ahead = 0;
    story.node.settle();
    story = story.tell("clock set").check(expect![[r#"
        00:03:40 
          CronJob: active [], last None
        08:03:40 clock set
          08:01:00 to 08:02:00 missed 2: ClockNotPlausible
          08:03:00 started c-30000003
          CronJob: active ["c-30000003"], last Some("08:03:00")
          c-30000003: 
    "#]]);
    expect![[r#"
        Warning ClockStepped x1: the clock was set from 1970-01-01T00:03:40Z to 2027-01-15T08:03:40Z
        Normal ClockPlausible x1: the clock is set: it is 2027-01-15T08:03:40Z
        Warning SlotsMissed x1: missed 2 slots from 2027-01-15T08:01:00Z to 2027-01-15T08:02:00Z: the clock was not set yet
        Normal SuccessfulCreate x1: Created job c-30000003
    "#]].assert_eq(&story.events());
}

#[test]
fn what_was_made_before_the_clock_was_set_is_due_from_the_start_that_finds_it_set() {
    let now = 1_800_000_000_000i64;
    let mut node = Node::with(Config { not_before: sched::Now::at(now - 1).wall, ..default_config() });
    node.push_image("hello");
    node.crash();
    // The device boots in 1970.
    node.now = now + 20_000;
    node.wall_ahead = -now;
    node.boot();
    let mut story = Story { node, seen: 0, text: String::new() }.create("schedule: '* * * * *'").wait(100);
    story.node.wall_ahead = 0;
    story.down_for(120).wait(60).check(expect![[r#"
        00:02:00 
          CronJob: active [], last None
        08:04:00 up again
          CronJob: active [], last None
        08:05:00 
          08:05:00 started c-30000005
          CronJob: active ["c-30000005"], last Some("08:05:00")
          c-30000005: 
    "#]]);
}

#[test]
fn a_slot_that_was_missed_does_not_start_when_the_clock_is_put_back() {
    Story::new()
        .create("schedule: '*/10 * * * *', concurrencyPolicy: Forbid")
        .wait(660)
        .set_clock(3600)
        .set_clock(-1800)
        .end_all(Exit::Code(0))
        .wait(1800)
        .check(expect![[r#"
            08:11:20 
              08:10:00 started c-30000010
              CronJob: active ["c-30000010"], last Some("08:10:00")
              c-30000010: 
            09:11:20 clock set
              CronJob: active ["c-30000010"], last Some("08:10:00")
              c-30000010: 
            08:41:20 clock set
              CronJob: active ["c-30000010"], last Some("08:10:00")
              c-30000010: 
            08:41:20 guests end
              c-30000010 finished: Completed
              CronJob: active [], last Some("08:10:00")
              c-30000010: SuccessCriteriaMet Complete
            09:11:20 
              08:20:00 to 09:00:00 missed 5: JumpedOver
              09:10:00 started c-30000070
              CronJob: active ["c-30000070"], last Some("09:10:00")
              c-30000010: SuccessCriteriaMet Complete
              c-30000070: 
        "#]]);
}

#[test]
fn where_no_more_jobs_are_taken_it_tries_again() {
    let limits = Limits { jobs: 1, ..Limits::default() };
    let mut story = Story::with(Config { limits, ..default_config() })
        .create("schedule: '* * * * *', concurrencyPolicy: Allow, successfulJobsHistoryLimit: 0")
        .wait(45)
        .wait(60)
        .end_all(Exit::Code(0))
        .check(expect![[r#"
            08:01:05 
              08:01:00 started c-30000001
              CronJob: active ["c-30000001"], last Some("08:01:00")
              c-30000001: 
            08:02:05 
              CronJob: active ["c-30000001"], last Some("08:01:00")
              c-30000001: 
            08:02:05 guests end
              c-30000001 finished: Completed
              08:02:00 started c-30000002
              CronJob: active ["c-30000002"], last Some("08:02:00")
              c-30000002: 
        "#]]);
    expect![[r#"
        Normal SuccessfulCreate x1: Created job c-30000001
        Warning FailedCreate x10: Error creating job: there are 1 Jobs, the most this agent keeps; delete some that have finished
        Normal SuccessfulDelete x1: Deleted job c-30000001
        Normal SuccessfulCreate x1: Created job c-30000002
    "#]].assert_eq(&story.events());
}

#[test]
fn what_was_refused_changed_nothing() {
    let mut story = Story::new().create("schedule: '0 0 * * *'");
    let before = story.cron_job().unwrap();
    let refusals = [
        story.write(&manifest("schedule: '0 0 * * *'"), WriteMode::Create).unwrap_err().to_string(),
        story
            .write(&manifest("schedule: '0 1 * * *'").replace("name: c}", "name: other}"), WriteMode::Update)
            .unwrap_err()
            .to_string(),
        story
            .write(
                &manifest("schedule: '0 1 * * *'").replace("name: c}", "name: c, resourceVersion: '1'}"),
                WriteMode::Update,
            )
            .unwrap_err()
            .to_string(),
    ];
    let version = &before.metadata.as_ref().unwrap().resource_version;
    expect![[r#"
        cronjobs.batch `c` already exists
        cronjobs.batch `other` not found
        cronjobs.batch `c` has been modified: its resourceVersion is VERSION, not 1; read it again and repeat the change"#]].assert_eq(&refusals.join("\n").replace(version.as_str(), "VERSION"));
    assert_eq!(story.cron_job().unwrap(), before);
}

#[test]
fn more_cron_jobs_than_the_limit_are_refused() {
    let limits = Limits { cron_jobs: 1, ..Limits::default() };
    let mut story = Story::with(Config { limits, ..default_config() }).create("schedule: '0 0 * * *'");
    let other = manifest("schedule: '0 0 * * *'").replace("name: c}", "name: other}");
    expect!["there are 1 CronJobs, the most this agent keeps"]
        .assert_eq(&story.write(&other, WriteMode::Create).unwrap_err().to_string());
}

/// One zone, an hour east of UTC, as long as the device knows it.
#[derive(Debug)]
struct Known(AtomicBool);

impl Zones for Known {
    fn find(&self, name: &str) -> Option<TimeZone> {
        let known = name == "Europe/Somewhere" && self.0.load(Ordering::Relaxed);
        known.then(|| TimeZone::fixed(Offset::constant(1)))
    }

    fn local(&self) -> TimeZone {
        TimeZone::UTC
    }
}

#[test]
fn many_cron_jobs_whose_zone_vanishes_are_looked_at_in_portions() {
    const MANY: usize = 300;
    let known = Arc::new(Known(AtomicBool::new(true)));
    let mut node = Node::with(Config { zones: known.clone(), ..default_config() });
    for at in 0..MANY {
        let filler = "x".repeat(2_000);
        let meta = format!("name: c-{at}, annotations: {{filler: {filler}}}}}");
        let text =
            manifest("schedule: '*/10 * * * *', timeZone: Europe/Somewhere").replace("name: c}", &meta);
        let document = api::manifest::parse(&text).unwrap().remove(0);
        let Ok(api::manifest::Object::CronJob(cron_job)) = document.object else { panic!("{text}") };
        let cron_job = Box::new(api::NewCronJob::check(*cron_job, &api::Grants::default(), &*known).unwrap());
        let mode = WriteMode::Create;
        node.apply(vec![Event::WriteCronJob { cron_job, mode, dry_run: false }]).remove(0).unwrap();
    }
    known.0.store(false, Ordering::Relaxed);
    let commits = node.commits;
    node.apply(vec![Event::ZonesChanged]).remove(0).unwrap();
    node.wait(605_000);
    assert!(node.commits - commits > 4, "{} commits", node.commits - commits);
    assert!(node.ledger.is_empty() && node.engine().reader().jobs("").0.is_empty());
    known.0.store(true, Ordering::Relaxed);
    node.apply(vec![Event::ZonesChanged]).remove(0).unwrap();
    node.wait(1_000_000);
    let mut sums = BTreeMap::new();
    for entry in &node.ledger {
        *sums.entry((entry.r#type.clone(), entry.reason.clone())).or_insert(0) += entry.count.max(1);
    }
    let text: Vec<_> = sums.iter().map(|((kind, why), count)| format!("{count} {kind} {why}")).collect();
    expect!["600 Started "].assert_eq(&text.join("\n"));
}

#[test]
fn all_that_is_due_at_one_second_starts_at_it() {
    let mut story = Story::new();
    // More than one commit has room for, so that the last of each has hardly any.
    let many = 150;
    for number in 0..many {
        let meta = format!("name: c-{number}, annotations: {{filler: {}}}}}", "x".repeat(1_500));
        let manifest = manifest("schedule: '* * * * *'").replace("name: c}", &meta);
        story.write(&manifest, WriteMode::Create).unwrap();
    }
    let mut story = story.wait(40);
    let started = story.node.ledger.iter().filter(|entry| entry.r#type == "Started");
    let at: Vec<_> = started.map(|entry| (entry.slot, entry.recorded_at)).collect();
    assert_eq!(at.len(), many);
    assert!(at.iter().all(|(slot, recorded)| slot == recorded), "{at:?}");
    assert!(!story.events().contains("FailedCreate"), "{}", story.events());
}
