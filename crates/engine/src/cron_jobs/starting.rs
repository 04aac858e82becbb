//! CronJobs led on: what `sched` plans for one is done, its slots start Jobs, and what became of them is told.

use api::cron_job::Template;
use api::pb::wick::v1::LedgerEntry;
use jiff::Timestamp;
use sched::Now;
use sched::backoff;
use sched::cron_job::{self, Child, Ended, JobRef, Missed, Note, Reason, Start};
use sched::job::{Phase, Verdict};

use super::COMPONENT;
use crate::effect::Milestone;
use crate::engine::{Engine, Subject};
use crate::event::{ObjectKey, Propagation};
use crate::transaction::Transaction;

/// At most so many Jobs of a CronJob are started in one go.
const PORTION: usize = 16;

impl Engine {
    /// Does what `sched` plans for a CronJob.
    pub(crate) fn reconcile_cron_job(&mut self, ordinal: u64, tx: &mut Transaction) {
        if self.orphaning.contains(&ordinal) {
            return;
        }
        self.take_up_news(ordinal, tx);
        let Some(entry) = self.cron_jobs.get(&ordinal) else { return };
        let (key, uid, about) = (entry.key.clone(), entry.uid.clone(), entry.reference());
        let spare = if self.pause.begins_nothing() { 0 } else { self.spare_jobs() };
        // One at least: a commit that is nearly full has room for it, and whoever starts none must have had no place for it.
        let starts = spare.min((tx.room_for(2 * entry.bytes()) / 2).clamp(1, PORTION));
        let before = entry.state.last_schedule;
        let children = self.children(&key);
        let taken = |name: &str| self.job_names.contains_key(&ObjectKey::new(key.namespace.clone(), name));
        // Going down, nothing begins; the next start finds what came due.
        let clock = self.clock.clock();
        let clock = cron_job::Clock { plausible: clock.plausible && !self.pause.draining, ..clock };
        let plan = cron_job::reconcile(&entry.state, &key.name, &children, &taken, starts, clock);

        let mut overlaps = false;
        if let Some(entry) = self.cron_jobs.get_mut(&ordinal) {
            entry.state = plan.next;
            // Those that are yet to be started have no uid.
            overlaps = entry.state.active.iter().any(|active| !active.uid.is_empty());
            if plan.changed {
                tx.touch_cron_job(ordinal, entry.bytes());
            }
        }
        for note in plan.notes {
            let (warning, reason, message) = told(note);
            tx.note(about.clone(), COMPONENT, warning, reason, message);
        }
        // What goes makes room.
        let again = plan.more || plan.starved && !plan.delete.is_empty();
        for job in plan.delete {
            if let Some(job) = self.job_uids.get(&job.uid).copied() {
                self.begin_deletion(job, Propagation::Background, tx);
            }
        }
        self.tell_missed(ordinal, plan.missed, tx);
        let mut failed = plan.starved && !again && !self.pause.draining;
        if failed {
            self.tell_failed(ordinal, &self.no_more_jobs(), tx);
        }
        let mut last = before;
        for start in plan.start {
            match self.start_job(ordinal, &start, overlaps, tx) {
                Ok(()) => {
                    last = Some(start.slot);
                    overlaps = true;
                }
                Err(why) => {
                    self.tell_failed(ordinal, &why, tx);
                    if let Some(entry) = self.cron_jobs.get_mut(&ordinal) {
                        entry.state.could_not_start(start.slot, last);
                    }
                    failed = true;
                    break;
                }
            }
        }
        self.wake_cron_job(ordinal, plan.wake);
        self.retry_cron_job(ordinal, failed, tx.now);
        if again && !failed {
            self.dirty_cron_jobs.insert(ordinal);
        }
        let deleting = self.cron_jobs.get(&ordinal).is_some_and(|entry| entry.state.deleting);
        if deleting && !self.waits_for_dependents(&uid) {
            self.remove_cron_job(ordinal, tx);
        }
    }

    /// The Jobs whose controller is the CronJob of this name.
    fn children(&self, key: &ObjectKey) -> Vec<Child> {
        let jobs = self.cron_job_children.get(key).into_iter().flatten();
        jobs.filter_map(|ordinal| self.jobs.get(ordinal))
            .map(|job| Child {
                job: JobRef { name: job.key.name.clone(), uid: job.uid.clone() },
                started: job.state.started.map(|at| at.wall),
                ended: match (job.state.phase, job.state.finished) {
                    (Phase::Finished(Verdict::Complete(_)), Some(at)) => Some(Ended::Complete(at.wall)),
                    (Phase::Finished(_), _) => Some(Ended::Failed),
                    (Phase::Active | Phase::Finishing(_), _) => None,
                },
                deleting: job.state.deleting,
            })
            .collect()
    }

    /// A Job is new, has finished or has gone: the CronJob that is its controller is looked at.
    pub(crate) fn look_at_controller(&mut self, job: u64) {
        let controller = self.jobs.get(&job).and_then(|job| job.cron_job.as_ref());
        if let Some(cron_job) = controller.and_then(|key| self.cron_job_names.get(key)) {
            self.dirty_cron_jobs.insert(*cron_job);
        }
    }

