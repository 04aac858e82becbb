//! A Pod: what is asked of it, and what became of it so far.
//!
//! What it does next is in `plan.rs`, when its containers start again in `restart.rs`, what can be said about it in
//! `condition.rs`. Deliberately absent so far: probes and hooks.

mod condition;
mod plan;
mod restart;
#[cfg(test)]
mod tests;

pub use condition::{
    CONTAINERS_READY, Condition, DISRUPTION_TARGET, INITIALIZED, POD_SCHEDULED, READY,
    READY_TO_START_CONTAINERS, RESTARTING_ALL, SetCondition, Status,
};
pub use plan::{PodPlan, Starts, Step, reconcile};
pub use restart::{Action, ExitCodes, Policy, Restart, Rule};

use crate::job::RestartPolicy;
use crate::{Exit, Millis, Now, Steady};

/// A container has so long between being asked to stop and being killed, however little is left of its Pod's grace (the
/// kubelet's minimumGracePeriodInSeconds).
pub const LEAST_GRACE: Millis = Millis::from_secs(2);

/// A Pod: what is asked, and what became of it so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// What happens when a container fails, where the container does not say.
    pub restart_policy: RestartPolicy,
    /// It fails when it has been on the node for so long.
    pub active_deadline: Option<Millis>,
    /// How long its containers may take to stop.
    pub grace: Millis,
    /// Those with more are let in first.
    pub priority: i32,
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
    /// So many of its init containers (sidecars included) have done what those after them wait for.
    pub reached: usize,
    /// A container's rule asked for all of them to start again: they are being killed for it.
    pub restarting_all: bool,
    /// Init containers and sidecars in the order of the spec, then the others in theirs; at least one is [`Role::App`].
    pub containers: Vec<Container>,
    /// What was said about it from outside.
    pub conditions: Vec<SetCondition>,
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
    /// How long its containers may take; with none at all a deleted Pod goes at once.
    pub grace: Millis,
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
    /// Its work is done, or has failed: its sidecars stop, and then it is over.
    Done,
}

/// What a container is for its Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It does its work before those after it start.
    Init,
    /// It starts before those after it and runs beside them, until the Pod's work is done: an init container with
    /// `restartPolicy: Always`.
    Sidecar,
    /// It does the Pod's work: when all of these have ended, the Pod has.
    App,
}

/// A container of a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// What it is for.
    pub role: Role,
    /// What happens when it ends.
    pub restart: Restart,
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
    /// It is asked for not to get the image from anywhere (`imagePullPolicy: Never`).
    pub never_pulled: bool,
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
        /// It is stopped for having been there too long.
        overdue: bool,
        /// When it is killed; `None` once it was.
        kill_at: Option<Steady>,
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
    /// For its Pod's turn, or its own.
    Creating,
    /// For its image, which the node does not have.
    Image(ImageWait),
    /// For the delay before its next start, which is then.
    Backoff(Steady),
}

/// How a container waits for its image. Kubernetes tries to get it, and tries again after a delay; here it is pushed, so that
/// only what people see of that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageWait {
    /// It was just found missing; from then on it is waited for in silence.
    Tried(Steady),
    /// It has been waited for.
    BackedOff,
    /// It is asked for not to try.
    NeverTried,
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

impl Pod {
    /// One that waits for the node to take it.
    pub fn new(restart_policy: RestartPolicy, ordinal: u64, containers: Vec<Container>) -> Pod {
        Pod {
            restart_policy,
            active_deadline: None,
            grace: Millis::from_secs(30),
            priority: 0,
            ordinal,
            started: None,
            phase: Phase::Pending,
            stop: None,
            counted: false,
            reached: 0,
            restarting_all: false,
            containers,
            conditions: Vec::new(),
        }
    }

    /// True if it will not change any more.
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed(_))
    }

    /// True if every container that stays runs.
    pub fn is_ready(&self) -> bool {
        self.stop.is_none()
            && self.is_initialized()
            && self.containers.iter().all(|container| match container.role {
                Role::Init => true,
                Role::Sidecar | Role::App => matches!(container.state, State::Running { .. }),
            })
    }

    /// True if its init containers have done their work and its sidecars have started.
    pub fn is_initialized(&self) -> bool {
        self.containers.get(self.reached).is_none_or(|container| container.role == Role::App)
    }

    /// True if one of its containers can start as soon as the node takes it: one whose turn it is has its image.
    pub fn can_start(&self) -> bool {
        let left = self.containers.get(self.reached..).unwrap_or_default();
        let all = if self.is_initialized() { left.len() } else { 1 };
        left.iter().take(all).any(|container| container.image_present)
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
            State::Stopping { since, overdue, .. } => {
                // What ends a guest that was told to stop is the stop, unless it still came to an end of its own.
                let exit = match exit {
                    Exit::Stopped if *overdue => Exit::Deadline,
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
    ///
    /// What its init containers did may be gone with it: if it goes on, they do it again.
    pub fn interrupt(&mut self, now: Now) -> bool {
        let mut any = false;
        let mut goes_on = self.restart_policy == RestartPolicy::OnFailure;
        for container in &mut self.containers {
            if let State::Running { since } | State::Stopping { since, .. } = container.state {
                let ended = Ended { exit: Exit::Interrupted, since: Some(since), at: now };
                goes_on |=
                    container.role != Role::Sidecar && container.restart.after(&ended.exit) != Action::Leave;
                container.state = State::Ended(ended);
                any = true;
            }
        }
        let lives = !self.is_finished() && self.stop.is_none();
        if lives && goes_on && plan::outcome(self).is_none() {
            self.begin_again();
        }
        any
    }

    /// Its init containers begin again with the first.
    fn begin_again(&mut self) {
        self.reached = 0;
        for container in self.containers.iter_mut().filter(|container| container.role == Role::Init) {
            container.wait_again();
        }
    }

    /// Begins to stop it, with the grace given or its own, unless it has finished. Asked again, it can only get less grace.
    pub fn delete(&mut self, grace: Option<Millis>, now: Now) {
        // Kubernetes takes a negative grace for one second.
        let grace = match grace.unwrap_or(self.grace) {
            grace if grace < Millis(0) => Millis::from_secs(1),
            grace => grace,
        };
        let mut stop = Stopping { cause: StopCause::Deleted, grace, kill_at: now.steady + grace };
        if let Some(before) = self.stop {
            if before.cause == StopCause::Deleted && before.kill_at <= stop.kill_at && grace != Millis(0) {
                return;
            }
            stop.kill_at = stop.kill_at.min(before.kill_at);
        }
        self.stop = Some(stop);
        let latest = stop.kill_at.max(now.steady + LEAST_GRACE);
        for container in &mut self.containers {
            if let State::Stopping { kill_at: Some(kill_at), .. } = &mut container.state {
                *kill_at = latest.min(*kill_at);
            }
        }
    }
}

impl Container {
    /// One that has not started yet. Whether its image is there is for whoever knows to say.
    pub fn new(role: Role, restart: Restart) -> Container {
        Container {
            role,
            restart,
            state: State::Waiting(Waiting::Creating),
            last: None,
            restarts: 0,
            backoff_steps: 0,
            image_present: false,
            never_pulled: false,
        }
    }

    /// One that ended waits for its turn to start again.
    fn wait_again(&mut self) {
        if let State::Ended(ended) = &self.state {
            self.last = Some(ended.clone());
            self.state = State::Waiting(Waiting::Creating);
        }
    }
}
