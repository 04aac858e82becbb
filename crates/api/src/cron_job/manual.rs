//! Jobs that somebody starts from a CronJob, outside its schedule.

use crate::container::FUEL;
use crate::field_error::{FieldErrors, FieldPath};
use crate::json;
use crate::kind::Object;
use crate::pb::k8s::batch::v1::{CronJob, Job};
use crate::pb::k8s::core::v1::{Container, EnvVar};
use crate::pb::wick::v1::RunOverrides;
use crate::pod_template::check_variable_name;

use super::template::{SCHEDULED_TIMESTAMP, bare};

/// Annotation: `manual` on a Job that somebody started from a CronJob.
pub const INSTANTIATE: &str = "cronjob.kubernetes.io/instantiate";
/// Annotation: what a manual run does differently, as JSON.
pub const OVERRIDES: &str = "wick.dev/overrides";
const MANUAL: &str = "manual";

/// A Job from a CronJob's template, outside the schedule; yet to be checked, as any other that is asked for. Without a name
/// it is to get one that begins with the CronJob's.
///
/// What is told to be wrong is wrong with the overrides.
pub fn manual(cron_job: &CronJob, job_name: &str, overrides: &RunOverrides) -> Result<Job, FieldErrors> {
    let mut errors = FieldErrors::new();
    let mut job = bare(cron_job, false);
    let meta = job.metadata_mut();
    job_name.clone_into(&mut meta.name);
    if job_name.is_empty() {
        meta.generate_name = format!("{}-", cron_job.metadata().map_or("", |meta| &meta.name));
    }
    meta.annotations.remove(SCHEDULED_TIMESTAMP);
    meta.annotations.remove(OVERRIDES);
    meta.annotations.insert(INSTANTIATE.to_owned(), MANUAL.to_owned());
    if *overrides != RunOverrides::default() {
        meta.annotations.insert(OVERRIDES.to_owned(), json::to_json(overrides).to_string());
        apply(&mut job, overrides, &mut errors);
    }
    errors.cut().into_result(job)
}

fn apply(job: &mut Job, overrides: &RunOverrides, errors: &mut FieldErrors) {
    let path = FieldPath::from("overrides");
    for name in overrides.env.keys() {
        check_variable_name(name, &path.field("env").key(name), errors);
    }
    if overrides.fuel == Some(0) {
        errors.invalid(path.field("fuel"), 0, "must be greater than 0: with no fuel nothing runs");
    }
    let pod = job.spec.as_mut().and_then(|spec| spec.make_mut().template.as_mut()?.spec.as_mut());
    let Some(pod) = pod else { return }; // That is told when the Job is checked.
    let pod = pod.make_mut();
    let mut containers: Vec<_> = pod.containers.iter_mut().chain(&mut pod.init_containers).collect();
    let wanted = &overrides.container;
    let found = containers.iter().position(|container| wanted.is_empty() || container.name == *wanted);
    let Some(index) = found else {
        let names: Vec<_> = containers.iter().map(|container| format!("`{}`", container.name)).collect();
        let detail = format!("the template's containers are {}", names.join(", "));
        return errors.not_found(path.field("container"), wanted, detail);
    };
    let container: &mut Container = containers[index];
    for (name, value) in &overrides.env {
        let mut there = container.env.iter_mut().filter(|variable| variable.name == *name).peekable();
        let variable = EnvVar { name: name.clone(), value: value.clone(), value_from: None };
        if there.peek().is_none() {
            drop(there);
            container.env.push(variable);
        } else {
            there.for_each(|there| there.clone_from(&variable));
        }
    }
    if !overrides.args.is_empty() {
        container.args.clone_from(&overrides.args);
    }
    if let Some(fuel) = overrides.fuel {
        let resources = container.resources.get_or_insert_default();
        resources.limits.insert(FUEL.to_owned(), fuel.to_string());
    }
}

/// What a manual run does differently; `None` if the Job is no manual run. Also of those that kubectl made.
pub fn manual_run(job: &Job) -> Option<RunOverrides> {
    let annotations = &job.metadata()?.annotations;
    let manual = annotations.get(INSTANTIATE).is_some_and(|how| how == MANUAL);
    if !manual || annotations.contains_key(SCHEDULED_TIMESTAMP) {
        return None;
    }
    let overrides = annotations.get(OVERRIDES).and_then(|text| serde_json::from_str(text).ok());
    Some(overrides.and_then(|node| json::from_node(&node).ok()).unwrap_or_default())
}
