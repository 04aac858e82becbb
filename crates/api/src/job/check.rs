//! What a Job must be, and what it is where it says nothing: Kubernetes' defaults and rules.

use sched::names;

use super::{policies, selector};
use crate::field_error::{FieldErrors, FieldPath};
use crate::job::Grants;
use crate::pb::k8s::batch::v1::{Job, JobSpec};
use crate::pb::k8s::meta::v1::ObjectMeta;
use crate::support::Warning;
use crate::{metadata, names as alphabets, pod_template};

pub(super) const INDEXED: &str = "Indexed";
pub(super) const NON_INDEXED: &str = "NonIndexed";
/// The most Pods of an Indexed Job at once, and the most of its indexes that may fail (Kubernetes' limits).
const INDEXED_MAX: i32 = 100_000;
/// The same where the failures of more than [`INDEXED_MAX`] indexes are counted each.
const COUNTED_EACH_MAX: i32 = 10_000;
/// The longest `managedBy`, in bytes.
const MANAGED_BY_MAX: usize = 63;

/// Fills in what is not given.
pub(super) fn default(job: &mut Job) {
    let Some(spec) = &mut job.spec else { return };
    let spec = spec.make_mut();
    if spec.completions.is_none() && spec.parallelism.is_none() {
        spec.completions = Some(1);
    }
    spec.parallelism.get_or_insert(1);
    spec.backoff_limit.get_or_insert(if spec.backoff_limit_per_index.is_some() { i32::MAX } else { 6 });
    spec.completion_mode.get_or_insert_with(|| NON_INDEXED.to_owned());
    spec.suspend.get_or_insert(false);
    spec.manual_selector.get_or_insert(false);
    let replacement = if spec.pod_failure_policy.is_some() { "Failed" } else { "TerminatingOrFailed" };
    spec.pod_replacement_policy.get_or_insert_with(|| replacement.to_owned());
    default_template(spec);
}

/// Fills in what is written down already where the spec is a CronJob's template.
pub(crate) fn default_template(spec: &mut JobSpec) {
    if let Some(policy) = &mut spec.pod_failure_policy {
        policies::default(policy);
    }
    if let Some(template) = &mut spec.template {
        pod_template::default(template);
    }
}

/// Finds all that is wrong.
pub(super) fn validate(job: &Job, grants: &Grants, errors: &mut FieldErrors) {
    let no_meta = ObjectMeta::default();
    let meta = job.metadata.as_ref().unwrap_or(&no_meta);
    metadata::validate(meta, errors);
    let path = FieldPath::from("spec");
    let Some(spec) = &job.spec else {
        errors.required(path, "needed; say what the Job is to run");
        return;
    };
    validate_name(job, errors);
    validate_spec(spec, &path, grants, errors);
    selector::validate(job, &path, errors);
}

/// Finds what is wrong with the name alone: what is made from the Job is named after it.
pub(super) fn validate_name(job: &Job, errors: &mut FieldErrors) {
    let (Some(meta), Some(spec)) = (&job.metadata, &job.spec) else { return };
    // The name becomes the value of a label of every Pod.
    if meta.name.len() > alphabets::LABEL_MAX {
        errors.too_long("metadata.name", meta.name.len(), alphabets::LABEL_MAX);
    }
    validate_index_names(meta, spec, errors);
}

/// The Pods of an Indexed Job are called after it and their index, and their names are host names.
fn validate_index_names(meta: &ObjectMeta, spec: &JobSpec, errors: &mut FieldErrors) {
    let Some(last) = spec.completions.and_then(|completions| completions.checked_sub(1)) else { return };
    if !is_indexed(spec) || last < 0 {
        return;
    }
    let (field, given, name) = if meta.name.is_empty() {
        ("metadata.generateName", &meta.generate_name, names::generate(&meta.generate_name, 0, 0))
    } else {
        ("metadata.name", &meta.name, meta.name.clone())
    };
    if alphabets::dns_subdomain(&name).is_err() || name.len() > alphabets::LABEL_MAX {
        return; // Told already.
    }
    if let Err(must) = alphabets::dns_label(&format!("{name}-{last}")) {
        errors.invalid(field, given, format!("makes the last Pod's host name `{name}-{last}`, which {must}"));
    }
}

