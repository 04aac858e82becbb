//! CronJobs: written, deleted, and led on by what `sched` plans for them; and the wall clock, which their slots go by.

use std::sync::Arc;

use api::cron_job::Template;
use api::pb::k8s::batch::v1::CronJob;
use api::pb::k8s::core::v1::ObjectReference;
use api::pb::wick::v1::{CronJobRecord, LedgerEntry};
use api::{FieldErrors, FieldPath, NewCronJob};
use jiff::Timestamp;
use prost::Message;
use sched::clock::ClockNews;
use sched::cron_job::{self, Child, Ended, JobRef, Missed, Note, Reason, Start, Zones};
use sched::job::{Phase, Verdict};
use sched::{Millis, Now, Steady, backoff, names};

use crate::effect::Milestone;
use crate::engine::{Engine, Subject};
use crate::event::{ObjectKey, Outcome, Propagation, Rejected, Reply, WriteMode};
use crate::keys;
use crate::store::Batch;
use crate::transaction::{Transaction, reference};
use crate::view::{Change, News, Object, cron_job_key};

pub(crate) const KIND: &str = "cronjobs.batch";
const COMPONENT: &str = "cronjob-controller";
/// At most so many Jobs of a CronJob are started in one go.
const PORTION: usize = 16;

/// A CronJob.
pub(crate) struct CronJobEntry {
    pub(crate) key: ObjectKey,
    pub(crate) uid: String,
    /// As last committed; before the first commit, as asked for.
    pub(crate) object: Arc<CronJob>,
    /// The spec, labels or annotations changed since: what the next commit begins with.
    pub(crate) revised: Option<CronJob>,
    pub(crate) committed: bool,
    pub(crate) state: cron_job::CronJob,
    /// What its Jobs are made from; `None` until the first.
    template: Option<Box<Template>>,
    /// What it is charged for among all that is in memory.
    pub(crate) charged: u64,
    /// When it is due, by the wall clock.
    wake: Option<Timestamp>,
    /// When a Job that could not be taken in is tried again, and how often it was tried.
    retry: Option<Steady>,
    failures: u32,
    /// Whether readers were shown a run of missed slots that is still open.
    has_open_run: bool,
}

impl CronJobEntry {
    fn new(mut object: CronJob, state: cron_job::CronJob, committed: bool) -> CronJobEntry {
        api::cron_job::pack(&mut object);
        CronJobEntry {
            key: cron_job_key(&object),
            uid: object.metadata.as_ref().map_or(String::new(), |meta| meta.uid.clone()),
            charged: object.encoded_len() as u64,
            object: Arc::new(object),
            revised: None,
            committed,
            has_open_run: state.unrecorded().is_some(),
            state,
            template: None,
            wake: None,
            retry: None,
            failures: 0,
        }
    }

    /// As the commit in the making has it.
    pub(crate) fn current(&self) -> &CronJob {
        self.revised.as_ref().unwrap_or(&self.object)
    }

    pub(crate) fn reference(&self) -> ObjectReference {
        reference("CronJob", "batch/v1", &self.key, &self.uid)
    }

    /// What it takes to record, at most.
    pub(crate) fn bytes(&self) -> usize {
        // Of the Jobs that run, the references.
        self.current().encoded_len() + 256 + 256 * self.state.active.len()
    }

    fn entry(&self, kind: &str) -> LedgerEntry {
        LedgerEntry {
            r#type: kind.to_owned(),
            namespace: self.key.namespace.clone(),
            cron_job: self.key.name.clone(),
            cron_job_uid: self.uid.clone(),
            ..LedgerEntry::default()
        }
    }

    fn missed(&self, missed: Missed) -> LedgerEntry {
        LedgerEntry {
            first: Some(api::time::seconds(missed.first)),
            last: Some(api::time::seconds(missed.last)),
            count: missed.count,
            reason: missed.why.name().to_owned(),
            ..self.entry("Missed")
        }
    }
}

