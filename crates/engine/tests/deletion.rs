//! What goes with what, and what stays: Jobs deleted in three ways, Pods deleted by somebody.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod common;

use api::pb::wick::v1::{Image, ImageRecord};
use common::{Node, manifest, new_cron_job};
use engine::{Effect, Event, ObjectKey, Propagation, Rejected, Reply, WriteMode};
use sched::{Exit, Now};

fn node() -> Node {
    let mut node = Node::new();
    node.push_image("hello");
    node
}

fn delete(node: &mut Node, propagation: Propagation) -> Reply {
    let key = ObjectKey::new("default", "job");
    node.apply(vec![Event::DeleteJob { key, uid: String::new(), propagation }]).remove(0).unwrap()
}

fn delete_pod(node: &mut Node, grace_seconds: Option<i64>) {
    let name = node.running.values().next().unwrap().pod.clone();
    let key = ObjectKey::new("default", name);
    node.apply(vec![Event::DeletePod { key, uid: String::new(), grace_seconds }]).remove(0).unwrap();
}

/// How many Pods have an owner, and how many do not.
fn owned(node: &mut Node) -> (usize, usize) {
    let (owned, free): (Vec<_>, Vec<_>) =
        node.pods().into_iter().partition(|pod| !pod.metadata.as_ref().unwrap().owner_references.is_empty());
    (owned.len(), free.len())
}

#[test]
fn orphaned_pods_run_on_and_stay_when_they_have_finished() {
    let mut node = node();
    node.create(&manifest("completions: 9, parallelism: 3", "Never")).unwrap();
    let first = *node.running.keys().next().unwrap();
    node.end(first, Exit::Code(0));
    assert_eq!(owned(&mut node), (4, 0));
    delete(&mut node, Propagation::Orphan);
    assert_eq!(node.summary("job"), "gone");
    assert_eq!(owned(&mut node), (0, 4));
    assert_eq!(node.running.len(), 3, "they run on");
    node.end_all(&Exit::Code(0));
    assert_eq!(node.running.len(), 0, "and nobody makes more");
    assert_eq!(node.phases(), [("Succeeded".to_owned(), 4)].into());
    node.crash();
    node.boot();
    assert_eq!(owned(&mut node), (0, 4));
    assert_eq!(node.engine().pod_uids().ended.len(), 4, "their logs are not swept");
}

#[test]
fn an_orphan_that_was_running_when_the_power_went_is_found_interrupted() {
    let mut node = node();
    node.create(&manifest("", "OnFailure")).unwrap();
    delete(&mut node, Propagation::Orphan);
    node.crash();
    node.boot();
    assert_eq!(node.running.len(), 1, "with OnFailure it starts again");
    node.end_all(&Exit::Code(0));
    assert_eq!(node.phases(), [("Succeeded".to_owned(), 1)].into());
}

#[test]
fn orphaning_many_pods_is_many_commits_and_outlives_a_crash() {
    let mut node = node();
    node.create(&manifest("completions: 900, parallelism: 450", "Never")).unwrap();
    node.end_all(&Exit::Code(0));
    assert_eq!(node.running.len(), 450);
    let key = ObjectKey::new("default", "job");
    let delete = Event::DeleteJob { key, uid: String::new(), propagation: Propagation::Orphan };
    let now = Now::at(node.now);
    assert!(node.engine().apply(&mut [delete].into(), now).unwrap().more);
    let finalizers = node.job("job").unwrap().metadata.unwrap().finalizers;
    assert_eq!(finalizers, ["orphan"], "it stays until its Pods have no owner any more");
    node.crash();
    node.boot();
    assert_eq!(node.summary("job"), "gone");
    assert_eq!(owned(&mut node), (0, 900));
}

#[test]
fn a_foreground_deletion_waits_for_finished_pods_too() {
    let mut node = node();
    node.create(&manifest("completions: 800, parallelism: 400", "Never")).unwrap();
    node.end_all(&Exit::Code(0));
    let key = ObjectKey::new("default", "job");
    let delete = Event::DeleteJob { key, uid: String::new(), propagation: Propagation::Foreground };
    let now = Now::at(node.now);
    let applied = node.engine().apply(&mut [delete].into(), now).unwrap();
    assert!(applied.more, "so many do not fit in one commit");
    assert_eq!(node.job("job").unwrap().metadata.unwrap().finalizers, ["foregroundDeletion"]);
    node.crash();
    node.boot();
    assert_eq!(node.running.len(), 0, "nothing is made or started while it goes");
    assert_eq!(node.summary("job"), "gone");
    assert_eq!(node.phases(), [].into());
}

