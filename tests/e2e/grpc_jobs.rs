//! JobService, asked by a generated client.

use api::pb::k8s::batch::v1::Job;
use api::pb::wick::v1::{
    DeletionPropagation, JobServiceCreateRequest, JobServiceDeleteRequest, JobServiceGetRequest,
    JobServiceListRequest, JobServiceUpdateRequest, ObjectFilter,
};
use expect_test::{Expect, expect};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use wick_tests::client::{Client, code_name};
use wick_tests::{Node, manifest};

/// A Job that makes no Pods, so that it stays as it is.
fn paused(name: &str) -> Job {
    let mut job = manifest::job(name, "nothing");
    job["spec"]["parallelism"] = 0.into();
    manifest::message(&job)
}

fn get(name: &str) -> JobServiceGetRequest {
    JobServiceGetRequest { name: name.to_owned(), ..JobServiceGetRequest::default() }
}

fn version(job: &Job) -> &str {
    &job.metadata.as_ref().unwrap().resource_version
}

fn uid(job: &Job) -> &str {
    &job.metadata.as_ref().unwrap().uid
}

/// A refusal as its client sees it: the code, the message, and every field's path.
pub(crate) fn refusal(status: &Status) -> String {
    let mut text = format!("{}: {}\n", code_name(status.code()), status.message());
    for violation in status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default() {
        text += &format!("  {} | {}\n", violation.field, violation.description);
    }
    text
}

fn check_refused<T: std::fmt::Debug>(answer: Result<T, Status>, wanted: Expect) {
    wanted.assert_eq(&refusal(&answer.unwrap_err()));
}

async fn over_both(node: &Node) -> [Client; 2] {
    [node.client().await, Client::over_tcp(node.address()).await]
}

