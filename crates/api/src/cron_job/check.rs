//! What a CronJob must be, and what it is where it says nothing: Kubernetes' defaults and rules.

use sched::cron::{self, Schedule, ScheduleError};
use sched::cron_job::Zones;
use sched::names;

use super::{annotations, zone};
use crate::field_error::{FieldError, FieldErrors, FieldPath};
use crate::job::{self, Grants};
use crate::metadata;
use crate::pb::k8s::batch::v1::{CronJob, CronJobSpec, JobTemplateSpec};
use crate::pb::k8s::meta::v1::ObjectMeta;
use crate::support::Warning;

/// The longest name, in bytes: its Jobs' names have `-` and up to ten digits more.
const NAME_MAX: usize = 52;
/// A shorter starting deadline, in seconds, may skip slots.
const DEADLINE_SAFE: i64 = 10;
const POLICIES: [&str; 3] = ["Allow", "Forbid", "Replace"];

/// Fills in what is not given. What is not given of the Jobs stays so, apart from their Pods: it is filled in when they start.
pub(super) fn default(cron_job: &mut CronJob) {
    let Some(spec) = &mut cron_job.spec else { return };
    let spec = spec.make_mut();
    if spec.concurrency_policy.is_empty() {
        "Allow".clone_into(&mut spec.concurrency_policy);
    }
    spec.suspend.get_or_insert(false);
    spec.successful_jobs_history_limit.get_or_insert(3);
    spec.failed_jobs_history_limit.get_or_insert(1);
    if let Some(job) = spec.job_template.as_mut().and_then(|template| template.spec.as_mut()) {
        job::default_template(job.make_mut());
    }
}

/// Finds all that is wrong, whatever was stored before.
pub(super) fn validate(cron_job: &CronJob, grants: &Grants, errors: &mut FieldErrors) {
    let no_meta = ObjectMeta::default();
    let meta = cron_job.metadata.as_ref().unwrap_or(&no_meta);
    metadata::validate(meta, errors);
    annotations::read(&meta.annotations, errors);
    let path = FieldPath::from("spec");
    let Some(spec) = &cron_job.spec else {
        return errors.required(path, "needed; say when the CronJob starts which Job");
    };
    validate_schedule(spec, &path.field("schedule"), errors);
    if !POLICIES.contains(&spec.concurrency_policy.as_str()) {
        errors.unsupported(path.field("concurrencyPolicy"), &spec.concurrency_policy, &POLICIES);
    }
    for (field, value) in [
        ("startingDeadlineSeconds", spec.starting_deadline_seconds),
        ("successfulJobsHistoryLimit", spec.successful_jobs_history_limit.map(i64::from)),
        ("failedJobsHistoryLimit", spec.failed_jobs_history_limit.map(i64::from)),
    ] {
        if let Some(value) = value.filter(|value| *value < 0) {
            errors.invalid(path.field(field), value, "is too few; the least is 0");
        }
    }
    let path = path.field("jobTemplate");
    match &spec.job_template {
        Some(template) => validate_template(template, &path, grants, errors),
        None => errors.required(path, "needed; say which Job is to be started"),
    }
}

fn validate_schedule(spec: &CronJobSpec, path: &FieldPath, errors: &mut FieldErrors) {
    let read = match cron::split_zone(&spec.schedule) {
        None => Schedule::parse(&spec.schedule),
        Some(Ok((_, schedule))) => {
            if spec.time_zone.is_some() {
                let detail = "has a zone within, and timeZone is given too; keep timeZone alone";
                errors.invalid_within(path, &spec.schedule, detail);
            }
            Schedule::parse(schedule)
        }
        Some(Err(error)) => Err(error),
    };
    match read {
        Ok(_) => {}
        Err(ScheduleError::Empty) => {
            let detail = "needed; give five fields (minute hour day month weekday), as in `0 3 * * *`";
            errors.required(path, detail);
        }
        Err(error) => errors.invalid_within(path, &spec.schedule, error),
    }
}

fn validate_template(
    template: &JobTemplateSpec,
    path: &FieldPath,
    grants: &Grants,
    errors: &mut FieldErrors,
) {
    if let Some(meta) = &template.metadata {
        let path = path.field("metadata");
        metadata::validate_labels(&meta.labels, &path.field("labels"), errors);
        metadata::validate_annotations(&meta.annotations, &path.field("annotations"), errors);
    }
    let path = path.field("spec");
    let Some(job) = &template.spec else {
        return errors.required(path, "needed; say what the Job is to run");
    };
    job::validate_spec(job, &path, grants, errors);
    if job.selector.is_some() {
        let detail = "is made for each Job; leave it out";
        errors.push(path.field("selector"), crate::field_error::Class::Invalid, detail);
    }
    if job.manual_selector == Some(true) {
        errors.unsupported(path.field("manualSelector"), "true", &["false"]);
    }
}

