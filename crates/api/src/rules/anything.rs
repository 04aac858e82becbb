//! Whatever is done to a manifest, it is answered: taken, and then it is what was asked for, or refused with a path.

use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;
use serde_json::{Value, json};

use super::{Bundled, document, examined_any, now, value};
use crate::FieldErrors;
use crate::cron_job::{self, NewCronJob, Template};
use crate::job::NewJob;
use crate::json;
use crate::manifest::New;
use crate::pb::wick::v1::RunOverrides;

/// A Job that says much of what can be said.
const MUCH: &str = "
apiVersion: batch/v1
kind: Job
metadata:
  name: hello
  labels: {app: hello}
  annotations: {a: b}
  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: a, uid: b, controller: true}]
spec:
  parallelism: 2
  completions: 5
  completionMode: Indexed
  activeDeadlineSeconds: 60
  backoffLimit: 3
  backoffLimitPerIndex: 1
  maxFailedIndexes: 2
  ttlSecondsAfterFinished: 9
  suspend: false
  podReplacementPolicy: Failed
  managedBy: example.com/x
  podFailurePolicy:
    rules:
    - {action: FailJob, onExitCodes: {containerName: main, operator: In, values: [1, 42]}}
    - {action: Ignore, onPodConditions: [{type: DisruptionTarget, status: 'True'}]}
  successPolicy: {rules: [{succeededIndexes: '0,2-4', succeededCount: 2}]}
  template:
    metadata: {labels: {app: hello}, annotations: {wick.dev/allow-net: '10.0.0.7:1883'}}
    spec:
      restartPolicy: Never
      activeDeadlineSeconds: 30
      terminationGracePeriodSeconds: 5
      initContainers:
      - {name: init, image: hello, restartPolicy: Always, startupProbe: {tcpSocket: {port: web}}}
      containers:
      - name: main
        image: 'hello:1'
        command: [a]
        env:
        - {name: A, value: b}
        - {name: B, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}
        - {name: C, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
        envFrom: [{prefix: X_, configMapRef: {name: a}}]
        ports: [{name: web, containerPort: 80}]
        resources: {limits: {cpu: 500m, memory: 64Mi}, requests: {cpu: 100m}}
        volumeMounts: [{name: v, mountPath: /v, subPath: a/b}]
        livenessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 3}
        lifecycle: {preStop: {sleep: {seconds: 1}}}
        restartPolicy: Never
        restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [3]}}]
      volumes:
      - {name: v, emptyDir: {sizeLimit: 1Mi}}
      - {name: files, projected: {sources: [{configMap: {name: a, items: [{key: a, path: b}]}}]}}
";

/// A CronJob that says much of what can be said.
const MUCH_OF_CRON_JOBS: &str = "
apiVersion: batch/v1
kind: CronJob
metadata:
  name: nightly
  labels: {app: hello}
  annotations:
    wick.dev/dst: RunOnce
    wick.dev/catch-up: All
    wick.dev/catch-up-limit: '5'
    wick.dev/jitter: 1m30s
spec:
  schedule: '*/5 8-18,22 1-15/2 jan-mar mon,fri'
  timeZone: America/New_York
  startingDeadlineSeconds: 60
  concurrencyPolicy: Forbid
  suspend: true
  successfulJobsHistoryLimit: 5
  failedJobsHistoryLimit: 0
  jobTemplate:
    metadata: {labels: {app: hello}, annotations: {a: b}}
    spec:
      parallelism: 2
      completionMode: Indexed
      completions: 3
      backoffLimitPerIndex: 1
      template:
        metadata: {labels: {app: hello}}
        spec:
          restartPolicy: Never
          containers: [{name: main, image: hello, env: [{name: A, value: b}], args: [x]}]
";

#[test]
fn much_is_right() {
    for manifest in [MUCH, MUCH_OF_CRON_JOBS] {
        let (_, errors) = examined_any(&document(&value(manifest)));
        assert!(errors.is_empty(), "{errors}");
    }
}

#[test]
fn anything_is_answered() {
    arbtest(|u| {
        let mut manifest = value(u.choose(&[MUCH, MUCH_OF_CRON_JOBS])?);
        for _ in 0..u.int_in_range(1..=4)? {
            change(&mut manifest, u)?;
        }
        let Ok(documents) = crate::manifest::parse(&manifest.to_string()) else { return Ok(()) };
        for document in documents {
            if !["Job", "CronJob"].contains(&document.kind.as_str()) {
                assert!(document.check("default", &super::grants(), &Bundled).is_err());
                continue;
            }
            let (new, errors) = document.examine("default", &super::grants(), &Bundled);
            are_told(&errors);
            let supported = errors.iter().any(|error| !error.detail.starts_with("not supported yet"));
            match new.filter(|_| !supported) {
                Some(New::Job(new)) => {
                    let job = new.clone().stamp("hello".to_owned(), UID, now());
                    assert_eq!(new.revise(&job).unwrap(), None, "{manifest}");
                }
                Some(New::CronJob(new)) => cron_job(*new, &manifest, u)?,
                None => {}
            }
        }
        Ok(())
    })
    .budget_ms(3_000);
}

