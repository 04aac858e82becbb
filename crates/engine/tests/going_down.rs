//! Going down: nothing new begins, what ends is recorded, and what still runs is found interrupted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod common;

use common::{Node, manifest, new_job};
use engine::{Event, ObjectKey, Propagation, Rejected, WriteMode};
use sched::{Exit, Millis};

fn draining(spec: &str, restart_policy: &str) -> Node {
    let mut node = Node::new();
    node.push_image("hello");
    node.create(&manifest(spec, restart_policy)).unwrap();
    node
}

#[test]
fn the_guests_that_run_are_named_with_their_grace() {
    let mut node = draining("completions: 5, parallelism: 2", "Never");
    let running: Vec<_> = node.running.keys().copied().collect();
    let told = node.engine().drain();
    assert_eq!(told, running.into_iter().map(|guest| (guest, Millis::from_secs(30))).collect::<Vec<_>>());
}

#[test]
fn an_end_is_recorded_but_no_pod_takes_its_place_until_the_next_start() {
    let mut node = draining("completions: 5, parallelism: 2", "Never");
    node.engine().drain();
    let first = *node.running.keys().next().unwrap();
    node.end(first, Exit::Code(0));
    assert_eq!(node.running.len(), 1);
    assert_eq!(node.job("job").unwrap().status.unwrap().succeeded, 1);
    node.crash();
    node.boot();
    assert_eq!(node.running.len(), 2);
    assert_eq!(node.summary("job"), "active 2 ready 2 terminating 0 succeeded 1 failed 1 []");
}

#[test]
fn a_container_that_fails_is_started_again_only_at_the_next_start() {
    let mut node = draining("", "OnFailure");
    node.wait(1000);
    node.engine().drain();
    node.end_all(&Exit::Code(3));
    assert_eq!(node.running.len(), 0);
    if let Some(at) = node.next_wake() {
        node.wait(at.0 - node.now);
    }
    assert_eq!(node.running.len(), 0);
    node.crash();
    node.now += 3_600_000;
    node.boot();
    let restarts: Vec<_> = node.running.keys().map(|guest| guest.restarts).collect();
    assert_eq!(restarts, [1]);
    let status = node.pods()[0].status.clone().unwrap().container_statuses[0].clone();
    assert_eq!(
        status.last_state.unwrap().terminated.unwrap().exit_code,
        3,
        "its own end, not an interruption"
    );
}

#[test]
fn new_work_is_refused_and_what_is_there_can_go() {
    let mut node = draining("", "Never");
    node.engine().drain();
    let job = new_job(&manifest("", "Never").replace("name: job", "name: other"));
    let create = |dry_run| Event::CreateJob { job: Box::new(job.clone()), mode: WriteMode::Create, dry_run };
    assert_eq!(node.apply(vec![create(false)]).remove(0).unwrap_err(), Rejected::GoingDown);
    node.apply(vec![create(true)]).remove(0).unwrap();
    let key = ObjectKey::new("default", "job");
    node.apply(vec![Event::DeleteJob { key, uid: String::new(), propagation: Propagation::Background }])
        .remove(0)
        .unwrap();
    assert_eq!(node.summary("job"), "gone");
}
