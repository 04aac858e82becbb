//! Containers: their names and images, when they start again, what they may use, and where they see volumes.

use std::collections::BTreeSet;

use super::{check_descending, check_quantity, env, probes};
use crate::container::FUEL;
use crate::field_error::{FieldErrors, FieldPath};
use crate::image_ref::ImageRef;
use crate::names;
use crate::pb::k8s::core::v1::{
    Container, ContainerPort, ContainerRestartRule, PodSpec, ResourceRequirements, VolumeMount,
};
use crate::quantity::Quantity;

/// Containers of a Pod at most, and as many that run before them: each needs a place among the guests.
const CONTAINERS_MAX: usize = 32;
/// Kubernetes' limits on the rules of a container, and on the exit codes of one.
const RESTART_RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
/// The longest name of a port, in bytes.
const PORT_NAME_MAX: usize = 15;

const RESTART_POLICIES: [&str; 3] = ["Always", "Never", "OnFailure"];

pub(super) fn validate(spec: &PodSpec, path: &FieldPath, errors: &mut FieldErrors) {
    if spec.containers.is_empty() {
        errors.required(path.field("containers"), "needed; give at least one container");
    }
    let mut names = BTreeSet::new();
    let lists = [("containers", &spec.containers), ("initContainers", &spec.init_containers)];
    for (field, containers) in lists {
        let path = path.field(field);
        if containers.len() > CONTAINERS_MAX {
            errors.too_many(path.clone(), containers.len(), CONTAINERS_MAX);
        }
        for (index, container) in containers.iter().enumerate() {
            let path = path.index(index);
            check_name(&container.name, &path.field("name"), &mut names, errors);
            validate_container(container, spec, &path, errors);
            if field == "initContainers" && container.restart_policy.as_deref() != Some("Always") {
                probes::forbid(container, &path, errors);
            }
        }
    }
}

fn validate_container(container: &Container, spec: &PodSpec, path: &FieldPath, errors: &mut FieldErrors) {
    if container.image.trim().is_empty() {
        let detail = "needed; name an image (wick image ls), or give a path to `wick apply`";
        errors.required(path.field("image"), detail);
    } else if let Err(must) = ImageRef::parse(&container.image) {
        errors.invalid(path.field("image"), &container.image, must);
    }
    validate_ports(&container.ports, &path.field("ports"), errors);
    env::validate(container, spec, path, errors);
    if let Some(resources) = &container.resources {
        validate_resources(resources, &path.field("resources"), errors);
    }
    validate_restarts(container, path, errors);
    validate_mounts(container, spec, &path.field("volumeMounts"), errors);
    probes::validate(container, spec, path, errors);
    const MESSAGE_POLICIES: [&str; 2] = ["File", "FallbackToLogsOnError"];
    const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
    for (field, value, values) in [
        ("terminationMessagePolicy", &container.termination_message_policy, &MESSAGE_POLICIES[..]),
        ("imagePullPolicy", &container.image_pull_policy, &PULL_POLICIES[..]),
    ] {
        if !value.is_empty() && !values.contains(&value.as_str()) {
            errors.unsupported(path.field(field), value, values);
        }
    }
}

pub(super) fn check_name<'a>(
    name: &'a str,
    path: &FieldPath,
    known: &mut BTreeSet<&'a str>,
    errors: &mut FieldErrors,
) {
    if name.is_empty() {
        errors.required(path.clone(), "needed; give it a name");
    } else if let Err(must) = names::dns_label(name) {
        errors.invalid(path.clone(), name, must);
    } else if !known.insert(name) {
        errors.duplicate(path.clone(), name);
    }
}

fn validate_ports(ports: &[ContainerPort], path: &FieldPath, errors: &mut FieldErrors) {
    const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        if !port.name.is_empty() {
            if let Err(must) = check_port_name(&port.name) {
                errors.invalid(path.field("name"), &port.name, must);
            } else if !names.insert(&port.name) {
                errors.duplicate(path.field("name"), &port.name);
            }
        }
        if port.container_port == 0 {
            errors.required(path.field("containerPort"), "needed; give a port");
        }
        for (field, number) in [("containerPort", port.container_port), ("hostPort", port.host_port)] {
            if !(0..=i32::from(u16::MAX)).contains(&number) {
                errors.invalid(path.field(field), number, "must be from 1 to 65535");
            }
        }
        if !port.protocol.is_empty() && !PROTOCOLS.contains(&port.protocol.as_str()) {
            errors.unsupported(path.field("protocol"), &port.protocol, &PROTOCOLS);
        }
    }
}

/// Names of ports are those of services: RFC 6335.
pub(super) fn check_port_name(name: &str) -> Result<(), &'static str> {
    let right = names::dns_label(name).is_ok()
        && name.len() <= PORT_NAME_MAX
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
        && !name.contains("--");
    if right {
        Ok(())
    } else {
        Err(
            "must be up to 15 lower-case letters, digits and `-`, with a letter, and without `--` or `-` at an end",
        )
    }
}

