//! Pods of several containers, with real guests: init containers, sidecars, rules of restart, and what they are told.

use serde_json::{Value, json};
use wick_tests::{Node, manifest, plain, programs};

/// A container that runs this guest.
fn container(name: &str, image: &std::path::Path) -> Value {
    json!({"name": name, "image": image.to_str().unwrap()})
}

/// Gives the containers a volume of their Pod's at /state.
fn share(job: &mut Value) {
    let pod = manifest::pod(job);
    pod["volumes"] = json!([{"name": "state", "emptyDir": {}}]);
    for list in ["initContainers", "containers"] {
        for container in pod[list].as_array_mut().into_iter().flatten() {
            container["volumeMounts"] = json!([{"name": "state", "mountPath": "/state"}]);
        }
    }
}

/// `flaky` succeeds from its start number N in this Pod on: it counts them in the volume.
fn flaky(name: &str, succeed_on_start: u32) -> Value {
    let mut flaky = container(name, &programs::guest("flaky"));
    flaky["env"] = json!([{"name": "SUCCEED_ON_START", "value": succeed_on_start.to_string()}]);
    flaky
}

fn logs(node: &Node, job: &str, container: &str) -> String {
    node.done(&["logs", &format!("job/{job}"), "-c", container])
}

#[test]
fn init_containers_work_one_after_the_other_and_leave_what_they_did_to_the_others() {
    let node = Node::start();
    let mut job = manifest::job("chain", programs::own_guest("nothing"));
    manifest::pod(&mut job)["initContainers"] = json!([flaky("first", 1), flaky("second", 2)]);
    manifest::pod(&mut job)["containers"] = json!([flaky("main", 3)]);
    share(&mut job);
    node.apply(&job);
    node.complete("chain");
    assert_eq!(logs(&node, "chain", "first"), "start 1 of 1: done\n");
    assert_eq!(logs(&node, "chain", "second"), "start 2 of 2: done\n");
    assert_eq!(logs(&node, "chain", "main"), "start 3 of 3: done\n");
    let shown = node.done(&["get", "pods"]);
    assert!(shown.contains("0/1") && shown.contains("Completed"), "{shown}");
}

#[test]
fn a_failed_init_container_fails_its_pod_and_the_others_never_start() {
    let node = Node::start();
    let mut job = manifest::job("early", programs::own_guest("nothing"));
    manifest::pod(&mut job)["initContainers"] = json!([container("first", &programs::own_guest("exit_3"))]);
    node.apply(&job);
    node.failed("early");
    let status = &node.pod("early")["status"];
    assert_eq!(status["phase"], "Failed");
    assert_eq!(status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"], 3);
    assert_eq!(status["containerStatuses"][0]["state"]["waiting"]["reason"], "PodInitializing");
    let shown = node.done(&["get", "pods"]);
    assert!(shown.contains("Init:Error"), "{shown}");
}

#[test]
fn a_sidecar_runs_beside_the_others_and_does_not_hold_the_pod_back() {
    let node = Node::start();
    let mut job = manifest::work("beside", 50);
    let mut sidecar = container("side", &programs::guest("work"));
    sidecar["restartPolicy"] = "Always".into();
    sidecar["env"] = json!([{"name": "WORK_MS", "value": "600000"}]);
    manifest::pod(&mut job)["initContainers"] = json!([sidecar]);
    node.apply(&job);
    node.complete("beside");
    let status = &node.pod("beside")["status"];
    assert_eq!(status["phase"], "Succeeded");
    let stopped = &status["initContainerStatuses"][0]["state"]["terminated"];
    assert_eq!((&stopped["exitCode"], &stopped["reason"]), (&137.into(), &"Stopped".into()));
    assert!(logs(&node, "beside", "side").starts_with("start "));
    let ended = &status["containerStatuses"][0]["state"]["terminated"]["finishedAt"];
    assert!(stopped["finishedAt"].as_str() >= ended.as_str(), "{status:#}");
}

#[test]
fn a_containers_rule_restarts_it_in_a_pod_that_restarts_nothing() {
    let node = Node::start();
    let mut job = manifest::job("again", programs::own_guest("nothing"));
    let mut main = flaky("main", 2);
    main["restartPolicy"] = "Never".into();
    main["restartPolicyRules"] =
        json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]);
    manifest::pod(&mut job)["containers"] = json!([main]);
    share(&mut job);
    node.apply(&job);
    node.complete("again");
    let status = &node.pod("again")["status"]["containerStatuses"][0];
    assert_eq!(status["restartCount"], 1);
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 1);
}

#[test]
fn a_rule_restarts_all_containers_from_the_first_init_container_on() {
    let node = Node::start();
    let mut job = manifest::job("all", programs::own_guest("nothing"));
    let mut main = flaky("main", 4);
    main["restartPolicy"] = "Never".into();
    main["restartPolicyRules"] =
        json!([{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [1]}}]);
    manifest::pod(&mut job)["initContainers"] = json!([flaky("first", 1)]);
    manifest::pod(&mut job)["containers"] = json!([main]);
    share(&mut job);
    node.apply(&job);
    node.complete("all");
    let status = &node.pod("all")["status"];
    assert_eq!(status["initContainerStatuses"][0]["restartCount"], 1);
    assert_eq!(status["containerStatuses"][0]["restartCount"], 1);
    assert_eq!(logs(&node, "all", "first"), "start 3 of 1: done\n");
}

#[test]
fn an_indexed_jobs_containers_find_their_index() {
    let node = Node::start();
    let mut job = manifest::job("array", programs::own_guest("environment"));
    job["spec"]["completionMode"] = "Indexed".into();
    job["spec"]["completions"] = 1.into();
    let init = container("first", &programs::own_guest("environment"));
    manifest::pod(&mut job)["initContainers"] = json!([init]);
    node.apply(&job);
    node.complete("array");
    for container in ["first", "main"] {
        let said = plain(&logs(&node, "array", container), &["array"]);
        assert!(said.ends_with("HOSTNAME=array-0\nJOB_COMPLETION_INDEX=0\n"), "{container}: {said}");
    }
}

#[test]
fn a_guest_can_be_told_its_limits() {
    let node = Node::start();
    let mut job = manifest::job("limits", programs::own_guest("environment"));
    let of = |name: &str, resource: &str, divisor: &str| {
        let reference = json!({"resource": resource, "divisor": divisor});
        json!({"name": name, "valueFrom": {"resourceFieldRef": reference}})
    };
    let main = manifest::container(&mut job);
    main["resources"] = json!({"limits": {"memory": "100M", "cpu": "250m"}});
    main["env"] = json!([of("MEMORY", "limits.memory", "1Mi"), of("CPU", "requests.cpu", "1m")]);
    node.apply(&job);
    node.complete("limits");
    let said = node.logs("limits");
    assert!(said.ends_with("MEMORY=96\nCPU=250\n"), "{said}");
}