const UID: &str = "f0000000-0000-4000-8000-000000000001";

/// Each has a place and words.
fn are_told(errors: &FieldErrors) {
    let known = |path: &str| path.is_empty() || path.starts_with(|c: char| c.is_ascii_alphabetic());
    assert!(errors.iter().all(|error| known(error.path.as_str()) && !error.detail.is_empty()));
    assert!(errors.iter().all(|error| !error.kubernetes().is_empty()));
}

/// One that is taken can be stored, decided from, and started: each of its Jobs is one that may be, or something in the
/// template does not fit its name.
fn cron_job(new: NewCronJob, manifest: &Value, u: &mut Unstructured<'_>) -> Result<()> {
    let stored = match new.clone().stamp("nightly".to_owned(), UID, now()) {
        Ok(stored) => stored,
        Err(errors) => {
            are_told(&errors);
            return Ok(());
        }
    };
    assert_eq!(new.revise(&stored).unwrap(), None, "{manifest}");
    for text in [json::to_json(&stored).to_string(), json::to_yaml(&stored)] {
        let (again, errors) = examined_any(&crate::manifest::parse(&text).unwrap().remove(0));
        assert!(errors.is_empty(), "{errors} {text}");
        let New::CronJob(again) = again else { panic!("{text}") };
        assert_eq!(again.revise(&stored).unwrap(), None, "{text}");
    }
    let mut state = cron_job::new_state(&stored, &Bundled, "device");
    assert!(state.spec.schedule.is_ok() && state.spec.zone.is_some(), "{manifest}");
    state.last_schedule = Some(now());
    let mut written = stored.clone();
    cron_job::write_status(&mut written, &state);
    let record = cron_job::record(written, &state, 1);
    assert_eq!(cron_job::state(&record, &Bundled, "device"), state, "{manifest}");

    let job = Template::of(&stored).job(now(), "nightly-1", state.spec.zone.as_ref());
    if let Ok(job) = job {
        let job = job.stamp("nightly-1".to_owned(), UID, now());
        let (again, errors) = NewJob::examine(job.clone(), &super::grants());
        assert!(
            errors.iter().all(|error| error.detail.starts_with("not supported yet")),
            "{errors} {manifest}"
        );
        assert_eq!(again.revise(&job).unwrap(), None, "{manifest}");
        assert_eq!(cron_job::scheduled_slot(&job), Some(now()));
    }
    let overrides = RunOverrides {
        container: (*u.choose(&["", "main", "other"])?).to_owned(),
        env: [(u.arbitrary()?, u.arbitrary()?)].into(),
        args: u.arbitrary()?,
        fuel: u.arbitrary()?,
    };
    match cron_job::manual(&stored, "by-hand", &overrides) {
        Ok(job) => assert_eq!(cron_job::manual_run(&job), Some(overrides)),
        Err(errors) => are_told(&errors),
    }
    Ok(())
}

/// Changes something somewhere in a document.
fn change(place: &mut Value, u: &mut Unstructured<'_>) -> Result<()> {
    let inside = u.ratio(7, 8)?;
    match place {
        Value::Object(entries) if inside && !entries.is_empty() => {
            let key = u.choose(&entries.keys().cloned().collect::<Vec<_>>())?.clone();
            match u.int_in_range(0..=9)? {
                0 => drop(entries.remove(&key)),
                1 => drop(entries.insert(format!("{key}x"), anything(u)?)),
                _ => change(entries.get_mut(&key).unwrap_or(&mut Value::Null), u)?,
            }
        }
        Value::Array(elements) if inside && !elements.is_empty() => {
            let index = u.choose_index(elements.len())?;
            match u.int_in_range(0..=9)? {
                0 => drop(elements.remove(index)),
                1 => elements.push(elements[index].clone()),
                2 => elements.push(anything(u)?),
                _ => change(&mut elements[index], u)?,
            }
        }
        place => *place = anything(u)?,
    }
    Ok(())
}

const WORDS: [&str; 18] = [
    "",
    "Always",
    "Indexed",
    "NonIndexed",
    "0-4",
    "-",
    "..",
    "../a",
    "1e999",
    "ü",
    "TZ=UTC 0 3 * * *",
    "CRON_TZ=",
    "@every 1h",
    "0 0 31 2 *",
    "utc",
    "UTC",
    "None",
    "99999999999999999999h",
];

fn anything(u: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match u.int_in_range(0..=12)? {
        0 => Value::Null,
        1 => u.arbitrary::<bool>()?.into(),
        2 => u.arbitrary::<i64>()?.into(),
        3 => i32::MAX.into(),
        4 => (-1).into(),
        5 => 0.into(),
        6 => 0.5.into(),
        7 => u.arbitrary::<String>()?.into(),
        8 => (*u.choose(&WORDS)?).into(),
        9 => json!([]),
        10 => json!({}),
        11 => json!([u.arbitrary::<i32>()?, null, "a"]),
        _ => json!({"name": "a", "key": {"b": [1]}}),
    })
}
