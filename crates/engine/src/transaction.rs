//! One commit in the making: what was touched, what is to be answered and done, and then the writing of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::pb::k8s::batch::v1::{CronJob, Job};
use api::pb::k8s::core::v1::{ObjectReference, Pod};
use api::pb::wick::v1::{Attempt, ImageRecord, LedgerEntry, LedgerRecord, MetaRecord, PodRecord};
use prost::Message;
use sched::Now;

use crate::effect::{Effect, Milestone};
use crate::engine::{Applied, Engine, REVISION_GAP};
use crate::event::{ObjectKey, Outcome, Rejected, Reply};
use crate::keys;
use crate::recorder::Note;
use crate::store::{Batch, StoreError};
use crate::view::{Change, Counts, News, Object};

/// Commits are kept well below what the store takes at once ([`Batch::MAX_BYTES`]): the last thing taken in may still add a
/// little.
const BYTES: usize = Batch::MAX_BYTES / 2;

/// One commit in the making.
pub(crate) struct Transaction {
    pub(crate) now: Now,
    pub(crate) effects: Vec<Effect>,
    pub(crate) milestones: Vec<Milestone>,
    /// What was touched, and how many bytes its record may take, as far as is known.
    pub(crate) touched_jobs: BTreeMap<u64, usize>,
    pub(crate) touched_cron_jobs: BTreeMap<u64, usize>,
    pub(crate) touched_pods: BTreeMap<u64, usize>,
    /// Jobs of whose runs the ledger is told. If nothing else of them changes, their records do, but not what people see.
    linked_jobs: BTreeMap<u64, usize>,
    replies: Vec<PendingReply>,
    removed: Vec<(Vec<u8>, Object)>,
    /// Pods that are not in memory, with what changes of them.
    rewritten: BTreeMap<Vec<u8>, Rewritten>,
    images: Vec<(String, Option<Arc<ImageRecord>>)>,
    notes: Vec<Note<'static>>,
    /// For the ledger, in order; numbers and times come with the commit.
    pub(crate) ledger: Vec<LedgerRecord>,
    /// Runs of containers, by their Jobs, that are in no entry yet.
    pub(crate) attempts: BTreeMap<u64, Vec<Attempt>>,
    bytes: usize,
}

/// A commit that is made: what to write, and what to show, answer and do once it is written.
pub(crate) struct Prepared {
    pub(crate) batch: Batch,
    /// Events alone are not stored: such a commit need not be written.
    needs_writing: bool,
    news: News,
    replies: Vec<PendingReply>,
    effects: Vec<Effect>,
    milestones: Vec<Milestone>,
    ledger: Vec<LedgerEntry>,
}

struct Rewritten {
    key: ObjectKey,
    record: PodRecord,
    before: Arc<Pod>,
}

enum PendingReply {
    Ready(Result<Reply, Rejected>),
    /// The Job as the commit leaves it, or, where it takes it away, as it was.
    Job {
        ordinal: u64,
        last: Arc<Job>,
        outcome: Outcome,
    },
    /// A CronJob, likewise.
    CronJob {
        ordinal: u64,
        last: Arc<CronJob>,
        outcome: Outcome,
    },
    /// A Pod, likewise.
    Pod {
        ordinal: u64,
        last: Arc<Pod>,
    },
}