/// Finds all that is wrong with what a Job is to do.
pub(crate) fn validate_spec(spec: &JobSpec, path: &FieldPath, grants: &Grants, errors: &mut FieldErrors) {
    let at_least_zero = [
        ("parallelism", spec.parallelism.map(i64::from)),
        ("completions", spec.completions.map(i64::from)),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit.map(i64::from)),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index.map(i64::from)),
        ("maxFailedIndexes", spec.max_failed_indexes.map(i64::from)),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished.map(i64::from)),
    ];
    for (field, value) in at_least_zero {
        if let Some(value) = value.filter(|value| *value < 0) {
            errors.invalid(path.field(field), value, "is too few; the least is 0");
        }
    }
    match spec.completion_mode.as_deref() {
        None | Some(INDEXED | NON_INDEXED) => {}
        Some(other) => errors.unsupported(path.field("completionMode"), other, &[NON_INDEXED, INDEXED]),
    }
    if is_indexed(spec) {
        validate_indexed(spec, path, errors);
    } else {
        let per_index = [
            ("backoffLimitPerIndex", spec.backoff_limit_per_index),
            ("maxFailedIndexes", spec.max_failed_indexes),
        ];
        for (field, value) in per_index {
            if let Some(value) = value {
                errors.invalid(path.field(field), value, "is for `completionMode: Indexed` only");
            }
        }
    }
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        let detail = "needed with maxFailedIndexes; say how often each index may fail";
        errors.required(path.field("backoffLimitPerIndex"), detail);
    }
    if let Some(manager) = &spec.managed_by {
        validate_managed_by(manager, &path.field("managedBy"), errors);
    }
    if let Some(policy) = &spec.success_policy {
        policies::validate_success(policy, spec, &path.field("successPolicy"), errors);
    }
    if let Some(policy) = &spec.pod_failure_policy {
        policies::validate_pod_failure(policy, spec, &path.field("podFailurePolicy"), errors);
    }
    let replacements: &[&str] =
        if spec.pod_failure_policy.is_some() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    if let Some(replacement) = &spec.pod_replacement_policy
        && !replacements.contains(&replacement.as_str())
    {
        errors.unsupported(path.field("podReplacementPolicy"), replacement, replacements);
    }
    match &spec.template {
        Some(template) => {
            let path = path.field("template");
            let policy = template.spec.as_ref().map_or("", |pod| &pod.restart_policy);
            if spec.pod_failure_policy.is_some() && policy != "Never" {
                let must = "must be `Never` with a podFailurePolicy, which looks at Pods that have failed";
                errors.invalid(path.field("spec").field("restartPolicy"), policy, must);
            }
            pod_template::validate(template, &path, grants, errors);
        }
        None => errors.required(path.field("template"), "needed; say what the Job's Pods are to run"),
    }
}

fn validate_indexed(spec: &JobSpec, path: &FieldPath, errors: &mut FieldErrors) {
    let parallelism = spec.parallelism.unwrap_or(1);
    if parallelism > INDEXED_MAX {
        let must = format!("is too many for an Indexed Job; the most is {INDEXED_MAX}");
        errors.invalid(path.field("parallelism"), parallelism, must);
    }
    let Some(completions) = spec.completions else {
        let detail = "needed; an Indexed Job has an index for each completion";
        return errors.required(path.field("completions"), detail);
    };
    let counted_each = completions > INDEXED_MAX && spec.backoff_limit_per_index.is_some();
    let because = format!("with backoffLimitPerIndex and more than {INDEXED_MAX} completions");
    if counted_each && parallelism > COUNTED_EACH_MAX {
        let must = format!("is too many {because}; the most is {COUNTED_EACH_MAX}");
        errors.invalid(path.field("parallelism"), parallelism, must);
    }
    let failed = path.field("maxFailedIndexes");
    let Some(most) = spec.max_failed_indexes else {
        if counted_each {
            errors.required(failed, format!("needed {because}; the most is {COUNTED_EACH_MAX}"));
        }
        return;
    };
    if most > completions {
        errors.invalid(failed.clone(), most, format!("is more than the completions, {completions}"));
    }
    if most > INDEXED_MAX {
        errors.invalid(failed.clone(), most, format!("is too many; the most is {INDEXED_MAX}"));
    }
    if counted_each && most > COUNTED_EACH_MAX {
        errors.invalid(failed, most, format!("is too many {because}; the most is {COUNTED_EACH_MAX}"));
    }
}

/// A domain and a path, as in `example.com/runner`.
fn validate_managed_by(manager: &str, path: &FieldPath, errors: &mut FieldErrors) {
    let is_path = |text: &str| {
        let other = |byte| b"/-._~%!$&'()*+,;=:".contains(&byte);
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || other(byte))
    };
    let parts = manager.split_once('/');
    if !parts.is_some_and(|(domain, rest)| alphabets::dns_subdomain(domain).is_ok() && is_path(rest)) {
        let must =
            "must be a domain and a path, as in `example.com/runner` or `kubernetes.io/job-controller`";
        errors.invalid(path.clone(), manager, must);
    }
    if manager.len() > MANAGED_BY_MAX {
        errors.too_long(path.clone(), manager.len(), MANAGED_BY_MAX);
    }
}

/// Finds what can be, and may not be meant.
pub(crate) fn warn(spec: &JobSpec, path: &FieldPath, warnings: &mut Vec<Warning>) {
    let (completions, parallelism) = (spec.completions.unwrap_or(0), spec.parallelism.unwrap_or(1));
    if is_indexed(spec) && completions > INDEXED_MAX && parallelism > COUNTED_EACH_MAX {
        let text = format!(
            "{parallelism} at once is much for more than {INDEXED_MAX} completions; \
             up to {COUNTED_EACH_MAX} is better"
        );
        warnings.push(Warning { path: path.field("parallelism"), text });
    }
    if let Some(template) = &spec.template {
        pod_template::warn(template, &path.field("template"), warnings);
    }
}

/// Whether each completion has an index.
pub(super) fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some(INDEXED)
}
