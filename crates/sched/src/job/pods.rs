//! What a Job sees of a Pod: its share of the sums, its end, its place when some must go.

use std::cmp::Reverse;

use crate::Steady;
use crate::job::{Live, PodExit, Replacement};
use crate::pod::{Failure, Phase, Pod, State, StopCause};

/// How a Pod failed, as policies look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// `namespace/name`.
    pub pod: String,
    /// Of the containers that ended, name and exit code: first those that do the Pod's work, then the others.
    pub exit_codes: Vec<(String, i32)>,
    /// Types of its conditions, and their status: `True`, `False` or `Unknown`.
    pub conditions: Vec<(String, String)>,
}

/// Orders a Job's Pods for being stopped: the smallest is stopped first. Kubernetes' order: Pods without a node before
/// those with one, Pending before Running, not ready before ready, ready for a shorter time before longer, more restarts
/// before fewer, newer before older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// It has a node.
    pub assigned: bool,
    /// Its containers have started.
    pub running: bool,
    /// All of them run, since then; later goes first.
    pub ready: Option<Reverse<Steady>>,
    /// How often they were started again; more goes first.
    pub restarts: Reverse<u32>,
    /// When it was made; newer goes first.
    pub ordinal: Reverse<u64>,
}

impl Pod {
    /// What it adds to its Job's [`Live`].
    pub fn share(&self) -> Live {
        let active = !self.is_finished() && !self.is_deleted();
        Live {
            active: u32::from(active),
            ready: u32::from(active && self.is_ready()),
            terminating: u32::from(!self.is_finished() && !active),
            // Kubernetes adds up Pods that are Pending or Running, those being stopped included.
            restarts: if self.is_finished() { 0 } else { self.restarts() },
        }
    }

    /// True once it is to go away.
    pub fn is_deleted(&self) -> bool {
        self.stop.is_some_and(|stop| stop.cause == StopCause::Deleted)
    }

    /// True if its Job has to count it: it has finished, or it is being deleted and its Job does not wait for its end.
    pub fn is_to_be_counted(&self, replacement: Replacement) -> bool {
        let enough = replacement == Replacement::TerminatingOrFailed && self.is_deleted();
        !self.counted && (self.is_finished() || enough)
    }

    /// What its Job has to count. `now` is when a Pod ended that was deleted and has not. How it failed is for whoever knows
    /// names to add.
    pub fn uncounted_exit(&self, replacement: Replacement, now: Steady) -> Option<PodExit> {
        if !self.is_to_be_counted(replacement) {
            return None;
        }
        let succeeded = self.phase == Phase::Succeeded;
        let interrupted = self.phase == Phase::Failed(Failure::Interrupted);
        let ends = self.containers.iter().filter_map(|container| match &container.state {
            State::Ended(ended) => Some(ended.at.steady),
            State::Waiting(_) | State::Running { .. } | State::Stopping { .. } => None,
        });
        let at = match self.is_finished() {
            true => ends.max().or(self.started.map(|started| started.steady)).unwrap_or(now),
            false => now,
        };
        let deleted = self.is_deleted();
        Some(PodExit { succeeded, interrupted, deleted, at, index: None, failed: None })
    }

    /// Where it stands among the Pods of its Job when some must go.
    pub fn rank(&self) -> Rank {
        let since = self.containers.iter().filter_map(|container| match &container.state {
            State::Running { since } => Some(since.steady),
            State::Waiting(_) | State::Stopping { .. } | State::Ended(_) => None,
        });
        Rank {
            assigned: self.started.is_some(),
            running: self.phase == Phase::Running,
            ready: since.max().filter(|_| self.is_ready()).map(Reverse),
            restarts: Reverse(self.restarts()),
            ordinal: Reverse(self.ordinal),
        }
    }
}
