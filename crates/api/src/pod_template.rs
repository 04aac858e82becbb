//! What a Pod template must be, and what it is where it says nothing.

use std::collections::BTreeSet;
use std::path::Path;

use crate::container::{ALLOW_NET, FUEL};
use crate::environment::subscript;
use crate::field_error::{FieldErrors, FieldPath};
use crate::image_ref::ImageRef;
use crate::job::Grants;
use crate::metadata;
use crate::names;
use crate::pb::k8s::core::v1::{
    Container, EnvVar, PodSpec, PodTemplateSpec, ResourceRequirements, Volume, VolumeMount,
};
use crate::quantity::Quantity;

/// Containers of a Pod at most: each needs a place among the guests, and all of a Pod run together.
const CONTAINERS_MAX: usize = 32;
/// Kubernetes' default for `terminationGracePeriodSeconds`.
const GRACE_SECONDS: i64 = 30;

/// Fills in what is not given. Only what means something here: a default that would be ignored is not written down.
pub(crate) fn default(template: &mut PodTemplateSpec) {
    let Some(spec) = &mut template.spec else { return };
    spec.termination_grace_period_seconds.get_or_insert(GRACE_SECONDS);
    for container in &mut spec.containers {
        if container.image_pull_policy.is_empty() {
            let image = container.image.trim();
            let latest = ImageRef::parse(image)
                .is_ok_and(|image| image.digest().is_none() && image.full_name().ends_with(":latest"));
            container.image_pull_policy = if latest { "Always" } else { "IfNotPresent" }.to_owned();
        }
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
        if let Some(grants) = meta.annotations.get(ALLOW_NET) {
            validate_allow_net(grants, &path.field("annotations").key(ALLOW_NET), errors);
        }
    }
    let path = path.field("spec");
    let empty = PodSpec::default();
    let spec = template.spec.as_ref().unwrap_or(&empty);
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
    validate_volumes(&spec.volumes, &path.field("volumes"), grants, errors);
    validate_containers(spec, &path.field("containers"), errors);
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

fn validate_volumes(volumes: &[Volume], path: &FieldPath, grants: &Grants, errors: &mut FieldErrors) {
    let mut names = BTreeSet::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = path.index(index);
        check_name(&volume.name, &path.field("name"), &mut names, errors);
        let Some(source) = &volume.volume_source else { continue };
        if source.empty_dir.is_some() && source.host_path.is_some() {
            errors.forbidden(path.clone(), "a volume has one source; remove the others");
        }
        if let Some(limit) = source.empty_dir.as_ref().and_then(|empty| empty.size_limit.as_ref()) {
            check_quantity(limit, &path.field("emptyDir").field("sizeLimit"), errors);
        }
        if let Some(host) = &source.host_path {
            let path = path.field("hostPath");
            let kind = host.r#type.as_deref().unwrap_or_default();
            if !matches!(kind, "" | "Directory" | "DirectoryOrCreate") {
                errors.unsupported(path.field("type"), kind, &["Directory", "DirectoryOrCreate"]);
            }
            check_host_path(&host.path, &path.field("path"), grants, errors);
        }
    }
}

/// Deny by default: a directory of the device is for guests only if the operator said so.
fn check_host_path(text: &str, path: &FieldPath, grants: &Grants, errors: &mut FieldErrors) {
    if !text.starts_with('/') {
        errors.invalid(path.clone(), text, "must be an absolute path");
    } else if text.split('/').any(|part| part == "..") {
        errors.invalid(path.clone(), text, "must not go up with `..`");
    } else if !grants.host_paths.iter().any(|granted| Path::new(text).starts_with(granted)) {
        let granted: Vec<_> = grants.host_paths.iter().map(|path| path.display().to_string()).collect();
        let granted = if granted.is_empty() { "no directory".to_owned() } else { granted.join(", ") };
        errors.forbidden(
            path.clone(),
            format!("`{text}` is not granted to guests; granted is {granted} (wickd --allow-host-path DIR)"),
        );
    }
}

