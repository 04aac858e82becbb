//! What holds for any Pod, whatever happens to it.

use arbtest::arbtest;

use super::*;

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
