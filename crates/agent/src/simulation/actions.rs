//! What is done to the world: the same requests that clients of an agent make, and what no client can do.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use api::kind::{CRON_JOB, JOB, Kind, POD};
use api::manifest::{self, New, Object};
use api::node::Node;
use api::patch::{Against, Patch};
use api::pb::k8s::meta::v1::{ObjectMeta, OwnerReference, Status};
use api::pb::wick::v1::{Image, ImageRecord, RunOverrides};
use api::{FieldErrors, FieldPath, ImageRef, NewCronJob, NewJob};
use engine::{Event, ObjectKey, Rejected, Reply, WriteMode};
use sched::pod::SetCondition;

use super::current::Current;
use super::scenario::{Action, Condition, Deed, Manifest, NthPod, Propagation, Target};
use super::world::World;
use super::{Trouble, refusal};

/// What was turned down: by which rules, or with which answer.
enum No {
    Invalid(FieldErrors),
    Answer(Box<Status>),
    Trouble(Trouble),
}

impl From<FieldErrors> for No {
    fn from(errors: FieldErrors) -> No {
        No::Invalid(errors)
    }
}

impl From<Trouble> for No {
    fn from(trouble: Trouble) -> No {
        No::Trouble(trouble)
    }
}

impl World<'_> {
    /// Does what an action says; one that is turned down is told as such.
    pub(super) fn act(&mut self, action: Action) -> Result<(), Trouble> {
        let Action { number, deed, .. } = action;
        let done = match deed {
            Deed::Apply { manifest, owned_by } => self.apply_manifest(&manifest.node, owned_by),
            Deed::Patch { target, merge } => self.patch(&target, &merge),
            Deed::Delete { target, propagation, grace_seconds } => {
                self.delete(&target, propagation, grace_seconds)
            }
            Deed::Trigger { cron_job, name } => self.trigger(&cron_job, &name),
            Deed::Crash { down_for } => self.crash(down_for).map_err(No::from),
            Deed::Clock { step } => self.step_clock(step).map_err(No::from),
            Deed::AddImage(image) => self.add_images(&[image]).map_err(No::from),
            Deed::RemoveImage(image) => self.remove_image(&image),
            Deed::RemoveZone(zone) => self.remove_zone(&zone),
            Deed::Condition { pod, condition } => self.set_condition(&pod, condition),
        };
        match done {
            Ok(()) => Ok(()),
            Err(No::Trouble(trouble)) => Err(trouble),
            Err(No::Answer(status)) => self.refuse(number, *status),
            Err(No::Invalid(errors)) => self.refuse(number, *refusal::invalid(&JOB, "", &errors)),
        }
    }

    /// Applies the objects of the start; what is turned down ends it all.
    pub(super) fn apply_first(&mut self, objects: &[Manifest]) -> Result<(), Trouble> {
        let mut errors = FieldErrors::new();
        for Manifest { node, path } in objects {
            if let Err(No::Invalid(wrong)) =
                self.new_object(node, None).and_then(|new| Ok(new.unless_stored()?))
            {
                errors.append(wrong.under(path));
            }
        }
        errors.into_result(()).map_err(Trouble::Scenario)?;
        for Manifest { node, path } in objects {
            let why = match self.apply_manifest(node, None) {
                Ok(()) => continue,
                Err(No::Trouble(trouble)) => return Err(trouble),
                Err(No::Invalid(wrong)) => wrong,
                Err(No::Answer(status)) => {
                    let mut errors = FieldErrors::new();
                    errors.forbidden(FieldPath::root(), status.message);
                    errors
                }
            };
            return Err(Trouble::Scenario(why.under(path)));
        }
        Ok(())
    }

    /// Creates what an agent has; what is turned down ends it all.
    pub(super) fn begin_with(&mut self, current: Current) -> Result<(), Trouble> {
        let Current { cron_jobs, jobs, .. } = current;
        for cron_job in cron_jobs {
            let place = place(CRON_JOB, cron_job.metadata.as_ref());
            let new = NewCronJob::check(cron_job, &self.grants, &*self.zones);
            self.create_first(new.map(|new| New::CronJob(Box::new(new))), &place)?;
        }
        for mut job in jobs {
            let place = place(JOB, job.metadata.as_ref());
            if let Some(meta) = &mut job.metadata {
                self.find_owners(meta);
            }
            let new = NewJob::check(job, &self.grants);
            self.create_first(new.map(|new| New::Job(Box::new(new))), &place)?;
        }
        Ok(())
    }

    fn create_first(&mut self, new: Result<New, FieldErrors>, place: &FieldPath) -> Result<(), Trouble> {
        let new = new.map_err(|errors| Trouble::Scenario(errors.under(place)))?;
        match self.write(new) {
            Ok(()) => Ok(()),
            Err(No::Trouble(trouble)) => Err(trouble),
            Err(No::Invalid(errors)) => Err(Trouble::Scenario(errors.under(place))),
            Err(No::Answer(status)) => {
                let mut errors = FieldErrors::new();
                errors.forbidden(place, status.message);
                Err(Trouble::Scenario(errors))
            }
        }
    }

    /// The uids that the CronJobs of these names have in this world; one that is not in it owns nothing.
    fn find_owners(&self, meta: &mut ObjectMeta) {
        let ObjectMeta { namespace, owner_references, .. } = meta;
        owner_references.retain_mut(|owner| {
            let uid = self.uid_of_cron_job(&ObjectKey::new(namespace.clone(), owner.name.clone()));
            owner.uid = uid.unwrap_or_default();
            !owner.uid.is_empty()
        });
    }

    /// A manifest's object, checked.
    fn new_object(&self, node: &Node, owner: Option<OwnerReference>) -> Result<New, No> {
        let mut document = manifest::read_object(node, &FieldPath::root());
        if let Ok(object) = &mut document.object {
            object.metadata_mut().owner_references.extend(owner);
        }
        document.check(&self.namespace, &self.grants, &*self.zones).map_err(No::Invalid)
    }

    fn apply_manifest(&mut self, node: &Node, owned_by: Option<(Kind, String)>) -> Result<(), No> {
        let owner = match owned_by {
            Some((kind, name)) => Some(self.owner(&kind, &name)?),
            None => None,
        };
        let name = node.get("metadata").and_then(|meta| meta.get("name")).and_then(Node::as_text);
        let name = name.unwrap_or_default().to_owned();
        let kind =
            if node.get("kind").and_then(Node::as_text) == Some(CRON_JOB.kind) { CRON_JOB } else { JOB };
        match self.new_object(node, owner) {
            Ok(new) => self.write(new),
            // At the start the paths are what counts, in an action the answer.
            Err(No::Invalid(errors)) if self.has_begun() => {
                Err(No::Answer(refusal::invalid(&kind, &name, &errors)))
            }
            Err(no) => Err(no),
        }
    }

    fn write(&mut self, new: New) -> Result<(), No> {
        let name = new.name().to_owned();
        let kind = *new.kind();
        let event = match new {
            New::Job(job) => Event::CreateJob { job, mode: WriteMode::Apply, dry_run: false },
            New::CronJob(cron_job) => {
                Event::WriteCronJob { cron_job, mode: WriteMode::Apply, dry_run: false }
            }
        };
        self.ask(event, &kind, &name)
    }

    /// Asks the engine for something.
    fn ask(&mut self, event: Event, kind: &Kind, name: &str) -> Result<(), No> {
        let mut replies: VecDeque<Result<Reply, Rejected>> = self.apply(vec![event], VecDeque::new())?.into();
        match replies.pop_front() {
            Some(Err(rejected)) => Err(No::Answer(refusal::rejected(kind, name, &rejected))),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    fn owner(&self, kind: &Kind, name: &str) -> Result<OwnerReference, No> {
        let uid = if *kind == CRON_JOB {
            self.uid_of_cron_job(&ObjectKey::new(self.namespace.clone(), name))
        } else {
            self.job(name).and_then(|job| Some(job.metadata.as_ref()?.uid.clone()))
        };
        let Some(uid) = uid else { return Err(No::Answer(refusal::not_found(kind, name))) };
        Ok(OwnerReference {
            api_version: kind.api_version(),
            kind: kind.kind.to_owned(),
            name: name.to_owned(),
            uid,
            ..OwnerReference::default()
        })
    }

    /// The object an action is about.
    fn find(&self, target: &Target) -> Result<(Kind, ObjectKey), No> {
        match target {
            Target::Named { kind, name } => Ok((*kind, ObjectKey::new(self.namespace.clone(), name))),
            Target::Pod(pod) => self.find_pod(pod).map(|key| (POD, key)),
        }
    }

    fn find_pod(&self, pod: &NthPod) -> Result<ObjectKey, No> {
        let found = self.nth_pod(&pod.job, pod.nth);
        found.ok_or_else(|| No::Answer(refusal::not_found(&POD, &format!("{} of job {}", pod.nth, pod.job))))
    }

    fn patch(&mut self, target: &Target, merge: &Node) -> Result<(), No> {
        let (kind, key) = self.find(target)?;
        if kind == POD {
            let message = "pods cannot be patched: what a Pod is comes from its Job".to_owned();
            return Err(No::Answer(refusal::bad_request(&kind, &key.name, message)));
        }
        let not_found = || No::Answer(refusal::not_found(&kind, &key.name));
        let wrong = |errors: FieldErrors| No::Answer(refusal::invalid(&kind, &key.name, &errors));
        let patch = Patch::merge(merge).map_err(wrong)?;
        let event = if kind == CRON_JOB {
            let read = self.cron_job(&key.name).ok_or_else(not_found)?;
            let (cron_job, mode) = revised(&patch, read).map_err(wrong)?;
            let new = NewCronJob::check(cron_job, &self.grants, &*self.zones).map_err(wrong)?;
            Event::WriteCronJob { cron_job: Box::new(new), mode, dry_run: false }
        } else {
            let read = self.job(&key.name).ok_or_else(not_found)?;
            let (job, mode) = revised(&patch, read).map_err(wrong)?;
            let new = NewJob::check(job, &self.grants).map_err(wrong)?;
            Event::CreateJob { job: Box::new(new), mode, dry_run: false }
        };
        self.ask(event, &kind, &key.name)
    }

    fn delete(
        &mut self,
        target: &Target,
        propagation: Option<Propagation>,
        grace_seconds: Option<i64>,
    ) -> Result<(), No> {
        let (kind, key) = self.find(target)?;
        let name = key.name.clone();
        let uid = String::new();
        if kind == POD {
            return self.ask(Event::DeletePod { key, uid, grace_seconds }, &POD, &name);
        }
        let propagation = match propagation {
            None | Some(Propagation::Background) => engine::Propagation::Background,
            Some(Propagation::Foreground) => engine::Propagation::Foreground,
            Some(Propagation::Orphan) => engine::Propagation::Orphan,
        };
        let event = if kind == CRON_JOB {
            Event::DeleteCronJob { key, uid, propagation }
        } else {
            Event::DeleteJob { key, uid, propagation }
        };
        self.ask(event, &kind, &name)
    }

    /// Starts a Job from a CronJob, outside its schedule.
    fn trigger(&mut self, cron_job: &str, name: &str) -> Result<(), No> {
        let Some(found) = self.cron_job(cron_job) else {
            return Err(No::Answer(refusal::not_found(&CRON_JOB, cron_job)));
        };
        let wrong = |errors: FieldErrors| No::Answer(refusal::invalid(&JOB, name, &errors));
        let job = api::cron_job::manual(&found, name, &RunOverrides::default()).map_err(wrong)?;
        let new = NewJob::check(job, &self.grants).map_err(wrong)?;
        let event = Event::CreateJob { job: Box::new(new), mode: WriteMode::Create, dry_run: false };
        self.ask(event, &JOB, name)?;
        self.summary.told.triggered += 1;
        Ok(())
    }

    fn remove_zone(&mut self, zone: &str) -> Result<(), No> {
        self.zones.remove(zone);
        self.note("", format!("the zone {zone} is not known any more"), true)?;
        self.apply(vec![Event::ZonesChanged], VecDeque::new())?;
        Ok(())
    }

    fn set_condition(&mut self, pod: &NthPod, condition: Condition) -> Result<(), No> {
        let key = self.find_pod(pod)?;
        let name = key.name.clone();
        let Condition { kind, status, reason } = condition;
        let condition = SetCondition { kind, status, reason };
        self.ask(Event::SetPodCondition { key, condition }, &POD, &name)
    }

    /// From now on these images exist.
    pub(super) fn add_images(&mut self, images: &[ImageRef]) -> Result<(), Trouble> {
        let events = images.iter().map(|image| Event::ImageStored(record(image))).collect();
        let replies = self.apply(events, VecDeque::new())?;
        match replies.into_iter().find_map(Result::err) {
            Some(rejected) => Err(Trouble::Limit(rejected.to_string())),
            None => Ok(()),
        }
    }

    fn remove_image(&mut self, image: &ImageRef) -> Result<(), No> {
        let name = match image.full_name() {
            name if name.is_empty() => image.digest().unwrap_or_default().to_owned(),
            name => name,
        };
        let kind = Kind { group: "wick.dev", plural: "images", kind: "Image", ..POD };
        self.ask(Event::DeleteImage { reference: name.clone() }, &kind, &name)
    }
}

/// What becomes of an object by a patch, and what is to be found where it is written.
fn revised<M: api::kind::Object>(patch: &Patch, read: Arc<M>) -> Result<(M, WriteMode<M>), FieldErrors> {
    let revised = patch.revise(&*read)?;
    let mode = match revised.against {
        Against::Read => WriteMode::Revise(read),
        Against::Version | Against::Named => WriteMode::Update,
    };
    Ok((revised.object, mode))
}

/// Every image that the scenario's manifests name.
pub(super) fn images<'a>(manifests: impl Iterator<Item = &'a Manifest>) -> BTreeSet<String> {
    let mut images = BTreeSet::new();
    for Manifest { node, .. } in manifests {
        match manifest::read_object(node, &FieldPath::root()).object {
            Ok(Object::Job(job)) => images.extend(api::job::images(&job).map(str::to_owned)),
            Ok(Object::CronJob(cron_job)) => {
                images.extend(api::cron_job::images(&cron_job));
            }
            Err(_) => {} // That is told when it is applied.
        }
    }
    images
}

/// Where an object stands that is in no scenario.
fn place(kind: Kind, meta: Option<&ObjectMeta>) -> FieldPath {
    FieldPath::root().field(kind.plural).key(meta.map_or("", |meta| &meta.name))
}

/// The record of an image without bytes. Its digest is made of its name: another name, another image.
fn record(image: &ImageRef) -> ImageRecord {
    let name = image.full_name();
    let digest = image.digest().map_or_else(|| digest_of(&name), str::to_owned);
    ImageRecord { image: Some(Image { name, digest, ..Image::default() }), ..ImageRecord::default() }
}

/// 256 bits that differ from name to name: four FNV hashes of it.
fn digest_of(name: &str) -> String {
    let hash = |seed: u64| {
        name.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    let words = [0, 0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb];
    let hex: String = words.iter().map(|seed| format!("{:016x}", hash(*seed))).collect();
    format!("sha256:{hex}")
}
