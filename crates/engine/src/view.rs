//! What the rest of the process may see: the state after the last commit, and the changes that led to it.
//!
//! A watcher holds a cursor, a revision, and reads the changes itself; nothing is queued for it here. A slow watcher
//! therefore costs nothing, and one that fell behind what is remembered is told to list again. Changes are remembered in
//! memory and begin anew with each start.
//!
//! Pods that have finished and were counted are not in memory; they are read from disk and merged in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use api::pb::k8s::batch::v1::{CronJob, Job};
use api::pb::k8s::core::v1::{Event, Pod};
use api::pb::wick::v1::{CronJobRecord, ImageRecord, LedgerEntry, PodRecord};
use prost::Message;

use crate::event::ObjectKey;
use crate::keys;
use crate::ledger::Segment;
use crate::store::{History, StoreError};

/// So many changes of a kind are remembered at most, and at most [`CHANGES_BYTES`] of them.
pub const CHANGES: usize = 16_384;
/// The objects in a kind's remembered changes take at most so many bytes, as encoded; in memory it is about three times that.
pub const CHANGES_BYTES: usize = 2 << 20;
/// Pods read from disk at once: bounds what a list holds beside its result.
const PAGE: usize = 256;

/// The kinds that can be watched. Each has its own memory of changes, so that many of one do not push out another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Jobs.
    Job,
    /// CronJobs.
    CronJob,
    /// Pods.
    Pod,
    /// Events.
    Event,
}

/// An object of any kind that can be watched.
#[derive(Clone, Debug)]
pub enum Object {
    /// A Job.
    Job(Arc<Job>),
    /// A CronJob.
    CronJob(Arc<CronJob>),
    /// A Pod.
    Pod(Arc<Pod>),
    /// An Event.
    Event(Arc<Event>),
}

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its revision.
    pub revision: u64,
    /// The object before; `None` if it is new.
    pub before: Option<Object>,
    /// The object after; `None` if it is gone.
    pub after: Option<Object>,
}

impl Change {
    fn kind_and_bytes(&self) -> Option<(Kind, usize)> {
        Some(match self.after.as_ref().or(self.before.as_ref())? {
            Object::Job(job) => (Kind::Job, job.encoded_len()),
            Object::CronJob(cron_job) => (Kind::CronJob, cron_job.encoded_len()),
            Object::Pod(pod) => (Kind::Pod, pod.encoded_len()),
            Object::Event(event) => (Kind::Event, event.encoded_len()),
        })
    }
}

/// The newest changes of one kind.
#[derive(Default)]
struct Memory {
    /// With their sizes, oldest first.
    changes: VecDeque<(Change, usize)>,
    bytes: usize,
    /// Changes after this revision are all remembered.
    oldest: u64,
}

impl Memory {
    fn remember(&mut self, change: Change, bytes: usize) {
        self.changes.push_back((change, bytes));
        self.bytes += bytes;
        while self.changes.len() > CHANGES || self.bytes > CHANGES_BYTES {
            let Some((change, bytes)) = self.changes.pop_front() else { break };
            self.bytes -= bytes;
            self.oldest = change.revision;
        }
    }
}

/// Changes after a revision are no longer remembered, or the revision is from the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("changes are remembered from revision {oldest} to {newest}; list again and watch from there")]
pub struct Expired {
    /// The oldest revision that can be watched from.
    pub oldest: u64,
    /// The newest.
    pub newest: u64,
}

#[derive(Default)]
struct View {
    revision: u64,
    jobs: BTreeMap<ObjectKey, Arc<Job>>,
    cron_jobs: BTreeMap<ObjectKey, Arc<CronJob>>,
    /// Those that are not finished, or not counted.
    pods: BTreeMap<ObjectKey, Arc<Pod>>,
    images: BTreeMap<String, Arc<ImageRecord>>,
    events: BTreeMap<ObjectKey, Arc<Event>>,
    changes: BTreeMap<Kind, Memory>,
    /// Nobody will ask for changes.
    unwatched: bool,
    /// Where each kind's memory began.
    opened_at: u64,
    counts: Counts,
    /// Of the ledger, by their first entries.
    segments: BTreeMap<u64, Segment>,
    open_runs: OpenRuns,
}

