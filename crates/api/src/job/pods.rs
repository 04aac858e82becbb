//! What ties a Pod to its place in its Job: its index and how that failed before; and how a Pod failed, for policies.

use sched::job::{Failed, Seed};
use sched::pod::{Pod as Facts, Role, State};

use crate::pb::k8s::core::v1::Pod;
use crate::pod::{COMPLETION_INDEX, set_index};

/// Annotation: failures of the index before this Pod that count.
const FAILURE_COUNT: &str = "batch.kubernetes.io/job-index-failure-count";
/// Annotation: failures of the index before this Pod that a rule ignores.
const IGNORED_FAILURE_COUNT: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// The index a Pod is for.
pub fn completion_index(pod: &Pod) -> Option<u32> {
    pod.metadata.as_ref()?.annotations.get(COMPLETION_INDEX)?.parse().ok()
}

/// Gives a Pod made from its Job's template its place.
pub fn plant(pod: &mut Pod, job_name: &str, seed: Seed) {
    let Some(index) = seed.index else { return };
    set_index(pod, job_name, index);
    let meta = pod.metadata.get_or_insert_default();
    if let Some((failures, ignored)) = seed.failures {
        meta.annotations.insert(FAILURE_COUNT.to_owned(), failures.to_string());
        if ignored > 0 {
            meta.annotations.insert(IGNORED_FAILURE_COUNT.to_owned(), ignored.to_string());
        }
    }
}

/// How a Pod failed, for the policies of its Job.
pub fn failed(pod: &Pod, facts: &Facts) -> Failed {
    let exit_codes = |mine: fn(Role) -> bool| {
        let containers = facts.containers.iter().enumerate();
        containers.filter(move |(_, container)| mine(container.role)).filter_map(|(index, container)| {
            let State::Ended(ended) = &container.state else { return None };
            Some((crate::pod::container_name(pod, index).to_owned(), i32::from(ended.exit.code())))
        })
    };
    let meta = pod.metadata.as_ref();
    Failed {
        pod: meta.map_or(String::new(), |meta| format!("{}/{}", meta.namespace, meta.name)),
        exit_codes: exit_codes(|role| role == Role::App)
            .chain(exit_codes(|role| role != Role::App))
            .collect(),
        conditions: facts
            .conditions()
            .map(|one| (one.kind.to_owned(), one.status.as_str().to_owned()))
            .collect(),
    }
}
