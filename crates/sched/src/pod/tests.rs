//! Stories of Pods.

use arbtest::arbtest;
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
fn an_exit_that_comes_twice_or_late_changes_nothing() {
    arbtest(|u| {
        let policy = if u.arbitrary()? { RestartPolicy::Never } else { RestartPolicy::OnFailure };
        let mut now = 0;
        let mut pod = reconcile(&pod(policy, 1), Starts::Allowed, Now::at(now)).next;
        for _ in 0..u.int_in_range(0..=6)? {
            now += u.int_in_range(0..=400_000)?;
            let restarts = pod.containers[0].restarts;
            let running = matches!(pod.containers[0].state, State::Running { .. });
            assert_eq!(pod.ended(0, restarts, Exit::Code(u.int_in_range(0..=1)?), Now::at(now)), running);
            let before = pod.clone();
            assert!(!pod.ended(0, restarts, Exit::Code(0), Now::at(now)), "twice");
            assert!(!pod.ended(7, 0, Exit::Code(0), Now::at(now)), "a container it does not have");
            assert_eq!(pod, before);
            pod = reconcile(&pod, Starts::Allowed, Now::at(now)).next;
        }
        Ok(())
    });
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
fn init_containers_do_their_work_one_after_the_other_and_then_the_others_start_together() {
    check(
        of(RestartPolicy::Never, &[INIT, INIT, APP, APP]),
        &[(0, &nothing), (1, &exits(0, 0)), (2, &exits(1, 0)), (3, &exits(2, 0)), (4, &exits(3, 0))],
        expect![[r#"
            0s Pending running x0, creating x0, creating x0, creating x0 [Start(0)]
            1s Pending ended Completed x0, running x0, creating x0, creating x0 [Start(1)]
            2s Running ended Completed x0, ended Completed x0, running x0, running x0 [Start(2), Start(3)]
            3s Running ended Completed x0, ended Completed x0, ended Completed x0, running x0 []
            4s Succeeded ended Completed x0, ended Completed x0, ended Completed x0, ended Completed x0 []
        "#]],
    );
}

#[test]
fn with_never_a_failed_init_container_fails_the_pod_at_once() {
    check(
        of(RestartPolicy::Never, &[INIT, INIT, APP]),
        &[(0, &nothing), (1, &exits(0, 3))],
        expect![[r#"
            0s Pending running x0, creating x0, creating x0 [Start(0)]
            1s Failed(Containers) ended Error x0, creating x0, creating x0 []
        "#]],
    );
}

#[test]
fn with_on_failure_an_init_container_is_tried_again_and_not_when_others_fail() {
    check(
        of(RestartPolicy::OnFailure, &[INIT, APP]),
        &[
            (0, &nothing),
            (1, &exits(0, 1)),
            (2, &exits(0, 1)),
            (12, &nothing),
            (13, &exits(0, 0)),
            (14, &exits(1, 1)),
        ],
        expect![[r#"
            0s Pending running x0, creating x0 [Start(0)]
            1s Pending running x1, creating x0 [Start(0)]
            2s Pending backoff until 12s x1, creating x0 [BackOff(0)] wake 12s
            12s Pending running x2, creating x0 [Start(0)]
            13s Running ended Completed x2, running x0 [Start(1)]
            14s Running ended Completed x2, running x1 [Start(1)]
        "#]],
    );
}

#[test]
fn a_sidecar_runs_beside_the_others_and_stops_after_them() {
    check(
        of(RestartPolicy::Never, &[SIDECAR, INIT, SIDECAR, APP]),
        &[(0, &nothing), (1, &exits(1, 0)), (5, &exits(3, 0)), (7, &exits(2, 143)), (8, &exits(0, 143))],
        expect![[r#"
            0s Pending running x0, running x0, creating x0, creating x0 [Start(0), Start(1)]
            1s Running running x0, ended Completed x0, running x0, running x0 [Start(2), Start(3)]
            5s Running running x0, ended Completed x0, stopping x0, ended Completed x0 [Stop(2)] wake 35s
            7s Running stopping x0, ended Completed x0, ended Error x0, ended Completed x0 [Stop(0)] wake 35s
            8s Succeeded ended Error x0, ended Completed x0, ended Error x0, ended Completed x0 []
        "#]],
    );
}

#[test]
fn all_sidecars_stop_within_one_grace_and_each_has_two_seconds() {
    check(
        of(RestartPolicy::Never, &[SIDECAR, SIDECAR, APP]),
        &[
            (0, &nothing),
            (1, &exits(2, 1)),
            (31, &nothing),
            (32, &exits(1, 137)),
            (34, &nothing),
            (35, &exits(0, 137)),
        ],
        expect![[r#"
            0s Running running x0, running x0, running x0 [Start(0), Start(1), Start(2)]
            1s Running running x0, stopping x0, ended Error x0 [Stop(1)] wake 31s
            31s Running running x0, stopping x0, ended Error x0 [Kill(1)]
            32s Running stopping x0, ended Error x0, ended Error x0 [Stop(0)] wake 34s
            34s Running stopping x0, ended Error x0, ended Error x0 [Kill(0)]
            35s Failed(Containers) ended Error x0, ended Error x0, ended Error x0 []
        "#]],
    );
}

#[test]
fn a_sidecar_is_restarted_on_any_exit_whatever_the_pod_says() {
    check(
        of(RestartPolicy::Never, &[SIDECAR, APP]),
        &[
            (0, &nothing),
            (1, &exits(0, 0)),
            (2, &exits(0, 7)),
            (12, &nothing),
            (13, &exits(0, 0)),
            (14, &exits(1, 0)),
        ],
        expect![[r#"
            0s Running running x0, running x0 [Start(0), Start(1)]
            1s Running running x1, running x0 [Start(0)]
            2s Running backoff until 12s x1, running x0 [BackOff(0)] wake 12s
            12s Running running x2, running x0 [Start(0)]
            13s Running backoff until 33s x2, running x0 [BackOff(0)] wake 33s
            14s Succeeded backoff until 33s x2, ended Completed x0 []
        "#]],
    );
}

#[test]
fn what_comes_after_a_sidecar_waits_until_it_runs() {
    let mut without = of(RestartPolicy::Never, &[SIDECAR, APP]);
    without.containers[0].image_present = false;
    assert!(!without.can_start());
    let arrives = |pod: &mut Pod, _: Now| pod.containers[0].image_present = true;
    check(
        without,
        &[(0, &nothing), (9, &arrives)],
        expect![[r#"
            0s Pending image tried x0, creating x0 [ImageMissing(0)] wake 10s
            9s Running running x0, running x0 [Start(0), Start(1)]
        "#]],
    );
}

#[test]
fn a_failed_init_container_takes_the_sidecars_before_it_down() {
    check(
        of(RestartPolicy::Never, &[SIDECAR, INIT, APP]),
        &[(0, &nothing), (1, &exits(1, 3)), (2, &exits(0, 0))],
        expect![[r#"
            0s Pending running x0, running x0, creating x0 [Start(0), Start(1)]
            1s Pending stopping x0, ended Error x0, creating x0 [Stop(0)] wake 31s
            2s Failed(Containers) ended Completed x0, ended Error x0, creating x0 []
        "#]],
    );
}

#[test]
fn a_deleted_pod_stops_its_sidecars_last_and_succeeds_if_its_work_did() {
    check(
        of(RestartPolicy::Never, &[SIDECAR, APP, APP]),
        &[(0, &nothing), (1, &deleted), (2, &exits(1, 0)), (3, &exits(2, 0)), (4, &exits(0, 143))],
        expect![[r#"
            0s Running running x0, running x0, running x0 [Start(0), Start(1), Start(2)]
            1s Running running x0, stopping x0, stopping x0 [Stop(1), Stop(2)] wake 31s
            2s Running running x0, ended Completed x0, stopping x0 [] wake 31s
            3s Running stopping x0, ended Completed x0, ended Completed x0 [Stop(0)] wake 31s
            4s Succeeded ended Error x0, ended Completed x0, ended Completed x0 [] remove
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
fn after_an_interruption_init_containers_do_their_work_again() {
    check(
        of(RestartPolicy::OnFailure, &[INIT, SIDECAR, APP, APP]),
        &[(0, &nothing), (1, &exits(0, 0)), (2, &exits(2, 0)), (5, &cut), (6, &exits(0, 0))],
        expect![[r#"
            0s Pending running x0, creating x0, creating x0, creating x0 [Start(0)]
            1s Running ended Completed x0, running x0, running x0, running x0 [Start(1), Start(2), Start(3)]
            2s Running ended Completed x0, running x0, ended Completed x0, running x0 []
            5s Pending running x1, ended ContainerStatusUnknown x0, ended Completed x0, ended ContainerStatusUnknown x0 [Start(0)]
            6s Running ended Completed x1, running x1, ended Completed x0, running x1 [Start(1), Start(3)]
        "#]],
    );
    check(
        of(RestartPolicy::Never, &[INIT, SIDECAR, APP]),
        &[(0, &nothing), (1, &exits(0, 0)), (5, &cut)],
        expect![[r#"
            0s Pending running x0, creating x0, creating x0 [Start(0)]
            1s Running ended Completed x0, running x0, running x0 [Start(1), Start(2)]
            5s Failed(Interrupted) ended Completed x0, ended ContainerStatusUnknown x0, ended ContainerStatusUnknown x0 []
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
fn a_rule_starts_all_containers_again_those_that_were_done_included() {
    let mut pod = of(RestartPolicy::Never, &[INIT, SIDECAR, APP, APP]);
    pod.containers[3].restart.rules =
        vec![Rule { codes: ExitCodes::In(vec![88]), action: Action::RestartAll }];
    let killed = |pod: &mut Pod, now: Now| assert!(pod.ended(1, 0, Exit::Stopped, now));
    let killed_again = |pod: &mut Pod, now: Now| {
        assert!(pod.ended(1, 1, Exit::Stopped, now) && pod.ended(2, 1, Exit::Stopped, now));
    };
    check(
        pod,
        &[
            (0, &nothing),
            (1, &exits(0, 0)),
            (2, &exits(2, 0)),
            (3, &exits(3, 88)),
            (4, &killed),
            (5, &exits(0, 0)),
            (6, &exits(3, 88)),
            (7, &killed_again),
            (8, &exits(0, 0)),
            (16, &nothing),
        ],
        expect![[r#"
            0s Pending running x0, creating x0, creating x0, creating x0 [Start(0)]
            1s Running ended Completed x0, running x0, running x0, running x0 [Start(1), Start(2), Start(3)]
            2s Running ended Completed x0, running x0, ended Completed x0, running x0 []
            3s Running ended Completed x0, stopping x0, ended Completed x0, ended Error x0 [RestartAll(3), Kill(1)]
            4s Pending running x1, creating x0, creating x0, creating x0 [Start(0)]
            5s Running ended Completed x1, running x1, running x1, running x1 [Start(1), Start(2), Start(3)]
            6s Running ended Completed x1, stopping x1, stopping x1, ended Error x1 [RestartAll(3), Kill(1), Kill(2)]
            7s Pending running x2, creating x1, creating x1, backoff until 16s x1 [BackOff(3), Start(0)]
            8s Running ended Completed x2, running x2, running x2, backoff until 16s x1 [Start(1), Start(2)] wake 16s
            16s Running ended Completed x2, running x2, running x2, running x2 [Start(3)]
        "#]],
    );
}

#[test]
fn nothing_starts_while_the_agent_goes_down() {
    let mut pod = of(RestartPolicy::OnFailure, &[INIT, SIDECAR, APP]);
    for (second, container, code) in [(0, None, 0), (1, Some(0), 1), (2, Some(0), 0)] {
        let now = Now::at(second * 1000);
        if let Some(container) = container {
            exits(container, code)(&mut pod, now);
        }
        let starts = if second == 0 { Starts::Allowed } else { Starts::Held };
        let plan = reconcile(&pod, starts, now);
        assert_eq!(plan.wake, None);
        if second > 0 {
            assert_eq!((&plan.next, plan.steps), (&pod, vec![]));
            return;
        }
        pod = plan.next;
    }
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

/// Any Pod, with any containers.
fn any_pod(u: &mut arbitrary::Unstructured<'_>) -> arbitrary::Result<Pod> {
    let policy = if u.arbitrary()? { RestartPolicy::Never } else { RestartPolicy::OnFailure };
    let mut roles = Vec::new();
    for _ in 0..u.int_in_range(0..=3)? {
        roles.push(if u.arbitrary()? { INIT } else { SIDECAR });
    }
    roles.extend(std::iter::repeat_n(APP, u.int_in_range(1..=3)?));
    let mut pod = of(policy, &roles);
    if u.arbitrary()? {
        pod.active_deadline = Some(Millis(u.int_in_range(1..=60_000)?));
    }
    pod.grace = Millis(u.int_in_range(0..=40_000)?);
    for container in &mut pod.containers {
        container.image_present = u.ratio(7, 8)?;
        if container.role != SIDECAR && u.ratio(1, 4)? {
            container.restart.policy = *u.choose(&[Policy::Never, Policy::OnFailure, Policy::Always])?;
        }
        if u.ratio(1, 4)? {
            let values = vec![u.int_in_range(0..=2)?];
            let codes = if u.arbitrary()? { ExitCodes::In(values) } else { ExitCodes::NotIn(values) };
            let action = if u.arbitrary()? { Action::Restart } else { Action::RestartAll };
            container.restart.rules.push(Rule { codes, action });
        }
    }
    Ok(pod)
}

/// Something happens to it, as far as it can.
fn anything(u: &mut arbitrary::Unstructured<'_>, pod: &mut Pod, now: Now) -> arbitrary::Result<()> {
    match u.int_in_range(0..=11)? {
        0 => {
            pod.interrupt(now);
        }
        1 => pod.delete(if u.arbitrary()? { None } else { Some(Millis(u.int_in_range(0..=9_000)?)) }, now),
        2 => {
            let index = u.choose_index(pod.containers.len())?;
            pod.containers[index].image_present = true;
        }
        _ => {
            let index = u.choose_index(pod.containers.len())?;
            let restarts = pod.containers[index].restarts;
            let stopping = matches!(pod.containers[index].state, State::Stopping { .. });
            let exit =
                if stopping && u.arbitrary()? { Exit::Stopped } else { Exit::Code(u.int_in_range(0..=2)?) };
            pod.ended(index, restarts, exit, now);
        }
    }
    Ok(())
}

#[test]
fn applying_a_plan_and_asking_again_gives_an_empty_plan() {
    arbtest(|u| {
        let mut pod = any_pod(u)?;
        let mut now = 0;
        for _ in 0..u.int_in_range(1..=24)? {
            let starts = if u.ratio(1, 8)? { Starts::Held } else { Starts::Allowed };
            let before = pod.clone();
            let plan = reconcile(&pod, starts, Now::at(now));
            let again = reconcile(&plan.next, starts, Now::at(now));
            assert_eq!((&again.next, again.steps), (&plan.next, vec![]), "asked again");
            assert_eq!(again.remove, plan.remove);
            if !plan.remove && !plan.next.is_finished() {
                assert_eq!(again.wake, plan.wake);
            }
            assert!(plan.wake.is_none_or(|wake| wake.0 > now), "wakes at {:?}, it is {now}", plan.wake);
            holds(&before, &plan, starts);
            if plan.remove {
                break;
            }
            pod = plan.next;
            now += u.int_in_range(0..=40_000)?;
            anything(u, &mut pod, Now::at(now))?;
        }
        Ok(())
    })
    .budget_ms(500);
}

/// What is true of every plan.
fn holds(before: &Pod, plan: &PodPlan, starts: Starts) {
    let next = &plan.next;
    let has_guest = |index: &usize| next.containers[*index].state.has_guest();
    if before.is_finished() {
        assert_eq!(next, before, "what is over stays so");
    }
    let forced = plan.remove && next.stop.is_some_and(|stop| stop.grace == Millis(0));
    if next.is_finished() && !forced {
        assert!(!(0..next.containers.len()).any(|index| has_guest(&index)), "over, and something runs");
    }
    for step in &plan.steps {
        if let Step::Start(index) = step {
            assert_eq!(starts, Starts::Allowed);
            assert!(has_guest(index) && !before.containers[*index].state.has_guest());
            assert!(next.stop.is_none(), "nothing starts in a Pod that stops");
            let earlier = next.containers[..*index].iter();
            for container in earlier.filter(|_| next.containers[*index].role != SIDECAR) {
                if container.role == INIT {
                    assert!(matches!(&container.state, State::Ended(ended) if ended.exit.succeeded()));
                }
            }
        }
    }
    for (before, after) in before.containers.iter().zip(&next.containers) {
        assert!(after.restarts >= before.restarts && after.restarts <= before.restarts + 1);
    }
    // An init container at work is alone, but for the sidecars before it.
    if let Some(at) = next.containers.iter().position(|one| one.role == INIT && one.state.has_guest()) {
        let others = next.containers.iter().enumerate().filter(|(index, _)| *index != at);
        for (index, other) in others.filter(|(_, other)| other.state.has_guest()) {
            assert!(other.role == SIDECAR && index < at, "{index} runs beside {at}: {next:?}");
        }
    }
}
