//! What can be said about a Pod now: Kubernetes' conditions, with its reasons.

use super::{Failure, Phase, Pod};

/// The node took it.
pub const POD_SCHEDULED: &str = "PodScheduled";
/// There is a place where its containers can run.
pub const READY_TO_START_CONTAINERS: &str = "PodReadyToStartContainers";
/// Its init containers have done their work.
pub const INITIALIZED: &str = "Initialized";
/// All containers that stay run.
pub const CONTAINERS_READY: &str = "ContainersReady";
/// It is ready for whoever needs it.
pub const READY: &str = "Ready";
/// It ended by something that was done to it, not by its guests.
pub const DISRUPTION_TARGET: &str = "DisruptionTarget";
/// All its containers are killed to start again.
pub const RESTARTING_ALL: &str = "AllContainersRestarting";

/// One thing that can be said about a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition<'a> {
    /// What, as in `Ready`.
    pub kind: &'a str,
    /// Whether it is so.
    pub status: Status,
    /// Why, in a word; empty where there is nothing to say.
    pub reason: &'a str,
}

/// Whether something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is.
    True,
    /// It is not.
    False,
    /// Nobody can say.
    Unknown,
}

impl Status {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::True => "True",
            Status::False => "False",
            Status::Unknown => "Unknown",
        }
    }

    /// The one Kubernetes writes so.
    pub fn from_text(text: &str) -> Option<Status> {
        [Status::True, Status::False, Status::Unknown].into_iter().find(|status| status.as_str() == text)
    }
}

impl From<bool> for Status {
    fn from(is: bool) -> Status {
        if is { Status::True } else { Status::False }
    }
}

/// A condition that was set from outside; it stays until it is set again, and counts before one that is worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetCondition {
    /// What, as in `Ready`.
    pub kind: String,
    /// Whether it is so.
    pub status: Status,
    /// Why, in a word.
    pub reason: String,
}

impl Pod {
    /// All that can be said about it, each kind once.
    pub fn conditions(&self) -> impl Iterator<Item = Condition<'_>> {
        let own = self.own_conditions().into_iter().flatten();
        let own = own.filter(|own| self.conditions.iter().all(|set| set.kind != own.kind));
        own.chain(self.conditions.iter().map(|set| Condition {
            kind: &set.kind,
            status: set.status,
            reason: &set.reason,
        }))
    }

    /// Sets a condition from outside. False if it was just so.
    pub fn set_condition(&mut self, set: SetCondition) -> bool {
        match self.conditions.iter_mut().find(|known| known.kind == set.kind) {
            Some(known) if *known == set => return false,
            Some(known) => *known = set,
            None => self.conditions.push(set),
        }
        true
    }

    fn own_conditions(&self) -> [Option<Condition<'static>>; 7] {
        let say = |kind, is: bool, reason| Some(Condition { kind, status: is.into(), reason });
        let disrupted = self.phase == Phase::Failed(Failure::Interrupted);
        let disrupted = disrupted.then_some(Condition {
            kind: DISRUPTION_TARGET,
            status: Status::True,
            reason: "TerminationByKubelet",
        });
        if self.started.is_none() {
            let scheduled = say(POD_SCHEDULED, false, "Unschedulable");
            return [scheduled, None, None, None, None, disrupted, None];
        }
        let ready = self.is_ready() && self.phase == Phase::Running;
        let not_ready = match self.phase {
            _ if ready => "",
            Phase::Succeeded => "PodCompleted",
            Phase::Failed(_) => "PodFailed",
            Phase::Pending | Phase::Running => "ContainersNotReady",
        };
        let initialized = self.is_initialized() || self.phase == Phase::Succeeded;
        let not_initialized = match self.phase {
            Phase::Succeeded => "PodCompleted",
            Phase::Pending | Phase::Running | Phase::Failed(_) if initialized => "",
            Phase::Pending | Phase::Running | Phase::Failed(_) => "ContainersNotInitialized",
        };
        let restarting = self.restarting_all.then_some(Condition {
            kind: RESTARTING_ALL,
            status: Status::True,
            reason: "RestartRule",
        });
        [
            say(POD_SCHEDULED, true, ""),
            say(READY_TO_START_CONTAINERS, !self.is_finished(), ""),
            say(INITIALIZED, initialized, not_initialized),
            say(CONTAINERS_READY, ready, not_ready),
            say(READY, ready, not_ready),
            disrupted,
            restarting,
        ]
    }
}