/// Finds what a CronJob may only have if it had it before.
pub(super) fn unless_stored(cron_job: &CronJob, zones: &dyn Zones) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let no_meta = ObjectMeta::default();
    let meta = cron_job.metadata.as_ref().unwrap_or(&no_meta);
    let (field, name) = if meta.name.is_empty() {
        ("metadata.generateName", names::generate(&meta.generate_name, 0, 0))
    } else {
        ("metadata.name", meta.name.clone())
    };
    if name.len() > NAME_MAX {
        let must = format!("makes a name of {} bytes; the most for a CronJob is {NAME_MAX}", name.len());
        let given = if meta.name.is_empty() { &meta.generate_name } else { &meta.name };
        errors.invalid(field, given, must);
    }
    let Some(spec) = &cron_job.spec else { return errors };
    let path = FieldPath::from("spec");
    if let Some(Ok((within, schedule))) = cron::split_zone(&spec.schedule)
        && spec.time_zone.is_none()
    {
        let detail =
            format!("a zone is not taken within a schedule; give `{schedule}` and timeZone `{within}`");
        errors.invalid_within(path.field("schedule"), &spec.schedule, detail);
    }
    if let Some(name) = &spec.time_zone
        && let Err(must) = zone::check(name, zones)
    {
        errors.invalid(path.field("timeZone"), name, must);
    }
    errors
}

/// Whether such a mistake was not in the stored CronJob already.
pub(super) fn is_new(error: &FieldError, cron_job: &CronJob, stored: &CronJob) -> bool {
    let (Some(new), Some(old)) = (&cron_job.spec, &stored.spec) else { return true };
    // The object may stand in a list.
    let path = error.path.as_str();
    if path.ends_with("spec.timeZone") {
        new.time_zone != old.time_zone
    } else if path.ends_with("spec.schedule") {
        cron::split_zone(&old.schedule).is_none()
    } else {
        false // Its name.
    }
}

/// Finds what can be, and may not be meant.
pub(super) fn warn(cron_job: &CronJob, warnings: &mut Vec<Warning>) {
    metadata::warn_name(cron_job, warnings);
    if let Some(meta) = &cron_job.metadata {
        annotations::warn(&meta.annotations, warnings);
    }
    let Some(spec) = &cron_job.spec else { return };
    let path = FieldPath::from("spec");
    let mut warn = |path: FieldPath, text: String| warnings.push(Warning { path, text });
    if cron::split_zone(&spec.schedule).is_some() {
        let text = "has a zone within, which no new CronJob may; give it as timeZone";
        warn(path.field("schedule"), text.to_owned());
    }
    match spec.starting_deadline_seconds {
        Some(0) => {
            warn(path.field("startingDeadlineSeconds"), "with 0 no slot ever starts its Job".to_owned())
        }
        Some(seconds @ ..DEADLINE_SAFE) => {
            let text = format!(
                "{seconds} s are few: a slot that is noticed later is skipped; {DEADLINE_SAFE} or more are better"
            );
            warn(path.field("startingDeadlineSeconds"), text);
        }
        _ => {}
    }
    let Some(template) = &spec.job_template else { return };
    let path = path.field("jobTemplate");
    if let Some(meta) = &template.metadata {
        let path = path.field("metadata");
        for (field, given) in [
            ("name", !meta.name.is_empty()),
            ("generateName", !meta.generate_name.is_empty()),
            ("namespace", !meta.namespace.is_empty()),
        ] {
            if given {
                let text = "is not used: Jobs are named after their CronJob and slot, in its namespace";
                warn(path.field(field), text.to_owned());
            }
        }
        for (field, given) in [
            ("ownerReferences", !meta.owner_references.is_empty()),
            ("finalizers", !meta.finalizers.is_empty()),
        ] {
            if given {
                warn(path.field(field), "is not used: Jobs get labels and annotations from here".to_owned());
            }
        }
    }
    let Some(job) = &template.spec else { return };
    let path = path.field("spec");
    for key in job::generated_labels(job) {
        let path = path.field("template").field("metadata").field("labels").key(key);
        warn(path, "is filled in for each Job; leave it out, else its Jobs may be refused".to_owned());
    }
    job::warn_spec(job, &path, warnings);
}
