//! Clients: what they ask, also twice, and what they then know.

use api::pb::k8s::batch::v1::Job;
use api::pb::wick::v1::{Image, ImageRecord};
use api::{Grants, NewJob};
use engine::{Event, ObjectKey, Propagation, WriteMode};
use fastrand::Rng;

use crate::checker::Checker;
use crate::jobs::{self, IMAGES, Taste};

/// Something a client asks for, so that it can ask again.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Create { manifest: String, dry_run: bool },
    Replace { job: Box<Job>, dry_run: bool },
    DeleteJob { key: ObjectKey, propagation: Propagation },
    DeletePod { key: ObjectKey, grace_seconds: Option<i64> },
    PushImage { name: &'static str },
    DeleteImage { name: &'static str },
}

impl Ask {
    /// Anything, given what there is.
    pub(crate) fn any(checker: &Checker, taste: Taste, rng: &mut Rng) -> Ask {
        let existing = checker.any_job(rng);
        match (rng.u8(0..20), existing) {
            (0..=6, _) | (_, None) => {
                let name = format!("job-{}", rng.u8(0..6));
                Ask::Create { manifest: jobs::manifest(&name, taste, rng), dry_run: rng.u8(0..12) == 0 }
            }
            (7..=11, Some(job)) => {
                Ask::Replace { job: Box::new(jobs::edit(&job, rng)), dry_run: rng.u8(0..12) == 0 }
            }
            (12 | 13, Some(job)) => {
                let meta = job.metadata.clone().unwrap_or_default();
                let all = [Propagation::Background, Propagation::Foreground, Propagation::Orphan];
                let propagation = all[rng.usize(0..if taste.plain { 2 } else { 3 })];
                Ask::DeleteJob { key: ObjectKey::new(meta.namespace, meta.name), propagation }
            }
            (14, Some(_)) => match checker.any_pod(rng) {
                Some(key) => Ask::DeletePod { key, grace_seconds: rng.bool().then(|| rng.i64(0..40)) },
                None => Ask::PushImage { name: IMAGES[0] },
            },
            (15..=17, _) => Ask::PushImage { name: IMAGES[rng.usize(0..IMAGES.len())] },
            (_, _) => Ask::DeleteImage { name: IMAGES[rng.usize(0..IMAGES.len())] },
        }
    }

    /// As it reaches the engine; `None` if it is refused before.
    pub(crate) fn event(&self) -> Option<Event> {
        Some(match self {
            Ask::Create { manifest, dry_run } => {
                let job = Box::new(jobs::parse(manifest)?);
                Event::CreateJob { job, mode: WriteMode::Create, dry_run: *dry_run }
            }
            Ask::Replace { job, dry_run } => {
                let job = Box::new(NewJob::check(Job::clone(job), &Grants::default()).ok()?);
                Event::CreateJob { job, mode: WriteMode::Update, dry_run: *dry_run }
            }
            Ask::DeleteJob { key, propagation } => {
                Event::DeleteJob { key: key.clone(), uid: String::new(), propagation: *propagation }
            }
            Ask::DeletePod { key, grace_seconds } => {
                Event::DeletePod { key: key.clone(), uid: String::new(), grace_seconds: *grace_seconds }
            }
            Ask::PushImage { name } => Event::ImageStored(image(name)),
            Ask::DeleteImage { name } => Event::DeleteImage { reference: full_name(name) },
        })
    }

    /// The Job it is about.
    pub(crate) fn job(&self) -> Option<ObjectKey> {
        match self {
            Ask::Create { manifest, .. } => {
                let job = jobs::parse(manifest)?;
                Some(ObjectKey::new(job.namespace(), job.name()))
            }
            Ask::Replace { job, .. } => {
                let meta = job.metadata.as_ref()?;
                Some(ObjectKey::new(&meta.namespace, &meta.name))
            }
            Ask::DeleteJob { key, .. } => Some(key.clone()),
            Ask::DeletePod { .. } | Ask::PushImage { .. } | Ask::DeleteImage { .. } => None,
        }
    }
}

pub(crate) fn full_name(name: &str) -> String {
    format!("{name}:latest")
}

pub(crate) fn image(name: &str) -> ImageRecord {
    let digest = format!("sha256:{:064x}", name.len());
    let image = Image { name: full_name(name), digest, ..Image::default() };
    ImageRecord { image: Some(image), ..ImageRecord::default() }
}
