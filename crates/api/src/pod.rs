//! Pods: made from a Job's template, turned into what is decided from, and given their status.

use jiff::Timestamp;
use sched::node::{Lack, Room};
use sched::pod::{
    Container as ContainerFacts, Ended, Failure, Phase, Pod as Facts, Role, State, StopCause, Stopping,
    Waiting,
};
use sched::{Exit, Millis, Now, Steady};

use crate::container::{positive, request};
use crate::job::restart_policy;
use crate::pb::k8s::batch::v1::Job;
use crate::pb::k8s::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, Pod, PodCondition, PodSpec, PodStatus,
};
use crate::pb::k8s::meta::v1::{ObjectMeta, OwnerReference};
use crate::pb::wick::v1::{ContainerControl, PodRecord};
use crate::time;

const POD_SCHEDULED: &str = "PodScheduled";
const INITIALIZED: &str = "Initialized";
const CONTAINERS_READY: &str = "ContainersReady";
const READY: &str = "Ready";
const DISRUPTION_TARGET: &str = "DisruptionTarget";

/// A Pod of this Job, as it is first stored.
pub fn from_template(job: &Job, name: &str, uid: &str, now: Timestamp) -> Pod {
    let owner = job.metadata.clone().unwrap_or_default();
    let template = job.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default();
    let meta = template.metadata.unwrap_or_default();
    let mut spec = template.spec.unwrap_or_default();
    for container in &mut spec.containers {
        if let Some(resources) = &mut container.resources {
            // Kubernetes: what is not requested is requested as it is limited, per resource, when the Pod is made.
            for (name, limit) in &resources.limits {
                if name != crate::container::FUEL && !resources.requests.contains_key(name) {
                    resources.requests.insert(name.clone(), limit.clone());
                }
            }
        }
    }
    Pod {
        metadata: Some(ObjectMeta {
            name: name.to_owned(),
            generate_name: format!("{}-", owner.name),
            namespace: owner.namespace,
            uid: uid.to_owned(),
            creation_timestamp: Some(time::seconds(now)),
            labels: meta.labels,
            annotations: meta.annotations,
            owner_references: vec![OwnerReference {
                api_version: "batch/v1".to_owned(),
                kind: "Job".to_owned(),
                name: owner.name,
                uid: owner.uid,
                controller: Some(true),
                block_owner_deletion: Some(true),
            }],
            ..ObjectMeta::default()
        }),
        spec: Some(spec),
        status: None,
    }
}

/// A Pod of which no more is known than this.
pub fn named(namespace: &str, name: &str, uid: &str) -> Pod {
    let metadata = ObjectMeta {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        ..ObjectMeta::default()
    };
    Pod { metadata: Some(metadata), ..Pod::default() }
}

fn container(pod: &Pod, index: usize) -> Option<&Container> {
    pod.spec.as_ref()?.containers.get(index)
}

/// The name of container `index`.
pub fn container_name(pod: &Pod, index: usize) -> &str {
    container(pod, index).map_or("", |container| &container.name)
}

/// The image of container `index`, as the spec has it.
pub fn image(pod: &Pod, index: usize) -> &str {
    container(pod, index).map_or("", |container| &container.image)
}

/// The images of all containers, in order.
pub fn images(pod: &Pod) -> impl Iterator<Item = &str> {
    pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| container.image.as_str())
}

/// What a Pod takes of its node: a place for each container, and what they request.
pub fn room(pod: &Pod) -> Room {
    let containers = pod.spec.as_ref().map_or(&[][..], |spec| &spec.containers);
    containers.iter().fold(Room::default(), |room, container| {
        room.plus(Room {
            guests: 1,
            cpu_millis: request(container, "cpu").map_or(0, |amount| positive(amount.milli_value())),
            memory_bytes: request(container, "memory").map_or(0, |amount| positive(amount.value())),
        })
    })
}

/// The node has taken the Pod.
pub fn assign(pod: &mut Pod, node_name: &str) {
    node_name.clone_into(&mut pod.spec.get_or_insert_default().node_name);
}

/// Container `index` runs the image with this digest.
pub fn set_image_id(pod: &mut Pod, index: usize, digest: &str) {
    statuses(pod);
    let status = pod.status.as_mut().and_then(|status| status.container_statuses.get_mut(index));
    if let Some(status) = status {
        digest.clone_into(&mut status.image_id);
    }
}

