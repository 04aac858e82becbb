//! What goes, in which order, and what of it stays: Jobs deleted in Kubernetes' three ways, and Pods deleted by somebody.
//!
//! All of it is done in portions that fit in a commit. What is under way is recorded in the objects themselves, as on a
//! cluster: a `deletionTimestamp`, and a finalizer that says what is waited for.

use std::sync::Arc;

use api::pb::k8s::batch::v1::Job;
use api::pb::k8s::core::v1::Pod;
use api::pb::wick::v1::PodRecord;
use prost::Message;
use sched::Millis;
use sched::job::Phase;

use crate::effect::{Effect, GuestId, Milestone};
use crate::engine::{Engine, Subject};
use crate::event::{ObjectKey, Outcome, Propagation, Rejected, Reply};
use crate::jobs::JobEntry;
use crate::keys;
use crate::pods::PodEntry;
use crate::transaction::Transaction;
use crate::view::Object;

const JOBS: &str = "jobs.batch";
const PODS: &str = "pods";
/// The longest grace that can be asked for, 68 years: what is longer counts as this.
const GRACE_MAX_SECONDS: i64 = i32::MAX as i64;
/// Kubernetes' word for a deletion after which what the object owned stays.
pub(crate) const ORPHAN: &str = "orphan";

/// A Pod's guests that were told to end, and whose Pod did not wait for it. They take their place until they have.
pub(crate) struct Dying {
    guests: Vec<GuestId>,
    room: sched::node::Room,
}

impl Engine {
    pub(crate) fn delete_job(
        &mut self,
        key: &ObjectKey,
        uid: &str,
        propagation: Propagation,
        tx: &mut Transaction,
    ) {
        let found = self.job_names.get(key).copied();
        let Some((ordinal, entry)) = found.and_then(|ordinal| Some((ordinal, self.jobs.get(&ordinal)?)))
        else {
            return tx.reply(Err(Rejected::NotFound { kind: JOBS, name: key.name.clone() }));
        };
        if let Some(refusal) = other_uid(JOBS, &key.name, &entry.uid, uid) {
            return tx.reply(Err(refusal));
        }
        tx.reply_job(ordinal, entry.object.clone(), Outcome::Deleted);
        self.begin_deletion(ordinal, propagation, tx);
    }

    /// Begins to delete a Job in this way, whichever way it was being deleted before.
    pub(crate) fn begin_deletion(&mut self, ordinal: u64, propagation: Propagation, tx: &mut Transaction) {
        match propagation {
            Propagation::Background => return self.remove_job(ordinal, tx),
            Propagation::Foreground => {
                self.orphaning.remove(&ordinal);
                self.dirty_jobs.insert(ordinal);
                let uid = self.jobs.get(&ordinal).map_or(String::new(), |entry| entry.uid.clone());
                self.look_at_dependents(&uid);
            }
            Propagation::Orphan => {
                self.orphaning.insert(ordinal);
            }
        }
        self.claimants.remove(&ordinal);
        let Some(entry) = self.jobs.get_mut(&ordinal) else { return };
        entry.state.deleting = true;
        let mut revised = entry.revised.take().unwrap_or_else(|| Job::clone(&entry.object));
        let before = revised.metadata.as_ref().map(|meta| (meta.deletion_timestamp, meta.finalizers.clone()));
        api::job::begin_deletion(&mut revised, tx.now.wall);
        if let Some((meta, (since, finalizers))) = revised.metadata.as_mut().zip(before) {
            if propagation == Propagation::Orphan {
                meta.finalizers = vec![ORPHAN.to_owned()];
            }
            if since.is_some() {
                meta.deletion_timestamp = since;
            }
            if since.is_some() && finalizers == meta.finalizers {
                entry.revised = Some(revised);
                return;
            }
        }
        entry.revised = Some(revised);
        tx.touch_job(ordinal, entry.bytes());
        if propagation == Propagation::Foreground {
            self.doomed.extend(&entry.ended_pods);
        }
    }

    /// A Job that was being deleted when the agent went down goes on with it.
    pub(crate) fn load_deletion(&mut self, ordinal: u64) {
        let Some(entry) = self.jobs.get(&ordinal).filter(|entry| entry.state.deleting) else { return };
        if entry.is_orphaning() {
            self.orphaning.insert(ordinal);
        }
    }

