//! A Job as decisions see it, as its record has it, and as its status tells of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sched::backoff::JobBackoff;
use sched::job::{
    FAILING_MAX, Failing, Failure, FailureAction, FailurePolicy, FailureRule, IndexTable, Indexed, Indexes,
    Job as State, Live, On, Phase, Replacement, RestartPolicy, Spec, Success, SuccessRule, Verdict,
};
use sched::{Millis, Now, Steady};

use crate::pb::k8s::batch::v1::{Job, JobCondition, JobSpec, JobStatus, UncountedTerminatedPods};
use crate::pb::wick::v1::{FailingIndex, JobRecord};
use crate::time;

const COMPLETE: &str = "Complete";
const FAILED: &str = "Failed";
const FAILURE_TARGET: &str = "FailureTarget";
const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";
const SUSPENDED: &str = "Suspended";
/// Whom `managedBy` names when it is us.
const OURSELVES: &str = "kubernetes.io/job-controller";

fn count(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

/// What is asked of a stored Job, for decisions.
pub fn spec(job: &Job) -> Spec {
    let empty = JobSpec::default();
    let spec = job.spec.as_deref().unwrap_or(&empty);
    let pod = spec.template.as_ref().and_then(|template| template.spec.as_ref());
    Spec {
        parallelism: count(spec.parallelism.unwrap_or(1)),
        completions: spec.completions.map(count),
        backoff_limit: count(spec.backoff_limit.unwrap_or(6)),
        active_deadline: spec.active_deadline_seconds.map(Millis::from_secs),
        restart_policy: pod.map_or(RestartPolicy::Never, |pod| restart_policy(&pod.restart_policy)),
        suspend: spec.suspend == Some(true),
        replacement: match spec.pod_replacement_policy.as_deref() {
            Some("Failed") => Replacement::Failed,
            // Whether a rule matches is known only at a Pod's end.
            _ if spec.pod_failure_policy.is_some() => Replacement::Failed,
            _ => Replacement::TerminatingOrFailed,
        },
        failure_policy: spec
            .pod_failure_policy
            .as_ref()
            .map(|policy| FailurePolicy { rules: policy.rules.iter().filter_map(failure_rule).collect() }),
        indexed: (spec.completion_mode.as_deref() == Some("Indexed")).then(|| indexed(spec)),
        ttl: spec.ttl_seconds_after_finished.map(|seconds| Millis::from_secs(seconds.into())),
        managed_elsewhere: spec.managed_by.as_ref().is_some_and(|manager| manager != OURSELVES),
    }
}

fn indexed(spec: &JobSpec) -> Indexed {
    let completions = count(spec.completions.unwrap_or(0));
    let rules = spec.success_policy.iter().flat_map(|policy| &policy.rules);
    Indexed {
        backoff_limit: spec.backoff_limit_per_index.map(count),
        max_failed: spec.max_failed_indexes.map(count),
        success_policy: rules
            .map(|rule| SuccessRule {
                indexes: rule.succeeded_indexes.as_deref().map(|text| Indexes::parse(text, completions)),
                count: rule.succeeded_count.map(count),
            })
            .collect(),
    }
}

/// A rule with an action that does not exist was refused long before.
fn failure_rule(rule: &crate::pb::k8s::batch::v1::PodFailurePolicyRule) -> Option<FailureRule> {
    let action = match rule.action.as_str() {
        "FailJob" => FailureAction::FailJob,
        "FailIndex" => FailureAction::FailIndex,
        "Ignore" => FailureAction::Ignore,
        "Count" => FailureAction::Count,
        _ => return None,
    };
    let on = match &rule.on_exit_codes {
        Some(codes) => On::ExitCodes {
            container: codes.container_name.clone(),
            within: codes.operator == "In",
            values: codes.values.clone(),
        },
        None => On::Conditions(
            rule.on_pod_conditions
                .iter()
                .map(|pattern| (pattern.r#type.clone(), pattern.status.clone()))
                .collect(),
        ),
    };
    Some(FailureRule { action, on })
}

pub(crate) fn restart_policy(text: &str) -> RestartPolicy {
    if text == "OnFailure" { RestartPolicy::OnFailure } else { RestartPolicy::Never }
}

/// A Job at its beginning.
pub fn new_state(job: &Job) -> State {
    State { spec: spec(job), ..State::default() }
}

/// A Job as its record has it.
pub fn state(record: &JobRecord) -> State {
    let (job, status) = (Job::default(), JobStatus::default());
    let job = record.job.as_ref().unwrap_or(&job);
    let status = job.status.as_ref().unwrap_or(&status);
    let spec = spec(job);
    let instant = |wall: Option<&prost_types::Timestamp>, ms: i64| Now {
        wall: wall.map(time::instant).unwrap_or_default(),
        steady: Steady(ms),
    };
    let (phase, verdict) = phase(status);
    let over = verdict.and_then(|condition| condition.last_transition_time.as_ref());
    State {
        phase,
        detail: detail(phase, verdict),
        succeeded: count(status.succeeded),
        failed: count(status.failed),
        started: record.started_ms.map(|ms| instant(status.start_time.as_ref(), ms)),
        finished: record.finished_ms.map(|ms| instant(over, ms)),
        suspended: find(status, SUSPENDED).map(|condition| condition.status == "True"),
        backoff: JobBackoff {
            failures: record.backoff_failures,
            last_failure: record.last_failure_ms.map(Steady),
        },
        indexes: spec.indexed.is_some().then(|| Box::new(table(record, status))),
        deleting: job.metadata.as_ref().is_some_and(|meta| meta.deletion_timestamp.is_some()),
        spec,
    }
}

/// Where its indexes stand. What is not below `completions` any more is cut off when the Job is looked at.
fn table(record: &JobRecord, status: &JobStatus) -> IndexTable {
    let failing = record.failing_indexes.iter().map(|one| {
        let failing = Failing {
            failures: one.failures,
            ignored: one.ignored,
            steps: one.backoff_failures,
            last: one.last_failure_ms.map(Steady),
            delayed: one.uncounted,
        };
        (one.index, failing)
    });
    let failed = status.failed_indexes.as_deref().unwrap_or_default();
    IndexTable::restore(
        Indexes::parse(&status.completed_indexes, u32::MAX),
        Indexes::parse(failed, u32::MAX),
        failing.collect::<BTreeMap<_, _>>(),
    )
}

/// What a Job's status says of its Pods.
pub fn live(job: &Job) -> Live {
    let status = JobStatus::default();
    let status = job.status.as_ref().unwrap_or(&status);
    Live {
        active: count(status.active),
        ready: count(status.ready.unwrap_or(0)),
        terminating: count(status.terminating.unwrap_or(0)),
        restarts: 0,
    }
}

fn find<'a>(status: &'a JobStatus, kind: &str) -> Option<&'a JobCondition> {
    status.conditions.iter().find(|condition| condition.r#type == kind)
}

/// Whether a Job is over, for good.
pub fn is_finished(job: &Job) -> bool {
    job.status.as_ref().is_some_and(|status| matches!(phase(status).0, Phase::Finished(_)))
}

/// How far a Job is, by the condition that tells of its verdict.
fn phase(status: &JobStatus) -> (Phase, Option<&JobCondition>) {
    let find = |kind: &str| find(status, kind).filter(|condition| condition.status == "True");
    if let Some(condition) = find(COMPLETE) {
        (Phase::Finished(Verdict::Complete(success(condition))), Some(condition))
    } else if let Some(condition) = find(FAILED) {
        (Phase::Finished(Verdict::Failed(failure(condition))), Some(condition))
    } else if let Some(condition) = find(FAILURE_TARGET) {
        (Phase::Finishing(Verdict::Failed(failure(condition))), Some(condition))
    } else if let Some(condition) = find(SUCCESS_CRITERIA_MET) {
        (Phase::Finishing(Verdict::Complete(success(condition))), Some(condition))
    } else {
        (Phase::Active, None)
    }
}

const SUCCESSES: [Success; 2] = [Success::CompletionsReached, Success::SuccessPolicy];
const FAILURES: [Failure; 5] = [
    Failure::BackoffLimitExceeded,
    Failure::DeadlineExceeded,
    Failure::PodFailurePolicy,
    Failure::MaxFailedIndexesExceeded,
    Failure::FailedIndexes,
];

fn success(condition: &JobCondition) -> Success {
    let known = SUCCESSES.into_iter().find(|one| reason(Verdict::Complete(*one)) == condition.reason);
    known.unwrap_or(Success::CompletionsReached)
}

fn failure(condition: &JobCondition) -> Failure {
    let known = FAILURES.into_iter().find(|one| reason(Verdict::Failed(*one)) == condition.reason);
    known.unwrap_or(Failure::BackoffLimitExceeded)
}

fn detail(phase: Phase, verdict: Option<&JobCondition>) -> Option<String> {
    match phase {
        Phase::Finishing(
            Verdict::Failed(Failure::PodFailurePolicy) | Verdict::Complete(Success::SuccessPolicy),
        ) => verdict.map(|condition| condition.message.clone()),
        _ => None,
    }
}

/// What is stored of a Job.
pub fn record(job: Job, state: &State, pods_created: u64, ordinal: u64) -> JobRecord {
    let failing = state.indexes.iter().flat_map(|table| table.failing());
    JobRecord {
        job: Some(job),
        pods_created,
        backoff_failures: state.backoff.failures,
        last_failure_ms: state.backoff.last_failure.map(|at| at.0),
        started_ms: state.started.map(|at| at.steady.0),
        ordinal,
        finished_ms: state.finished.map(|at| at.steady.0),
        failing_indexes: failing
            .map(|(index, one)| FailingIndex {
                index: *index,
                failures: one.failures,
                ignored: one.ignored,
                backoff_failures: one.steps,
                last_failure_ms: one.last.map(|at| at.0),
                uncounted: one.delayed,
            })
            .collect(),
        ledger_id: 0,
        attempts_recorded: 0,
    }
}

/// How many bytes a Job's record may grow by, about, while `live` Pods of it run at the most: conditions and counts, the
/// text of indexes (a number of six digits and a comma for each, if they are decided in no order), and what is known of
/// those that have failed and are not decided.
pub fn growth(job: &Job, live: usize) -> usize {
    const OTHERS: usize = 16 << 10;
    const INDEX: usize = 7;
    const FAILING: usize = 32;
    let spec = spec(job);
    let Some(indexed) = spec.indexed else { return OTHERS };
    let all = spec.completions.and_then(|all| usize::try_from(all).ok()).unwrap_or(0);
    // Without failures of their own, only indexes whose Pods run are out of order.
    if indexed.backoff_limit.is_none() {
        return OTHERS + all.min(2 * live) * (INDEX + 4);
    }
    // More than 100,000 completions have a `maxFailedIndexes` of at most 10,000 (Kubernetes' rule).
    let out_of_order = all.min(100_000);
    OTHERS + out_of_order * INDEX + all.min(FAILING_MAX + live) * FAILING
}

/// Marks a Job as being deleted in the foreground.
pub fn begin_deletion(job: &mut Job, now: Timestamp) {
    crate::metadata::begin_deletion(job.metadata.get_or_insert_default(), now);
}

/// Writes what is known of a Job into its status. A Job that another controller sees to keeps what it has.
pub fn write_status(job: &mut Job, state: &State, live: Live, now: Now) {
    if state.spec.managed_elsewhere {
        return;
    }
    let status = job.status.get_or_insert_default();
    let count = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    status.active = count(live.active);
    status.ready = Some(count(live.ready));
    status.terminating = Some(count(live.terminating));
    status.succeeded = count(state.succeeded);
    status.failed = count(state.failed);
    status.uncounted_terminated_pods.get_or_insert_with(UncountedTerminatedPods::default);
    status.start_time = state.started.map(|at| time::seconds(at.wall));
    if let Some((indexed, table)) = state.spec.indexed.as_ref().zip(state.indexes.as_ref()) {
        status.completed_indexes = table.completed().to_string();
        status.failed_indexes = indexed.backoff_limit.map(|_| table.failed().to_string());
    }
    if let Some(suspended) = state.suspended {
        let (word, reason, message) = suspension(suspended);
        set(status, SUSPENDED, word, reason, message, now);
    }
    // The interim condition comes first, or at the same time.
    let (verdict, over) = match state.phase {
        Phase::Active => return,
        Phase::Finishing(verdict) => (verdict, false),
        Phase::Finished(verdict) => (verdict, true),
    };
    // The wall clock may have gone back since; Kubernetes refuses an end before the beginning.
    let now = Now { wall: state.started.map_or(now.wall, |started| started.wall.max(now.wall)), ..now };
    let (interim, last) = match verdict {
        Verdict::Complete(_) => (SUCCESS_CRITERIA_MET, COMPLETE),
        Verdict::Failed(_) => (FAILURE_TARGET, FAILED),
    };
    let given = find(status, interim).map(|condition| condition.message.clone());
    let message = given.unwrap_or_else(|| message(verdict, state.detail.as_deref()));
    set(status, interim, "True", reason(verdict), &message, now);
    if over {
        if last == COMPLETE && status.completion_time.is_none() {
            status.completion_time = Some(time::seconds(now.wall));
        }
        set(status, last, "True", reason(verdict), &message, now);
    }
}

/// Sets a condition, unless it is so already.
fn set(status: &mut JobStatus, kind: &str, word: &str, reason: &str, message: &str, now: Now) {
    let at = Some(time::seconds(now.wall));
    let condition = JobCondition {
        r#type: kind.to_owned(),
        status: word.to_owned(),
        last_probe_time: at,
        last_transition_time: at,
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    match status.conditions.iter_mut().find(|condition| condition.r#type == kind) {
        Some(same) if same.status == word => {}
        Some(other) => *other = condition,
        None => status.conditions.push(condition),
    }
}

/// What is said when a Job comes to rest, or to work again: the condition's status, its reason, its message.
pub fn suspension(suspended: bool) -> (&'static str, &'static str, &'static str) {
    if suspended { ("True", "JobSuspended", "Job suspended") } else { ("False", "JobResumed", "Job resumed") }
}

/// A verdict's word, in conditions and Events.
pub fn reason(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Complete(Success::CompletionsReached) => "CompletionsReached",
        Verdict::Complete(Success::SuccessPolicy) => "SuccessPolicy",
        Verdict::Failed(Failure::PodFailurePolicy) => "PodFailurePolicy",
        Verdict::Failed(Failure::BackoffLimitExceeded) => "BackoffLimitExceeded",
        Verdict::Failed(Failure::DeadlineExceeded) => "DeadlineExceeded",
        Verdict::Failed(Failure::MaxFailedIndexesExceeded) => "MaxFailedIndexesExceeded",
        Verdict::Failed(Failure::FailedIndexes) => "FailedIndexes",
    }
}

/// What a verdict says to people; `detail` where the verdict has it.
pub fn message(verdict: Verdict, detail: Option<&str>) -> String {
    let words = match verdict {
        Verdict::Complete(Success::CompletionsReached) => "Reached expected number of succeeded pods",
        Verdict::Complete(Success::SuccessPolicy) => detail.unwrap_or("A rule of successPolicy is met"),
        Verdict::Failed(Failure::PodFailurePolicy) => {
            detail.unwrap_or("A rule of podFailurePolicy failed the Job")
        }
        Verdict::Failed(Failure::BackoffLimitExceeded) => "Job has reached the specified backoff limit",
        Verdict::Failed(Failure::DeadlineExceeded) => "Job was active longer than specified deadline",
        Verdict::Failed(Failure::MaxFailedIndexesExceeded) => {
            "Job has exceeded the specified maximal number of failed indexes"
        }
        Verdict::Failed(Failure::FailedIndexes) => "Job has failed indexes",
    };
    words.to_owned()
}
