//! What the ledger says of Jobs and of the runs of their containers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod common;

use std::fmt::Write;

use api::pb::wick::v1::LedgerEntry;
use common::{Node, manifest};
use engine::{ATTEMPTS_MAX, Event, LedgerFilter, LedgerPage, ObjectKey, Propagation, WriteMode};
use expect_test::{Expect, expect};
use prost::Message;
use sched::Exit;

fn node() -> Node {
    let mut node = Node::new();
    node.push_image("hello");
    node
}

fn entries(node: &mut Node) -> Vec<LedgerEntry> {
    let (entries, next) =
        node.engine().reader().ledger(&LedgerFilter::default(), &LedgerPage::default()).unwrap();
    assert_eq!(next, None);
    entries
}

/// `1 Finished default/job: Completed after 2s, 1/0; main#1 of job-abc: 0 Completed`
fn story(node: &mut Node) -> String {
    let mut text = String::new();
    for entry in entries(node) {
        write!(text, "{} {} {}/{}", entry.id, entry.r#type, entry.namespace, entry.job).unwrap();
        if !entry.cron_job.is_empty() {
            write!(text, " of {}", entry.cron_job).unwrap();
        }
        if entry.r#type == "Finished" {
            let took = entry.started_at.zip(entry.finished_at).map(|(from, to)| to.seconds - from.seconds);
            let took = took.map_or("without beginning".into(), |took| format!("after {took}s"));
            let word = if entry.failed { "failed" } else { "ended" };
            write!(text, ": {word} {} {took}", entry.reason).unwrap();
            write!(text, ", {}/{}", entry.pods_succeeded, entry.pods_failed).unwrap();
        }
        if entry.manual {
            write!(text, ", manual").unwrap();
        }
        for run in &entry.attempts {
            let index = run.index.map_or(String::new(), |index| format!("[{index}]"));
            write!(text, "\n  {}{index}#{} {} {}", run.container, run.start, run.exit_code, run.reason)
                .unwrap();
            write!(text, " wall {} cpu {}", run.wall_us, run.cpu_us).unwrap();
        }
        if entry.more_attempts > 0 {
            write!(text, "\n  and {} more", entry.more_attempts).unwrap();
        }
        text.push('\n');
    }
    text
}

#[track_caller]
fn check(node: &mut Node, expected: Expect) {
    expected.assert_eq(&story(node));
}

