//! The engine's state and its one way forward: [`Engine::apply`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use api::pb::wick::v1::{CronJobRecord, ImageRecord, JobRecord, LedgerEntry, MetaRecord, PodRecord};
use jiff::Timestamp;
use sched::clock::ClockWatch;
use sched::cron_job::{CronJob as CronJobState, Zones};
use sched::node::{Queue, Room};
use sched::{Now, Steady};
use sha2::{Digest, Sha256};

use crate::cron_jobs::CronJobEntry;
use crate::deletion::Dying;
use crate::effect::{Effect, Milestone};
use crate::event::{Event, ObjectKey, Rejected, Reply};
use crate::images::Images;
use crate::jobs::JobEntry;
use crate::keys;
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::ownership::{Claimant, Free};
use crate::pause::Pause;
use crate::pods::{Ended, PodEntry};
use crate::recorder::Recorder;
use crate::records::{StoredRecord, damaged};
use crate::store::{Store, StoreError};
use crate::transaction::{Prepared, Transaction};
use crate::view::{Change, Reader};

/// After a start the revision goes on this far beyond the last one stored: Events get revisions too but are not stored, and
/// no revision may be given twice. Before so many were given without a commit, one is made.
pub(crate) const REVISION_GAP: u64 = 1 << 20;

/// What the engine is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name.
    pub node_name: String,
    /// Identity for a store that has none yet: 32 hexadecimal digits, never used before.
    pub fresh_instance_id: String,
    /// Its labels: what a Pod's `nodeSelector` asks for must be among them.
    pub node_labels: BTreeMap<String, String>,
    /// What the node shares out among Pods.
    pub allocatable: Room,
    /// What it takes at most.
    pub limits: Limits,
    /// What is known of zones.
    pub zones: Arc<dyn Zones>,
    /// A clock that says less was not set yet: no slot starts a Job by it.
    pub not_before: Timestamp,
}

/// What one commit did; to be acted on now that it is durable.
#[derive(Debug, Default)]
pub struct Applied {
    /// One for each event taken, in order.
    pub replies: Vec<Result<Reply, Rejected>>,
    /// What to do outside.
    pub effects: Vec<Effect>,
    /// What to tell in the agent's log.
    pub milestones: Vec<Milestone>,
    /// What became of every object it touched, in the order of their revisions.
    pub changes: Vec<Change>,
    /// The entries of the ledger that it wrote.
    pub ledger: Vec<LedgerEntry>,
    /// The revision readers see now.
    pub revision: u64,
    /// There is more to do at this very time (a commit has a size): apply again, with further events or with none.
    pub more: bool,
}

/// Why a store cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record cannot be read.
    #[error(
        "record `{key}` cannot be read: {why}; this data directory was damaged or written by something else"
    )]
    Record {
        /// Its key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The time of the last commit, on both axes: the agent's clock goes on from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredTime {
    /// Milliseconds since 1970.
    pub wall_ms: i64,
    /// Milliseconds on the steady axis.
    pub steady_ms: i64,
}

/// When the last commit was made, if there was one.
pub fn stored_time(store: &dyn Store) -> Result<Option<StoredTime>, OpenError> {
    let Some(bytes) = store.history().get(keys::META)? else { return Ok(None) };
    match StoredRecord::decode(keys::META, &bytes)? {
        StoredRecord::Meta(meta) => Ok(Some(StoredTime { wall_ms: meta.wall_ms, steady_ms: meta.steady_ms })),
        StoredRecord::Job(_)
        | StoredRecord::CronJob(_)
        | StoredRecord::Pod(_)
        | StoredRecord::Image(_)
        | StoredRecord::Ledger(_) => Ok(None),
    }
}

/// The uids of all Pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodUids {
    /// Of those that are not over: they may have volumes.
    pub unfinished: BTreeSet<String>,
    /// Of those that are: only their logs are of use.
    pub ended: BTreeSet<String>,
}

/// What an engine found when it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Jobs, finished ones included.
    pub jobs: usize,
    /// CronJobs.
    pub cron_jobs: usize,
    /// Pods, finished ones included.
    pub pods: usize,
    /// Names of images.
    pub images: usize,
    /// Containers that were running when the agent or the device went down.
    pub interrupted: usize,
}

/// What asks to be looked at again at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Job(u64),
    CronJob(u64),
    Pod(u64),
}

/// All that is live, and the store it is recorded in. One thread owns it.
pub struct Engine {
    pub(crate) store: Box<dyn Store>,
    pub(crate) reader: Reader,
    pub(crate) config: Config,
    pub(crate) instance_id: String,
    /// The last revision given.
    pub(crate) revision: u64,
    /// The last revision stored.
    pub(crate) stored_revision: u64,
    /// The next object's number.
    pub(crate) next_ordinal: u64,

