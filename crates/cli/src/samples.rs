//! Objects for tests, from a few words.

use api::pb::k8s::batch::v1::{
    CronJob, CronJobSpec, CronJobStatus, Job, JobCondition, JobSpec, JobStatus, JobTemplateSpec,
};
use api::pb::k8s::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, Event, EventSource, ObjectReference, Pod, PodCondition, PodSpec, PodStatus,
    PodTemplateSpec,
};
use api::pb::k8s::meta::v1::{ObjectMeta, OwnerReference};

use api::pb::wick::v1::NextSlot;

use crate::clock::ago;
use crate::objects::Scheduled;

/// What was made two minutes ago.
pub(crate) fn meta(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: name.to_owned(),
        namespace: "default".to_owned(),
        uid: format!("uid-of-{name}"),
        resource_version: "7".to_owned(),
        creation_timestamp: ago(120),
        ..ObjectMeta::default()
    }
}

/// A Job with one container of its name that started 100 seconds ago.
pub(crate) fn job(name: &str) -> Job {
    let container = Container {
        name: name.to_owned(),
        image: format!("{name}:1"),
        args: vec!["--quick".to_owned(), "two words".to_owned()],
        ..Container::default()
    };
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: [("job-name".to_owned(), name.to_owned())].into(),
            ..ObjectMeta::default()
        }),
        spec: Some(
            PodSpec {
                containers: vec![container],
                restart_policy: "OnFailure".to_owned(),
                ..PodSpec::default()
            }
            .into(),
        ),
    };
    let spec = JobSpec {
        parallelism: Some(2),
        completions: Some(5),
        backoff_limit: Some(6),
        template: Some(template),
        ..JobSpec::default()
    };
    Job {
        metadata: Some(meta(name)),
        spec: Some(spec.into()),
        status: Some(JobStatus { start_time: ago(100), ..JobStatus::default() }),
    }
}

/// A CronJob in Berlin that started a Job a day ago, none of which runs now, and is due in four minutes.
pub(crate) fn cron_job(name: &str, schedule: &str) -> Scheduled {
    let spec = CronJobSpec {
        schedule: schedule.to_owned(),
        time_zone: Some("Europe/Berlin".to_owned()),
        concurrency_policy: "Allow".to_owned(),
        suspend: Some(false),
        job_template: Some(JobTemplateSpec { metadata: None, spec: job(name).spec }),
        successful_jobs_history_limit: Some(3),
        failed_jobs_history_limit: Some(1),
        ..CronJobSpec::default()
    };
    let cron_job = CronJob {
        metadata: Some(meta(name)),
        spec: Some(spec.into()),
        status: Some(CronJobStatus {
            last_schedule_time: ago(86_160),
            last_successful_time: ago(86_100),
            ..CronJobStatus::default()
        }),
    };
    Scheduled { cron_job, next: NextSlot { slot: ago(-240), start: ago(-240), ..NextSlot::default() } }
}

/// Gives `job` a condition since half a minute.
pub(crate) fn add_condition(job: &mut Job, kind: &str, status: &str, reason: &str, message: &str) {
    job.status.get_or_insert_default().conditions.push(JobCondition {
        r#type: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: ago(30),
        ..JobCondition::default()
    });
}

/// A Pod of the Job `hello` with containers `a`, `b`, … in the states that `containers` tells: `run`, `unready`,
/// `wait:REASON[:RESTARTS]`, `end:REASON:CODE`; init containers have `i:` before.
pub(crate) fn pod(name: &str, phase: &str, containers: &str) -> Pod {
    let mut spec = PodSpec {
        restart_policy: "OnFailure".to_owned(),
        node_name: "gate".to_owned(),
        ..PodSpec::default()
    };
    let mut status = PodStatus { phase: phase.to_owned(), start_time: ago(110), ..PodStatus::default() };
    for (word, letter) in containers.split_whitespace().zip('a'..) {
        let container =
            Container { name: letter.to_string(), image: "hello:1".to_owned(), ..Container::default() };
        match word.strip_prefix("i:") {
            Some(word) => {
                status.init_container_statuses.push(container_status(&container.name, word));
                spec.init_containers.push(container);
            }
            None => {
                status.container_statuses.push(container_status(&container.name, word));
                spec.containers.push(container);
            }
        }
    }
    let ready = status.container_statuses.iter().any(|container| container.ready);
    if ready {
        status.conditions.push(PodCondition {
            r#type: "Ready".to_owned(),
            status: "True".to_owned(),
            last_transition_time: ago(90),
            ..PodCondition::default()
        });
    }
    let mut metadata = meta(name);
    metadata.labels.insert("job-name".to_owned(), "hello".to_owned());
    metadata.owner_references.push(OwnerReference {
        api_version: "batch/v1".to_owned(),
        kind: "Job".to_owned(),
        name: "hello".to_owned(),
        uid: "uid-of-hello".to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    });
    Pod { metadata: Some(metadata), spec: Some(spec.into()), status: Some(status) }
}

fn container_status(name: &str, word: &str) -> ContainerStatus {
    let parts: Vec<&str> = word.split(':').collect();
    let part = |at: usize| parts.get(at).copied().unwrap_or_default();
    let mut status = ContainerStatus {
        name: name.to_owned(),
        image: "hello:1".to_owned(),
        image_id: "hello@sha256:0123456789abcdef".to_owned(),
        ..ContainerStatus::default()
    };
    let state = match part(0) {
        "run" | "unready" => ContainerState {
            running: Some(ContainerStateRunning { started_at: ago(90) }),
            ..ContainerState::default()
        },
        "wait" => ContainerState {
            waiting: Some(ContainerStateWaiting { reason: part(1).to_owned(), message: String::new() }),
            ..ContainerState::default()
        },
        _ => ContainerState {
            terminated: Some(Box::new(ended(part(1), part(2)))),
            ..ContainerState::default()
        },
    };
    status.ready = part(0) == "run";
    status.started = Some(status.ready);
    if part(0) == "wait" && !part(2).is_empty() {
        status.restart_count = part(2).parse().unwrap();
        status.last_state = Some(ContainerState {
            terminated: Some(Box::new(ended("Error", "1"))),
            ..ContainerState::default()
        });
    }
    status.state = Some(state);
    status
}

/// A run of ten seconds that ended five seconds ago.
fn ended(reason: &str, code: &str) -> ContainerStateTerminated {
    ContainerStateTerminated {
        exit_code: code.parse().unwrap(),
        reason: reason.to_owned(),
        started_at: ago(15),
        finished_at: ago(5),
        ..ContainerStateTerminated::default()
    }
}

/// An Event about the Job `hello`, seen `count` times over half a minute.
pub(crate) fn event(kind: &str, reason: &str, message: &str, count: i32) -> Event {
    Event {
        metadata: Some(meta(&format!("hello.{reason}"))),
        involved_object: Some(ObjectReference {
            kind: "Job".to_owned(),
            namespace: "default".to_owned(),
            name: "hello".to_owned(),
            uid: "uid-of-hello".to_owned(),
            ..ObjectReference::default()
        }),
        reason: reason.to_owned(),
        message: message.to_owned(),
        source: Some(EventSource { component: "job-controller".to_owned(), host: String::new() }),
        first_timestamp: ago(if count > 1 { 33 } else { 3 }),
        last_timestamp: ago(3),
        count,
        r#type: kind.to_owned(),
        ..Event::default()
    }
}
