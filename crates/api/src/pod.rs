//! Pods: made from a Job's template, and what their spec says of their containers.
//!
//! Wherever containers are counted, init containers (sidecars included) come first, then the others, each in the order of
//! the spec. What is decided from is in `state.rs`, the status people see in `status.rs`.

mod state;
mod status;

use jiff::Timestamp;
use sched::node::Room;

pub use state::{new_state, record, state};
pub use status::{set_image_id, write_status};

use crate::Shared;
use crate::container::{positive, request};
use crate::pb::k8s::batch::v1::Job;
use crate::pb::k8s::core::v1::{
    Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod, PodSpec, ResourceRequirements,
};
use crate::pb::k8s::meta::v1::{ObjectMeta, OwnerReference};
use crate::time;

/// Label and annotation of an Indexed Job's Pods: which index they work on.
pub(crate) const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// The variable its containers find it in.
const COMPLETION_INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

/// A Pod of this Job, as it is first stored.
pub fn from_template(job: &Job, name: &str, uid: &str, now: Timestamp) -> Pod {
    let owner = job.metadata.clone().unwrap_or_default();
    let template = job.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default();
    let meta = template.metadata.unwrap_or_default();
    let mut spec = template.spec.unwrap_or_default();
    complete(&mut spec);
    Pod {
        metadata: Some(ObjectMeta {
            name: name.to_owned(),
            generate_name: format!("{}-", owner.name),
            namespace: owner.namespace,
            uid: uid.to_owned(),
            creation_timestamp: Some(time::seconds(now)),
            labels: meta.labels,
            annotations: meta.annotations,
            owner_references: vec![owned_by(job)],
            ..ObjectMeta::default()
        }),
        spec: Some(spec),
        status: None,
    }
}

/// Fills in what Kubernetes fills in when a Pod is made. Most specs have it all, and stay shared with their Job's.
fn complete(spec: &mut Shared<PodSpec>) {
    // What is not requested is requested as it is limited, per resource.
    fn left_out(resources: &ResourceRequirements) -> impl Iterator<Item = (&String, &String)> {
        let counts = |name: &String| name != crate::container::FUEL && !resources.requests.contains_key(name);
        resources.limits.iter().filter(move |(name, _)| counts(name))
    }
    let incomplete = |container: &Container| {
        container.resources.as_ref().is_some_and(|resources| left_out(resources).next().is_some())
    };
    if containers(spec).any(incomplete) {
        let spec = spec.make_mut();
        for container in spec.init_containers.iter_mut().chain(&mut spec.containers) {
            if let Some(resources) = &mut container.resources {
                let more: Vec<_> =
                    left_out(resources).map(|(name, limit)| (name.clone(), limit.clone())).collect();
                resources.requests.extend(more);
            }
        }
    }
    let priority = priority(&spec.priority_class_name);
    if !spec.priority_class_name.is_empty() && spec.priority != priority {
        spec.make_mut().priority = priority;
    }
}

/// What a Pod says of the Job it belongs to.
pub fn owned_by(job: &Job) -> OwnerReference {
    let (name, uid) =
        job.metadata.as_ref().map_or_else(Default::default, |meta| (meta.name.clone(), meta.uid.clone()));
    OwnerReference {
        api_version: "batch/v1".to_owned(),
        kind: "Job".to_owned(),
        name,
        uid,
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Makes it the Pod that works on this index of its Job: label, annotation, host name, and the variable in every container
/// that does not define it.
pub fn set_index(pod: &mut Pod, job_name: &str, index: u32) {
    let text = index.to_string();
    let meta = pod.metadata.get_or_insert_default();
    meta.generate_name = sched::names::indexed_prefix(job_name, index);
    meta.labels.insert(COMPLETION_INDEX.to_owned(), text.clone());
    meta.annotations.insert(COMPLETION_INDEX.to_owned(), text);
    let spec = pod.spec.get_or_insert_default().make_mut();
    spec.hostname = format!("{job_name}-{index}");
    for container in spec.init_containers.iter_mut().chain(&mut spec.containers) {
        if container.env.iter().all(|variable| variable.name != COMPLETION_INDEX_VARIABLE) {
            let field_ref = ObjectFieldSelector {
                api_version: String::new(),
                field_path: format!("metadata.labels['{COMPLETION_INDEX}']"),
            };
            let source = EnvVarSource { field_ref: Some(field_ref), ..EnvVarSource::default() };
            container.env.push(EnvVar {
                name: COMPLETION_INDEX_VARIABLE.to_owned(),
                value: String::new(),
                value_from: Some(Box::new(source)),
            });
        }
    }
}

/// How important Pods of this class are; `None` if there is no such class.
///
/// These are Kubernetes' own two; others cannot be made here.
pub fn priority(class: &str) -> Option<i32> {
    match class {
        "" => Some(0),
        "system-node-critical" => Some(2_000_001_000),
        "system-cluster-critical" => Some(2_000_000_000),
        _ => None,
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

/// All containers: init containers and sidecars, then the others.
pub fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().chain(&spec.containers)
}

/// Container `index`, counted as everywhere.
pub(crate) fn container(pod: &Pod, index: usize) -> Option<&Container> {
    let spec = pod.spec.as_ref()?;
    match index.checked_sub(spec.init_containers.len()) {
        None => spec.init_containers.get(index),
        Some(index) => spec.containers.get(index),
    }
}

/// The name of container `index`.
pub fn container_name(pod: &Pod, index: usize) -> &str {
    container(pod, index).map_or("", |container| &container.name)
}

/// Container `index` as Events refer to it: `spec.containers{main}`.
pub fn container_path(pod: &Pod, index: usize) -> String {
    let inits = pod.spec.as_ref().map_or(0, |spec| spec.init_containers.len());
    let list = if index < inits { "initContainers" } else { "containers" };
    format!("spec.{list}{{{}}}", container_name(pod, index))
}

/// The image of container `index`, as the spec has it.
pub fn image(pod: &Pod, index: usize) -> &str {
    container(pod, index).map_or("", |container| &container.image)
}

/// The images of all containers, in order.
pub fn images(pod: &Pod) -> impl Iterator<Item = &str> {
    pod.spec.iter().flat_map(|spec| containers(spec)).map(|container| container.image.as_str())
}

/// What a Pod takes of its node: a place for each container, and what they request.
///
/// Init containers run one after the other, so that the largest counts, together with the sidecars started before it; all
/// others run together with all sidecars.
pub fn room(pod: &Pod) -> Room {
    let Some(spec) = &pod.spec else { return Room::default() };
    let (mut sidecars, mut most) = (Room::default(), Room::default());
    for container in &spec.init_containers {
        let asked = sidecars.plus(room_of(container));
        if is_sidecar(container) {
            sidecars = asked;
        }
        most = most.or_more(asked);
    }
    let together = spec.containers.iter().fold(sidecars, |room, container| room.plus(room_of(container)));
    Room { pods: 1, ..most.or_more(together) }
}

fn room_of(container: &Container) -> Room {
    Room {
        pods: 0,
        guests: 1,
        cpu_millis: request(container, "cpu").map_or(0, |amount| positive(amount.milli_value())),
        memory_bytes: request(container, "memory").map_or(0, |amount| positive(amount.value())),
    }
}

/// Whether this init container stays beside the others.
pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The node has taken the Pod.
pub fn assign(pod: &mut Pod, node_name: &str) {
    let spec = pod.spec.get_or_insert_default();
    if spec.node_name != node_name {
        node_name.clone_into(&mut spec.make_mut().node_name);
    }
}
