//! The rules of a Job's two policies: what the ends of Pods mean for it, and when it has succeeded early.

use crate::field_error::{Class, FieldErrors, FieldPath};
use crate::names;
use crate::pb::k8s::batch::v1::{
    JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule, SuccessPolicy,
    SuccessPolicyRule,
};

use super::check::is_indexed;
use super::indexes;

/// Kubernetes' limits: rules of a policy, exit codes and conditions of a rule, and bytes of a list of indexes.
const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const CONDITIONS_MAX: usize = 20;
const INDEXES_MAX: usize = 64 << 10;

/// Fills in what is not given.
pub(super) fn default(policy: &mut PodFailurePolicy) {
    for pattern in policy.rules.iter_mut().flat_map(|rule| &mut rule.on_pod_conditions) {
        if pattern.status.is_empty() {
            "True".clone_into(&mut pattern.status);
        }
    }
}

/// Finds all that is wrong with a podFailurePolicy, apart from what it asks of its Job.
pub(super) fn validate_pod_failure(
    policy: &PodFailurePolicy,
    spec: &JobSpec,
    path: &FieldPath,
    errors: &mut FieldErrors,
) {
    let path = path.field("rules");
    if policy.rules.len() > RULES_MAX {
        errors.too_many(path.clone(), policy.rules.len(), RULES_MAX);
    }
    for (index, rule) in policy.rules.iter().enumerate() {
        validate_failure_rule(rule, spec, &path.index(index), errors);
    }
}

fn validate_failure_rule(
    rule: &PodFailurePolicyRule,
    spec: &JobSpec,
    path: &FieldPath,
    errors: &mut FieldErrors,
) {
    const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
    match rule.action.as_str() {
        "Count" | "FailJob" | "Ignore" => {}
        "FailIndex" if spec.backoff_limit_per_index.is_some() => {}
        "FailIndex" => {
            errors.invalid(path.field("action"), "FailIndex", "needs spec.backoffLimitPerIndex to be given");
        }
        "" => errors.required(path.field("action"), "needed; give Count, FailIndex, FailJob or Ignore"),
        other => errors.unsupported(path.field("action"), other, &ACTIONS),
    }
    match (&rule.on_exit_codes, rule.on_pod_conditions.is_empty()) {
        (Some(_), false) => {
            errors.push(path, Class::Invalid, "must have onExitCodes or onPodConditions; remove one of them");
        }
        (None, true) => {
            errors.push(path, Class::Invalid, "must have onExitCodes or onPodConditions; give one of them");
        }
        (Some(_), true) | (None, false) => {}
    }
    if let Some(codes) = &rule.on_exit_codes {
        validate_exit_codes(codes, spec, &path.field("onExitCodes"), errors);
    }
    let conditions = path.field("onPodConditions");
    if rule.on_pod_conditions.len() > CONDITIONS_MAX {
        errors.too_many(conditions.clone(), rule.on_pod_conditions.len(), CONDITIONS_MAX);
    }
    for (index, pattern) in rule.on_pod_conditions.iter().enumerate() {
        let path = conditions.index(index);
        if let Err(must) = names::qualified_name(&pattern.r#type) {
            errors.invalid(path.field("type"), &pattern.r#type, must);
        }
        match pattern.status.as_str() {
            "True" | "False" | "Unknown" => {}
            "" => errors.required(path.field("status"), "needed; give `True`, `False` or `Unknown`"),
            other => errors.unsupported(path.field("status"), other, &["False", "True", "Unknown"]),
        }
    }
}

fn validate_exit_codes(
    codes: &PodFailurePolicyOnExitCodesRequirement,
    spec: &JobSpec,
    path: &FieldPath,
    errors: &mut FieldErrors,
) {
    if let Some(name) = &codes.container_name {
        let pod = spec.template.as_ref().and_then(|template| template.spec.as_ref());
        let containers = pod.into_iter().flat_map(|pod| pod.init_containers.iter().chain(&pod.containers));
        if !containers.into_iter().any(|container| container.name == *name) {
            errors.invalid(path.field("containerName"), name, "must be a container of the template");
        }
    }
    match codes.operator.as_str() {
        "In" | "NotIn" => {}
        "" => errors.required(path.field("operator"), "needed; give In or NotIn"),
        other => errors.unsupported(path.field("operator"), other, &["In", "NotIn"]),
    }
    let path = path.field("values");
    if codes.values.is_empty() {
        errors.push(&path, Class::Invalid, "must have at least one exit code");
    }
    if codes.values.len() > EXIT_CODES_MAX {
        errors.too_many(path.clone(), codes.values.len(), EXIT_CODES_MAX);
    }
    if !codes.values.is_sorted() {
        errors.push(&path, Class::Invalid, "must be in ascending order");
    }
    let mut known = std::collections::BTreeSet::new();
    for (index, code) in codes.values.iter().enumerate() {
        if *code == 0 && codes.operator == "In" {
            errors.invalid(path.index(index), *code, "is success, which no rule is about; remove it");
        }
        if !known.insert(*code) {
            errors.duplicate(path.index(index), *code);
        }
    }
}

/// Finds all that is wrong with a successPolicy.
pub(super) fn validate_success(
    policy: &SuccessPolicy,
    spec: &JobSpec,
    path: &FieldPath,
    errors: &mut FieldErrors,
) {
    if !is_indexed(spec) {
        errors.push(path, Class::Invalid, "is for `completionMode: Indexed` only");
    }
    let path = path.field("rules");
    if policy.rules.is_empty() {
        errors.required(path.clone(), "needed; give at least one rule");
    }
    if policy.rules.len() > RULES_MAX {
        errors.too_many(path.clone(), policy.rules.len(), RULES_MAX);
    }
    for (index, rule) in policy.rules.iter().enumerate() {
        validate_success_rule(rule, spec, &path.index(index), errors);
    }
}

fn validate_success_rule(
    rule: &SuccessPolicyRule,
    spec: &JobSpec,
    path: &FieldPath,
    errors: &mut FieldErrors,
) {
    if rule.succeeded_indexes.is_none() && rule.succeeded_count.is_none() {
        errors.required(path.clone(), "needed; give succeededIndexes or succeededCount, or both");
    }
    let mut listed = None;
    if let Some(list) = &rule.succeeded_indexes {
        let path = path.field("succeededIndexes");
        if list.len() > INDEXES_MAX {
            errors.too_long(path, list.len(), INDEXES_MAX);
        } else {
            match indexes::intervals(list, spec.completions.unwrap_or(i32::MAX)) {
                Ok(intervals) => listed = Some(indexes::count(&intervals)),
                Err(must) => errors.invalid(path, list, must),
            }
        }
    }
    let Some(count) = rule.succeeded_count else { return };
    let path = path.field("succeededCount");
    if count < 0 {
        errors.invalid(path.clone(), count, "is too few; the least is 0");
    }
    if let Some(completions) = spec.completions.filter(|completions| count > *completions) {
        errors.invalid(path.clone(), count, format!("is more than the completions, {completions}"));
    }
    if let Some(listed) = listed.filter(|listed| count > *listed) {
        errors.invalid(path, count, format!("is more than the {listed} indexes of succeededIndexes"));
    }
}
