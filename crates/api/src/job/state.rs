//! A Job as decisions see it, as its record has it, and as its status tells of it.

use jiff::Timestamp;
use sched::backoff::JobBackoff;
use sched::job::{Failure, Job as State, Live, Phase, RestartPolicy, Spec, Verdict};
use sched::{Millis, Now, Steady};

use crate::pb::k8s::batch::v1::{Job, JobCondition, JobSpec, JobStatus, UncountedTerminatedPods};
use crate::pb::wick::v1::JobRecord;
use crate::time;

const COMPLETE: &str = "Complete";
const FAILED: &str = "Failed";
const FAILURE_TARGET: &str = "FailureTarget";
const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";
const COMPLETIONS_REACHED: &str = "CompletionsReached";

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
