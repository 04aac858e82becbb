//! Pods: made for Jobs, taken by the node, led on by what `sched` plans for them, and collected.

use std::sync::Arc;

use api::pb::k8s::batch::v1::Job;
use api::pb::k8s::core::v1::{ObjectReference, Pod};
use api::pb::wick::v1::{Attempt, PodRecord};
use prost::Message;
use sched::job::{Live, Seed};
use sched::node::{self, Lack, Room};
use sched::pod::{self, SetCondition, Starts, State, Step, StopCause};
use sched::{Exit, Now, Steady};

use crate::effect::{Effect, GuestId, StartGuest};
use crate::engine::{Engine, Subject};
use crate::event::{ObjectKey, Rejected, Reply, Usage};
use crate::jobs::JobEntry;
use crate::keys;
use crate::limits::LOG_BLOCK;
use crate::store::Batch;
use crate::transaction::{Transaction, reference};
use crate::view::{Change, News, Object, digest, pod_key};

const KUBELET: &str = "kubelet";
const SCHEDULER: &str = "default-scheduler";

/// A Pod that has not finished, or was not counted yet.
pub(crate) struct PodEntry {
    pub(crate) key: ObjectKey,
    /// Its Job; `None` if that has gone.
    pub(crate) job: Option<u64>,
    /// As last committed; before the first commit, as made. What changed since is in `state` and `image_ids`.
    pub(crate) object: Arc<Pod>,
    pub(crate) committed: bool,
    pub(crate) state: pod::Pod,
    /// Which index of an Indexed Job it is for.
    pub(crate) index: Option<u32>,
    /// What of it is in its Job's sums.
    share: Live,
    /// What it takes of the node while it is there.
    room: Room,
    /// What it takes now: nothing before it was let in, nor while it waits for an image.
    pub(crate) taken: Room,
    /// The digest each container last ran.
    image_ids: Vec<Option<String>>,
    /// What is kept of each container's output, beyond a block.
    pub(crate) log_bytes: Vec<u64>,
    /// What it is charged for among all that is in memory.
    pub(crate) charged: u64,
    /// What the node lacks for it, as last told.
    lack: Option<Lack>,
    /// Runs that were found interrupted, for the commit that records it.
    pub(crate) interrupted: Vec<Attempt>,
    pub(crate) wake: Option<Steady>,
}

/// A Pod that has finished and was counted; all else about it is on disk.
pub(crate) struct Ended {
    pub(crate) key: ObjectKey,
    pub(crate) job: Option<u64>,
    /// What its record and logs take of the disk, about.
    pub(crate) bytes: u64,
}

impl PodEntry {
    fn new(key: ObjectKey, job: Option<u64>, object: Pod, state: pod::Pod, committed: bool) -> PodEntry {
        let room = api::pod::room(&object);
        let share = Live::default();
        let index = api::job::completion_index(&object);
        PodEntry {
            key,
            job,
            image_ids: vec![None; state.containers.len()],
            log_bytes: vec![0; state.containers.len()],
            // Its status is still to come.
            charged: object.encoded_len() as u64 + 600,
            object: Arc::new(object),
            committed,
            state,
            index,
            share,
            room,
            taken: Room::default(),
            lack: None,
            interrupted: Vec::new(),
            wake: None,
        }
    }

    /// What it takes to record, at most: what its containers said at their ends may not be in the object yet.
    pub(crate) fn bytes(&self) -> usize {
        let said = |ended: &pod::Ended| ended.exit.message().len();
        let containers = self.state.containers.iter();
        let messages: usize = containers
            .map(|container| {
                let now = if let State::Ended(ended) = &container.state { said(ended) } else { 0 };
                now + container.last.as_ref().map_or(0, said) + 300
            })
            .sum();
        let conditions = self.state.conditions.iter();
        let conditions: usize = conditions.map(|set| 2 * (set.kind.len() + set.reason.len()) + 50).sum();
        self.object.encoded_len() + messages + conditions + 700
    }

    /// Takes its place on the node, and says what that is.
    pub(crate) fn take_place(&mut self) -> Room {
        let more = self.room.minus(self.taken);
        self.taken = self.room;
        more
    }

