//! Manifests, made from what a test is about.
//!
//! They are JSON, which is YAML too: a test sets a field by its path, `job["spec"]["completions"] = 3.into()`.

use std::path::Path;

use api::manifest::Object;
use api::pb::k8s::batch::v1::{CronJob, Job};
use serde_json::{Value, json};

use crate::programs;

/// A Job of one Pod that is not tried again. `image` is a name, or a path that `wick apply` pushes.
pub fn job(name: &str, image: impl AsRef<Path>) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "backoffLimit": 0,
            "template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "main", "image": image.as_ref().to_str().expect("a path in UTF-8")}],
            }},
        },
    })
}

/// A Job whose guest, `work` of the examples, sleeps for `ms` and says when it began and ended.
pub fn work(name: &str, ms: u64) -> Value {
    let mut job = job(name, programs::guest("work"));
    set_env(&mut job, "WORK_MS", &ms.to_string());
    let from = json!({"fieldRef": {"fieldPath": "metadata.name"}});
    push(&mut container(&mut job)["env"], json!({"name": "POD_NAME", "valueFrom": from}));
    job
}

/// A Job whose guest does not end by itself before a test does.
pub fn endless(name: &str) -> Value {
    work(name, 600_000)
}

/// A CronJob whose Jobs are like this one.
pub fn cron_job(name: &str, schedule: &str, job: &Value) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {"schedule": schedule, "jobTemplate": {"spec": job["spec"]}},
    })
}

/// The Pod's part of a Job.
pub fn pod(job: &mut Value) -> &mut Value {
    &mut job["spec"]["template"]["spec"]
}

/// A Job's only container.
pub fn container(job: &mut Value) -> &mut Value {
    &mut pod(job)["containers"][0]
}

/// Sets one of the container's variables.
pub fn set_env(job: &mut Value, name: &str, value: &str) {
    push(&mut container(job)["env"], json!({"name": name, "value": value}));
}

/// Adds a volume, and mounts it.
pub fn mount(job: &mut Value, name: &str, path: &str, source: Value) {
    let mut volume = source;
    volume["name"] = name.into();
    push(&mut pod(job)["volumes"], volume);
    push(&mut container(job)["volumeMounts"], json!({"name": name, "mountPath": path}));
}

fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        none => *none = Value::Array(vec![item]),
    }
}

/// The Job as a generated client sends it.
pub fn message(job: &Value) -> Job {
    match object(job) {
        Object::Job(job) => *job,
        Object::CronJob(_) => panic!("not a Job: {job}"),
    }
}

/// The CronJob as a generated client sends it.
pub fn cron_job_message(cron_job: &Value) -> CronJob {
    match object(cron_job) {
        Object::CronJob(cron_job) => *cron_job,
        Object::Job(_) => panic!("not a CronJob: {cron_job}"),
    }
}

fn object(manifest: &Value) -> Object {
    let documents = api::manifest::parse(&manifest.to_string()).expect("JSON is YAML");
    match documents.into_iter().next().map(|document| document.object) {
        Some(Ok(object)) => object,
        other => panic!("not an object: {other:?}"),
    }
}
