//! What a CronJob must be, and what it is where it says nothing.

use super::{document, lines, merge, now, value};
use crate::FieldErrors;
use crate::cron_job::NewCronJob;
use crate::json;
use crate::manifest::New;
use crate::pb::k8s::batch::v1::CronJob;
use expect_test::{Expect, expect};
use serde_json::Value;

/// A CronJob that is right.
pub(super) const RIGHT: &str = "
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: 0 3 * * *
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: main, image: hello}]
";

pub(super) fn changed(changes: &[&str]) -> Value {
    let mut cron_job = value(RIGHT);
    for change in changes {
        merge(&mut cron_job, value(change));
    }
    cron_job
}

pub(super) fn examined(manifest: &Value) -> (NewCronJob, FieldErrors) {
    match super::examined_any(&document(manifest)) {
        (New::CronJob(new), errors) => (*new, errors),
        (New::Job(_), _) => panic!("not a CronJob"),
    }
}

pub(super) fn new(manifest: &Value) -> NewCronJob {
    let (new, errors) = examined(manifest);
    assert!(errors.is_empty(), "{errors}");
    new
}

pub(super) const UID: &str = "f0000000-0000-4000-8000-000000000007";

/// The CronJob as it is stored.
pub(super) fn stored(changes: &[&str]) -> CronJob {
    new(&changed(changes)).stamp("nightly".to_owned(), UID, now()).unwrap()
}

/// Everything that is told about a new CronJob, a line each.
pub(super) fn told(manifest: &Value) -> String {
    let (new, mut errors) = examined(manifest);
    let of_rules = new.warnings().iter().filter(|warning| !warning.contains("has no effect: "));
    let warnings = of_rules.map(|warning| format!("warning: {warning}\n")).collect::<String>();
    if errors.is_empty()
        && let Err(more) = new.stamp("nightly".to_owned(), UID, now())
    {
        errors = more;
    }
    lines(&errors) + &warnings
}

fn row(changes: &[&str], expected: Expect) {
    expected.assert_eq(&told(&changed(changes)));
}