impl Transaction {
    pub(crate) fn new(now: Now) -> Transaction {
        Transaction {
            now,
            effects: Vec::new(),
            milestones: Vec::new(),
            touched_jobs: BTreeMap::new(),
            touched_cron_jobs: BTreeMap::new(),
            touched_pods: BTreeMap::new(),
            linked_jobs: BTreeMap::new(),
            replies: Vec::new(),
            removed: Vec::new(),
            rewritten: BTreeMap::new(),
            images: Vec::new(),
            notes: Vec::new(),
            ledger: Vec::new(),
            attempts: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// True if nothing more should be taken in.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= BYTES
    }

    /// True if what was taken in should be led to its end before more is.
    pub(crate) fn is_half_full(&self) -> bool {
        self.bytes >= BYTES / 2
    }

    /// Room for so many more records of this size; at least one.
    pub(crate) fn room_for(&self, bytes: usize) -> usize {
        (BYTES.saturating_sub(self.bytes) / bytes.max(1)).max(1)
    }

    /// Something new of so many bytes is written.
    pub(crate) fn charge(&mut self, bytes: usize) {
        charge(&mut 0, bytes, &mut self.bytes);
    }

    pub(crate) fn touch_job(&mut self, ordinal: u64, bytes: usize) {
        charge(self.touched_jobs.entry(ordinal).or_default(), bytes, &mut self.bytes);
    }

    pub(crate) fn link_job(&mut self, ordinal: u64, bytes: usize) {
        if !self.touched_jobs.contains_key(&ordinal) {
            charge(self.linked_jobs.entry(ordinal).or_default(), bytes, &mut self.bytes);
        }
    }

    pub(crate) fn touch_cron_job(&mut self, ordinal: u64, bytes: usize) {
        charge(self.touched_cron_jobs.entry(ordinal).or_default(), bytes, &mut self.bytes);
    }

    pub(crate) fn touch_pod(&mut self, ordinal: u64, bytes: usize) {
        charge(self.touched_pods.entry(ordinal).or_default(), bytes, &mut self.bytes);
    }

    /// The record at `key` goes; `object` is what it was. `committed` is false for what this commit would have made.
    pub(crate) fn remove(&mut self, key: Vec<u8>, object: Object, committed: bool) {
        self.rewritten.remove(&key);
        if committed {
            self.bytes += key.len() + 64;
            self.removed.push((key, object));
        }
    }

    /// The record of a Pod that is not in memory changes.
    pub(crate) fn rewrite(&mut self, key: ObjectKey, record: PodRecord, before: Arc<Pod>) {
        self.bytes += record.encoded_len() + 64;
        let at = keys::object(keys::PODS, &key);
        let before = self.rewritten.remove(&at).map_or(before, |earlier| earlier.before);
        self.rewritten.insert(at, Rewritten { key, record, before });
    }

    /// That Pod is in memory again: its record is written from there.
    pub(crate) fn forget_rewrite(&mut self, key: &ObjectKey) {
        self.rewritten.remove(&keys::object(keys::PODS, key));
    }

    /// What becomes of the record at `key`, if it was rewritten.
    pub(crate) fn rewritten(&self, key: &[u8]) -> Option<&PodRecord> {
        self.rewritten.get(key).map(|rewritten| &rewritten.record)
    }

    pub(crate) fn image(&mut self, name: String, record: Option<Arc<ImageRecord>>) {
        self.bytes += name.len() + 64 + record.as_ref().map_or(0, |record| record.encoded_len());
        self.images.push((name, record));
    }

    pub(crate) fn note(
        &mut self,
        about: ObjectReference,
        component: &'static str,
        warning: bool,
        reason: &'static str,
        message: String,
    ) {
        self.notes.push(Note { about, warning, reason, message, component });
    }

    pub(crate) fn reply(&mut self, reply: Result<Reply, Rejected>) {
        self.replies.push(PendingReply::Ready(reply));
    }

    pub(crate) fn reply_pod(&mut self, ordinal: u64, last: Arc<Pod>) {
        self.replies.push(PendingReply::Pod { ordinal, last });
    }

    pub(crate) fn reply_cron_job(&mut self, ordinal: u64, last: Arc<CronJob>, outcome: Outcome) {
        self.replies.push(PendingReply::CronJob { ordinal, last, outcome });
    }

    pub(crate) fn reply_job(&mut self, ordinal: u64, last: Arc<Job>, outcome: Outcome) {
        self.replies.push(PendingReply::Job { ordinal, last, outcome });
    }
}

impl Engine {
    /// Makes the commit durable, shows it to readers, and hands out what is now to be done. If the disk is full it is held.
    pub(crate) fn commit(&mut self, tx: Transaction) -> Result<Applied, StoreError> {
        let now = tx.now;
        let prepared = Box::new(self.prepare(tx));
        self.finish(prepared, now)
    }

