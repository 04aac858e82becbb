//! Jobs: written, deleted, and led on by what `sched` plans for them.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::pb::k8s::batch::v1::Job;
use api::pb::k8s::core::v1::ObjectReference;
use api::pb::wick::v1::JobRecord;
use api::{FieldErrors, FieldPath, NewJob};
use prost::Message;
use sched::job::{self, Live, Phase, PodExit, Portion, Seed, Verdict};
use sched::{Now, Steady, names};

use crate::effect::Milestone;
use crate::engine::{Engine, Subject};
use crate::event::{ObjectKey, Outcome, Propagation, Rejected, Reply, WriteMode};
use crate::keys;
use crate::store::Batch;
use crate::transaction::{Transaction, reference};
use crate::view::{Change, News, Object, job_key};

/// At most so many Pods of a Job are made in one go; between portions those made are admitted, so that most are recorded
/// once.
const PORTION: usize = 32;
const KIND: &str = "jobs.batch";
const COMPONENT: &str = "job-controller";

/// A Job, and what is kept of its Pods so that nothing is recounted.
pub(crate) struct JobEntry {
    pub(crate) key: ObjectKey,
    pub(crate) uid: String,
    /// As last committed; before the first commit, as asked for.
    pub(crate) object: Arc<Job>,
    /// The spec, labels or annotations changed since: what the next commit begins with.
    pub(crate) revised: Option<Job>,
    pub(crate) committed: bool,
    pub(crate) state: job::Job,
    /// The sums over `live_pods`.
    pub(crate) live: Live,
    /// As the last record has them, restarts aside.
    written: Live,
    pub(crate) live_pods: BTreeSet<u64>,
    /// Pods that have finished and were not counted yet.
    pub(crate) uncounted: BTreeSet<u64>,
    /// Pods that have finished and were counted.
    pub(crate) ended_pods: BTreeSet<u64>,
    pods_created: u64,
    /// What it is charged for among all that is in memory.
    pub(crate) charged: u64,
    /// Uids of its owners, as [`Engine::dependents`] has them.
    pub(crate) owners: Vec<String>,
    /// The CronJob that is its controller, there or not.
    pub(crate) cron_job: Option<ObjectKey>,
    /// What one of its Pods takes to record, about.
    pod_bytes: usize,
    /// The newest entry of the ledger that holds runs of its containers; 0 if there is none.
    pub(crate) ledger_id: u64,
    /// How many runs those entries hold.
    pub(crate) attempts_recorded: u64,
    pub(crate) wake: Option<Steady>,
}

impl JobEntry {
    fn new(object: Arc<Job>, state: job::Job, pods_created: u64, committed: bool) -> JobEntry {
        let uid = object.metadata.as_ref().map_or(String::new(), |meta| meta.uid.clone());
        let template = object.spec.as_ref().and_then(|spec| spec.template.as_ref());
        JobEntry {
            key: job_key(&object),
            uid,
            pod_bytes: template.map_or(0, Message::encoded_len) + 700,
            written: api::job::live(&object),
            charged: object.encoded_len() as u64,
            owners: Vec::new(),
            cron_job: None,
            object,
            revised: None,
            committed,
            state,
            live: Live::default(),
            live_pods: BTreeSet::new(),
            uncounted: BTreeSet::new(),
            ended_pods: BTreeSet::new(),
            pods_created,
            ledger_id: 0,
            attempts_recorded: 0,
            wake: None,
        }
    }

    pub(crate) fn reference(&self) -> ObjectReference {
        reference("Job", "batch/v1", &self.key, &self.uid)
    }

    /// A Pod of its that had this share in the sums now has that.
    pub(crate) fn shift(&mut self, index: Option<u32>, before: Live, after: Live) {
        self.live = self.live.minus(before).plus(after);
        if let Some((table, index)) = self.state.indexes.as_mut().zip(index) {
            table.shift(index, before, after);
        }
    }

    /// What of the sums its status shows.
    fn shown(&self) -> Live {
        Live { restarts: 0, ..self.live }
    }

