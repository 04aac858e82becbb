//! Jobs: taken in with Kubernetes' defaults and rules, turned into what is decided from, and given their status.

use std::path::PathBuf;

use jiff::Timestamp;
use sched::backoff::JobBackoff;
use sched::job::{Failure, Job as State, Live, Phase, RestartPolicy, Spec, Verdict};
use sched::{Millis, Now, Steady};

use crate::field_error::{FieldErrors, FieldPath};
use crate::pb::k8s::batch::v1::{Job, JobCondition, JobSpec, JobStatus, UncountedTerminatedPods};
use crate::pb::k8s::meta::v1::{LabelSelector, ObjectMeta};
use crate::pb::wick::v1::JobRecord;
use crate::{metadata, names as alphabets, pod_template, support, time};

const COMPLETE: &str = "Complete";
const FAILED: &str = "Failed";
const FAILURE_TARGET: &str = "FailureTarget";
const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";
const COMPLETIONS_REACHED: &str = "CompletionsReached";

const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// What Kubernetes adds to the labels of a Job's Pods; the last two are from before labels had prefixes.
const GENERATED_LABELS: [&str; 4] = [CONTROLLER_UID, JOB_NAME, "controller-uid", "job-name"];

/// The largest object taken in, in bytes as encoded (etcd's default limit on a request).
pub const OBJECT_MAX: usize = 1536 << 10;

/// What the operator of this device lets guests have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Directories that hostPath volumes may name, with all below them.
    pub host_paths: Vec<PathBuf>,
}

/// A Job that was asked for: checked, with its defaults, without an identity yet.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    job: Job,
    warnings: Vec<String>,
}

impl NewJob {
    /// Takes a Job in: what the agent sets is dropped, defaults are filled in, and everything that is wrong or cannot be
    /// honoured is told at once.
    pub fn check(mut job: Job, grants: &Grants) -> Result<NewJob, FieldErrors> {
        let mut errors = FieldErrors::new();
        let bytes = prost::Message::encoded_len(&job);
        if bytes > OBJECT_MAX {
            errors.too_long(FieldPath::root(), bytes, OBJECT_MAX);
            return Err(errors);
        }
        job.status = None;
        let meta = job.metadata.get_or_insert_default();
        meta.namespace = metadata::namespace(&meta.namespace).to_owned();
        drop_generated(&mut job);
        let support = support::check_message(&job);
        errors.append(support.refused);
        default(&mut job);
        validate(&job, grants, &mut errors);
        let mut warnings: Vec<_> = support.warnings.iter().map(ToString::to_string).collect();
        let meta = job.metadata.get_or_insert_default();
        if errors.is_empty() && !meta.name.is_empty() && alphabets::dns_label(&meta.name).is_err() {
            warnings.push(format!(
                "metadata.name: `{}` is no DNS label; Pods are better named without dots",
                meta.name
            ));
        }
        errors.into_result(NewJob { job, warnings })
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.text(|meta| &meta.namespace)
    }

    /// Its name; empty if it is to be generated.
    pub fn name(&self) -> &str {
        self.text(|meta| &meta.name)
    }

    /// What a generated name begins with.
    pub fn generate_name(&self) -> &str {
        self.text(|meta| &meta.generate_name)
    }

    fn text(&self, field: fn(&ObjectMeta) -> &String) -> &str {
        self.job.metadata.as_ref().map_or("", |meta| field(meta))
    }

    /// What was accepted although it means nothing here, `path: why`.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The version the writer last saw; empty for any.
    pub fn resource_version(&self) -> &str {
        self.text(|meta| &meta.resource_version)
    }

