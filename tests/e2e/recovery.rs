//! What becomes of guests that were running when the agent went down.

use api::pb::k8s::core::v1::{ContainerStateTerminated, Pod};
use serde_json::Value;
use wick_tests::{Node, manifest, name_of, phase, programs, restarts};

/// A Job whose guests would take ten minutes.
fn long_job(name: &str, pods: u32, policy: &str) -> Value {
    let mut job = manifest::endless(name);
    job["spec"]["completions"] = pods.into();
    job["spec"]["parallelism"] = pods.into();
    job["spec"]["backoffLimit"] = 6.into();
    manifest::pod(&mut job)["restartPolicy"] = policy.into();
    job
}

fn names(pods: &[Pod]) -> Vec<&str> {
    pods.iter().map(name_of).collect()
}

fn ended(pod: &Pod) -> &ContainerStateTerminated {
    let container = &pod.status.as_ref().unwrap().container_statuses[0];
    let state = container.state.as_ref().unwrap();
    let last = || container.last_state.as_ref()?.terminated.as_ref();
    state.terminated.as_ref().or_else(last).unwrap_or_else(|| panic!("nothing ended: {pod:#?}"))
}

fn check_interrupted(pod: &Pod) {
    let ended = ended(pod);
    assert_eq!((ended.exit_code, ended.reason.as_str()), (137, "ContainerStatusUnknown"), "{pod:#?}");
}

fn finished_at(pod: &Pod) -> i64 {
    ended(pod).finished_at.as_ref().unwrap().seconds
}

fn created_at(pod: &Pod) -> i64 {
    pod.metadata.as_ref().unwrap().creation_timestamp.as_ref().unwrap().seconds
}

#[test]
fn a_pod_that_is_never_restarted_fails_as_on_a_rebooted_node_and_is_replaced_at_once() {
    let mut node = Node::start();
    node.apply(&long_job("never", 2, "Never"));
    let before = node.running_pods("never", 2);
    node.kill();
    node.boot();

    let running = |pods: &[Pod]| pods.iter().filter(|pod| phase(pod) == "Running").count();
    let after = node.pods_when("never", |pods| pods.len() == 4 && running(pods) == 2);
    let (old, new): (Vec<Pod>, Vec<Pod>) =
        after.into_iter().partition(|pod| names(&before).contains(&name_of(pod)));
    assert_eq!(names(&old), names(&before));
    for pod in &old {
        assert_eq!(phase(pod), "Failed");
        check_interrupted(pod);
        let conditions = &pod.status.as_ref().unwrap().conditions;
        let target = conditions.iter().find(|condition| condition.r#type == "DisruptionTarget");
        assert_eq!(target.map(|condition| condition.status.as_str()), Some("True"), "{conditions:#?}");
    }
    // A failure of the guests' own would have cost 10 s, two of them 20.
    let interrupted = old.iter().map(finished_at).max().unwrap();
    for pod in &new {
        let waited = created_at(pod) - interrupted;
        assert!(waited < 10, "{} was made {waited} s after the interruption", name_of(pod));
    }
    let job = node.job_when("never", |job| job.status.as_ref().is_some_and(|status| status.failed == 2));
    assert_eq!(job.status.unwrap().active, 2);
}

#[test]
fn an_interruption_counts_towards_the_backoff_limit() {
    let mut node = Node::start();
    let mut job = long_job("once", 1, "Never");
    job["spec"]["backoffLimit"] = 0.into();
    node.apply(&job);
    node.running_pods("once", 1);
    node.kill();
    node.boot();
    node.failed("once");
    let job = node.json(&["get", "job", "once"]);
    assert_eq!(job["status"]["failed"], 1);
    assert_eq!(job["status"]["conditions"][1]["reason"], "BackoffLimitExceeded", "{job:#}");
}

#[test]
fn a_container_that_is_restarted_on_failure_starts_again_in_its_pod() {
    let mut node = Node::start();
    node.apply(&long_job("again", 2, "OnFailure"));
    let before = node.running_pods("again", 2);
    // What each has written until then is the log of its previous run afterwards.
    let lines: Vec<String> = before.iter().map(|pod| first_line(&node, name_of(pod)) + "\n").collect();
    node.kill();
    node.boot();

    let after =
        node.pods_when("again", |pods| pods.iter().all(|pod| phase(pod) == "Running" && restarts(pod) == 1));
    assert_eq!(names(&after), names(&before));
    for (pod, line) in after.iter().zip(&lines) {
        check_interrupted(pod);
        assert_eq!(&node.done(&["logs", "--previous", name_of(pod)]), line);
    }
    let job = node.json(&["get", "job", "again"]);
    assert_eq!((&job["status"]["active"], &job["status"]["failed"]), (&2.into(), &Value::Null), "{job:#}");
}

#[test]
fn a_clean_stop_lets_guests_come_to_their_end() {
    let mut node = Node::start_with(&["--drain-seconds", "25"]);
    node.apply(&manifest::work("soon", 500));
    let before = node.running_pods("soon", 1);
    node.stop();
    assert!(!node.socket().exists(), "a clean stop leaves its socket behind");
    node.boot();
    node.complete("soon");
    let pod = node.pod("soon");
    assert_eq!(pod["metadata"]["name"], name_of(&before[0]));
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0, "{pod:#}");
}