/// Slots that are missed one after the other, without an end so far, by their CronJobs. Not stored as entries yet.
type OpenRuns = Arc<BTreeMap<ObjectKey, Arc<LedgerEntry>>>;

/// The ledger at one moment.
pub(crate) struct LedgerNow {
    /// What is on disk, oldest first.
    pub(crate) segments: Vec<Segment>,
    /// What will be, if no more follows.
    pub(crate) open_runs: OpenRuns,
    /// Uids of Jobs whose ends are not in it.
    pub(crate) active_jobs: BTreeSet<String>,
}

/// What the node is doing, in numbers, and whether it knows the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Guests that run.
    pub guests_running: u32,
    /// Pods that wait for room.
    pub pods_waiting: u32,
    /// Whether the clock is believed, as it was last looked at.
    pub clock_plausible: bool,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Only what comes after this; `None` for the first part.
    pub after: Option<ObjectKey>,
    /// At most so many objects.
    pub most: usize,
    /// At most so many bytes as encoded, but one object at least.
    pub bytes: usize,
}

impl Default for Page {
    /// The whole list.
    fn default() -> Page {
        Page { after: None, most: usize::MAX, bytes: usize::MAX }
    }
}

/// The first objects of a page, while they are found in any order.
struct Part<'a> {
    page: &'a Page,
    found: BTreeMap<ObjectKey, Arc<Pod>>,
    bytes: usize,
    /// There was something after them that did not fit.
    more: bool,
}

impl<'a> Part<'a> {
    fn new(page: &'a Page) -> Part<'a> {
        Part { page, found: BTreeMap::new(), bytes: 0, more: false }
    }

    /// Something did not fit: what comes after all of it is not wanted.
    fn is_full(&self) -> bool {
        self.more
    }

    fn wants(&self, key: &ObjectKey) -> bool {
        let begun = self.page.after.as_ref().is_none_or(|after| key > after);
        let last = self.found.last_key_value().map(|(last, _)| last);
        begun && !(self.more && last.is_some_and(|last| key > last))
    }

    fn add(&mut self, key: ObjectKey, pod: Arc<Pod>) {
        self.bytes = self.bytes.saturating_add(pod.encoded_len());
        if let Some(before) = self.found.insert(key, pod) {
            self.bytes -= before.encoded_len();
        }
        while self.found.len() > self.page.most || self.found.len() > 1 && self.bytes > self.page.bytes {
            let Some((_, last)) = self.found.pop_last() else { break };
            self.bytes -= last.encoded_len();
            self.more = true;
        }
    }

    fn finish(self) -> (Vec<Arc<Pod>>, Option<ObjectKey>) {
        let next = self.found.last_key_value().filter(|_| self.more).map(|(key, _)| key.clone());
        (self.found.into_values().collect(), next)
    }
}

/// Reads what was committed, from any thread. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    view: Arc<RwLock<View>>,
    history: Arc<dyn History>,
}

/// One commit's worth of news for the view.
#[derive(Default)]
pub(crate) struct News {
    pub(crate) revision: u64,
    pub(crate) changes: Vec<Change>,
    /// Pods that stay as they are but leave memory, and are read from disk from now on.
    pub(crate) settled: Vec<ObjectKey>,
    pub(crate) images: Vec<(String, Option<Arc<ImageRecord>>)>,
    /// What was there when the store was opened: no changes.
    pub(crate) adopted_jobs: Vec<Arc<Job>>,
    /// Likewise.
    pub(crate) adopted_cron_jobs: Vec<Arc<CronJob>>,
    /// Likewise.
    pub(crate) adopted_pods: Vec<Arc<Pod>>,
    pub(crate) counts: Counts,
    /// Segments of the ledger that changed, by their first entries, and those that went.
    pub(crate) ledger: Vec<(u64, Option<Segment>)>,
    /// CronJobs whose slots are being missed, as the ledger will have it if no more follow; `None` where that is over.
    pub(crate) open_runs: Vec<(ObjectKey, Option<LedgerEntry>)>,
}

