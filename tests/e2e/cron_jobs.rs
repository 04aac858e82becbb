//! CronJobService, asked by a generated client, and CronJobs that really run.

use api::cron_job::{INSTANTIATE, OVERRIDES, SCHEDULED_TIMESTAMP};
use api::pb::k8s::batch::v1::{CronJob, Job};
use api::pb::k8s::meta::v1::ObjectMeta;
use api::pb::wick::v1::{
    ApplyOutcome, CronJobServiceCreateRequest, CronJobServiceCreateResponse, CronJobServiceDeleteRequest,
    CronJobServiceGetRequest, CronJobServiceListRequest, CronJobServicePatchRequest,
    CronJobServiceTriggerRequest, CronJobServiceUpdateRequest, CronJobServiceWatchRequest,
    CronJobServiceWatchResponse, DeletionPropagation, HistoryServiceListRequest, JobServiceGetRequest,
    JobServiceListRequest, NextSlot, PodServiceListRequest, RunOverrides, WatchEventType,
};
use api::time;
use expect_test::{Expect, expect};
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};
use wick_tests::client::{Client, pods_of};
use wick_tests::{Node, PATIENCE, manifest, programs};

use crate::grpc_jobs::refusal;

/// A CronJob whose Jobs make no Pods, so that they stay as they are.
fn paused(name: &str, schedule: &str) -> CronJob {
    let mut job = manifest::job("job", "nothing");
    job["spec"]["parallelism"] = 0.into();
    manifest::cron_job_message(&manifest::cron_job(name, schedule, &job))
}

fn meta(cron_job: &CronJob) -> &ObjectMeta {
    cron_job.metadata.as_ref().unwrap()
}

fn job_meta(job: &Job) -> &ObjectMeta {
    job.metadata.as_ref().unwrap()
}

async fn create(client: &Client, cron_job: CronJob) -> Result<CronJobServiceCreateResponse, Status> {
    let request = CronJobServiceCreateRequest { cron_job: Some(cron_job), dry_run: false };
    Ok(client.cron_jobs().create(request).await?.into_inner())
}

async fn get(client: &Client, name: &str) -> Result<(CronJob, NextSlot), Status> {
    let request = CronJobServiceGetRequest { name: name.to_owned(), ..CronJobServiceGetRequest::default() };
    let answer = client.cron_jobs().get(request).await?.into_inner();
    Ok((answer.cron_job.unwrap(), answer.next.unwrap()))
}

async fn trigger(client: &Client, request: CronJobServiceTriggerRequest) -> Result<Job, Status> {
    Ok(client.cron_jobs().trigger(request).await?.into_inner().job.unwrap())
}

fn by_hand(name: &str, job_name: &str) -> CronJobServiceTriggerRequest {
    let (name, job_name) = (name.to_owned(), job_name.to_owned());
    CronJobServiceTriggerRequest { name, job_name, ..CronJobServiceTriggerRequest::default() }
}

async fn watch(client: &Client, since_revision: Option<u64>) -> Streaming<CronJobServiceWatchResponse> {
    let request = CronJobServiceWatchRequest { filter: None, since_revision };
    client.cron_jobs().watch(request).await.unwrap().into_inner()
}

async fn change(watch: &mut Streaming<CronJobServiceWatchResponse>) -> CronJobServiceWatchResponse {
    timeout(PATIENCE, watch.message()).await.expect("a change in time").unwrap().unwrap()
}

fn check_refused<T: std::fmt::Debug>(answer: Result<T, Status>, wanted: Expect) {
    wanted.assert_eq(&refusal(&answer.unwrap_err()));
}