#[test]
fn what_is_asked_last_decides_how_a_job_goes() {
    let mut node = node();
    node.create(&manifest("parallelism: 2, completions: 2", "Never")).unwrap();
    delete(&mut node, Propagation::Foreground);
    let since = node.job("job").unwrap().metadata.unwrap().deletion_timestamp;
    node.wait(5_000);
    delete(&mut node, Propagation::Foreground);
    assert_eq!(node.job("job").unwrap().metadata.unwrap().deletion_timestamp, since);
    assert_eq!(owned(&mut node), (2, 0));
    delete(&mut node, Propagation::Background);
    assert_eq!(node.summary("job"), "gone");
    node.stop_asked();
    assert_eq!(node.phases(), [].into());
}

#[test]
fn a_pod_that_somebody_deletes_failed_and_is_replaced() {
    let mut node = node();
    node.create(&manifest("", "Never")).unwrap();
    delete_pod(&mut node, None);
    assert_eq!(node.summary("job"), "active 0 ready 0 terminating 1 succeeded 0 failed 1 []");
    node.wait(10_000);
    assert_eq!(node.running.len(), 2, "its replacement comes ten seconds after the request");
    node.stop_asked();
    assert_eq!(node.summary("job"), "active 1 ready 1 terminating 0 succeeded 0 failed 1 []");
    node.end_all(&Exit::Code(0));
    assert_eq!(
        node.summary("job"),
        "active 0 ready 0 terminating 0 succeeded 1 failed 1 [SuccessCriteriaMet Complete]"
    );
    assert_eq!(node.phases(), [("Succeeded".to_owned(), 1)].into());
}

#[test]
fn a_second_deletion_leaves_less_time_but_never_more() {
    let mut node = node();
    node.create(&manifest("", "Never")).unwrap();
    let grace = |node: &mut Node| {
        let meta = node.pods().remove(0).metadata.unwrap();
        let ends = meta.deletion_timestamp.unwrap().seconds - node.now / 1000;
        (meta.deletion_grace_period_seconds.unwrap(), ends)
    };
    delete_pod(&mut node, Some(60));
    assert_eq!(grace(&mut node), (60, 60));
    delete_pod(&mut node, Some(i64::MAX));
    assert_eq!(grace(&mut node), (60, 60));
    delete_pod(&mut node, Some(-5));
    assert_eq!(grace(&mut node), (1, 1));
    assert!(!node.effects.iter().any(|effect| matches!(effect, Effect::Kill(_))));
    node.wait(2_000); // The least there is between the two, as on a cluster.
    assert!(node.effects.iter().any(|effect| matches!(effect, Effect::Kill(_))));
}

#[test]
fn without_grace_a_pod_goes_at_once_and_its_guest_keeps_its_place_until_it_has_ended() {
    let mut node = node();
    node.config.allocatable.guests = 1;
    node.crash();
    node.boot();
    node.create(&manifest("parallelism: 2, completions: 2, backoffLimit: 0", "Never")).unwrap();
    let other = manifest("", "Never").replace("name: job", "name: other");
    node.create(&other).unwrap();
    let (guest, start) = node.running.first_key_value().unwrap();
    let (guest, removal) = (*guest, Effect::RemovePod { pod_uid: start.pod_uid.clone() });
    delete_pod(&mut node, Some(0));
    assert!(node.effects.contains(&Effect::Kill(guest)));
    assert!(!node.effects.contains(&removal), "what it writes until its end still has a place");
    assert!(node.summary("job").contains("failed 2 [FailureTarget Failed]"), "{}", node.summary("job"));
    assert_eq!(node.phases(), [("Pending".to_owned(), 1)].into());
    assert_eq!(node.running.len(), 1, "the only place is taken");
    node.end(guest, Exit::Stopped);
    assert_eq!(node.running.len(), 1, "the other Job's turn");
    assert!(node.effects.contains(&removal));
    node.end_all(&Exit::Code(0));
    assert!(node.summary("other").contains("Complete"));
    assert_eq!(node.engine().reader().counts().guests_running, 0);
}