impl Engine {
    pub(crate) fn load_cron_job(&mut self, record: CronJobRecord) {
        let state = api::cron_job::state(&record, &*self.config.zones, &self.config.node_name);
        let CronJobRecord { cron_job, ordinal, .. } = record;
        let entry = CronJobEntry::new(cron_job.unwrap_or_default(), state, true);
        let finalizers = entry.object.metadata.as_ref().map_or(&[][..], |meta| &meta.finalizers);
        if entry.state.deleting && finalizers.iter().any(|name| name == crate::deletion::ORPHAN) {
            self.orphaning.insert(ordinal);
        }
        self.insert_cron_job(ordinal, entry);
    }

    fn insert_cron_job(&mut self, ordinal: u64, entry: CronJobEntry) {
        let before = self.cron_job_names.insert(entry.key.clone(), ordinal);
        assert_eq!(before, None, "two CronJobs have one name");
        self.cron_job_uids.insert(entry.uid.clone(), ordinal);
        self.charge_live(0, entry.charged);
        self.cron_jobs.insert(ordinal, Box::new(entry));
        self.dirty_cron_jobs.insert(ordinal);
    }

    pub(crate) fn write_cron_job(
        &mut self,
        new: NewCronJob,
        mode: WriteMode<CronJob>,
        dry_run: bool,
        tx: &mut Transaction,
    ) {
        let key = ObjectKey::new(new.namespace(), new.name());
        match (self.cron_job_names.get(&key).copied(), mode) {
            (Some(_), WriteMode::Create) => {
                tx.reply(Err(Rejected::Exists { kind: KIND, name: key.name }));
            }
            (Some(ordinal), WriteMode::Apply) => self.update_cron_job(ordinal, new, dry_run, tx),
            (Some(ordinal), WriteMode::Update) => {
                self.update_cron_job(ordinal, new.replacing(), dry_run, tx);
            }
            (Some(ordinal), WriteMode::Revise(read)) => match self.cron_job_changed_since(ordinal, &read) {
                Some(refusal) => tx.reply(Err(refusal)),
                None => self.update_cron_job(ordinal, new.replacing(), dry_run, tx),
            },
            (None, WriteMode::Create | WriteMode::Apply) => self.create_cron_job(new, dry_run, tx),
            (None, WriteMode::Update | WriteMode::Revise(_)) => {
                tx.reply(Err(Rejected::NotFound { kind: KIND, name: key.name }));
            }
        }
    }

    fn create_cron_job(&mut self, new: NewCronJob, dry_run: bool, tx: &mut Transaction) {
        let ordinal = self.next_ordinal;
        let uid = self.uid(ordinal);
        let name = match new.name() {
            "" => self.free_cron_job_name(&new, ordinal),
            name => name.to_owned(),
        };
        let object = match new.stamp(name, &uid, tx.now.wall) {
            Ok(object) => object,
            Err(errors) => return tx.reply(Err(Rejected::Invalid(errors))),
        };
        let bytes = object.encoded_len();
        if let Some(refusal) = cron_job_too_large(bytes).or_else(|| self.no_place_for_cron_job(bytes)) {
            return tx.reply(Err(refusal));
        }
        if dry_run {
            let (cron_job, outcome) = (Arc::new(object), Outcome::Created);
            return tx.reply(Ok(Reply::CronJob { cron_job, outcome }));
        }
        if let Some(refusal) = self.refusal(bytes) {
            return tx.reply(Err(refusal));
        }
        self.new_ordinal();
        let state = api::cron_job::new_state(&object, &*self.config.zones, &self.config.node_name);
        let entry = CronJobEntry::new(object, state, false);
        tx.touch_cron_job(ordinal, entry.bytes());
        tx.reply_cron_job(ordinal, entry.object.clone(), Outcome::Created);
        tx.milestones.push(Milestone::CronJobCreated { key: entry.key.clone(), uid });
        self.insert_cron_job(ordinal, entry);
        if !self.clock.is_plausible() {
            self.made_early.insert(ordinal);
        }
    }

