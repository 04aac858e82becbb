//! CronJobs of every kind, as people would write them.

use api::pb::k8s::batch::v1::CronJob;
use api::{Grants, NewCronJob, Shared};
use fastrand::Rng;
use sched::cron_job::Zones;
use serde_json::{Map, json};

use crate::jobs::{self, Taste};
use crate::zones;

/// Those that come due often; not in every world.
const BUSY: [&str; 7] =
    ["* * * * *", "*/2 * * * *", "*/5 * * * *", "*/7 * * * *", "@every 90s", "@every 45s", "@every 4m"];
const CALM: [&str; 16] = [
    "*/15 * * * *",
    "*/20 1-4 * * *",
    "0 * * * *",
    "17 * * * *",
    "@hourly",
    "30 */3 * * *",
    "0 2 * * *",
    "30 2 * * *",
    "15 1-3 * * *",
    "5,35 1,2,3 * * *",
    "0 0 * * 1-5",
    "45 23 * * 0",
    "@daily",
    "@every 25m",
    "@every 3h",
    "@every 26h",
];

/// Where clocks change by half an hour Kubernetes goes past slots of these that a plain walk finds.
const NOT_IN_HALF_HOURS: [&str; 3] = ["0 2 * * *", "0 0 * * 1-5", "@daily"];

fn can_be_walked(schedule: &str, zone: Option<&str>) -> bool {
    zone != Some(zones::HALF_HOUR) || !NOT_IN_HALF_HOURS.contains(&schedule)
}

fn schedule_in(zone: Option<&str>, taste: Taste, rng: &mut Rng) -> &'static str {
    let schedule = schedule(taste, rng);
    if can_be_walked(schedule, zone) { schedule } else { "*/15 * * * *" }
}

fn schedule(taste: Taste, rng: &mut Rng) -> &'static str {
    match taste.busy && rng.bool() {
        true => BUSY[rng.usize(0..BUSY.len())],
        false => CALM[rng.usize(0..CALM.len())],
    }
}

fn zone(rng: &mut Rng) -> Option<&'static str> {
    (rng.u8(0..3) > 0).then(|| zones::NAMES[rng.usize(0..zones::NAMES.len())])
}

fn deadline(rng: &mut Rng) -> Option<i64> {
    [None, None, None, Some(0), Some(1), Some(10), Some(40), Some(600), Some(7200)][rng.usize(0..9)]
}

const POLICIES: [&str; 4] = ["Allow", "Forbid", "Forbid", "Replace"];

/// What becomes of missed slots, with how many.
fn catch_up(rng: &mut Rng) -> Option<(&'static str, Option<&'static str>)> {
    let all = [None, None, None, None, Some(("Last", None)), Some(("None", None)), Some(("All", None))];
    let some = [Some(("All", Some("1"))), Some(("All", Some("3")))];
    let at = rng.usize(0..all.len() + some.len());
    if at < all.len() { all[at] } else { some[at - all.len()] }
}

/// A manifest; not every one is taken.
pub(crate) fn manifest(name: &str, taste: Taste, rng: &mut Rng) -> String {
    let mut spec = Map::new();
    let zone = zone(rng);
    spec.insert("schedule".to_owned(), json!(schedule_in(zone, taste, rng)));
    if let Some(zone) = zone {
        spec.insert("timeZone".to_owned(), json!(zone));
    }
    if let Some(deadline) = deadline(rng) {
        spec.insert("startingDeadlineSeconds".to_owned(), json!(deadline));
    }
    spec.insert("concurrencyPolicy".to_owned(), json!(POLICIES[rng.usize(0..POLICIES.len())]));
    if rng.u8(0..6) == 0 {
        spec.insert("suspend".to_owned(), json!(true));
    }
    for limit in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        if rng.bool() {
            spec.insert(limit.to_owned(), json!(rng.u8(0..4)));
        }
    }
    let mut job = jobs::spec(name, taste, rng);
    // What nobody ends by hand would never end.
    for key in ["suspend", "managedBy"] {
        job.remove(key);
    }
    if job.get("parallelism").is_some_and(|parallelism| parallelism == 0) {
        job.insert("parallelism".to_owned(), json!(1));
    }
    spec.insert("jobTemplate".to_owned(), json!({"metadata": {"labels": {"of": name}}, "spec": job}));
    let mut annotations = Map::new();
    if rng.u8(0..4) == 0 {
        annotations.insert(api::cron_job::DST.to_owned(), json!("RunOnce"));
    }
    if let Some((what, limit)) = catch_up(rng) {
        annotations.insert(api::cron_job::CATCH_UP.to_owned(), json!(what));
        if let Some(limit) = limit {
            annotations.insert(api::cron_job::CATCH_UP_LIMIT.to_owned(), json!(limit));
        }
    }
    if rng.u8(0..4) == 0 {
        let jitter = ["30s", "90s", "10m"][rng.usize(0..3)];
        annotations.insert(api::cron_job::JITTER.to_owned(), json!(jitter));
    }
    let metadata = json!({"name": name, "annotations": annotations});
    json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}).to_string()
}

/// The CronJob of a manifest, if it is taken.
pub(crate) fn parse(manifest: &str, zones: &dyn Zones) -> Option<NewCronJob> {
    let document = api::manifest::parse(manifest).ok()?.into_iter().next()?;
    match document.object.ok()? {
        api::manifest::Object::CronJob(cron_job) => {
            NewCronJob::check(*cron_job, &Grants::default(), zones).ok()
        }
        api::manifest::Object::Job(_) => None,
    }
}

/// A change somebody might make to a CronJob that exists; not every one is allowed.
pub(crate) fn edit(cron_job: &CronJob, taste: Taste, rng: &mut Rng) -> CronJob {
    let mut cron_job = cron_job.clone();
    let meta = cron_job.metadata.get_or_insert_default();
    // Half of the writers say which version they read.
    if rng.bool() {
        meta.resource_version = String::new();
    }
    let Some(spec) = cron_job.spec.as_mut().map(Shared::make_mut) else { return cron_job };
    match rng.u8(0..12) {
        0 => schedule_in(spec.time_zone.as_deref(), taste, rng).clone_into(&mut spec.schedule),
        1 => {
            let zone = zone(rng).filter(|zone| can_be_walked(&spec.schedule, Some(zone)));
            spec.time_zone = zone.map(str::to_owned);
        }
        2..=4 => spec.suspend = Some(spec.suspend != Some(true)),
        5 => POLICIES[rng.usize(0..POLICIES.len())].clone_into(&mut spec.concurrency_policy),
        6 => spec.starting_deadline_seconds = deadline(rng),
        7 => spec.successful_jobs_history_limit = Some(rng.i32(0..4)),
        8 => spec.failed_jobs_history_limit = Some(rng.i32(0..4)),
        9 | 10 => {
            for key in [api::cron_job::CATCH_UP, api::cron_job::CATCH_UP_LIMIT] {
                meta.annotations.remove(key);
            }
            if let Some((what, limit)) = catch_up(rng) {
                meta.annotations.insert(api::cron_job::CATCH_UP.to_owned(), what.to_owned());
                let limit = limit.map(|limit| (api::cron_job::CATCH_UP_LIMIT.to_owned(), limit.to_owned()));
                meta.annotations.extend(limit);
            }
        }
        _ => {
            meta.labels.insert("edited".to_owned(), rng.u8(0..9).to_string());
        }
    }
    cron_job
}
