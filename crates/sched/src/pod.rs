//! What a Pod does next: which of its containers start, restart or stop, and which phase that makes.
//!
//! Deliberately absent so far: init containers, sidecars, probes and hooks.

use crate::backoff::{RESTART_RESET, before_restart};
use crate::job::RestartPolicy;
use crate::{Exit, Millis, Now, Steady};

/// A Pod: what is asked, and what became of it so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// What happens when a container fails.
    pub restart_policy: RestartPolicy,
    /// It fails when it has been on the node for so long.
    pub active_deadline: Option<Millis>,
    /// How long its containers may take to stop.
    pub grace: Millis,
    /// The order in which it was made, over all Pods.
    pub ordinal: u64,
    /// When the node took it; `None` while it waits for room.
    pub started: Option<Now>,
    /// Where it stands.
    pub phase: Phase,
    /// Set once it is being stopped.
    pub stop: Option<Stopping>,
    /// Its Job has counted it, or never will.
    pub counted: bool,
    /// In the order of the spec; at least one.
    pub containers: Vec<Container>,
}

/// Where a Pod stands. The last two are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Some container has not started yet.
    Pending,
    /// Every container has started, and at least one runs or will again.
    Running,
    /// Every container exited 0.
    Succeeded,
    /// A container failed for good, or the Pod was taken down.
    Failed(Failure),
}

/// Why a Pod failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// By what its containers did.
    Containers,
    /// It was on the node for longer than its `activeDeadlineSeconds`.
    DeadlineExceeded,
    /// The agent or the device went down under it.
    Interrupted,
}

/// A Pod is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopping {
    /// Why.
    pub cause: StopCause,
    /// What still runs then is killed.
    pub kill_at: Steady,
}

/// Why a Pod is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// It was deleted: it goes away when nothing of it runs.
    Deleted,
    /// Its own deadline came: it stays, as failed.
    Deadline,
}

/// What a container is for its Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It does the Pod's work: when all of these have ended, the Pod has.
    App,
}

/// A container of a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// What it is for.
    pub role: Role,
    /// What it does now.
    pub state: State,
    /// How its last run but one, or its last one before it started again, ended.
    pub last: Option<Ended>,
    /// How often it was started again.
    pub restarts: u32,
    /// Restarts since the delays last began anew.
    pub backoff_steps: u32,
    /// Whether the node has its image.
    pub image_present: bool,
}

/// What a container does: exactly the facts each state has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not started yet, or waits before it starts again.
    Waiting(Waiting),
    /// A guest runs.
    Running {
        /// Since when.
        since: Now,
    },
    /// A guest was asked to stop and has not ended yet.
    Stopping {
        /// Since when it ran.
        since: Now,
        /// It is killed for having been there too long.
        killed: bool,
    },
    /// No guest runs, and none will unless the container is started again.
    Ended(Ended),
}

impl State {
    /// True if there is a guest.
    pub fn has_guest(&self) -> bool {
        matches!(self, State::Running { .. } | State::Stopping { .. })
    }
}

/// Why a container waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// For its Pod's turn.
    Creating,
    /// For its image, which the node does not have.
    Image,
    /// For the delay before its next start, which is then.
    Backoff(Steady),
}

/// One run of a container, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub exit: Exit,
    /// When it began; `None` if it never did.
    pub since: Option<Now>,
    /// When it ended.
    pub at: Now,
}

/// What to do about a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodPlan {
    /// The Pod afterwards.
    pub next: Pod,
    /// What guests are to do, and what is worth telling.
    pub steps: Vec<Step>,
    /// Ask again then, if nothing happens before.
    pub wake: Option<Steady>,
    /// The Pod is gone.
    pub remove: bool,
}

/// One step of a Pod's container, named by its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Start a guest; its number of restarts is the container's.
    Start(usize),
    /// Ask the guest to stop.
    Stop(usize),
    /// Its grace is over: end it now.
    Kill(usize),
    /// It begins to wait before its next start.
    BackOff(usize),
    /// It begins to wait for its image.
    ImageMissing(usize),
    /// The whole Pod reached its own deadline.
    DeadlineExceeded,
}

