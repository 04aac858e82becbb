//! What a Pod template must be, and what it is where it says nothing: Kubernetes' defaults and rules.
//!
//! Rules hold whether or not Wick can do what a field asks for: what it cannot is told beside them
//! ([`support`](crate::support)).

mod containers;
mod env;
mod probes;
mod volumes;
mod warnings;

use crate::container::ALLOW_NET;
use crate::field_error::{FieldErrors, FieldPath};
use crate::image_ref::ImageRef;
use crate::job::Grants;
use crate::metadata;
use crate::names;
use crate::pb::k8s::core::v1::{Container, PodSpec, PodTemplateSpec};
use crate::quantity::Quantity;

pub(crate) use env::check_variable_name;
pub(crate) use warnings::warn;

/// Kubernetes' default for `terminationGracePeriodSeconds`.
const GRACE_SECONDS: i64 = 30;

/// Fills in what is not given. Only what means something here: a default that would be ignored is not written down.
pub(crate) fn default(template: &mut PodTemplateSpec) {
    let Some(spec) = &mut template.spec else { return };
    // What came from a stored template has them all.
    spec.update(|spec| {
        spec.termination_grace_period_seconds.get_or_insert(GRACE_SECONDS);
        for container in spec.init_containers.iter_mut().chain(&mut spec.containers) {
            default_container(container);
        }
        spec.volumes.iter_mut().for_each(volumes::default);
    });
}

fn default_container(container: &mut Container) {
    if container.image_pull_policy.is_empty() {
        let latest = ImageRef::parse(&container.image)
            .is_ok_and(|image| image.digest().is_none() && image.full_name().ends_with(":latest"));
        container.image_pull_policy = if latest { "Always" } else { "IfNotPresent" }.to_owned();
    }
    let probes =
        [&mut container.liveness_probe, &mut container.readiness_probe, &mut container.startup_probe];
    probes.into_iter().flatten().for_each(|probe| probes::default(probe));
    if let Some(lifecycle) = &mut container.lifecycle {
        probes::default_lifecycle(lifecycle);
    }
}

pub(crate) fn validate(
    template: &PodTemplateSpec,
    path: &FieldPath,
    grants: &Grants,
    errors: &mut FieldErrors,
) {
    if let Some(meta) = &template.metadata {
        let path = path.field("metadata");
        metadata::validate_labels(&meta.labels, &path.field("labels"), errors);
        metadata::validate_annotations(&meta.annotations, &path.field("annotations"), errors);
        metadata::validate_finalizers(&meta.finalizers, &path.field("finalizers"), errors);
        if let Some(grants) = meta.annotations.get(ALLOW_NET) {
            validate_allow_net(grants, &path.field("annotations").key(ALLOW_NET), errors);
        }
    }
    let path = path.field("spec");
    let empty = PodSpec::default();
    let spec = template.spec.as_deref().unwrap_or(&empty);
    volumes::validate(spec, &path.field("volumes"), grants, errors);
    containers::validate(spec, &path, errors);
    match spec.restart_policy.as_str() {
        "Never" | "OnFailure" => {}
        "" => errors.required(path.field("restartPolicy"), "needed; a Job takes `Never` or `OnFailure`"),
        "Always" => {
            errors.required(
                path.field("restartPolicy"),
                "`Always` is not for Jobs; give `Never` or `OnFailure`",
            );
        }
        other => errors.unsupported(path.field("restartPolicy"), other, &["Never", "OnFailure"]),
    }
    if let Some(seconds) = spec.active_deadline_seconds
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        errors.invalid(path.field("activeDeadlineSeconds"), seconds, "must be from 1 to 2147483647");
    }
    for (field, name) in [("hostname", &spec.hostname), ("subdomain", &spec.subdomain)] {
        if let Err(must) = names::dns_label(name)
            && !name.is_empty()
        {
            errors.invalid(path.field(field), name, must);
        }
    }
    metadata::validate_labels(&spec.node_selector, &path.field("nodeSelector"), errors);
    const DNS_POLICIES: [&str; 4] = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
    if !spec.dns_policy.is_empty() && !DNS_POLICIES.contains(&spec.dns_policy.as_str()) {
        errors.unsupported(path.field("dnsPolicy"), &spec.dns_policy, &DNS_POLICIES);
    }
    for (index, gate) in spec.scheduling_gates.iter().enumerate() {
        if let Err(must) = names::qualified_name(&gate.name) {
            errors.invalid(path.field("schedulingGates").index(index).field("name"), &gate.name, must);
        }
    }
    if !spec.ephemeral_containers.is_empty() {
        errors.forbidden(path.field("ephemeralContainers"), "is not for templates; remove them");
    }
}

/// `host:port` pairs, separated by commas.
fn validate_allow_net(grants: &str, path: &FieldPath, errors: &mut FieldErrors) {
    for grant in grants.split(',').map(str::trim) {
        let port =
            grant.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) {
            errors.invalid(
                path.clone(),
                grant,
                "must be `host:port`, several separated by commas, as in `10.0.0.7:1883`",
            );
        }
    }
}

/// An amount that is at least 0.
fn check_quantity(text: &str, path: &FieldPath, errors: &mut FieldErrors) -> Option<Quantity> {
    match text.parse::<Quantity>() {
        Ok(quantity) if quantity.is_negative() => {
            errors.invalid(path.clone(), text, "must be at least 0");
            None
        }
        Ok(quantity) => Some(quantity),
        Err(error) => {
            errors.invalid(path.clone(), text, error);
            None
        }
    }
}

/// The paths in a volume that `subPath` and `items` name.
fn check_descending(text: &str, path: &FieldPath, errors: &mut FieldErrors) {
    if text.starts_with('/') {
        errors.invalid(path.clone(), text, "must be a relative path");
    }
    if text.split('/').any(|part| part == "..") {
        errors.invalid(path.clone(), text, "must not go up with `..`");
    }
}
