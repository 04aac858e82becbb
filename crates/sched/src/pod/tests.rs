//! Stories of Pods: here those of ordinary containers.

mod init;
mod properties;

use expect_test::{Expect, expect};

use super::*;

/// A Pod the node has taken, with such containers and all their images.
fn of(restart_policy: RestartPolicy, roles: &[Role]) -> Pod {
    let policy = match restart_policy {
        RestartPolicy::Never => Policy::Never,
        RestartPolicy::OnFailure => Policy::OnFailure,
    };
    let container = |role: &Role| {
        let policy = if *role == Role::Sidecar { Policy::Always } else { policy };
        Container { image_present: true, ..Container::new(*role, Restart::by(policy)) }
    };
    let mut pod = Pod::new(restart_policy, 1, roles.iter().map(container).collect());
    pod.started = Some(Now::at(0));
    pod
}

fn pod(restart_policy: RestartPolicy, containers: usize) -> Pod {
    of(restart_policy, &vec![Role::App; containers])
}

fn state(container: &Container) -> String {
    let state = match &container.state {
        State::Waiting(Waiting::Backoff(until)) => format!("backoff until {}s", until.0 / 1000),
        State::Waiting(Waiting::Image(ImageWait::Tried(_))) => "image tried".into(),
        State::Waiting(Waiting::Image(_)) => "image".into(),
        State::Waiting(Waiting::Creating) => "creating".into(),
        State::Running { .. } => "running".into(),
        State::Stopping { .. } => "stopping".into(),
        State::Ended(ended) => format!("ended {}", ended.exit.reason()),
    };
    format!("{state} x{}", container.restarts)
}

/// At this second, this happens to the Pod.
type Chapter<'a> = (i64, &'a dyn Fn(&mut Pod, Now));

