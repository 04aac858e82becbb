//! The Jobs that come of CronJobs: by the schedule, and when somebody starts one.

use super::cron_jobs::{UID, changed, new, stored};
use super::{Bundled, grants, lines, now, value};
use crate::cron_job::{self, Template};
use crate::job::NewJob;
use crate::json;
use crate::pb::k8s::batch::v1::{CronJob, Job};
use crate::pb::wick::v1::{CronJobRecord, MissedSlots, RunOverrides};
use expect_test::{Expect, expect};
use sched::Millis;
use sched::cron_job::{Held, JobRef, Missed, Reason, Zones};

const MUCH: &str = "
metadata: {labels: {own: a}, annotations: {own: b}}
spec:
  jobTemplate:
    metadata: {name: unused, labels: {a: b}, annotations: {c: d, cronjob.kubernetes.io/instantiate: manual, wick.dev/overrides: '{}'}}
    spec: {backoffLimit: 2}
";

const SLOT: &str = "2026-11-21T02:00:00Z";

fn started(cron_job: &CronJob, slot: &str, name: &str, zone: Option<&str>) -> String {
    let zone = zone.map(|name| Bundled.find(name).unwrap());
    match Template::of(cron_job).job(slot.parse().unwrap(), name, zone.as_ref()) {
        Ok(new) => json::to_yaml(&new.stamp(name.to_owned(), "f0000000-0000-4000-8000-000000000009", now())),
        Err(errors) => lines(&errors),
    }
}