    fn reference(&self) -> ObjectReference {
        let uid = self.object.metadata.as_ref().map_or("", |meta| meta.uid.as_str());
        reference("Pod", "v1", &self.key, uid)
    }

    /// Its Job has nothing to do with it any more.
    pub(crate) fn leave(&mut self, job: &mut JobEntry) {
        job.shift(self.index, std::mem::take(&mut self.share), Live::default());
        self.job = None;
    }

    pub(crate) fn uid(&self) -> &str {
        self.object.metadata.as_ref().map_or("", |meta| &meta.uid)
    }
}

impl Engine {
    pub(crate) fn load_pod(&mut self, record: PodRecord) {
        let ordinal = record.ordinal;
        let bytes = record.encoded_len() as u64 + LOG_BLOCK + record.log_bytes;
        let log_bytes = record.log_bytes;
        let mut state = api::pod::state(&record);
        let object = record.pod.unwrap_or_default();
        let key = pod_key(&object);
        let job = object.metadata.as_ref().and_then(|meta| self.owner(meta));
        self.pod_names.insert(key.clone(), ordinal);
        let deleted = state.stop.is_some_and(|stop| stop.cause == StopCause::Deleted);
        // An owner that is not there any more takes its Pods with it; Pods that have none stay.
        let owned = object.metadata.as_ref().is_some_and(|meta| !meta.owner_references.is_empty());
        if job.is_none() && owned || deleted && state.is_finished() && state.counted {
            self.doomed.insert(ordinal);
        }
        if let Some(meta) = object.metadata.as_ref().filter(|_| !owned) {
            self.set_free(ordinal, meta);
        }
        let over = state.is_finished() && (state.counted || job.is_none());
        if over {
            if let Some(job) = job.and_then(|job| self.jobs.get_mut(&job)) {
                job.ended_pods.insert(ordinal);
                if job.state.deleting && !job.is_orphaning() {
                    self.doomed.insert(ordinal);
                }
            }
            self.ended.insert(ordinal, Ended { key, job, bytes });
            self.ended_bytes += bytes;
            return;
        }
        self.look_for_images(&object, &mut state);
        let mut entry = PodEntry::new(key, job, object, state, true);
        if let Some(first) = entry.log_bytes.first_mut() {
            *first = log_bytes;
        }
        self.charge_live(0, entry.charged);
        entry.lack = self.never_has(&entry);
        if entry.state.started.is_some() && !entry.state.is_finished() && entry.state.can_start() {
            self.used = self.used.plus(entry.take_place());
        }
        self.adopt(ordinal, entry);
    }

    fn look_for_images(&self, object: &Pod, state: &mut pod::Pod) {
        for (container, image) in state.containers.iter_mut().zip(api::pod::images(object)) {
            container.image_present = self.find_image(image).is_some();
        }
    }

    /// What the node lacks for a Pod, however empty it is.
    fn never_has(&self, entry: &PodEntry) -> Option<Lack> {
        let spec = entry.object.spec.as_ref();
        let mut wanted = spec.into_iter().flat_map(|spec| &spec.node_selector);
        if wanted.any(|(name, value)| self.config.node_labels.get(name) != Some(value)) {
            return Some(Lack::Labels);
        }
        self.config.allocatable.lacks(entry.room)
    }

    /// Takes a Pod into memory, and its share into its Job's sums.
    pub(crate) fn adopt(&mut self, ordinal: u64, mut entry: PodEntry) {
        if let Some((job_ordinal, job)) = entry.job.and_then(|job| Some((job, self.jobs.get_mut(&job)?))) {
            if !entry.state.is_finished() {
                entry.share = entry.state.share();
                job.shift(entry.index, Live::default(), entry.share);
                job.live_pods.insert(ordinal);
            }
            if entry.state.is_to_be_counted(job.state.spec.replacement) {
                job.uncounted.insert(ordinal);
                self.jobs_to_count.insert(job_ordinal);
            }
        }
        let fits = self.never_has(&entry).is_none();
        if entry.state.started.is_none() && !entry.state.is_finished() && fits {
            self.waiting.insert(ordinal, entry.state.priority);
        }
        // Also for a container whose turn has not come: nobody looks again when it has.
        if entry.state.containers.iter().any(|container| !container.image_present) {
            self.waiting_for_image.insert(ordinal);
        }
        self.dirty_pods.insert(ordinal);
        self.pods.insert(ordinal, entry);
    }

