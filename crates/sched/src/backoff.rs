//! How long to wait before trying again: Kubernetes' two delays.

use crate::{Millis, Steady};

/// The longest wait before a Job makes another Pod (Kubernetes: MaxJobPodFailureBackOff).
pub const JOB_MAX: Millis = Millis::from_secs(600);
/// The longest wait before a container is started again in place (the kubelet's MaxContainerBackOff).
pub const RESTART_MAX: Millis = Millis::from_secs(300);
/// A container that ended so long after its last start begins the sequence anew.
pub const RESTART_RESET: Millis = Millis::from_secs(600);

const FIRST: Millis = Millis::from_secs(10);

/// Ten seconds, doubled `times` times, at most `max`.
pub(crate) fn doubled(times: u32, max: Millis) -> Millis {
    // Sixteen doublings are a week, beyond every maximum.
    Millis(FIRST.0 << times.min(16)).min(max)
}

/// What a Job remembers of failures to pace the next Pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobBackoff {
    /// Pods failed since the last success.
    pub failures: u32,
    /// When the last of them finished.
    pub last_failure: Option<Steady>,
}

impl JobBackoff {
    /// When the next Pod may be made: 10 s after the first failure, doubling with each failed Pod, at most 600 s; counted
    /// from the finish of the last one. `None` if at once.
    pub fn until(&self) -> Option<Steady> {
        let times = self.failures.checked_sub(1)?;
        Some(self.last_failure? + doubled(times, JOB_MAX))
    }
}

/// How long after its n-th failure in a row something is tried again: 5 ms doubling up to 1000 s (client-go's default for
/// what controllers take up again).
pub fn requeue(failures: u32) -> Millis {
    const MAX: i64 = 1_000_000;
    Millis(5i64.checked_shl(failures.saturating_sub(1)).filter(|ms| (1..MAX).contains(ms)).unwrap_or(MAX))
}

/// The wait before the restart that follows `steps` restarts: none before the first, then 10 s doubling to 300 s.
pub fn before_restart(steps: u32) -> Millis {
    match steps.checked_sub(1) {
        None => Millis(0),
        Some(times) => doubled(times, RESTART_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_waits_10_20_40_up_to_600_seconds() {
        let waits = |failures| {
            JobBackoff { failures, last_failure: Some(Steady(0)) }.until().map(|until| until.0 / 1000)
        };
        assert_eq!(waits(0), None);
        let seconds: Vec<_> = (1..=8).filter_map(waits).collect();
        assert_eq!(seconds, [10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(waits(u32::MAX), Some(600));
    }

    #[test]
    fn a_container_waits_0_10_20_up_to_300_seconds() {
        let seconds: Vec<_> = (0..8).map(|steps| before_restart(steps).0 / 1000).collect();
        assert_eq!(seconds, [0, 10, 20, 40, 80, 160, 300, 300]);
    }
}
