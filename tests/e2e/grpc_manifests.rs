//! ManifestService.Apply: a result for each document, whatever became of the others.

use api::pb::wick::v1::{ApplyOutcome, JobServiceListRequest, ManifestServiceApplyRequest};
use expect_test::{Expect, expect};
use tonic::Code;
use wick_tests::client::{Client, code_name};
use wick_tests::{Node, plain};

const PAUSED: &str = "\
apiVersion: batch/v1
kind: Job
metadata: {name: NAME, annotations: {step: STEP}}
spec:
  parallelism: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - {name: main, image: nothing}
";

fn job(name: &str, step: &str) -> String {
    PAUSED.replace("NAME", name).replace("STEP", &format!("\"{step}\""))
}

async fn check(client: &Client, manifest: &str, wanted: Expect) {
    let mut text = String::new();
    for result in client.apply(manifest).await.unwrap() {
        let outcome = result.outcome().as_str_name().trim_start_matches("APPLY_OUTCOME_").to_lowercase();
        text +=
            &format!("{} line {}: {}/{} {outcome}\n", result.index, result.line, result.kind, result.name);
        if result.outcome() == ApplyOutcome::Refused {
            text += &format!("  {}: {}\n", code_name(Code::from(result.code)), result.message);
        }
        for violation in &result.violations {
            text += &format!("  {} | {}\n", violation.field, violation.description);
        }
        for warning in &result.warnings {
            text += &format!("  warning: {warning}\n");
        }
        assert_eq!(result.object.is_some(), result.outcome() != ApplyOutcome::Refused, "{result:#?}");
    }
    wanted.assert_eq(&plain(&text, &[]));
}

async fn jobs(client: &Client) -> (Vec<String>, u64) {
    let listed = client.jobs().list(JobServiceListRequest::default()).await.unwrap().into_inner();
    (listed.jobs.into_iter().map(|job| job.metadata.unwrap().name).collect(), listed.revision)
}