    /// Whether nothing of a Job that is deleted in the foreground is left.
    pub(crate) fn is_deserted(&self, ordinal: u64) -> bool {
        self.jobs.get(&ordinal).is_none_or(|entry| {
            let no_pods =
                entry.live_pods.is_empty() && entry.uncounted.is_empty() && entry.ended_pods.is_empty();
            no_pods && !self.waits_for_dependents(&entry.uid)
        })
    }

    /// The Job goes at once; its Pods follow in portions. If the device goes down in between, they are found without their
    /// owner at the next start, and go then.
    pub(crate) fn remove_job(&mut self, ordinal: u64, tx: &mut Transaction) {
        if self.jobs.get(&ordinal).is_some_and(|entry| !matches!(entry.state.phase, Phase::Finished(_))) {
            self.tell_finished(ordinal, tx);
        }
        let Some(entry) = self.jobs.remove(&ordinal) else { return };
        self.job_names.remove(&entry.key);
        self.job_uids.remove(&entry.uid);
        self.starved.remove(&ordinal);
        self.dirty_jobs.remove(&ordinal);
        self.jobs_of_next_commit.remove(&ordinal);
        self.jobs_to_count.remove(&ordinal);
        self.orphaning.remove(&ordinal);
        self.charge_live(entry.charged, 0);
        self.forget_controller(ordinal, entry.cron_job.as_ref());
        self.forget_job(ordinal, &entry.uid, &entry.owners);
        self.unstarve();
        if let Some(wake) = entry.wake {
            self.timers.remove(&(wake, Subject::Job(ordinal)));
        }
        tx.touched_jobs.remove(&ordinal);
        tx.milestones.push(Milestone::JobDeleted { key: entry.key.clone() });
        tx.remove(keys::object(keys::JOBS, &entry.key), Object::Job(entry.object.clone()), entry.committed);
        self.doomed.extend(entry.ended_pods);
        self.doomed.extend(entry.live_pods);
        self.doomed.extend(entry.uncounted);
    }

    /// Takes the owner from a portion of what belongs to an object that is being deleted without it.
    pub(crate) fn orphan(&mut self, ordinal: u64, tx: &mut Transaction) {
        if self.cron_jobs.contains_key(&ordinal) {
            self.orphan_jobs(ordinal, tx);
        } else {
            self.orphan_pods(ordinal, tx);
        }
    }

    /// Takes the owner from a portion of a Job's Pods; when none is left, the Job goes.
    fn orphan_pods(&mut self, ordinal: u64, tx: &mut Transaction) {
        while !tx.is_full() {
            let Some(entry) = self.jobs.get_mut(&ordinal) else { return };
            let next = [&mut entry.live_pods, &mut entry.uncounted, &mut entry.ended_pods]
                .into_iter()
                .find_map(|pods| pods.pop_first());
            match next {
                Some(pod) => self.orphan_pod(ordinal, pod, tx),
                None => {
                    let uid = entry.uid.clone();
                    if !self.orphan_dependent(&uid, tx) {
                        return self.remove_job(ordinal, tx);
                    }
                }
            }
        }
        self.orphaning.insert(ordinal);
    }

    fn orphan_pod(&mut self, job: u64, ordinal: u64, tx: &mut Transaction) {
        if let Some(entry) = self.pods.get_mut(&ordinal) {
            if let Some(job) = self.jobs.get_mut(&job) {
                job.uncounted.remove(&ordinal);
                entry.leave(job);
            }
            // Nobody will count it any more.
            entry.state.counted = true;
            disown(Arc::make_mut(&mut entry.object));
            tx.touch_pod(ordinal, entry.bytes());
            let object = entry.object.clone();
            if let Some(meta) = object.metadata.as_ref().filter(|_| !entry.state.is_deleted()) {
                self.set_free(ordinal, meta);
            }
            self.dirty_pods.insert(ordinal);
        } else if let Some(mut record) = self.ended_record(ordinal, tx)
            && let Some(ended) = self.ended.get_mut(&ordinal)
        {
            ended.job = None;
            let key = ended.key.clone();
            let before = record.pod.clone().unwrap_or_default();
            disown(record.pod.get_or_insert_default());
            if let Some(meta) = &before.metadata {
                self.set_free(ordinal, meta);
            }
            tx.rewrite(key, record, Arc::new(before));
        }
    }

