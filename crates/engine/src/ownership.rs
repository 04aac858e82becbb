//! Who belongs to whom: Jobs of CronJobs, Jobs that own Jobs, and Pods without an owner that a Job takes in.
//!
//! What is owned is looked at when an owner goes, or when its own references change, never by a scan. Owners of kinds that
//! are not kept here are taken to be there, as Kubernetes' garbage collection leaves alone what it cannot look up.
//! Deliberately absent: letting go of Pods whose labels do not match any more, because labels of Pods cannot be changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::label_selector::LabelSelector;
use api::pb::k8s::batch::v1::Job;
use api::pb::k8s::meta::v1::{ObjectMeta, OwnerReference};
use sched::job::Phase;

use crate::engine::Engine;
use crate::event::{ObjectKey, Propagation};
use crate::transaction::Transaction;

/// A Pod without an owner.
pub(crate) struct Free {
    namespace: String,
    labels: BTreeMap<String, String>,
}

/// A Job that says itself which Pods are its own.
pub(crate) struct Claimant {
    namespace: String,
    selector: LabelSelector,
}

/// Whether an owner is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    There,
    /// It is being deleted, and waits for what it owns.
    Waits,
    Gone,
}

impl Engine {
    /// A Job is new, or its owners were changed.
    pub(crate) fn know_owners(&mut self, ordinal: u64) {
        let Some(entry) = self.jobs.get_mut(&ordinal) else { return };
        let object = entry.revised.as_ref().unwrap_or(&entry.object);
        let references = owners(object);
        let owners: Vec<String> = references.iter().map(|owner| owner.uid.clone()).collect();
        let before = std::mem::replace(&mut entry.owners, owners.clone());
        let selector = object.spec.as_ref().filter(|spec| spec.manual_selector == Some(true));
        let selector = selector.and_then(|spec| LabelSelector::try_from(spec.selector.as_ref()?).ok());
        let namespace = entry.key.namespace.clone();
        // By name, as Kubernetes' controller finds them.
        let controller = references.iter().find(|owner| owner.controller == Some(true));
        let controller =
            controller.filter(|owner| owner.kind == "CronJob" && owner.api_version == "batch/v1");
        let cron_job = controller.map(|owner| ObjectKey::new(namespace.clone(), owner.name.clone()));
        let cron_job_before = std::mem::replace(&mut entry.cron_job, cron_job.clone());
        if cron_job != cron_job_before {
            self.forget_controller(ordinal, cron_job_before.as_ref());
            if let Some(key) = cron_job {
                self.cron_job_children.entry(key).or_default().insert(ordinal);
            }
        }
        self.forget_owners(ordinal, &before);
        for owner in owners {
            self.dependents.entry(owner).or_default().insert(ordinal);
            self.to_collect.insert(ordinal);
        }
        if let Some(selector) = selector
            && !self.claimants.contains_key(&ordinal)
        {
            let claimant = Claimant { namespace, selector };
            let wanted = self.free_pods.iter().filter(|(_, pod)| claimant.wants(pod));
            self.claims.extend(wanted.map(|(pod, _)| (ordinal, *pod)));
            self.claimants.insert(ordinal, claimant);
        }
    }

    /// A Job is not that CronJob's any more.
    pub(crate) fn forget_controller(&mut self, ordinal: u64, cron_job: Option<&ObjectKey>) {
        let Some(key) = cron_job else { return };
        if let Some(children) = self.cron_job_children.get_mut(key) {
            children.remove(&ordinal);
            if children.is_empty() {
                self.cron_job_children.remove(key);
            }
        }
        self.dirty_cron_jobs.extend(self.cron_job_names.get(key));
    }