#[tokio::test]
async fn each_document_is_created_left_alone_or_changed() {
    let node = Node::start();
    let client = node.client().await;
    let manifest = format!("{}---\n# Nothing in this one.\n---\n{}", job("a", "one"), job("b", "one"));
    check(
        &client,
        &manifest,
        expect![[r#"
        0 line 1: Job/a created
        1 line 14: Job/b created
    "#]],
    )
    .await;
    let (_, revision) = jobs(&client).await;
    check(
        &client,
        &manifest,
        expect![[r#"
        0 line 1: Job/a unchanged
        1 line 14: Job/b unchanged
    "#]],
    )
    .await;
    assert_eq!(jobs(&client).await.1, revision, "an unchanged Job was written again");
    check(
        &client,
        &format!("{}---\n{}", job("a", "two"), job("b", "one")),
        expect![[r#"
        0 line 1: Job/a configured
        1 line 12: Job/b unchanged
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_refused_document_does_not_stop_the_others() {
    let node = Node::start();
    let client = node.client().await;
    let manifest = [
        job("a", "one"),
        job("B", "one"),
        job("c", "one").replace("restartPolicy: Never", "restartPolicy: Sometimes"),
        job("d", "one").replace("parallelism: 0", "paralelism: 0"),
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: e}\nspec: {schedule: '* * * * *', jobTemplate: {spec: {template: {}}}}\n".to_owned(),
        "apiVersion: v1\nkind: Pod\nmetadata: {name: f}\n".to_owned(),
        "just a text\n".to_owned(),
        job("z", "one"),
    ]
    .join("---\n");
    check(&client, &manifest, expect![[r#"
        0 line 1: Job/a created
        1 line 12: Job/B refused
          INVALID_ARGUMENT: Job `B` is invalid: metadata.name: `B` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
          metadata.name | `B` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
        2 line 23: Job/c refused
          INVALID_ARGUMENT: Job `c` is invalid: spec.template.spec.restartPolicy: `Sometimes` is not one of `Never` or `OnFailure`
          spec.template.spec.restartPolicy | `Sometimes` is not one of `Never` or `OnFailure`
        3 line 34: Job/d refused
          INVALID_ARGUMENT: Job `d` is invalid: spec.paralelism: unknown field; did you mean `parallelism`?
          spec.paralelism | unknown field; did you mean `parallelism`?
        4 line 45: CronJob/e refused
          INVALID_ARGUMENT: CronJob `e` is invalid: spec.jobTemplate.spec.template.spec.containers: needed; give at least one container; spec.jobTemplate.spec.template.spec.restartPolicy: needed; a Job takes `Never` or `OnFailure`
          spec.jobTemplate.spec.template.spec.containers | needed; give at least one container
          spec.jobTemplate.spec.template.spec.restartPolicy | needed; a Job takes `Never` or `OnFailure`
        5 line 50: Pod/f refused
          INVALID_ARGUMENT: Pod `f` is invalid: kind: a `Pod` is made by Wick and cannot be applied; Wick serves `Job` and `CronJob` (batch/v1)
          kind | a `Pod` is made by Wick and cannot be applied; Wick serves `Job` and `CronJob` (batch/v1)
        6 line 54: / refused
          INVALID_ARGUMENT: the document at line 54 is invalid: expected a map with `apiVersion`, `kind` and `metadata`, got the string "just a text"
           | expected a map with `apiVersion`, `kind` and `metadata`, got the string "just a text"
        7 line 56: Job/z created
    "#]]).await;
    assert_eq!(jobs(&client).await.0, ["a", "z"]);
}

#[tokio::test]
async fn the_same_name_twice_is_one_job_changed_in_order() {
    let node = Node::start();
    let client = node.client().await;
    let manifest = format!("{}---\n{}---\n{}", job("a", "one"), job("a", "two"), job("a", "two"));
    check(
        &client,
        &manifest,
        expect![[r#"
        0 line 1: Job/a created
        1 line 12: Job/a configured
        2 line 23: Job/a unchanged
    "#]],
    )
    .await;
    assert_eq!(jobs(&client).await.0, ["a"]);
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_stores_nothing() {
    let node = Node::start();
    let client = node.client().await;
    client.apply(&job("a", "one")).await.unwrap();
    let before = jobs(&client).await;
    let request = ManifestServiceApplyRequest {
        manifest: format!("{}---\n{}---\n{}", job("a", "one"), job("a", "two"), job("b", "one")),
        dry_run: true,
        ..ManifestServiceApplyRequest::default()
    };
    let results = client.manifests().apply(request).await.unwrap().into_inner().results;
    let outcomes: Vec<ApplyOutcome> = results.iter().map(|result| result.outcome()).collect();
    assert_eq!(outcomes, [ApplyOutcome::Unchanged, ApplyOutcome::Configured, ApplyOutcome::Created]);
    assert_eq!(jobs(&client).await, before);
}

#[tokio::test]
async fn a_list_is_the_objects_in_it_and_json_is_yaml() {
    let node = Node::start();
    let client = node.client().await;
    let item = |name: &str| {
        format!(
            r#"{{"apiVersion": "batch/v1", "kind": "Job", "metadata": {{"name": "{name}"}},
                "spec": {{"parallelism": 0, "template": {{"spec": {{"restartPolicy": "Never",
                "containers": [{{"name": "main", "image": "nothing"}}]}}}}}}}}"#
        )
    };
    let list = format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{}, {}]}}"#, item("a"), item("b"));
    check(
        &client,
        &list,
        expect![[r#"
        0 line 1: Job/a created
        1 line 1: Job/b created
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_manifest_goes_into_the_namespace_that_is_asked_for() {
    let node = Node::start();
    let client = node.client().await;
    let own = job("own", "one").replace("{name: own,", "{name: own, namespace: mine,");
    let request = ManifestServiceApplyRequest {
        manifest: format!("{own}---\n{}", job("given", "one")),
        namespace: "theirs".to_owned(),
        dry_run: false,
    };
    client.manifests().apply(request).await.unwrap();
    let listed = client.jobs().list(JobServiceListRequest::default()).await.unwrap().into_inner().jobs;
    let meta = listed.into_iter().map(|job| job.metadata.unwrap());
    let names: Vec<String> = meta.map(|meta| format!("{}/{}", meta.namespace, meta.name)).collect();
    assert_eq!(names, ["mine/own", "theirs/given"]);
}

#[tokio::test]
async fn a_text_that_is_no_yaml_is_refused_whole_with_its_place() {
    let node = Node::start();
    let client = node.client().await;
    let before = jobs(&client).await;
    let refused = client.apply(&format!("{}---\nkind: [Job\n", job("a", "one"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    expect![[r#"
        INVALID_ARGUMENT: manifest: line 12, column 7: unclosed bracket '['
          manifest | line 12, column 7: unclosed bracket '['
    "#]]
    .assert_eq(&crate::grpc_jobs::refusal(&refused));
    let large = format!("# {}\n{}", "x".repeat(4 << 20), job("a", "one"));
    let refused = client.apply(&large).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    assert_eq!(jobs(&client).await, before);
}