    /// The record of a Pod that is not in memory, as this commit leaves it.
    pub(crate) fn ended_record(&self, ordinal: u64, tx: &Transaction) -> Option<PodRecord> {
        let key = keys::object(keys::PODS, &self.ended.get(&ordinal)?.key);
        if let Some(rewritten) = tx.rewritten(&key) {
            return Some(rewritten.clone());
        }
        // One that cannot be read stays as it is; the next start says what is wrong with it.
        let bytes = self.store.history().get(&key).ok().flatten()?;
        PodRecord::decode(bytes.as_slice()).ok()
    }

    /// Somebody asks for a Pod to go: it has its grace, and is counted by its Job before it is gone.
    pub(crate) fn delete_pod_asked(
        &mut self,
        key: &ObjectKey,
        uid: &str,
        grace_seconds: Option<i64>,
        tx: &mut Transaction,
    ) {
        let Some(ordinal) = self.pod_names.get(key).copied() else {
            return tx.reply(Err(Rejected::NotFound { kind: PODS, name: key.name.clone() }));
        };
        if let Some(refusal) = other_uid(PODS, &key.name, &self.uid(ordinal), uid) {
            return tx.reply(Err(refusal));
        }
        let Some(entry) = self.pods.get_mut(&ordinal) else {
            let last = self.last_seen(ordinal, tx);
            tx.reply(Ok(Reply::Pod(last)));
            return self.remove_ended(ordinal, tx);
        };
        tx.reply_pod(ordinal, entry.object.clone());
        let nothing_runs = entry.state.is_finished() || entry.state.started.is_none();
        let grace = match grace_seconds {
            _ if nothing_runs => Some(Millis(0)),
            given => given.map(|seconds| Millis::from_secs(seconds.clamp(-1, GRACE_MAX_SECONDS))),
        };
        entry.state.delete(grace, tx.now);
        tx.touch_pod(ordinal, entry.bytes());
        self.dirty_pods.insert(ordinal);
        self.add_up(ordinal);
    }

    /// A Pod that is not in memory, as it was last committed; if that cannot be read any more, by its name.
    fn last_seen(&self, ordinal: u64, tx: &Transaction) -> Arc<Pod> {
        let record = self.ended_record(ordinal, tx).and_then(|record| record.pod);
        Arc::new(record.unwrap_or_else(|| {
            let (namespace, name) = self
                .ended
                .get(&ordinal)
                .map_or(("", ""), |ended| (ended.key.namespace.as_str(), ended.key.name.as_str()));
            api::pod::named(namespace, name, &self.uid(ordinal))
        }))
    }

    /// A Pod that was being stopped has nothing left that runs, or does not wait for it, and goes.
    pub(crate) fn remove_live(&mut self, ordinal: u64, tx: &mut Transaction) {
        self.keep_interrupted(ordinal, tx);
        let Some(mut entry) = self.pods.remove(&ordinal) else { return };
        self.pod_names.remove(&entry.key);
        self.forget_pod(ordinal);
        self.charge_live(entry.charged, 0);
        self.waiting.remove(&ordinal);
        self.waiting_for_image.remove(&ordinal);
        if let Some(at) = entry.wake {
            self.timers.remove(&(at, Subject::Pod(ordinal)));
        }
        if let Some((job_ordinal, job)) = entry.job.and_then(|job| Some((job, self.jobs.get_mut(&job)?))) {
            job.live_pods.remove(&ordinal);
            entry.leave(job);
            self.dirty_jobs.insert(job_ordinal);
        }
        tx.touched_pods.remove(&ordinal);
        let guests = guests(ordinal, &entry);
        if guests.is_empty() {
            self.used = self.used.minus(entry.taken);
            self.admit_again = true;
            tx.effects.push(Effect::RemovePod { pod_uid: entry.uid().to_owned() });
        } else {
            self.dying.insert(ordinal, Dying { guests, room: entry.taken });
        }
        tx.remove(keys::object(keys::PODS, &entry.key), Object::Pod(entry.object), entry.committed);
        self.unstarve();
    }

