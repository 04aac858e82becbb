//! What the ledger is told of Jobs and of the runs of their containers.
//!
//! A run is told of in the commit that records its end. The entry of a Job that comes to its end in it holds the run; those
//! of Jobs that go on are put together, in one entry for each Job and commit, which name the one before them: however many
//! Pods a Job has, a commit adds to the ledger what happened in it and nothing else.

use api::pb::wick::v1::{Attempt, LedgerEntry, RunOverrides};
use prost::Message;
use sched::job::{Phase, Verdict};
use sched::pod::State;
use sched::{Exit, Now};

use super::{FINISHED, RAN};
use crate::engine::Engine;
use crate::event::Usage;
use crate::jobs::JobEntry;
use crate::pods::PodEntry;
use crate::transaction::Transaction;

/// An entry has runs of at most so many bytes, or one: with what else it says it still lies together with its key
/// ([`crate::store::Batch::MAX_INLINE_BYTES`]).
const ENTRY_BYTES: usize = 3 << 10;
/// What an entry that holds runs says beside them, about.
const HEAD_BYTES: usize = 512;

/// The reason of a Job that went before it had come to its end.
const DELETED: &str = "Deleted";

impl Engine {
    /// A Job is new: one that was started by hand is told of.
    pub(crate) fn tell_triggered(&mut self, ordinal: u64, tx: &mut Transaction) {
        let Some(job) = self.jobs.get(&ordinal) else { return };
        let entry = LedgerEntry { r#type: "Triggered".to_owned(), ..about_with_overrides(job) };
        if entry.manual {
            self.tell_ledger(entry, tx);
        }
    }

    /// A Job has come to its end, or goes before that.
    pub(crate) fn tell_finished(&mut self, ordinal: u64, tx: &mut Transaction) {
        let attempts = self.tell_but_last(ordinal, tx);
        let Some(job) = self.jobs.get(&ordinal) else { return };
        let more_attempts = job.attempts_recorded;
        let entry = LedgerEntry { attempts, more_attempts, ..finished(job, tx.now) };
        self.tell_ledger_after(job.ledger_id, entry, tx);
    }

    /// A container of this Job ran; the commit will tell of it. If the Job has gone already, nobody asks any more.
    pub(crate) fn keep_attempt(&mut self, job: u64, attempt: Attempt, tx: &mut Transaction) {
        let Some(entry) = self.jobs.get(&job) else { return };
        if !tx.attempts.contains_key(&job) {
            tx.link_job(job, entry.bytes());
            tx.charge(HEAD_BYTES);
        }
        tx.charge(attempt.encoded_len());
        tx.attempts.entry(job).or_default().push(attempt);
    }

    /// A Pod with containers that were interrupted is looked at: they ran.
    pub(crate) fn keep_interrupted(&mut self, pod: u64, tx: &mut Transaction) {
        let Some(entry) = self.pods.get_mut(&pod).filter(|entry| !entry.interrupted.is_empty()) else {
            return;
        };
        let attempts = std::mem::take(&mut entry.interrupted);
        tx.touch_pod(pod, entry.bytes());
        if let Some(job) = entry.job {
            for attempt in attempts {
                self.keep_attempt(job, attempt, tx);
            }
        }
    }

    /// Tells of all runs that no other entry of this commit has.
    pub(crate) fn tell_attempts(&mut self, tx: &mut Transaction) {
        let touched: Vec<u64> = tx.touched_pods.keys().copied().collect();
        for pod in touched {
            self.keep_interrupted(pod, tx);
        }
        while let Some(ordinal) = tx.attempts.first_key_value().map(|(ordinal, _)| *ordinal) {
            let last = self.tell_but_last(ordinal, tx);
            self.tell_ran(ordinal, last, tx);
        }
    }

    /// Tells of a Job's runs until the rest fits in one entry, and gives that back.
    fn tell_but_last(&mut self, ordinal: u64, tx: &mut Transaction) -> Vec<Attempt> {
        let mut last = Vec::new();
        let mut bytes = 0;
        for attempt in tx.attempts.remove(&ordinal).unwrap_or_default() {
            let more = attempt.encoded_len();
            if bytes + more > ENTRY_BYTES && !last.is_empty() {
                self.tell_ran(ordinal, std::mem::take(&mut last), tx);
                bytes = 0;
            }
            bytes += more;
            last.push(attempt);
        }
        last
    }

    fn tell_ran(&mut self, ordinal: u64, attempts: Vec<Attempt>, tx: &mut Transaction) {
        let Some(job) = self.jobs.get(&ordinal).filter(|_| !attempts.is_empty()) else { return };
        let (previous_id, count) = (job.ledger_id, attempts.len() as u64);
        let entry = LedgerEntry { r#type: RAN.to_owned(), attempts, ..about(job) };
        let id = self.tell_ledger_after(previous_id, entry, tx);
        if let Some(job) = self.jobs.get_mut(&ordinal) {
            job.ledger_id = id;
            job.attempts_recorded += count;
            tx.link_job(ordinal, job.bytes());
        }
    }
}

impl PodEntry {
    /// The run of a container that has just ended.
    pub(crate) fn attempt(&self, index: usize, usage: Usage) -> Option<Attempt> {
        let State::Ended(ended) = &self.state.containers.get(index)?.state else { return None };
        Some(Attempt {
            wall_us: usage.wall_us,
            cpu_us: usage.cpu_us,
            fuel: usage.fuel,
            peak_memory_bytes: usage.peak_memory_bytes,
            ..self.run(index, &ended.exit, ended.at)
        })
    }

    /// The runs that are being interrupted now; what they used nobody knows.
    pub(crate) fn running(&self, now: Now) -> Vec<Attempt> {
        let containers = self.state.containers.iter().enumerate();
        let running = containers.filter(|(_, container)| container.state.has_guest());
        running.map(|(index, _)| self.run(index, &Exit::Interrupted, now)).collect()
    }

    fn run(&self, index: usize, exit: &Exit, at: Now) -> Attempt {
        Attempt {
            pod: self.key.name.clone(),
            container: api::pod::container_name(&self.object, index).to_owned(),
            start: self.state.containers.get(index).map_or(0, |container| container.restarts) + 1,
            index: self.index,
            exit_code: exit.code().into(),
            reason: exit.reason().to_owned(),
            finished_at: Some(api::time::seconds(at.wall)),
            ..Attempt::default()
        }
    }
}

fn finished(job: &JobEntry, now: Now) -> LedgerEntry {
    let state = &job.state;
    let (reason, failed) = match state.phase {
        Phase::Finished(Verdict::Complete(_)) => ("Completed", false),
        Phase::Finished(verdict @ Verdict::Failed(_)) => (api::job::reason(verdict), true),
        Phase::Active | Phase::Finishing(_) => (DELETED, false),
    };
    LedgerEntry {
        r#type: FINISHED.to_owned(),
        slot: api::cron_job::scheduled_slot(&job.object).map(api::time::seconds),
        reason: reason.to_owned(),
        failed,
        started_at: state.started.map(|at| api::time::seconds(at.wall)),
        finished_at: Some(api::time::seconds(state.finished.unwrap_or(now).wall)),
        pods_succeeded: state.succeeded,
        pods_failed: state.failed,
        ..about_with_overrides(job)
    }
}

/// What every entry about a Job says.
fn about(job: &JobEntry) -> LedgerEntry {
    let (cron_job, cron_job_uid) = api::cron_job::cron_job_of(&job.object).unwrap_or_default();
    LedgerEntry {
        namespace: job.key.namespace.clone(),
        cron_job: cron_job.to_owned(),
        cron_job_uid: cron_job_uid.to_owned(),
        job: job.key.name.clone(),
        job_uid: job.uid.clone(),
        ..LedgerEntry::default()
    }
}

/// The same, and how it was started by hand, if it was.
fn about_with_overrides(job: &JobEntry) -> LedgerEntry {
    let entry = about(job);
    // Whatever a Job says that belongs to no CronJob, nobody asks about its runs by hand.
    let manual = api::cron_job::manual_run(&job.object).filter(|_| !entry.cron_job.is_empty());
    let overrides = manual.clone().filter(|overrides| *overrides != RunOverrides::default());
    LedgerEntry { manual: manual.is_some(), overrides, ..entry }
}
