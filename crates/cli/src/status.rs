//! One word for how a Job, a CronJob or a Pod is, by kubectl's rules.
//!
//! The rules decide nothing: they choose which of the facts in a status is worth the one column there is.

use api::pb::k8s::batch::v1::{Job, JobCondition};
use api::pb::k8s::core::v1::{ContainerState, ContainerStatus, Pod, PodCondition, PodStatus};
use api::pb::wick::v1::NextSlot;
use jiff::Timestamp;

use crate::age;
use crate::clock::time;

/// A Job's STATUS.
pub(crate) fn job(job: &Job) -> &'static str {
    let holds = |kind| job_condition(job, kind).is_some();
    let deleted = job.metadata.as_ref().is_some_and(|meta| meta.deletion_timestamp.is_some());
    match () {
        () if holds("Complete") => "Complete",
        () if holds("Failed") => "Failed",
        () if deleted => "Terminating",
        () if holds("Suspended") => "Suspended",
        () if holds("FailureTarget") => "FailureTarget",
        () if holds("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

/// The condition `kind` of a Job, if it is true.
pub(crate) fn job_condition<'a>(job: &'a Job, kind: &str) -> Option<&'a JobCondition> {
    let conditions = job.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().find(|condition| condition.r#type == kind && condition.status == "True")
}

/// True if a Job will not change any more.
pub(crate) fn job_is_finished(job: &Job) -> bool {
    job_condition(job, "Complete").or_else(|| job_condition(job, "Failed")).is_some()
}

/// A Job's COMPLETIONS: how many of how many.
pub(crate) fn completions(job: &Job) -> String {
    let succeeded = job.status.as_ref().map_or(0, |status| status.succeeded);
    let spec = job.spec.as_ref();
    match (spec.and_then(|spec| spec.completions), spec.and_then(|spec| spec.parallelism)) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, Some(parallelism)) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

/// A Job's DURATION: empty before it starts. As in kubectl a failed Job's goes on, for it has no completion time.
pub(crate) fn duration(job: &Job, now: Timestamp) -> String {
    let Some(status) = &job.status else { return String::new() };
    match time(status.start_time.as_ref()) {
        Some(start) => age::between(start, time(status.completion_time.as_ref()).unwrap_or(now)),
        None => String::new(),
    }
}

/// A CronJob's NEXT: how long until its next Job starts, or why none will.
pub(crate) fn next(next: &NextSlot, now: Timestamp) -> String {
    match time(next.start.as_ref().or(next.slot.as_ref())) {
        Some(start) => until(start, now),
        None => none_because(&next.none_because),
    }
}

/// How long until a time that is to come: `in 4m`.
pub(crate) fn until(then: Timestamp, now: Timestamp) -> String {
    match then > now {
        true => format!("in {}", age::between(now, then)),
        false => "now".to_owned(),
    }
}

/// Why a CronJob starts nothing: `suspended`, `unknown zone`.
pub(crate) fn none_because(reason: &str) -> String {
    match reason {
        "" => "<unknown>".to_owned(),
        "UnknownTimeZone" => "unknown zone".to_owned(),
        word => word.to_lowercase(),
    }
}

/// `True` or `False`, as Kubernetes' tables have it.
pub(crate) fn truth(truth: bool) -> &'static str {
    if truth { "True" } else { "False" }
}

/// A Pod's STATUS.
pub(crate) fn pod(pod: &Pod) -> String {
    let nothing = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&nothing);
    let word = match init_word(pod, status) {
        Some(word) => word,
        None => containers_word(status),
    };
    let deleted = pod.metadata.as_ref().is_some_and(|meta| meta.deletion_timestamp.is_some());
    match status.phase.as_str() {
        "Succeeded" | "Failed" => word,
        _ if deleted => "Terminating".to_owned(),
        _ => word,
    }
}

/// What its init containers are at; `None` when they are done. A sidecar that ended after the others is no news.
fn init_word(pod: &Pod, status: &PodStatus) -> Option<String> {
    if pod_condition(status, "Initialized").is_some() {
        return None;
    }
    let specs = pod.spec.as_ref().map(|spec| spec.init_containers.as_slice()).unwrap_or_default();
    for (done, container) in status.init_container_statuses.iter().enumerate() {
        let state = State::of(container.state.as_ref());
        return Some(match state {
            State::Terminated { code: 0, .. } => continue,
            _ if is_sidecar(pod, &container.name) && container.started == Some(true) => continue,
            State::Terminated { .. } => format!("Init:{}", state.word()),
            State::Waiting(reason) if !reason.is_empty() && reason != "PodInitializing" => {
                format!("Init:{reason}")
            }
            State::Waiting(_) | State::Running | State::Unknown => format!("Init:{done}/{}", specs.len()),
        });
    }
    None
}

