//! Every example does what its README says: its manifest is applied as it stands there, and its log is `expected.txt`.

use std::fs;

use serde_json::Value;
use wick_tests::{Node, programs};

/// How an example ends.
enum End {
    Complete,
    Failed,
}

/// Runs an example to its end, and holds what its guest wrote against `expected.txt`.
fn check(manifest: &str, job: &str, end: End, exit: (i64, &str)) -> Node {
    let node = Node::start();
    assert_eq!(node.apply_file(&programs::example(manifest)), format!("job.batch/{job} created\n"));
    let (succeeded, failed) = match end {
        End::Complete => {
            node.complete(job);
            (1, 0)
        }
        End::Failed => {
            node.failed(job);
            (0, 1)
        }
    };
    assert_eq!(node.logs(job), expected(manifest));
    let status = &node.json(&["get", "job", job])["status"];
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    assert_eq!((count("succeeded"), count("failed"), count("active")), (succeeded, failed, 0), "{status:#}");
    assert_eq!(last_exit(&node.pod(job)), exit);
    node
}

fn expected(manifest: &str) -> String {
    let dir = manifest.split_once('/').map_or(manifest, |(dir, _)| dir);
    fs::read_to_string(programs::example(&format!("{dir}/expected.txt"))).unwrap()
}

/// Exit code and reason of the Pod's only container.
fn last_exit(pod: &Value) -> (i64, &str) {
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    (ended["exitCode"].as_i64().unwrap_or(-1), ended["reason"].as_str().unwrap_or("none"))
}

#[test]
fn hello_is_a_module() {
    check("hello/job.yaml", "hello", End::Complete, (0, "Completed"));
}

#[test]
fn hello_component_is_a_component() {
    let node = check("hello-component/job.yaml", "hello-component", End::Complete, (0, "Completed"));
    assert!(node.done(&["get", "images"]).contains("component"));
}

#[test]
fn wat_is_pushed_as_text_and_kept_as_a_module() {
    let node = check("wat/job.yaml", "hello-wat", End::Complete, (0, "Completed"));
    assert!(node.done(&["get", "images"]).contains("module"));
}

#[test]
fn countdown_takes_its_time() {
    check("countdown/job.yaml", "countdown", End::Complete, (0, "Completed"));
}

#[test]
fn flaky_fails_once_and_finds_its_volume_again() {
    let node = check("flaky/job.yaml", "flaky", End::Complete, (0, "Completed"));
    assert_eq!(node.done(&["logs", "--previous", "job/flaky"]), "start 1 of 2: failing\n");
    let pod = node.pod("flaky");
    let container = &pod["status"]["containerStatuses"][0];
    assert_eq!(container["restartCount"], 1);
    assert_eq!(container["lastState"]["terminated"]["exitCode"], 1);
    assert_eq!(container["lastState"]["terminated"]["reason"], "Error");
}

#[test]
fn spin_ends_at_its_deadline() {
    let node = Node::start();
    node.apply_file(&programs::example("spin/job.yaml"));
    // Its Pod goes with the deadline, so the log is read while it runs; following ends with the Job.
    assert_eq!(node.done(&["logs", "-f", "job/spin"]), expected("spin/job.yaml"));
    node.failed("spin");
    let job = node.json(&["get", "job", "spin"]);
    let failed = job["status"]["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Failed");
    let failed = failed.unwrap_or_else(|| panic!("{job:#}"));
    assert_eq!(failed["reason"], "DeadlineExceeded");
    assert_eq!(failed["message"], "Job was active longer than specified deadline");
    assert_eq!(job["status"]["failed"], 1);
}

#[test]
fn spin_runs_out_of_fuel() {
    check("spin/fuel.yaml", "spin-fuel", End::Failed, (152, "OutOfFuel"));
}

#[test]
fn hog_is_killed_at_its_memory_limit() {
    check("hog/job.yaml", "hog", End::Failed, (137, "OOMKilled"));
}

#[test]
fn crash_traps_and_its_status_names_the_trap() {
    let node = check("crash/job.yaml", "crash", End::Failed, (134, "Trap"));
    let pod = node.pod("crash");
    let message = &pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"];
    assert!(message.as_str().unwrap_or_default().starts_with("UnreachableCodeReached: "), "{message}");
}

#[test]
fn work_says_when_each_of_its_ten_guests_began_and_ended() {
    let node = Node::start();
    node.apply_file(&programs::example("work/job.yaml"));
    node.complete("work");
    let log = node.logs("work");
    for what in ["start work-", "end work-"] {
        assert_eq!(log.lines().filter(|line| line.starts_with(what)).count(), 10, "{log}");
    }
}