    /// The Job as it is first stored, under this name and identity.
    pub fn stamp(self, name: String, uid: &str, now: Timestamp) -> Job {
        let mut job = self.job;
        let meta = job.metadata.get_or_insert_default();
        *meta = ObjectMeta {
            name,
            generate_name: std::mem::take(&mut meta.generate_name),
            namespace: std::mem::take(&mut meta.namespace),
            labels: std::mem::take(&mut meta.labels),
            annotations: std::mem::take(&mut meta.annotations),
            uid: uid.to_owned(),
            generation: 1,
            creation_timestamp: Some(time::seconds(now)),
            ..ObjectMeta::default()
        };
        generate(&mut job);
        job
    }

    /// What `stored` becomes when it is replaced by this; `None` if nothing changes. Tells what may not change.
    pub fn revise(self, stored: &Job) -> Result<Option<Job>, FieldErrors> {
        let mut job = stored.clone();
        let given = self.job.metadata.unwrap_or_default();
        let meta = job.metadata.get_or_insert_default();
        meta.labels = given.labels;
        meta.annotations = given.annotations;
        job.spec = self.job.spec;
        generate(&mut job);
        if job == *stored {
            return Ok(None);
        }
        let mut errors = FieldErrors::new();
        let path = FieldPath::from("spec");
        if let (Some(new), Some(old)) = (&job.spec, &stored.spec) {
            if new.completions != old.completions {
                errors.immutable(path.field("completions"));
            }
            if new.completion_mode != old.completion_mode {
                errors.immutable(path.field("completionMode"));
            }
            if new.template != old.template {
                errors.immutable(path.field("template"));
            }
        }
        if job.spec != stored.spec {
            job.metadata.get_or_insert_default().generation += 1;
        }
        errors.into_result(Some(job))
    }
}

/// Takes away what Wick generates: in a manifest copied from a stored Job it belongs to that one.
fn drop_generated(job: &mut Job) {
    let Some(spec) = &mut job.spec else { return };
    if spec.manual_selector == Some(true) {
        return;
    }
    spec.selector = None;
    spec.manual_selector = None;
    let template = spec.template.as_mut().and_then(|template| template.metadata.as_mut());
    // A Job has these labels only if it inherited them; one of its own by such a name is its owner's business.
    let inherited = job.metadata.as_mut().filter(|meta| meta.labels.contains_key(CONTROLLER_UID));
    for meta in template.into_iter().chain(inherited) {
        for label in GENERATED_LABELS {
            meta.labels.remove(label);
        }
    }
}

/// The selector and the labels that tie Pods to their Job. A Job without labels of its own gets its template's.
fn generate(job: &mut Job) {
    let meta = job.metadata.get_or_insert_default();
    let (uid, name) = (meta.uid.clone(), meta.name.clone());
    let spec = job.spec.get_or_insert_default();
    spec.selector = Some(LabelSelector {
        match_labels: [(CONTROLLER_UID.to_owned(), uid.clone())].into(),
        ..LabelSelector::default()
    });
    let labels = &mut spec.template.get_or_insert_default().metadata.get_or_insert_default().labels;
    for (label, value) in GENERATED_LABELS.into_iter().zip([&uid, &name, &uid, &name]) {
        labels.insert(label.to_owned(), value.clone());
    }
    if meta.labels.is_empty() {
        meta.labels.clone_from(labels);
    }
}

fn default(job: &mut Job) {
    let Some(spec) = &mut job.spec else { return };
    if spec.completions.is_none() && spec.parallelism.is_none() {
        spec.completions = Some(1);
    }
    spec.parallelism.get_or_insert(1);
    spec.backoff_limit.get_or_insert(6);
    spec.completion_mode.get_or_insert_with(|| "NonIndexed".to_owned());
    spec.suspend.get_or_insert(false);
    spec.manual_selector.get_or_insert(false);
    spec.pod_replacement_policy.get_or_insert_with(|| "TerminatingOrFailed".to_owned());
    if let Some(template) = &mut spec.template {
        pod_template::default(template);
    }
}