#[test]
fn a_name_leaves_room_for_the_slot() {
    // 52 characters.
    row(&["metadata: {name: xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxxxx5xx}"], expect![""]);
    row(
        &["metadata: {name: xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxxxx5xxx}"],
        expect![[r#"
        metadata.name: Invalid value: "xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxxxx5xxx": makes a name of 53 bytes; the most for a CronJob is 52
    "#]],
    );
    row(
        &["metadata: {name: null, generateName: xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxx-}"],
        expect![[r#"
            metadata.generateName: Invalid value: "xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxx-": makes a name of 53 bytes; the most for a CronJob is 52
        "#]],
    );
    row(
        &["metadata: {name: null, generateName: xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxxx-}"],
        expect![[r#"
            metadata.generateName: Invalid value: "xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxxx-": makes a name of 54 bytes; the most for a CronJob is 52
        "#]],
    );
    row(
        &["metadata: {name: Nightly}"],
        expect![[r#"
        metadata.name: Invalid value: "Nightly": must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
    "#]],
    );
    row(
        &["metadata: {name: null}"],
        expect![[r#"
        metadata.name: Required value: needed; give the object a name (or a generateName)
    "#]],
    );
    row(
        &["metadata: {name: a.b}"],
        expect![[r#"
        warning: metadata.name: `a.b` is no DNS label; Pods are better named without dots
    "#]],
    );
}

#[test]
fn a_schedule_is_one_of_kubernetes() {
    for schedule in ["'* * * * *'", "'@every 90s'", "'0 0 * * 7'", "'@daily'", "'*/5 8-18 * jan-mar mon,fri'"]
    {
        assert_eq!(told(&changed(&[&format!("spec: {{schedule: {schedule}}}")])), "", "{schedule}");
    }
    row(
        &["spec: {schedule: null}"],
        expect![[r#"
        spec.schedule: Required value: needed; give five fields (minute hour day month weekday), as in `0 3 * * *`
    "#]],
    );
    row(
        &["spec: {schedule: ''}"],
        expect![[r#"
        spec.schedule: Required value: needed; give five fields (minute hour day month weekday), as in `0 3 * * *`
    "#]],
    );
    row(
        &["spec: {schedule: '0 0 3 * * *'}"],
        expect![[r#"
        spec.schedule: Invalid value: "0 0 3 * * *": 6 fields; Kubernetes cron has 5 (minute hour day month weekday)
    "#]],
    );
    row(
        &["spec: {schedule: '0 24 * * *'}"],
        expect![[r#"
        spec.schedule: Invalid value: "0 24 * * *": hour: `24` is above 23; it must be from 0 to 23
    "#]],
    );
    row(
        &["spec: {schedule: '@reboot'}"],
        expect![[r#"
        spec.schedule: Invalid value: "@reboot": `@reboot` is not one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly and `@every DURATION`
    "#]],
    );
    row(
        &["spec: {schedule: TZ=Asia/Seoul 0 3 * * *}"],
        expect![[r#"
        spec.schedule: Invalid value: "TZ=Asia/Seoul 0 3 * * *": a zone is not taken within a schedule; give `0 3 * * *` and timeZone `Asia/Seoul`
        warning: spec.schedule: has a zone within, which no new CronJob may; give it as timeZone
    "#]],
    );
    row(
        &["spec: {schedule: CRON_TZ=UTC 0 3 * * *, timeZone: UTC}"],
        expect![[r#"
        spec.schedule: Invalid value: "CRON_TZ=UTC 0 3 * * *": has a zone within, and timeZone is given too; keep timeZone alone
    "#]],
    );
    row(
        &["spec: {schedule: TZ=0}"],
        expect![[r#"
        spec.schedule: Invalid value: "TZ=0": `TZ=0` is not taken within a schedule; give the zone as timeZone
    "#]],
    );
    row(
        &["spec: {schedule: TZ=UTC 0 3 * *}"],
        expect![[r#"
        spec.schedule: Invalid value: "TZ=UTC 0 3 * *": 4 fields; Kubernetes cron has 5 (minute hour day month weekday)
        spec.schedule: Invalid value: "TZ=UTC 0 3 * *": a zone is not taken within a schedule; give `0 3 * *` and timeZone `UTC`
    "#]],
    );
}

#[test]
fn a_zone_is_known_by_its_name() {
    for zone in ["UTC", "Etc/GMT+5", "EST5EDT", "Asia/Seoul"] {
        assert_eq!(told(&changed(&[&format!("spec: {{timeZone: {zone}}}")])), "", "{zone}");
    }
    row(
        &["spec: {timeZone: ''}"],
        expect![[r#"
        spec.timeZone: Invalid value: "": must not be empty; name a zone such as `Europe/Berlin`, or leave it out for the device's
    "#]],
    );
    row(
        &["spec: {timeZone: utc}"],
        expect![[r#"
        spec.timeZone: Invalid value: "utc": is no time zone this device knows; did you mean `UTC`?
    "#]],
    );
    row(
        &["spec: {timeZone: america/new_york}"],
        expect![[r#"
        spec.timeZone: Invalid value: "america/new_york": is no time zone this device knows; did you mean `America/New_York`?
    "#]],
    );
    row(
        &["spec: {timeZone: Local}"],
        expect![[r#"
        spec.timeZone: Invalid value: "Local": is no name of a zone; leave it out for the device's
    "#]],
    );
    row(
        &["spec: {timeZone: Europe/../UTC}"],
        expect![[r#"
        spec.timeZone: Invalid value: "Europe/../UTC": must be the name of a zone, as in `Europe/Berlin`
    "#]],
    );
    row(
        &["spec: {timeZone: Mars/Olympus}"],
        expect![[r#"
        spec.timeZone: Invalid value: "Mars/Olympus": is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
    "#]],
    );
}

#[test]
fn numbers_and_words_are_of_those_there_are() {
    row(
        &["spec: {startingDeadlineSeconds: -1, successfulJobsHistoryLimit: -2, failedJobsHistoryLimit: -3}"],
        expect![[r#"
            spec.startingDeadlineSeconds: Invalid value: -1: is too few; the least is 0
            spec.successfulJobsHistoryLimit: Invalid value: -2: is too few; the least is 0
            spec.failedJobsHistoryLimit: Invalid value: -3: is too few; the least is 0
        "#]],
    );
    row(
        &["spec: {concurrencyPolicy: forbid}"],
        expect![[r#"
        spec.concurrencyPolicy: Unsupported value: "forbid": supported values: "Allow", "Forbid", "Replace"
    "#]],
    );
    row(
        &["spec: {startingDeadlineSeconds: 9}"],
        expect![[r#"
        warning: spec.startingDeadlineSeconds: 9 s are few: a slot that is noticed later is skipped; 10 or more are better
    "#]],
    );
    row(
        &["spec: {startingDeadlineSeconds: 0}"],
        expect![[r#"
        warning: spec.startingDeadlineSeconds: with 0 no slot ever starts its Job
    "#]],
    );
    row(
        &["spec: {startingDeadlineSeconds: 10, successfulJobsHistoryLimit: 0, failedJobsHistoryLimit: 0}"],
        expect![""],
    );
}

#[test]
fn the_job_has_the_rules_of_jobs() {
    row(
        &["spec: null"],
        expect![[r#"
        spec: Required value: needed; say when the CronJob starts which Job
    "#]],
    );
    row(
        &["spec: {jobTemplate: null}"],
        expect![[r#"
        spec.jobTemplate: Required value: needed; say which Job is to be started
    "#]],
    );
    row(
        &["spec: {jobTemplate: {spec: null}}"],
        expect![[r#"
        spec.jobTemplate.spec: Required value: needed; say what the Job is to run
    "#]],
    );
    row(
        &["spec: {jobTemplate: {spec: {template: null}}}"],
        expect![[r#"
        spec.jobTemplate.spec.template: Required value: needed; say what the Job's Pods are to run
    "#]],
    );
    row(
        &[
            "spec: {jobTemplate: {spec: {parallelism: -1, backoffLimit: -2, completionMode: Some, podReplacementPolicy: ''}}}",
        ],
        expect![[r#"
            spec.jobTemplate.spec.parallelism: Invalid value: -1: is too few; the least is 0
            spec.jobTemplate.spec.backoffLimit: Invalid value: -2: is too few; the least is 0
            spec.jobTemplate.spec.completionMode: Unsupported value: "Some": supported values: "NonIndexed", "Indexed"
            spec.jobTemplate.spec.podReplacementPolicy: Unsupported value: "": supported values: "Failed", "TerminatingOrFailed"
        "#]],
    );
    row(
        &["spec: {jobTemplate: {spec: {selector: {}, manualSelector: true}}}"],
        expect![[r#"
        spec.jobTemplate.spec.selector: Invalid value: "": is made for each Job; leave it out
        spec.jobTemplate.spec.manualSelector: Unsupported value: "true": supported values: "false"
    "#]],
    );
    row(&["spec: {jobTemplate: {spec: {manualSelector: false}}}"], expect![""]);
    row(
        &["spec: {jobTemplate: {spec: {completionMode: Indexed}}}"],
        expect![[r#"
        spec.jobTemplate.spec.completions: Required value: needed; an Indexed Job has an index for each completion
    "#]],
    );
    row(
        &[
            "spec: {jobTemplate: {spec: {template: {spec: {restartPolicy: Always, containers: [{name: A, image: ''}]}}}}}",
        ],
        expect![[r#"
            spec.jobTemplate.spec.template.spec.restartPolicy: Required value: `Always` is not for Jobs; give `Never` or `OnFailure`
            spec.jobTemplate.spec.template.spec.containers[0].name: Invalid value: "A": must be up to 63 lower-case letters, digits and `-`, with a letter or digit at both ends
            spec.jobTemplate.spec.template.spec.containers[0].image: Required value: needed; name an image (wick image ls), or give a path to `wick apply`
        "#]],
    );
    row(
        &[
            "spec: {jobTemplate: {spec: {podFailurePolicy: {rules: [{action: FailIndex, onPodConditions: [{type: DisruptionTarget}]}]}}}}",
        ],
        expect![[r#"
            spec.jobTemplate.spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": needs spec.backoffLimitPerIndex to be given
        "#]],
    );
    // The names of its Pods are looked at when it starts.
    row(
        &[
            "metadata: {name: xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxxxx5xx}",
            "spec: {jobTemplate: {spec: {completionMode: Indexed, completions: 100000}}}",
        ],
        expect![""],
    );
}

#[test]
fn of_a_jobs_metadata_only_labels_and_annotations_count() {
    row(&["spec: {jobTemplate: {metadata: {labels: {a: b}, annotations: {c: d}}}}"], expect![""]);
    row(
        &["spec: {jobTemplate: {metadata: {labels: {a b: c d}, annotations: {e f: g}}}}"],
        expect![[r#"
        spec.jobTemplate.metadata.labels: Invalid value: "a b": must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, perhaps after a prefix such as `example.com/`
        spec.jobTemplate.metadata.labels[a b]: Invalid value: "c d": must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends
        spec.jobTemplate.metadata.annotations: Invalid value: "e f": must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, perhaps after a prefix such as `example.com/`
    "#]],
    );
    row(
        &[
            "spec: {jobTemplate: {metadata: {name: A B, namespace: x, finalizers: [f], ownerReferences: [{}]}}}",
        ],
        expect![[r#"
            warning: spec.jobTemplate.metadata.name: is not used: Jobs are named after their CronJob and slot, in its namespace
            warning: spec.jobTemplate.metadata.namespace: is not used: Jobs are named after their CronJob and slot, in its namespace
            warning: spec.jobTemplate.metadata.ownerReferences: is not used: Jobs get labels and annotations from here
            warning: spec.jobTemplate.metadata.finalizers: is not used: Jobs get labels and annotations from here
        "#]],
    );
    row(
        &["spec: {jobTemplate: {spec: {template: {metadata: {name: x, labels: {job-name: x}}}}}}"],
        expect![[r#"
            warning: spec.jobTemplate.spec.template.metadata.labels[job-name]: is filled in for each Job; leave it out, else its Jobs may be refused
            warning: spec.jobTemplate.spec.template.metadata.name: is not used: Pods are named after their Job, in its namespace
        "#]],
    );
}

#[test]
fn what_is_asked_for_beyond_kubernetes_is_read() {
    row(
        &[
            "metadata: {annotations: {wick.dev/dst: RunOnce, wick.dev/catch-up: All, wick.dev/catch-up-limit: '1000', wick.dev/jitter: 1h30m}}",
        ],
        expect![""],
    );
    row(
        &[
            "metadata: {annotations: {wick.dev/dst: runonce, wick.dev/catch-up: Some, wick.dev/catch-up-limit: '0', wick.dev/jitter: 25h}}",
        ],
        expect![[r#"
            metadata.annotations[wick.dev/dst]: Unsupported value: "runonce": supported values: "Kubernetes", "RunOnce"
            metadata.annotations[wick.dev/catch-up]: Unsupported value: "Some": supported values: "Last", "All", "None"
            metadata.annotations[wick.dev/catch-up-limit]: Invalid value: "0": must be a number from 1 to 1000
            metadata.annotations[wick.dev/jitter]: Invalid value: "25h": is too long; the most is 24h
        "#]],
    );
    row(
        &["metadata: {annotations: {wick.dev/catch-up-limit: '5', wick.dev/jitter: '30'}}"],
        expect![[r#"
        metadata.annotations[wick.dev/catch-up-limit]: Forbidden: is only for `wick.dev/catch-up: All`; say that too, or leave it out
        metadata.annotations[wick.dev/jitter]: Invalid value: "30": must be a duration such as `30s`, `5m` or `1h30m`, in units of h, m, s and ms
    "#]],
    );
    row(
        &["metadata: {annotations: {wick.dev/catch-up: All, wick.dev/catch-up-limit: '1001'}}"],
        expect![[r#"
        metadata.annotations[wick.dev/catch-up-limit]: Invalid value: "1001": must be a number from 1 to 1000
    "#]],
    );
    row(
        &[
            "metadata: {annotations: {wick.dev/DST: RunOnce, wick.dev/catchup: All, wick.dev/jiter: 5s, wick.dev/colour: red, wick.dev/allow-net: 'a:1', dst: x}}",
        ],
        expect![[r#"
            warning: metadata.annotations[wick.dev/DST]: is not used; did you mean `wick.dev/dst`?
            warning: metadata.annotations[wick.dev/allow-net]: is not used here: it belongs in spec.jobTemplate.spec.template.metadata.annotations
            warning: metadata.annotations[wick.dev/catchup]: is not used; did you mean `wick.dev/catch-up`?
            warning: metadata.annotations[wick.dev/colour]: is not used; a CronJob can have `wick.dev/dst`, `wick.dev/catch-up`, `wick.dev/catch-up-limit`, `wick.dev/jitter`
            warning: metadata.annotations[wick.dev/jiter]: is not used; did you mean `wick.dev/jitter`?
        "#]],
    );
}

#[test]
fn all_is_told_at_once() {
    row(
        &[
            "{metadata: {name: null, annotations: {wick.dev/dst: x}}, spec: {schedule: '* *', timeZone: utc, suspend: true, concurrencyPolicy: x, jobTemplate: {spec: {template: {spec: {restartPolicy: x, hostPID: true}}}}}}",
        ],
        expect![[r#"
            metadata.name: Required value: needed; give the object a name (or a generateName)
            metadata.annotations[wick.dev/dst]: Unsupported value: "x": supported values: "Kubernetes", "RunOnce"
            spec.schedule: Invalid value: "* *": 2 fields; Kubernetes cron has 5 (minute hour day month weekday)
            spec.jobTemplate.spec.template.spec.restartPolicy: Unsupported value: "x": supported values: "Never", "OnFailure"
            spec.jobTemplate.spec.template.spec.hostPID: Forbidden: guests cannot see processes; remove it
            spec.timeZone: Invalid value: "utc": is no time zone this device knows; did you mean `UTC`?
            spec.concurrencyPolicy: Unsupported value: "x": supported values: "Allow", "Forbid", "Replace"
        "#]],
    );
}

#[test]
fn what_is_not_said_is_filled_in() {
    let spec = json::to_json(&stored(&["spec: {jobTemplate: {spec: {podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: A}]}]}}}}"]))["spec"].clone();
    expect![[r#"
        {
          "schedule": "0 3 * * *",
          "concurrencyPolicy": "Allow",
          "suspend": false,
          "jobTemplate": {
            "spec": {
              "podFailurePolicy": {
                "rules": [
                  {
                    "action": "Ignore",
                    "onPodConditions": [
                      {
                        "type": "A",
                        "status": "True"
                      }
                    ]
                  }
                ]
              },
              "template": {
                "spec": {
                  "containers": [
                    {
                      "name": "main",
                      "image": "hello",
                      "imagePullPolicy": "Always"
                    }
                  ],
                  "restartPolicy": "Never",
                  "terminationGracePeriodSeconds": 30
                }
              }
            }
          },
          "successfulJobsHistoryLimit": 3,
          "failedJobsHistoryLimit": 1
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&spec).unwrap());
}
