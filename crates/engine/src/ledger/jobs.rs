//! What the ledger is told of Jobs.

use api::pb::k8s::batch::v1::Job;
use api::pb::wick::v1::LedgerEntry;
use jiff::Timestamp;
use sched::Now;
use sched::job::{Phase, Verdict};

use crate::engine::Engine;
use crate::jobs::JobEntry;
use crate::transaction::Transaction;

/// The slot that started a Job.
const SLOT: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// `manual` on a Job that was started by hand.
const INSTANTIATE: &str = "cronjob.kubernetes.io/instantiate";
/// The reason of a Job that went before it had come to its end.
const DELETED: &str = "Deleted";

impl Engine {
    /// A Job has come to its end, or goes before that.
    pub(crate) fn tell_finished(&mut self, ordinal: u64, tx: &mut Transaction) {
        let Some(job) = self.jobs.get(&ordinal) else { return };
        let entry = finished(job, tx.now);
        self.tell_ledger(entry, tx);
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
        r#type: "Finished".to_owned(),
        slot: slot(&job.object).map(api::time::seconds),
        reason: reason.to_owned(),
        failed,
        started_at: state.started.map(|at| api::time::seconds(at.wall)),
        finished_at: Some(api::time::seconds(state.finished.unwrap_or(now).wall)),
        pods_succeeded: state.succeeded,
        pods_failed: state.failed,
        ..about(job)
    }
}

/// What every entry about a Job says.
fn about(job: &JobEntry) -> LedgerEntry {
    let (cron_job, cron_job_uid) = controller(&job.object).unwrap_or_default();
    LedgerEntry {
        namespace: job.key.namespace.clone(),
        manual: !cron_job.is_empty() && annotation(&job.object, INSTANTIATE) == Some("manual"),
        cron_job,
        cron_job_uid,
        job: job.key.name.clone(),
        job_uid: job.uid.clone(),
        ..LedgerEntry::default()
    }
}

/// Name and uid of the CronJob that a Job belongs to.
fn controller(job: &Job) -> Option<(String, String)> {
    let owners = &job.metadata.as_ref()?.owner_references;
    let owner = owners.iter().find(|owner| owner.controller == Some(true) && owner.kind == "CronJob")?;
    Some((owner.name.clone(), owner.uid.clone()))
}

fn slot(job: &Job) -> Option<Timestamp> {
    annotation(job, SLOT)?.parse().ok()
}

fn annotation<'a>(job: &'a Job, name: &str) -> Option<&'a str> {
    job.metadata.as_ref()?.annotations.get(name).map(String::as_str)
}