    /// Ends what was running when the agent or the device went down, and says how many containers that were.
    pub(crate) fn interrupt(&mut self, tx: &mut Transaction) -> usize {
        let mut interrupted = 0;
        let all: Vec<u64> = self.pods.keys().copied().collect();
        for ordinal in all {
            let Some(entry) = self.pods.get_mut(&ordinal) else { continue };
            entry.interrupted = entry.running(tx.now);
            interrupted += entry.interrupted.len();
            // Touched when it is looked at: thousands do not fit in one commit, and the rest is found interrupted again.
            if entry.state.interrupt(tx.now) {
                let message = "The agent or the device went down while it ran".to_owned();
                tx.note(entry.reference(), KUBELET, true, "Interrupted", message);
            }
        }
        interrupted
    }

    pub(crate) fn forget_wake_of_pod(&mut self, ordinal: u64) {
        if let Some(pod) = self.pods.get_mut(&ordinal) {
            pod.wake = None;
        }
    }

    /// Makes a Pod of a Job.
    pub(crate) fn make_pod(
        &mut self,
        job: u64,
        key: ObjectKey,
        owner: &Job,
        seed: Seed,
        tx: &mut Transaction,
    ) {
        let ordinal = self.new_ordinal();
        let uid = self.uid(ordinal);
        let mut object = api::pod::from_template(owner, &key.name, &uid, tx.now.wall);
        let job_name = owner.metadata.as_ref().map_or("", |meta| &meta.name);
        api::job::plant(&mut object, job_name, seed);
        let mut state = api::pod::new_state(&object, ordinal);
        self.look_for_images(&object, &mut state);
        let mut entry = PodEntry::new(key.clone(), Some(job), object, state, false);
        self.charge_live(0, entry.charged);
        entry.lack = self.never_has(&entry);
        if let Some(lack) = entry.lack {
            let message = match lack {
                Lack::Labels => {
                    "0/1 nodes are available: the node does not have the labels of the Pod's nodeSelector"
                        .to_owned()
                }
                Lack::Pods | Lack::Guests | Lack::Cpu | Lack::Memory => {
                    format!("0/1 nodes are available: the node never has {}", missing(lack, entry.room))
                }
            };
            tx.note(entry.reference(), SCHEDULER, true, "FailedScheduling", message);
        }
        tx.touch_pod(ordinal, entry.bytes());
        self.pod_names.insert(key, ordinal);
        self.admit_again = true;
        self.dirty_jobs.insert(job);
        self.adopt(ordinal, entry);
    }

    /// A guest came to its end; if it is not one that runs, this is an old story and changes nothing.
    pub(crate) fn guest_ended(&mut self, guest: GuestId, exit: Exit, usage: Usage, tx: &mut Transaction) {
        if let Some(entry) = self.pods.get_mut(&guest.pod)
            && let Ok(index) = usize::try_from(guest.container)
            && entry.state.ended(index, guest.restarts, exit.shortened(), tx.now)
        {
            let attempt = entry.attempt(index, usage);
            let job = entry.job;
            tx.touch_pod(guest.pod, entry.bytes());
            self.guests_running = self.guests_running.saturating_sub(1);
            self.dirty_pods.insert(guest.pod);
            if let Some((job, attempt)) = job.zip(attempt) {
                self.keep_attempt(job, attempt, tx);
            }
        }
        self.dying_ended(guest, tx);
        tx.reply(Ok(Reply::Done));
    }