    pub(crate) jobs: BTreeMap<u64, JobEntry>,
    pub(crate) job_names: BTreeMap<ObjectKey, u64>,
    pub(crate) job_uids: BTreeMap<String, u64>,
    /// Boxed: there may be thousands, and a map is half empty.
    pub(crate) cron_jobs: BTreeMap<u64, Box<CronJobEntry>>,
    pub(crate) cron_job_names: BTreeMap<ObjectKey, u64>,
    pub(crate) cron_job_uids: BTreeMap<String, u64>,
    /// Jobs by the CronJob that is their controller, there or not.
    pub(crate) cron_job_children: BTreeMap<ObjectKey, BTreeSet<u64>>,
    /// Pods that have not finished, or were not counted yet.
    pub(crate) pods: BTreeMap<u64, PodEntry>,
    /// Pods that have finished and were counted: on disk, kept to be looked at.
    pub(crate) ended: BTreeMap<u64, Ended>,
    /// Of both.
    pub(crate) pod_names: BTreeMap<ObjectKey, u64>,
    pub(crate) images: Images,
    pub(crate) recorder: Recorder,
    pub(crate) ledger: Ledger,
    recovered: Recovered,

    pub(crate) pause: Pause,
    /// A commit there was no room for. What is in memory is ahead of the disk by it.
    pub(crate) held: Option<Box<Prepared>>,

    /// Pods that wait for room, in the order they are taken.
    pub(crate) waiting: Queue,
    /// Pods with a container whose image the node does not have.
    pub(crate) waiting_for_image: BTreeSet<u64>,
    /// What admitted Pods share.
    pub(crate) used: Room,
    pub(crate) guests_running: u32,
    /// Jobs that could not make all their Pods because there are too many.
    pub(crate) starved: BTreeSet<u64>,

    pub(crate) timers: BTreeSet<(Steady, Subject)>,
    /// When CronJobs are due, by the wall clock.
    pub(crate) slots: BTreeSet<(Timestamp, u64)>,
    pub(crate) clock: ClockWatch,
    /// CronJobs that were made while the clock was not set.
    pub(crate) made_early: BTreeSet<u64>,
    /// When the agent will have gone up, by the clock as it was set since.
    pub(crate) up_since: Option<Timestamp>,
    /// CronJobs whose zone is to be looked up again.
    pub(crate) to_rezone: BTreeSet<u64>,
    // To be looked at, in this commit or, if it is full, the next.
    pub(crate) dirty_jobs: BTreeSet<u64>,
    /// To be looked at in the next commit: what this one says of them is to be seen before they go.
    pub(crate) jobs_of_next_commit: BTreeSet<u64>,
    /// Those with Pods that have finished and were not counted yet.
    pub(crate) jobs_to_count: BTreeSet<u64>,
    pub(crate) dirty_cron_jobs: BTreeSet<u64>,
    pub(crate) dirty_pods: BTreeSet<u64>,
    pub(crate) admit_again: bool,
    /// Finished Pods that are to go, in bounded portions.
    pub(crate) doomed: BTreeSet<u64>,
    /// Jobs that are being deleted without their Pods, and CronJobs without their Jobs.
    pub(crate) orphaning: BTreeSet<u64>,
    /// Jobs by the uid of their owner, there or not.
    pub(crate) dependents: BTreeMap<String, BTreeSet<u64>>,
    /// Jobs whose owners are to be looked for.
    pub(crate) to_collect: BTreeSet<u64>,
    /// Pods without an owner.
    pub(crate) free_pods: BTreeMap<u64, Free>,
    /// Jobs that choose their Pods by labels of their own.
    pub(crate) claimants: BTreeMap<u64, Claimant>,
    /// Jobs, and Pods without an owner that they choose.
    pub(crate) claims: BTreeSet<(u64, u64)>,
    /// What `jobs` and `pods` take, as encoded.
    pub(crate) live_bytes: u64,
    /// What `ended` takes of the disk, about.
    pub(crate) ended_bytes: u64,
    /// Pods that are gone, whose guests have not ended yet.
    pub(crate) dying: BTreeMap<u64, Dying>,
}