impl Pod {
    /// True if it will not change any more.
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed(_))
    }

    /// True if every container runs.
    pub fn is_ready(&self) -> bool {
        self.stop.is_none()
            && self.containers.iter().all(|container| matches!(container.state, State::Running { .. }))
    }

    /// How often its containers were started again.
    pub fn restarts(&self) -> u32 {
        self.containers.iter().fold(0, |sum, container| sum.saturating_add(container.restarts))
    }

    /// Records that a guest of container `index`, the one with so many restarts before it, ended. False if that one was not
    /// running: an exit that comes twice or too late changes nothing.
    pub fn ended(&mut self, index: usize, restarts: u32, exit: Exit, now: Now) -> bool {
        let Some(container) =
            self.containers.get_mut(index).filter(|container| container.restarts == restarts)
        else {
            return false;
        };
        let (since, exit) = match &container.state {
            State::Running { since } => (*since, exit),
            State::Stopping { since, killed } => {
                // What ends a guest that was told to stop is the stop, unless it still came to an end of its own.
                let exit = match exit {
                    Exit::Stopped if *killed => Exit::Deadline,
                    other => other,
                };
                (*since, exit)
            }
            State::Waiting(_) | State::Ended(_) => return false,
        };
        container.state = State::Ended(Ended { exit, since: Some(since), at: now });
        true
    }

    /// Ends every guest that was running when the agent or the device went down. False if none was.
    pub fn interrupt(&mut self, now: Now) -> bool {
        let mut any = false;
        for container in &mut self.containers {
            if let State::Running { since } | State::Stopping { since, .. } = container.state {
                let ended = Ended { exit: Exit::Interrupted, since: Some(since), at: now };
                container.state = State::Ended(ended);
                any = true;
            }
        }
        any
    }

    /// Begins to stop it, unless it has finished or is being deleted already.
    pub fn delete(&mut self, now: Now) {
        if self.stop.is_none_or(|stop| stop.cause != StopCause::Deleted) {
            self.stop = Some(Stopping { cause: StopCause::Deleted, kill_at: now.steady + self.grace });
        }
    }
}

/// What to do about `pod`.
///
/// Applying the plan and asking again, at the same time, gives an empty plan.
pub fn reconcile(pod: &Pod, now: Now) -> PodPlan {
    let mut plan = PodPlan { next: pod.clone(), steps: Vec::new(), wake: None, remove: false };
    if pod.is_finished() {
        plan.remove = pod.stop.is_some_and(|stop| stop.cause == StopCause::Deleted);
        return plan;
    }
    let deadline = pod.started.zip(pod.active_deadline).map(|(started, length)| started.steady + length);
    if pod.stop.is_none() && deadline.is_some_and(|deadline| deadline <= now.steady) {
        let kill_at = now.steady + pod.grace;
        plan.next.stop = Some(Stopping { cause: StopCause::Deadline, kill_at });
        plan.steps.push(Step::DeadlineExceeded);
    }
    match plan.next.stop {
        Some(stop) => wind_down(&mut plan, stop, now),
        None if pod.started.is_none() => {}
        None => {
            plan.wake = deadline;
            run(&mut plan, now);
        }
    }
    plan
}

/// Stops what runs; when nothing does, the Pod is over.
fn wind_down(plan: &mut PodPlan, stop: Stopping, now: Now) {
    let mut running = false;
    for (index, container) in plan.next.containers.iter_mut().enumerate() {
        match container.state {
            State::Running { since } => {
                running = true;
                container.state = State::Stopping { since, killed: stop.cause == StopCause::Deadline };
                plan.steps.push(Step::Stop(index));
                plan.wake = Some(stop.kill_at);
            }
            State::Stopping { .. } => {
                running = true;
                if now.steady < stop.kill_at {
                    plan.wake = Some(stop.kill_at);
                } else {
                    plan.steps.push(Step::Kill(index));
                }
            }
            State::Waiting(_) | State::Ended(_) => {}
        }
    }
    if running {
        return;
    }
    plan.next.phase = match stop.cause {
        StopCause::Deadline => Phase::Failed(Failure::DeadlineExceeded),
        StopCause::Deleted => verdict(&plan.next).unwrap_or(Phase::Failed(Failure::Containers)),
    };
    plan.remove = stop.cause == StopCause::Deleted;
}

/// Starts what can start, and says how the Pod stands.
fn run(plan: &mut PodPlan, now: Now) {
    let policy = plan.next.restart_policy;
    for (index, container) in plan.next.containers.iter_mut().enumerate() {
        if let State::Ended(ended) = &container.state
            && policy == RestartPolicy::OnFailure
            && !ended.exit.succeeded()
        {
            let until = restart_at(container, ended);
            if let Some(until) = until.filter(|until| *until > now.steady) {
                plan.steps.push(Step::BackOff(index));
                again(container, Waiting::Backoff(until));
            } else {
                again(container, Waiting::Creating);
            }
        }
        let State::Waiting(waiting) = container.state else { continue };
        if let Waiting::Backoff(until) = waiting
            && until > now.steady
        {
            plan.wake = Some(plan.wake.map_or(until, |wake| wake.min(until)));
            continue;
        }
        if container.image_present {
            // Restarts count when the new guest is made, not when the old one ends.
            container.restarts += u32::from(container.last.is_some());
            container.state = State::Running { since: now };
            plan.steps.push(Step::Start(index));
        } else if waiting != Waiting::Image {
            container.state = State::Waiting(Waiting::Image);
            plan.steps.push(Step::ImageMissing(index));
        }
    }
    let waits_for_first_start =
        |container: &Container| matches!(container.state, State::Waiting(_)) && container.last.is_none();
    plan.next.phase = match verdict(&plan.next) {
        Some(phase) => phase,
        None if plan.next.containers.iter().any(waits_for_first_start) => Phase::Pending,
        None => Phase::Running,
    };
    if plan.next.is_finished() {
        plan.wake = None;
    }
}

