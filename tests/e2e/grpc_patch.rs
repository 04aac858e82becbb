//! JobService.Patch, asked by a generated client.

use api::pb::k8s::batch::v1::Job;
use api::pb::wick::v1::{JobServiceGetRequest, JobServicePatchRequest, JobServicePatchResponse, PatchType};
use expect_test::{Expect, expect};
use tonic::{Code, Status};
use wick_tests::client::Client;
use wick_tests::{Node, manifest};

use crate::grpc_jobs::refusal;

/// A Job that makes no Pods, so that it stays as it is.
async fn paused(client: &Client) -> Job {
    let mut job = manifest::job("hello", "nothing");
    job["spec"]["parallelism"] = 0.into();
    job["metadata"]["labels"] = serde_json::json!({"tier": "edge"});
    client.create(manifest::message(&job)).await.unwrap()
}

async fn patch(client: &Client, kind: PatchType, patch: &str) -> Result<JobServicePatchResponse, Status> {
    let request = JobServicePatchRequest {
        name: "hello".to_owned(),
        r#type: kind.into(),
        patch: patch.to_owned(),
        ..JobServicePatchRequest::default()
    };
    client.jobs().patch(request).await.map(tonic::Response::into_inner)
}

async fn stored(client: &Client) -> Job {
    let request = JobServiceGetRequest { name: "hello".to_owned(), ..JobServiceGetRequest::default() };
    client.jobs().get(request).await.unwrap().into_inner().job.unwrap()
}

fn version(job: &Job) -> String {
    job.metadata.as_ref().unwrap().resource_version.clone()
}

