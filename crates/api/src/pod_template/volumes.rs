//! Volumes and where what is in them comes from.

use std::collections::BTreeSet;
use std::path::Path;

use super::containers::check_name;
use super::{check_descending, check_quantity, env};
use crate::field_error::{Class, FieldErrors, FieldPath};
use crate::job::Grants;
use crate::pb::k8s::core::v1::{
    DownwardApiVolumeFile, EmptyDirVolumeSource, HostPathVolumeSource, KeyToPath, LocalObjectReference,
    PodSpec, ProjectedVolumeSource, Volume, VolumeSource,
};

/// The mode of files that are made from other objects: 0644.
const FILE_MODE: i32 = 0o644;
const MODE_MAX: i32 = 0o777;

/// Fills in what is not given.
pub(super) fn default(volume: &mut Volume) {
    let source = volume.volume_source.get_or_insert_default();
    if *source == VolumeSource::default() {
        source.empty_dir = Some(EmptyDirVolumeSource::default());
    }
    let modes = [
        source.config_map.as_mut().map(|source| &mut source.default_mode),
        source.secret.as_mut().map(|source| &mut source.default_mode),
        source.downward_api.as_mut().map(|source| &mut source.default_mode),
        source.projected.as_mut().map(|source| &mut source.default_mode),
    ];
    for mode in modes.into_iter().flatten() {
        mode.get_or_insert(FILE_MODE);
    }
}

pub(super) fn validate(spec: &PodSpec, path: &FieldPath, grants: &Grants, errors: &mut FieldErrors) {
    let mut names = BTreeSet::new();
    for (index, volume) in spec.volumes.iter().enumerate() {
        let path = path.index(index);
        check_name(&volume.name, &path.field("name"), &mut names, errors);
        if let Some(source) = &volume.volume_source {
            one_source(source, &path, errors);
            validate_source(source, &path, grants, errors);
        }
    }
}

/// Every source after the first one is told.
fn one_source(source: &VolumeSource, path: &FieldPath, errors: &mut FieldErrors) {
    let sources = [
        ("emptyDir", source.empty_dir.is_some()),
        ("hostPath", source.host_path.is_some()),
        ("secret", source.secret.is_some()),
        ("nfs", source.nfs.is_some()),
        ("persistentVolumeClaim", source.persistent_volume_claim.is_some()),
        ("downwardAPI", source.downward_api.is_some()),
        ("configMap", source.config_map.is_some()),
        ("projected", source.projected.is_some()),
        ("csi", source.csi.is_some()),
        ("image", source.image.is_some()),
    ];
    for (field, _) in sources.into_iter().filter(|(_, given)| *given).skip(1) {
        errors.forbidden(path.field(field), "a volume has one source; remove the others");
    }
}

fn validate_source(source: &VolumeSource, path: &FieldPath, grants: &Grants, errors: &mut FieldErrors) {
    if let Some(empty) = &source.empty_dir {
        let path = path.field("emptyDir");
        if let Some(limit) = &empty.size_limit {
            check_quantity(limit, &path.field("sizeLimit"), errors);
        }
        if !matches!(empty.medium.as_str(), "" | "Memory" | "HugePages")
            && !empty.medium.starts_with("HugePages-")
        {
            errors.unsupported(path.field("medium"), &empty.medium, &["", "HugePages", "Memory"]);
        }
    }
    if let Some(host) = &source.host_path {
        validate_host_path(host, &path.field("hostPath"), grants, errors);
    }
    if let Some(secret) = &source.secret {
        let path = path.field("secret");
        needed(&secret.secret_name, &path.field("secretName"), errors);
        check_mode(secret.default_mode, &path.field("defaultMode"), errors);
        validate_items(&secret.items, &path.field("items"), errors);
    }
    if let Some(map) = &source.config_map {
        let path = path.field("configMap");
        check_reference(map.local_object_reference.as_ref(), &path, errors);
        check_mode(map.default_mode, &path.field("defaultMode"), errors);
        validate_items(&map.items, &path.field("items"), errors);
    }
    if let Some(claim) = &source.persistent_volume_claim {
        needed(&claim.claim_name, &path.field("persistentVolumeClaim").field("claimName"), errors);
    }
    if let Some(nfs) = &source.nfs {
        let path = path.field("nfs");
        needed(&nfs.server, &path.field("server"), errors);
        needed(&nfs.path, &path.field("path"), errors);
    }
    if let Some(csi) = &source.csi {
        needed(&csi.driver, &path.field("csi").field("driver"), errors);
    }
    if let Some(downward) = &source.downward_api {
        let path = path.field("downwardAPI");
        check_mode(downward.default_mode, &path.field("defaultMode"), errors);
        validate_files(&downward.items, &path.field("items"), errors);
    }
    if let Some(projected) = &source.projected {
        validate_projected(projected, &path.field("projected"), errors);
    }
}