#[test]
fn a_clean_stop_that_cannot_wait_interrupts_guests_and_loses_nothing() {
    let mut node = Node::start();
    node.apply(&long_job("stopped", 1, "OnFailure"));
    let before = node.running_pods("stopped", 1);
    node.stop();
    node.boot();
    let after = node
        .pods_when("stopped", |pods| pods.iter().all(|pod| phase(pod) == "Running" && restarts(pod) == 1));
    assert_eq!(names(&after), names(&before));
    check_interrupted(&after[0]);
}

#[test]
fn a_deadline_goes_on_over_a_restart() {
    let mut node = Node::start();
    let mut job = long_job("late", 1, "OnFailure");
    job["spec"]["activeDeadlineSeconds"] = 3.into();
    node.apply(&job);
    node.running_pods("late", 1);
    node.kill();
    node.boot();
    node.failed("late");
    let job = node.json(&["get", "job", "late"]);
    assert_eq!(job["status"]["conditions"][1]["reason"], "DeadlineExceeded", "{job:#}");
}

#[test]
fn a_container_that_backs_off_goes_on_backing_off_after_a_restart() {
    let mut node = Node::start();
    let mut job = manifest::job("backs-off", programs::own_guest("exit_3"));
    manifest::pod(&mut job)["restartPolicy"] = "OnFailure".into();
    job["spec"]["backoffLimit"] = 6.into();
    node.apply(&job);
    let waiting = |pod: &Pod| {
        let container = pod.status.as_ref()?.container_statuses.first()?;
        Some(container.state.as_ref()?.waiting.as_ref()?.reason.clone())
    };
    let backs_off = |pod: &Pod| restarts(pod) == 1 && waiting(pod).as_deref() == Some("CrashLoopBackOff");
    let before = node.pods_when("backs-off", |pods| pods.iter().any(backs_off));
    node.kill();
    node.boot();
    let after = node
        .pods_when("backs-off", |pods| pods.iter().all(|pod| restarts(pod) == 2 && waiting(pod).is_some()));
    assert_eq!(names(&after), names(&before));
    // 10 s, between times that are recorded in whole seconds.
    let waited = ended(&after[0]).started_at.as_ref().unwrap().seconds - finished_at(&before[0]);
    assert!(waited >= 9, "it was started again after {waited} s");
}

#[test]
fn a_deletion_that_was_answered_is_done_although_the_agent_dies_at_once() {
    let mut node = Node::start();
    for foreground in [false, true] {
        let cascade = if foreground { "foreground" } else { "background" };
        let name = format!("doomed-{cascade}");
        node.apply(&long_job(&name, 3, "OnFailure"));
        node.running_pods(&name, 3);
        let how = format!("--cascade={cascade}");
        node.done(&["delete", &format!("job/{name}"), &how, "--wait=false"]);
        node.kill();
        node.boot();
        node.gone(&format!("job/{name}"));
        node.pods_when(&name, |pods| pods.is_empty());
    }
    // What they had on disk goes with the next start at the latest.
    node.stop();
    node.boot();
    assert_eq!(node.of_pods(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn what_was_finished_stays_as_it_was() {
    let mut node = Node::start();
    node.apply_file(&programs::example("hello/job.yaml"));
    node.apply_file(&programs::example("crash/job.yaml"));
    node.complete("hello");
    node.failed("crash");
    let look =
        |node: &Node| ["jobs", "pods", "images"].map(|kind| node.json(&["get", kind])["items"].clone());
    let before = look(&node);
    let logs = node.logs("hello");
    for clean in [false, true] {
        if clean {
            node.stop()
        } else {
            node.kill()
        }
        node.boot();
        assert_eq!(look(&node), before, "after a {} stop", if clean { "clean" } else { "hard" });
        assert_eq!(node.logs("hello"), logs);
    }
}

/// Waits until the Pod has written something, by following its log.
fn first_line(node: &Node, pod: &str) -> String {
    node.block_on(async { node.client().await.first_line(pod).await })
}