impl Reader {
    pub(crate) fn new(history: Arc<dyn History>, revision: u64) -> Reader {
        let view = View { revision, opened_at: revision, ..View::default() };
        Reader { view: Arc::new(RwLock::new(view)), history }
    }

    // Whoever panicked with the lock held was reading or had an assertion fail; what is behind it is whole either way.
    fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody will ask for changes: none are remembered any more.
    pub fn forget_changes(&self) {
        let mut view = self.write();
        view.unwatched = true;
        view.changes.clear();
        view.opened_at = view.revision;
    }

    /// The last revision that can be seen.
    pub fn revision(&self) -> u64 {
        self.read().revision
    }

    /// What the node is doing.
    pub fn counts(&self) -> Counts {
        self.read().counts
    }

    /// One Job.
    pub fn job(&self, key: &ObjectKey) -> Option<Arc<Job>> {
        self.read().jobs.get(key).cloned()
    }

    /// The Jobs of a namespace, or of all (empty), in order, and the revision they are of.
    pub fn jobs(&self, namespace: &str) -> (Vec<Arc<Job>>, u64) {
        let view = self.read();
        (in_namespace(&view.jobs, namespace), view.revision)
    }

    /// One CronJob.
    pub fn cron_job(&self, key: &ObjectKey) -> Option<Arc<CronJob>> {
        self.read().cron_jobs.get(key).cloned()
    }

    /// The CronJobs of a namespace, or of all (empty), in order, and the revision they are of.
    pub fn cron_jobs(&self, namespace: &str) -> (Vec<Arc<CronJob>>, u64) {
        let view = self.read();
        (in_namespace(&view.cron_jobs, namespace), view.revision)
    }