#[test]
fn a_finished_pod_goes_at_once_and_stays_counted() {
    let mut node = node();
    node.create(&manifest("", "Never")).unwrap();
    node.end_all(&Exit::Code(0));
    let meta = node.pods().remove(0).metadata.unwrap();
    let key = ObjectKey::new("default", meta.name);
    let wrong = Event::DeletePod { key: key.clone(), uid: "another".into(), grace_seconds: None };
    assert!(matches!(node.apply(vec![wrong]).remove(0), Err(Rejected::Precondition(_))));
    let before = node.summary("job");
    let right = Event::DeletePod { key: key.clone(), uid: meta.uid, grace_seconds: None };
    assert!(matches!(node.apply(vec![right]).remove(0), Ok(Reply::Pod(pod)) if pod.spec.is_some()));
    assert_eq!(node.summary("job"), before);
    assert_eq!(node.phases(), [].into());
    let again = Event::DeletePod { key, uid: String::new(), grace_seconds: None };
    assert!(matches!(node.apply(vec![again]).remove(0), Err(Rejected::NotFound { .. })));
}

/// A Job of this name, owned by that one.
fn owned_job(node: &mut Node, name: &str, owner: &str, more: &str) -> Result<Reply, Rejected> {
    let uid = node.job(owner).map_or("no-such-uid".to_owned(), |job| job.metadata.unwrap().uid);
    let references = format!(
        "ownerReferences: [{{apiVersion: batch/v1, kind: Job, name: {owner}, uid: {uid}, blockOwnerDeletion: true}}{more}]"
    );
    let text = manifest("", "Never").replace("{name: job}", &format!("{{name: {name}, {references}}}"));
    node.create(&text)
}

#[test]
fn a_job_goes_after_its_owner() {
    let mut node = node();
    node.create(&manifest("", "Never")).unwrap();
    owned_job(&mut node, "child", "job", "").unwrap();
    owned_job(&mut node, "grandchild", "child", "").unwrap();
    node.end_all(&Exit::Code(0));
    delete(&mut node, Propagation::Background);
    assert_eq!(node.summary("child"), "gone");
    assert_eq!(node.summary("grandchild"), "gone");
    assert_eq!(node.phases(), [].into());
}

#[test]
fn a_job_whose_owner_never_was_is_collected() {
    let mut node = node();
    owned_job(&mut node, "child", "job", "").unwrap();
    assert_eq!(node.summary("child"), "gone");
    node.stop_asked();
    assert_eq!(node.phases(), [].into());
    let elsewhere = "ownerReferences: [{apiVersion: example.com/v1, kind: Thing, name: it, uid: u1}]";
    node.create(&manifest("", "Never").replace("{name: job}", &format!("{{name: job, {elsewhere}}}")))
        .unwrap();
    assert_ne!(node.summary("job"), "gone", "what cannot be looked up is taken to be there");
}

#[test]
fn a_foreground_deletion_waits_for_owned_jobs_also_after_a_crash() {
    let mut node = node();
    node.create(&manifest("parallelism: 0", "Never")).unwrap();
    owned_job(&mut node, "child", "job", "").unwrap();
    delete(&mut node, Propagation::Foreground);
    let finalizers = |node: &mut Node, name| node.job(name).unwrap().metadata.unwrap().finalizers;
    assert_eq!(finalizers(&mut node, "job"), ["foregroundDeletion"]);
    assert_eq!(finalizers(&mut node, "child"), ["foregroundDeletion"], "it has a Pod that still runs");
    node.stop_asked();
    assert_eq!((node.summary("child"), node.summary("job")), ("gone".into(), "gone".into()));

    node.create(&manifest("parallelism: 0", "Never")).unwrap();
    owned_job(&mut node, "child", "job", "").unwrap();
    delete(&mut node, Propagation::Foreground);
    node.crash();
    node.boot();
    assert_eq!((node.summary("child"), node.summary("job")), ("gone".into(), "gone".into()));
}