fn validate(job: &Job, grants: &Grants, errors: &mut FieldErrors) {
    if let Some(meta) = &job.metadata {
        metadata::validate(meta, errors);
        // The name becomes the value of a label of every Pod.
        if meta.name.len() > alphabets::LABEL_MAX {
            errors.too_long("metadata.name", meta.name.len(), alphabets::LABEL_MAX);
        }
    }
    let path = FieldPath::from("spec");
    let Some(spec) = &job.spec else {
        errors.required(path, "needed; say what the Job is to run");
        return;
    };
    let at_least_zero = [
        ("parallelism", spec.parallelism.map(i64::from)),
        ("completions", spec.completions.map(i64::from)),
        ("backoffLimit", spec.backoff_limit.map(i64::from)),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished.map(i64::from)),
    ];
    for (field, value) in at_least_zero {
        if let Some(value) = value.filter(|value| *value < 0) {
            errors.invalid(path.field(field), value, "is too few; the least is 0");
        }
    }
    match &spec.template {
        Some(template) => pod_template::validate(template, &path.field("template"), grants, errors),
        None => errors.required(path.field("template"), "needed; say what the Job's Pods are to run"),
    }
}

/// The images of the containers in a Job's template, in order.
pub fn images(job: &Job) -> impl Iterator<Item = &str> {
    let template = job.spec.iter().filter_map(|spec| spec.template.as_ref());
    let containers = template.filter_map(|template| template.spec.as_ref()).flat_map(|spec| &spec.containers);
    containers.map(|container| container.image.as_str())
}

/// What is asked of a stored Job, for decisions.
pub fn spec(job: &Job) -> Spec {
    let empty = JobSpec::default();
    let spec = job.spec.as_ref().unwrap_or(&empty);
    let count = |value: i32| u32::try_from(value).unwrap_or(0);
    let pod = spec.template.as_ref().and_then(|template| template.spec.as_ref());
    Spec {
        parallelism: count(spec.parallelism.unwrap_or(1)),
        completions: spec.completions.map(count),
        backoff_limit: count(spec.backoff_limit.unwrap_or(6)),
        active_deadline: spec.active_deadline_seconds.map(Millis::from_secs),
        restart_policy: pod.map_or(RestartPolicy::Never, |pod| restart_policy(&pod.restart_policy)),
    }
}

pub(crate) fn restart_policy(text: &str) -> RestartPolicy {
    if text == "OnFailure" { RestartPolicy::OnFailure } else { RestartPolicy::Never }
}

/// A Job at its beginning.
pub fn new_state(job: &Job) -> State {
    State {
        spec: spec(job),
        phase: Phase::Active,
        succeeded: 0,
        failed: 0,
        started: None,
        backoff: JobBackoff::default(),
        deleting: false,
    }
}

/// A Job as its record has it.
pub fn state(record: &JobRecord) -> State {
    let (job, status) = (Job::default(), JobStatus::default());
    let job = record.job.as_ref().unwrap_or(&job);
    let status = job.status.as_ref().unwrap_or(&status);
    let count = |value: i32| u32::try_from(value).unwrap_or(0);
    State {
        phase: phase(status),
        succeeded: count(status.succeeded),
        failed: count(status.failed),
        started: record.started_ms.map(Steady),
        backoff: JobBackoff {
            failures: record.backoff_failures,
            last_failure: record.last_failure_ms.map(Steady),
        },
        deleting: job.metadata.as_ref().is_some_and(|meta| meta.deletion_timestamp.is_some()),
        ..new_state(job)
    }
}

/// What a Job's status says of its Pods.
pub fn live(job: &Job) -> Live {
    let status = JobStatus::default();
    let status = job.status.as_ref().unwrap_or(&status);
    let count = |value: i32| u32::try_from(value).unwrap_or(0);
    Live {
        active: count(status.active),
        ready: count(status.ready.unwrap_or(0)),
        terminating: count(status.terminating.unwrap_or(0)),
        restarts: 0,
    }
}