    /// Something was said about a Pod from outside.
    pub(crate) fn set_pod_condition(&mut self, key: &ObjectKey, set: SetCondition, tx: &mut Transaction) {
        let found = self.pod_names.get(key).copied();
        let Some((ordinal, entry)) = found.and_then(|ordinal| Some((ordinal, self.pods.get_mut(&ordinal)?)))
        else {
            return tx.reply(Err(match found {
                Some(_) => Rejected::Precondition(format!("Pod `{}` has ended", key.name)),
                None => Rejected::NotFound { kind: "pods", name: key.name.clone() },
            }));
        };
        if entry.state.set_condition(set) {
            tx.touch_pod(ordinal, entry.bytes());
            self.dirty_pods.insert(ordinal);
        }
        tx.reply(Ok(Reply::Done));
    }

    /// Begins to stop a Pod that will not be counted (again).
    pub(crate) fn delete_pod(&mut self, ordinal: u64, tx: &mut Transaction) {
        let Some(entry) = self.pods.get_mut(&ordinal) else { return };
        entry.state.counted = true;
        entry.state.delete(None, tx.now);
        tx.touch_pod(ordinal, entry.bytes());
        self.dirty_pods.insert(ordinal);
        self.add_up(ordinal);
    }

    /// Does what `sched` plans for a Pod.
    pub(crate) fn reconcile_pod(&mut self, ordinal: u64, tx: &mut Transaction) {
        // Its Job has gone: nothing of it starts any more, also if its turn to be stopped has not come.
        if self.doomed.remove(&ordinal) {
            return self.remove_ended(ordinal, tx);
        }
        self.keep_interrupted(ordinal, tx);
        let Some(entry) = self.pods.get_mut(&ordinal) else { return };
        let was_finished = entry.state.is_finished();
        let starts = if self.pause.draining { Starts::Held } else { Starts::Allowed };
        let plan = pod::reconcile(&entry.state, starts, tx.now);
        if entry.state != plan.next || !plan.steps.is_empty() {
            entry.state = plan.next;
            tx.touch_pod(ordinal, entry.bytes());
        }
        let wake = std::mem::replace(&mut entry.wake, plan.wake);
        if wake != plan.wake {
            self.timers.extend(plan.wake.map(|at| (at, Subject::Pod(ordinal))));
            if let Some(at) = wake {
                self.timers.remove(&(at, Subject::Pod(ordinal)));
            }
        }
        for step in plan.steps {
            self.take_step(ordinal, step, tx);
        }
        self.add_up(ordinal);
        let Some(entry) = self.pods.get_mut(&ordinal) else { return };
        if entry.state.is_finished() && !was_finished {
            self.waiting.remove(&ordinal);
            // Deleted without grace, it may have guests that have not ended yet.
            if !entry.has_guests() {
                self.used = self.used.minus(std::mem::take(&mut entry.taken));
            }
            self.admit_again = true;
            tx.effects.push(Effect::RemoveVolumes { pod_uid: entry.uid().to_owned() });
        }
        if plan.remove && entry.is_settled() {
            self.remove_live(ordinal, tx);
        }
    }

    /// Brings the sums of a Pod's Job up to date with the Pod.
    pub(crate) fn add_up(&mut self, ordinal: u64) {
        let Some(entry) = self.pods.get_mut(&ordinal) else { return };
        let share = entry.state.share();
        let before = std::mem::replace(&mut entry.share, share);
        let Some((job_ordinal, job)) = entry.job.and_then(|job| Some((job, self.jobs.get_mut(&job)?))) else {
            return;
        };
        let finished = entry.state.is_finished();
        if share == before && !finished {
            return;
        }
        job.shift(entry.index, before, share);
        if finished {
            job.live_pods.remove(&ordinal);
        }
        if entry.state.is_to_be_counted(job.state.spec.replacement) {
            job.uncounted.insert(ordinal);
            self.jobs_to_count.insert(job_ordinal);
        }
        self.dirty_jobs.insert(job_ordinal);
    }

