//! Variables of a container, and where their values come from.

use std::collections::BTreeSet;

use crate::environment::subscript;
use crate::field_error::{Class, FieldErrors, FieldPath};
use crate::names;
use crate::pb::k8s::core::v1::{
    Container, EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector, PodSpec, ResourceFieldSelector,
};
use crate::quantity::Quantity;

/// The fields of a Pod that a variable can have the value of. The addresses are empty: Pods have none.
pub(super) const FIELDS: [&str; 5] =
    ["metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName"];
pub(super) const ADDRESSES: [&str; 4] = ["status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"];
const KEYED: [&str; 2] = ["metadata.labels['KEY']", "metadata.annotations['KEY']"];

pub(super) fn validate(container: &Container, spec: &PodSpec, path: &FieldPath, errors: &mut FieldErrors) {
    for (index, source) in container.env_from.iter().enumerate() {
        validate_env_from(source, &path.field("envFrom").index(index), errors);
    }
    for (index, variable) in container.env.iter().enumerate() {
        validate_variable(variable, spec, &path.field("env").index(index), errors);
    }
}

fn is_variable(name: &str) -> bool {
    name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
}

/// The name of a variable.
pub(crate) fn check_variable_name(name: &str, path: &FieldPath, errors: &mut FieldErrors) {
    if name.is_empty() {
        errors.required(path, "needed; give the variable a name");
    } else if !is_variable(name) {
        errors.invalid(path, name, "must be printable ASCII without `=`");
    }
}

fn validate_variable(variable: &EnvVar, spec: &PodSpec, path: &FieldPath, errors: &mut FieldErrors) {
    check_variable_name(&variable.name, &path.field("name"), errors);
    let Some(source) = &variable.value_from else { return };
    let path = path.field("valueFrom");
    if !variable.value.is_empty() {
        let detail = "is not for a variable with a value; remove one of them";
        errors.push(&path, Class::Invalid, detail);
    }
    validate_source(source, spec, &path, errors);
}

fn validate_source(source: &EnvVarSource, spec: &PodSpec, path: &FieldPath, errors: &mut FieldErrors) {
    let mut sources = 0;
    if let Some(field) = &source.field_ref {
        sources += 1;
        validate_field(field, &path.field("fieldRef"), errors);
    }
    if let Some(resource) = &source.resource_field_ref {
        sources += 1;
        validate_resource(resource, spec, &path.field("resourceFieldRef"), errors);
    }
    if let Some(reference) = &source.config_map_key_ref {
        sources += 1;
        check_key(&reference.key, &path.field("configMapKeyRef").field("key"), errors);
    }
    if let Some(reference) = &source.secret_key_ref {
        sources += 1;
        check_key(&reference.key, &path.field("secretKeyRef").field("key"), errors);
    }
    if let Some(reference) = &source.file_key_ref {
        sources += 1;
        let path = path.field("fileKeyRef");
        for (field, value) in
            [("volumeName", &reference.volume_name), ("path", &reference.path), ("key", &reference.key)]
        {
            if value.is_empty() {
                errors.required(path.field(field), "needed; say where the value is");
            }
        }
    }
    match sources {
        0 => errors.push(path, Class::Invalid, "must have one source, such as fieldRef"),
        1 => {}
        _ => errors.push(path, Class::Invalid, "must have one source only; remove the others"),
    }
}

/// Keys of ConfigMaps and Secrets.
pub(super) fn check_key(key: &str, path: &FieldPath, errors: &mut FieldErrors) {
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if key.is_empty() {
        errors.required(path.clone(), "needed; name a key");
    } else if key.len() > names::SUBDOMAIN_MAX
        || !key.bytes().all(is_key)
        || key == "."
        || key.starts_with("..")
    {
        errors.invalid(path.clone(), key, "must be up to 253 letters, digits, `-`, `_` and `.`");
    }
}

fn validate_field(field: &ObjectFieldSelector, path: &FieldPath, errors: &mut FieldErrors) {
    let plain: Vec<_> = FIELDS.into_iter().chain(ADDRESSES).collect();
    check_field(field, &plain, path, errors);
}

/// In a volume there is room for all labels at once.
pub(super) fn validate_volume_field(field: &ObjectFieldSelector, path: &FieldPath, errors: &mut FieldErrors) {
    const PLAIN: [&str; 5] =
        ["metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations"];
    check_field(field, &PLAIN, path, errors);
}