#[test]
fn an_orphaned_job_has_one_owner_less() {
    let mut node = node();
    node.create(&manifest("parallelism: 0", "Never")).unwrap();
    owned_job(&mut node, "child", "job", "").unwrap();
    delete(&mut node, Propagation::Orphan);
    assert_eq!(node.summary("job"), "gone");
    assert_eq!(node.job("child").unwrap().metadata.unwrap().owner_references, []);

    let other = manifest("parallelism: 0", "Never").replace("name: job", "name: other");
    node.create(&other).unwrap();
    let uid = node.job("other").unwrap().metadata.unwrap().uid;
    let second = format!(", {{apiVersion: batch/v1, kind: Job, name: other, uid: {uid}}}");
    owned_job(&mut node, "two", "gone", &second).unwrap();
    let owners = node.job("two").unwrap().metadata.unwrap().owner_references;
    assert_eq!(owners.len(), 1, "an owner that is not there is struck off");
    assert_eq!(owners[0].name, "other");
}

#[test]
fn a_job_takes_in_pods_without_an_owner_that_it_selects() {
    for crash in [false, true] {
        let mut node = node();
        let manual = |name: &str| {
            format!(
                "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{completions: 3, parallelism: 2, \
                 manualSelector: true, selector: {{matchLabels: {{app: hello}}}}, template: {{metadata: {{labels: {{app: \
                 hello}}}}, spec: {{restartPolicy: Never, containers: [{{name: main, image: hello}}]}}}}}}}}"
            )
        };
        node.create(&manual("job")).unwrap();
        let first = *node.running.keys().next().unwrap();
        node.end(first, Exit::Code(0));
        delete(&mut node, Propagation::Orphan);
        assert_eq!(owned(&mut node), (0, 3));
        if crash {
            node.crash();
            node.boot();
        }
        let running = node.running.len();
        node.create(&manual("heir")).unwrap();
        assert_eq!(owned(&mut node).1, 0, "crash: {crash}");
        let summary = node.summary("heir");
        if crash {
            assert!(summary.contains("succeeded 1 failed 2"), "{summary}");
        } else {
            assert_eq!((running, node.running.len()), (2, 2), "what runs is its own, and enough");
            assert_eq!(summary, "active 2 ready 2 terminating 0 succeeded 1 failed 0 []");
            node.end_all(&Exit::Code(0));
            assert!(node.summary("heir").contains("succeeded 3 failed 0 [SuccessCriteriaMet Complete]"));
        }
    }
}

#[test]
fn an_image_that_lost_its_name_stays_as_long_as_a_cron_job_is_pinned_to_it() {
    let mut node = Node::new();
    let digest = |version: u32| format!("sha256:{version:064x}");
    let push = |node: &mut Node, version| {
        let image = Image { name: "hello:latest".to_owned(), digest: digest(version), ..Image::default() };
        let record = ImageRecord { image: Some(image), ..ImageRecord::default() };
        node.apply(vec![Event::ImageStored(record)]).remove(0).unwrap();
    };
    let write = |node: &mut Node, version| {
        let cron_job = Box::new(new_cron_job(&format!(
            "{{apiVersion: batch/v1, kind: CronJob, metadata: {{name: c}}, spec: {{schedule: '@daily', jobTemplate: {{spec: \
             {{template: {{spec: {{restartPolicy: Never, containers: [{{name: main, image: '{}'}}]}}}}}}}}}}}}",
            digest(version)
        )));
        node.apply(vec![Event::WriteCronJob { cron_job, mode: WriteMode::Apply, dry_run: false }])
            .remove(0)
            .unwrap();
    };
    push(&mut node, 1);
    write(&mut node, 1);
    push(&mut node, 2);
    push(&mut node, 3);
    node.crash();
    node.boot();
    push(&mut node, 4);
    let known = |node: &mut Node, version| node.engine().reader().image(&digest(version)).is_some();
    assert!(known(&mut node, 1), "the CronJob is pinned to it");
    assert!(!known(&mut node, 2), "nobody is");
    write(&mut node, 4);
    push(&mut node, 5);
    assert!(!known(&mut node, 1), "the CronJob has moved on");
    assert!(known(&mut node, 4));
}
