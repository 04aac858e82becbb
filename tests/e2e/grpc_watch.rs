//! Watches: what there is, a bookmark, and every change after it, from any revision that is remembered.

use api::pb::k8s::batch::v1::Job;
use api::pb::wick::v1::{
    EventServiceListRequest, EventServiceWatchRequest, JobServiceDeleteRequest, JobServiceListRequest,
    JobServiceUpdateRequest, JobServiceWatchRequest, JobServiceWatchResponse, ObjectFilter,
    PodServiceWatchRequest, WatchEventType,
};
use tokio::time::timeout;
use tonic::{Code, Streaming};
use wick_tests::client::{Client, pods_of};
use wick_tests::{Node, PATIENCE, manifest, phase, programs};

fn paused(name: &str) -> Job {
    let mut job = manifest::job(name, "nothing");
    job["spec"]["parallelism"] = 0.into();
    manifest::message(&job)
}

async fn watch(client: &Client, since_revision: Option<u64>) -> Streaming<JobServiceWatchResponse> {
    let request = JobServiceWatchRequest { filter: None, since_revision };
    client.jobs().watch(request).await.unwrap().into_inner()
}

/// The next change: its kind and its Job's name, and the whole of it.
async fn next(
    watch: &mut Streaming<JobServiceWatchResponse>,
) -> (WatchEventType, String, JobServiceWatchResponse) {
    let change = timeout(PATIENCE, watch.message()).await.expect("a change in time").unwrap().unwrap();
    let name = change.job.as_ref().and_then(|job| job.metadata.as_ref()).map_or("", |meta| &meta.name);
    (change.r#type(), name.to_owned(), change)
}

async fn expect_next(
    watch: &mut Streaming<JobServiceWatchResponse>,
    kind: WatchEventType,
    name: &str,
) -> Option<Job> {
    let (got_kind, got_name, change) = next(watch).await;
    assert_eq!((got_kind, got_name.as_str()), (kind, name), "{change:#?}");
    change.job
}

async fn delete(client: &Client, name: &str) {
    let request = JobServiceDeleteRequest { name: name.to_owned(), ..JobServiceDeleteRequest::default() };
    client.jobs().delete(request).await.unwrap();
}

async fn label(client: &Client, job: &Job, value: &str) {
    let mut job = job.clone();
    let meta = job.metadata.as_mut().unwrap();
    meta.resource_version.clear();
    meta.labels.insert("step".to_owned(), value.to_owned());
    client.jobs().update(JobServiceUpdateRequest { job: Some(job), dry_run: false }).await.unwrap();
}

#[tokio::test]
async fn a_watch_begins_with_what_there_is_and_goes_on_with_what_changes() {
    use WatchEventType::{Added, Bookmark, Deleted, Modified};
    let node = Node::start();
    let client = node.client().await;
    client.create(paused("a")).await.unwrap();
    let b = client.create(paused("b")).await.unwrap();
    let mut watch = watch(&client, None).await;
    expect_next(&mut watch, Added, "a").await;
    expect_next(&mut watch, Added, "b").await;
    expect_next(&mut watch, Bookmark, "").await;
    label(&client, &b, "one").await;
    client.create(paused("c")).await.unwrap();
    delete(&client, "a").await;
    let changed = expect_next(&mut watch, Modified, "b").await.unwrap();
    assert_eq!(changed.metadata.unwrap().labels["step"], "one");
    expect_next(&mut watch, Added, "c").await;
    expect_next(&mut watch, Deleted, "a").await;
}

#[tokio::test]
async fn a_watch_from_a_revision_sends_the_changes_after_it_and_no_others() {
    use WatchEventType::{Added, Deleted, Modified};
    let node = Node::start();
    let client = node.client().await;
    let a = client.create(paused("a")).await.unwrap();
    let listed = client.jobs().list(JobServiceListRequest::default()).await.unwrap().into_inner();
    client.create(paused("b")).await.unwrap();
    label(&client, &a, "one").await;
    delete(&client, "b").await;
    for _ in 0..2 {
        let mut watch = watch(&client, Some(listed.revision)).await;
        let mut last = listed.revision;
        for (kind, name) in [(Added, "b"), (Modified, "a"), (Deleted, "b")] {
            let (got_kind, got_name, change) = next(&mut watch).await;
            assert_eq!((got_kind, got_name.as_str()), (kind, name));
            assert!(change.revision > last, "revision {} after {last}", change.revision);
            last = change.revision;
        }
    }
}

#[tokio::test]
async fn a_filter_turns_beginning_and_ceasing_to_match_into_added_and_deleted() {
    use WatchEventType::{Added, Bookmark, Deleted};
    let node = Node::start();
    let client = node.client().await;
    let a = client.create(paused("a")).await.unwrap();
    let filter = ObjectFilter { label_selector: "step=two".to_owned(), ..ObjectFilter::default() };
    let request = JobServiceWatchRequest { filter: Some(filter), since_revision: None };
    let mut watch = client.jobs().watch(request).await.unwrap().into_inner();
    expect_next(&mut watch, Bookmark, "").await;
    for step in ["one", "two", "three"] {
        label(&client, &a, step).await;
    }
    expect_next(&mut watch, Added, "a").await;
    expect_next(&mut watch, Deleted, "a").await;
}

#[tokio::test]
async fn a_revision_that_is_not_remembered_is_out_of_range() {
    let mut node = Node::start();
    let client = node.client().await;
    let before = client.jobs().list(JobServiceListRequest::default()).await.unwrap().into_inner().revision;
    let expect_expired = async |client: &Client, since: u64| {
        let request = JobServiceWatchRequest { filter: None, since_revision: Some(since) };
        let refused = client.jobs().watch(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
        assert!(refused.message().contains("list again"), "{refused:?}");
    };
    expect_expired(&client, 0).await;
    expect_expired(&client, before + 1_000_000_000).await;
    // What is remembered is in memory; a revision from before a restart is refused, and never means another change.
    drop(client);
    node.kill();
    node.boot();
    let client = node.client().await;
    expect_expired(&client, before).await;
    let after = client.jobs().list(JobServiceListRequest::default()).await.unwrap().into_inner().revision;
    assert!(after > before, "revision {after} after {before}");
}

#[tokio::test]
async fn a_pods_life_is_watched_from_pending_to_succeeded() {
    let node = Node::start();
    let client = node.client().await;
    let mut watch = {
        let request = PodServiceWatchRequest { filter: Some(pods_of("hello")), since_revision: None };
        client.pods().watch(request).await.unwrap().into_inner()
    };
    node.apply_file(&programs::example("hello/job.yaml"));
    let mut phases: Vec<String> = Vec::new();
    while phases.last().is_none_or(|last| !last.ends_with(" Succeeded")) {
        let change = timeout(PATIENCE, watch.message()).await.expect("a change in time").unwrap().unwrap();
        if let Some(pod) = &change.pod {
            let kind = change.r#type().as_str_name().trim_start_matches("WATCH_EVENT_TYPE_").to_owned();
            phases.push(format!("{kind} {}", phase(pod)));
        }
    }
    assert!(phases[0].starts_with("ADDED "), "{phases:?}");
    assert!(phases[1..].iter().all(|seen| seen.starts_with("MODIFIED ")), "{phases:?}");
    assert!(phases.iter().any(|seen| seen.ends_with(" Running")), "{phases:?}");
    assert_eq!(phases.last().unwrap(), "MODIFIED Succeeded");
}

#[tokio::test]
async fn events_tell_what_was_done_and_why() {
    let node = Node::start();
    let client = node.client().await;
    let mut watch = client.events().watch(EventServiceWatchRequest::default()).await.unwrap().into_inner();
    node.apply_file(&programs::example("crash/job.yaml"));
    node.failed("crash");
    let listed = client.events().list(EventServiceListRequest::default()).await.unwrap().into_inner().events;
    let reasons: Vec<&str> = listed.iter().map(|event| event.reason.as_str()).collect();
    assert_eq!(reasons, ["SuccessfulCreate", "Scheduled", "Started", "BackoffLimitExceeded"]);
    assert_eq!(listed[3].r#type, "Warning");
    assert_eq!(listed[3].involved_object.as_ref().unwrap().name, "crash");
    let mut watched = Vec::new();
    while watched.len() < reasons.len() {
        let change = timeout(PATIENCE, watch.message()).await.expect("an Event in time").unwrap().unwrap();
        watched.extend(change.event.map(|event| event.reason));
    }
    assert_eq!(watched, reasons);
    let filter =
        ObjectFilter { field_selector: "involvedObject.kind=Job".to_owned(), ..ObjectFilter::default() };
    let request = EventServiceListRequest { filter: Some(filter) };
    let about_jobs = client.events().list(request).await.unwrap().into_inner().events;
    assert_eq!(about_jobs.len(), 2, "{about_jobs:#?}");
}

#[tokio::test]
async fn a_watch_ends_when_the_agent_does() {
    let mut node = Node::start();
    let client = node.client().await;
    let mut watch = watch(&client, None).await;
    expect_next(&mut watch, WatchEventType::Bookmark, "").await;
    node.stop();
    let end = timeout(PATIENCE, watch.message()).await.expect("an end in time");
    assert!(!matches!(end, Ok(Some(_))), "{end:?}");
}
