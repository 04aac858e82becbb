//! What is decided from, as the spec asks for it and as the record has it.

use sched::job::RestartPolicy;
use sched::pod::{
    Action, Container as ContainerFacts, Ended, ExitCodes, Failure, Phase, Pod as Facts, Policy, Restart,
    Role, Rule, SetCondition, State, Status, StopCause, Stopping, Waiting,
};
use sched::{Exit, Millis, Now, Steady};

use crate::job::restart_policy;
use crate::pb::k8s::core::v1::{
    Container, ContainerRestartRule, ContainerState, ContainerStateTerminated, Pod, PodCondition, PodSpec,
    PodStatus,
};
use crate::pb::k8s::meta::v1::ObjectMeta;
use crate::pb::wick::v1::{ContainerControl, PodRecord};
use crate::time;

/// A Pod at its beginning. Whether its images are there is for whoever knows to say.
pub fn new_state(pod: &Pod, ordinal: u64) -> Facts {
    let empty = PodSpec::default();
    let spec = pod.spec.as_deref().unwrap_or(&empty);
    let policy = restart_policy(&spec.restart_policy);
    let inits = spec.init_containers.iter().map(|container| {
        let role = if super::is_sidecar(container) { Role::Sidecar } else { Role::Init };
        new_container(role, container, policy)
    });
    let apps = spec.containers.iter().map(|container| new_container(Role::App, container, policy));
    Facts {
        active_deadline: spec.active_deadline_seconds.map(Millis::from_secs),
        // Kubernetes takes a negative grace for one second.
        grace: match spec.termination_grace_period_seconds.unwrap_or(30) {
            seconds @ 0.. => Millis::from_secs(seconds),
            _ => Millis::from_secs(1),
        },
        priority: spec.priority.unwrap_or(0),
        ..Facts::new(policy, ordinal, inits.chain(apps).collect())
    }
}

fn new_container(role: Role, container: &Container, policy: RestartPolicy) -> ContainerFacts {
    let facts = ContainerFacts::new(role, restart(container, policy));
    ContainerFacts { never_pulled: container.image_pull_policy == "Never", ..facts }
}

/// What happens when a container ends: what it says itself goes before what its Pod says.
fn restart(container: &Container, pod: RestartPolicy) -> Restart {
    let policy = match (container.restart_policy.as_deref(), pod) {
        (Some("Always"), _) => Policy::Always,
        (Some("OnFailure"), _) | (None, RestartPolicy::OnFailure) => Policy::OnFailure,
        (Some(_), _) | (None, RestartPolicy::Never) => Policy::Never,
    };
    Restart { rules: container.restart_policy_rules.iter().filter_map(rule).collect(), policy }
}

/// Which words there are is checked when the Job is taken in.
fn rule(rule: &ContainerRestartRule) -> Option<Rule> {
    let codes = rule.exit_codes.as_ref()?;
    let values = codes.values.clone();
    Some(Rule {
        codes: if codes.operator == "NotIn" { ExitCodes::NotIn(values) } else { ExitCodes::In(values) },
        action: if rule.action == "RestartAllContainers" { Action::RestartAll } else { Action::Restart },
    })
}

/// A Pod as its record has it.
pub fn state(record: &PodRecord) -> Facts {
    let (pod, status, meta) = (Pod::default(), PodStatus::default(), ObjectMeta::default());
    let pod = record.pod.as_ref().unwrap_or(&pod);
    let status = pod.status.as_ref().unwrap_or(&status);
    let meta = pod.metadata.as_ref().unwrap_or(&meta);
    let mut facts = new_state(pod, record.ordinal);
    facts.counted = record.counted;
    facts.reached = usize::try_from(record.reached).unwrap_or(usize::MAX);
    facts.restarting_all = record.restarting_all;
    facts.conditions = record.conditions.iter().filter_map(set_condition).collect();
    facts.started = record.started_ms.map(|ms| instant(status.start_time.as_ref(), ms));
    facts.stop = record.kill_ms.map(|ms| Stopping {
        cause: match meta.deletion_timestamp {
            Some(_) => StopCause::Deleted,
            None if record.done => StopCause::Done,
            None => StopCause::Deadline,
        },
        grace: meta.deletion_grace_period_seconds.map_or(facts.grace, Millis::from_secs),
        kill_at: Steady(ms),
    });
    let statuses = status.init_container_statuses.iter().chain(&status.container_statuses);
    for ((index, container), status) in facts.containers.iter_mut().enumerate().zip(statuses) {
        let control = record.containers.get(index).copied().unwrap_or_default();
        container.restarts = u32::try_from(status.restart_count).unwrap_or(0);
        container.backoff_steps = control.backoff_steps;
        container.state = container_state(status.state.as_ref(), &control);
        container.last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref()).map(|last| {
            // When it ended is asked only while the delay after it goes on.
            let waits = control.not_before_ms.is_some();
            ended(last, &if waits { control } else { ContainerControl::default() })
        });
    }
    facts.phase = match (status.phase.as_str(), status.reason.as_str()) {
        ("Succeeded", _) => Phase::Succeeded,
        ("Failed", "DeadlineExceeded") => Phase::Failed(Failure::DeadlineExceeded),
        ("Failed", _) if facts.containers.iter().any(was_interrupted) => Phase::Failed(Failure::Interrupted),
        ("Failed", _) => Phase::Failed(Failure::Containers),
        ("Running", _) => Phase::Running,
        _ => Phase::Pending,
    };
    facts
}