impl Engine {
    /// Takes up the work where the store left it: containers that were running were interrupted, everything is looked at
    /// again. What that leads to is in the second value.
    pub fn open(store: Box<dyn Store>, config: Config, now: Now) -> Result<(Engine, Applied), OpenError> {
        let reader = Reader::new(store.history(), 0);
        let recorded = stored_time(&*store)?.and_then(|at| Timestamp::from_millisecond(at.wall_ms).ok());
        let mut engine = Engine {
            clock: ClockWatch::new(now, config.not_before, recorded),
            reader,
            instance_id: config.fresh_instance_id.clone(),
            revision: store.revision(),
            stored_revision: store.revision(),
            store,
            config,
            next_ordinal: 1,
            jobs: BTreeMap::new(),
            job_names: BTreeMap::new(),
            job_uids: BTreeMap::new(),
            cron_jobs: BTreeMap::new(),
            cron_job_names: BTreeMap::new(),
            cron_job_uids: BTreeMap::new(),
            cron_job_children: BTreeMap::new(),
            pods: BTreeMap::new(),
            ended: BTreeMap::new(),
            pod_names: BTreeMap::new(),
            images: Images::default(),
            recorder: Recorder::default(),
            ledger: Ledger::default(),
            recovered: Recovered::default(),
            pause: Pause::default(),
            held: None,
            waiting: Queue::default(),
            waiting_for_image: BTreeSet::new(),
            used: Room::default(),
            guests_running: 0,
            starved: BTreeSet::new(),
            timers: BTreeSet::new(),
            slots: BTreeSet::new(),
            made_early: BTreeSet::new(),
            up_since: None,
            to_rezone: BTreeSet::new(),
            dirty_jobs: BTreeSet::new(),
            jobs_of_next_commit: BTreeSet::new(),
            jobs_to_count: BTreeSet::new(),
            dirty_cron_jobs: BTreeSet::new(),
            dirty_pods: BTreeSet::new(),
            admit_again: true,
            doomed: BTreeSet::new(),
            orphaning: BTreeSet::new(),
            dependents: BTreeMap::new(),
            to_collect: BTreeSet::new(),
            free_pods: BTreeMap::new(),
            claimants: BTreeMap::new(),
            claims: BTreeSet::new(),
            live_bytes: 0,
            ended_bytes: 0,
            dying: BTreeMap::new(),
        };
        engine.load()?;
        engine.revision += REVISION_GAP;
        engine.reader = Reader::new(engine.store.history(), engine.revision);
        engine.reader.publish(engine.everything());
        engine.look_for_room(now)?;
        engine.collect_ended();
        let mut tx = Transaction::new(now);
        if engine.clock.is_plausible() {
            engine.date_early_ones(now.wall);
        }
        engine.recovered = Recovered {
            jobs: engine.jobs.len(),
            cron_jobs: engine.cron_jobs.len(),
            pods: engine.pods.len() + engine.ended.len(),
            images: engine.images.iter().count(),
            interrupted: engine.interrupt(&mut tx),
        };
        let applied = engine.advance(tx)?;
        Ok((engine, applied))
    }

    /// Records `events` and what follows from them and from the time, all in one commit; `events` that did not fit in it are
    /// left where they are. So are all of them while a commit is held because the disk is full ([`Engine::holds`]).
    ///
    /// An error is the store's: what is in memory is then ahead of what is on disk, and the engine must be dropped.
    pub fn apply(&mut self, events: &mut VecDeque<Event>, now: Now) -> Result<Applied, StoreError> {
        if let Some(held) = self.held.take() {
            let mut applied = self.finish(held, now)?;
            if self.held.is_none() {
                self.look_for_room(now)?;
                applied.more = self.has_work(now) || !events.is_empty();
            }
            return Ok(applied);
        }
        self.look_for_room(now)?;
        self.dirty_jobs.append(&mut self.jobs_of_next_commit);
        let mut tx = Transaction::new(now);
        self.look_at_clock(&mut tx);
        while !tx.is_full() {
            let Some(event) = events.pop_front() else { break };
            self.take(event, &mut tx);
            if tx.is_half_full() {
                self.settle(&mut tx);
            }
        }
        let mut applied = self.advance(tx)?;
        applied.more |= !events.is_empty() && !self.holds();
        Ok(applied)
    }

    /// Looks after timers that are due and what still has to be looked at, and commits.
    fn advance(&mut self, mut tx: Transaction) -> Result<Applied, StoreError> {
        self.settle(&mut tx);
        while !tx.is_full() && self.look_at_due(tx.now) {
            self.settle(&mut tx);
        }
        self.commit(tx)
    }

