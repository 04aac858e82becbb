//! Jobs of every kind, as people would write them.

use api::pb::k8s::batch::v1::Job;
use api::{Grants, NewJob, Shared};
use fastrand::Rng;
use serde_json::{Map, Value, json};

/// Images that manifests name; a device may not have all of them.
pub(crate) const IMAGES: [&str; 3] = ["hello", "sensor", "report"];

/// What a world's Jobs are like.
#[derive(Clone, Copy)]
pub(crate) struct Taste {
    /// Nothing but counts: what becomes of such a Job can be told from its Pods alone.
    pub(crate) plain: bool,
    /// The largest `parallelism` and `completions`.
    pub(crate) largest: u32,
    /// CronJobs may be due every few minutes.
    pub(crate) busy: bool,
}

/// A manifest; not every one is taken.
pub(crate) fn manifest(name: &str, taste: Taste, rng: &mut Rng) -> String {
    let spec = spec(name, taste, rng);
    let mut metadata = json!({"name": name});
    if rng.bool() {
        metadata["labels"] = json!({"team": rng.u8(0..3).to_string()});
    }
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}).to_string()
}

/// What is asked of a Job.
pub(crate) fn spec(name: &str, taste: Taste, rng: &mut Rng) -> Map<String, Value> {
    let never = rng.bool();
    let mut spec = Map::new();
    let mut set = |key: &str, value: Value| {
        spec.insert(key.to_owned(), value);
    };
    let indexed = !taste.plain && rng.u8(0..3) == 0;
    let completions = rng.u32(0..=taste.largest);
    if indexed {
        set("completionMode", json!("Indexed"));
    }
    if indexed || rng.u8(0..4) > 0 {
        set("completions", json!(completions));
    }
    if rng.u8(0..4) > 0 {
        set("parallelism", json!(rng.u32(0..=taste.largest.min(6))));
    }
    if rng.bool() {
        set("backoffLimit", json!(rng.u32(0..=8)));
    }
    if rng.u8(0..4) == 0 {
        set("activeDeadlineSeconds", json!(rng.u32(0..=600)));
    }
    if !taste.plain {
        fancy(&mut set, indexed, never, completions, rng);
    }
    let policy = if never { "Never" } else { "OnFailure" };
    set("template", json!({"metadata": {"labels": {"app": name}}, "spec": pod(policy, taste, rng)}));
    spec
}

fn fancy(set: &mut impl FnMut(&str, Value), indexed: bool, never: bool, completions: u32, rng: &mut Rng) {
    if rng.u8(0..5) == 0 {
        set("ttlSecondsAfterFinished", json!(rng.u32(0..=1000)));
    }
    if rng.u8(0..8) == 0 {
        set("suspend", json!(true));
    }
    if rng.u8(0..20) == 0 {
        set("managedBy", json!("example.com/other"));
    }
    let per_index = indexed && never && rng.bool();
    if per_index {
        set("backoffLimitPerIndex", json!(rng.u32(0..=2)));
        if rng.bool() {
            set("maxFailedIndexes", json!(rng.u32(0..=completions)));
        }
    }
    if indexed && completions > 0 && rng.u8(0..4) == 0 {
        let count = rng.u32(1..=completions);
        set("successPolicy", json!({"rules": [{"succeededCount": count}]}));
    }
    if never && rng.u8(0..3) == 0 {
        let first = ["FailJob", "Ignore", "Count"][rng.usize(0..3)];
        let first = if per_index && rng.bool() { "FailIndex" } else { first };
        let disrupted = json!({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]});
        let coded = json!({"action": first, "onExitCodes": {"operator": "In", "values": [42]}});
        set("podFailurePolicy", json!({"rules": [coded, disrupted]}));
    } else if rng.u8(0..4) == 0 {
        set("podReplacementPolicy", json!("Failed"));
    }
}

fn pod(policy: &str, taste: Taste, rng: &mut Rng) -> Value {
    let container =
        |name: &str, rng: &mut Rng| json!({"name": name, "image": IMAGES[rng.usize(0..IMAGES.len())]});
    let mut containers = vec![container("main", rng)];
    if rng.u8(0..5) == 0 {
        containers.push(container("beside", rng));
    }
    let mut spec = json!({"restartPolicy": policy, "containers": containers});
    if rng.u8(0..6) == 0 {
        spec["activeDeadlineSeconds"] = json!(rng.u32(1..=600));
    }
    if rng.u8(0..3) == 0 {
        spec["terminationGracePeriodSeconds"] = json!(rng.u32(0..=40));
    }
    if rng.u8(0..4) == 0 {
        spec["containers"][0]["resources"] = json!({"requests": {"cpu": "600m", "memory": "64Mi"}});
    }
    if !taste.plain && rng.u8(0..4) == 0 {
        let mut first = container("prepare", rng);
        if rng.bool() {
            first["restartPolicy"] = json!("Always");
        }
        spec["initContainers"] = json!([first]);
    }
    spec
}

/// The Job of a manifest, if it is taken.
pub(crate) fn parse(manifest: &str) -> Option<NewJob> {
    let document = api::manifest::parse(manifest).ok()?.into_iter().next()?;
    match document.object.ok()? {
        api::manifest::Object::Job(job) => NewJob::check(*job, &Grants::default()).ok(),
        api::manifest::Object::CronJob(_) => None,
    }
}

/// A change somebody might make to a Job that exists; not every one is allowed.
pub(crate) fn edit(job: &Job, rng: &mut Rng) -> Job {
    let mut job = job.clone();
    // Half of the writers say which version they read.
    if rng.bool()
        && let Some(meta) = &mut job.metadata
    {
        meta.resource_version = String::new();
    }
    let Some(spec) = job.spec.as_mut().map(Shared::make_mut) else { return job };
    match rng.u8(0..8) {
        0 => spec.parallelism = Some(rng.i32(0..=6)),
        1 => spec.suspend = Some(spec.suspend != Some(true)),
        2 => spec.backoff_limit = Some(rng.i32(0..=8)),
        3 => spec.active_deadline_seconds = rng.bool().then(|| rng.i64(0..=600)),
        4 => spec.ttl_seconds_after_finished = rng.bool().then(|| rng.i32(0..=600)),
        5 => spec.completions = Some(rng.i32(0..=6)), // Refused, or elastic.
        6 => {
            let size = rng.i32(0..=6);
            (spec.completions, spec.parallelism) = (Some(size), Some(size));
        }
        _ => {
            let labels = &mut job.metadata.get_or_insert_default().labels;
            labels.insert("edited".to_owned(), rng.u8(0..9).to_string());
        }
    }
    job
}