    fn take_step(&mut self, ordinal: u64, step: Step, tx: &mut Transaction) {
        let Some(entry) = self.pods.get(&ordinal) else { return };
        let guest = |index: usize| GuestId {
            pod: ordinal,
            container: u32::try_from(index).unwrap_or(u32::MAX),
            restarts: entry.state.containers.get(index).map_or(0, |container| container.restarts),
        };
        let about = |index: usize| {
            let name = api::pod::container_name(&entry.object, index);
            let field_path = api::pod::container_path(&entry.object, index);
            (ObjectReference { field_path, ..entry.reference() }, name)
        };
        match step {
            Step::Start(index) => {
                let (about, name) = about(index);
                let image = api::pod::image(&entry.object, index);
                let digest = self.find_image(image).map_or(String::new(), |record| digest(record).to_owned());
                let node = api::Node { name: &self.config.node_name, allocatable: self.config.allocatable };
                let start = StartGuest {
                    guest: guest(index),
                    namespace: entry.key.namespace.clone(),
                    pod: entry.key.name.clone(),
                    pod_uid: entry.uid().to_owned(),
                    container: name.to_owned(),
                    plan: api::container_plan(&entry.object, index, node),
                    digest: digest.clone(),
                };
                tx.note(about, KUBELET, false, "Started", format!("Started container {name}"));
                tx.effects.push(Effect::Start(Box::new(start)));
                self.guests_running += 1;
                if let Some(image_id) =
                    self.pods.get_mut(&ordinal).and_then(|entry| entry.image_ids.get_mut(index))
                {
                    *image_id = Some(digest);
                }
            }
            Step::Stop(index) => {
                let (about, name) = about(index);
                tx.note(about, KUBELET, false, "Killing", format!("Stopping container {name}"));
                tx.effects.push(Effect::Stop(guest(index)));
            }
            Step::Kill(index) => tx.effects.push(Effect::Kill(guest(index))),
            Step::BackOff(index) => {
                let (about, name) = about(index);
                let message =
                    format!("Back-off restarting failed container {name} in pod {}", entry.key.name);
                tx.note(about, KUBELET, true, "BackOff", message);
            }
            Step::ImageMissing(index) => {
                let (about, _) = about(index);
                let image = api::pod::image(&entry.object, index);
                let never = entry.state.containers.get(index).is_some_and(|container| container.never_pulled);
                let reason = if never { "ErrImageNeverPull" } else { "Failed" };
                let message =
                    format!("Image {image} is not on this node; push it: wick image push FILE {image}");
                tx.note(about, KUBELET, true, reason, message);
                self.waiting_for_image.insert(ordinal);
            }
            Step::ImageBackOff(index) => {
                let (about, _) = about(index);
                let message = format!("Back-off pulling image {}", api::pod::image(&entry.object, index));
                tx.note(about, KUBELET, false, "BackOff", message);
            }
            Step::RestartAll(index) => {
                let (about, name) = about(index);
                let message = format!("Container {name} ended in a way for which all containers start again");
                tx.note(about, KUBELET, true, "RestartAllContainers", message);
            }
            Step::DeadlineExceeded => {
                let message = "Pod was active on the node longer than the specified deadline".to_owned();
                tx.note(entry.reference(), KUBELET, false, "DeadlineExceeded", message);
            }
        }
    }

    /// Lets in the Pods that wait, as far as there is room for them, and in this commit.
    pub(crate) fn admit(&mut self, tx: &mut Transaction) {
        if self.pause.begins_nothing() {
            return;
        }
        let free = self.config.allocatable.minus(self.used);
        let rooms = self
            .waiting
            .iter()
            .filter_map(|pod| self.pods.get(&pod))
            .map(|pod| if pod.state.can_start() { pod.room } else { Room::default() });
        let head = self.waiting.first().and_then(|pod| self.pods.get(&pod));
        let portion = tx.room_for(head.map_or(0, PodEntry::bytes));
        let (fit, lack) = node::admit(rooms.take(portion), free);
        if fit == portion && self.waiting.len() > portion {
            self.admit_again = true;
        }
        for _ in 0..fit {
            let Some(ordinal) = self.waiting.pop_first() else { break };
            let Some(entry) = self.pods.get_mut(&ordinal) else { continue };
            entry.state.started = Some(tx.now);
            entry.lack = None;
            if entry.state.can_start() {
                self.used = self.used.plus(entry.take_place());
            }
            let message = format!("Successfully assigned {} to {}", entry.key, self.config.node_name);
            tx.note(entry.reference(), SCHEDULER, false, "Scheduled", message);
            tx.touch_pod(ordinal, entry.bytes());
            self.dirty_pods.insert(ordinal);
        }
        if let Some(lack) = lack
            && let Some(ordinal) = self.waiting.first()
            && let Some(entry) = self.pods.get_mut(&ordinal)
            && entry.lack.replace(lack) != Some(lack)
        {
            let message = format!("0/1 nodes are available: too few free {}", missing(lack, entry.room));
            tx.note(entry.reference(), SCHEDULER, true, "FailedScheduling", message);
            tx.touch_pod(ordinal, entry.bytes());
        }
    }