fn validate_containers(spec: &PodSpec, path: &FieldPath, errors: &mut FieldErrors) {
    if spec.containers.is_empty() {
        errors.required(path.clone(), "needed; give at least one container");
    }
    if spec.containers.len() > CONTAINERS_MAX {
        errors.too_many(path.clone(), spec.containers.len(), CONTAINERS_MAX);
    }
    let mut names = BTreeSet::new();
    for (index, container) in spec.containers.iter().enumerate() {
        let path = path.index(index);
        check_name(&container.name, &path.field("name"), &mut names, errors);
        if container.image.trim().is_empty() {
            errors.required(
                path.field("image"),
                "needed; name an image (wick image ls), or give a path to `wick apply`",
            );
        } else if let Err(must) = ImageRef::parse(&container.image) {
            errors.invalid(path.field("image"), &container.image, must);
        }
        validate_env(&container.env, &path.field("env"), errors);
        if let Some(resources) = &container.resources {
            validate_resources(resources, &path.field("resources"), errors);
        }
        validate_mounts(container, &spec.volumes, &path.field("volumeMounts"), errors);
    }
}

fn check_name<'a>(name: &'a str, path: &FieldPath, known: &mut BTreeSet<&'a str>, errors: &mut FieldErrors) {
    if name.is_empty() {
        errors.required(path.clone(), "needed; give it a name");
    } else if let Err(must) = names::dns_label(name) {
        errors.invalid(path.clone(), name, must);
    } else if !known.insert(name) {
        errors.duplicate(path.clone(), name);
    }
}

fn validate_env(env: &[EnvVar], path: &FieldPath, errors: &mut FieldErrors) {
    for (index, variable) in env.iter().enumerate() {
        let path = path.index(index);
        if variable.name.is_empty() {
            errors.required(path.field("name"), "needed; give the variable a name");
        } else if !variable.name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=') {
            errors.invalid(path.field("name"), &variable.name, "must be printable ASCII without `=`");
        }
        let Some(source) = &variable.value_from else { continue };
        let path = path.field("valueFrom");
        if !variable.value.is_empty() {
            errors.forbidden(path.clone(), "a variable has a value or a source; remove one");
        }
        let Some(field) = &source.field_ref else {
            // Other sources are refused by name; none at all is this.
            if source.resource_field_ref.is_none()
                && source.config_map_key_ref.is_none()
                && source.secret_key_ref.is_none()
            {
                errors.required(path, "needed: exactly one source, such as fieldRef");
            }
            continue;
        };
        let path = path.field("fieldRef").field("fieldPath");
        let known = [
            "metadata.name",
            "metadata.namespace",
            "metadata.uid",
            "spec.nodeName",
            "spec.serviceAccountName",
        ];
        let text = field.field_path.as_str();
        let keyed = subscript(text).is_some_and(|(field, key)| {
            matches!(field, "metadata.labels" | "metadata.annotations")
                && names::qualified_name(&key.to_lowercase()).is_ok()
        });
        if text.is_empty() {
            errors.required(path, "needed; name a field of the Pod, such as metadata.name");
        } else if !known.contains(&text) && !keyed {
            let mut all = known.to_vec();
            all.extend(["metadata.labels['KEY']", "metadata.annotations['KEY']"]);
            errors.unsupported(path, text, &all);
        }
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
            let limit = resources.limits.get(name).and_then(|limit| limit.parse::<Quantity>().ok());
            if field == "requests" && limit.is_some_and(|limit| quantity.milli_value() > limit.milli_value())
            {
                errors.invalid(path.key(name), amount, "must be at most the limit");
            }
        }
    }
}

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

fn validate_mounts(container: &Container, volumes: &[Volume], path: &FieldPath, errors: &mut FieldErrors) {
    let mut paths: BTreeSet<&str> = BTreeSet::new();
    for (index, mount) in container.volume_mounts.iter().enumerate() {
        let VolumeMount { name, mount_path, .. } = mount;
        let path = path.index(index);
        if !volumes.iter().any(|volume| volume.name == *name) {
            let known: Vec<_> = volumes.iter().map(|volume| volume.name.as_str()).collect();
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
            errors.duplicate(path.field("mountPath"), mount_path);
        }
    }
}