#[tokio::test]
async fn each_way_of_patching_changes_what_it_says_and_no_more() {
    let node = Node::start();
    let client = node.client().await;
    let before = paused(&client).await;
    for (kind, text) in [
        (PatchType::Merge, r#"{"metadata":{"labels":{"tier":"core","a":"b"}},"status":{"succeeded":9}}"#),
        (PatchType::Unspecified, "metadata: {annotations: {note: x}, uid: null}"),
        (
            PatchType::Json,
            r#"[{"op":"test","path":"/metadata/labels/a","value":"b"},{"op":"remove","path":"/metadata/labels/a"}]"#,
        ),
    ] {
        let earlier = stored(&client).await;
        let patched = patch(&client, kind, text).await.unwrap();
        assert!(patched.changed);
        let job = patched.job.unwrap();
        assert_eq!(job, stored(&client).await, "a patch answers the Job as stored");
        assert_ne!(version(&job), version(&earlier));
    }
    let after = stored(&client).await;
    let (meta, old) = (after.metadata.clone().unwrap(), before.metadata.clone().unwrap());
    assert_eq!(meta.labels.into_iter().collect::<Vec<_>>(), [("tier".to_owned(), "core".to_owned())]);
    assert_eq!(meta.annotations["note"], "x");
    assert_eq!((meta.uid, meta.generation), (old.uid, 1), "the spec is what it was");
    assert_eq!(after.spec, before.spec);
    assert_eq!(after.status, before.status);

    let again = patch(&client, PatchType::Strategic, "metadata: {annotations: {note: x}}").await.unwrap();
    assert!(!again.changed);
    assert_eq!(again.job.unwrap(), after, "the same once more is no change");
}

#[tokio::test]
async fn a_dry_patch_stores_nothing() {
    let node = Node::start();
    let client = node.client().await;
    let before = paused(&client).await;
    let request = JobServicePatchRequest {
        name: "hello".to_owned(),
        patch: "spec: {backoffLimit: 9}".to_owned(),
        dry_run: true,
        ..JobServicePatchRequest::default()
    };
    let dry = client.jobs().patch(request).await.unwrap().into_inner();
    assert!(dry.changed);
    assert_eq!(dry.job.unwrap().spec.unwrap().backoff_limit, Some(9));
    assert_eq!(version(&stored(&client).await), version(&before));
}

#[tokio::test]
async fn a_patch_that_cannot_be_is_refused_with_every_path() {
    let node = Node::start();
    let client = node.client().await;
    let before = paused(&client).await;
    let fails = async |kind, text: &str, wanted: Expect| {
        wanted.assert_eq(&refusal(&patch(&client, kind, text).await.unwrap_err()));
    };
    fails(PatchType::Merge, "{spec: {paralelism: 1, backoffLimit: x}}", expect![[r#"
        INVALID_ARGUMENT: the patch is invalid: spec.backoffLimit: expected a whole number, got the string "x"; spec.paralelism: unknown field; did you mean `parallelism`?
          spec.backoffLimit | expected a whole number, got the string "x"
          spec.paralelism | unknown field; did you mean `parallelism`?
    "#]]).await;
    fails(PatchType::Merge, "{spec: {parallelism: -1, backoffLimit: -1}}", expect![[r#"
        INVALID_ARGUMENT: Job `hello` is invalid: spec.parallelism: -1 is too few; the least is 0; spec.backoffLimit: -1 is too few; the least is 0
          spec.parallelism | -1 is too few; the least is 0
          spec.backoffLimit | -1 is too few; the least is 0
    "#]]).await;
    fails(
        PatchType::Merge,
        "{metadata: {name: other}, spec: {parallelism: 1}}",
        expect![[r#"
        INVALID_ARGUMENT: the patch is invalid: metadata.name: `other` is another Job's; this is `hello`
          metadata.name | `other` is another Job's; this is `hello`
    "#]],
    )
    .await;
    fails(PatchType::Json, "[{op: replace, path: /spec/nothing, value: 1}]", expect![[r#"
        INVALID_ARGUMENT: the patch is invalid: patch[0].path: `/spec/nothing` is not there: `/spec` has parallelism, backoffLimit, selector, manualSelector, template, completionMode, suspend, podReplacementPolicy; `add` makes it
          patch[0].path | `/spec/nothing` is not there: `/spec` has parallelism, backoffLimit, selector, manualSelector, template, completionMode, suspend, podReplacementPolicy; `add` makes it
    "#]]).await;
    fails(
        PatchType::Strategic,
        "spec: {template: {spec: {containers: [{name: main, image: other}]}}}",
        expect![[r#"
            INVALID_ARGUMENT: the change is invalid: spec.template: `spec.containers[0].image` cannot change once the object exists; delete it and create it anew
              spec.template | `spec.containers[0].image` cannot change once the object exists; delete it and create it anew
        "#]],
    )
    .await;
    fails(
        PatchType::Strategic,
        "{",
        expect![[r#"
        INVALID_ARGUMENT: the patch is invalid: patch: line 1, column 1: unclosed bracket '{'
          patch | line 1, column 1: unclosed bracket '{'
    "#]],
    )
    .await;
    let other = patch(&client, PatchType::Merge, "{metadata: {uid: other}}").await.unwrap_err();
    assert_eq!(other.code(), Code::InvalidArgument, "{other}");
    assert_eq!(stored(&client).await, before);
}

#[tokio::test]
async fn a_patch_may_be_for_one_version_only() {
    let node = Node::start();
    let client = node.client().await;
    let before = paused(&client).await;
    let at =
        |version: &str| format!("{{metadata: {{resourceVersion: '{version}'}}, spec: {{backoffLimit: 7}}}}");
    let stale = patch(&client, PatchType::Merge, &at("1")).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted, "{stale}");
    let tested =
        "[{op: test, path: /metadata/resourceVersion, value: '1'}, {op: remove, path: /spec/backoffLimit}]";
    let stale = patch(&client, PatchType::Json, tested).await.unwrap_err();
    assert_eq!(stale.code(), Code::InvalidArgument, "{stale}");
    let patched = patch(&client, PatchType::Merge, &at(&version(&before))).await.unwrap();
    assert_eq!(patched.job.unwrap().spec.unwrap().backoff_limit, Some(7));
}

#[tokio::test]
async fn many_patches_at_once_are_all_done() {
    let node = Node::start();
    let client = node.client().await;
    paused(&client).await;
    let patches: Vec<_> = (0..8)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move {
                let text = format!("metadata: {{annotations: {{n{n}: x}}}}");
                // Others were quicker too often: said, and not lost.
                loop {
                    match patch(&client, PatchType::Strategic, &text).await {
                        Ok(_) => return,
                        Err(status) => assert_eq!(status.code(), Code::Aborted, "{status}"),
                    }
                }
            })
        })
        .collect();
    for patch in patches {
        patch.await.unwrap();
    }
    assert_eq!(stored(&client).await.metadata.unwrap().annotations.len(), 8);
}

#[tokio::test]
async fn a_patch_of_nothing_is_not_found() {
    let node = Node::start();
    let client = node.client().await;
    let missing = patch(&client, PatchType::Merge, "{}").await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
}
