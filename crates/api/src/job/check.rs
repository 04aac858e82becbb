//! What a Job must be, and what it is where it says nothing: Kubernetes' defaults and rules.

use crate::field_error::{FieldErrors, FieldPath};
use crate::job::Grants;
use crate::pb::k8s::batch::v1::Job;
use crate::{metadata, names as alphabets, pod_template};

/// Fills in what is not given.
pub(super) fn default(job: &mut Job) {
    let Some(spec) = &mut job.spec else { return };
    if spec.completions.is_none() && spec.parallelism.is_none() {
        spec.completions = Some(1);
    }
    spec.parallelism.get_or_insert(1);
    spec.backoff_limit.get_or_insert(6);
    spec.completion_mode.get_or_insert_with(|| "NonIndexed".to_owned());
    spec.suspend.get_or_insert(false);
    spec.manual_selector.get_or_insert(false);
    spec.pod_replacement_policy.get_or_insert_with(|| "TerminatingOrFailed".to_owned());
    if let Some(template) = &mut spec.template {
        pod_template::default(template);
    }
}

/// Finds all that is wrong.
pub(super) fn validate(job: &Job, grants: &Grants, errors: &mut FieldErrors) {
    if let Some(meta) = &job.metadata {
        metadata::validate(meta, errors);
        // The name becomes the value of a label of every Pod.
        if meta.name.len() > alphabets::LABEL_MAX {
            errors.too_long("metadata.name", meta.name.len(), alphabets::LABEL_MAX);
        }
    }
    let path = FieldPath::from("spec");
    let Some(spec) = &job.spec else {
        errors.required(path, "needed; say what the Job is to run");
        return;
    };
    let at_least_zero = [
        ("parallelism", spec.parallelism.map(i64::from)),
        ("completions", spec.completions.map(i64::from)),
        ("backoffLimit", spec.backoff_limit.map(i64::from)),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished.map(i64::from)),
    ];
    for (field, value) in at_least_zero {
        if let Some(value) = value.filter(|value| *value < 0) {
            errors.invalid(path.field(field), value, "is too few; the least is 0");
        }
    }
    match &spec.template {
        Some(template) => pod_template::validate(template, &path.field("template"), grants, errors),
        None => errors.required(path.field("template"), "needed; say what the Job's Pods are to run"),
    }
}
