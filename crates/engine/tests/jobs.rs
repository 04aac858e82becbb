//! Jobs from their creation to their end, through the real engine and the real store.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod common;

use std::sync::Arc;

use api::pb::k8s::batch::v1::Job;
use common::{Node, default_config, manifest, new_job};
use engine::{
    Config, Effect, Event, Kind, Limits, Object, ObjectKey, Outcome, Propagation, Rejected, Reply, Usage,
    WriteMode,
};
use expect_test::{Expect, expect};
use sched::Exit;
use sched::node::Room;

fn node_with(spec: &str, restart_policy: &str) -> Node {
    let mut node = Node::new();
    node.push_image("hello");
    node.create(&manifest(spec, restart_policy)).unwrap();
    node
}

fn check(node: &mut Node, expected: Expect) {
    let summary = node.summary("job");
    expected.assert_eq(&format!("{summary}\n{:?}", node.phases()));
}

#[test]
fn a_job_runs_to_its_end() {
    let mut node = node_with("completions: 3, parallelism: 2", "Never");
    check(
        &mut node,
        expect![[r#"
        active 2 ready 2 terminating 0 succeeded 0 failed 0 []
        {"Running": 2}"#]],
    );
    assert_eq!(node.running.len(), 2);
    node.end_all(&Exit::Code(0));
    assert_eq!(node.running.len(), 1);
    node.end_all(&Exit::Code(0));
    check(
        &mut node,
        expect![[r#"
        active 0 ready 0 terminating 0 succeeded 3 failed 0 [SuccessCriteriaMet Complete]
        {"Succeeded": 3}"#]],
    );
    assert_eq!(node.most, 2);
    assert_eq!(node.next_wake(), None, "nothing is left to wait for");
}

#[test]
fn a_failed_pod_is_replaced_after_the_backoff_and_the_limit_ends_the_job() {
    let mut node = node_with("backoffLimit: 2", "Never");
    let start = node.now;
    let mut starts = Vec::new();
    while !node.running.is_empty() {
        starts.push((node.now - start) / 1000);
        node.wait(1000);
        node.end_all(&Exit::Code(1));
        if let Some(at) = node.next_wake() {
            node.wait(at.0 - node.now);
        }
    }
    assert_eq!(starts, [0, 11, 32]);
    check(
        &mut node,
        expect![[r#"
        active 0 ready 0 terminating 0 succeeded 0 failed 3 [FailureTarget Failed]
        {"Failed": 3}"#]],
    );
}

#[test]
fn with_on_failure_the_container_restarts_in_its_pod() {
    let mut node = node_with("backoffLimit: 2", "OnFailure");
    node.wait(1000);
    node.end_all(&Exit::Code(1));
    assert_eq!(node.running.keys().map(|guest| guest.restarts).collect::<Vec<_>>(), [1]);
    node.wait(1000);
    node.end_all(&Exit::Code(1));
    assert!(node.running.is_empty(), "the second restart waits ten seconds");
    check(
        &mut node,
        expect![[r#"
        active 1 ready 0 terminating 0 succeeded 0 failed 0 []
        {"Running": 1}"#]],
    );
    node.wait(10_000);
    check(
        &mut node,
        expect![[r#"
        active 0 ready 0 terminating 1 succeeded 0 failed 1 [FailureTarget]
        {"Running": 1}"#]],
    );
    node.stop_asked();
    check(
        &mut node,
        expect![[r#"
        active 0 ready 0 terminating 0 succeeded 0 failed 1 [FailureTarget Failed]
        {}"#]],
    );
}

#[test]
fn the_deadline_stops_what_runs() {
    let mut node = node_with("activeDeadlineSeconds: 5, parallelism: 3", "Never");
    node.wait(5000);
    check(
        &mut node,
        expect![[r#"
        active 0 ready 0 terminating 3 succeeded 0 failed 3 [FailureTarget]
        {"Running": 3}"#]],
    );
    node.stop_asked();
    check(
        &mut node,
        expect![[r#"
        active 0 ready 0 terminating 0 succeeded 0 failed 3 [FailureTarget Failed]
        {}"#]],
    );
}

#[test]
fn an_image_that_arrives_later_starts_what_waits_for_it() {
    let mut node = Node::new();
    node.create(&manifest("", "Never")).unwrap();
    assert!(node.running.is_empty());
    let waiting =
        node.pods()[0].status.clone().unwrap().container_statuses[0].state.clone().unwrap().waiting.unwrap();
    assert_eq!(waiting.reason, "ErrImagePull");
    node.push_image("hello");
    assert_eq!(node.running.len(), 1);
}

#[test]
fn a_crash_at_any_commit_loses_nothing_and_runs_nothing_too_often() {
    // The agent dies after every third step, whatever that is.
    let mut node = node_with("completions: 12, parallelism: 4, backoffLimit: 1000", "OnFailure");
    let mut succeeded = 0;
    for step in 0..400 {
        node.now += 10;
        if step % 3 == 2 {
            node.crash();
            node.boot();
        } else if let Some(guest) = node.running.keys().next().copied() {
            node.end(guest, Exit::Code(u8::from(step % 5 == 0)));
        } else if let Some(at) = node.next_wake() {
            node.wait(at.0 - node.now);
        }
        let status = node.job("job").unwrap().status.unwrap();
        assert!(status.succeeded >= succeeded, "a success was forgotten");
        succeeded = status.succeeded;
        assert!(node.running.len() <= 4);
        if status.conditions.iter().any(|condition| condition.r#type == "Complete") {
            break;
        }
    }
    check(
        &mut node,
        expect![[r#"
        active 0 ready 0 terminating 0 succeeded 12 failed 0 [SuccessCriteriaMet Complete]
        {"Succeeded": 12}"#]],
    );
}

#[test]
fn with_never_an_interrupted_pod_fails_and_is_replaced_at_once() {
    let mut node = node_with("", "Never");
    node.crash();
    node.boot();
    check(
        &mut node,
        expect![[r#"
        active 1 ready 1 terminating 0 succeeded 0 failed 1 []
        {"Failed": 1, "Running": 1}"#]],
    );
    let failed = node.pods().into_iter().find(|pod| pod.status.as_ref().unwrap().phase == "Failed").unwrap();
    let status = failed.status.unwrap();
    let ended = status.container_statuses[0].state.clone().unwrap().terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_str()), (137, "ContainerStatusUnknown"));
    assert!(status.conditions.iter().any(|condition| condition.r#type == "DisruptionTarget"));
}

#[test]
fn an_exit_that_comes_twice_or_too_late_changes_nothing() {
    let mut node = node_with("completions: 2", "Never");
    let first = *node.running.keys().next().unwrap();
    node.end(first, Exit::Code(0));
    let before = (node.summary("job"), node.engine().reader().revision());
    node.apply(vec![Event::GuestEnded { guest: first, exit: Exit::Code(1), usage: Usage::default() }]);
    assert_eq!((node.summary("job"), node.engine().reader().revision()), before);
}

#[test]
fn a_thousand_pods_at_once_take_many_commits_and_are_all_counted() {
    let mut node = node_with("completions: 2500, parallelism: 1000", "Never");
    assert_eq!(node.running.len(), 1000);
    assert!(node.commits > 5, "one commit has a size");
    while node.end_all(&Exit::Code(0)) > 0 {}
    check(
        &mut node,
        expect![[r#"
        active 0 ready 0 terminating 0 succeeded 2500 failed 0 [SuccessCriteriaMet Complete]
        {"Succeeded": 2500}"#]],
    );
    assert_eq!(node.most, 1000);
}

#[test]
fn a_crash_of_a_thousand_running_pods_recovers_all() {
    let mut node = node_with("completions: 1000, parallelism: 1000, backoffLimit: 5000", "Never");
    node.crash();
    node.boot();
    check(
        &mut node,
        expect![[r#"
        active 1000 ready 1000 terminating 0 succeeded 0 failed 1000 []
        {"Failed": 1000, "Running": 1000}"#]],
    );
    assert_eq!(node.running.len(), 1000);
}

#[test]
fn a_failed_job_takes_a_thousand_pods_down_and_counts_each_once() {
    let mut node = node_with("completions: 1500, parallelism: 800, backoffLimit: 0", "Never");
    let one = *node.running.keys().next().unwrap();
    node.end(one, Exit::Code(1));
    check(
        &mut node,
        expect![[r#"
        active 0 ready 0 terminating 799 succeeded 0 failed 800 [FailureTarget]
        {"Failed": 1, "Running": 799}"#]],
    );
    node.crash();
    node.boot();
    check(
        &mut node,
        expect![[r#"
        active 0 ready 0 terminating 0 succeeded 0 failed 800 [FailureTarget Failed]
        {"Failed": 1}"#]],
    );
}

#[test]
fn a_deleted_job_goes_at_once_and_its_pods_after_it() {
    let mut node = node_with("completions: 700, parallelism: 300", "Never");
    node.end_all(&Exit::Code(0));
    let key = ObjectKey::new("default", "job");
    let reply = node
        .apply(vec![Event::DeleteJob { key, uid: String::new(), propagation: Propagation::Background }])
        .remove(0);
    assert!(matches!(reply, Ok(Reply::Job { outcome: Outcome::Deleted, .. })));
    assert_eq!(node.summary("job"), "gone");
    assert_eq!(node.phases(), [("Running".to_owned(), 300)].into());
    node.stop_asked();
    assert_eq!(node.phases(), [].into());
    // The same name is another Job.
    node.create(&manifest("", "Never")).unwrap();
    assert_eq!(node.running.len(), 1);
}

#[test]
fn a_crash_in_the_middle_of_a_deletion_finishes_it() {
    let mut node = node_with("completions: 400, parallelism: 400", "Never");
    let key = ObjectKey::new("default", "job");
    let mut events =
        vec![Event::DeleteJob { key, uid: String::new(), propagation: Propagation::Background }].into();
    let now = sched::Now::at(node.now);
    let applied = node.engine().apply(&mut events, now).unwrap();
    assert!(applied.more, "400 Pods do not go in one commit");
    node.crash();
    node.boot();
    assert_eq!(node.summary("job"), "gone");
    assert_eq!(node.phases(), [].into());
}

#[test]
fn a_foreground_deletion_waits_for_the_pods() {
    let mut node = node_with("parallelism: 2, completions: 4", "Never");
    node.end_all(&Exit::Code(0));
    let key = ObjectKey::new("default", "job");
    node.apply(vec![Event::DeleteJob { key, uid: String::new(), propagation: Propagation::Foreground }])
        .remove(0)
        .unwrap();
    assert!(node.job("job").unwrap().metadata.unwrap().deletion_timestamp.is_some());
    node.crash();
    node.boot();
    assert_eq!(node.summary("job"), "gone", "the guests died with the agent");
    assert_eq!(node.phases(), [].into());
}

#[test]
fn pods_wait_for_room_in_order() {
    let allocatable = Room { pods: 3, guests: 3, cpu_millis: 4000, memory_bytes: 1 << 30 };
    let mut node = Node::with(Config { allocatable, ..default_config() });
    node.push_image("hello");
    node.create(&manifest("completions: 10, parallelism: 10", "Never")).unwrap();
    check(
        &mut node,
        expect![[r#"
        active 10 ready 3 terminating 0 succeeded 0 failed 0 []
        {"Pending": 7, "Running": 3}"#]],
    );
    while node.end_all(&Exit::Code(0)) > 0 {}
    assert_eq!(node.most, 3);
    check(
        &mut node,
        expect![[r#"
        active 0 ready 0 terminating 0 succeeded 10 failed 0 [SuccessCriteriaMet Complete]
        {"Succeeded": 10}"#]],
    );
}

#[test]
fn too_many_pods_are_made_when_others_have_ended() {
    let limits = Limits { live_pods: 5, terminated_pods: 8, ..Limits::default() };
    let mut node = Node::with(Config { limits, ..default_config() });
    node.push_image("hello");
    node.create(&manifest("completions: 20, parallelism: 10", "Never")).unwrap();
    assert_eq!(node.running.len(), 5);
    while node.end_all(&Exit::Code(0)) > 0 {}
    assert_eq!(node.most, 5);
    check(
        &mut node,
        expect![[r#"
        active 0 ready 0 terminating 0 succeeded 20 failed 0 [SuccessCriteriaMet Complete]
        {"Succeeded": 8}"#]],
    );
    let removed = node.effects.iter().filter(|effect| matches!(effect, Effect::RemovePod { .. })).count();
    assert_eq!(removed, 12, "the oldest finished Pods are collected, with what they had on disk");
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut node = node_with("parallelism: 1, completions: 2", "Never");
    let before = (node.job("job"), node.engine().reader().revision());
    let again = node.create(&manifest("parallelism: 2", "Never"));
    assert!(matches!(again, Err(Rejected::Exists { .. })), "{again:?}");
    let job = Box::new(new_job(&manifest("parallelism: 1, completions: 3", "OnFailure")));
    let refused =
        node.apply(vec![Event::CreateJob { job, mode: WriteMode::Update, dry_run: false }]).remove(0);
    let Err(Rejected::Invalid(errors)) = refused else { panic!("{refused:?}") };
    let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["spec.completions", "spec.template"]);
    assert_eq!((node.job("job"), node.engine().reader().revision()), before);
}

#[test]
fn a_change_of_parallelism_is_followed_both_ways() {
    let mut node = node_with("parallelism: 2, completions: 9", "Never");
    let change = |node: &mut Node, parallelism: u32| {
        let job =
            Box::new(new_job(&manifest(&format!("parallelism: {parallelism}, completions: 9"), "Never")));
        node.apply(vec![Event::CreateJob { job, mode: WriteMode::Apply, dry_run: false }]).remove(0).unwrap()
    };
    assert!(matches!(change(&mut node, 2), Reply::Job { outcome: Outcome::Unchanged, .. }));
    assert!(matches!(change(&mut node, 5), Reply::Job { outcome: Outcome::Configured, .. }));
    assert_eq!(node.running.len(), 5);
    change(&mut node, 1);
    node.stop_asked();
    check(
        &mut node,
        expect![[r#"
        active 1 ready 1 terminating 0 succeeded 0 failed 0 []
        {"Running": 1}"#]],
    );
    assert_eq!(node.job("job").unwrap().metadata.unwrap().generation, 3);
}

#[test]
fn a_watcher_sees_every_change_once_and_in_order() {
    let mut node = Node::new();
    let reader = node.engine().reader();
    let start = reader.revision();
    node.push_image("hello");
    node.create(&manifest("completions: 3, parallelism: 2", "Never")).unwrap();
    while node.end_all(&Exit::Code(0)) > 0 {}
    let (changes, reached) = reader.changes(Kind::Job, start, 1000).unwrap();
    assert_eq!(reached, reader.revision());
    assert!(changes.iter().is_sorted_by(|a, b| a.revision < b.revision));
    let seen: Vec<_> = changes
        .iter()
        .map(|change| match &change.after {
            Some(Object::Job(job)) => job.status.as_ref().unwrap().succeeded,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(seen, [0, 2, 3]);
    assert!(changes[0].before.is_none());
    assert!(reader.changes(Kind::Job, reader.revision() + 1, 10).is_err(), "the future");
    assert!(reader.changes(Kind::Job, start - 1, 10).is_err(), "before this start");
}

#[test]
fn revisions_and_uids_are_never_given_twice() {
    let mut node = Node::new();
    node.push_image("hello");
    let mut uids = std::collections::BTreeSet::new();
    let mut revision = 0;
    for _ in 0..5 {
        node.create(&manifest("", "Never")).unwrap();
        let uid = node.job("job").unwrap().metadata.unwrap().uid;
        assert!(uids.insert(uid));
        for pod in node.pods() {
            assert!(uids.insert(pod.metadata.unwrap().uid));
        }
        let key = ObjectKey::new("default", "job");
        node.apply(vec![Event::DeleteJob { key, uid: String::new(), propagation: Propagation::Background }]);
        node.stop_asked();
        assert!(node.engine().reader().revision() > revision);
        revision = node.engine().reader().revision();
        node.crash();
        node.boot();
        assert!(node.engine().reader().revision() > revision);
    }
}

#[test]
fn a_revision_is_refused_only_if_what_it_is_of_was_changed() {
    let mut node = node_with("parallelism: 2, completions: 9", "Never");
    let revise = |node: &mut Node, read: &Job, parallelism: u32| {
        let text = manifest(&format!("parallelism: {parallelism}, completions: 9"), "Never");
        let (job, mode) = (Box::new(new_job(&text)), WriteMode::Revise(Arc::new(read.clone())));
        node.apply(vec![Event::CreateJob { job, mode, dry_run: false }]).remove(0)
    };
    let read = node.job("job").unwrap();
    node.end_all(&Exit::Code(0));
    assert_ne!(node.job("job").unwrap().status, read.status, "its status moves on");
    assert!(matches!(revise(&mut node, &read, 3), Ok(Reply::Job { outcome: Outcome::Configured, .. })));
    let again = revise(&mut node, &read, 4);
    assert!(matches!(again, Err(Rejected::Conflict { .. })), "its spec was changed: {again:?}");
    let gone = node.job("job").unwrap();
    let key = ObjectKey::new("default", "job");
    node.apply(vec![Event::DeleteJob { key, uid: String::new(), propagation: Propagation::Background }])
        .remove(0)
        .unwrap();
    let refused = revise(&mut node, &gone, 4);
    assert!(matches!(refused, Err(Rejected::NotFound { .. })), "{refused:?}");
}

#[test]
fn an_indexed_job_that_dies_again_and_again_does_every_index_once() {
    let spec = "completions: 12, parallelism: 4, completionMode: Indexed, backoffLimitPerIndex: 50";
    let mut node = node_with(spec, "Never");
    for step in 0..400 {
        node.now += 10;
        if step % 3 == 2 {
            node.crash();
            node.boot();
        } else if let Some(guest) = node.running.keys().next().copied() {
            node.end(guest, Exit::Code(u8::from(step % 5 == 0)));
        } else if let Some(at) = node.next_wake() {
            node.wait(at.0 - node.now);
        }
        let mut running = std::collections::BTreeSet::new();
        for start in node.running.values() {
            let index = start.plan.env.iter().find(|(name, _)| name == "JOB_COMPLETION_INDEX").unwrap();
            assert!(running.insert(index.1.clone()), "one Pod of an index at a time");
        }
        assert!(node.running.len() <= 4);
        if node.summary("job").contains("Complete") {
            break;
        }
    }
    let status = node.job("job").unwrap().status.unwrap();
    assert_eq!((status.completed_indexes.as_str(), status.failed_indexes.as_deref()), ("0-11", Some("")));
    assert!(node.summary("job").ends_with("[SuccessCriteriaMet Complete]"), "{}", node.summary("job"));
    let mut done = std::collections::BTreeMap::new();
    for pod in node.pods().into_iter().filter(|pod| pod.status.as_ref().unwrap().phase == "Succeeded") {
        let labels = pod.metadata.unwrap().labels;
        *done.entry(labels["batch.kubernetes.io/job-completion-index"].clone()).or_insert(0) += 1;
    }
    assert!(done.len() == 12 && done.values().all(|times| *times == 1), "{done:?}");
}