#[tokio::test]
async fn a_job_is_created_read_listed_updated_and_deleted_over_either_socket() {
    let node = Node::start_with(&["--listen", "127.0.0.1:0"]);
    for (number, client) in over_both(&node).await.into_iter().enumerate() {
        let name = format!("job-{number}");
        let created = client.create(paused(&name)).await.unwrap();
        let meta = created.metadata.clone().unwrap();
        assert_eq!((meta.namespace.as_str(), meta.generation), ("default", 1));
        assert_eq!(meta.uid.len(), 36, "{}", meta.uid);
        assert!(meta.creation_timestamp.is_some());
        let spec = created.spec.clone().unwrap();
        assert_eq!((spec.completions, spec.completion_mode.as_deref()), (None, Some("NonIndexed")));

        let read = client.jobs().get(get(&name)).await.unwrap().into_inner().job.unwrap();
        assert_eq!(uid(&read), uid(&created));
        let listed = client.jobs().list(JobServiceListRequest::default()).await.unwrap().into_inner();
        assert!(listed.jobs.contains(&read), "{:#?}", listed.jobs);
        assert!(listed.revision >= version(&read).parse().unwrap());

        let mut changed = read.clone();
        changed.spec.as_mut().unwrap().make_mut().parallelism = Some(7);
        changed.spec.as_mut().unwrap().make_mut().completions = None;
        let request = JobServiceUpdateRequest { job: Some(changed), dry_run: true };
        let dry = client.jobs().update(request.clone()).await.unwrap().into_inner().job.unwrap();
        assert_eq!(dry.spec.unwrap().parallelism, Some(7));
        let unchanged = client.jobs().get(get(&name)).await.unwrap().into_inner().job.unwrap();
        assert_eq!(unchanged, read, "a dry run changed something");

        // Nothing is started: its image is not there.
        let request = JobServiceUpdateRequest { dry_run: false, ..request };
        client.jobs().update(request).await.unwrap();
        let updated = client.jobs().get(get(&name)).await.unwrap().into_inner().job.unwrap();
        assert_eq!(updated.spec.as_ref().unwrap().parallelism, Some(7));
        assert_eq!(updated.metadata.as_ref().unwrap().generation, 2);
        assert_ne!(version(&updated), version(&read));

        let request = JobServiceDeleteRequest { name: name.clone(), ..JobServiceDeleteRequest::default() };
        let deleted = client.jobs().delete(request).await.unwrap().into_inner().job.unwrap();
        assert_eq!(uid(&deleted), uid(&created));
        assert_eq!(client.jobs().get(get(&name)).await.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test]
async fn an_update_changes_what_may_change_and_names_what_may_not() {
    let node = Node::start();
    let client = node.client().await;
    let stored = client.create(paused("hello")).await.unwrap();

    let mut template = stored.clone();
    let spec = template.spec.as_mut().unwrap().make_mut();
    spec.completions = Some(3);
    spec.template.as_mut().unwrap().spec.as_mut().unwrap().make_mut().containers[0].image =
        "other".to_owned();
    check_refused(
        client.jobs().update(JobServiceUpdateRequest { job: Some(template), dry_run: false }).await,
        expect![[r#"
            INVALID_ARGUMENT: the change is invalid: spec.completions: cannot change once the object exists; delete it and create it anew; spec.template: `spec.containers[0].image` cannot change once the object exists; delete it and create it anew
              spec.completions | cannot change once the object exists; delete it and create it anew
              spec.template | `spec.containers[0].image` cannot change once the object exists; delete it and create it anew
        "#]],
    );

    let mut stale = stored.clone();
    stale.metadata.as_mut().unwrap().resource_version = "7".to_owned();
    let answer = client.jobs().update(JobServiceUpdateRequest { job: Some(stale), dry_run: false }).await;
    let refused = answer.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused:?}");

    let mut labelled = stored.clone();
    labelled.metadata.as_mut().unwrap().labels.insert("tier".to_owned(), "edge".to_owned());
    let request = JobServiceUpdateRequest { job: Some(labelled), dry_run: false };
    let answered = client.jobs().update(request).await.unwrap().into_inner().job.unwrap();
    let updated = client.jobs().get(get("hello")).await.unwrap().into_inner().job.unwrap();
    assert_eq!(updated.metadata.as_ref().unwrap().labels["tier"], "edge");
    assert_eq!(answered, updated, "an update answers the Job as stored");
    let filter = ObjectFilter { label_selector: "tier=edge".to_owned(), ..ObjectFilter::default() };
    let list = JobServiceListRequest { filter: Some(filter), ..JobServiceListRequest::default() };
    assert_eq!(client.jobs().list(list).await.unwrap().into_inner().jobs, [updated]);

    check_refused(
        client.jobs().update(JobServiceUpdateRequest { job: Some(paused("nobody")), dry_run: false }).await,
        expect![[r#"
            NOT_FOUND: jobs.batch `nobody` not found
        "#]],
    );
}

#[tokio::test]
async fn what_is_created_is_answered_as_it_is_stored() {
    let node = Node::start();
    let client = node.client().await;
    let created = client.create(paused("hello")).await.unwrap();
    let stored = client.jobs().get(get("hello")).await.unwrap().into_inner().job.unwrap();
    assert_eq!(created, stored);
    check_refused(
        client.create(paused("hello")).await,
        expect![[r#"
        ALREADY_EXISTS: jobs.batch `hello` already exists
    "#]],
    );
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let node = Node::start();
    let client = node.client().await;
    let before = client.jobs().list(JobServiceListRequest::default()).await.unwrap().into_inner();
    let request = JobServiceCreateRequest { job: Some(paused("hello")), dry_run: true };
    let would_be = client.jobs().create(request).await.unwrap().into_inner().job.unwrap();
    assert_eq!(would_be.metadata.unwrap().name, "hello");
    let after = client.jobs().list(JobServiceListRequest::default()).await.unwrap().into_inner();
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_name_can_be_generated() {
    let node = Node::start();
    let client = node.client().await;
    let mut nameless = paused("x");
    let meta = nameless.metadata.as_mut().unwrap();
    meta.name.clear();
    meta.generate_name = "batch-".to_owned();
    let mut names = Vec::new();
    for _ in 0..3 {
        names.push(client.create(nameless.clone()).await.unwrap().metadata.unwrap().name);
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("batch-") && name.len() == 11), "{names:?}");
}

#[tokio::test]
async fn every_mistake_has_its_path() {
    let node = Node::start();
    let client = node.client().await;
    let mut job = manifest::job("Hello", "HELLO");
    job["spec"]["completions"] = (-1).into();
    manifest::pod(&mut job)["restartPolicy"] = "Always".into();
    manifest::pod(&mut job)["hostNetwork"] = true.into();
    manifest::container(&mut job)["securityContext"] = json!({"privileged": true});
    let request = JobServiceCreateRequest { job: Some(manifest::message(&job)), dry_run: false };
    check_refused(
        client.jobs().create(request).await,
        expect![[r#"
            INVALID_ARGUMENT: Job `Hello` is invalid: metadata.name: `Hello` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`; spec.completions: -1 is too few; the least is 0; spec.template.spec.containers[0].image: `HELLO` must be a name such as `hello`, `hello:1.2` or `example.com/team/hello` in lower-case letters, digits, `.`, `_` and `-`, or `sha256:` and 64 hexadecimal digits; a path to a file is pushed by `wick apply`, or by `wick image push FILE NAME`; spec.template.spec.containers[0].securityContext.privileged: guests never get the host's privileges; remove it; spec.template.spec.restartPolicy: `Always` is not for Jobs; give `Never` or `OnFailure`; spec.template.spec.hostNetwork: guests never get the host's network; grant addresses with the annotation `wick.dev/allow-net`
              metadata.name | `Hello` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
              spec.completions | -1 is too few; the least is 0
              spec.template.spec.containers[0].image | `HELLO` must be a name such as `hello`, `hello:1.2` or `example.com/team/hello` in lower-case letters, digits, `.`, `_` and `-`, or `sha256:` and 64 hexadecimal digits; a path to a file is pushed by `wick apply`, or by `wick image push FILE NAME`
              spec.template.spec.containers[0].securityContext.privileged | guests never get the host's privileges; remove it
              spec.template.spec.restartPolicy | `Always` is not for Jobs; give `Never` or `OnFailure`
              spec.template.spec.hostNetwork | guests never get the host's network; grant addresses with the annotation `wick.dev/allow-net`
        "#]],
    );
    let empty = JobServiceCreateRequest { job: None, dry_run: false };
    check_refused(
        client.jobs().create(empty).await,
        expect![[r#"
        INVALID_ARGUMENT: job: needed; give the Job
          job | needed; give the Job
    "#]],
    );
    check_refused(
        client.jobs().get(get("")).await,
        expect![[r#"
        INVALID_ARGUMENT: name: needed; say which one
          name | needed; say which one
    "#]],
    );
}

#[tokio::test]
async fn a_selector_that_is_none_is_refused_with_its_path() {
    let node = Node::start();
    let client = node.client().await;
    let list = |labels: &str, fields: &str| {
        let filter = ObjectFilter {
            label_selector: labels.to_owned(),
            field_selector: fields.to_owned(),
            ..ObjectFilter::default()
        };
        JobServiceListRequest { filter: Some(filter), ..JobServiceListRequest::default() }
    };
    check_refused(
        client.jobs().list(list("a in (b", "")).await,
        expect![[r#"
        INVALID_ARGUMENT: filter.label_selector: selector `a in (b`: expected `,` or `)` at `the end`
          filter.label_selector | selector `a in (b`: expected `,` or `)` at `the end`
    "#]],
    );
    check_refused(
        client.jobs().list(list("", "spec.nodeName=gate")).await,
        expect![[r#"
            INVALID_ARGUMENT: filter.field_selector: field label not supported: `spec.nodeName`; there is metadata.name, metadata.namespace, status.successful
              filter.field_selector | field label not supported: `spec.nodeName`; there is metadata.name, metadata.namespace, status.successful
        "#]],
    );
}

#[tokio::test]
async fn a_deletion_with_another_uid_deletes_nothing() {
    let node = Node::start();
    let client = node.client().await;
    client.create(paused("hello")).await.unwrap();
    let request = JobServiceDeleteRequest {
        name: "hello".to_owned(),
        uid: "00000000-0000-8000-8000-000000000000".to_owned(),
        ..JobServiceDeleteRequest::default()
    };
    let refused = client.jobs().delete(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    client.jobs().get(get("hello")).await.unwrap();
    let request = JobServiceDeleteRequest { name: "nobody".to_owned(), ..JobServiceDeleteRequest::default() };
    check_refused(
        client.jobs().delete(request).await,
        expect![[r#"
        NOT_FOUND: jobs.batch `nobody` not found
    "#]],
    );
}

#[tokio::test]
async fn a_foreground_deletion_keeps_the_job_until_its_pods_are_gone() {
    let node = Node::start();
    let client = node.client().await;
    node.apply(&manifest::endless("slow"));
    client.pods_when("slow", |pods| pods.len() == 1 && wick_tests::phase(&pods[0]) == "Running").await;
    let request = JobServiceDeleteRequest {
        name: "slow".to_owned(),
        propagation: DeletionPropagation::Foreground.into(),
        ..JobServiceDeleteRequest::default()
    };
    let answered = client.jobs().delete(request).await.unwrap().into_inner().job.unwrap();
    assert!(answered.metadata.unwrap().deletion_timestamp.is_some());
    node.gone("job/slow");
    assert_eq!(client.pods_when("slow", |pods| pods.is_empty()).await, []);
}