/// Makes sure there is a status for every container.
fn statuses(pod: &mut Pod) {
    let status = pod.status.get_or_insert_default();
    let containers = pod.spec.as_ref().map_or(&[][..], |spec| &spec.containers);
    for container in containers.iter().skip(status.container_statuses.len()) {
        status.container_statuses.push(ContainerStatus {
            name: container.name.clone(),
            image: container.image.clone(),
            state: Some(ContainerState::default()),
            last_state: Some(ContainerState::default()),
            ..ContainerStatus::default()
        });
    }
}

/// A Pod at its beginning. Whether its images are there is for whoever knows to say.
pub fn new_state(pod: &Pod, ordinal: u64) -> Facts {
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let container = ContainerFacts {
        role: Role::App,
        state: State::Waiting(Waiting::Creating),
        last: None,
        restarts: 0,
        backoff_steps: 0,
        image_present: false,
    };
    Facts {
        restart_policy: restart_policy(&spec.restart_policy),
        active_deadline: spec.active_deadline_seconds.map(Millis::from_secs),
        // Kubernetes takes a negative grace for one second.
        grace: match spec.termination_grace_period_seconds.unwrap_or(30) {
            seconds @ 0.. => Millis::from_secs(seconds),
            _ => Millis::from_secs(1),
        },
        ordinal,
        started: None,
        phase: Phase::Pending,
        stop: None,
        counted: false,
        containers: vec![container; spec.containers.len()],
    }
}