    /// What it takes to record, at most.
    pub(crate) fn bytes(&self) -> usize {
        let object = self.revised.as_ref().map_or_else(|| self.object.encoded_len(), Message::encoded_len);
        // Two conditions, the counts, and what is decided from; text of indexes grows by one at a time.
        let failing = self.state.indexes.as_ref().map_or(0, |table| table.failing().len());
        object + 1024 + 32 * failing
    }

    fn link(&self, record: &mut JobRecord) {
        record.ledger_id = self.ledger_id;
        record.attempts_recorded = self.attempts_recorded;
    }

    /// What names of its Pods are stirred with.
    fn name_key(&self) -> u64 {
        self.uid
            .bytes()
            .filter_map(|byte| char::from(byte).to_digit(16))
            .fold(0, |key, digit| (key << 4 | u64::from(digit)).rotate_left(3))
    }
}

impl Engine {
    pub(crate) fn load_job(&mut self, record: JobRecord) {
        let state = api::job::state(&record);
        let JobRecord { job, pods_created, ordinal, ledger_id, attempts_recorded, .. } = record;
        let entry = JobEntry {
            ledger_id,
            attempts_recorded,
            ..JobEntry::new(Arc::new(job.unwrap_or_default()), state, pods_created, true)
        };
        self.dirty_jobs.insert(ordinal);
        self.insert_job(ordinal, entry);
        self.load_deletion(ordinal);
    }

    /// The name asked for; one that is generated is made so that no other Job has it.
    fn free_name(&self, new: &NewJob, ordinal: u64) -> String {
        if !new.name().is_empty() {
            return new.name().to_owned();
        }
        let mut attempt = ordinal;
        loop {
            let name = names::generate(new.generate_name(), 0, attempt);
            if !self.job_names.contains_key(&ObjectKey::new(new.namespace(), name.clone())) {
                return name;
            }
            attempt += 1;
        }
    }

    fn insert_job(&mut self, ordinal: u64, entry: JobEntry) {
        let before = self.job_names.insert(entry.key.clone(), ordinal);
        assert_eq!(before, None, "two Jobs have one name");
        self.job_uids.insert(entry.uid.clone(), ordinal);
        self.charge_live(0, entry.charged);
        self.jobs.insert(ordinal, entry);
        self.know_owners(ordinal);
    }

    pub(crate) fn forget_wake_of_job(&mut self, ordinal: u64) {
        if let Some(job) = self.jobs.get_mut(&ordinal) {
            job.wake = None;
        }
    }

    pub(crate) fn write_job(
        &mut self,
        new: NewJob,
        mode: WriteMode<Job>,
        dry_run: bool,
        tx: &mut Transaction,
    ) {
        let key = ObjectKey::new(new.namespace(), new.name());
        match (self.job_names.get(&key).copied(), mode) {
            (Some(_), WriteMode::Create) => {
                tx.reply(Err(Rejected::Exists { kind: KIND, name: key.name }));
            }
            (Some(ordinal), WriteMode::Apply) => self.update_job(ordinal, new, dry_run, tx),
            (Some(ordinal), WriteMode::Update) => self.update_job(ordinal, new.replacing(), dry_run, tx),
            (Some(ordinal), WriteMode::Revise(read)) => match self.changed_since(ordinal, &read) {
                Some(refusal) => tx.reply(Err(refusal)),
                None => self.update_job(ordinal, new.replacing(), dry_run, tx),
            },
            (None, WriteMode::Create | WriteMode::Apply) => self.create_job(new, dry_run, tx),
            (None, WriteMode::Update | WriteMode::Revise(_)) => {
                tx.reply(Err(Rejected::NotFound { kind: KIND, name: key.name }));
            }
        }
    }

    fn create_job(&mut self, new: NewJob, dry_run: bool, tx: &mut Transaction) {
        let ordinal = self.next_ordinal;
        let uid = self.uid(ordinal);
        let name = self.free_name(&new, ordinal);
        let object = new.stamp(name, &uid, tx.now.wall);
        if dry_run {
            let refusal = self.too_large(&object).or_else(|| self.no_place_for_job(object.encoded_len()));
            let would_be = Reply::Job { job: Arc::new(object), outcome: Outcome::Created };
            return tx.reply(refusal.map_or(Ok(would_be), Err));
        }
        let object = Arc::new(object);
        match self.make_job(object.clone(), tx) {
            Ok(ordinal) => tx.reply_job(ordinal, object, Outcome::Created),
            Err(refusal) => tx.reply(Err(refusal)),
        }
    }

