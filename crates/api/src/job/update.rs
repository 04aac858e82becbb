//! What may change of a Job that is stored, and what was fixed when it was made.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::field_error::{FieldErrors, FieldPath};
use crate::json;
use crate::pb::k8s::batch::v1::{Job, JobSpec};
use crate::pb::k8s::core::v1::{Container, PodTemplateSpec};

use super::check::is_indexed;

/// Finds what cannot become of `stored`.
pub(super) fn validate(job: &Job, stored: &Job, errors: &mut FieldErrors) {
    let (Some(new), Some(old)) = (&job.spec, &stored.spec) else { return };
    let path = FieldPath::from("spec");
    validate_completions(new, old, &path, errors);
    let fixed = [
        ("completionMode", new.completion_mode == old.completion_mode),
        ("podFailurePolicy", new.pod_failure_policy == old.pod_failure_policy),
        ("successPolicy", new.success_policy == old.success_policy),
        ("backoffLimitPerIndex", new.backoff_limit_per_index == old.backoff_limit_per_index),
        ("selector", new.selector == old.selector),
        ("managedBy", new.managed_by == old.managed_by),
    ];
    for (field, same) in fixed {
        if !same {
            errors.immutable(path.field(field));
        }
    }
    let (Some(new), Some(old)) = (&new.template, &old.template) else { return };
    if new == old {
        return;
    }
    let compared = if rests(stored) { without_directives(new, old) } else { new.clone() };
    if compared != *old {
        let mut parts = Vec::new();
        let (new, old) = (json::to_json(&compared), json::to_json(old));
        differences(&new, &old, &FieldPath::root(), &mut parts);
        errors.immutable_in(path.field("template"), &parts);
    }
}

/// The paths at which two documents differ.
fn differences(one: &Value, other: &Value, path: &FieldPath, parts: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<_> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let values = [one, other].map(|map| map.get(key).unwrap_or(&Value::Null));
                differences(values[0], values[1], &path.field(key), parts);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                differences(one, other, &path.index(index), parts);
            }
        }
        _ if one == other => {}
        _ => parts.push(path.as_str().to_owned()),
    }
}

/// An Indexed Job is elastic: it may get more or fewer indexes if it runs all of them at once.
fn validate_completions(new: &JobSpec, old: &JobSpec, path: &FieldPath, errors: &mut FieldErrors) {
    let path = path.field("completions");
    match (new.completions, old.completions) {
        (new, old) if new == old => {}
        (Some(completions), _) if is_indexed(new) && is_indexed(old) => {
            if new.parallelism != Some(completions) {
                let must = "can change only in tandem with spec.parallelism: give both the same value";
                errors.invalid(path, completions, must);
            }
        }
        _ => errors.immutable(path),
    }
}

/// Whether a Job is suspended and has no Pods that were made from its template and still run.
fn rests(job: &Job) -> bool {
    let suspended = job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true));
    let Some(status) = &job.status else { return suspended };
    let is_told = status
        .conditions
        .iter()
        .any(|condition| condition.r#type == "Suspended" && condition.status == "True");
    suspended && (status.start_time.is_none() || is_told) && status.active == 0
}

/// `new` with those parts of `old` that may change while a Job rests: where its Pods go, and what they may use.
fn without_directives(new: &PodTemplateSpec, old: &PodTemplateSpec) -> PodTemplateSpec {
    let mut same = new.clone();
    if let (Some(meta), Some(old)) = (&mut same.metadata, &old.metadata) {
        meta.labels.clone_from(&old.labels);
        meta.annotations.clone_from(&old.annotations);
    }
    if let (Some(pod), Some(old)) = (&mut same.spec, &old.spec) {
        let pod = pod.make_mut();
        pod.node_selector.clone_from(&old.node_selector);
        pod.tolerations.clone_from(&old.tolerations);
        pod.scheduling_gates.clone_from(&old.scheduling_gates);
        let (affinity, old_affinity) = (pod.affinity.take().unwrap_or_default(), old.affinity.clone());
        let node_affinity = old_affinity.as_ref().and_then(|affinity| affinity.node_affinity.clone());
        let affinity = Box::new(crate::pb::k8s::core::v1::Affinity { node_affinity, ..*affinity });
        pod.affinity =
            Some(affinity).filter(|affinity| old_affinity.is_some() || *affinity != Default::default());
        keep_resources(&mut pod.init_containers, &old.init_containers);
        keep_resources(&mut pod.containers, &old.containers);
    }
    same
}

fn keep_resources(new: &mut [Container], old: &[Container]) {
    for (new, old) in new.iter_mut().zip(old) {
        if new.name == old.name {
            new.resources.clone_from(&old.resources);
        }
    }
}