fn phase(status: &JobStatus) -> Phase {
    let find = |kind: &str| {
        status.conditions.iter().find(|condition| condition.r#type == kind && condition.status == "True")
    };
    let failure = |condition: &JobCondition| match condition.reason.as_str() {
        "DeadlineExceeded" => Verdict::Failed(Failure::DeadlineExceeded),
        _ => Verdict::Failed(Failure::BackoffLimitExceeded),
    };
    if find(COMPLETE).is_some() {
        Phase::Finished(Verdict::Complete)
    } else if let Some(condition) = find(FAILED) {
        Phase::Finished(failure(condition))
    } else if let Some(condition) = find(FAILURE_TARGET) {
        Phase::Finishing(failure(condition))
    } else if find(SUCCESS_CRITERIA_MET).is_some() {
        Phase::Finishing(Verdict::Complete)
    } else {
        Phase::Active
    }
}

/// What is stored of a Job.
pub fn record(job: Job, state: &State, pods_created: u64, ordinal: u64) -> JobRecord {
    JobRecord {
        job: Some(job),
        pods_created,
        backoff_failures: state.backoff.failures,
        last_failure_ms: state.backoff.last_failure.map(|at| at.0),
        started_ms: state.started.map(|at| at.0),
        ordinal,
    }
}

/// Marks a Job as being deleted in the foreground.
pub fn begin_deletion(job: &mut Job, now: Timestamp) {
    let meta = job.metadata.get_or_insert_default();
    meta.deletion_timestamp = Some(time::seconds(now));
    meta.deletion_grace_period_seconds = Some(0);
    // Kubernetes' word for a deletion that waits for the children.
    meta.finalizers = vec!["foregroundDeletion".to_owned()];
}

/// Writes what is known of a Job into its status.
pub fn write_status(job: &mut Job, state: &State, live: Live, now: Now) {
    let status = job.status.get_or_insert_default();
    let count = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    status.active = count(live.active);
    status.ready = Some(count(live.ready));
    status.terminating = Some(count(live.terminating));
    status.succeeded = count(state.succeeded);
    status.failed = count(state.failed);
    status.uncounted_terminated_pods.get_or_insert_with(UncountedTerminatedPods::default);
    let at = Some(time::seconds(now.wall));
    if state.started.is_some() && status.start_time.is_none() {
        status.start_time = at;
    }
    // The interim condition comes first, or at the same time.
    let (verdict, over) = match state.phase {
        Phase::Active => return,
        Phase::Finishing(verdict) => (verdict, false),
        Phase::Finished(verdict) => (verdict, true),
    };
    let (interim, last, reason, message) = match verdict {
        Verdict::Complete => {
            (SUCCESS_CRITERIA_MET, COMPLETE, COMPLETIONS_REACHED, "Reached expected number of succeeded pods")
        }
        Verdict::Failed(failure) => {
            (FAILURE_TARGET, FAILED, failure_reason(failure), failure_message(failure))
        }
    };
    for kind in [Some(interim), over.then_some(last)].into_iter().flatten() {
        if status.conditions.iter().any(|condition| condition.r#type == kind) {
            continue;
        }
        if kind == COMPLETE {
            status.completion_time = at;
        }
        status.conditions.push(JobCondition {
            r#type: kind.to_owned(),
            status: "True".to_owned(),
            last_probe_time: at,
            last_transition_time: at,
            reason: reason.to_owned(),
            message: message.to_owned(),
        });
    }
}

fn failure_reason(failure: Failure) -> &'static str {
    match failure {
        Failure::BackoffLimitExceeded => "BackoffLimitExceeded",
        Failure::DeadlineExceeded => "DeadlineExceeded",
    }
}

/// What a failure says in conditions and Events.
pub fn failure_message(failure: Failure) -> &'static str {
    match failure {
        Failure::BackoffLimitExceeded => "Job has reached the specified backoff limit",
        Failure::DeadlineExceeded => "Job was active longer than specified deadline",
    }
}
