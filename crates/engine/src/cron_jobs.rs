//! CronJobs: written, deleted and recorded. They are led on in `starting.rs`; `wall_clock.rs` knows when they are due.

mod starting;
mod wall_clock;

use std::sync::Arc;

use api::cron_job::Template;
use api::pb::k8s::batch::v1::CronJob;
use api::pb::k8s::core::v1::ObjectReference;
use api::pb::wick::v1::{CronJobRecord, LedgerEntry};
use api::{FieldErrors, FieldPath, NewCronJob};
use jiff::Timestamp;
use prost::Message;
use sched::cron_job::{self, Missed, Zones};
use sched::{Steady, names};

use crate::effect::Milestone;
use crate::engine::Engine;
use crate::event::{ObjectKey, Outcome, Propagation, Rejected, Reply, WriteMode};
use crate::keys;
use crate::store::Batch;
use crate::transaction::{Transaction, reference};
use crate::view::{Change, News, Object, cron_job_key};

pub(crate) const KIND: &str = "cronjobs.batch";
const COMPONENT: &str = "cronjob-controller";

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
    pub(crate) fn load_cron_job(&mut self, record: CronJobRecord, state: cron_job::CronJob) {
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
        let open = |entry: &CronJobEntry| {
            let run = entry.state.unrecorded()?;
            Some((entry.key.clone(), Some(entry.missed(run))))
        };
        self.cron_jobs.values().filter_map(|entry| open(entry)).collect()
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
