//! The status people see, written from what is decided from.

use sched::node::Lack;
use sched::pod::{
    self, Container as ContainerFacts, Ended, Failure, ImageWait, Phase, Pod as Facts, Role, State,
    StopCause, Waiting,
};
use sched::{Now, Steady};

use crate::pb::k8s::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, Pod, PodCondition, PodStatus,
};
use crate::time;

/// Container `index` runs the image with this digest.
pub fn set_image_id(pod: &mut Pod, index: usize, digest: &str) {
    make_statuses(pod);
    if let Some(status) = pod.status.as_mut().and_then(|status| statuses(status).nth(index)) {
        digest.clone_into(&mut status.image_id);
    }
}

fn statuses(status: &mut PodStatus) -> impl Iterator<Item = &mut ContainerStatus> {
    status.init_container_statuses.iter_mut().chain(&mut status.container_statuses)
}

/// Makes sure there is a status for every container.
fn make_statuses(pod: &mut Pod) {
    let status = pod.status.get_or_insert_default();
    let Some(spec) = &pod.spec else { return };
    let add = |statuses: &mut Vec<ContainerStatus>, containers: &[Container]| {
        for container in containers.iter().skip(statuses.len()) {
            statuses.push(ContainerStatus {
                name: container.name.clone(),
                image: container.image.clone(),
                state: Some(ContainerState::default()),
                last_state: Some(ContainerState::default()),
                ..ContainerStatus::default()
            });
        }
    };
    add(&mut status.init_container_statuses, &spec.init_containers);
    add(&mut status.container_statuses, &spec.containers);
}

/// Writes what is known of a Pod into its status. `lack` is what the node has too little of while it waits for room.
pub fn write_status(pod: &mut Pod, facts: &Facts, lack: Option<Lack>, now: Now) {
    if let Some(stop) = facts.stop.filter(|stop| stop.cause == StopCause::Deleted) {
        let meta = pod.metadata.get_or_insert_default();
        let grace = Some(stop.grace.0 / 1000);
        // Asked again with less grace, it ends earlier.
        if meta.deletion_timestamp.is_none() || meta.deletion_grace_period_seconds != grace {
            let left = (stop.kill_at - now.steady).0.max(0) / 1000;
            let seconds = time::seconds(now.wall).seconds.saturating_add(left);
            meta.deletion_timestamp = Some(prost_types::Timestamp { seconds, nanos: 0 });
            meta.deletion_grace_period_seconds = grace;
        }
    }
    if facts.started.is_some() {
        make_statuses(pod);
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
    for (container, status) in facts.containers.iter().zip(statuses(status)) {
        write_container(container, status, facts);
    }
    write_conditions(status, facts, lack, now);
}

fn write_container(container: &ContainerFacts, status: &mut ContainerStatus, facts: &Facts) {
    let running = container.state.has_guest();
    status.ready = match (container.role, &container.state) {
        (Role::Init, State::Ended(ended)) => ended.exit.succeeded(),
        (Role::Init, State::Waiting(_) | State::Running { .. } | State::Stopping { .. }) => false,
        (Role::Sidecar | Role::App, _) => running && facts.stop.is_none(),
    };
    status.started = Some(running);
    status.restart_count = i32::try_from(container.restarts).unwrap_or(i32::MAX);
    let waiting = |reason: &str, message: String| ContainerState {
        waiting: Some(ContainerStateWaiting { reason: reason.to_owned(), message }),
        ..ContainerState::default()
    };
    status.state = Some(match &container.state {
        State::Waiting(Waiting::Creating) => {
            let initializes = facts.containers.iter().any(|container| container.role != Role::App);
            waiting(if initializes { "PodInitializing" } else { "ContainerCreating" }, String::new())
        }
        State::Waiting(Waiting::Image(wait)) => {
            let image = &status.image;
            let message = format!("image {image} is not on this node; push it: wick image push FILE {image}");
            let reason = match wait {
                ImageWait::Tried(_) => "ErrImagePull",
                ImageWait::BackedOff => "ImagePullBackOff",
                ImageWait::NeverTried => "ErrImageNeverPull",
            };
            waiting(reason, message)
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
        terminated: Some(Box::new(ContainerStateTerminated {
            exit_code: i32::from(ended.exit.code()),
            reason: ended.exit.reason().to_owned(),
            message: ended.exit.message().to_owned(),
            started_at: ended.since.map(|since| time::seconds(since.wall)),
            finished_at: Some(time::seconds(ended.at.wall)),
            ..ContainerStateTerminated::default()
        })),
        ..ContainerState::default()
    }
}

fn write_conditions(status: &mut PodStatus, facts: &Facts, lack: Option<Lack>, now: Now) {
    status.conditions.retain(|written| facts.conditions().any(|condition| condition.kind == written.r#type));
    for condition in facts.conditions() {
        let message = match (condition.kind, lack) {
            (pod::POD_SCHEDULED, _) if facts.started.is_some() => "",
            (pod::POD_SCHEDULED, Some(Lack::Pods)) => "0/1 nodes are available: too many pods",
            (pod::POD_SCHEDULED, Some(Lack::Guests)) => "0/1 nodes are available: too many containers",
            (pod::POD_SCHEDULED, Some(Lack::Cpu)) => "0/1 nodes are available: insufficient cpu",
            (pod::POD_SCHEDULED, Some(Lack::Memory)) => "0/1 nodes are available: insufficient memory",
            (pod::POD_SCHEDULED, Some(Lack::Labels)) => {
                "0/1 nodes are available: it does not have the labels of the Pod's nodeSelector"
            }
            (pod::POD_SCHEDULED, None) => "waiting for its turn",
            (pod::DISRUPTION_TARGET, _) if facts.phase == Phase::Failed(Failure::Interrupted) => {
                "the agent or the device went down while the Pod ran"
            }
            _ => "",
        };
        set(status, condition, message, now);
    }
}

/// Sets a condition; its time moves only when its status does.
fn set(status: &mut PodStatus, condition: pod::Condition<'_>, message: &str, now: Now) {
    let index = status.conditions.iter().position(|known| known.r#type == condition.kind);
    let index = index.unwrap_or_else(|| {
        let r#type = condition.kind.to_owned();
        status.conditions.push(PodCondition { r#type, ..PodCondition::default() });
        status.conditions.len() - 1
    });
    let written = &mut status.conditions[index];
    if written.status != condition.status.as_str() {
        condition.status.as_str().clone_into(&mut written.status);
        written.last_transition_time = Some(time::seconds(now.wall));
    }
    condition.reason.clone_into(&mut written.reason);
    message.clone_into(&mut written.message);
}