/// When a container that ended may start again; `None` if at once.
fn restart_at(container: &Container, ended: &Ended) -> Option<Steady> {
    // An interruption says nothing about the guest: it neither waits nor makes the next wait longer.
    if ended.exit == Exit::Interrupted {
        return None;
    }
    Some(ended.at.steady + before_restart(steps_before(container, ended)))
}

/// How many restarts stand behind the delay that follows the run that `ended`: none if it was a long one.
fn steps_before(container: &Container, ended: &Ended) -> u32 {
    let ran_long = ended.since.is_some_and(|since| ended.at.steady - since.steady > RESTART_RESET);
    if ran_long { 0 } else { container.backoff_steps }
}

/// Turns an ended container into one that waits for its next start.
fn again(container: &mut Container, waiting: Waiting) {
    let State::Ended(ended) = std::mem::replace(&mut container.state, State::Waiting(waiting)) else {
        return;
    };
    if ended.exit != Exit::Interrupted {
        container.backoff_steps = steps_before(container, &ended).saturating_add(1);
    }
    container.last = Some(ended);
}

/// The final phase, once every container has ended and none will start again.
fn verdict(pod: &Pod) -> Option<Phase> {
    let mut failure = None;
    for container in &pod.containers {
        let State::Ended(ended) = &container.state else { return None };
        if ended.exit == Exit::Interrupted {
            failure = Some(Failure::Interrupted);
        } else if !ended.exit.succeeded() && failure.is_none() {
            failure = Some(Failure::Containers);
        }
    }
    Some(failure.map_or(Phase::Succeeded, Phase::Failed))
}

#[cfg(test)]
mod tests {
    use arbtest::arbtest;
    use expect_test::{Expect, expect};

    use super::*;

    fn pod(restart_policy: RestartPolicy, containers: usize) -> Pod {
        let container = Container {
            role: Role::App,
            state: State::Waiting(Waiting::Creating),
            last: None,
            restarts: 0,
            backoff_steps: 0,
            image_present: true,
        };
        Pod {
            restart_policy,
            active_deadline: None,
            grace: Millis::from_secs(30),
            ordinal: 1,
            started: Some(Now::at(0)),
            phase: Phase::Pending,
            stop: None,
            counted: false,
            containers: vec![container; containers],
        }
    }

    fn state(container: &Container) -> String {
        let state = match &container.state {
            State::Waiting(Waiting::Backoff(until)) => format!("backoff until {}s", until.0 / 1000),
            State::Waiting(waiting) => format!("{waiting:?}").to_lowercase(),
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
            let plan = reconcile(&pod, now);
            let again = reconcile(&plan.next, now);
            assert_eq!(again.next, plan.next, "asking again changes nothing");
            assert!(
                again.steps.iter().all(|step| matches!(step, Step::Kill(_))),
                "asking again asks nothing"
            );
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
            &[(0, &nothing), (9, &arrives)],
            expect![[r#"
            0s Pending image x0 [ImageMissing(0)]
            9s Running running x0 [Start(0)]
        "#]],
        );
    }

    #[test]
    fn a_deleted_pod_stops_and_goes() {
        let deleted = |pod: &mut Pod, now: Now| pod.delete(now);
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
        let deleted = |pod: &mut Pod, now: Now| pod.delete(now);
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
            let mut pod = reconcile(&pod(policy, 1), Now::at(now)).next;
            for _ in 0..u.int_in_range(0..=6)? {
                now += u.int_in_range(0..=400_000)?;
                let restarts = pod.containers[0].restarts;
                let running = matches!(pod.containers[0].state, State::Running { .. });
                assert_eq!(pod.ended(0, restarts, Exit::Code(u.int_in_range(0..=1)?), Now::at(now)), running);
                let before = pod.clone();
                assert!(!pod.ended(0, restarts, Exit::Code(0), Now::at(now)), "twice");
                assert!(!pod.ended(7, 0, Exit::Code(0), Now::at(now)), "a container it does not have");
                assert_eq!(pod, before);
                pod = reconcile(&pod, Now::at(now)).next;
            }
            Ok(())
        });
    }
}
