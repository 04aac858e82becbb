//! What is never true of a Job's status: what an API server would refuse, had a controller written it.
//!
//! Wick's own statuses come from decisions and need no checking when they are written. Tests check them with this after
//! every change.

use crate::field_error::{Class, FieldErrors, FieldPath};
use crate::pb::k8s::batch::v1::{Job, JobSpec, JobStatus};

use super::check::is_indexed;
use super::indexes;

/// Finds everything in a Job's status that contradicts itself, its spec, or the status it had `before`.
pub fn check_status(before: Option<&Job>, job: &Job) -> Result<(), FieldErrors> {
    let (no_spec, no_status) = (JobSpec::default(), JobStatus::default());
    let spec = job.spec.as_deref().unwrap_or(&no_spec);
    let status = job.status.as_ref().unwrap_or(&no_status);
    let mut faults = Faults { errors: FieldErrors::new(), path: FieldPath::from("status") };
    conditions(spec, status, &mut faults);
    counts(spec, status, &mut faults);
    if let Some(before) = before {
        let old_spec = before.spec.as_deref().unwrap_or(&no_spec);
        changes(spec, old_spec, status, before.status.as_ref().unwrap_or(&no_status), &mut faults);
    }
    faults.errors.into_result(())
}

struct Faults {
    errors: FieldErrors,
    path: FieldPath,
}

impl Faults {
    /// Notes what is so, and cannot be.
    fn add_if(&mut self, fault: bool, field: &str, why: &str) {
        if fault {
            self.errors.push(self.path.field(field), Class::Invalid, why);
        }
    }
}

fn has(status: &JobStatus, kind: &str) -> bool {
    status.conditions.iter().any(|condition| condition.r#type == kind && condition.status == "True")
}

fn conditions(spec: &JobSpec, status: &JobStatus, faults: &mut Faults) {
    let [complete, failed] = ["Complete", "Failed"].map(|kind| has(status, kind));
    let [target, met] = ["FailureTarget", "SuccessCriteriaMet"].map(|kind| has(status, kind));
    for (fault, why) in [
        (complete && failed, "both Complete and Failed"),
        (complete && target, "both Complete and FailureTarget"),
        (met && failed, "both SuccessCriteriaMet and Failed"),
        (met && target, "both SuccessCriteriaMet and FailureTarget"),
        (failed && !target, "Failed without FailureTarget"),
        (complete && !met, "Complete without SuccessCriteriaMet"),
        (
            met && spec.success_policy.is_some() && !is_indexed(spec),
            "SuccessCriteriaMet by a policy that needs indexes",
        ),
    ] {
        faults.add_if(fault, "conditions", why);
    }
    let finished = complete || failed;
    let uncounted = status.uncounted_terminated_pods.as_ref();
    let uncounted = uncounted.is_some_and(|pods| !pods.succeeded.is_empty() || !pods.failed.is_empty());
    let never_started = spec.suspend == Some(true) && spec.completions == Some(0);
    faults.add_if(finished && status.active > 0, "active", "more than 0 of a finished Job");
    faults.add_if(
        finished && status.terminating.unwrap_or(0) > 0,
        "terminating",
        "more than 0 of a finished Job",
    );
    faults.add_if(
        finished && uncounted,
        "uncountedTerminatedPods",
        "not empty although the Job has finished",
    );
    let unstarted = status.start_time.is_none();
    faults.add_if(
        finished && unstarted && !never_started,
        "startTime",
        "missing although the Job has finished",
    );
    faults.add_if(status.completion_time.is_some() && !complete, "completionTime", "given without Complete");
    faults.add_if(
        status.completion_time.is_none() && complete,
        "completionTime",
        "missing although the Job is Complete",
    );
    if let (Some(start), Some(end)) = (&status.start_time, &status.completion_time) {
        faults.add_if(
            (end.seconds, end.nanos) < (start.seconds, start.nanos),
            "completionTime",
            "before startTime",
        );
    }
}

fn counts(spec: &JobSpec, status: &JobStatus, faults: &mut Faults) {
    for (field, value) in [
        ("active", status.active),
        ("ready", status.ready.unwrap_or(0)),
        ("terminating", status.terminating.unwrap_or(0)),
        ("succeeded", status.succeeded),
        ("failed", status.failed),
    ] {
        faults.add_if(value < 0, field, "below 0");
    }
    faults.add_if(status.ready.unwrap_or(0) > status.active, "ready", "more than active");
    let indexed = is_indexed(spec);
    faults.add_if(
        !indexed && !status.completed_indexes.is_empty(),
        "completedIndexes",
        "given without indexes",
    );
    let per_index = spec.backoff_limit_per_index.is_some();
    faults.add_if(
        !per_index && status.failed_indexes.is_some(),
        "failedIndexes",
        "given without backoffLimitPerIndex",
    );
    if !indexed {
        return;
    }
    // Not cut at the completions: these may have just become fewer.
    let completed = indexes::intervals(&status.completed_indexes, i32::MAX);
    let failed = indexes::intervals(status.failed_indexes.as_deref().unwrap_or_default(), i32::MAX);
    match &completed {
        Ok(completed) => {
            let same = indexes::count(completed) == status.succeeded;
            faults.add_if(!same, "succeeded", "not the number of completedIndexes");
        }
        Err(must) => faults.add_if(true, "completedIndexes", must),
    }
    if let Err(must) = &failed {
        faults.add_if(true, "failedIndexes", must);
    }
    if let (Ok(completed), Ok(failed)) = (completed, failed) {
        let both = indexes::common(&completed, &failed).is_some();
        faults.add_if(both, "failedIndexes", "an index is in completedIndexes too");
    }
}

fn changes(spec: &JobSpec, old_spec: &JobSpec, status: &JobStatus, before: &JobStatus, faults: &mut Faults) {
    for kind in ["Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"] {
        let why = format!("{kind} was there before");
        faults.add_if(has(before, kind) && !has(status, kind), "conditions", &why);
    }
    faults.add_if(status.failed < before.failed, "failed", "less than before");
    // Only a smaller range of indexes takes successes away.
    let scaled = is_indexed(spec) && spec.completions == spec.parallelism;
    faults.add_if(status.succeeded < before.succeeded && !scaled, "succeeded", "less than before");
    let ended = before.completion_time.is_some() && status.completion_time != before.completion_time;
    faults.add_if(ended, "completionTime", "changed");
    let restarted = before.start_time.is_some() && status.start_time != before.start_time;
    let resumed = old_spec.suspend == Some(true) || spec.suspend == Some(true) || has(before, "Suspended");
    faults.add_if(restarted && !resumed, "startTime", "changed although the Job was not suspended");
}