    /// Takes in a Job that has been given a name and the next uid.
    fn make_job(&mut self, object: Arc<Job>, tx: &mut Transaction) -> Result<u64, Rejected> {
        let bytes = object.encoded_len();
        let refusal = self.too_large(&object).or_else(|| self.no_place_for_job(bytes));
        if let Some(refusal) = refusal.or_else(|| self.refusal(bytes)) {
            return Err(refusal);
        }
        let ordinal = self.new_ordinal();
        let state = api::job::new_state(&object);
        let entry = JobEntry::new(object, state, 0, false);
        tx.touch_job(ordinal, entry.bytes());
        tx.milestones.push(Milestone::JobCreated { key: entry.key.clone(), uid: entry.uid.clone() });
        self.insert_job(ordinal, entry);
        self.tell_triggered(ordinal, tx);
        self.dirty_jobs.insert(ordinal);
        self.look_at_controller(ordinal);
        Ok(ordinal)
    }

    /// Takes in a Job that nobody outside asked for.
    pub(crate) fn create_owned_job(&mut self, new: NewJob, tx: &mut Transaction) -> Result<u64, Rejected> {
        let name = new.name().to_owned();
        let object = new.stamp(name, &self.uid(self.next_ordinal), tx.now.wall);
        self.make_job(Arc::new(object), tx)
    }

