//! What patches make of objects that are stored, of either kind.

use super::cron_jobs::stored as stored_cron_job;
use super::{lines, stored};
use crate::json;
use crate::kind::Object;
use crate::patch::{Patch, PatchKind};
use crate::pb::k8s::batch::v1::CronJob;
use expect_test::{Expect, expect};

/// What the object has at `pointers` then, and against what it is written; or what is wrong.
fn check<M: Object>(read: &M, kind: PatchKind, patch: &str, pointers: &[&str], expected: Expect) {
    let text = match Patch::parse(kind, patch).and_then(|patch| patch.revise(read)) {
        Ok(revised) => {
            let object = json::to_json(&revised.object);
            let at =
                |pointer: &&str| format!("{pointer}: {}\n", object.pointer(pointer).unwrap_or(&"".into()));
            format!("against {:?}\n{}", revised.against, pointers.iter().map(at).collect::<String>())
        }
        Err(errors) => lines(&errors),
    };
    expected.assert_eq(&text);
}

const TWO: &str = "
spec:
  jobTemplate:
    metadata: {labels: {a: b}}
    spec:
      template:
        spec:
          containers:
          - {name: main, image: hello, env: [{name: A, value: '1'}, {name: B, value: '2'}]}
          - {name: other, image: hello}
          volumes: [{name: data, emptyDir: {}}]
";
const POD: &str = "/spec/jobTemplate/spec/template/spec";

#[test]
fn lists_in_a_cron_jobs_template_are_merged_by_name() {
    let cron_job = stored_cron_job(&[TWO]);
    check(
        &cron_job,
        PatchKind::Strategic,
        "spec: {suspend: true, jobTemplate: {metadata: {labels: {c: d}}, spec: {backoffLimit: 2, template: {spec: {
           containers: [{name: main, image: hello:2, env: [{name: B, value: two}, {name: C, value: three}]}],
           volumes: [{name: data, $patch: delete}, {name: more}]}}}}}",
        &[
            "/spec/suspend",
            "/spec/schedule",
            "/spec/jobTemplate/metadata/labels",
            "/spec/jobTemplate/spec/backoffLimit",
            &format!("{POD}/containers/0/image"),
            &format!("{POD}/containers/0/env"),
            &format!("{POD}/containers/1/name"),
            &format!("{POD}/volumes"),
        ],
        expect![[r#"
            against Read
            /spec/suspend: true
            /spec/schedule: "0 3 * * *"
            /spec/jobTemplate/metadata/labels: {"a":"b","c":"d"}
            /spec/jobTemplate/spec/backoffLimit: 2
            /spec/jobTemplate/spec/template/spec/containers/0/image: "hello:2"
            /spec/jobTemplate/spec/template/spec/containers/0/env: [{"name":"A","value":"1"},{"name":"B","value":"two"},{"name":"C","value":"three"}]
            /spec/jobTemplate/spec/template/spec/containers/1/name: "other"
            /spec/jobTemplate/spec/template/spec/volumes: [{"name":"more"}]
        "#]],
    );
    check(
        &cron_job,
        PatchKind::Merge,
        "{spec: {schedule: '@daily', jobTemplate: {spec: {template: {spec: {containers: [{name: main, image: hello:2}]}}}}}}",
        &["/spec/schedule", &format!("{POD}/containers")],
        expect![[r#"
            against Read
            /spec/schedule: "@daily"
            /spec/jobTemplate/spec/template/spec/containers: [{"name":"main","image":"hello:2"}]
        "#]],
    );
    check(
        &cron_job,
        PatchKind::Json,
        "[{op: replace, path: /spec/jobTemplate/spec/template/spec/containers/1/image, value: hello:3}]",
        &[&format!("{POD}/containers/1/image")],
        expect![[r#"
            against Read
            /spec/jobTemplate/spec/template/spec/containers/1/image: "hello:3"
        "#]],
    );
    check(
        &cron_job,
        PatchKind::Strategic,
        "spec: {shedule: x, jobTemplate: {spec: {template: {spec: {containers: [{image: hello:2}]}}}}}",
        &[],
        expect![[r#"
            patch.spec.jobTemplate.spec.template.spec.containers[0].name: Required value: needed: elements of this list are told apart by their `name`
        "#]],
    );
}

#[test]
fn a_patch_does_not_make_another_object_of_it() {
    let named = "{metadata: {name: other, namespace: else, uid: u}}";
    check(
        &stored(&[]),
        PatchKind::Merge,
        named,
        &[],
        expect![[r#"
        metadata.name: Invalid value: "other": is another Job's; this is `hello`
        metadata.namespace: Invalid value: "else": is another Job's; this is `default`
        metadata.uid: Invalid value: "u": is another Job's; this is `f0000000-0000-4000-8000-000000000001`
    "#]],
    );
    check(
        &stored_cron_job(&[]),
        PatchKind::Merge,
        named,
        &[],
        expect![[r#"
        metadata.name: Invalid value: "other": is another CronJob's; this is `nightly`
        metadata.namespace: Invalid value: "else": is another CronJob's; this is `default`
        metadata.uid: Invalid value: "u": is another CronJob's; this is `f0000000-0000-4000-8000-000000000007`
    "#]],
    );
    check(
        &stored_cron_job(&[]),
        PatchKind::Merge,
        "{metadata: {uid: null}}",
        &[],
        expect![[r#"
        against Read
    "#]],
    );
    check(
        &stored_cron_job(&[]),
        PatchKind::Merge,
        "{kind: Job}",
        &[],
        expect![[r#"
        kind: Forbidden: "Job" is not `CronJob`; a patch cannot change it
    "#]],
    );
}

#[test]
fn what_a_patch_is_written_against_is_what_it_looks_at() {
    let mut cron_job: CronJob = stored_cron_job(&[]);
    cron_job.metadata_mut().resource_version = "7".to_owned();
    let version = &["/metadata/resourceVersion"];
    check(
        &cron_job,
        PatchKind::Merge,
        "{spec: {suspend: true}}",
        version,
        expect![[r#"
        against Read
        /metadata/resourceVersion: ""
    "#]],
    );
    check(
        &cron_job,
        PatchKind::Merge,
        "{metadata: {resourceVersion: '7'}}",
        version,
        expect![[r#"
        against Version
        /metadata/resourceVersion: "7"
    "#]],
    );
    check(
        &cron_job,
        PatchKind::Merge,
        "{metadata: {resourceVersion: '6'}}",
        version,
        expect![[r#"
        against Named
        /metadata/resourceVersion: "6"
    "#]],
    );
    check(
        &cron_job,
        PatchKind::Json,
        "[{op: test, path: /metadata/resourceVersion, value: '7'}, {op: remove, path: /metadata/resourceVersion}]",
        version,
        expect![[r#"
            against Version
            /metadata/resourceVersion: "7"
        "#]],
    );
    check(
        &cron_job,
        PatchKind::Json,
        "[{op: test, path: /metadata/resourceVersion, value: '6'}]",
        version,
        expect![[r#"
            patch[0].value: Invalid value: "": `/metadata/resourceVersion` is "7", not "6"
        "#]],
    );
}