/// A Pod as its record has it.
pub fn state(record: &PodRecord) -> Facts {
    let (pod, status, meta) = (Pod::default(), PodStatus::default(), ObjectMeta::default());
    let pod = record.pod.as_ref().unwrap_or(&pod);
    let status = pod.status.as_ref().unwrap_or(&status);
    let meta = pod.metadata.as_ref().unwrap_or(&meta);
    let mut facts = new_state(pod, record.ordinal);
    facts.counted = record.counted;
    facts.started = record.started_ms.map(|ms| instant(status.start_time.as_ref(), ms));
    facts.stop = record.kill_ms.map(|ms| Stopping {
        cause: if meta.deletion_timestamp.is_some() { StopCause::Deleted } else { StopCause::Deadline },
        kill_at: Steady(ms),
    });
    facts.phase = match (status.phase.as_str(), status.reason.as_str()) {
        ("Succeeded", _) => Phase::Succeeded,
        ("Failed", "DeadlineExceeded") => Phase::Failed(Failure::DeadlineExceeded),
        ("Failed", _) if has_condition(status, DISRUPTION_TARGET) => Phase::Failed(Failure::Interrupted),
        ("Failed", _) => Phase::Failed(Failure::Containers),
        ("Running", _) => Phase::Running,
        _ => Phase::Pending,
    };
    for (index, container) in facts.containers.iter_mut().enumerate() {
        let Some(status) = status.container_statuses.get(index) else { continue };
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
    facts
}

fn has_condition(status: &PodStatus, kind: &str) -> bool {
    status.conditions.iter().any(|condition| condition.r#type == kind && condition.status == "True")
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
        ordinal: facts.ordinal,
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
        State::Waiting(Waiting::Creating | Waiting::Image) => {}
        State::Running { since } | State::Stopping { since, .. } => control.started_ms = Some(since.steady.0),
        State::Ended(ended) => {
            control.started_ms = ended.since.map(|since| since.steady.0);
            control.finished_ms = Some(ended.at.steady.0);
        }
    }
    control
}

/// Writes what is known of a Pod into its status. `lack` is what the node has too little of while it waits for room.
pub fn write_status(pod: &mut Pod, facts: &Facts, lack: Option<Lack>, now: Now) {
    if let Some(stop) = facts.stop.filter(|stop| stop.cause == StopCause::Deleted) {
        let meta = pod.metadata.get_or_insert_default();
        let grace = facts.grace.0 / 1000;
        let ends =
            time::seconds(now.wall).seconds.saturating_add((stop.kill_at - now.steady).0.max(0) / 1000);
        meta.deletion_timestamp.get_or_insert(prost_types::Timestamp { seconds: ends, nanos: 0 });
        meta.deletion_grace_period_seconds.get_or_insert(grace);
    }
    if facts.started.is_some() {
        statuses(pod);
    }
    let status = pod.status.get_or_insert_default();
    let (phase, reason, message) = match facts.phase {
        Phase::Pending => ("Pending", "", ""),
        Phase::Running => ("Running", "", ""),
        Phase::Succeeded => ("Succeeded", "", ""),
        Phase::Failed(Failure::DeadlineExceeded) => {
            ("Failed", "DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
        }
        Phase::Failed(Failure::Containers | Failure::Interrupted) => ("Failed", "", ""),
    };
    phase.clone_into(&mut status.phase);
    reason.clone_into(&mut status.reason);
    message.clone_into(&mut status.message);
    status.start_time = facts.started.map(|at| time::seconds(at.wall));
    for (container, status) in facts.containers.iter().zip(&mut status.container_statuses) {
        write_container(container, status, facts);
    }
    write_conditions(status, facts, lack, now);
}

fn write_container(container: &ContainerFacts, status: &mut ContainerStatus, facts: &Facts) {
    let running = matches!(container.state, State::Running { .. } | State::Stopping { .. });
    status.ready = running && facts.stop.is_none();
    status.started = Some(running);
    status.restart_count = i32::try_from(container.restarts).unwrap_or(i32::MAX);
    let waiting = |reason: &str, message: String| ContainerState {
        waiting: Some(ContainerStateWaiting { reason: reason.to_owned(), message }),
        ..ContainerState::default()
    };
    status.state = Some(match &container.state {
        State::Waiting(Waiting::Creating) => waiting("ContainerCreating", String::new()),
        State::Waiting(Waiting::Image) => {
            let image = &status.image;
            let message = format!("image {image} is not on this node; push it: wick image push FILE {image}");
            waiting("ImagePullBackOff", message)
        }
        State::Waiting(Waiting::Backoff(until)) => {
            // An instant on the wall clock would lie after a clock step: tell the delay, as the kubelet does.
            let ended = container.last.as_ref().map_or(Steady(0), |last| last.at.steady);
            let seconds = (*until - ended).0 / 1000;
            waiting(
                "CrashLoopBackOff",
                format!("back-off {seconds}s restarting failed container {}", status.name),
            )
        }
        State::Running { since } | State::Stopping { since, .. } => ContainerState {
            running: Some(ContainerStateRunning { started_at: Some(time::seconds(since.wall)) }),
            ..ContainerState::default()
        },
        State::Ended(ended) => terminated(ended),
    });
    status.last_state = Some(container.last.as_ref().map_or_else(ContainerState::default, terminated));
}

fn terminated(ended: &Ended) -> ContainerState {
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code: i32::from(ended.exit.code()),
            reason: ended.exit.reason().to_owned(),
            message: ended.exit.message().to_owned(),
            started_at: ended.since.map(|since| time::seconds(since.wall)),
            finished_at: Some(time::seconds(ended.at.wall)),
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    }
}

fn write_conditions(status: &mut PodStatus, facts: &Facts, lack: Option<Lack>, now: Now) {
    let ready = facts.is_ready() && facts.phase == Phase::Running;
    let not_ready = match facts.phase {
        _ if ready => "",
        Phase::Succeeded => "PodCompleted",
        Phase::Failed(_) => "PodFailed",
        Phase::Pending | Phase::Running => "ContainersNotReady",
    };
    if facts.started.is_none() {
        let message = match lack {
            Some(Lack::Guests) => "0/1 nodes are available: too many containers",
            Some(Lack::Cpu) => "0/1 nodes are available: insufficient cpu",
            Some(Lack::Memory) => "0/1 nodes are available: insufficient memory",
            None => "waiting for its turn",
        };
        set(status, POD_SCHEDULED, false, "Unschedulable", message, now);
    } else {
        set(status, POD_SCHEDULED, true, "", "", now);
        set(status, INITIALIZED, true, "", "", now);
        set(status, CONTAINERS_READY, ready, not_ready, "", now);
        set(status, READY, ready, not_ready, "", now);
    }
    if facts.phase == Phase::Failed(Failure::Interrupted) {
        let message = "the agent or the device went down while the Pod ran";
        set(status, DISRUPTION_TARGET, true, "TerminationByKubelet", message, now);
    }
}

/// Sets a condition; its time moves only when its status does.
fn set(status: &mut PodStatus, kind: &str, is: bool, reason: &str, message: &str, now: Now) {
    let value = if is { "True" } else { "False" };
    let index =
        status.conditions.iter().position(|condition| condition.r#type == kind).unwrap_or_else(|| {
            status.conditions.push(PodCondition { r#type: kind.to_owned(), ..PodCondition::default() });
            status.conditions.len() - 1
        });
    let condition = &mut status.conditions[index];
    if condition.status != value {
        value.clone_into(&mut condition.status);
        condition.last_transition_time = Some(time::seconds(now.wall));
    }
    reason.clone_into(&mut condition.reason);
    message.clone_into(&mut condition.message);
}