fn was_interrupted(container: &ContainerFacts) -> bool {
    let interrupted = matches!(&container.state, State::Ended(ended) if ended.exit == Exit::Interrupted);
    interrupted && container.role != Role::Sidecar
}

fn set_condition(condition: &PodCondition) -> Option<SetCondition> {
    Some(SetCondition {
        kind: condition.r#type.clone(),
        status: Status::from_text(&condition.status)?,
        reason: condition.reason.clone(),
    })
}

fn instant(wall: Option<&prost_types::Timestamp>, steady_ms: i64) -> Now {
    Now { wall: wall.map(time::instant).unwrap_or_default(), steady: Steady(steady_ms) }
}

fn container_state(state: Option<&ContainerState>, control: &ContainerControl) -> State {
    let Some(state) = state else { return State::Waiting(Waiting::Creating) };
    if let Some(terminated) = &state.terminated {
        State::Ended(ended(terminated, control))
    } else if let Some(running) = &state.running {
        State::Running { since: instant(running.started_at.as_ref(), control.started_ms.unwrap_or_default()) }
    } else {
        State::Waiting(match control.not_before_ms {
            Some(ms) => Waiting::Backoff(Steady(ms)),
            // Whether its image is there is asked anew.
            None => Waiting::Creating,
        })
    }
}

fn ended(terminated: &ContainerStateTerminated, control: &ContainerControl) -> Ended {
    let code = u8::try_from(terminated.exit_code).unwrap_or(u8::MAX);
    let started = terminated.started_at.as_ref();
    Ended {
        exit: Exit::from_parts(&terminated.reason, code, &terminated.message),
        since: started.map(|at| instant(Some(at), control.started_ms.unwrap_or_default())),
        at: instant(terminated.finished_at.as_ref(), control.finished_ms.unwrap_or_default()),
    }
}

/// What is stored of a Pod.
pub fn record(pod: Pod, facts: &Facts) -> PodRecord {
    PodRecord {
        pod: Some(pod),
        started_ms: facts.started.map(|at| at.steady.0),
        kill_ms: facts.stop.map(|stop| stop.kill_at.0),
        containers: facts.containers.iter().map(control).collect(),
        counted: facts.counted,
        // Known to whoever writes the record.
        log_bytes: 0,
        ordinal: facts.ordinal,
        reached: u32::try_from(facts.reached).unwrap_or(u32::MAX),
        restarting_all: facts.restarting_all,
        done: facts.stop.is_some_and(|stop| stop.cause == StopCause::Done),
        conditions: facts.conditions.iter().map(condition).collect(),
    }
}

fn condition(set: &SetCondition) -> PodCondition {
    PodCondition {
        r#type: set.kind.clone(),
        status: set.status.as_str().to_owned(),
        reason: set.reason.clone(),
        ..PodCondition::default()
    }
}

fn control(container: &ContainerFacts) -> ContainerControl {
    let mut control =
        ContainerControl { backoff_steps: container.backoff_steps, ..ContainerControl::default() };
    match &container.state {
        State::Waiting(Waiting::Backoff(until)) => {
            control.not_before_ms = Some(until.0);
            control.finished_ms = container.last.as_ref().map(|last| last.at.steady.0);
        }
        State::Waiting(Waiting::Creating | Waiting::Image(_)) => {}
        State::Running { since } | State::Stopping { since, .. } => control.started_ms = Some(since.steady.0),
        State::Ended(ended) => {
            control.started_ms = ended.since.map(|since| since.steady.0);
            control.finished_ms = Some(ended.at.steady.0);
        }
    }
    control
}