fn validate_resources(resources: &ResourceRequirements, path: &FieldPath, errors: &mut FieldErrors) {
    const KNOWN: [&str; 3] = ["cpu", "memory", FUEL];
    for (field, amounts) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        let path = path.field(field);
        for (name, amount) in amounts {
            if !KNOWN.contains(&name.as_str()) {
                errors.unsupported(path.key(name), name, &KNOWN);
            }
            let Some(quantity) = check_quantity(amount, &path.key(name), errors) else { continue };
            if name == FUEL && field == "requests" {
                errors
                    .forbidden(path.key(name), "fuel is a limit and is not shared out; give it under limits");
            }
            if name == FUEL && quantity.is_zero() {
                errors.invalid(path.key(name), amount, "must be greater than 0: with no fuel nothing runs");
            }
            if field != "requests" || name == FUEL {
                continue;
            }
            let limit = resources.limits.get(name).and_then(|limit| limit.parse::<Quantity>().ok());
            if let Some(limit) = limit.filter(|limit| quantity.milli_value() > limit.milli_value()) {
                errors.invalid(path.clone(), amount, format!("must be at most the {name} limit, {limit}"));
            }
        }
    }
}

/// Whether this container starts again, whatever the Pod says.
fn validate_restarts(container: &Container, path: &FieldPath, errors: &mut FieldErrors) {
    if let Some(policy) = &container.restart_policy
        && !RESTART_POLICIES.contains(&policy.as_str())
    {
        errors.unsupported(path.field("restartPolicy"), policy, &RESTART_POLICIES);
    }
    let rules = &container.restart_policy_rules;
    if !rules.is_empty() && container.restart_policy.is_none() {
        errors.required(path.field("restartPolicy"), "needed with restartPolicyRules");
    }
    let path = path.field("restartPolicyRules");
    if rules.len() > RESTART_RULES_MAX {
        errors.too_many(path.clone(), rules.len(), RESTART_RULES_MAX);
    }
    for (index, rule) in rules.iter().enumerate() {
        validate_restart_rule(rule, &path.index(index), errors);
    }
}

fn validate_restart_rule(rule: &ContainerRestartRule, path: &FieldPath, errors: &mut FieldErrors) {
    match rule.action.as_str() {
        "Restart" | "RestartAllContainers" => {}
        "" => errors.required(path.field("action"), "needed; give Restart or RestartAllContainers"),
        other => errors.unsupported(path.field("action"), other, &["Restart", "RestartAllContainers"]),
    }
    let path = path.field("exitCodes");
    let Some(codes) = &rule.exit_codes else {
        return errors.required(path, "needed; say which exit codes the rule is for");
    };
    match codes.operator.as_str() {
        "In" | "NotIn" => {}
        "" => errors.required(path.field("operator"), "needed; give In or NotIn"),
        other => errors.unsupported(path.field("operator"), other, &["In", "NotIn"]),
    }
    if codes.values.len() > EXIT_CODES_MAX {
        errors.too_many(path.field("values"), codes.values.len(), EXIT_CODES_MAX);
    }
}

fn validate_mounts(container: &Container, spec: &PodSpec, path: &FieldPath, errors: &mut FieldErrors) {
    const PROPAGATIONS: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];
    let mut paths: BTreeSet<&str> = BTreeSet::new();
    for (index, mount) in container.volume_mounts.iter().enumerate() {
        let VolumeMount { name, mount_path, sub_path, sub_path_expr, .. } = mount;
        let path = path.index(index);
        if name.is_empty() {
            errors.required(path.field("name"), "needed; name one of the Pod's volumes");
        } else if !spec.volumes.iter().any(|volume| volume.name == *name) {
            let known: Vec<_> = spec.volumes.iter().map(|volume| volume.name.as_str()).collect();
            let known = if known.is_empty() {
                "the Pod has no volumes".into()
            } else {
                format!("there is {}", known.join(", "))
            };
            errors.not_found(path.field("name"), name, known);
        }
        if mount_path.is_empty() {
            errors.required(path.field("mountPath"), "needed; say where the guest sees it");
        } else if !mount_path.starts_with('/') {
            errors.invalid(path.field("mountPath"), mount_path, "must be an absolute path");
        } else if !paths.insert(mount_path.trim_end_matches('/')) {
            errors.invalid(path.field("mountPath"), mount_path, "is taken already; each must be unique");
        }
        check_descending(sub_path, &path.field("subPath"), errors);
        check_descending(sub_path_expr, &path.field("subPathExpr"), errors);
        if !sub_path.is_empty() && !sub_path_expr.is_empty() {
            errors.invalid(
                path.field("subPathExpr"),
                sub_path_expr,
                "is not for a mount with subPath; remove one",
            );
        }
        if let Some(propagation) = &mount.mount_propagation
            && !PROPAGATIONS.contains(&propagation.as_str())
        {
            errors.unsupported(path.field("mountPropagation"), propagation, &PROPAGATIONS);
        }
    }
}
