//! Clients: what they ask, also twice, and what they then know.

use std::sync::Arc;

use api::pb::k8s::batch::v1::{CronJob, Job};
use api::pb::wick::v1::{Image, ImageRecord, RunOverrides};
use api::{Grants, NewCronJob, NewJob};
use engine::{Event, ObjectKey, Propagation, WriteMode};
use fastrand::Rng;
use sched::cron_job::Zones;

use crate::checker::Checker;
use crate::cron_jobs;
use crate::jobs::{self, IMAGES, Taste};

/// Something a client asks for, so that it can ask again.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Create {
        manifest: String,
        dry_run: bool,
    },
    Replace {
        job: Box<Job>,
        dry_run: bool,
    },
    DeleteJob {
        key: ObjectKey,
        propagation: Propagation,
    },
    DeletePod {
        key: ObjectKey,
        grace_seconds: Option<i64>,
    },
    PushImage {
        name: &'static str,
    },
    DeleteImage {
        name: &'static str,
    },
    WriteCronJob {
        manifest: String,
        apply: bool,
        dry_run: bool,
    },
    /// Writes it as edited; with what was read, if that is not to have changed meanwhile.
    ReplaceCronJob {
        cron_job: Box<CronJob>,
        read: Option<Arc<CronJob>>,
        dry_run: bool,
    },
    DeleteCronJob {
        key: ObjectKey,
        propagation: Propagation,
    },
    /// Starts a Job of this name by hand.
    Trigger {
        cron_job: Arc<CronJob>,
        job: String,
    },
}

impl Ask {
    /// Anything, given what there is.
    pub(crate) fn any(checker: &Checker, taste: Taste, rng: &mut Rng) -> Ask {
        if rng.u8(0..3) == 0 {
            return Ask::about_cron_jobs(checker, taste, rng);
        }
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

    fn about_cron_jobs(checker: &Checker, taste: Taste, rng: &mut Rng) -> Ask {
        let dry_run = rng.u8(0..12) == 0;
        match (rng.u8(0..16), checker.books.any(rng)) {
            (0..=5, _) | (_, None) => {
                let name = format!("cron-{}", rng.u8(0..4));
                let manifest = cron_jobs::manifest(&name, taste, rng);
                Ask::WriteCronJob { manifest, apply: rng.u8(0..3) == 0, dry_run }
            }
            (6..=11, Some(read)) => {
                let cron_job = Box::new(cron_jobs::edit(&read, taste, rng));
                Ask::ReplaceCronJob { cron_job, read: rng.bool().then_some(read), dry_run }
            }
            (12 | 13, Some(cron_job)) => {
                let meta = cron_job.metadata.clone().unwrap_or_default();
                let all = [Propagation::Background, Propagation::Foreground, Propagation::Orphan];
                let propagation = all[rng.usize(0..if taste.plain { 2 } else { 3 })];
                Ask::DeleteCronJob { key: ObjectKey::new(meta.namespace, meta.name), propagation }
            }
            (_, Some(cron_job)) => {
                let name = cron_job.metadata.as_ref().map_or("", |meta| &meta.name);
                let last = cron_job.status.as_ref().and_then(|status| status.last_schedule_time);
                let job = match last {
                    // The name that a slot to come will want.
                    Some(last) if rng.u8(0..4) == 0 => {
                        format!("{name}-{}", last.seconds / 60 + rng.i64(1..70))
                    }
                    _ => format!("by-hand-{}", rng.u8(0..5)),
                };
                Ask::Trigger { cron_job, job }
            }
        }
    }

    /// As it reaches the engine; `None` if it is refused before.
    pub(crate) fn event(&self, zones: &dyn Zones) -> Option<Event> {
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
            Ask::WriteCronJob { manifest, apply, dry_run } => {
                let cron_job = Box::new(cron_jobs::parse(manifest, zones)?);
                let mode = if *apply { WriteMode::Apply } else { WriteMode::Create };
                Event::WriteCronJob { cron_job, mode, dry_run: *dry_run }
            }
            Ask::ReplaceCronJob { cron_job, read, dry_run } => {
                let checked = NewCronJob::check(CronJob::clone(cron_job), &Grants::default(), zones);
                let mode = read.clone().map_or(WriteMode::Update, WriteMode::Revise);
                Event::WriteCronJob { cron_job: Box::new(checked.ok()?), mode, dry_run: *dry_run }
            }
            Ask::DeleteCronJob { key, propagation } => {
                Event::DeleteCronJob { key: key.clone(), uid: String::new(), propagation: *propagation }
            }
            Ask::Trigger { cron_job, job } => {
                let job = api::cron_job::manual(cron_job, job, &RunOverrides::default()).ok()?;
                let job = Box::new(NewJob::check(job, &Grants::default()).ok()?);
                Event::CreateJob { job, mode: WriteMode::Create, dry_run: false }
            }
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
            Ask::DeletePod { .. }
            | Ask::PushImage { .. }
            | Ask::DeleteImage { .. }
            | Ask::WriteCronJob { .. }
            | Ask::ReplaceCronJob { .. }
            | Ask::DeleteCronJob { .. }
            | Ask::Trigger { .. } => None,
        }
    }

    /// The CronJob that it changes.
    pub(crate) fn cron_job(&self, zones: &dyn Zones) -> Option<ObjectKey> {
        match self {
            Ask::WriteCronJob { manifest, .. } => {
                let cron_job = cron_jobs::parse(manifest, zones)?;
                Some(ObjectKey::new(cron_job.namespace(), cron_job.name()))
            }
            Ask::ReplaceCronJob { cron_job, .. } => {
                let meta = cron_job.metadata.as_ref()?;
                Some(ObjectKey::new(&meta.namespace, &meta.name))
            }
            Ask::DeleteCronJob { key, .. } => Some(key.clone()),
            _ => None,
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