/// Lives through `story`: at each second something happens (or nothing) and the Pod is reconciled; tells what it saw.
fn check(mut pod: Pod, story: &[Chapter<'_>], expected: Expect) {
    let mut told = String::new();
    for (second, happens) in story {
        let now = Now::at(second * 1000);
        happens(&mut pod, now);
        let plan = reconcile(&pod, Starts::Allowed, now);
        let again = reconcile(&plan.next, Starts::Allowed, now);
        assert_eq!((&again.next, again.steps), (&plan.next, vec![]), "asking again changes and asks nothing");
        let containers: Vec<_> = plan.next.containers.iter().map(state).collect();
        let wake = plan.wake.map_or(String::new(), |wake| format!(" wake {}s", wake.0 / 1000));
        let remove = if plan.remove { " remove" } else { "" };
        told += &format!(
            "{second}s {:?} {} {:?}{wake}{remove}\n",
            plan.next.phase,
            containers.join(", "),
            plan.steps
        );
        pod = plan.next;
    }
    expected.assert_eq(&told);
}

fn nothing(_: &mut Pod, _: Now) {}

/// The running guest of container `index` exits with `code`.
fn exits(index: usize, code: u8) -> impl Fn(&mut Pod, Now) {
    move |pod, now| {
        let restarts = pod.containers[index].restarts;
        assert!(pod.ended(index, restarts, Exit::Code(code), now));
    }
}

const INIT: Role = Role::Init;
const SIDECAR: Role = Role::Sidecar;
const APP: Role = Role::App;

fn deleted(pod: &mut Pod, now: Now) {
    pod.delete(None, now);
}

fn cut(pod: &mut Pod, now: Now) {
    assert!(pod.interrupt(now));
}

#[test]
fn waits_until_the_node_takes_it() {
    let mut waiting = pod(RestartPolicy::Never, 1);
    waiting.started = None;
    check(
        waiting,
        &[(0, &nothing)],
        expect![[r#"
        0s Pending creating x0 []
    "#]],
    );
}

#[test]
fn succeeds_when_every_container_exits_zero() {
    check(
        pod(RestartPolicy::Never, 2),
        &[(0, &nothing), (1, &exits(1, 0)), (2, &exits(0, 0))],
        expect![[r#"
            0s Running running x0, running x0 [Start(0), Start(1)]
            1s Running running x0, ended Completed x0 []
            2s Succeeded ended Completed x0, ended Completed x0 []
        "#]],
    );
}

#[test]
fn with_never_fails_once_all_have_ended() {
    check(
        pod(RestartPolicy::Never, 2),
        &[(0, &nothing), (1, &exits(1, 3)), (2, &exits(0, 0))],
        expect![[r#"
            0s Running running x0, running x0 [Start(0), Start(1)]
            1s Running running x0, ended Error x0 []
            2s Failed(Containers) ended Completed x0, ended Error x0 []
        "#]],
    );
}

#[test]
fn restarts_at_once_then_after_ten_seconds_then_twenty() {
    check(
        pod(RestartPolicy::OnFailure, 1),
        &[
            (0, &nothing),
            (1, &exits(0, 1)),
            (2, &exits(0, 1)),
            (11, &nothing),
            (12, &nothing),
            (13, &exits(0, 1)),
            (33, &nothing),
            (34, &exits(0, 0)),
        ],
        expect![[r#"
            0s Running running x0 [Start(0)]
            1s Running running x1 [Start(0)]
            2s Running backoff until 12s x1 [BackOff(0)] wake 12s
            11s Running backoff until 12s x1 [] wake 12s
            12s Running running x2 [Start(0)]
            13s Running backoff until 33s x2 [BackOff(0)] wake 33s
            33s Running running x3 [Start(0)]
            34s Succeeded ended Completed x3 []
        "#]],
    );
}

#[test]
fn a_long_run_starts_the_delays_anew() {
    check(
        pod(RestartPolicy::OnFailure, 1),
        &[
            (0, &nothing),
            (1, &exits(0, 1)),
            (2, &exits(0, 1)),
            (12, &nothing),
            (613, &exits(0, 1)),
            (614, &exits(0, 1)),
        ],
        expect![[r#"
            0s Running running x0 [Start(0)]
            1s Running running x1 [Start(0)]
            2s Running backoff until 12s x1 [BackOff(0)] wake 12s
            12s Running running x2 [Start(0)]
            613s Running running x3 [Start(0)]
            614s Running backoff until 624s x3 [BackOff(0)] wake 624s
        "#]],
    );
}

#[test]
fn an_interruption_restarts_at_once_and_counts_as_a_restart() {
    let cut = |pod: &mut Pod, now: Now| assert!(pod.interrupt(now));
    check(
        pod(RestartPolicy::OnFailure, 1),
        &[(0, &nothing), (5, &cut), (6, &cut), (7, &exits(0, 1))],
        expect![[r#"
            0s Running running x0 [Start(0)]
            5s Running running x1 [Start(0)]
            6s Running running x2 [Start(0)]
            7s Running running x3 [Start(0)]
        "#]],
    );
    check(
        pod(RestartPolicy::Never, 1),
        &[(0, &nothing), (5, &cut)],
        expect![[r#"
        0s Running running x0 [Start(0)]
        5s Failed(Interrupted) ended ContainerStatusUnknown x0 []
    "#]],
    );
}

#[test]
fn waits_for_an_image_the_node_does_not_have() {
    let mut without = pod(RestartPolicy::Never, 1);
    without.containers[0].image_present = false;
    let arrives = |pod: &mut Pod, _: Now| pod.containers[0].image_present = true;
    check(
        without,
        &[(0, &nothing), (10, &nothing), (99, &arrives)],
        expect![[r#"
            0s Pending image tried x0 [ImageMissing(0)] wake 10s
            10s Pending image x0 [ImageBackOff(0)]
            99s Running running x0 [Start(0)]
        "#]],
    );
}

#[test]
fn a_deleted_pod_stops_and_goes() {
    let deleted = |pod: &mut Pod, now: Now| pod.delete(None, now);
    let stopped = |pod: &mut Pod, now: Now| assert!(pod.ended(0, 0, Exit::Stopped, now));
    check(
        pod(RestartPolicy::OnFailure, 1),
        &[(0, &nothing), (1, &deleted), (2, &stopped)],
        expect![[r#"
            0s Running running x0 [Start(0)]
            1s Running stopping x0 [Stop(0)] wake 31s
            2s Failed(Containers) ended Stopped x0 [] remove
        "#]],
    );
}

#[test]
fn kills_what_has_not_stopped_in_time() {
    let deleted = |pod: &mut Pod, now: Now| pod.delete(None, now);
    check(
        pod(RestartPolicy::OnFailure, 1),
        &[(0, &nothing), (1, &deleted), (31, &nothing)],
        expect![[r#"
            0s Running running x0 [Start(0)]
            1s Running stopping x0 [Stop(0)] wake 31s
            31s Running stopping x0 [Kill(0)]
        "#]],
    );
}

#[test]
fn fails_at_its_own_deadline_and_stays() {
    let mut timed = pod(RestartPolicy::OnFailure, 1);
    timed.active_deadline = Some(Millis::from_secs(5));
    let stopped = |pod: &mut Pod, now: Now| assert!(pod.ended(0, 0, Exit::Stopped, now));
    check(
        timed,
        &[(0, &nothing), (5, &nothing), (6, &stopped)],
        expect![[r#"
        0s Running running x0 [Start(0)] wake 5s
        5s Running stopping x0 [DeadlineExceeded, Stop(0)] wake 35s
        6s Failed(DeadlineExceeded) ended DeadlineExceeded x0 []
    "#]],
    );
}

#[test]
fn a_pod_deleted_without_grace_goes_at_once() {
    let at_once = |pod: &mut Pod, now: Now| pod.delete(Some(Millis(0)), now);
    check(
        of(RestartPolicy::Never, &[SIDECAR, APP]),
        &[(0, &nothing), (1, &deleted), (2, &at_once)],
        expect![[r#"
            0s Running running x0, running x0 [Start(0), Start(1)]
            1s Running running x0, stopping x0 [Stop(1)] wake 31s
            2s Failed(Containers) stopping x0, stopping x0 [Kill(0), Kill(1)] remove
        "#]],
    );
}

#[test]
fn asked_again_a_deletion_can_only_get_shorter() {
    let with = |seconds| move |pod: &mut Pod, now: Now| pod.delete(Some(Millis::from_secs(seconds)), now);
    check(
        pod(RestartPolicy::Never, 1),
        &[(0, &nothing), (1, &with(20)), (2, &with(60)), (3, &with(5)), (7, &with(0 - 1)), (9, &nothing)],
        expect![[r#"
            0s Running running x0 [Start(0)]
            1s Running stopping x0 [Stop(0)] wake 21s
            2s Running stopping x0 [] wake 21s
            3s Running stopping x0 [] wake 8s
            7s Running stopping x0 [] wake 8s
            9s Running stopping x0 [Kill(0)]
        "#]],
    );
}

#[test]
fn what_a_container_says_about_its_restarts_goes_before_what_its_pod_says() {
    let mut pod = pod(RestartPolicy::Never, 2);
    pod.containers[0].restart = Restart::by(Policy::OnFailure);
    let rule = Rule { codes: ExitCodes::In(vec![42]), action: Action::Restart };
    pod.containers[1].restart.rules = vec![rule];
    check(
        pod,
        &[(0, &nothing), (1, &exits(0, 1)), (2, &exits(1, 42)), (3, &exits(0, 0)), (4, &exits(1, 1))],
        expect![[r#"
            0s Running running x0, running x0 [Start(0), Start(1)]
            1s Running running x1, running x0 [Start(0)]
            2s Running running x1, running x1 [Start(1)]
            3s Running ended Completed x1, running x1 []
            4s Failed(Containers) ended Completed x1, ended Error x1 []
        "#]],
    );
}

#[test]
fn says_its_conditions_with_kubernetes_reasons() {
    let told = |pod: &Pod| {
        let said: Vec<_> = pod
            .conditions()
            .map(|condition| format!("{}={} {}", condition.kind, condition.status.as_str(), condition.reason))
            .collect();
        said.join("\n")
    };
    let mut pod = of(RestartPolicy::Never, &[INIT, APP]);
    pod.started = None;
    expect!["PodScheduled=False Unschedulable"].assert_eq(&told(&pod));
    pod.started = Some(Now::at(0));
    let mut pod = reconcile(&pod, Starts::Allowed, Now::at(0)).next;
    expect![[r#"
        PodScheduled=True 
        PodReadyToStartContainers=True 
        Initialized=False ContainersNotInitialized
        ContainersReady=False ContainersNotReady
        Ready=False ContainersNotReady"#]]
    .assert_eq(&told(&pod));
    exits(0, 0)(&mut pod, Now::at(1000));
    let mut pod = reconcile(&pod, Starts::Allowed, Now::at(1000)).next;
    let set =
        |kind: &str, status, reason: &str| SetCondition { kind: kind.into(), status, reason: reason.into() };
    assert!(pod.set_condition(set("Ready", Status::Unknown, "Test")));
    assert!(pod.set_condition(set("example.com/x", Status::True, "Test")));
    assert!(!pod.set_condition(set("example.com/x", Status::True, "Test")), "it was just so");
    expect![[r#"
        PodScheduled=True 
        PodReadyToStartContainers=True 
        Initialized=True 
        ContainersReady=True 
        Ready=Unknown Test
        example.com/x=True Test"#]]
    .assert_eq(&told(&pod));
    pod.interrupt(Now::at(2000));
    let pod = reconcile(&pod, Starts::Allowed, Now::at(2000)).next;
    expect![[r#"
        PodScheduled=True 
        PodReadyToStartContainers=False 
        Initialized=True 
        ContainersReady=False PodFailed
        DisruptionTarget=True TerminationByKubelet
        Ready=Unknown Test
        example.com/x=True Test"#]]
    .assert_eq(&told(&pod));
}
