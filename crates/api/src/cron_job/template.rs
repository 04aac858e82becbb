//! The Jobs that a CronJob starts.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::asked::Asked;
use crate::field_error::FieldErrors;
use crate::job::{self, NewJob};
use crate::kind::{CRON_JOB, Object};
use crate::pb::k8s::batch::v1::{CronJob, CronJobSpec, Job};
use crate::pb::k8s::meta::v1::{ObjectMeta, OwnerReference};

/// Annotation: the slot that a Job was started for, in RFC 3339.
pub const SCHEDULED_TIMESTAMP: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// What all Jobs of a CronJob have in common, with Kubernetes' defaults: made once, so that starting one is cheap.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Job);

impl Template {
    /// The template of a stored CronJob.
    pub fn of(cron_job: &CronJob) -> Template {
        let mut job = bare(cron_job, true);
        let annotations = &mut job.metadata_mut().annotations;
        // A Job of the schedule is none that somebody started.
        annotations.remove(super::INSTANTIATE);
        annotations.remove(super::OVERRIDES);
        job::prepare(&mut job);
        Template(job)
    }

    /// The Job for a slot, under this name. The slot is written in `zone`, where the CronJob names one.
    ///
    /// Only what depends on the name is looked at: of the rest it was checked when the CronJob was stored.
    pub fn job(&self, slot: Timestamp, name: &str, zone: Option<&TimeZone>) -> Result<NewJob, FieldErrors> {
        let mut job = self.0.clone();
        let meta = job.metadata_mut();
        name.clone_into(&mut meta.name);
        meta.annotations.insert(SCHEDULED_TIMESTAMP.to_owned(), rfc3339(slot, zone));
        let mut errors = FieldErrors::new();
        job::validate_named(&job, &mut errors);
        errors.into_result(Asked::new(job, &[]))
    }
}

/// A Job from the template, without a name, as it is written there.
pub(super) fn bare(cron_job: &CronJob, blocks_deletion: bool) -> Job {
    let template = |spec: &CronJobSpec| spec.job_template.clone();
    let template = cron_job.spec.as_ref().and_then(|spec| spec.glance(template)).unwrap_or_default();
    let given = template.metadata.unwrap_or_default();
    let no_meta = ObjectMeta::default();
    let owner = cron_job.metadata.as_ref().unwrap_or(&no_meta);
    let reference = OwnerReference {
        api_version: CRON_JOB.api_version(),
        kind: CRON_JOB.kind.to_owned(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
        controller: Some(true),
        block_owner_deletion: blocks_deletion.then_some(true),
    };
    let metadata = ObjectMeta {
        namespace: owner.namespace.clone(),
        labels: given.labels,
        annotations: given.annotations,
        owner_references: vec![reference],
        ..ObjectMeta::default()
    };
    Job { metadata: Some(metadata), spec: template.spec, status: None }
}

/// An instant as Go writes it: with the zone's offset, or `Z` where there is none.
fn rfc3339(at: Timestamp, zone: Option<&TimeZone>) -> String {
    let offset = zone.map(|zone| zone.to_offset(at)).filter(|offset| offset.seconds() != 0);
    match offset {
        Some(offset) => at.display_with_offset(offset).to_string(),
        None => at.to_string(),
    }
}

/// The slot that a Job was started for; `None` if it is no schedule's.
pub fn scheduled_slot(job: &Job) -> Option<Timestamp> {
    job.metadata()?.annotations.get(SCHEDULED_TIMESTAMP)?.parse().ok()
}

/// The CronJob that a Job belongs to, by name and uid.
pub fn cron_job_of(job: &Job) -> Option<(&str, &str)> {
    let owners = &job.metadata()?.owner_references;
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    let ours = owner.kind == CRON_JOB.kind && owner.api_version.split('/').next() == Some(CRON_JOB.group);
    ours.then_some((&owner.name, &owner.uid))
}