    /// Every CronJob with all that is stored of it, in order.
    pub fn cron_job_records(&self) -> Result<Vec<CronJobRecord>, StoreError> {
        let mut records = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let found = self.history.scan(keys::CRON_JOBS, after.as_deref(), PAGE)?;
            let last = found.len() < PAGE;
            after = found.last().map(|(key, _)| key.clone());
            // What cannot be read is left out; the next start says what is wrong with it.
            records.extend(found.iter().filter_map(|(_, bytes)| CronJobRecord::decode(&bytes[..]).ok()));
            if last {
                return Ok(records);
            }
        }
    }

    /// The Events of a namespace, or of all (empty), in order of name, and the revision they are of.
    pub fn events(&self, namespace: &str) -> (Vec<Arc<Event>>, u64) {
        let view = self.read();
        (in_namespace(&view.events, namespace), view.revision)
    }

    /// One image by name in full form, or by digest.
    pub fn image(&self, reference: &str) -> Option<Arc<ImageRecord>> {
        let view = self.read();
        match view.images.get(reference) {
            Some(image) => Some(image.clone()),
            None => view.images.values().find(|record| digest(record) == reference).cloned(),
        }
    }

    /// Every name of every image, in order.
    pub fn images(&self) -> Vec<Arc<ImageRecord>> {
        self.read().images.values().cloned().collect()
    }

    /// One Pod, finished or not.
    pub fn pod(&self, key: &ObjectKey) -> Result<Option<Arc<Pod>>, StoreError> {
        if let Some(pod) = self.read().pods.get(key) {
            return Ok(Some(pod.clone()));
        }
        let stored = self.history.get(&keys::object(keys::PODS, key))?;
        Ok(stored.and_then(|bytes| PodRecord::decode(bytes.as_slice()).ok()?.pod).map(Arc::new))
    }

    /// The Pods of a namespace, or of all (empty), finished or not, in order, that `select` picks; and the revision.
    pub fn pods(
        &self,
        namespace: &str,
        select: impl Fn(&Pod) -> bool,
    ) -> Result<(Vec<Arc<Pod>>, u64), StoreError> {
        let (pods, revision, _) = self.pods_page(namespace, &Page::default(), select)?;
        Ok((pods, revision))
    }

    /// A part of [`Reader::pods`], and after which Pod the next one begins, if there is one. What it holds beside its result
    /// is bounded, and Pods on disk that are not in it are not looked into as far as their keys say so.
    #[expect(clippy::type_complexity, reason = "three things that are taken apart at once")]
    pub fn pods_page(
        &self,
        namespace: &str,
        page: &Page,
        select: impl Fn(&Pod) -> bool,
    ) -> Result<(Vec<Arc<Pod>>, u64, Option<ObjectKey>), StoreError> {
        let (live, revision) = {
            let view = self.read();
            (view.pods.clone(), view.revision)
        };
        let mut part = Part::new(page);
        for (key, pod) in &live {
            let lives_here = namespace.is_empty() || key.namespace == namespace;
            if lives_here && part.wants(key) && select(pod) {
                part.add(key.clone(), pod.clone());
            }
        }
        let prefix = keys::range(keys::PODS, namespace);
        // Within a namespace the store has them in order, so what came before need not be read again.
        let begin = page.after.as_ref().filter(|_| !namespace.is_empty());
        let mut after: Option<Vec<u8>> = begin.map(|key| keys::object(keys::PODS, key));
        loop {
            let found = self.history.scan(&prefix, after.as_deref(), PAGE)?;
            let mut last = found.len() < PAGE;
            after = found.last().map(|(key, _)| key.clone());
            for (at, bytes) in found {
                let Some(key) = keys::object_key(keys::PODS, &at) else { continue };
                if !part.wants(&key) {
                    // Nothing after it is wanted either.
                    last |= !namespace.is_empty() && part.is_full();
                    continue;
                }
                // What is in memory is newer; what was made since the list began belongs to a later revision.
                if live.contains_key(&key) {
                    continue;
                }
                let pod = PodRecord::decode(bytes.as_slice()).ok().and_then(|record| record.pod);
                if let Some(pod) = pod.filter(|pod| version(pod) <= revision && select(pod)) {
                    part.add(key, Arc::new(pod));
                }
            }
            if last {
                break;
            }
        }
        let (pods, next) = part.finish();
        Ok((pods, revision, next))
    }

    /// Up to `limit` changes of a kind after `since`, oldest first, and the revision up to which there is nothing else.
    pub fn changes(&self, kind: Kind, since: u64, limit: usize) -> Result<(Vec<Change>, u64), Expired> {
        let view = self.read();
        let memory = view.changes.get(&kind);
        let oldest = memory.map_or(0, |memory| memory.oldest).max(view.opened_at);
        if since < oldest || since > view.revision {
            return Err(Expired { oldest, newest: view.revision });
        }
        let changes = memory.map(|memory| {
            let from = memory.changes.partition_point(|(change, _)| change.revision <= since);
            memory.changes.range(from..).take(limit).map(|(change, _)| change.clone()).collect()
        });
        let changes: Vec<Change> = changes.unwrap_or_default();
        let reached = match changes.last() {
            Some(last) if changes.len() == limit => last.revision,
            _ => view.revision,
        };
        Ok((changes, reached))
    }

    /// What there is of the ledger.
    pub(crate) fn ledger_now(&self) -> LedgerNow {
        let view = self.read();
        let active = view.jobs.values().filter(|job| !api::job::is_finished(job));
        LedgerNow {
            segments: view.segments.values().copied().collect(),
            open_runs: view.open_runs.clone(),
            active_jobs: active.filter_map(|job| Some(job.metadata.as_ref()?.uid.clone())).collect(),
        }
    }

    pub(crate) fn history(&self) -> &dyn History {
        &*self.history
    }

    pub(crate) fn publish(&self, news: News) {
        let mut view = self.write();
        for change in news.changes {
            match (&change.before, &change.after) {
                (_, Some(Object::Job(job))) => {
                    view.jobs.insert(job_key(job), job.clone());
                }
                (_, Some(Object::CronJob(cron_job))) => {
                    view.cron_jobs.insert(cron_job_key(cron_job), cron_job.clone());
                }
                (_, Some(Object::Pod(pod))) => {
                    view.pods.insert(pod_key(pod), pod.clone());
                }
                (_, Some(Object::Event(event))) => {
                    view.events.insert(event_key(event), event.clone());
                }
                (Some(Object::CronJob(cron_job)), None) => {
                    let key = cron_job_key(cron_job);
                    view.cron_jobs.remove(&key);
                    if view.open_runs.contains_key(&key) {
                        Arc::make_mut(&mut view.open_runs).remove(&key);
                    }
                }
                (Some(Object::Job(job)), None) => {
                    view.jobs.remove(&job_key(job));
                }
                (Some(Object::Pod(pod)), None) => {
                    view.pods.remove(&pod_key(pod));
                }
                (Some(Object::Event(event)), None) => {
                    view.events.remove(&event_key(event));
                }
                (None, None) => {}
            }
            if !view.unwatched
                && let Some((kind, bytes)) = change.kind_and_bytes()
            {
                view.changes.entry(kind).or_default().remember(change, bytes);
            }
        }
        for job in news.adopted_jobs {
            view.jobs.insert(job_key(&job), job);
        }
        for cron_job in news.adopted_cron_jobs {
            view.cron_jobs.insert(cron_job_key(&cron_job), cron_job);
        }
        for pod in news.adopted_pods {
            view.pods.insert(pod_key(&pod), pod);
        }
        for key in news.settled {
            view.pods.remove(&key);
        }
        for (name, image) in news.images {
            match image {
                Some(image) => view.images.insert(name, image),
                None => view.images.remove(&name),
            };
        }
        for (first, segment) in news.ledger {
            match segment {
                Some(segment) => view.segments.insert(first, segment),
                None => view.segments.remove(&first),
            };
        }
        if !news.open_runs.is_empty() {
            let open = Arc::make_mut(&mut view.open_runs); // Copied only while somebody reads it.
            for (key, entry) in news.open_runs {
                match entry {
                    Some(entry) => open.insert(key, Arc::new(entry)),
                    None => open.remove(&key),
                };
            }
        }
        view.revision = news.revision;
        if view.unwatched {
            view.opened_at = news.revision; // Whoever asks all the same is told to list.
        }
        view.counts = news.counts;
    }
}