    /// There are fewer Pods than there were: Jobs that could not make theirs try again.
    pub(crate) fn unstarve(&mut self) {
        self.dirty_jobs.append(&mut self.starved);
    }

    pub(crate) fn write_pod_record(&mut self, ordinal: u64, now: Now, batch: &mut Batch, news: &mut News) {
        if !self.pods.contains_key(&ordinal) {
            return;
        }
        let revision = self.new_revision();
        let Some(entry) = self.pods.get_mut(&ordinal) else { return };
        let before = entry.committed.then(|| Object::Pod(entry.object.clone()));
        let mut object = Pod::clone(&entry.object);
        if let Some(meta) = &mut object.metadata {
            meta.resource_version = revision.to_string();
        }
        if entry.state.started.is_some() {
            api::pod::assign(&mut object, &self.config.node_name);
        }
        api::pod::write_status(&mut object, &entry.state, entry.lack, now);
        for (index, image_id) in entry.image_ids.iter().enumerate() {
            if let Some(image_id) = image_id {
                api::pod::set_image_id(&mut object, index, image_id);
            }
        }
        let mut record = api::pod::record(object, &entry.state);
        record.log_bytes = entry.log_bytes.iter().sum();
        let bytes = record.encode_to_vec();
        let (size, charged) = (bytes.len() as u64, std::mem::replace(&mut entry.charged, bytes.len() as u64));
        self.live_bytes = self.live_bytes.saturating_add(size).saturating_sub(charged);
        batch.put(keys::object(keys::PODS, &entry.key), bytes);
        entry.object = Arc::new(record.pod.take().unwrap_or_default());
        entry.committed = true;
        news.changes.push(Change { revision, before, after: Some(Object::Pod(entry.object.clone())) });
        let stays = entry.state.stop.is_none_or(|stop| stop.cause != StopCause::Deleted);
        if entry.state.is_finished() && entry.state.counted && stays {
            self.settle_pod(ordinal, news);
        }
    }

    /// A Pod that was counted leaves memory; the oldest such goes when there are too many.
    fn settle_pod(&mut self, ordinal: u64, news: &mut News) {
        let Some(entry) = self.pods.remove(&ordinal) else { return };
        self.waiting_for_image.remove(&ordinal);
        self.dirty_pods.remove(&ordinal);
        if let Some(at) = entry.wake {
            self.timers.remove(&(at, Subject::Pod(ordinal)));
        }
        if let Some(job) = entry.job.and_then(|job| self.jobs.get_mut(&job)) {
            job.ended_pods.insert(ordinal);
            if job.state.deleting {
                self.doomed.insert(ordinal);
            }
        }
        news.settled.push(entry.key.clone());
        self.charge_live(entry.charged, 0);
        let bytes = entry.charged + LOG_BLOCK + entry.log_bytes.iter().sum::<u64>();
        self.ended.insert(ordinal, Ended { key: entry.key, job: entry.job, bytes });
        self.ended_bytes += bytes;
        self.unstarve();
        self.collect_ended();
    }
}

fn missing(lack: Lack, room: Room) -> String {
    match lack {
        Lack::Pods => "places for Pods; it needs one".to_owned(),
        Lack::Guests => format!("places for guests; it needs {}", room.guests),
        Lack::Cpu => format!("cpu; it requests {}m", room.cpu_millis),
        Lack::Memory => format!("memory; it requests {} bytes", room.memory_bytes),
        Lack::Labels => "labels of its nodeSelector".to_owned(),
    }
}