#[tokio::test]
async fn a_cron_job_is_created_read_listed_changed_and_deleted() {
    let node = Node::start();
    let client = node.client().await;
    let created = create(&client, paused("yearly", "@yearly")).await.unwrap();
    let (stored, next) = (created.cron_job.unwrap(), created.next.unwrap());
    assert_eq!((meta(&stored).namespace.as_str(), meta(&stored).generation), ("default", 1));
    let spec = stored.spec.as_ref().unwrap();
    assert_eq!((spec.concurrency_policy.as_str(), spec.suspend), ("Allow", Some(false)));
    assert_eq!((next.slot, next.none_because.as_str()), (next.start, ""));
    let first = time::instant(&next.slot.unwrap()).to_string();
    assert!(first.ends_with("-01-01T00:00:00Z"), "{first}");
    assert_eq!(get(&client, "yearly").await.unwrap(), (stored.clone(), next.clone()));

    // Dry runs of everything change nothing.
    let request = CronJobServiceCreateRequest { cron_job: Some(paused("dry", "@daily")), dry_run: true };
    assert!(client.cron_jobs().create(request).await.unwrap().into_inner().next.unwrap().slot.is_some());
    assert_eq!(get(&client, "dry").await.unwrap_err().code(), Code::NotFound);

    for name in ["b", "a", "c"] {
        create(&client, paused(name, "@yearly")).await.unwrap();
    }
    let mut request = CronJobServiceListRequest { limit: 3, ..CronJobServiceListRequest::default() };
    let first = client.cron_jobs().list(request.clone()).await.unwrap().into_inner();
    request.continue_token.clone_from(&first.continue_token);
    let second = client.cron_jobs().list(request).await.unwrap().into_inner();
    let names: Vec<_> = [&first, &second]
        .map(|part| part.cron_jobs.iter().map(|cron_job| meta(cron_job).name.as_str()).collect::<Vec<_>>())
        .into();
    assert_eq!(names, [vec!["a", "b", "c"], vec!["yearly"]]);
    assert_eq!(
        (first.next, second.next, second.continue_token),
        (vec![next.clone(); 3], vec![next], "".into())
    );

    let mut changed = stored.clone();
    changed.spec.as_mut().unwrap().make_mut().suspend = Some(true);
    let request = CronJobServiceUpdateRequest { cron_job: Some(changed), dry_run: false };
    let updated = client.cron_jobs().update(request.clone()).await.unwrap().into_inner();
    assert_eq!(updated.next.unwrap().none_because, "Suspended");
    let updated = updated.cron_job.unwrap();
    assert_eq!(meta(&updated).generation, 2);
    assert_ne!(meta(&updated).resource_version, meta(&stored).resource_version);
    // The version is not the current one any more.
    assert_eq!(client.cron_jobs().update(request).await.unwrap_err().code(), Code::Aborted);

    let patch = |patch: &str, dry_run| CronJobServicePatchRequest {
        name: "yearly".to_owned(),
        patch: patch.to_owned(),
        dry_run,
        ..CronJobServicePatchRequest::default()
    };
    let resume = "{\"spec\": {\"suspend\": false, \"schedule\": \"0 0 30 2 *\"}}";
    let answer = client.cron_jobs().patch(patch(resume, true)).await.unwrap().into_inner();
    assert_eq!((answer.changed, answer.next.unwrap().none_because.as_str()), (true, "Never"));
    assert_eq!(get(&client, "yearly").await.unwrap().0, updated, "a dry run changed something");
    let answer = client.cron_jobs().patch(patch(resume, false)).await.unwrap().into_inner();
    assert_eq!(Some(get(&client, "yearly").await.unwrap().0), answer.cron_job);
    assert!(!client.cron_jobs().patch(patch(resume, false)).await.unwrap().into_inner().changed);

    let request = CronJobServiceDeleteRequest {
        name: "yearly".to_owned(),
        uid: "another".to_owned(),
        ..CronJobServiceDeleteRequest::default()
    };
    let refused = client.cron_jobs().delete(request.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let request = CronJobServiceDeleteRequest { uid: meta(&stored).uid.clone(), ..request };
    client.cron_jobs().delete(request).await.unwrap();
    assert_eq!(get(&client, "yearly").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_with_its_path() {
    let node = Node::start();
    let client = node.client().await;
    let mut wrong = paused("Wrong", "0 0 * * * *");
    let spec = wrong.spec.as_mut().unwrap().make_mut();
    spec.time_zone = Some("europe/berlin".to_owned());
    spec.concurrency_policy = "Sometimes".to_owned();
    spec.starting_deadline_seconds = Some(-1);
    let job = spec.job_template.as_mut().unwrap().spec.as_mut().unwrap().make_mut();
    job.template.as_mut().unwrap().spec.as_mut().unwrap().make_mut().restart_policy = "Always".to_owned();
    check_refused(
        create(&client, wrong).await,
        expect![[r#"
        INVALID_ARGUMENT: CronJob `Wrong` is invalid: metadata.name: `Wrong` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`; spec.schedule: 6 fields; Kubernetes cron has 5 (minute hour day month weekday); spec.timeZone: `europe/berlin` is no time zone this device knows; did you mean `Europe/Berlin`?; spec.startingDeadlineSeconds: -1 is too few; the least is 0; spec.concurrencyPolicy: `Sometimes` is not one of `Allow`, `Forbid` or `Replace`; spec.jobTemplate.spec.template.spec.restartPolicy: `Always` is not for Jobs; give `Never` or `OnFailure`
          metadata.name | `Wrong` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
          spec.schedule | 6 fields; Kubernetes cron has 5 (minute hour day month weekday)
          spec.timeZone | `europe/berlin` is no time zone this device knows; did you mean `Europe/Berlin`?
          spec.startingDeadlineSeconds | -1 is too few; the least is 0
          spec.concurrencyPolicy | `Sometimes` is not one of `Allow`, `Forbid` or `Replace`
          spec.jobTemplate.spec.template.spec.restartPolicy | `Always` is not for Jobs; give `Never` or `OnFailure`
    "#]],
    );

    // What is wrong only with a new one is told as readily.
    check_refused(
        create(&client, paused("zoned", "TZ=Asia/Seoul 0 9 * * *")).await,
        expect![[r#"
        INVALID_ARGUMENT: CronJob `zoned` is invalid: spec.schedule: a zone is not taken within a schedule; give `0 9 * * *` and timeZone `Asia/Seoul`
          spec.schedule | a zone is not taken within a schedule; give `0 9 * * *` and timeZone `Asia/Seoul`
    "#]],
    );
    create(&client, paused("hourly", "@hourly")).await.unwrap();
    check_refused(
        create(&client, paused("hourly", "@hourly")).await,
        expect![[r#"
        ALREADY_EXISTS: cronjobs.batch `hourly` already exists
    "#]],
    );
    let request = CronJobServiceCreateRequest::default();
    check_refused(
        client.cron_jobs().create(request).await,
        expect![[r#"
        INVALID_ARGUMENT: cron_job: needed; give the CronJob
          cron_job | needed; give the CronJob
    "#]],
    );
    check_refused(
        get(&client, "nobody").await,
        expect![[r#"
        NOT_FOUND: cronjobs.batch `nobody` not found
    "#]],
    );
    let request = CronJobServicePatchRequest {
        name: "hourly".to_owned(),
        patch: r#"{"metadata": {"name": "daily"}, "spec": {"shedule": "@daily"}}"#.to_owned(),
        ..CronJobServicePatchRequest::default()
    };
    check_refused(
        client.cron_jobs().patch(request).await,
        expect![[r#"
        INVALID_ARGUMENT: the patch is invalid: spec.shedule: unknown field; did you mean `schedule`?
          spec.shedule | unknown field; did you mean `schedule`?
    "#]],
    );

    check_refused(
        trigger(&client, by_hand("nobody", "")).await,
        expect![[r#"
        NOT_FOUND: cronjobs.batch `nobody` not found
    "#]],
    );
    let overrides = RunOverrides {
        container: "sidecar".to_owned(),
        env: [("A=B".to_owned(), "x".to_owned())].into(),
        fuel: Some(0),
        ..RunOverrides::default()
    };
    let request = CronJobServiceTriggerRequest { overrides: Some(overrides), ..by_hand("hourly", "run") };
    check_refused(
        trigger(&client, request).await,
        expect![[r#"
        INVALID_ARGUMENT: the manual run is invalid: overrides.env[A=B]: `A=B` must be printable ASCII without `=`; overrides.fuel: 0 must be greater than 0: with no fuel nothing runs; overrides.container: `sidecar` does not exist; the template's containers are `main`
          overrides.env[A=B] | `A=B` must be printable ASCII without `=`
          overrides.fuel | 0 must be greater than 0: with no fuel nothing runs
          overrides.container | `sidecar` does not exist; the template's containers are `main`
    "#]],
    );
    check_refused(
        trigger(&client, by_hand("hourly", "No Name")).await,
        expect![[r#"
        INVALID_ARGUMENT: Job `No Name` is invalid: metadata.name: `No Name` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
          metadata.name | `No Name` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
    "#]],
    );
}

#[tokio::test]
async fn a_manifest_may_hold_both_kinds() {
    let node = Node::start();
    let client = node.client().await;
    let cron_job = manifest::cron_job("nightly", "@daily", &manifest::job("job", "nothing"));
    let mut changed = cron_job.clone();
    changed["spec"]["suspend"] = true.into();
    let mut wrong = cron_job.clone();
    wrong["spec"]["schedule"] = "daily".into();
    let mut paused = manifest::job("once", "nothing");
    paused["spec"]["parallelism"] = 0.into();
    let text = [&cron_job, &paused, &cron_job, &changed, &wrong].map(Value::to_string).join("\n---\n");
    let results = client.apply(&text).await.unwrap();
    let outcomes: Vec<_> = results
        .iter()
        .map(|result| (result.kind.as_str(), result.outcome(), result.object.is_some()))
        .collect();
    use ApplyOutcome::{Configured, Created, Refused, Unchanged};
    assert_eq!(
        outcomes,
        [
            ("CronJob", Created, true),
            ("Job", Created, true),
            ("CronJob", Unchanged, true),
            ("CronJob", Configured, true),
            ("CronJob", Refused, false)
        ]
    );
    let violations: Vec<_> = results[4].violations.iter().map(|violation| &violation.field).collect();
    assert_eq!(violations, ["spec.schedule"]);
    assert_eq!(get(&client, "nightly").await.unwrap().1.none_because, "Suspended");
}

#[tokio::test]
async fn a_watch_tells_every_change_and_when_the_next_slot_is() {
    use WatchEventType::{Added, Bookmark, Deleted, Modified};
    let node = Node::start();
    let client = node.client().await;
    create(&client, paused("yearly", "@yearly")).await.unwrap();
    let mut from_start = watch(&client, None).await;
    let added = change(&mut from_start).await;
    assert_eq!((added.r#type(), added.next.unwrap().none_because.as_str()), (Added, ""));
    let mark = change(&mut from_start).await;
    assert_eq!((mark.r#type(), &mark.cron_job, &mark.next), (Bookmark, &None, &None));
    let mut from_mark = watch(&client, Some(mark.revision)).await;

    let request = CronJobServicePatchRequest {
        name: "yearly".to_owned(),
        patch: r#"{"spec": {"suspend": true}}"#.to_owned(),
        ..CronJobServicePatchRequest::default()
    };
    client.cron_jobs().patch(request).await.unwrap();
    let request =
        CronJobServiceDeleteRequest { name: "yearly".to_owned(), ..CronJobServiceDeleteRequest::default() };
    client.cron_jobs().delete(request).await.unwrap();
    for changes in [&mut from_start, &mut from_mark] {
        let modified = change(changes).await;
        assert_eq!(
            (modified.r#type(), modified.next.unwrap().none_because.as_str()),
            (Modified, "Suspended")
        );
        assert_eq!(change(changes).await.r#type(), Deleted);
    }
}

#[tokio::test]
async fn what_becomes_of_the_jobs_of_a_deleted_one_is_said_with_the_deletion() {
    let node = Node::start();
    let client = node.client().await;
    for (name, propagation) in [
        ("background", DeletionPropagation::Background),
        ("foreground", DeletionPropagation::Foreground),
        ("orphan", DeletionPropagation::Orphan),
    ] {
        let uid =
            meta(&create(&client, paused(name, "@yearly")).await.unwrap().cron_job.unwrap()).uid.clone();
        let job = trigger(&client, by_hand(name, name)).await.unwrap();
        assert_eq!(job_meta(&job).owner_references[0].uid, uid);
        let mut watch = watch(&client, None).await;
        let request = CronJobServiceDeleteRequest {
            name: name.to_owned(),
            propagation: propagation.into(),
            ..CronJobServiceDeleteRequest::default()
        };
        client.cron_jobs().delete(request).await.unwrap();
        while change(&mut watch).await.r#type() != WatchEventType::Deleted {}
        assert_eq!(get(&client, name).await.unwrap_err().code(), Code::NotFound);
        if propagation == DeletionPropagation::Orphan {
            let job = client.job_when(name, |job| job_meta(job).owner_references.is_empty()).await;
            assert_eq!(job_meta(&job).deletion_timestamp, None);
        } else {
            client.job_gone(name).await;
        }
    }
    let request = JobServiceListRequest::default();
    assert_eq!(client.jobs().list(request).await.unwrap().into_inner().jobs.len(), 1);
}

#[tokio::test]
async fn a_manual_run_is_one_with_its_overrides_and_is_remembered_as_one() {
    let node = Node::start();
    let mut job = manifest::job("job", programs::own_guest("environment"));
    manifest::set_env(&mut job, "KEPT", "template");
    manifest::set_env(&mut job, "CHANGED", "template");
    let mut cron_job = manifest::cron_job("yearly", "@yearly", &job);
    cron_job["spec"]["suspend"] = true.into();
    node.apply(&cron_job);
    let client = node.client().await;
    let overrides = RunOverrides {
        env: [("CHANGED", "by hand"), ("NEW", "by hand")].map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
        args: vec!["--full".to_owned()],
        fuel: Some(1_000_000),
        ..RunOverrides::default()
    };
    let request =
        CronJobServiceTriggerRequest { overrides: Some(overrides.clone()), ..by_hand("yearly", "by-hand") };
    let dry = CronJobServiceTriggerRequest { dry_run: true, ..request.clone() };
    assert_eq!(job_meta(&trigger(&client, dry).await.unwrap()).name, "by-hand");
    let job = trigger(&client, request.clone()).await.unwrap();
    let annotations = &job_meta(&job).annotations;
    assert_eq!(annotations[INSTANTIATE], "manual");
    assert_eq!(
        serde_json::from_str::<Value>(&annotations[OVERRIDES]).unwrap(),
        json!({"env": {"CHANGED": "by hand", "NEW": "by hand"}, "args": ["--full"], "fuel": 1_000_000})
    );
    assert!(!annotations.contains_key(SCHEDULED_TIMESTAMP));
    let again = trigger(&client, request).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);
    // One without a name gets one, and nobody is asked whether the schedule is suspended.
    let generated = trigger(&client, by_hand("yearly", "")).await.unwrap();
    assert!(job_meta(&generated).name.starts_with("yearly-"), "{}", job_meta(&generated).name);

    node.complete("by-hand");
    let request =
        PodServiceListRequest { filter: Some(pods_of("by-hand")), ..PodServiceListRequest::default() };
    let pods = client.pods().list(request).await.unwrap().into_inner().pods;
    let output = node.done(&["logs", &pods[0].metadata.as_ref().unwrap().name]);
    for line in ["--full", "KEPT=template", "CHANGED=by hand", "NEW=by hand"] {
        assert!(output.lines().any(|printed| printed == line), "{line} in:\n{output}");
    }

    let request =
        HistoryServiceListRequest { job: "by-hand".to_owned(), ..HistoryServiceListRequest::default() };
    let entries = client.history().list(request).await.unwrap().into_inner().entries;
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.r#type.as_str(), entry.cron_job.as_str(), entry.manual, &entry.overrides))
        .collect();
    let overrides = Some(overrides);
    assert_eq!(told, [("Triggered", "yearly", true, &overrides), ("Finished", "yearly", true, &overrides)]);
}

#[tokio::test]
async fn a_cron_job_starts_its_job_when_the_minute_is_full() {
    let node = Node::start();
    let cron_job =
        manifest::cron_job("minutely", "* * * * *", &manifest::job("job", programs::own_guest("nothing")));
    node.apply(&cron_job);
    let client = node.client().await;
    let (stored, next) = get(&client, "minutely").await.unwrap();
    let (created, slot) = (meta(&stored).creation_timestamp.unwrap(), next.slot.unwrap());
    assert_eq!(slot.seconds, created.seconds - created.seconds % 60 + 60);
    let mut changes = watch(&client, None).await;
    // Twice as long as for anything else: the minute is most of it.
    let status = timeout(2 * PATIENCE, async {
        loop {
            let change = changes.message().await.unwrap().unwrap();
            let status = change.cron_job.and_then(|cron_job| cron_job.status).unwrap_or_default();
            if status.last_successful_time.is_some() && status.active.is_empty() {
                return status;
            }
        }
    });
    let status = status.await.expect("a Job that has succeeded");
    assert_eq!(status.last_schedule_time, Some(slot));
    let name = format!("minutely-{}", slot.seconds / 60);
    let request = JobServiceGetRequest { name: name.clone(), ..JobServiceGetRequest::default() };
    let job = client.jobs().get(request).await.unwrap().into_inner().job.unwrap();
    assert_eq!(
        job_meta(&job).annotations[SCHEDULED_TIMESTAMP].parse::<jiff::Timestamp>().unwrap(),
        time::instant(&slot)
    );
    assert_eq!(job_meta(&job).owner_references[0].uid, meta(&stored).uid);
    let request = HistoryServiceListRequest { job: name, ..HistoryServiceListRequest::default() };
    let entries = client.history().list(request).await.unwrap().into_inner().entries;
    let told: Vec<_> =
        entries.iter().map(|entry| (entry.r#type.as_str(), entry.slot, entry.manual)).collect();
    assert_eq!(told, [("Started", Some(slot), false), ("Finished", Some(slot), false)]);
}
