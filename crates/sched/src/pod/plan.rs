//! What a Pod does next: which of its containers start, restart or stop, and which phase that makes.

use super::restart::{again, restart_at};
use super::{
    Action, Container, Failure, ImageWait, LEAST_GRACE, Phase, Pod, Role, State, StopCause, Stopping, Waiting,
};
use crate::backoff::before_restart;
use crate::{Exit, Now, Steady};

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
    /// End the guest now: its grace is over, or it has none.
    Kill(usize),
    /// It begins to wait before its next start.
    BackOff(usize),
    /// It begins to wait for its image.
    ImageMissing(usize),
    /// It goes on waiting for its image.
    ImageBackOff(usize),
    /// It ended in a way for which all containers start again.
    RestartAll(usize),
    /// The whole Pod reached its own deadline.
    DeadlineExceeded,
}

/// Whether containers may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starts {
    /// They may.
    Allowed,
    /// The agent is going down: what has ended stays as it is, and is started again when the agent is back.
    Held,
}

/// What to do about `pod`.
///
/// Applying the plan and asking again, at the same time, gives an empty plan.
pub fn reconcile(pod: &Pod, starts: Starts, now: Now) -> PodPlan {
    let mut plan = PodPlan { next: pod.clone(), steps: Vec::new(), wake: None, remove: false };
    if pod.is_finished() {
        plan.remove = pod.stop.is_some_and(|stop| stop.cause == StopCause::Deleted);
        return plan;
    }
    let deadline = pod.started.zip(pod.active_deadline).map(|(started, length)| started.steady + length);
    if pod.stop.is_none() && deadline.is_some_and(|deadline| deadline <= now.steady) {
        plan.begin_to_stop(StopCause::Deadline, now);
        plan.steps.push(Step::DeadlineExceeded);
    }
    if plan.next.stop.is_none() && pod.started.is_some() {
        plan.wake = deadline;
        run(&mut plan, starts, now);
    }
    match plan.next.stop {
        Some(stop) if stop.cause == StopCause::Deleted && stop.grace.0 == 0 => go_at_once(&mut plan),
        Some(stop) => wind_down(&mut plan, stop, now),
        None => {}
    }
    plan
}

impl PodPlan {
    fn begin_to_stop(&mut self, cause: StopCause, now: Now) {
        let grace = self.next.grace;
        self.next.stop = Some(Stopping { cause, grace, kill_at: now.steady + grace });
        self.wake = None;
    }

    fn wake_by(&mut self, at: Steady) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Asks the guest of container `index` to stop; kills it when its time is over.
    fn stop(&mut self, index: usize, stop: Stopping, now: Now) {
        let state = &mut self.next.containers[index].state;
        if let State::Running { since } = *state {
            let kill_at = stop.kill_at.max(now.steady + LEAST_GRACE);
            let overdue = stop.cause == StopCause::Deadline;
            *state = State::Stopping { since, overdue, kill_at: Some(kill_at) };
            self.steps.push(Step::Stop(index));
        }
        let State::Stopping { kill_at, .. } = state else { return };
        match *kill_at {
            Some(at) if at <= now.steady => {
                *kill_at = None;
                self.steps.push(Step::Kill(index));
            }
            Some(at) => self.wake_by(at),
            None => {}
        }
    }

    fn kill(&mut self, index: usize) {
        let state = &mut self.next.containers[index].state;
        let (since, overdue) = match *state {
            State::Running { since } => (since, false),
            State::Stopping { since, overdue, kill_at: Some(_) } => (since, overdue),
            State::Stopping { kill_at: None, .. } | State::Waiting(_) | State::Ended(_) => return,
        };
        *state = State::Stopping { since, overdue, kill_at: None };
        self.steps.push(Step::Kill(index));
    }
}

