//! What a Job sees of a Pod: its share of the sums, its end, its place when some must go.

use crate::job::{Live, PodExit, Rank};
use crate::pod::{Failure, Phase, Pod, State, StopCause};

impl Pod {
    /// What it adds to its Job's [`Live`].
    pub fn share(&self) -> Live {
        let active = !self.is_finished() && self.stop.is_none_or(|stop| stop.cause != StopCause::Deleted);
        Live {
            active: u32::from(active),
            ready: u32::from(active && self.is_ready()),
            terminating: u32::from(!self.is_finished() && !active),
            // Kubernetes adds up Pods that are Pending or Running, those being stopped included.
            restarts: if self.is_finished() { 0 } else { self.restarts() },
        }
    }

    /// What its Job has to count: set when it has finished and was not counted yet.
    pub fn uncounted_exit(&self) -> Option<PodExit> {
        if self.counted {
            return None;
        }
        let (succeeded, interrupted) = match self.phase {
            Phase::Pending | Phase::Running => return None,
            Phase::Succeeded => (true, false),
            Phase::Failed(failure) => (false, failure == Failure::Interrupted),
        };
        let ends = self.containers.iter().filter_map(|container| match &container.state {
            State::Ended(ended) => Some(ended.at.steady),
            State::Waiting(_) | State::Running { .. } | State::Stopping { .. } => None,
        });
        let at = ends.max().or(self.started.map(|started| started.steady)).unwrap_or_default();
        Some(PodExit { succeeded, interrupted, at })
    }

    /// Where it stands among the Pods of its Job when some must go.
    pub fn rank(&self) -> Rank {
        Rank {
            assigned: self.started.is_some(),
            running: self.phase == Phase::Running,
            ready: self.is_ready(),
            restarts: std::cmp::Reverse(self.restarts()),
            ordinal: std::cmp::Reverse(self.ordinal),
        }
    }
}