fn check_field(field: &ObjectFieldSelector, plain: &[&str], path: &FieldPath, errors: &mut FieldErrors) {
    if !matches!(field.api_version.as_str(), "" | "v1") {
        errors.unsupported(path.field("apiVersion"), &field.api_version, &["v1"]);
    }
    let path = path.field("fieldPath");
    let text = field.field_path.as_str();
    if text.is_empty() {
        return errors.required(path, "needed; name a field of the Pod, such as metadata.name");
    }
    match subscript(text) {
        _ if plain.contains(&text) => {}
        Some(("metadata.labels", key)) => check_subscript(key, key, &path, errors),
        Some(("metadata.annotations", key)) => check_subscript(key, &key.to_lowercase(), &path, errors),
        _ => {
            let all: Vec<_> = plain.iter().copied().chain(KEYED).collect();
            errors.unsupported(path, text, &all);
        }
    }
}

fn check_subscript(key: &str, looked_at: &str, path: &FieldPath, errors: &mut FieldErrors) {
    if let Err(must) = names::qualified_name(looked_at) {
        errors.invalid(path.clone(), key, must);
    }
}

fn validate_resource(
    resource: &ResourceFieldSelector,
    spec: &PodSpec,
    path: &FieldPath,
    errors: &mut FieldErrors,
) {
    let named = &resource.container_name;
    let mut containers = spec.init_containers.iter().chain(&spec.containers);
    if !named.is_empty() && !containers.any(|container| container.name == *named) {
        errors.not_found(path.field("containerName"), named, "name a container of the template");
    }
    check_resource(resource, path, errors);
}

/// The part of a resourceFieldRef that is the same in variables and in volumes.
pub(super) fn check_resource(resource: &ResourceFieldSelector, path: &FieldPath, errors: &mut FieldErrors) {
    const KNOWN: [&str; 6] = [
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
    ];
    let name = resource.resource.as_str();
    let huge = ["limits.hugepages-", "requests.hugepages-"].iter().any(|prefix| name.starts_with(prefix));
    if name.is_empty() {
        errors.required(path.field("resource"), "needed; name a resource, such as limits.memory");
    } else if !KNOWN.contains(&name) && !huge {
        errors.unsupported(path.field("resource"), name, &KNOWN);
    }
    let Some(divisor) = resource.divisor.as_ref().filter(|divisor| !divisor.is_empty()) else { return };
    let path = path.field("divisor");
    let right = match divisor.parse::<Quantity>() {
        // As stored by Kubernetes where none was given.
        Ok(quantity) if quantity.is_zero() => true,
        Ok(quantity) if name.ends_with(".cpu") => matches!(quantity.milli_value(), 1 | 1000),
        Ok(quantity) => {
            let scales: BTreeSet<i64> =
                (0..=6).flat_map(|step| [1000_i64.pow(step), 1024_i64.pow(step)]).collect();
            quantity.milli_value() >= 1000 && scales.contains(&quantity.value())
        }
        Err(error) => return errors.invalid(path, divisor, error),
    };
    if !right && name.ends_with(".cpu") {
        errors.invalid(path, divisor, "must be 1 or 1m for cpu");
    } else if !right {
        let must = "must be 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi or 1Ei";
        errors.invalid(path, divisor, must);
    }
}

fn validate_env_from(source: &EnvFromSource, path: &FieldPath, errors: &mut FieldErrors) {
    if !is_variable(&source.prefix) {
        errors.invalid(path.field("prefix"), &source.prefix, "must be printable ASCII without `=`");
    }
    let map = source.config_map_ref.as_ref().map(|map| ("configMapRef", &map.local_object_reference));
    let secret = source.secret_ref.as_ref().map(|secret| ("secretRef", &secret.local_object_reference));
    for (field, reference) in [map, secret].into_iter().flatten() {
        let path = path.field(field).field("name");
        match reference.as_ref().map_or("", |reference| &reference.name) {
            "" => errors.required(path, "needed; say where the variables are"),
            name => {
                if let Err(must) = names::dns_subdomain(name) {
                    errors.invalid(path, name, must);
                }
            }
        }
    }
    match (source.config_map_ref.is_some(), source.secret_ref.is_some()) {
        (false, false) => errors.push(path, Class::Invalid, "must have configMapRef or secretRef"),
        (true, true) => {
            errors.push(path, Class::Invalid, "must have one of configMapRef and secretRef; remove one")
        }
        _ => {}
    }
}
