//! Rules for the metadata of every kind.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::field_error::{Class, FieldErrors, FieldPath};
use crate::kind::Object;
use crate::names;
use crate::pb::k8s::meta::v1::{ObjectMeta, OwnerReference};
use crate::support::Warning;
use crate::time;

/// All annotations of an object together, keys and values, in bytes (Kubernetes' limit).
pub const ANNOTATIONS_MAX: usize = 256 << 10;
/// The namespace of objects that name none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// The namespace meant by what was given.
pub fn namespace(given: &str) -> &str {
    if given.is_empty() { DEFAULT_NAMESPACE } else { given }
}

/// Writes down the namespace that is meant.
pub(crate) fn place(meta: &mut ObjectMeta) {
    meta.namespace = namespace(&meta.namespace).to_owned();
}

/// Marks an object as being deleted in the foreground.
pub(crate) fn begin_deletion(meta: &mut ObjectMeta, now: Timestamp) {
    meta.deletion_timestamp = Some(time::seconds(now));
    meta.deletion_grace_period_seconds = Some(0);
    // Kubernetes' word for a deletion that waits for the children.
    meta.finalizers = vec!["foregroundDeletion".to_owned()];
}

/// Tells of a name that is none for a host: Pods are named after it.
pub(crate) fn warn_name<M: Object>(object: &M, warnings: &mut Vec<Warning>) {
    let name = object.metadata().map_or("", |meta| &meta.name);
    if !name.is_empty() && names::dns_label(name).is_err() {
        let text = format!("`{name}` is no DNS label; Pods are better named without dots");
        warnings.push(Warning { path: "metadata.name".into(), text });
    }
}

pub(crate) fn validate(meta: &ObjectMeta, errors: &mut FieldErrors) {
    let path = FieldPath::from("metadata");
    if meta.name.is_empty() && meta.generate_name.is_empty() {
        errors.required(path.field("name"), "needed; give the object a name (or a generateName)");
    } else if meta.name.is_empty() {
        // What is added to it begins with a letter or digit.
        if let Err(must) = names::dns_subdomain(meta.generate_name.trim_end_matches('-')) {
            errors.invalid(path.field("generateName"), &meta.generate_name, must);
        }
    } else if let Err(must) = names::dns_subdomain(&meta.name) {
        errors.invalid(path.field("name"), &meta.name, must);
    }
    if let Err(must) = names::dns_label(&meta.namespace) {
        errors.invalid(path.field("namespace"), &meta.namespace, must);
    }
    validate_labels(&meta.labels, &path.field("labels"), errors);
    validate_annotations(&meta.annotations, &path.field("annotations"), errors);
    validate_owners(&meta.owner_references, &path.field("ownerReferences"), errors);
    validate_finalizers(&meta.finalizers, &path.field("finalizers"), errors);
}

fn validate_owners(owners: &[OwnerReference], path: &FieldPath, errors: &mut FieldErrors) {
    let mut controllers = 0;
    for (index, owner) in owners.iter().enumerate() {
        let path = path.index(index);
        for (field, value) in [
            ("apiVersion", &owner.api_version),
            ("kind", &owner.kind),
            ("name", &owner.name),
            ("uid", &owner.uid),
        ] {
            if value.is_empty() {
                errors.invalid(path.field(field), "", "must not be empty; say which object is the owner");
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            errors.invalid(path.field("kind"), "Event", "must be of another kind: Events go by themselves");
        }
        controllers += usize::from(owner.controller == Some(true));
    }
    if controllers > 1 {
        let detail = format!("must have at most one with `controller: true`, and has {controllers}");
        errors.push(path, Class::Invalid, detail);
    }
}

pub(crate) fn validate_finalizers(finalizers: &[String], path: &FieldPath, errors: &mut FieldErrors) {
    for (index, finalizer) in finalizers.iter().enumerate() {
        let standard = matches!(finalizer.as_str(), "foregroundDeletion" | "orphan");
        if !standard && (names::qualified_name(finalizer).is_err() || !finalizer.contains('/')) {
            let must = "must be a name with a prefix, as in `example.com/cleanup`";
            errors.invalid(path.index(index), finalizer, must);
        }
    }
}

pub(crate) fn validate_labels(labels: &BTreeMap<String, String>, path: &FieldPath, errors: &mut FieldErrors) {
    for (key, value) in labels {
        if let Err(must) = names::qualified_name(key) {
            errors.invalid(path.clone(), key, must);
        }
        if let Err(must) = names::label_value(value) {
            errors.invalid(path.key(key), value, must);
        }
    }
}

pub(crate) fn validate_annotations(
    annotations: &BTreeMap<String, String>,
    path: &FieldPath,
    errors: &mut FieldErrors,
) {
    let mut bytes = 0;
    for (key, value) in annotations {
        bytes += key.len() + value.len();
        if let Err(must) = names::qualified_name(&key.to_lowercase()) {
            errors.invalid(path.clone(), key, must);
        }
    }
    if bytes > ANNOTATIONS_MAX {
        errors.too_long(path.clone(), bytes, ANNOTATIONS_MAX);
    }
}