    /// Puts the commit together. A commit that changes no object is not written.
    fn prepare(&mut self, mut tx: Transaction) -> Prepared {
        self.tell_attempts(&mut tx);
        let mut batch = Batch::new(0, tx.now.steady.0);
        let mut news = News::default();
        for (key, object) in std::mem::take(&mut tx.removed) {
            let revision = self.new_revision();
            batch.delete(key);
            news.changes.push(Change { revision, before: Some(object), after: None });
        }
        for (at, Rewritten { key, mut record, before }) in std::mem::take(&mut tx.rewritten) {
            let revision = self.new_revision();
            let mut pod = record.pod.take().unwrap_or_default();
            pod.metadata.get_or_insert_default().resource_version = revision.to_string();
            record.pod = Some(pod);
            batch.put(at, record.encode_to_vec());
            let after = record.pod.take().map(|pod| Object::Pod(Arc::new(pod)));
            news.changes.push(Change { revision, before: Some(Object::Pod(before)), after });
            news.settled.push(key);
        }
        for ordinal in std::mem::take(&mut tx.linked_jobs).into_keys() {
            if !tx.touched_jobs.contains_key(&ordinal) {
                self.write_job_links(ordinal, &mut batch);
            }
        }
        for ordinal in std::mem::take(&mut tx.touched_cron_jobs).into_keys() {
            self.write_cron_job_record(ordinal, &mut batch, &mut news);
        }
        for ordinal in std::mem::take(&mut tx.touched_jobs).into_keys() {
            self.write_job_record(ordinal, tx.now, &mut batch, &mut news);
        }
        for ordinal in std::mem::take(&mut tx.touched_pods).into_keys() {
            self.write_pod_record(ordinal, tx.now, &mut batch, &mut news);
        }
        for (name, record) in std::mem::take(&mut tx.images) {
            self.new_revision();
            match &record {
                Some(record) => batch.put(keys::image(&name), record.encode_to_vec()),
                None => batch.delete(keys::image(&name)),
            }
            news.images.push((name, record));
        }
        self.record_notes(std::mem::take(&mut tx.notes), tx.now, &mut news);
        let ledger = self.write_ledger(std::mem::take(&mut tx.ledger), tx.now, &mut batch, &mut news);

        let first = self.stored_revision == 0;
        let needs_writing =
            !batch.is_empty() || first || self.revision - self.stored_revision >= REVISION_GAP / 2;
        if needs_writing {
            let meta = MetaRecord {
                revision: self.revision,
                wall_ms: tx.now.wall.as_millisecond(),
                steady_ms: tx.now.steady.0,
                instance_id: self.instance_id.clone(),
                next_ordinal: self.next_ordinal,
                next_ledger_id: self.ledger.next_id,
            };
            batch.put(keys::META, meta.encode_to_vec());
            batch.revision = self.revision;
        }
        news.revision = self.revision;
        news.counts = Counts {
            guests_running: self.guests_running,
            pods_waiting: u32::try_from(self.waiting.len()).unwrap_or(u32::MAX),
            clock_plausible: self.clock.is_plausible(),
        };
        let Transaction { replies, effects, milestones, .. } = tx;
        Prepared { batch, needs_writing, news, replies, effects, milestones, ledger }
    }