/// Stops what runs, the sidecars after all others and the last of them first; when nothing runs, the Pod is over.
fn wind_down(plan: &mut PodPlan, stop: Stopping, now: Now) {
    let runs = |container: &Container| container.state.has_guest();
    let workers = |container: &Container| container.role != Role::Sidecar && runs(container);
    if plan.next.containers.iter().any(workers) {
        for index in 0..plan.next.containers.len() {
            if workers(&plan.next.containers[index]) {
                plan.stop(index, stop, now);
            }
        }
    } else if let Some(last) = plan.next.containers.iter().rposition(runs) {
        plan.stop(last, stop, now);
    } else {
        plan.next.phase = match stop.cause {
            StopCause::Deadline => Phase::Failed(Failure::DeadlineExceeded),
            StopCause::Done => outcome(&plan.next).unwrap_or(Phase::Failed(Failure::Containers)),
            StopCause::Deleted => taken_down(&plan.next),
        };
        plan.remove = stop.cause == StopCause::Deleted;
    }
}

/// It was deleted without any grace: it goes, and what still runs of it is killed.
fn go_at_once(plan: &mut PodPlan) {
    for index in 0..plan.next.containers.len() {
        plan.kill(index);
    }
    plan.next.phase = taken_down(&plan.next);
    plan.remove = true;
}

/// Starts what can start, and says how the Pod stands.
fn run(plan: &mut PodPlan, starts: Starts, now: Now) {
    if kill_to_restart_all(plan) {
        return;
    }
    if let Some(phase) = outcome(&plan.next) {
        if plan.next.containers.iter().any(|container| container.state.has_guest()) {
            plan.begin_to_stop(StopCause::Done, now);
        } else {
            plan.next.phase = phase;
            plan.wake = None;
        }
        return;
    }
    // Sidecars that have had their turn are kept running; init containers that have are done.
    for index in 0..plan.next.reached {
        if plan.next.containers[index].role == Role::Sidecar {
            lead_on(plan, index, starts, now);
        }
    }
    while !plan.next.is_initialized() {
        lead_on(plan, plan.next.reached, starts, now);
        let container = &plan.next.containers[plan.next.reached];
        let done = match (container.role, &container.state) {
            (Role::Init, State::Ended(ended)) => {
                ended.exit.succeeded() && container.restart.after(&ended.exit) == Action::Leave
            }
            (Role::Sidecar, State::Running { .. }) => true,
            (Role::App | Role::Init | Role::Sidecar, _) => false,
        };
        if !done {
            break;
        }
        plan.next.reached += 1;
    }
    if plan.next.is_initialized() {
        for index in plan.next.reached..plan.next.containers.len() {
            lead_on(plan, index, starts, now);
        }
    }
    let waits_for_first_start =
        |container: &Container| matches!(container.state, State::Waiting(_)) && container.last.is_none();
    plan.next.phase = if !plan.next.is_initialized() || plan.next.containers.iter().any(waits_for_first_start)
    {
        Phase::Pending
    } else {
        Phase::Running
    };
}

/// Leads a container on whose turn it is: it starts, waits before it does, or stays as it is.
fn lead_on(plan: &mut PodPlan, index: usize, starts: Starts, now: Now) {
    if starts == Starts::Held {
        return;
    }
    let container = &mut plan.next.containers[index];
    if let State::Ended(ended) = &container.state
        && container.restart.after(&ended.exit) != Action::Leave
    {
        match restart_at(container, ended).filter(|until| *until > now.steady) {
            Some(until) => {
                plan.steps.push(Step::BackOff(index));
                again(container, Waiting::Backoff(until));
            }
            None => again(container, Waiting::Creating),
        }
    }
    let State::Waiting(waiting) = container.state else { return };
    if let Waiting::Backoff(until) = waiting
        && until > now.steady
    {
        return plan.wake_by(until);
    }
    if container.image_present {
        // Restarts count when the new guest is made, not when the old one ends.
        container.restarts += u32::from(container.last.is_some());
        container.state = State::Running { since: now };
        plan.steps.push(Step::Start(index));
    } else {
        wait_for_image(plan, index, now);
    }
}