    fn forget_owners(&mut self, ordinal: u64, owners: &[String]) {
        for owner in owners {
            if let Some(dependents) = self.dependents.get_mut(owner) {
                dependents.remove(&ordinal);
                if dependents.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
    }

    /// A Job has gone: what it owned is looked at, and so is who waits for it.
    pub(crate) fn forget_job(&mut self, ordinal: u64, uid: &str, owned_by: &[String]) {
        self.claimants.remove(&ordinal);
        self.forget_owners(ordinal, owned_by);
        for owner in owned_by {
            self.dirty_jobs.extend(self.job_uids.get(owner));
            self.dirty_cron_jobs.extend(self.cron_job_uids.get(owner));
        }
        self.look_at_dependents(uid);
    }

    /// What this object owns is looked at: it goes, or begins to.
    pub(crate) fn look_at_dependents(&mut self, uid: &str) {
        self.to_collect.extend(self.dependents.get(uid).into_iter().flatten());
    }

    /// Whether a Job that is deleted in the foreground still waits for a Job that it owns.
    pub(crate) fn waits_for_dependents(&self, uid: &str) -> bool {
        let owners_of = |ordinal: u64| {
            self.job_uids.get(uid).and_then(|owner| self.jobs.get(owner)).is_some_and(|owner| {
                // Two that own each other would wait for ever.
                owner.owners.iter().any(|of| self.job_uids.get(of) == Some(&ordinal))
            })
        };
        let blocks = |ordinal: &&u64| {
            let Some(entry) = self.jobs.get(*ordinal) else { return false };
            let object = entry.revised.as_ref().unwrap_or(&entry.object);
            let mut references = owners(object).iter();
            references.any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
                && !owners_of(**ordinal)
        };
        self.dependents.get(uid).is_some_and(|dependents| dependents.iter().any(|one| blocks(&one)))
    }

    /// Takes the reference to this owner from one Job that has it; false if none has.
    pub(crate) fn orphan_dependent(&mut self, uid: &str, tx: &mut Transaction) -> bool {
        let Some(ordinal) = self.dependents.get(uid).and_then(|dependents| dependents.first().copied())
        else {
            return false;
        };
        self.drop_owners(ordinal, |owner| owner.uid == uid, tx);
        true
    }

    fn drop_owners(&mut self, ordinal: u64, goes: impl Fn(&OwnerReference) -> bool, tx: &mut Transaction) {
        let Some(entry) = self.jobs.get_mut(&ordinal) else { return };
        let mut revised = entry.revised.take().unwrap_or_else(|| Job::clone(&entry.object));
        revised.metadata.get_or_insert_default().owner_references.retain(|owner| !goes(owner));
        entry.revised = Some(revised);
        tx.touch_job(ordinal, entry.bytes());
        self.know_owners(ordinal);
    }

    /// Looks whether a Job's owners are there: without any it goes; those that are not are struck off its list.
    pub(crate) fn collect(&mut self, ordinal: u64, tx: &mut Transaction) {
        let Some(entry) = self.jobs.get(&ordinal).filter(|entry| !entry.state.deleting) else { return };
        let object = entry.revised.as_ref().unwrap_or(&entry.object);
        let of = |owner: &OwnerReference| self.find_owner(&entry.key.namespace, owner);
        let found: Vec<(String, Owner)> =
            owners(object).iter().map(|owner| (owner.uid.clone(), of(owner))).collect();
        if found.iter().all(|(_, owner)| *owner == Owner::There) {
            return;
        }
        if found.iter().any(|(_, owner)| *owner == Owner::There) {
            let goes = |reference: &OwnerReference| {
                found.iter().any(|(uid, owner)| *uid == reference.uid && *owner != Owner::There)
            };
            return self.drop_owners(ordinal, goes, tx);
        }
        let waits = found.iter().any(|(_, owner)| *owner == Owner::Waits);
        let alone = self.is_deserted(ordinal) && !self.dependents.contains_key(&entry.uid);
        let propagation = if waits && !alone { Propagation::Foreground } else { Propagation::Background };
        self.begin_deletion(ordinal, propagation, tx);
    }

    fn find_owner(&self, namespace: &str, owner: &OwnerReference) -> Owner {
        let key = ObjectKey::new(namespace, owner.name.clone());
        match (owner.api_version.as_str(), owner.kind.as_str()) {
            ("batch/v1", "Job") => {
                let found = self.job_uids.get(&owner.uid).and_then(|ordinal| self.jobs.get(ordinal));
                match found.filter(|job| job.key == key) {
                    Some(job) if job.state.deleting && !job.is_orphaning() => Owner::Waits,
                    Some(_) => Owner::There,
                    None => Owner::Gone,
                }
            }
            ("batch/v1", "CronJob") => {
                let found = self.cron_job_uids.get(&owner.uid);
                let found = found.and_then(|ordinal| Some((ordinal, self.cron_jobs.get(ordinal)?)));
                match found.filter(|(_, cron_job)| cron_job.key == key) {
                    Some((ordinal, cron_job))
                        if cron_job.state.deleting && !self.orphaning.contains(ordinal) =>
                    {
                        Owner::Waits
                    }
                    Some(_) => Owner::There,
                    None => Owner::Gone,
                }
            }
            ("v1", "Pod") => match self.pod_names.get(&key) {
                Some(ordinal) if self.uid(*ordinal) == owner.uid => Owner::There,
                _ => Owner::Gone,
            },
            _ => Owner::There,
        }
    }

    /// A Pod has no owner: whoever wants it may have it.
    pub(crate) fn set_free(&mut self, ordinal: u64, meta: &ObjectMeta) {
        if meta.deletion_timestamp.is_some() {
            return;
        }
        let free = Free { namespace: meta.namespace.clone(), labels: meta.labels.clone() };
        let wanted_by = self.claimants.iter().filter(|(_, claimant)| claimant.wants(&free));
        self.claims.extend(wanted_by.map(|(job, _)| (*job, ordinal)));
        self.free_pods.insert(ordinal, free);
    }

    /// A Job takes in a Pod without an owner; it will count it.
    pub(crate) fn take_in(&mut self, job: u64, pod: u64, tx: &mut Transaction) {
        let Some(owner) = self.jobs.get(&job) else { return };
        let over = owner.state.deleting || matches!(owner.state.phase, Phase::Finished(_));
        if over || !self.free_pods.contains_key(&pod) {
            return;
        }
        let reference = api::pod::owned_by(&owner.object);
        if let Some(mut entry) = self.pods.remove(&pod) {
            if entry.state.is_deleted() {
                self.pods.insert(pod, entry);
                return;
            }
            let object = Arc::make_mut(&mut entry.object);
            object.metadata.get_or_insert_default().owner_references = vec![reference];
            entry.state.counted = false;
            entry.job = Some(job);
            tx.touch_pod(pod, entry.bytes());
            self.adopt(pod, entry);
        } else if let Some(mut record) = self.ended_record(pod, tx)
            && let Some(ended) = self.ended.remove(&pod)
        {
            self.ended_bytes = self.ended_bytes.saturating_sub(ended.bytes);
            tx.forget_rewrite(&ended.key);
            let object = record.pod.get_or_insert_default();
            object.metadata.get_or_insert_default().owner_references = vec![reference];
            record.counted = false;
            self.load_pod(record);
            if let Some(entry) = self.pods.get(&pod) {
                tx.touch_pod(pod, entry.bytes());
            }
        }
        self.free_pods.remove(&pod);
        self.dirty_jobs.insert(job);
    }
}

impl Claimant {
    fn wants(&self, pod: &Free) -> bool {
        self.namespace == pod.namespace && self.selector.matches(&pod.labels)
    }
}

fn owners(job: &Job) -> &[OwnerReference] {
    job.metadata.as_ref().map_or(&[], |meta| &meta.owner_references)
}