#[test]
fn a_job_that_ends_in_one_commit_is_one_entry() {
    let mut node = node();
    node.create(&manifest("", "Never")).unwrap();
    node.wait(2000);
    node.end_all(&Exit::Code(0));
    check(
        &mut node,
        expect![[r#"
        1 Finished default/job: ended Completed after 2s, 1/0
          main#1 0 Completed wall 1500000 cpu 250
    "#]],
    );
    let run = entries(&mut node).remove(0).attempts.remove(0);
    assert_eq!((run.fuel, run.peak_memory_bytes), (Some(90_000), 2 << 20));
}

#[test]
fn a_job_that_fails_has_every_run_in_its_last_entry() {
    let mut node = node();
    node.create(&manifest("backoffLimit: 1", "Never")).unwrap();
    node.end_all(&Exit::Code(3));
    check(
        &mut node,
        expect![[r#"
        1 Ran default/job
          main#1 3 Error wall 1500000 cpu 250
    "#]],
    );
    node.wait(20_000);
    node.end_all(&Exit::OutOfMemory { message: "of 1 MiB".into() });
    check(
        &mut node,
        expect![[r#"
        2 Finished default/job: failed BackoffLimitExceeded after 20s, 0/2
          main#1 3 Error wall 1500000 cpu 250
          main#1 137 OOMKilled wall 1500000 cpu 250
    "#]],
    );
}

#[test]
fn restarts_in_one_pod_are_counted() {
    let mut node = node();
    node.create(&manifest("", "OnFailure")).unwrap();
    for _ in 0..2 {
        node.end_all(&Exit::Code(1));
        node.wait(60_000);
    }
    node.end_all(&Exit::Code(1));
    node.wait(60_000);
    node.crash();
    node.boot();
    node.wait(100_000);
    node.end_all(&Exit::Code(0));
    check(
        &mut node,
        expect![[r#"
        5 Finished default/job: ended Completed after 280s, 1/0
          main#1 1 Error wall 1500000 cpu 250
          main#2 1 Error wall 1500000 cpu 250
          main#3 1 Error wall 1500000 cpu 250
          main#4 137 ContainerStatusUnknown wall 0 cpu 0
          main#5 0 Completed wall 1500000 cpu 250
    "#]],
    );
}

#[test]
fn an_init_container_ran_and_nothing_is_to_be_seen_of_it_in_the_job() {
    let mut node = node();
    let init = "initContainers: [{name: first, image: hello}, {name: second, image: hello}], containers: [";
    node.create(&manifest("", "Never").replace("containers: [", init)).unwrap();
    let version = |node: &mut Node| node.job("job").unwrap().metadata.unwrap().resource_version;
    let before = version(&mut node);
    node.end_all(&Exit::Code(0));
    assert_eq!(version(&mut node), before);
    node.crash();
    node.boot();
    node.wait(100_000);
    for _ in 0..3 {
        node.end_all(&Exit::Code(0));
    }
    check(
        &mut node,
        expect![[r#"
        5 Finished default/job: ended Completed after 100s, 1/1
          first#1 0 Completed wall 1500000 cpu 250
          second#1 137 ContainerStatusUnknown wall 0 cpu 0
          first#1 0 Completed wall 1500000 cpu 250
          second#1 0 Completed wall 1500000 cpu 250
          main#1 0 Completed wall 1500000 cpu 250
    "#]],
    );
}

#[test]
fn what_was_interrupted_ran() {
    let mut node = node();
    node.create(&manifest("completions: 2, parallelism: 2, completionMode: Indexed", "Never")).unwrap();
    node.crash();
    node.boot();
    check(
        &mut node,
        expect![[r#"
        1 Ran default/job
          main[0]#1 137 ContainerStatusUnknown wall 0 cpu 0
          main[1]#1 137 ContainerStatusUnknown wall 0 cpu 0
    "#]],
    );
    // Another crash tells nothing twice.
    node.crash();
    node.boot();
    node.wait(100_000);
    node.end_all(&Exit::Code(0));
    check(
        &mut node,
        expect![[r#"
        3 Finished default/job: ended Completed after 100s, 2/4
          main[0]#1 137 ContainerStatusUnknown wall 0 cpu 0
          main[1]#1 137 ContainerStatusUnknown wall 0 cpu 0
          main[0]#1 137 ContainerStatusUnknown wall 0 cpu 0
          main[1]#1 137 ContainerStatusUnknown wall 0 cpu 0
          main[0]#1 0 Completed wall 1500000 cpu 250
          main[1]#1 0 Completed wall 1500000 cpu 250
    "#]],
    );
}

#[test]
fn a_job_that_is_deleted_before_its_end_says_so() {
    let mut node = node();
    node.create(&manifest("completions: 3", "Never")).unwrap();
    node.end_all(&Exit::Code(0));
    let key = ObjectKey::new("default", "job");
    let delete = |propagation| Event::DeleteJob { key: key.clone(), uid: String::new(), propagation };
    node.apply(vec![delete(Propagation::Background)]);
    node.stop_asked();
    // Nobody is left to ask what those did that ended after it.
    check(
        &mut node,
        expect![[r#"
        2 Finished default/job: ended Deleted after 0s, 1/0
          main#1 0 Completed wall 1500000 cpu 250
    "#]],
    );

    node.create(&manifest("completions: 3", "Never")).unwrap();
    node.apply(vec![delete(Propagation::Foreground)]);
    node.stop_asked();
    let story = story(&mut node);
    let last = story.split("\n3 ").nth(1).unwrap_or(&story);
    expect![[r#"
        Finished default/job: ended Deleted after 0s, 0/0
          main#1 137 Stopped wall 1500000 cpu 250
    "#]]
    .assert_eq(last);
}

#[test]
fn a_job_that_was_over_when_it_was_deleted_has_one_entry() {
    let mut node = node();
    node.create(&manifest("ttlSecondsAfterFinished: 10", "Never")).unwrap();
    node.end_all(&Exit::Code(0));
    node.wait(30_000);
    assert!(node.job("job").is_none());
    assert_eq!(entries(&mut node).len(), 1);
}

#[test]
fn a_job_that_somebody_starts_for_a_cronjob_is_told_of_at_once() {
    let mut node = node();
    let cron_job = "{apiVersion: batch/v1, kind: CronJob, metadata: {name: backup}, spec: {schedule: '@yearly', jobTemplate: \
                    {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: hello}]}}}}}}";
    let (cron_job, mode) = (Box::new(common::new_cron_job(cron_job)), WriteMode::Create);
    node.apply(vec![Event::WriteCronJob { cron_job, mode, dry_run: false }]).remove(0).unwrap();
    let cron_job = node.engine().reader().cron_job(&ObjectKey::new("default", "backup")).unwrap();
    let uid = &cron_job.metadata.as_ref().unwrap().uid;
    let owner =
        format!("{{apiVersion: batch/v1, kind: CronJob, name: backup, uid: {uid}, controller: true}}");
    let meta = format!(
        "{{name: job, annotations: {{cronjob.kubernetes.io/instantiate: manual}}, ownerReferences: [{owner}]}}"
    );
    node.create(&manifest("", "Never").replace("{name: job}", &meta)).unwrap();
    check(
        &mut node,
        expect![[r#"
        1 Triggered default/job of backup, manual
    "#]],
    );
}

#[test]
fn a_commit_of_a_busy_job_adds_to_the_ledger_what_happened_in_it() {
    let mut node = node();
    let pods: usize = 1200;
    node.create(&manifest(&format!("completions: {pods}, parallelism: 100"), "Never")).unwrap();
    let mut entries_before = 0;
    while !node.running.is_empty() {
        let ended = node.end_all(&Exit::Code(0));
        let all = entries(&mut node);
        if all.last().unwrap().r#type == "Ran" {
            let new = &all[entries_before..];
            let bytes: usize = new.iter().map(Message::encoded_len).sum();
            assert!(new.len() <= ended.div_ceil(20), "{} entries for {ended} runs", new.len());
            assert!(bytes < 100 * new.len() + 80 * ended, "{bytes} bytes for {ended} runs");
            entries_before = all.len();
        }
    }
    let mut all = entries(&mut node);
    assert_eq!(all.len(), 1, "what ran is in the entry of the end");
    let last = all.remove(0);
    assert_eq!((last.attempts.len(), last.more_attempts), (ATTEMPTS_MAX, (pods - ATTEMPTS_MAX) as u64));
    assert_eq!(last.pods_succeeded, 1200);
    // The newest are told, each once.
    let names: std::collections::BTreeSet<_> = last.attempts.iter().map(|run| run.pod.clone()).collect();
    assert_eq!(names.len(), ATTEMPTS_MAX);
}