#[test]
fn a_slot_starts_a_job_of_the_template() {
    let text = started(&stored(&[MUCH]), SLOT, "nightly-29919480", Some("Asia/Seoul"));
    expect![[r#"
        apiVersion: batch/v1
        kind: Job
        metadata:
          name: nightly-29919480
          namespace: default
          uid: f0000000-0000-4000-8000-000000000009
          generation: 1
          creationTimestamp: "2026-11-20T09:00:00Z"
          labels:
            a: b
          annotations:
            batch.kubernetes.io/cronjob-scheduled-timestamp: "2026-11-21T11:00:00+09:00"
            c: d
          ownerReferences:
          - apiVersion: batch/v1
            kind: CronJob
            name: nightly
            uid: f0000000-0000-4000-8000-000000000007
            controller: true
            blockOwnerDeletion: true
        spec:
          parallelism: 1
          completions: 1
          backoffLimit: 2
          selector:
            matchLabels:
              batch.kubernetes.io/controller-uid: f0000000-0000-4000-8000-000000000009
          manualSelector: false
          template:
            metadata:
              labels:
                batch.kubernetes.io/controller-uid: f0000000-0000-4000-8000-000000000009
                batch.kubernetes.io/job-name: nightly-29919480
                controller-uid: f0000000-0000-4000-8000-000000000009
                job-name: nightly-29919480
            spec:
              containers:
              - name: main
                image: hello
                imagePullPolicy: Always
              restartPolicy: Never
              terminationGracePeriodSeconds: 30
          completionMode: NonIndexed
          suspend: false
          podReplacementPolicy: TerminatingOrFailed
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_slot_is_written_in_the_zone_that_is_named() {
    let cron_job = stored(&[]);
    let written = |zone: Option<&str>| {
        let zone = zone.map(|name| Bundled.find(name).unwrap());
        let new = Template::of(&cron_job).job(SLOT.parse().unwrap(), "nightly-1", zone.as_ref()).unwrap();
        let job = new.stamp("nightly-1".to_owned(), "u", now());
        assert_eq!(cron_job::scheduled_slot(&job), Some(SLOT.parse().unwrap()));
        assert_eq!(cron_job::cron_job_of(&job), Some(("nightly", UID)));
        assert_eq!(cron_job::manual_run(&job), None);
        job.metadata.unwrap().annotations[cron_job::SCHEDULED_TIMESTAMP].clone()
    };
    assert_eq!(written(None), "2026-11-21T02:00:00Z");
    assert_eq!(written(Some("Asia/Kolkata")), "2026-11-21T07:30:00+05:30");
    assert_eq!(written(Some("America/New_York")), "2026-11-20T21:00:00-05:00");
    assert_eq!(written(Some("Europe/London")), "2026-11-21T02:00:00Z");
}

#[test]
fn what_depends_on_the_name_is_told_when_a_job_starts() {
    let indexed = stored(&["spec: {jobTemplate: {spec: {completionMode: Indexed, completions: 100000}}}"]);
    let name = format!("{}-29919480", "x".repeat(52));
    expect![[r#"
        metadata.name: Invalid value: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-29919480": makes the last Pod's host name `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-29919480-99999`, which must be up to 63 lower-case letters, digits and `-`, with a letter or digit at both ends
    "#]].assert_eq(&started(&indexed, SLOT, &name, None));
    let labelled = stored(&["spec: {jobTemplate: {spec: {template: {metadata: {labels: {job-name: x}}}}}}"]);
    expect![[r#"
        spec.template.metadata.labels[job-name]: Invalid value: "x": is not the Job's own; leave it out, it is filled in
    "#]].assert_eq(&started(&labelled, SLOT, "nightly-29919480", None));
}

#[test]
fn a_started_job_is_one_that_could_have_been_asked_for() {
    let cron_job = stored(&[MUCH]);
    let job = Template::of(&cron_job).job(SLOT.parse().unwrap(), "nightly-29919480", None).unwrap();
    let job = job.stamp("nightly-29919480".to_owned(), "u", now());
    let checked = NewJob::check(job.clone(), &grants()).unwrap();
    assert_eq!(checked.revise(&job).unwrap(), None);
}

fn overrides(yaml: &str) -> RunOverrides {
    json::from_node(&serde_json::from_value(value(yaml)).unwrap()).unwrap()
}

fn by_hand(changes: &[&str], name: &str, with: &str, expected: Expect) -> Option<Job> {
    match cron_job::manual(&stored(changes), name, &overrides(with)) {
        Ok(job) => {
            expected.assert_eq(&json::to_yaml(&job));
            NewJob::check(job.clone(), &grants()).unwrap();
            assert_eq!(cron_job::manual_run(&job), Some(overrides(with)));
            assert_eq!(cron_job::cron_job_of(&job), Some(("nightly", UID)));
            assert_eq!(cron_job::scheduled_slot(&job), None);
            Some(job)
        }
        Err(errors) => {
            expected.assert_eq(&lines(&errors));
            None
        }
    }
}

#[test]
fn somebody_starts_a_job() {
    let job = by_hand(
        &[MUCH],
        "now",
        "{}",
        expect![[r#"
        apiVersion: batch/v1
        kind: Job
        metadata:
          name: now
          namespace: default
          labels:
            a: b
          annotations:
            c: d
            cronjob.kubernetes.io/instantiate: manual
          ownerReferences:
          - apiVersion: batch/v1
            kind: CronJob
            name: nightly
            uid: f0000000-0000-4000-8000-000000000007
            controller: true
        spec:
          backoffLimit: 2
          template:
            spec:
              containers:
              - name: main
                image: hello
                imagePullPolicy: Always
              restartPolicy: Never
              terminationGracePeriodSeconds: 30
    "#]],
    );
    let job = job.unwrap();
    assert_eq!(job.metadata.unwrap().owner_references[0].block_owner_deletion, None);
    by_hand(
        &[],
        "",
        "{}",
        expect![[r#"
        apiVersion: batch/v1
        kind: Job
        metadata:
          generateName: nightly-
          namespace: default
          annotations:
            cronjob.kubernetes.io/instantiate: manual
          ownerReferences:
          - apiVersion: batch/v1
            kind: CronJob
            name: nightly
            uid: f0000000-0000-4000-8000-000000000007
            controller: true
        spec:
          template:
            spec:
              containers:
              - name: main
                image: hello
                imagePullPolicy: Always
              restartPolicy: Never
              terminationGracePeriodSeconds: 30
    "#]],
    );
}

#[test]
fn somebody_starts_a_job_that_is_a_little_different() {
    let two = "spec: {jobTemplate: {spec: {template: {spec: {containers: [
        {name: main, image: hello, args: [a], env: [{name: LEVEL, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, {name: B, value: c}]},
        {name: other, image: hello}]}}}}}";
    by_hand(
        &[two],
        "now",
        "{env: {LEVEL: debug, NEW: '1'}, args: [--once], fuel: 5000000000}",
        expect![[r#"
        apiVersion: batch/v1
        kind: Job
        metadata:
          name: now
          namespace: default
          annotations:
            cronjob.kubernetes.io/instantiate: manual
            wick.dev/overrides: "{\"env\":{\"LEVEL\":\"debug\",\"NEW\":\"1\"},\"args\":[\"--once\"],\"fuel\":5000000000}"
          ownerReferences:
          - apiVersion: batch/v1
            kind: CronJob
            name: nightly
            uid: f0000000-0000-4000-8000-000000000007
            controller: true
        spec:
          template:
            spec:
              containers:
              - name: main
                image: hello
                args:
                - --once
                env:
                - name: LEVEL
                  value: debug
                - name: B
                  value: c
                - name: NEW
                  value: "1"
                resources:
                  limits:
                    wick.dev/fuel: "5000000000"
                imagePullPolicy: Always
              - name: other
                image: hello
                imagePullPolicy: Always
              restartPolicy: Never
              terminationGracePeriodSeconds: 30
    "#]],
    );
    by_hand(
        &[two],
        "now",
        "{container: other, env: {A: ''}}",
        expect![[r#"
        apiVersion: batch/v1
        kind: Job
        metadata:
          name: now
          namespace: default
          annotations:
            cronjob.kubernetes.io/instantiate: manual
            wick.dev/overrides: "{\"container\":\"other\",\"env\":{\"A\":\"\"}}"
          ownerReferences:
          - apiVersion: batch/v1
            kind: CronJob
            name: nightly
            uid: f0000000-0000-4000-8000-000000000007
            controller: true
        spec:
          template:
            spec:
              containers:
              - name: main
                image: hello
                args:
                - a
                env:
                - name: LEVEL
                  valueFrom:
                    fieldRef:
                      fieldPath: metadata.name
                - name: B
                  value: c
                imagePullPolicy: Always
              - name: other
                image: hello
                env:
                - name: A
                imagePullPolicy: Always
              restartPolicy: Never
              terminationGracePeriodSeconds: 30
    "#]],
    );
    by_hand(
        &[two],
        "now",
        "{container: third, env: {'': x, 'a=b': z}, fuel: 0}",
        expect![[r#"
        overrides.env[]: Required value: needed; give the variable a name
        overrides.env[a=b]: Invalid value: "a=b": must be printable ASCII without `=`
        overrides.fuel: Invalid value: 0: must be greater than 0: with no fuel nothing runs
        overrides.container: Not found: "third": the template's containers are `main`, `other`
    "#]],
    );
}

#[test]
fn overrides_that_cannot_be_read_are_none() {
    let mut job = cron_job::manual(&stored(&[]), "now", &RunOverrides::default()).unwrap();
    let annotations = &mut job.metadata.as_mut().unwrap().annotations;
    annotations.insert(cron_job::OVERRIDES.to_owned(), "{env: no".to_owned());
    assert_eq!(cron_job::manual_run(&job), Some(RunOverrides::default()));
}

#[test]
fn a_jitter_gives_each_cron_job_its_share() {
    let jitter = "metadata: {annotations: {wick.dev/jitter: 30s}}";
    let cron_job = stored(&[jitter]);
    let splay = |device: &str| cron_job::spec(&cron_job, &Bundled, device).splay;
    assert_eq!(splay("a"), sched::cron::splay("a", "default", "nightly", Millis::from_secs(30)));
    assert_ne!(splay("a"), splay("b"));
    assert_eq!(cron_job::jitter(&cron_job), Millis::from_secs(30));
}

#[test]
fn what_is_decided_from_is_what_was_asked_for() {
    let much = "
metadata: {annotations: {wick.dev/dst: RunOnce, wick.dev/catch-up: All, wick.dev/catch-up-limit: '7'}}
spec: {timeZone: Asia/Seoul, startingDeadlineSeconds: 100, concurrencyPolicy: Replace, suspend: true, failedJobsHistoryLimit: 0}
";
    let spec = cron_job::spec(&stored(&[much]), &Bundled, "device");
    let zone = spec.zone.and_then(|zone| zone.iana_name().map(str::to_owned));
    expect![[r#"
        Some("Asia/Seoul") Some("Asia/Seoul")
        Some(Millis(100000)) Replace true
        Some(3) Some(0)
        RunOnce All { limit: 7 }
    "#]]
    .assert_eq(&format!(
        "{zone:?} {:?}\n{:?} {:?} {}\n{:?} {:?}\n{:?} {:?}\n",
        spec.zone_name,
        spec.starting_deadline,
        spec.concurrency,
        spec.suspend,
        spec.successful_limit,
        spec.failed_limit,
        spec.dst,
        spec.catch_up
    ));
}

#[test]
fn the_zone_is_the_one_that_is_meant() {
    let zone = |schedule: &str, named: Option<&str>| {
        let mut cron_job = stored(&[]);
        let spec = cron_job.spec.as_mut().unwrap();
        spec.make_mut().schedule = schedule.to_owned();
        spec.make_mut().time_zone = named.map(str::to_owned);
        let spec = cron_job::spec(&cron_job, &Bundled, "device");
        assert_eq!(spec.schedule.is_ok(), schedule != "TZ=0", "{schedule}");
        spec.zone.map_or("none".to_owned(), |zone| zone.iana_name().unwrap_or("?").to_owned())
    };
    assert_eq!(zone("0 3 * * *", None), "Europe/Berlin");
    assert_eq!(zone("0 3 * * *", Some("Asia/Seoul")), "Asia/Seoul");
    assert_eq!(zone("0 3 * * *", Some("Mars/Olympus")), "none");
    assert_eq!(zone("TZ=Asia/Seoul 0 3 * * *", None), "Asia/Seoul");
    assert_eq!(zone("CRON_TZ=Local 0 3 * * *", None), "Europe/Berlin");
    assert_eq!(zone("TZ=Mars/Olympus 0 3 * * *", None), "none");
    assert_eq!(zone("TZ=0", None), "none");
}

#[test]
fn what_is_recorded_is_read_back() {
    let cron_job = new(&changed(&[])).stamp("nightly".to_owned(), UID, now()).unwrap();
    let mut state = cron_job::new_state(&cron_job, &Bundled, "device");
    assert_eq!(cron_job::state(&cron_job::record(cron_job.clone(), &state, 4), &Bundled, "device"), state);
    let at = |text: &str| text.parse().unwrap();
    state.since = at("2026-11-20T09:30:00Z");
    state.last_schedule = Some(at("2026-11-20T10:00:00Z"));
    state.last_successful = Some(at("2026-11-20T10:00:05Z"));
    state.active = vec![JobRef { name: "nightly-1".to_owned(), uid: "u".to_owned() }];
    state.settled = at("2026-11-20T12:00:00Z");
    let (first, last) = (at("2026-11-20T11:00:00Z"), at("2026-11-20T12:00:00Z"));
    state.open = Some(Missed { first, last, count: 2, why: Reason::Forbidden });
    state.held = Some(Held { slot: last, why: Reason::Suspended });
    state.next = Some(at("2026-11-20T13:00:00Z"));
    let mut cron_job = cron_job;
    cron_job::write_status(&mut cron_job, &state);
    expect![[r#"{"active":[{"kind":"Job","namespace":"default","name":"nightly-1","uid":"u","apiVersion":"batch/v1"}],"lastScheduleTime":"2026-11-20T10:00:00Z","lastSuccessfulTime":"2026-11-20T10:00:05Z"}"#]].assert_eq(&json::to_json(&cron_job)["status"].to_string());
    let record = cron_job::record(cron_job.clone(), &state, 4);
    assert_eq!(cron_job::state(&record, &Bundled, "device"), state);
    cron_job::begin_deletion(&mut cron_job, now());
    assert!(
        cron_job::state(&CronJobRecord { cron_job: Some(cron_job), ..record }, &Bundled, "device").deleting
    );
}

#[test]
fn a_record_that_says_nothing_is_read() {
    let state = cron_job::state(&CronJobRecord::default(), &Bundled, "device");
    assert!(state.spec.schedule.is_err());
    let slots =
        MissedSlots { first_seconds: i64::MIN, last_seconds: i64::MAX, count: 3, reason: "Later".to_owned() };
    assert_eq!(cron_job::missed(&slots).why, Reason::AgentDown);
}