fn in_namespace<T>(objects: &BTreeMap<ObjectKey, Arc<T>>, namespace: &str) -> Vec<Arc<T>> {
    if namespace.is_empty() {
        return objects.values().cloned().collect();
    }
    let from = ObjectKey::new(namespace, "");
    let here = objects.range(from..).take_while(|(key, _)| key.namespace == namespace);
    here.map(|(_, object)| object.clone()).collect()
}

pub(crate) fn digest(record: &ImageRecord) -> &str {
    record.image.as_ref().map_or("", |image| &image.digest)
}

pub(crate) fn job_key(job: &Job) -> ObjectKey {
    job.metadata
        .as_ref()
        .map_or_else(|| ObjectKey::new("", ""), |meta| ObjectKey::new(&meta.namespace, &meta.name))
}

pub(crate) fn cron_job_key(cron_job: &CronJob) -> ObjectKey {
    let meta = cron_job.metadata.as_ref();
    meta.map_or_else(|| ObjectKey::new("", ""), |meta| ObjectKey::new(&meta.namespace, &meta.name))
}

pub(crate) fn pod_key(pod: &Pod) -> ObjectKey {
    pod.metadata
        .as_ref()
        .map_or_else(|| ObjectKey::new("", ""), |meta| ObjectKey::new(&meta.namespace, &meta.name))
}

fn event_key(event: &Event) -> ObjectKey {
    let meta = event.metadata.as_ref();
    meta.map_or_else(|| ObjectKey::new("", ""), |meta| ObjectKey::new(&meta.namespace, &meta.name))
}

fn version(pod: &Pod) -> u64 {
    let version = pod.metadata.as_ref().map(|meta| meta.resource_version.parse());
    version.and_then(Result::ok).unwrap_or(0)
}