    /// A Pod has gone: what it owned is looked at.
    fn forget_pod(&mut self, ordinal: u64) {
        self.free_pods.remove(&ordinal);
        if !self.dependents.is_empty() {
            let uid = self.uid(ordinal);
            self.look_at_dependents(&uid);
        }
    }

    /// A guest has ended whose Pod did not wait for it.
    pub(crate) fn dying_ended(&mut self, guest: GuestId, tx: &mut Transaction) {
        let Some(dying) = self.dying.get_mut(&guest.pod) else { return };
        let before = dying.guests.len();
        dying.guests.retain(|waited_for| *waited_for != guest);
        if dying.guests.len() < before {
            self.guests_running = self.guests_running.saturating_sub(1);
        }
        if dying.guests.is_empty()
            && let Some(dying) = self.dying.remove(&guest.pod)
        {
            self.used = self.used.minus(dying.room);
            self.admit_again = true;
            tx.effects.push(Effect::RemovePod { pod_uid: self.uid(guest.pod) });
        }
    }

    /// A Pod that is to go: removed if it has finished, else stopped first.
    pub(crate) fn remove_ended(&mut self, ordinal: u64, tx: &mut Transaction) {
        if let Some(entry) = self.pods.get_mut(&ordinal) {
            entry.job = None;
            if entry.state.is_finished() {
                self.remove_live(ordinal, tx);
            } else {
                self.delete_pod(ordinal, tx);
            }
            return;
        }
        let last = self.last_seen(ordinal, tx);
        let Some(ended) = self.ended.remove(&ordinal) else { return };
        self.pod_names.remove(&ended.key);
        self.forget_pod(ordinal);
        self.ended_bytes = self.ended_bytes.saturating_sub(ended.bytes);
        if let Some((job_ordinal, job)) = ended.job.and_then(|job| Some((job, self.jobs.get_mut(&job)?))) {
            job.ended_pods.remove(&ordinal);
            if job.state.deleting && job.ended_pods.is_empty() {
                self.dirty_jobs.insert(job_ordinal);
            }
        }
        let pod_uid = last.metadata.as_ref().map_or_else(|| self.uid(ordinal), |meta| meta.uid.clone());
        tx.effects.push(Effect::RemovePod { pod_uid });
        tx.remove(keys::object(keys::PODS, &ended.key), Object::Pod(last), true);
    }
}

impl JobEntry {
    /// It is being deleted, and its Pods stay.
    pub(crate) fn is_orphaning(&self) -> bool {
        let object = self.revised.as_ref().unwrap_or(&self.object);
        object.metadata.as_ref().is_some_and(|meta| meta.finalizers.iter().any(|name| name == ORPHAN))
    }
}

impl PodEntry {
    /// Whether some guest of it has not ended yet.
    pub(crate) fn has_guests(&self) -> bool {
        self.state.containers.iter().any(|container| container.state.has_guest())
    }

    /// Its Job has counted it, or it has none.
    pub(crate) fn is_settled(&self) -> bool {
        self.state.counted || self.job.is_none()
    }
}

/// The guests a Pod has now.
fn guests(ordinal: u64, entry: &PodEntry) -> Vec<GuestId> {
    let containers = entry.state.containers.iter().enumerate();
    containers
        .filter(|(_, container)| container.state.has_guest())
        .map(|(index, container)| GuestId {
            pod: ordinal,
            container: u32::try_from(index).unwrap_or(u32::MAX),
            restarts: container.restarts,
        })
        .collect()
}

/// The Pod belongs to nobody any more.
fn disown(pod: &mut Pod) {
    pod.metadata.get_or_insert_default().owner_references.clear();
}

pub(crate) fn other_uid(kind: &'static str, name: &str, is: &str, asked: &str) -> Option<Rejected> {
    (!asked.is_empty() && asked != is)
        .then(|| Rejected::Precondition(format!("{kind} `{name}` has uid {is}, not {asked}")))
}
