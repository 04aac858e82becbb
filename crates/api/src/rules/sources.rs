//! What volumes and their mounts must be.

use super::pod;
use expect_test::{Expect, expect};

fn volume(source: &str, expected: Expect) {
    pod(&format!("volumes: [{{name: v, {source}}}]"), expected);
}

fn mounts(mounts: &str, expected: Expect) {
    let container = format!("{{name: main, image: hello, volumeMounts: [{mounts}]}}");
    pod(&format!("{{volumes: [{{name: v, emptyDir: {{}}}}], containers: [{container}]}}"), expected);
}

#[test]
fn a_volume_has_a_name_and_one_source() {
    pod(
        "volumes: [{}, {name: A}, {name: v}, {name: v}]",
        expect![[r#"
        spec.template.spec.volumes[0].name: Required value: needed; give it a name
        spec.template.spec.volumes[1].name: Invalid value: "A": must be up to 63 lower-case letters, digits and `-`, with a letter or digit at both ends
        spec.template.spec.volumes[3].name: Duplicate value: "v"
    "#]],
    );
    volume(
        "emptyDir: {}, configMap: {name: a}, hostPath: {path: /data}",
        expect![[r#"
        spec.template.spec.volumes[0].configMap: Forbidden: a volume has one source; remove the others
        spec.template.spec.volumes[0].hostPath: Forbidden: a volume has one source; remove the others
    "#]],
    );
}

#[test]
fn an_empty_dir_has_a_size_and_a_medium() {
    volume(
        "emptyDir: {sizeLimit: -1, medium: Tape}",
        expect![[r#"
            spec.template.spec.volumes[0].emptyDir.sizeLimit: Invalid value: "-1": must be at least 0
            spec.template.spec.volumes[0].emptyDir.medium: Unsupported value: "Tape": supported values: "", "HugePages", "Memory"
        "#]],
    );
}

#[test]
fn a_host_path_is_an_absolute_one() {
    volume(
        "hostPath: {}",
        expect![[r#"
        spec.template.spec.volumes[0].hostPath.path: Required value: needed; name a directory of the device
    "#]],
    );
    volume(
        "hostPath: {path: data}",
        expect![[r#"
        spec.template.spec.volumes[0].hostPath.path: Invalid value: "data": must be an absolute path
    "#]],
    );
    volume(
        "hostPath: {path: /data/../etc}",
        expect![[r#"
        spec.template.spec.volumes[0].hostPath.path: Invalid value: "/data/../etc": must not go up with `..`
    "#]],
    );
    volume(
        "hostPath: {path: /data, type: Tape}",
        expect![[r#"
        spec.template.spec.volumes[0].hostPath.type: Unsupported value: "Tape": supported values: "Directory", "DirectoryOrCreate"
    "#]],
    );
    volume(
        "hostPath: {path: /etc}",
        expect![[r#"
        spec.template.spec.volumes[0].hostPath.path: Forbidden: `/etc` is not granted to guests; granted is /data (wickd --allow-host-path DIR)
    "#]],
    );
}

#[test]
fn other_sources_name_what_is_mounted() {
    let refused = |source: &str, expected: Expect| volume(source, expected);
    refused(
        "configMap: {defaultMode: 512, items: [{}, {key: a, path: /a, mode: -1}, {key: a, path: a/../b}]}",
        expect![[r#"
            spec.template.spec.volumes[0].configMap.name: Required value: needed; say what is to be mounted
            spec.template.spec.volumes[0].configMap.defaultMode: Invalid value: 512: must be from 0 to 0777 (octal)
            spec.template.spec.volumes[0].configMap.items[0].key: Required value: needed; name a key
            spec.template.spec.volumes[0].configMap.items[0].path: Required value: needed; say what the file is called
            spec.template.spec.volumes[0].configMap.items[1].path: Invalid value: "/a": must be a relative path
            spec.template.spec.volumes[0].configMap.items[1].mode: Invalid value: -1: must be from 0 to 0777 (octal)
            spec.template.spec.volumes[0].configMap.items[2].path: Invalid value: "a/../b": must not go up with `..`
        "#]],
    );
    refused(
        "secret: {defaultMode: -1, items: [{key: 'a b', path: a}]}",
        expect![[r#"
        spec.template.spec.volumes[0].secret.secretName: Required value: needed; say what is to be mounted
        spec.template.spec.volumes[0].secret.defaultMode: Invalid value: -1: must be from 0 to 0777 (octal)
        spec.template.spec.volumes[0].secret.items[0].key: Invalid value: "a b": must be up to 253 letters, digits, `-`, `_` and `.`
    "#]],
    );
    refused(
        "persistentVolumeClaim: {}",
        expect![[r#"
        spec.template.spec.volumes[0].persistentVolumeClaim.claimName: Required value: needed; say what is to be mounted
    "#]],
    );
    refused(
        "nfs: {}",
        expect![[r#"
            spec.template.spec.volumes[0].nfs.server: Required value: needed; say what is to be mounted
            spec.template.spec.volumes[0].nfs.path: Required value: needed; say what is to be mounted
            spec.template.spec.volumes[0].nfs: Forbidden: Wick mounts no network file systems; use emptyDir
        "#]],
    );
    refused(
        "csi: {}",
        expect![[r#"
            spec.template.spec.volumes[0].csi.driver: Required value: needed; say what is to be mounted
            spec.template.spec.volumes[0].csi: Forbidden: Wick has no storage drivers; use emptyDir
        "#]],
    );
    refused(
        "downwardAPI: {items: [{}, {path: a, fieldRef: {fieldPath: spec.nodeName}},
                               {path: b, fieldRef: {fieldPath: metadata.labels}},
                               {path: c, resourceFieldRef: {resource: limits.cpu}}]}",
        expect![[r#"
            spec.template.spec.volumes[0].downwardAPI.items[0].path: Required value: needed; say what the file is called
            spec.template.spec.volumes[0].downwardAPI.items[0]: Required value: needed: one of fieldRef and resourceFieldRef
            spec.template.spec.volumes[0].downwardAPI.items[1].fieldRef.fieldPath: Unsupported value: "spec.nodeName": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations", "metadata.labels['KEY']", "metadata.annotations['KEY']"
            spec.template.spec.volumes[0].downwardAPI.items[3].resourceFieldRef.containerName: Required value: needed; say whose resources are meant
        "#]],
    );
    refused(
        "projected: {sources: [{}, {secret: {}}, {configMap: {name: a}, secret: {name: b}}, {serviceAccountToken: {}}]}",
        expect![[r#"
            spec.template.spec.volumes[0].projected.sources[0]: Forbidden: a projection has one source; give one
            spec.template.spec.volumes[0].projected.sources[1].secret.name: Required value: needed; say what is to be mounted
            spec.template.spec.volumes[0].projected.sources[2]: Forbidden: a projection has one source; give one
            spec.template.spec.volumes[0].projected.sources[3].serviceAccountToken.path: Required value: needed; say what is to be mounted
        "#]],
    );
}

#[test]
fn a_mount_names_a_volume_and_a_path() {
    mounts(
        "{}, {name: none, mountPath: /a}, {name: v, mountPath: b}",
        expect![[r#"
        spec.template.spec.containers[0].volumeMounts[0].name: Required value: needed; name one of the Pod's volumes
        spec.template.spec.containers[0].volumeMounts[0].mountPath: Required value: needed; say where the guest sees it
        spec.template.spec.containers[0].volumeMounts[1].name: Not found: "none": there is v
        spec.template.spec.containers[0].volumeMounts[2].mountPath: Invalid value: "b": must be an absolute path
    "#]],
    );
    mounts(
        "{name: v, mountPath: /a}, {name: v, mountPath: /a/}",
        expect![[r#"
        spec.template.spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a/": is taken already; each must be unique
    "#]],
    );
    mounts(
        "{name: v, mountPath: /a, subPath: /b}, {name: v, mountPath: /b, subPath: ../c}",
        expect![[r#"
        spec.template.spec.containers[0].volumeMounts[0].subPath: Invalid value: "/b": must be a relative path
        spec.template.spec.containers[0].volumeMounts[1].subPath: Invalid value: "../c": must not go up with `..`
    "#]],
    );
    mounts(
        "{name: v, mountPath: /a, subPath: b, subPathExpr: c/../d}",
        expect![[r#"
        spec.template.spec.containers[0].volumeMounts[0].subPathExpr: Invalid value: "c/../d": must not go up with `..`
        spec.template.spec.containers[0].volumeMounts[0].subPathExpr: Invalid value: "c/../d": is not for a mount with subPath; remove one
    "#]],
    );
    mounts(
        "{name: v, mountPath: /a, mountPropagation: Sometimes}",
        expect![[r#"
            spec.template.spec.containers[0].volumeMounts[0].mountPropagation: Unsupported value: "Sometimes": supported values: "Bidirectional", "HostToContainer", "None"
        "#]],
    );
}
