//! What a container's guest is to do, and within which limits: the spec, resolved.

use sched::node::Room;

use crate::environment::{expand, variables};
use crate::pb::k8s::core::v1::{Container, Pod, Volume};
use crate::quantity::Quantity;

/// Fuel for each start of the container, in WebAssembly instructions, about: a key of `resources.limits`.
pub const FUEL: &str = "wick.dev/fuel";
/// What guests may connect to, `host:port`, separated by commas: an annotation of the Pod template.
pub const ALLOW_NET: &str = "wick.dev/allow-net";

/// All that a container's spec asks of its guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerPlan {
    /// Arguments, the program's name first.
    pub args: Vec<String>,
    /// Variables.
    pub env: Vec<(String, String)>,
    /// Directories it sees.
    pub mounts: Vec<Mount>,
    /// It ends after so many instructions.
    pub fuel: Option<u64>,
    /// It ends when it asks for more, in bytes.
    pub memory_bytes: Option<u64>,
    /// It is slowed down beyond so many thousandths of a core.
    pub cpu_millis: Option<u64>,
    /// What it may connect to, `host:port`.
    pub allow_net: Vec<String>,
}

/// A directory a guest sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is there.
    pub source: MountSource,
    /// Where it sees it.
    pub path: String,
    /// It cannot write there.
    pub read_only: bool,
}

/// What is in a directory a guest sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// A directory of the Pod's own, empty at first, kept until the Pod is over.
    EmptyDir {
        /// Name of the volume.
        volume: String,
    },
    /// A directory of the device.
    HostPath {
        /// Where it is.
        path: String,
        /// It is made if it is not there.
        create: bool,
    },
}

/// What a container may ask of its node.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it shares out.
    pub allocatable: Room,
}

/// What container `index` of a Pod is to do.
pub fn container_plan(pod: &Pod, index: usize, node: Node<'_>) -> ContainerPlan {
    let Some(spec) = &pod.spec else { return ContainerPlan::default() };
    let Some(container) = crate::pod::container(pod, index) else { return ContainerPlan::default() };
    let env = variables(pod, container, node);
    let lookup = |name: &str| env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    // A module has no entrypoint beside its code: without a command, its first argument is its image's name.
    let program = [container.image.clone()];
    let command = if container.command.is_empty() { &program[..] } else { &container.command[..] };
    let args = command.iter().chain(&container.args).map(|text| expand(text, lookup)).collect();
    let annotations = pod.metadata.as_ref().map(|meta| &meta.annotations);
    let allow_net = annotations.and_then(|annotations| annotations.get(ALLOW_NET)).map_or("", String::as_str);
    ContainerPlan {
        args,
        mounts: container
            .volume_mounts
            .iter()
            .filter_map(|mount| {
                let volume = spec.volumes.iter().find(|volume| volume.name == mount.name)?;
                Some(Mount {
                    source: source(volume),
                    path: mount.mount_path.clone(),
                    read_only: mount.read_only,
                })
            })
            .collect(),
        fuel: limit(container, FUEL).map(|quantity| positive(quantity.value())),
        memory_bytes: limit(container, "memory").map(|quantity| positive(quantity.value())),
        cpu_millis: limit(container, "cpu").map(|quantity| positive(quantity.milli_value())),
        allow_net: allow_net
            .split(',')
            .map(str::trim)
            .filter(|grant| !grant.is_empty())
            .map(str::to_owned)
            .collect(),
        env,
    }
}

fn source(volume: &Volume) -> MountSource {
    let host_path = volume.volume_source.as_ref().and_then(|source| source.host_path.as_ref());
    match host_path {
        Some(host) => MountSource::HostPath {
            path: host.path.clone(),
            create: host.r#type.as_deref() == Some("DirectoryOrCreate"),
        },
        // Kubernetes: a volume without a source is an emptyDir.
        None => MountSource::EmptyDir { volume: volume.name.clone() },
    }
}

/// A container's limit on a resource; 0 is none, as on Kubernetes.
fn limit(container: &Container, resource: &str) -> Option<Quantity> {
    let limit: Quantity = container.resources.as_ref()?.limits.get(resource)?.parse().ok()?;
    (!limit.is_zero()).then_some(limit)
}

/// What a container requests of a resource; its limit where it requests nothing.
pub(crate) fn request(container: &Container, resource: &str) -> Option<Quantity> {
    let resources = container.resources.as_ref()?;
    let asked = resources.requests.get(resource).or_else(|| resources.limits.get(resource))?;
    asked.parse().ok()
}

/// Quantities were checked when the Job was taken in; one below zero is none.
pub(crate) fn positive(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