    fn free_cron_job_name(&self, new: &NewCronJob, ordinal: u64) -> String {
        let names = (ordinal..).map(|attempt| names::generate(new.generate_name(), 0, attempt));
        let mut free =
            names.filter(|name| !self.cron_job_names.contains_key(&ObjectKey::new(new.namespace(), name)));
        free.next().unwrap_or_default()
    }

    /// Why a CronJob that was read as `read` is not to be revised by what came of it.
    fn cron_job_changed_since(&self, ordinal: u64, read: &CronJob) -> Option<Rejected> {
        let entry = self.cron_jobs.get(&ordinal)?;
        let stored = entry.current();
        let (now, then) = (stored.metadata.as_ref()?, read.metadata.as_ref()?);
        let same = now.uid == then.uid
            && now.labels == then.labels
            && now.annotations == then.annotations
            && now.owner_references == then.owner_references
            && stored.spec == read.spec;
        (!same).then(|| Rejected::Conflict {
            kind: KIND,
            name: entry.key.name.clone(),
            current: now.resource_version.clone(),
            given: then.resource_version.clone(),
        })
    }

    fn update_cron_job(&mut self, ordinal: u64, new: NewCronJob, dry_run: bool, tx: &mut Transaction) {
        let Some(entry) = self.cron_jobs.get_mut(&ordinal) else { return };
        let stored = entry.current();
        let given = new.resource_version().to_owned();
        let current = stored.metadata.as_ref().map_or("", |meta| meta.resource_version.as_str());
        // What this commit has already changed will have another version than the one that was read.
        if !given.is_empty() && (given != current || tx.touched_cron_jobs.contains_key(&ordinal)) {
            return tx.reply(Err(Rejected::Conflict {
                kind: KIND,
                name: entry.key.name.clone(),
                current: current.to_owned(),
                given,
            }));
        }
        let mut revised = match new.revise(stored) {
            Ok(Some(revised)) => revised,
            Ok(None) => return tx.reply_cron_job(ordinal, entry.object.clone(), Outcome::Unchanged),
            Err(errors) => return tx.reply(Err(Rejected::Invalid(errors))),
        };
        if dry_run {
            let (cron_job, outcome) = (Arc::new(revised), Outcome::Configured);
            return tx.reply(Ok(Reply::CronJob { cron_job, outcome }));
        }
        if self.pause.draining {
            return tx.reply(Err(Rejected::GoingDown));
        }
        if let Some(refusal) = cron_job_too_large(revised.encoded_len()) {
            return tx.reply(Err(refusal));
        }
        // As on a cluster: another schedule or zone by itself starts nothing; all else is looked at at once.
        let when = |cron_job: &CronJob| {
            cron_job.spec.as_ref().map(|spec| (spec.schedule.clone(), spec.time_zone.clone()))
        };
        let rearmed_only = when(stored) != when(&revised);
        api::cron_job::pack(&mut revised);
        let spec = api::cron_job::spec(&revised, &*self.config.zones, &self.config.node_name);
        let closed = entry.state.revise(spec, self.clock.clock());
        entry.revised = Some(revised);
        entry.template = None;
        entry.failures = 0;
        tx.touch_cron_job(ordinal, entry.bytes());
        tx.reply_cron_job(ordinal, entry.object.clone(), Outcome::Configured);
        let next = entry.state.next_start(tx.now.wall).map(|(_, start)| start);
        let wake = entry.wake;
        self.tell_missed(ordinal, closed, tx);
        if rearmed_only {
            self.wake_cron_job(ordinal, [wake, next].into_iter().flatten().min());
        } else {
            self.dirty_cron_jobs.insert(ordinal);
        }
    }

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
    fn tell_missed(&mut self, ordinal: u64, runs: Vec<Missed>, tx: &mut Transaction) {
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

    fn wake_cron_job(&mut self, ordinal: u64, wake: Option<Timestamp>) {
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
    fn retry_cron_job(&mut self, ordinal: u64, failed: bool, now: Now) {
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

    pub(crate) fn delete_cron_job(
        &mut self,
        key: &ObjectKey,
        uid: &str,
        propagation: Propagation,
        tx: &mut Transaction,
    ) {
        let found = self.cron_job_names.get(key).copied();
        let Some((ordinal, entry)) = found.and_then(|ordinal| Some((ordinal, self.cron_jobs.get(&ordinal)?)))
        else {
            return tx.reply(Err(Rejected::NotFound { kind: KIND, name: key.name.clone() }));
        };
        if let Some(refusal) = crate::deletion::other_uid(KIND, &key.name, &entry.uid, uid) {
            return tx.reply(Err(refusal));
        }
        tx.reply_cron_job(ordinal, entry.object.clone(), Outcome::Deleted);
        if propagation == Propagation::Background {
            return self.remove_cron_job(ordinal, tx);
        }
        let uid = entry.uid.clone();
        let Some(entry) = self.cron_jobs.get_mut(&ordinal) else { return };
        let before = entry.current().metadata.clone();
        let mut revised = entry.current().clone();
        api::cron_job::begin_deletion(&mut revised, tx.now.wall);
        if let Some((meta, before)) = revised.metadata.as_mut().zip(before.as_ref()) {
            if propagation == Propagation::Orphan {
                meta.finalizers = vec![crate::deletion::ORPHAN.to_owned()];
            }
            if before.deletion_timestamp.is_some() {
                meta.deletion_timestamp = before.deletion_timestamp;
            }
        }
        entry.state.deleting = true;
        if revised.metadata != before {
            entry.revised = Some(revised);
            tx.touch_cron_job(ordinal, entry.bytes());
        }
        if propagation == Propagation::Orphan {
            self.orphaning.insert(ordinal);
        } else {
            self.orphaning.remove(&ordinal);
            self.dirty_cron_jobs.insert(ordinal);
            self.look_at_dependents(&uid);
        }
    }

    /// Takes the owner from a portion of a CronJob's Jobs; when none is left, the CronJob goes.
    pub(crate) fn orphan_jobs(&mut self, ordinal: u64, tx: &mut Transaction) {
        let Some(uid) = self.cron_jobs.get(&ordinal).map(|entry| entry.uid.clone()) else { return };
        while !tx.is_full() {
            if !self.orphan_dependent(&uid, tx) {
                return self.remove_cron_job(ordinal, tx);
            }
        }
    }

    /// The CronJob goes at once; its Jobs are found without their owner, and follow.
    fn remove_cron_job(&mut self, ordinal: u64, tx: &mut Transaction) {
        if let Some(entry) = self.cron_jobs.get_mut(&ordinal) {
            let runs = entry.state.close_books(self.clock.clock());
            self.tell_missed(ordinal, runs, tx);
        }
        self.wake_cron_job(ordinal, None);
        self.retry_cron_job(ordinal, false, tx.now);
        let Some(entry) = self.cron_jobs.remove(&ordinal) else { return };
        self.cron_job_names.remove(&entry.key);
        self.cron_job_uids.remove(&entry.uid);
        self.dirty_cron_jobs.remove(&ordinal);
        self.orphaning.remove(&ordinal);
        self.made_early.remove(&ordinal);
        self.to_rezone.remove(&ordinal);
        self.charge_live(entry.charged, 0);
        self.look_at_dependents(&entry.uid);
        tx.touched_cron_jobs.remove(&ordinal);
        tx.milestones.push(Milestone::CronJobDeleted { key: entry.key.clone() });
        let key = keys::object(keys::CRON_JOBS, &entry.key);
        tx.remove(key, Object::CronJob(entry.object.clone()), entry.committed);
    }

    pub(crate) fn write_cron_job_record(&mut self, ordinal: u64, batch: &mut Batch, news: &mut News) {
        if !self.cron_jobs.contains_key(&ordinal) {
            return;
        }
        let revision = self.new_revision();
        let Some(entry) = self.cron_jobs.get_mut(&ordinal) else { return };
        let before = entry.committed.then(|| Object::CronJob(entry.object.clone()));
        let mut object = entry.revised.take().unwrap_or_else(|| CronJob::clone(&entry.object));
        if let Some(meta) = &mut object.metadata {
            meta.resource_version = revision.to_string();
        }
        api::cron_job::write_status(&mut object, &entry.state);
        let mut record = api::cron_job::record(object, &entry.state, ordinal);
        let bytes = record.encode_to_vec();
        let (size, charged) = (bytes.len() as u64, std::mem::replace(&mut entry.charged, bytes.len() as u64));
        batch.put(keys::object(keys::CRON_JOBS, &entry.key), bytes);
        entry.object = Arc::new(record.cron_job.take().unwrap_or_default());
        entry.committed = true;
        // Nearly all have none, and had none before.
        let open = entry.state.unrecorded().map(|run| entry.missed(run));
        if open.is_some() || std::mem::replace(&mut entry.has_open_run, open.is_some()) {
            entry.has_open_run = open.is_some();
            news.open_runs.push((entry.key.clone(), open));
        }
        news.changes.push(Change { revision, before, after: Some(Object::CronJob(entry.object.clone())) });
        self.charge_live(charged, size);
    }

    /// What the ledger does not have yet of every CronJob.
    pub(crate) fn open_runs(&self) -> Vec<(ObjectKey, Option<LedgerEntry>)> {
        let open = |entry: &Box<CronJobEntry>| {
            let run = entry.state.unrecorded()?;
            Some((entry.key.clone(), Some(entry.missed(run))))
        };
        self.cron_jobs.values().filter_map(open).collect()
    }

    /// The device's zone data is not what it was: zones are looked up again, each when its CronJob is looked at next.
    pub(crate) fn zones_changed(&mut self, tx: &mut Transaction) {
        if !self.cron_jobs.is_empty() {
            let message = "the device's zone data changed: slots go by it from now on";
            self.tell_of_node(false, "TimeZonesChanged", message.to_owned(), tx);
        }
        self.to_rezone.extend(self.cron_jobs.keys());
        self.dirty_cron_jobs.extend(self.cron_jobs.keys());
        tx.reply(Ok(Reply::Done));
    }

    /// Takes up what has become known of the device since the CronJob was last looked at.
    fn take_up_news(&mut self, ordinal: u64, tx: &mut Transaction) {
        let Some(entry) = self.cron_jobs.get_mut(&ordinal) else { return };
        if let Some(up_since) = self.up_since.filter(|_| self.clock.is_plausible())
            && self.made_early.remove(&ordinal)
        {
            entry.state.due_since(up_since);
            tx.touch_cron_job(ordinal, entry.bytes());
        }
        if !self.to_rezone.remove(&ordinal) {
            return;
        }
        let spec = api::cron_job::spec(entry.current(), &*self.config.zones, &self.config.node_name);
        if spec.zone != entry.state.spec.zone {
            let closed = entry.state.rezone(spec.zone, self.clock.clock());
            tx.touch_cron_job(ordinal, entry.bytes());
            self.tell_missed(ordinal, closed, tx);
        }
    }

    /// Whether the clock says what it should, and what follows if it does not.
    pub(crate) fn look_at_clock(&mut self, tx: &mut Transaction) {
        for news in self.clock.look(tx.now) {
            tx.milestones.push(Milestone::Clock(news));
            let (warning, reason, message) = match news {
                ClockNews::Stepped { from, to } => {
                    (true, "ClockStepped", format!("the clock was set from {from} to {to}"))
                }
                ClockNews::Plausible { .. } => {
                    (false, "ClockPlausible", format!("the clock is set: it is {}", tx.now.wall))
                }
                ClockNews::Implausible => (
                    true,
                    "ClockNotPlausible",
                    format!("the clock says {}: no slot starts a Job", tx.now.wall),
                ),
            };
            self.tell_of_node(warning, reason, message, tx);
            if let ClockNews::Plausible { up_since } = news {
                self.date_early_ones(up_since);
                self.dirty_cron_jobs.extend(self.cron_jobs.keys());
            }
        }
    }

    /// CronJobs that were made before the clock was set are due from when that will have been.
    pub(crate) fn date_early_ones(&mut self, up_since: Timestamp) {
        let not_before = self.config.not_before;
        let early = self.cron_jobs.iter().filter(|(_, entry)| entry.state.since < not_before);
        self.made_early.extend(early.map(|(ordinal, _)| *ordinal));
        self.up_since = Some(up_since);
    }

    fn tell_of_node(&self, warning: bool, reason: &'static str, message: String, tx: &mut Transaction) {
        let key = ObjectKey::new("", self.config.node_name.clone());
        let node = reference("Node", "v1", &key, &self.config.node_name);
        tx.note(node, "wickd", warning, reason, message);
    }

    /// Has every CronJob looked at that is due. False if there is none.
    pub(crate) fn look_at_due_slots(&mut self, wall: Timestamp) -> bool {
        let mut any = false;
        while self.slots_are_due(wall)
            && let Some((_, ordinal)) = self.slots.pop_first()
        {
            any = true;
            if let Some(entry) = self.cron_jobs.get_mut(&ordinal) {
                entry.wake = None;
            }
            self.dirty_cron_jobs.insert(ordinal);
        }
        any
    }

    pub(crate) fn slots_are_due(&self, wall: Timestamp) -> bool {
        self.clock.is_plausible() && self.slots.first().is_some_and(|(at, _)| *at <= wall)
    }

    /// Whether a clock that was not believed is to be, once it is looked at.
    pub(crate) fn clock_is_due(&self, wall: Timestamp) -> bool {
        !self.cron_jobs.is_empty() && self.clock.plausible_from().is_some_and(|at| at <= wall)
    }

    /// When, on the steady axis, a CronJob is due or the clock is to be looked at, if nobody sets it before.
    pub(crate) fn next_slot_due(&self, now: Now) -> Option<Steady> {
        let at = match self.clock.plausible_from() {
            Some(at) if !self.cron_jobs.is_empty() => at,
            Some(_) => return None,
            None => self.slots.first()?.0,
        };
        // Not a moment too soon: a look before its time would be followed by another at once.
        let left = (at.as_nanosecond() - now.wall.as_nanosecond()).max(0);
        let finer_than_ms = now.wall.subsec_nanosecond() % 1_000_000 != 0;
        let left = i64::try_from(left / 1_000_000 + if finer_than_ms { 2 } else { 0 }).unwrap_or(i64::MAX);
        Some(now.steady + Millis(left))
    }
}

/// What the ledger would have of a stored CronJob's slots if no more of them came due: those of which it has nothing yet.
pub fn unrecorded(
    record: &CronJobRecord,
    zones: &dyn Zones,
    device: &str,
    clock: cron_job::Clock<'_>,
) -> Vec<LedgerEntry> {
    let mut state = api::cron_job::state(record, zones, device);
    let runs = state.close_books(clock);
    let entry = CronJobEntry::new(record.cron_job.clone().unwrap_or_default(), state, true);
    runs.into_iter().map(|run| entry.missed(run)).collect()
}

fn cron_job_too_large(bytes: usize) -> Option<Rejected> {
    let most = api::job::OBJECT_MAX.min(Batch::MAX_VALUE_BYTES);
    (bytes > most).then(|| {
        let mut errors = FieldErrors::new();
        errors.too_long(FieldPath::root(), bytes, most);
        Rejected::Invalid(errors)
    })
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