/// What its containers are at; the first one's word counts most.
fn containers_word(status: &PodStatus) -> String {
    let mut word = if status.reason.is_empty() { status.phase.clone() } else { status.reason.clone() };
    let mut runs = false;
    let mut failed = None;
    for container in status.container_statuses.iter().rev() {
        let state = State::of(container.state.as_ref());
        match &state {
            State::Waiting(reason) if !reason.is_empty() => word = (*reason).to_owned(),
            State::Terminated { code, .. } => {
                word = state.word();
                if *code != 0 {
                    failed = Some(word.clone());
                }
            }
            State::Running => runs = true,
            State::Waiting(_) | State::Unknown => {}
        }
    }
    let ready = pod_condition(status, "Ready").is_some();
    match (word.as_str(), failed) {
        ("Completed", _) if runs && ready => "Running".to_owned(),
        ("Completed", Some(failed)) => failed,
        ("Completed", None) if runs => "NotReady".to_owned(),
        _ => word,
    }
}

/// The condition `kind` of a Pod, if it is true.
pub(crate) fn pod_condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    status.conditions.iter().find(|condition| condition.r#type == kind && condition.status == "True")
}

/// A Pod's READY: containers that are, of those that stay.
pub(crate) fn ready(pod: &Pod) -> String {
    let counted = counted(pod);
    let total = pod.spec.as_ref().map_or(0, |spec| {
        let sidecars = spec.init_containers.iter().filter(|container| is_sidecar(pod, &container.name));
        spec.containers.len() + sidecars.count()
    });
    format!("{}/{total}", counted.iter().filter(|container| container.ready).count())
}

/// A Pod's RESTARTS, with the time since the last one.
pub(crate) fn restarts(pod: &Pod, now: Timestamp) -> String {
    let nothing = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&nothing);
    let counted = match init_word(pod, status) {
        Some(_) => status.init_container_statuses.iter().collect(),
        None => counted(pod),
    };
    let restarts = counted.iter().fold(0i32, |sum, container| sum.saturating_add(container.restart_count));
    let ended = |container: &&ContainerStatus| {
        let ended = container.last_state.as_ref()?.terminated.as_ref()?;
        time(ended.finished_at.as_ref())
    };
    match counted.iter().filter_map(ended).max() {
        Some(last) if restarts > 0 => format!("{restarts} ({} ago)", age::between(last, now)),
        _ => restarts.to_string(),
    }
}

/// Containers that stay for the Pod's whole life.
fn counted(pod: &Pod) -> Vec<&ContainerStatus> {
    let Some(status) = &pod.status else { return Vec::new() };
    let sidecars = status.init_container_statuses.iter().filter(|container| is_sidecar(pod, &container.name));
    sidecars.chain(&status.container_statuses).collect()
}

/// An init container that never ends by itself.
fn is_sidecar(pod: &Pod, name: &str) -> bool {
    let containers = pod.spec.as_ref().map(|spec| spec.init_containers.as_slice()).unwrap_or_default();
    containers.iter().any(|init| init.name == name && init.restart_policy.as_deref() == Some("Always"))
}