fn wait_for_image(plan: &mut PodPlan, index: usize, now: Now) {
    let container = &mut plan.next.containers[index];
    let wait = match container.state {
        State::Waiting(Waiting::Image(ImageWait::Tried(until))) if until <= now.steady => {
            plan.steps.push(Step::ImageBackOff(index));
            ImageWait::BackedOff
        }
        State::Waiting(Waiting::Image(wait)) => wait,
        State::Waiting(_) | State::Running { .. } | State::Stopping { .. } | State::Ended(_) => {
            plan.steps.push(Step::ImageMissing(index));
            if container.never_pulled {
                ImageWait::NeverTried
            } else {
                ImageWait::Tried(now.steady + before_restart(1))
            }
        }
    };
    container.state = State::Waiting(Waiting::Image(wait));
    if let ImageWait::Tried(until) = wait {
        plan.wake_by(until);
    }
}

/// If a container ended in a way for which all are to start again: kills those that run, without grace or order. Once none
/// does, all wait for their turn, from the first init container on. True while guests are still being killed.
fn kill_to_restart_all(plan: &mut PodPlan) -> bool {
    let asks = |container: &Container| match &container.state {
        // What was killed for it asks for nothing.
        State::Ended(ended) if ended.exit != Exit::Stopped => {
            container.restart.after(&ended.exit) == Action::RestartAll
        }
        State::Ended(_) | State::Waiting(_) | State::Running { .. } | State::Stopping { .. } => false,
    };
    if !plan.next.restarting_all {
        let Some(cause) = plan.next.containers.iter().position(asks) else { return false };
        plan.next.restarting_all = true;
        plan.steps.push(Step::RestartAll(cause));
    }
    for index in 0..plan.next.containers.len() {
        plan.kill(index);
    }
    if plan.next.containers.iter().any(|container| container.state.has_guest()) {
        return true;
    }
    plan.next.restarting_all = false;
    plan.next.reached = 0;
    for (index, container) in plan.next.containers.iter_mut().enumerate() {
        if asks(container) {
            // Only whoever asked waits longer each time; the others start as soon as it is their turn.
            let until = match &container.state {
                State::Ended(ended) => restart_at(container, ended).filter(|until| *until > ended.at.steady),
                State::Waiting(_) | State::Running { .. } | State::Stopping { .. } => None,
            };
            again(container, until.map_or(Waiting::Creating, Waiting::Backoff));
            if until.is_some() {
                plan.steps.push(Step::BackOff(index));
            }
        } else {
            container.wait_again();
        }
    }
    false
}

/// The final phase, once the Pod's work is over: an init container has failed for good, or every other container but the
/// sidecars has ended, and none of these will start again.
pub(super) fn outcome(pod: &Pod) -> Option<Phase> {
    let mut failure = None;
    let mut over = true;
    for container in &pod.containers {
        let exit = match &container.state {
            State::Ended(ended) if container.restart.after(&ended.exit) == Action::Leave => &ended.exit,
            State::Ended(_) | State::Waiting(_) | State::Running { .. } | State::Stopping { .. } => {
                over &= container.role != Role::App;
                continue;
            }
        };
        match (container.role, failed(exit)) {
            (Role::Sidecar, _) | (Role::Init | Role::App, None) => {}
            (Role::Init, Some(why)) => return Some(Phase::Failed(why)),
            (Role::App, Some(why)) => {
                failure = match failure {
                    Some(Failure::Interrupted) => failure,
                    Some(_) | None => Some(why),
                };
            }
        }
    }
    over.then(|| failure.map_or(Phase::Succeeded, Phase::Failed))
}

/// The final phase of a Pod that was deleted: it succeeded only if all its work did.
fn taken_down(pod: &Pod) -> Phase {
    let mut phase = Phase::Succeeded;
    for container in &pod.containers {
        let failure = match (container.role, &container.state) {
            (Role::Sidecar, _) => None,
            (Role::Init | Role::App, State::Ended(ended)) => failed(&ended.exit),
            (Role::Init, _) => None,
            (Role::App, _) => Some(Failure::Containers),
        };
        if let Some(why) = failure
            && phase != Phase::Failed(Failure::Interrupted)
        {
            phase = Phase::Failed(why);
        }
    }
    phase
}

fn failed(exit: &Exit) -> Option<Failure> {
    match exit {
        Exit::Interrupted => Some(Failure::Interrupted),
        exit if exit.succeeded() => None,
        _ => Some(Failure::Containers),
    }
}