    /// Has everything looked at whose time has come. False if there is nothing.
    fn look_at_due(&mut self, now: Now) -> bool {
        let mut any = self.look_at_due_slots(now.wall);
        while let Some((due, subject)) = self.timers.first().copied()
            && due <= now.steady
        {
            any = true;
            self.timers.pop_first();
            match subject {
                Subject::Job(job) => {
                    self.forget_wake_of_job(job);
                    self.dirty_jobs.insert(job);
                }
                Subject::CronJob(cron_job) => {
                    self.forget_retry(cron_job);
                    self.dirty_cron_jobs.insert(cron_job);
                }
                Subject::Pod(pod) => {
                    self.forget_wake_of_pod(pod);
                    self.dirty_pods.insert(pod);
                }
            }
        }
        any
    }

    /// When to call [`Engine::apply`] again although nothing came in. Whoever waits for long asks again once a minute: slots
    /// are instants of the wall clock, and that may have been set meanwhile.
    pub fn next_wake(&self, now: Now) -> Option<Steady> {
        // While a commit is held, no timer can be served.
        let timer = self.timers.first().map(|(at, _)| *at);
        let timers = [timer, self.next_slot_due(now)].into_iter().flatten().min().filter(|_| !self.holds());
        [timers, self.pause.look_again_at()].into_iter().flatten().min()
    }

    /// Whether anything goes by the device's zones.
    pub fn has_cron_jobs(&self) -> bool {
        !self.cron_jobs.is_empty()
    }

    /// What was found when the store was opened.
    pub fn recovered(&self) -> Recovered {
        self.recovered
    }

