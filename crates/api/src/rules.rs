//! Kubernetes' rules, row by row: what a manifest says, and everything that is told about it.
//!
//! Each row is a change to a Job that is right. What Wick cannot do yet, and what means nothing here, is left out, so that
//! rules are tested whether or not it can; mistakes are shown in Kubernetes' form, with their class.

mod accepted;
mod anything;
mod cron_jobs;
mod cron_jobs_kept;
mod cron_jobs_started;
mod guides;
mod jobs;
mod once;
mod patched;
mod pods;
mod policies;
mod sources;
mod status;
mod update;

use crate::FieldErrors;
use crate::job::{Grants, NewJob};
use crate::manifest::{self, Document, New};
use crate::pb::k8s::batch::v1::Job;
use expect_test::Expect;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use sched::cron_job::Zones;
use serde_json::Value;

/// A Job that is right.
pub(crate) const RIGHT: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: hello}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: hello}]
";

pub(crate) fn value(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap()
}

/// Puts a change over a document: maps are merged, everything else is replaced, and `null` takes away.
pub(crate) fn merge(document: &mut Value, change: Value) {
    let Value::Object(change) = change else {
        *document = change;
        return;
    };
    if !document.is_object() {
        *document = Value::Object(serde_json::Map::new());
    }
    let Value::Object(document) = document else { unreachable!("it was made one") };
    for (key, change) in change {
        if change.is_null() {
            document.remove(&key);
        } else {
            merge(document.entry(key).or_insert(Value::Null), change);
        }
    }
}

/// The Job that is right, with changes.
pub(crate) fn changed(changes: &[&str]) -> Value {
    let mut job = value(RIGHT);
    for change in changes {
        merge(&mut job, value(change));
    }
    job
}

pub(crate) fn document(manifest: &Value) -> Document {
    manifest::parse(&manifest.to_string()).unwrap().remove(0)
}

/// The zones that come with jiff, by their exact names; the device's own is Berlin's.
#[derive(Debug)]
pub(crate) struct Bundled;

impl Zones for Bundled {
    fn find(&self, name: &str) -> Option<TimeZone> {
        let zone = TimeZoneDatabase::bundled().get(name).ok()?;
        (zone.iana_name() == Some(name)).then_some(zone)
    }

    fn local(&self) -> TimeZone {
        self.find("Europe/Berlin").unwrap()
    }
}

/// What may be granted is not what these tests are about.
pub(crate) fn grants() -> Grants {
    Grants { host_paths: vec!["/data".into()] }
}

/// What the rules say of a manifest: the Job that was read, and all that is wrong with it.
pub(crate) fn examined(document: &Document) -> (NewJob, FieldErrors) {
    let (new, errors) = examined_any(document);
    match new {
        New::Job(new) => (*new, errors),
        New::CronJob(_) => panic!("not a Job"),
    }
}

/// The same of either kind.
pub(crate) fn examined_any(document: &Document) -> (New, FieldErrors) {
    let (new, mut errors) = document.examine("default", &grants(), &Bundled);
    errors.retain(|error| !error.detail.starts_with("not supported yet"));
    (new.unwrap(), errors.cut())
}

/// Everything that is told about a Job's manifest, a line each.
pub(crate) fn told(manifest: &Value) -> String {
    let (new, errors) = examined(&document(manifest));
    let of_rules = new.warnings().iter().filter(|warning| !warning.contains("has no effect: "));
    let warnings = of_rules.map(|warning| format!("warning: {warning}\n"));
    lines(&errors) + &warnings.collect::<String>()
}

pub(crate) fn lines(errors: &FieldErrors) -> String {
    errors.iter().map(|error| format!("{}: {}\n", error.path, error.kubernetes())).collect()
}

/// One row: a change to the Job that is right, or several, and what is told.
pub(crate) fn row(changes: &[&str], expected: Expect) {
    expected.assert_eq(&told(&changed(changes)));
}

/// A change to the Pod's part.
pub(crate) fn pod(change: &str, expected: Expect) {
    let mut job = value(RIGHT);
    merge(&mut job["spec"]["template"]["spec"], value(change));
    expected.assert_eq(&told(&job));
}

/// A change to the only container.
pub(crate) fn container(change: &str, expected: Expect) {
    let mut job = value(RIGHT);
    merge(&mut job["spec"]["template"]["spec"]["containers"][0], value(change));
    expected.assert_eq(&told(&job));
}

/// The Job as it is stored.
pub(crate) fn stored(changes: &[&str]) -> Job {
    new(&changed(changes)).stamp("hello".to_owned(), "f0000000-0000-4000-8000-000000000001", now())
}

/// A Job that is right, whether or not Wick can do it yet.
pub(crate) fn new(manifest: &Value) -> NewJob {
    let (new, errors) = examined(&document(manifest));
    assert!(errors.is_empty(), "{errors}");
    new
}

pub(crate) fn now() -> jiff::Timestamp {
    "2026-11-20T09:00:00Z".parse().unwrap()
}
