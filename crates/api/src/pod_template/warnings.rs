//! What a template can say, and may not mean.

use std::collections::{BTreeMap, BTreeSet};

use super::env::ADDRESSES;
use crate::field_error::FieldPath;
use crate::pb::k8s::core::v1::{Container, EnvVar, KeyToPath, PodTemplateSpec, Volume};
use crate::quantity::Quantity;
use crate::support::Warning;

pub(crate) fn warn(template: &PodTemplateSpec, path: &FieldPath, warnings: &mut Vec<Warning>) {
    let mut warn = |path: FieldPath, text: &str| warnings.push(Warning { path, text: text.to_owned() });
    if let Some(meta) = &template.metadata {
        let path = path.field("metadata");
        for (field, given) in [
            ("name", !meta.name.is_empty()),
            ("generateName", !meta.generate_name.is_empty()),
            ("namespace", !meta.namespace.is_empty()),
        ] {
            if given {
                warn(path.field(field), "is not used: Pods are named after their Job, in its namespace");
            }
        }
        if !meta.owner_references.is_empty() {
            warn(path.field("ownerReferences"), "is not used: Pods belong to their Job");
        }
    }
    let Some(spec) = &template.spec else { return };
    let path = path.field("spec");
    if let Some(grace) = spec.termination_grace_period_seconds.filter(|seconds| *seconds < 0) {
        let text = format!("{grace} is taken for 1; the least is 0");
        warn(path.field("terminationGracePeriodSeconds"), &text);
    }
    for (index, volume) in spec.volumes.iter().enumerate() {
        warn_volume(volume, &path.field("volumes").index(index), &mut warn);
    }
    for (field, containers) in [("containers", &spec.containers), ("initContainers", &spec.init_containers)] {
        for (index, container) in containers.iter().enumerate() {
            warn_container(container, &path.field(field).index(index), &mut warn);
        }
    }
}

fn warn_container(container: &Container, path: &FieldPath, warn: &mut impl FnMut(FieldPath, &str)) {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, variable) in container.env.iter().enumerate() {
        let path = path.field("env").index(index);
        let before = known.insert(&variable.name, index);
        if before.is_some() && !refers_to(variable, &variable.name) {
            let text = format!("`{}` hides the variable of that name above", variable.name);
            warn(path.field("name"), &text);
        }
        let field = variable.value_from.as_ref().and_then(|source| source.field_ref.as_ref());
        if field.is_some_and(|field| ADDRESSES.contains(&field.field_path.as_str())) {
            warn(path.field("valueFrom").field("fieldRef"), "is empty: Pods have no addresses");
        }
        let resource = variable.value_from.as_ref().and_then(|source| source.resource_field_ref.as_ref());
        let known = |name: &str| name.ends_with(".cpu") || name.ends_with(".memory");
        if resource.is_some_and(|resource| !known(&resource.resource)) {
            let path = path.field("valueFrom").field("resourceFieldRef");
            warn(path, "is 0: the node has nothing of that to share out");
        }
    }
    let Some(resources) = &container.resources else { return };
    for (field, amounts) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        for (name, amount) in amounts.iter().filter(|(name, _)| is_bytes(name)) {
            warn_fraction(amount, path.field("resources").field(field).key(name), warn);
        }
    }
}

fn is_bytes(resource: &str) -> bool {
    matches!(resource, "memory" | "ephemeral-storage")
}

fn warn_fraction(amount: &str, path: FieldPath, warn: &mut impl FnMut(FieldPath, &str)) {
    let fraction = amount.parse::<Quantity>().is_ok_and(|quantity| quantity.milli_value() % 1000 != 0);
    if fraction {
        warn(path, &format!("`{amount}` is a fraction of a byte; it is rounded up"));
    }
}

/// Whether the variable's value is made from the earlier one.
fn refers_to(variable: &EnvVar, name: &str) -> bool {
    variable.value.contains(&format!("$({name})"))
}

fn warn_volume(volume: &Volume, path: &FieldPath, warn: &mut impl FnMut(FieldPath, &str)) {
    let Some(source) = &volume.volume_source else { return };
    if let Some(limit) = source.empty_dir.as_ref().and_then(|empty| empty.size_limit.as_ref()) {
        warn_fraction(limit, path.field("emptyDir").field("sizeLimit"), warn);
    }
    if let Some(map) = &source.config_map {
        warn_items(&map.items, &path.field("configMap").field("items"), warn);
    }
    if let Some(secret) = &source.secret {
        warn_items(&secret.items, &path.field("secret").field("items"), warn);
    }
}

/// Paths of which one is, or is in, the other.
fn warn_items(items: &[KeyToPath], path: &FieldPath, warn: &mut impl FnMut(FieldPath, &str)) {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let file = format!("{}/", item.path.trim_end_matches('/'));
        let above = file.match_indices('/').any(|(end, _)| known.contains(&file[..=end]));
        let below = known.range(file.clone()..).next().is_some_and(|other| other.starts_with(&file));
        if above || below {
            let text = format!("`{}` overlaps with another item's path", item.path);
            warn(path.index(index).field("path"), &text);
        }
        known.insert(file);
    }
}