    /// Makes the Job of a slot; or says why not.
    fn start_job(
        &mut self,
        ordinal: u64,
        start: &Start,
        overlaps: bool,
        tx: &mut Transaction,
    ) -> Result<(), String> {
        let Some(entry) = self.cron_jobs.get_mut(&ordinal) else { return Ok(()) };
        let about = entry.reference();
        let key = entry.key.clone();
        let template = entry.template.take().unwrap_or_else(|| Box::new(Template::of(entry.current())));
        let job = template.job(start.slot, &start.name, entry.state.spec.zone.as_ref());
        entry.template = Some(template);
        let job = job.map_err(|errors| errors.to_string())?;
        let job = self.create_owned_job(job, tx).map_err(|refused| refused.to_string())?;
        tx.note(about, COMPONENT, false, "SuccessfulCreate", format!("Created job {}", start.name));
        let uid = self.jobs.get(&job).map_or(String::new(), |job| job.uid.clone());
        let Some(entry) = self.cron_jobs.get_mut(&ordinal) else { return Ok(()) };
        let active = entry.state.active.iter_mut().find(|active| active.name == start.name);
        if let Some(active) = active {
            active.uid.clone_from(&uid);
        }
        tx.touch_cron_job(ordinal, entry.bytes());
        let told = LedgerEntry {
            slot: Some(api::time::seconds(start.slot)),
            job: start.name.clone(),
            job_uid: uid,
            ..entry.entry("Started")
        };
        tx.milestones.push(Milestone::SlotStarted {
            key,
            slot: start.slot,
            job: start.name.clone(),
            overlaps,
        });
        self.tell_ledger(told, tx);
        Ok(())
    }

    fn tell_failed(&self, ordinal: u64, why: &str, tx: &mut Transaction) {
        if let Some(entry) = self.cron_jobs.get(&ordinal) {
            let message = format!("Error creating job: {why}");
            tx.note(entry.reference(), COMPONENT, true, "FailedCreate", message);
        }
    }

    /// Runs of missed slots are at their end.
    pub(super) fn tell_missed(&mut self, ordinal: u64, runs: Vec<Missed>, tx: &mut Transaction) {
        for missed in runs {
            let Some(entry) = self.cron_jobs.get(&ordinal) else { return };
            tx.milestones.push(Milestone::SlotsMissed { key: entry.key.clone(), missed });
            if let Some(because) = because(missed.why) {
                let many = if missed.count == 1 { "slot" } else { "slots" };
                let message = format!(
                    "missed {} {many} from {} to {}: {because}",
                    missed.count, missed.first, missed.last
                );
                tx.note(entry.reference(), COMPONENT, true, "SlotsMissed", message);
            }
            let told = entry.missed(missed);
            self.tell_ledger(told, tx);
        }
    }

    pub(super) fn wake_cron_job(&mut self, ordinal: u64, wake: Option<Timestamp>) {
        let Some(entry) = self.cron_jobs.get_mut(&ordinal) else { return };
        let before = std::mem::replace(&mut entry.wake, wake);
        if before != wake {
            if let Some(before) = before {
                self.slots.remove(&(before, ordinal));
            }
            self.slots.extend(wake.map(|at| (at, ordinal)));
        }
    }

    /// A Job that could not be taken in is tried again, later each time.
    pub(super) fn retry_cron_job(&mut self, ordinal: u64, failed: bool, now: Now) {
        let Some(entry) = self.cron_jobs.get_mut(&ordinal) else { return };
        entry.failures = if failed { entry.failures.saturating_add(1) } else { 0 };
        let retry = failed.then(|| now.steady + backoff::requeue(entry.failures));
        let before = std::mem::replace(&mut entry.retry, retry);
        if let Some(before) = before {
            self.timers.remove(&(before, Subject::CronJob(ordinal)));
        }
        self.timers.extend(retry.map(|at| (at, Subject::CronJob(ordinal))));
    }

    pub(crate) fn forget_retry(&mut self, ordinal: u64) {
        if let Some(entry) = self.cron_jobs.get_mut(&ordinal) {
            entry.retry = None;
        }
    }
}

/// Type, reason and message of the Event about it.
fn told(note: Note) -> (bool, &'static str, String) {
    match note {
        Note::Deleted(job) => (false, "SuccessfulDelete", format!("Deleted job {job}")),
        Note::UnexpectedJob(job) => {
            (true, "UnexpectedJob", format!("Saw a job that the controller did not create or forgot: {job}"))
        }
        Note::SawCompleted(job, complete) => {
            let condition = if complete { "Complete" } else { "Failed" };
            (false, "SawCompletedJob", format!("Saw completed job: {job}, condition: {condition}"))
        }
        Note::MissingJob(job) => (false, "MissingJob", format!("Active job went missing: {job}")),
        Note::UnknownTimeZone => (true, "UnknownTimeZone", "the zone is not known to this device".to_owned()),
        Note::UnparseableSchedule(why) => {
            (true, "UnparseableSchedule", format!("the schedule cannot be read: {why}"))
        }
        Note::InvalidSchedule => {
            (true, "InvalidSchedule", "the schedule matches no time in the next five years".to_owned())
        }
        Note::TooManyMissed(slots) => (
            true,
            "TooManyMissedTimes",
            format!(
                "too many missed start times: {slots}. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            ),
        ),
        Note::JobAlreadyActive => (
            false,
            "JobAlreadyActive",
            "Not starting job because prior execution is running and concurrency policy is Forbid".to_owned(),
        ),
        Note::JobExists(job) => {
            (true, "FailedCreate", format!("Error creating job: jobs.batch \"{job}\" already exists"))
        }
    }
}

/// What people are told where slots were missed for a reason that is the device's.
fn because(why: Reason) -> Option<&'static str> {
    match why {
        Reason::AgentDown => Some("the agent was not running, or the device slept"),
        Reason::ClockNotPlausible => Some("the clock was not set yet"),
        Reason::JumpedOver => Some("the clock was put forward past them"),
        Reason::UnknownTimeZone => Some("the zone is not known to this device"),
        Reason::Suspended
        | Reason::Forbidden
        | Reason::TooLate
        | Reason::JobExists
        | Reason::FailedCreate => None,
    }
}
