//! Pods with more than their one container, on the real engine: what is stored of them is enough to go on from.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod common;

use common::Node;
use engine::{Effect, Event, GuestId, ObjectKey};
use expect_test::{Expect, expect};
use sched::Exit;
use sched::pod::{SetCondition, Status};

/// A Job named `job` with this Pod; all images are there.
fn node_with(restart_policy: &str, pod: &str) -> Node {
    let mut node = Node::new();
    node.push_image("hello");
    node.create(&format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: job}}, spec: {{backoffLimit: 50, template: {{spec: \
         {{restartPolicy: {restart_policy}, terminationGracePeriodSeconds: 5, {pod}}}}}}}}}"
    ))
    .unwrap();
    node
}

const SIDECAR: &str = "initContainers: [{name: first, image: hello}, {name: side, image: hello, restartPolicy: Always}], \
                       containers: [{name: main, image: hello}]";

/// The guest that runs in this container.
fn guest(node: &Node, container: &str) -> GuestId {
    let found = node.running.iter().find(|(_, start)| start.container == container);
    *found.unwrap_or_else(|| panic!("`{container}` does not run")).0
}

fn end(node: &mut Node, container: &str, code: u8) {
    let guest = guest(node, container);
    node.end(guest, Exit::Code(code));
}

/// The Pod's phase and conditions, and of each container, init containers first, what it does.
fn told(node: &mut Node) -> String {
    let Some(pod) = node.pods().pop() else { return "no Pod".into() };
    let status = pod.status.unwrap();
    let mut told = vec![status.phase];
    let conditions = status.conditions.iter().filter(|condition| condition.status == "True");
    told.extend(conditions.map(|condition| condition.r#type.clone()));
    let mut lines = vec![told.join(" ")];
    for container in status.init_container_statuses.iter().chain(&status.container_statuses) {
        let state = container.state.clone().unwrap();
        let state = match (state.waiting, state.running, state.terminated) {
            (Some(waiting), _, _) => waiting.reason,
            (_, Some(_), _) => "Running".into(),
            (_, _, Some(ended)) => format!("{} {}", ended.reason, ended.exit_code),
            (None, None, None) => "nothing".into(),
        };
        let ready = if container.ready { " ready" } else { "" };
        lines.push(format!("  {} {state} x{}{ready}", container.name, container.restart_count));
    }
    lines.join("\n")
}

fn check(node: &mut Node, wanted: Expect) {
    wanted.assert_eq(&told(node));
}

#[test]
fn init_containers_and_sidecars_have_their_turn_and_their_statuses() {
    let mut node = node_with("Never", SIDECAR);
    check(
        &mut node,
        expect![[r#"
        Pending PodScheduled PodReadyToStartContainers
          first Running x0
          side PodInitializing x0
          main PodInitializing x0"#]],
    );
    end(&mut node, "first", 0);
    check(
        &mut node,
        expect![[r#"
        Running PodScheduled PodReadyToStartContainers Initialized ContainersReady Ready
          first Completed 0 x0 ready
          side Running x0 ready
          main Running x0 ready"#]],
    );
    end(&mut node, "main", 0);
    assert_eq!(node.effects, [Effect::Stop(guest(&node, "side"))]);
    assert_eq!(node.summary("job"), "active 1 ready 0 terminating 0 succeeded 0 failed 0 []");
    end(&mut node, "side", 143);
    check(
        &mut node,
        expect![[r#"
        Succeeded PodScheduled Initialized
          first Completed 0 x0 ready
          side Error 143 x0
          main Completed 0 x0"#]],
    );
    assert_eq!(
        node.summary("job"),
        "active 0 ready 0 terminating 0 succeeded 1 failed 0 [SuccessCriteriaMet Complete]"
    );
}

#[test]
fn what_is_stored_is_enough_to_go_on_after_a_crash() {
    let mut node = node_with("OnFailure", SIDECAR);
    end(&mut node, "first", 0);
    node.crash();
    node.boot();
    check(
        &mut node,
        expect![[r#"
        Pending PodScheduled PodReadyToStartContainers
          first Running x1
          side ContainerStatusUnknown 137 x0
          main ContainerStatusUnknown 137 x0"#]],
    );
    end(&mut node, "first", 0);
    check(
        &mut node,
        expect![[r#"
        Running PodScheduled PodReadyToStartContainers Initialized ContainersReady Ready
          first Completed 0 x1 ready
          side Running x1 ready
          main Running x1 ready"#]],
    );
}

#[test]
fn a_pod_whose_work_is_done_stays_done_when_the_device_goes_down_under_its_sidecar() {
    let mut node = node_with("Never", SIDECAR);
    end(&mut node, "first", 0);
    end(&mut node, "main", 0);
    node.crash();
    node.boot();
    check(
        &mut node,
        expect![[r#"
        Succeeded PodScheduled Initialized
          first Completed 0 x0 ready
          side ContainerStatusUnknown 137 x0
          main Completed 0 x0"#]],
    );
}

#[test]
fn all_containers_start_again_also_when_the_device_goes_down_in_between() {
    let rules = "restartPolicy: Never, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [88]}}]";
    let mut node = node_with(
        "Never",
        &format!(
            "initContainers: [{{name: first, image: hello}}], \
             containers: [{{name: main, image: hello, {rules}}}, {{name: other, image: hello}}]"
        ),
    );
    end(&mut node, "first", 0);
    end(&mut node, "main", 88);
    assert_eq!(node.effects, [Effect::Kill(guest(&node, "other"))]);
    check(
        &mut node,
        expect![[r#"
        Running PodScheduled PodReadyToStartContainers Initialized AllContainersRestarting
          first Completed 0 x0 ready
          main Error 88 x0
          other Running x0 ready"#]],
    );
    node.crash();
    node.boot();
    check(
        &mut node,
        expect![[r#"
        Pending PodScheduled PodReadyToStartContainers
          first Running x1
          main PodInitializing x0
          other PodInitializing x0"#]],
    );
    end(&mut node, "first", 0);
    end(&mut node, "main", 0);
    end(&mut node, "other", 0);
    check(
        &mut node,
        expect![[r#"
        Succeeded PodScheduled Initialized
          first Completed 0 x1 ready
          main Completed 0 x1
          other Completed 0 x1"#]],
    );
}

#[test]
fn an_init_container_needs_no_room_beside_those_that_come_after_it() {
    // 3 cores of 4: together they do not fit, one after the other they do.
    let cpu = "resources: {requests: {cpu: '3'}}";
    let mut node = node_with(
        "Never",
        &format!(
            "initContainers: [{{name: first, image: hello, {cpu}}}], containers: [{{name: main, image: hello, {cpu}}}]"
        ),
    );
    end(&mut node, "first", 0);
    end(&mut node, "main", 0);
    check(
        &mut node,
        expect![[r#"
        Succeeded PodScheduled Initialized
          first Completed 0 x0 ready
          main Completed 0 x0"#]],
    );
}

#[test]
fn a_condition_that_was_set_stays_over_a_restart() {
    let mut node = node_with("OnFailure", "containers: [{name: main, image: hello}]");
    let name = node.pods()[0].metadata.clone().unwrap().name;
    let condition =
        SetCondition { kind: "example.com/x".into(), status: Status::True, reason: "Test".into() };
    let set = |name: &str| Event::SetPodCondition {
        key: ObjectKey::new("default", name),
        condition: condition.clone(),
    };
    assert!(node.apply(vec![set("none")])[0].is_err());
    node.apply(vec![set(&name)]).remove(0).unwrap();
    check(
        &mut node,
        expect![[r#"
        Running PodScheduled PodReadyToStartContainers Initialized ContainersReady Ready example.com/x
          main Running x0 ready"#]],
    );
    node.crash();
    node.boot();
    check(
        &mut node,
        expect![[r#"
        Running PodScheduled PodReadyToStartContainers Initialized ContainersReady Ready example.com/x
          main Running x1 ready"#]],
    );
}

/// A Job of this name whose Pod asks for the whole node.
fn whole(name: &str, pod: &str) -> String {
    format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{template: {{spec: {{restartPolicy: Never, \
         {pod} containers: [{{name: main, image: hello, resources: {{requests: {{cpu: '4'}}}}}}]}}}}}}}}"
    )
}

#[test]
fn important_pods_are_let_in_before_older_ones() {
    let mut node = Node::new();
    node.push_image("hello");
    for (name, class) in
        [("a", ""), ("b", ""), ("c", "system-cluster-critical"), ("d", "system-node-critical")]
    {
        let class = if class.is_empty() { String::new() } else { format!("priorityClassName: {class},") };
        node.create(&whole(name, &class)).unwrap();
    }
    let mut order = Vec::new();
    while let Some(start) = node.running.values().next() {
        assert_eq!(node.running.len(), 1);
        order.push(start.pod[..1].to_owned());
        node.end_all(&Exit::Code(0));
    }
    assert_eq!(order, ["a", "d", "c", "b"]);
    let priorities: Vec<_> = node.pods().iter().map(|pod| pod.spec.clone().unwrap().priority).collect();
    assert_eq!(priorities, [None, None, Some(2_000_000_000), Some(2_000_001_000)]);
}

#[test]
fn a_class_that_does_not_exist_makes_no_pod_and_the_job_waits() {
    let mut node = Node::new();
    node.push_image("hello");
    node.create(&whole("job", "priorityClassName: mine,")).unwrap();
    assert_eq!(node.pods().len(), 0);
    assert_eq!(node.summary("job"), "active 0 ready 0 terminating 0 succeeded 0 failed 0 []");
    let (events, _) = node.engine().reader().events("");
    let told: Vec<_> = events.iter().map(|event| format!("{}: {}", event.reason, event.message)).collect();
    expect!["FailedCreate: Error creating: no PriorityClass with name mine was found"]
        .assert_eq(&told.join("\n"));
}

#[test]
fn a_pod_waits_for_labels_its_node_does_not_have_and_keeps_no_other_waiting() {
    let mut node = Node::new();
    node.push_image("hello");
    node.create(&whole("a", "nodeSelector: {disk: ssd},")).unwrap();
    assert!(node.running.is_empty());
    let condition = node.pods()[0].status.clone().unwrap().conditions[0].clone();
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "Unschedulable"));
    expect!["0/1 nodes are available: it does not have the labels of the Pod's nodeSelector"]
        .assert_eq(&condition.message);
    node.create(&whole("b", "nodeSelector: {kubernetes.io/os: linux},")).unwrap();
    assert_eq!(node.running.len(), 1);
}