    /// Why a Job that was read as `read` is not to be revised by what came of it.
    fn changed_since(&self, ordinal: u64, read: &Job) -> Option<Rejected> {
        let entry = self.jobs.get(&ordinal)?;
        let stored = entry.revised.as_ref().unwrap_or(&entry.object);
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

    fn update_job(&mut self, ordinal: u64, new: NewJob, dry_run: bool, tx: &mut Transaction) {
        let Some(entry) = self.jobs.get_mut(&ordinal) else { return };
        let stored = entry.revised.as_ref().unwrap_or(&entry.object);
        let given = new.resource_version().to_owned();
        let current = stored.metadata.as_ref().map_or("", |meta| meta.resource_version.as_str());
        // What this commit has already changed will have another version than the one that was read.
        if !given.is_empty() && (given != current || tx.touched_jobs.contains_key(&ordinal)) {
            return tx.reply(Err(Rejected::Conflict {
                kind: KIND,
                name: entry.key.name.clone(),
                current: current.to_owned(),
                given,
            }));
        }
        let revised = match new.revise(stored) {
            Ok(Some(revised)) => revised,
            Ok(None) => {
                return tx.reply_job(ordinal, entry.object.clone(), Outcome::Unchanged);
            }
            Err(errors) => return tx.reply(Err(Rejected::Invalid(errors))),
        };
        if dry_run {
            return tx.reply(Ok(Reply::Job { job: Arc::new(revised), outcome: Outcome::Configured }));
        }
        if self.pause.draining {
            return tx.reply(Err(Rejected::GoingDown));
        }
        if let Some(refusal) = self.too_large(&revised) {
            return tx.reply(Err(refusal));
        }
        let Some(entry) = self.jobs.get_mut(&ordinal) else { return };
        let replacement = entry.state.spec.replacement;
        entry.state.spec = api::job::spec(&revised);
        let waits_otherwise = entry.state.spec.replacement != replacement;
        entry.revised = Some(revised);
        tx.touch_job(ordinal, entry.bytes());
        tx.reply_job(ordinal, entry.object.clone(), Outcome::Configured);
        self.dirty_jobs.insert(ordinal);
        self.know_owners(ordinal);
        if waits_otherwise {
            self.look_for_exits(ordinal);
        }
    }

    /// Does what `sched` plans for a Job.
    pub(crate) fn reconcile_job(&mut self, ordinal: u64, tx: &mut Transaction) {
        // While its Pods are taken from it nothing else happens to it.
        if self.orphaning.contains(&ordinal) {
            return;
        }
        let (counted, exits) = self.exits(ordinal, tx.now);
        let paused = self.pause.begins_nothing() || self.unknown_class(ordinal).is_some();
        let pod_bytes = self.jobs.get(&ordinal).map_or(0, |entry| entry.pod_bytes);
        let spare = if paused { 0 } else { self.spare_pods(pod_bytes) };
        let Some(entry) = self.jobs.get_mut(&ordinal) else { return };
        let room = (tx.room_for(entry.pod_bytes) / 2).clamp(1, PORTION);
        let portion = Portion { make: narrow(room.min(spare)), stop: narrow(room) };
        let told = (entry.state.phase, entry.state.suspended);
        let plan = job::reconcile(std::mem::take(&mut entry.state), entry.live, &exits, portion, tx.now);

        entry.state = plan.next;
        let wake = std::mem::replace(&mut entry.wake, plan.wake);
        if plan.changed || entry.shown() != entry.written {
            tx.touch_job(ordinal, entry.bytes());
        }
        let ended = tell(entry, told, tx);
        if wake != plan.wake {
            self.timers.extend(plan.wake.map(|at| (at, Subject::Job(ordinal))));
            if let Some(at) = wake {
                self.timers.remove(&(at, Subject::Job(ordinal)));
            }
        }
        self.take_counted(ordinal, &counted, tx);
        if ended {
            self.look_at_controller(ordinal);
            self.tell_finished(ordinal, tx);
        }
        self.stop_pods(ordinal, plan.stop, tx);
        let starved = plan.more && plan.stop == 0 && plan.create.len() >= spare;
        for seed in plan.create {
            self.create_pod(ordinal, seed, tx);
        }
        if starved {
            self.starve(ordinal, tx);
        } else if plan.more {
            self.dirty_jobs.insert(ordinal);
        }
        if plan.expired && tx.touched_jobs.contains_key(&ordinal) {
            // As on a cluster, whoever watches sees that it finished before it goes.
            self.jobs_of_next_commit.insert(ordinal);
        } else if plan.expired {
            self.begin_deletion(ordinal, Propagation::Foreground, tx);
        }
        if plan.remove && self.is_deserted(ordinal) {
            self.remove_job(ordinal, tx);
        }
    }

    /// What a Job has to count, and which Pods that are.
    fn exits(&self, ordinal: u64, now: Now) -> (Vec<u64>, Vec<PodExit>) {
        let Some(entry) = self.jobs.get(&ordinal) else { return Default::default() };
        let spec = &entry.state.spec;
        let uncounted =
            entry.uncounted.iter().filter_map(|ordinal| Some((*ordinal, self.pods.get(ordinal)?)));
        uncounted
            .filter_map(|(ordinal, pod)| {
                let mut exit = pod.state.uncounted_exit(spec.replacement, now.steady)?;
                exit.index = pod.index;
                if spec.failure_policy.is_some() && !exit.succeeded {
                    exit.failed = Some(Box::new(api::job::failed(&pod.object, &pod.state)));
                }
                Some((ordinal, exit))
            })
            .unzip()
    }

    /// The Pods that were counted are done with: their record says so in this commit, and then they leave memory.
    fn take_counted(&mut self, ordinal: u64, counted: &[u64], tx: &mut Transaction) {
        if let Some(entry) = self.jobs.get_mut(&ordinal) {
            entry.uncounted.clear();
        }
        for pod in counted {
            if let Some(pod_entry) = self.pods.get_mut(pod) {
                pod_entry.state.counted = true;
                tx.touch_pod(*pod, pod_entry.bytes());
                // One that was deleted stayed until it was counted.
                if pod_entry.state.is_deleted() {
                    self.dirty_pods.insert(*pod);
                }
            }
        }
    }

    /// Which Pods are to be counted depends on the spec, which has changed.
    fn look_for_exits(&mut self, ordinal: u64) {
        let Some(entry) = self.jobs.get_mut(&ordinal) else { return };
        let replacement = entry.state.spec.replacement;
        let counts =
            |pod: &&u64| self.pods.get(pod).is_some_and(|pod| pod.state.is_to_be_counted(replacement));
        entry.uncounted.extend(entry.live_pods.iter().filter(counts));
        if !entry.uncounted.is_empty() {
            self.jobs_to_count.insert(ordinal);
        }
    }

    /// Stops so many active Pods: those that should not be there, then those that have come least far. They will not be
    /// counted again.
    fn stop_pods(&mut self, ordinal: u64, pods: u32, tx: &mut Transaction) {
        let Some(entry) = self.jobs.get(&ordinal).filter(|_| pods > 0) else { return };
        let active = entry.live_pods.iter().filter_map(|pod| Some((*pod, self.pods.get(pod)?)));
        let active = active.filter(|(_, pod)| pod.state.share().active > 0);
        let mut ranked: Vec<_> =
            active.map(|(ordinal, pod)| (pod.state.rank(), pod.index, ordinal)).collect();
        ranked.sort_by(|one, other| other.cmp(one));
        // Of the Pods of an index the best one stays.
        let completions = entry.state.spec.completions.filter(|_| entry.state.spec.indexed.is_some());
        let mut seen = BTreeSet::new();
        let mut stays = |index: &Option<u32>| match (completions, index) {
            (None, _) => true,
            (Some(completions), Some(index)) => *index < completions && seen.insert(*index),
            (Some(_), None) => false,
        };
        let mut in_order: Vec<_> =
            ranked.iter().map(|(rank, index, ordinal)| (stays(index), *rank, *ordinal)).collect();
        in_order.sort_unstable();
        let about = entry.reference();
        for (_, _, pod) in in_order.into_iter().take(usize::try_from(pods).unwrap_or(usize::MAX)) {
            if let Some(entry) = self.pods.get(&pod) {
                let message = format!("Deleted pod: {}", entry.key.name);
                tx.note(about.clone(), COMPONENT, false, "SuccessfulDelete", message);
            }
            self.delete_pod(pod, tx);
        }
    }

    fn create_pod(&mut self, job: u64, seed: Seed, tx: &mut Transaction) {
        let Some(entry) = self.jobs.get_mut(&job) else { return };
        let prefix = match seed.index {
            Some(index) => names::indexed_prefix(&entry.key.name, index),
            None => format!("{}-", entry.key.name),
        };
        let key = loop {
            let name = names::generate(&prefix, entry.name_key(), entry.pods_created);
            entry.pods_created += 1;
            let key = ObjectKey::new(entry.key.namespace.clone(), name);
            if !self.pod_names.contains_key(&key) {
                break key;
            }
        };
        let object = entry.revised.is_none().then(|| entry.object.clone());
        let object = object.or_else(|| entry.revised.clone().map(Arc::new)).unwrap_or_default();
        let about = entry.reference();
        tx.touch_job(job, entry.bytes());
        tx.note(about, COMPONENT, false, "SuccessfulCreate", format!("Created pod: {}", key.name));
        self.make_pod(job, key, &object, seed, tx);
    }

    /// The priority class that a Job's Pods name and that does not exist: as on a cluster, no Pod is made then.
    fn unknown_class(&self, ordinal: u64) -> Option<&str> {
        let spec = self.jobs.get(&ordinal)?.object.spec.as_ref()?;
        let class = &spec.template.as_ref()?.spec.as_ref()?.priority_class_name;
        api::pod::priority(class).is_none().then_some(class)
    }

    fn starve(&mut self, ordinal: u64, tx: &mut Transaction) {
        if self.starved.insert(ordinal)
            && !self.pause.draining
            && let Some(entry) = self.jobs.get(&ordinal)
        {
            let why = match (self.unknown_class(ordinal), self.short_of_room()) {
                (Some(class), _) => format!("no PriorityClass with name {class} was found"),
                (None, Some(why)) => why.to_owned(),
                (None, None) => self.no_spare_pods(entry.pod_bytes),
            };
            let message = format!("Error creating: {why}");
            tx.note(entry.reference(), COMPONENT, true, "FailedCreate", message);
        }
    }

    pub(crate) fn write_job_record(&mut self, ordinal: u64, now: Now, batch: &mut Batch, news: &mut News) {
        if !self.jobs.contains_key(&ordinal) {
            return;
        }
        let revision = self.new_revision();
        let Some(entry) = self.jobs.get_mut(&ordinal) else { return };
        let before = entry.committed.then(|| Object::Job(entry.object.clone()));
        let mut object = entry.revised.take().unwrap_or_else(|| Job::clone(&entry.object));
        if let Some(meta) = &mut object.metadata {
            meta.resource_version = revision.to_string();
        }
        api::job::write_status(&mut object, &entry.state, entry.live, now);
        let mut record = api::job::record(object, &entry.state, entry.pods_created, ordinal);
        entry.link(&mut record);
        let bytes = record.encode_to_vec();
        let (size, charged) = (bytes.len() as u64, std::mem::replace(&mut entry.charged, bytes.len() as u64));
        batch.put(keys::object(keys::JOBS, &entry.key), bytes);
        entry.object = Arc::new(record.job.take().unwrap_or_default());
        entry.committed = true;
        entry.written = entry.shown();
        news.changes.push(Change { revision, before, after: Some(Object::Job(entry.object.clone())) });
        self.charge_live(charged, size);
    }

    /// Where its runs are in the ledger; nothing else of it changed.
    pub(crate) fn write_job_links(&self, ordinal: u64, batch: &mut Batch) {
        let Some(entry) = self.jobs.get(&ordinal).filter(|entry| entry.committed) else { return };
        let object = Job::clone(&entry.object);
        let mut record = api::job::record(object, &entry.state, entry.pods_created, ordinal);
        entry.link(&mut record);
        batch.put(keys::object(keys::JOBS, &entry.key), record.encode_to_vec());
    }

    /// Labels that are inherited or generated add to what was checked when it came in; and a record must still be one when
    /// all is in it that is told of indexes.
    fn too_large(&self, job: &Job) -> Option<Rejected> {
        let growth = api::job::growth(job, self.config.limits.live_pods);
        let most = api::job::OBJECT_MAX.min(Batch::MAX_VALUE_BYTES.saturating_sub(growth));
        let bytes = job.encoded_len();
        if bytes <= most {
            return None;
        }
        let mut errors = FieldErrors::new();
        errors.too_long(FieldPath::root(), bytes, most);
        Some(Rejected::Invalid(errors))
    }

    /// Ordinal of the Job that is the controller of an object with these owners.
    pub(crate) fn owner(&self, meta: &api::pb::k8s::meta::v1::ObjectMeta) -> Option<u64> {
        let owner = meta.owner_references.iter().find(|owner| owner.controller == Some(true))?;
        self.job_uids.get(&owner.uid).copied()
    }
}

/// Tells of a Job's rest and of its end; whether it has ended now.
fn tell(entry: &JobEntry, (phase, suspended): (Phase, Option<bool>), tx: &mut Transaction) -> bool {
    let state = &entry.state;
    if let Some(rests) = state.suspended.filter(|_| state.suspended != suspended) {
        let (_, _, message) = api::job::suspension(rests);
        let reason = if rests { "Suspended" } else { "Resumed" };
        tx.note(entry.reference(), COMPONENT, false, reason, message.to_owned());
    }
    let Phase::Finished(verdict) = state.phase else { return false };
    if matches!(phase, Phase::Finished(_)) {
        return false;
    }
    let failed = matches!(verdict, Verdict::Failed(_));
    if !failed && state.spec.completions.is_some_and(|completions| state.succeeded > completions) {
        let message = "Too many succeeded pods running after completion count reached";
        tx.note(entry.reference(), COMPONENT, true, "TooManySucceededPods", message.to_owned());
    }
    let (reason, message) = if failed {
        (api::job::reason(verdict), api::job::message(verdict, state.detail.as_deref()))
    } else {
        ("Completed", "Job completed".to_owned())
    };
    tx.note(entry.reference(), COMPONENT, failed, reason, message);
    tx.milestones.push(Milestone::JobFinished { key: entry.key.clone(), reason, failed });
    true
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