/// What a container is at.
enum State<'a> {
    Waiting(&'a str),
    Running,
    Terminated { reason: &'a str, code: i32, signal: i32 },
    Unknown,
}

impl State<'_> {
    fn of(state: Option<&ContainerState>) -> State<'_> {
        let Some(state) = state else { return State::Unknown };
        match (&state.terminated, &state.running, &state.waiting) {
            (Some(ended), _, _) => {
                State::Terminated { reason: &ended.reason, code: ended.exit_code, signal: ended.signal }
            }
            (None, Some(_), _) => State::Running,
            (None, None, Some(waiting)) => State::Waiting(&waiting.reason),
            (None, None, None) => State::Unknown,
        }
    }

    fn word(&self) -> String {
        match self {
            State::Waiting(reason) => (*reason).to_owned(),
            State::Running => "Running".to_owned(),
            State::Terminated { reason: "", signal: 0, code } => format!("ExitCode:{code}"),
            State::Terminated { reason: "", signal, .. } => format!("Signal:{signal}"),
            State::Terminated { reason, .. } => (*reason).to_owned(),
            State::Unknown => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ago, noon};
    use crate::samples;
    use expect_test::{Expect, expect};

    #[test]
    fn a_job_is_what_the_strongest_of_its_conditions_says() {
        check_job(&[], false, expect!["Running"]);
        check_job(&["SuccessCriteriaMet"], false, expect!["SuccessCriteriaMet"]);
        check_job(&["FailureTarget"], false, expect!["FailureTarget"]);
        check_job(&["Suspended"], false, expect!["Suspended"]);
        check_job(&["Suspended"], true, expect!["Terminating"]);
        check_job(&["FailureTarget", "Failed"], false, expect!["Failed"]);
        check_job(&["SuccessCriteriaMet", "Complete"], true, expect!["Complete"]);
        check_job(&["!Complete"], false, expect!["Running"]);
    }

    #[test]
    fn completions_are_of_one_where_none_are_asked_for() {
        let mut job = samples::job("a");
        let spec = job.spec.as_mut().unwrap().make_mut();
        (spec.completions, spec.parallelism) = (Some(3), Some(2));
        expect!["0/3"].assert_eq(&completions(&job));
        job.spec.as_mut().unwrap().make_mut().completions = None;
        expect!["0/1 of 2"].assert_eq(&completions(&job));
        job.spec.as_mut().unwrap().make_mut().parallelism = None;
        expect!["0/1"].assert_eq(&completions(&job));
    }

    #[test]
    fn a_duration_ends_with_the_job_and_begins_with_its_start() {
        let mut job = samples::job("a");
        let now = noon().now;
        let status = job.status.as_mut().unwrap();
        (status.start_time, status.completion_time) = (ago(100), ago(40));
        expect!["60s"].assert_eq(&duration(&job, now));
        job.status.as_mut().unwrap().completion_time = None;
        expect!["100s"].assert_eq(&duration(&job, now));
        job.status.as_mut().unwrap().start_time = None;
        expect![""].assert_eq(&duration(&job, now));
    }

    #[test]
    fn a_pod_without_container_states_is_its_phase() {
        check("Pending", "", expect!["Pending, ready 0/0, restarts 0"]);
    }

    #[test]
    fn a_container_says_why_it_waits_or_how_it_ended() {
        check("Pending", "wait:ImagePullBackOff", expect!["ImagePullBackOff, ready 0/1, restarts 0"]);
        check("Running", "run", expect!["Running, ready 1/1, restarts 0"]);
        check(
            "Running",
            "wait:CrashLoopBackOff:3",
            expect!["CrashLoopBackOff, ready 0/1, restarts 3 (5s ago)"],
        );
        check("Succeeded", "end:Completed:0", expect!["Completed, ready 0/1, restarts 0"]);
        check("Failed", "end:OOMKilled:137", expect!["OOMKilled, ready 0/1, restarts 0"]);
        check("Failed", "end::3", expect!["ExitCode:3, ready 0/1, restarts 0"]);
    }

    #[test]
    fn the_first_container_counts_most() {
        check("Failed", "end:Error:1 end:Completed:0", expect!["Error, ready 0/2, restarts 0"]);
        check("Failed", "end:Completed:0 end:Error:1", expect!["Error, ready 0/2, restarts 0"]);
        check("Running", "end:Completed:0 run", expect!["Running, ready 1/2, restarts 0"]);
        check("Running", "end:Completed:0 unready", expect!["NotReady, ready 0/2, restarts 0"]);
        check("Running", "end:Completed:0 end:Error:1 unready", expect!["Error, ready 0/3, restarts 0"]);
    }

    #[test]
    fn init_containers_come_before_the_others() {
        check("Pending", "i:run run", expect!["Init:0/1, ready 1/1, restarts 0"]);
        check(
            "Pending",
            "i:end:Completed:0 i:run wait:PodInitializing",
            expect!["Init:1/2, ready 0/1, restarts 0"],
        );
        check("Pending", "i:end::2 wait:PodInitializing", expect!["Init:ExitCode:2, ready 0/1, restarts 0"]);
        check(
            "Pending",
            "i:wait:CrashLoopBackOff:2 wait:",
            expect!["Init:CrashLoopBackOff, ready 0/1, restarts 2 (5s ago)"],
        );
        check("Running", "i:end:Completed:0 run", expect!["Running, ready 1/1, restarts 0"]);
    }

    #[test]
    fn a_sidecar_that_ended_after_the_others_is_no_news() {
        let mut sample = samples::pod("a", "Succeeded", "i:end:Error:137 end:Completed:0");
        assert_eq!(pod(&sample), "Init:Error");
        let initialized = PodCondition {
            r#type: "Initialized".to_owned(),
            status: "True".to_owned(),
            ..PodCondition::default()
        };
        sample.status.as_mut().unwrap().conditions.push(initialized);
        assert_eq!(pod(&sample), "Completed");
    }

    #[test]
    fn a_pods_own_reason_stands_for_its_phase() {
        let mut evicted = samples::pod("a", "Failed", "");
        evicted.status.as_mut().unwrap().reason = "Evicted".to_owned();
        assert_eq!(pod(&evicted), "Evicted");
    }

    #[test]
    fn a_deleted_pod_is_terminating_until_it_ends() {
        let deleted = |phase, containers| {
            let mut pod = samples::pod("a", phase, containers);
            pod.metadata.as_mut().unwrap().deletion_timestamp = ago(1);
            super::pod(&pod)
        };
        assert_eq!(deleted("Running", "run"), "Terminating");
        assert_eq!(deleted("Failed", "end:Error:1"), "Error");
    }

    fn check(phase: &str, containers: &str, wanted: Expect) {
        let sample = samples::pod("a", phase, containers);
        let now = noon().now;
        wanted.assert_eq(&format!(
            "{}, ready {}, restarts {}",
            pod(&sample),
            ready(&sample),
            restarts(&sample, now)
        ));
    }

    fn check_job(conditions: &[&str], deleted: bool, wanted: Expect) {
        let mut sample = samples::job("a");
        if deleted {
            sample.metadata.as_mut().unwrap().deletion_timestamp = ago(1);
        }
        for condition in conditions {
            let (kind, status) = match condition.strip_prefix('!') {
                Some(kind) => (kind, "False"),
                None => (*condition, "True"),
            };
            samples::add_condition(&mut sample, kind, status, "", "");
        }
        wanted.assert_eq(super::job(&sample));
    }
}