    /// Reads what was committed, from any thread.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// This data directory's identity.
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }

    /// Uids of all Pods there are: whatever else lies on disk for a Pod is left over.
    pub fn pod_uids(&self) -> PodUids {
        let (ended, unfinished) = self.pods.iter().partition::<Vec<_>, _>(|(_, pod)| pod.state.is_finished());
        let uids =
            |ordinals: &mut dyn Iterator<Item = &u64>| ordinals.map(|ordinal| self.uid(*ordinal)).collect();
        PodUids {
            unfinished: uids(&mut unfinished.iter().map(|(ordinal, _)| *ordinal)),
            ended: uids(&mut ended.iter().map(|(ordinal, _)| *ordinal).chain(self.ended.keys())),
        }
    }

    /// Digests of all images there are.
    pub fn image_digests(&self) -> BTreeSet<String> {
        self.images.digests()
    }

    /// A clean stop: closes the store. A commit that was held is tried once more; if there still is no room for it, the error
    /// says so, and what it held will be found interrupted.
    pub fn close(mut self) -> Result<(), StoreError> {
        let last = match self.held.take() {
            Some(held) => self.write(&held.batch),
            None => Ok(()),
        };
        self.store.close().and(last)
    }

    /// Records the fact, and answers.
    fn take(&mut self, event: Event, tx: &mut Transaction) {
        match event {
            Event::GuestEnded { guest, exit, usage } => self.guest_ended(guest, exit, usage, tx),
            Event::GuestWrote { guest, log_bytes } => self.guest_wrote(guest, log_bytes, tx),
            Event::CreateJob { job, mode, dry_run } => self.write_job(*job, mode, dry_run, tx),
            Event::SetPodCondition { key, condition } => self.set_pod_condition(&key, condition, tx),
            Event::DeleteJob { key, uid, propagation } => self.delete_job(&key, &uid, propagation, tx),
            Event::DeletePod { key, uid, grace_seconds } => {
                self.delete_pod_asked(&key, &uid, grace_seconds, tx);
            }
            Event::WriteCronJob { cron_job, mode, dry_run } => {
                self.write_cron_job(*cron_job, mode, dry_run, tx);
            }
            Event::DeleteCronJob { key, uid, propagation } => {
                self.delete_cron_job(&key, &uid, propagation, tx);
            }
            Event::ZonesChanged => self.zones_changed(tx),
            Event::ImageStored(record) => self.image_stored(record, tx),
            Event::DeleteImage { reference } => self.delete_image(&reference, tx),
        }
    }

    /// Looks at everything that changed, and at what changes by that, until nothing does or the commit is full.
    fn settle(&mut self, tx: &mut Transaction) {
        while !tx.is_full() {
            if let Some((job, pod)) = self.claims.pop_first() {
                // All of them, before the Job that takes them in makes Pods of its own.
                self.take_in(job, pod, tx);
                continue;
            }
            // What ended at one time is counted together: a Job that fails by it makes no more Pods first. It is counted in
            // the commit that records it, so a commit that fills up counts what it has. And Pods are admitted before more
            // are made, so that most are recorded once, as running.
            if (self.dirty_pods.is_empty() || tx.is_half_full())
                && let Some(job) = self.jobs_to_count.pop_first()
            {
                self.reconcile_job(job, tx);
            } else if let Some(pod) = self.dirty_pods.pop_first() {
                self.reconcile_pod(pod, tx);
            } else if let Some(pod) = self.doomed.pop_first() {
                // Before anything is admitted: Pods of a Job that has gone may be among those that wait.
                self.remove_ended(pod, tx);
            } else if let Some(job) = self.orphaning.first().copied() {
                self.orphan(job, tx);
            } else if let Some(job) = self.to_collect.pop_first() {
                self.collect(job, tx);
            } else if let Some(cron_job) = self.dirty_cron_jobs.pop_first() {
                // Before Pods are made and let in: the Jobs of a slot are on record soonest.
                self.reconcile_cron_job(cron_job, tx);
            } else if std::mem::take(&mut self.admit_again) {
                self.admit(tx);
            } else if let Some(job) = self.dirty_jobs.pop_first() {
                self.reconcile_job(job, tx);
            } else {
                return;
            }
        }
    }

    /// Whether there is something to look at, or will be because its time has come.
    pub(crate) fn has_work(&self, now: Now) -> bool {
        self.timers.first().is_some_and(|(due, _)| *due <= now.steady)
            || self.slots_are_due(now.wall)
            || self.clock_is_due(now.wall)
            || !self.dirty_cron_jobs.is_empty()
            || !self.dirty_pods.is_empty()
            || !self.dirty_jobs.is_empty()
            || !self.jobs_of_next_commit.is_empty()
            || !self.jobs_to_count.is_empty()
            || !self.doomed.is_empty()
            || !self.orphaning.is_empty()
            || !self.to_collect.is_empty()
            || !self.claims.is_empty()
            || self.admit_again
            || self.ledger.is_over(now.steady, &self.config.limits)
    }

    /// The uid of the object with this number: derived, so that the same object always has the same, and no other does.
    pub(crate) fn uid(&self, ordinal: u64) -> String {
        let hash =
            Sha256::new().chain_update(&self.instance_id).chain_update(ordinal.to_be_bytes()).finalize();
        let mut bytes = [0u8; 16];
        bytes.copy_from_slice(&hash[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x80; // UUID version 8: our own recipe (RFC 9562).
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut uid = String::with_capacity(36);
        for (place, byte) in bytes.iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                uid.push('-');
            }
            for nibble in [byte >> 4, byte & 0xf] {
                uid.extend(char::from_digit(nibble.into(), 16));
            }
        }
        uid
    }

    pub(crate) fn new_ordinal(&mut self) -> u64 {
        let ordinal = self.next_ordinal;
        self.next_ordinal += 1;
        ordinal
    }

    pub(crate) fn new_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    fn load(&mut self) -> Result<(), OpenError> {
        let mut jobs: Vec<JobRecord> = Vec::new();
        let mut cron_jobs: Vec<(CronJobRecord, CronJobState)> = Vec::new();
        let mut pods: Vec<PodRecord> = Vec::new();
        let mut images: Vec<ImageRecord> = Vec::new();
        let mut meta: Option<MetaRecord> = None;
        let mut failed = None;
        let (ledger, config) = (&mut self.ledger, &self.config);
        self.store.load(b"", &mut |key, bytes| {
            // By far the most records, and none of them stays in memory.
            if let Some(id) = keys::ledger_id(key) {
                return match ledger.found(id, bytes, &config.limits) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failed = Some(damaged(key, error.to_string()));
                        ControlFlow::Break(())
                    }
                };
            }
            let read = StoredRecord::decode(key, bytes).map(|record| match record {
                StoredRecord::Meta(record) => meta = Some(record),
                StoredRecord::Job(record) => jobs.push(record),
                StoredRecord::CronJob(mut record) => {
                    // One after the other: all of them unpacked would take several times the place.
                    let state = api::cron_job::state(&record, &*config.zones, &config.node_name);
                    record.cron_job.iter_mut().for_each(api::cron_job::pack);
                    cron_jobs.push((record, state));
                }
                StoredRecord::Pod(record) => pods.push(record),
                StoredRecord::Image(record) => images.push(record),
                StoredRecord::Ledger(_) => {} // Above.
            });
            match read {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        if let Some(meta) = meta {
            self.revision = self.revision.max(meta.revision);
            self.next_ordinal = meta.next_ordinal.max(1);
            self.ledger.next_id = self.ledger.next_id.max(meta.next_ledger_id);
            self.instance_id = meta.instance_id;
        }
        for record in images {
            self.images.insert(Arc::new(record));
        }
        for (record, state) in cron_jobs {
            self.load_cron_job(record, state);
        }
        for record in jobs {
            self.load_job(record);
        }
        for record in pods {
            self.load_pod(record);
        }
        Ok(())
    }
}