    /// Writes a commit, and only then lets anybody know of it. A full disk is no failure: the commit is held.
    pub(crate) fn finish(&mut self, prepared: Box<Prepared>, now: Now) -> Result<Applied, StoreError> {
        if prepared.needs_writing {
            match self.write(&prepared.batch) {
                Ok(()) => self.stored_revision = prepared.news.revision,
                Err(full @ StoreError::Full { .. }) => {
                    self.look_again_soon(&full, now);
                    self.held = Some(prepared);
                    return Ok(Applied { revision: self.reader.revision(), ..Applied::default() });
                }
                Err(error) => return Err(error),
            }
        }
        let Prepared { news, replies, effects, milestones, ledger, .. } = *prepared;
        let changes = news.changes.clone();
        self.reader.publish(news);
        Ok(Applied {
            replies: replies.into_iter().map(|reply| self.answer(reply)).collect(),
            effects,
            milestones,
            changes,
            ledger,
            revision: self.revision,
            more: self.has_work(now),
        })
    }

    /// A full disk gets one more chance, with the room that was kept back for it: new objects were refused long before, so
    /// what is written now are ends.
    pub(crate) fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        match self.store.commit(batch) {
            Err(StoreError::Full { .. }) if self.store.release_reserve()? => self.store.commit(batch),
            result => result,
        }
    }

    fn answer(&self, reply: PendingReply) -> Result<Reply, Rejected> {
        match reply {
            PendingReply::Ready(reply) => reply,
            PendingReply::Job { ordinal, last, outcome } => {
                let job = self.jobs.get(&ordinal).map_or(last, |job| job.object.clone());
                Ok(Reply::Job { job, outcome })
            }
            PendingReply::CronJob { ordinal, last, outcome } => {
                let cron_job = self.cron_jobs.get(&ordinal).map_or(last, |entry| entry.object.clone());
                Ok(Reply::CronJob { cron_job, outcome })
            }
            PendingReply::Pod { ordinal, last } => {
                Ok(Reply::Pod(self.pods.get(&ordinal).map_or(last, |pod| pod.object.clone())))
            }
        }
    }

    fn record_notes(&mut self, notes: Vec<Note<'static>>, now: Now, news: &mut News) {
        let few = self.config.limits.few_events;
        for note in notes {
            if few && !note.warning && !["Suspended", "Resumed"].contains(&note.reason) {
                continue;
            }
            if !self.recorder.allows(&note, now.steady) {
                continue;
            }
            let revision = self.new_revision();
            let recorded = self.recorder.record(note, revision, now, &self.config.node_name);
            news.changes.push(Change {
                revision,
                before: recorded.before.map(Object::Event),
                after: recorded.after.map(Object::Event),
            });
        }
        for event in self.recorder.forget(now.steady) {
            let revision = self.new_revision();
            news.changes.push(Change { revision, before: Some(Object::Event(event)), after: None });
        }
    }

    /// For a store just opened: everything in it.
    pub(crate) fn everything(&self) -> News {
        News {
            adopted_jobs: self.jobs.values().map(|job| job.object.clone()).collect(),
            open_runs: self.open_runs(),
            adopted_cron_jobs: self.cron_jobs.values().map(|entry| entry.object.clone()).collect(),
            adopted_pods: self.pods.values().map(|pod| pod.object.clone()).collect(),
            images: self.images.iter().map(|(name, record)| (name.clone(), Some(record.clone()))).collect(),
            ledger: self.ledger.segments().map(|segment| (segment.first, Some(segment))).collect(),
            revision: self.revision,
            ..News::default()
        }
    }
}

/// A record that grows while the commit is made is charged for its final size. Long ones lie beside the batch, which has
/// room for more of those.
fn charge(charged: &mut usize, bytes: usize, total: &mut usize) {
    const LONG: usize = Batch::MAX_LARGE_BYTES / Batch::MAX_BYTES;
    let bytes = bytes.min(Batch::MAX_INLINE_BYTES).max(bytes / LONG);
    *total += bytes.saturating_sub(*charged);
    *charged = bytes.max(*charged);
}

/// `default/hello` as Events refer to it.
pub(crate) fn reference(kind: &str, api_version: &str, key: &ObjectKey, uid: &str) -> ObjectReference {
    ObjectReference {
        kind: kind.to_owned(),
        api_version: api_version.to_owned(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: uid.to_owned(),
        ..ObjectReference::default()
    }
}
