//! What the engine takes at most, and what is counted so that it is known.

use sched::Millis;

use crate::effect::GuestId;
use crate::engine::Engine;
use crate::event::{Rejected, Reply};
use crate::transaction::Transaction;

/// What the output of a short run takes of the disk, in bytes: a block. Each finished Pod is charged for one.
pub const LOG_BLOCK: u64 = 4096;

/// What the engine takes at most; beyond it new objects are refused, or wait, or the oldest go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Jobs, finished ones included; more are refused.
    pub jobs: usize,
    /// CronJobs; more are refused.
    pub cron_jobs: usize,
    /// Pods that have not finished; Jobs wait with the others.
    pub live_pods: usize,
    /// What all Jobs and the Pods that have not finished take in memory, in bytes as encoded (it is about three times that
    /// there). More Jobs are refused, and Jobs wait with more Pods.
    pub live_bytes: u64,
    /// Finished Pods that are kept to be looked at; the oldest go first (kube-controller-manager's
    /// `--terminated-pod-gc-threshold` is 12,500).
    pub terminated_pods: usize,
    /// What finished Pods and their logs take of the disk, in bytes, about; the oldest go first.
    pub terminated_bytes: u64,
    /// How long entries of the ledger are kept, on the steady axis; up to a thirtieth longer.
    pub ledger_age: Millis,
    /// What the ledger takes, in bytes of its keys and values; the oldest entries go first.
    pub ledger_bytes: u64,
    /// Names of images; all of one digest must fit in one commit, to be deleted together.
    pub images: usize,
    /// Of Events only those are made that warn, or tell of a rest: for simulations of which only the outline is shown.
    pub few_events: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            jobs: 10_000,
            cron_jobs: 10_000,
            live_pods: 4_000,
            live_bytes: 64 << 20,
            terminated_pods: 12_500,
            terminated_bytes: 256 << 20,
            ledger_age: Millis::from_secs(30 * 24 * 3600),
            ledger_bytes: 64 << 20,
            images: 500,
            few_events: false,
        }
    }
}

impl Engine {
    /// Why a Job of so many bytes is not taken in, if it is not.
    pub(crate) fn no_place_for_job(&self, bytes: usize) -> Option<Rejected> {
        let limits = &self.config.limits;
        if self.jobs.len() >= limits.jobs {
            let most = limits.jobs;
            return Some(Rejected::Limit(format!(
                "there are {most} Jobs, the most this agent keeps; delete some that have finished"
            )));
        }
        self.no_place_in_memory("this Job", bytes)
    }

    /// How many Jobs may still be made.
    pub(crate) fn spare_jobs(&self) -> usize {
        if self.live_bytes >= self.config.limits.live_bytes {
            return 0;
        }
        self.config.limits.jobs.saturating_sub(self.jobs.len())
    }

    /// Why no more are made, for people.
    pub(crate) fn no_more_jobs(&self) -> String {
        let short = self.short_of_room().map(str::to_owned);
        short.or_else(|| self.no_place_for_job(1).map(|why| why.to_string())).unwrap_or_default()
    }

    /// Why a CronJob of so many bytes is not taken in, if it is not.
    pub(crate) fn no_place_for_cron_job(&self, bytes: usize) -> Option<Rejected> {
        let most = self.config.limits.cron_jobs;
        if self.cron_jobs.len() >= most {
            return Some(Rejected::Limit(format!("there are {most} CronJobs, the most this agent keeps")));
        }
        self.no_place_in_memory("this CronJob", bytes)
    }

    fn no_place_in_memory(&self, what: &str, bytes: usize) -> Option<Rejected> {
        let most = self.config.limits.live_bytes;
        let sum = self.live_bytes.saturating_add(bytes as u64);
        (sum > most).then(|| {
            Rejected::Limit(format!(
                "with {what}, Jobs, CronJobs and running Pods would take {sum} bytes, and {most} are the most this agent \
                 keeps in memory; delete Jobs that have finished"
            ))
        })
    }

    /// How many Pods of this size may still be made.
    pub(crate) fn spare_pods(&self, pod_bytes: usize) -> usize {
        let by_number = self.config.limits.live_pods.saturating_sub(self.pods.len());
        by_number.min(self.spare_by_bytes(pod_bytes))
    }

    fn spare_by_bytes(&self, pod_bytes: usize) -> usize {
        let left = self.config.limits.live_bytes.saturating_sub(self.live_bytes);
        usize::try_from(left / (pod_bytes.max(1) as u64)).unwrap_or(usize::MAX)
    }

    /// Why no more Pods of this size are made, for people.
    pub(crate) fn no_spare_pods(&self, pod_bytes: usize) -> String {
        let limits = &self.config.limits;
        if self.spare_by_bytes(pod_bytes) == 0 {
            let most = limits.live_bytes;
            return format!(
                "Jobs and Pods that have not finished take {} bytes in memory, and {most} are the most this agent keeps",
                self.live_bytes
            );
        }
        format!("{} Pods have not finished, the most this agent takes", limits.live_pods)
    }

    /// An object in memory takes so many bytes now.
    pub(crate) fn charge_live(&mut self, before: u64, now: u64) {
        self.live_bytes = self.live_bytes.saturating_add(now).saturating_sub(before);
    }

    /// What a guest wrote is charged to its Pod.
    pub(crate) fn guest_wrote(&mut self, guest: GuestId, log_bytes: u64, tx: &mut Transaction) {
        if let Some(entry) = self.pods.get_mut(&guest.pod)
            && let Some(bytes) =
                usize::try_from(guest.container).ok().and_then(|at| entry.log_bytes.get_mut(at))
        {
            *bytes = log_bytes.saturating_sub(LOG_BLOCK);
            tx.touch_pod(guest.pod, entry.bytes());
        }
        tx.reply(Ok(Reply::Done));
    }

    /// The oldest finished Pods are to go, as long as there are too many of them, or they take too much.
    pub(crate) fn collect_ended(&mut self) {
        let limits = &self.config.limits;
        let (mut pods, mut bytes) = (self.ended.len(), self.ended_bytes);
        for (ordinal, ended) in &self.ended {
            if pods <= limits.terminated_pods && bytes <= limits.terminated_bytes {
                break;
            }
            self.doomed.insert(*ordinal);
            pods -= 1;
            bytes = bytes.saturating_sub(ended.bytes);
        }
    }
}
