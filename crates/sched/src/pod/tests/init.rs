//! Stories of Pods with init containers and sidecars.

use expect_test::expect;

use super::*;

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