fn validate_projected(projected: &ProjectedVolumeSource, path: &FieldPath, errors: &mut FieldErrors) {
    check_mode(projected.default_mode, &path.field("defaultMode"), errors);
    for (index, source) in projected.sources.iter().enumerate() {
        let path = path.field("sources").index(index);
        let mut count = 0;
        if let Some(secret) = &source.secret {
            count += 1;
            let path = path.field("secret");
            check_reference(secret.local_object_reference.as_ref(), &path, errors);
            validate_items(&secret.items, &path.field("items"), errors);
        }
        if let Some(map) = &source.config_map {
            count += 1;
            let path = path.field("configMap");
            check_reference(map.local_object_reference.as_ref(), &path, errors);
            validate_items(&map.items, &path.field("items"), errors);
        }
        if let Some(downward) = &source.downward_api {
            count += 1;
            validate_files(&downward.items, &path.field("downwardAPI").field("items"), errors);
        }
        if let Some(token) = &source.service_account_token {
            count += 1;
            needed(&token.path, &path.field("serviceAccountToken").field("path"), errors);
        }
        if count != 1 {
            errors.push(&path, Class::Forbidden, "a projection has one source; give one");
        }
    }
}

fn check_reference(reference: Option<&LocalObjectReference>, path: &FieldPath, errors: &mut FieldErrors) {
    needed(reference.map_or("", |reference| &reference.name), &path.field("name"), errors);
}

fn needed(text: &str, path: &FieldPath, errors: &mut FieldErrors) {
    if text.is_empty() {
        errors.required(path.clone(), "needed; say what is to be mounted");
    }
}

fn check_mode(mode: Option<i32>, path: &FieldPath, errors: &mut FieldErrors) {
    if let Some(mode) = mode.filter(|mode| !(0..=MODE_MAX).contains(mode)) {
        errors.invalid(path.clone(), mode, "must be from 0 to 0777 (octal)");
    }
}

fn check_file(file: &str, path: &FieldPath, errors: &mut FieldErrors) {
    if file.is_empty() {
        errors.required(path.clone(), "needed; say what the file is called");
    } else {
        check_descending(file, path, errors);
    }
}

fn validate_items(items: &[KeyToPath], path: &FieldPath, errors: &mut FieldErrors) {
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        env::check_key(&item.key, &path.field("key"), errors);
        check_file(&item.path, &path.field("path"), errors);
        check_mode(item.mode, &path.field("mode"), errors);
    }
}

fn validate_files(files: &[DownwardApiVolumeFile], path: &FieldPath, errors: &mut FieldErrors) {
    for (index, file) in files.iter().enumerate() {
        let path = path.index(index);
        check_file(&file.path, &path.field("path"), errors);
        check_mode(file.mode, &path.field("mode"), errors);
        if let Some(field) = &file.field_ref {
            env::validate_volume_field(field, &path.field("fieldRef"), errors);
        }
        if let Some(resource) = &file.resource_field_ref {
            let path = path.field("resourceFieldRef");
            if resource.container_name.is_empty() {
                errors.required(path.field("containerName"), "needed; say whose resources are meant");
            }
            env::check_resource(resource, &path, errors);
        }
        if file.field_ref.is_some() == file.resource_field_ref.is_some() {
            errors.required(&path, "needed: one of fieldRef and resourceFieldRef");
        }
    }
}

fn validate_host_path(
    host: &HostPathVolumeSource,
    path: &FieldPath,
    grants: &Grants,
    errors: &mut FieldErrors,
) {
    let kind = host.r#type.as_deref().unwrap_or_default();
    if !matches!(kind, "" | "Directory" | "DirectoryOrCreate") {
        // Kubernetes knows files, sockets and devices too; a guest is given directories.
        errors.unsupported(path.field("type"), kind, &["Directory", "DirectoryOrCreate"]);
    }
    check_host_path(&host.path, &path.field("path"), grants, errors);
}

/// Deny by default: a directory of the device is for guests only if the operator said so.
fn check_host_path(text: &str, path: &FieldPath, grants: &Grants, errors: &mut FieldErrors) {
    if text.is_empty() {
        errors.required(path.clone(), "needed; name a directory of the device");
    } else if !text.starts_with('/') {
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
