//! Waiting by watching: until an object, or all of a Job's Pods, are as they should be.

use std::collections::BTreeMap;

use api::pb::k8s::batch::v1::Job;
use api::pb::k8s::core::v1::Pod;
use api::pb::wick::v1::{JobServiceWatchRequest, PodServiceWatchRequest, WatchEventType};
use tokio::time::timeout;

use crate::client::{Client, named, pods_of};
use crate::{Node, PATIENCE};

impl Client {
    /// The Job of this name, once it is as `wanted`.
    pub async fn job_when(&self, name: &str, mut wanted: impl FnMut(&Job) -> bool) -> Job {
        let request = JobServiceWatchRequest { filter: Some(named(name)), since_revision: None };
        let mut last = None;
        let found = timeout(PATIENCE, async {
            let mut watch = self.jobs().watch(request).await.expect("a watch").into_inner();
            loop {
                let change = watch.message().await.expect("a change").expect("a watch does not end");
                last = change.job.or(last.take());
                if let Some(job) = last.take_if(|job| wanted(job)) {
                    return job;
                }
            }
        });
        match found.await {
            Ok(job) => job,
            Err(_) => panic!("job `{name}` is not as it should be after {PATIENCE:?}; it is {last:#?}"),
        }
    }

    /// Waits until no Job has this name.
    pub async fn job_gone(&self, name: &str) {
        let request = JobServiceWatchRequest { filter: Some(named(name)), since_revision: None };
        let gone = timeout(PATIENCE, async {
            let mut watch = self.jobs().watch(request).await.expect("a watch").into_inner();
            let mut there = false;
            loop {
                let change = watch.message().await.expect("a change").expect("a watch does not end");
                match change.r#type() {
                    WatchEventType::Bookmark if !there => return,
                    WatchEventType::Bookmark => {}
                    WatchEventType::Deleted => return,
                    _ => there = true,
                }
            }
        });
        assert!(gone.await.is_ok(), "job `{name}` is still there after {PATIENCE:?}");
    }

    /// The Pods of a Job by name, once all of them together are as `wanted`.
    pub async fn pods_when(&self, job: &str, mut wanted: impl FnMut(&[Pod]) -> bool) -> Vec<Pod> {
        let request = PodServiceWatchRequest { filter: Some(pods_of(job)), since_revision: None };
        let mut pods: BTreeMap<String, Pod> = BTreeMap::new();
        let mut caught_up = false;
        let found = timeout(PATIENCE, async {
            let mut watch = self.pods().watch(request).await.expect("a watch").into_inner();
            loop {
                let change = watch.message().await.expect("a change").expect("a watch does not end");
                match (change.r#type(), change.pod) {
                    (WatchEventType::Bookmark, _) => caught_up = true,
                    (WatchEventType::Deleted, Some(pod)) => {
                        pods.remove(name_of(&pod));
                    }
                    (_, Some(pod)) => {
                        pods.insert(name_of(&pod).to_owned(), pod);
                    }
                    (kind, None) => panic!("{kind:?} without a Pod"),
                }
                let all: Vec<Pod> = pods.values().cloned().collect();
                if caught_up && wanted(&all) {
                    return all;
                }
            }
        });
        match found.await {
            Ok(pods) => pods,
            Err(_) => panic!(
                "the Pods of job `{job}` are not as they should be after {PATIENCE:?}; they are {pods:#?}"
            ),
        }
    }
}

impl Node {
    /// As [`Client::job_when`], for tests that are not asynchronous.
    pub fn job_when(&self, name: &str, wanted: impl FnMut(&Job) -> bool) -> Job {
        self.block_on(async { self.client().await.job_when(name, wanted).await })
    }

    /// As [`Client::pods_when`], for tests that are not asynchronous.
    pub fn pods_when(&self, job: &str, wanted: impl FnMut(&[Pod]) -> bool) -> Vec<Pod> {
        self.block_on(async { self.client().await.pods_when(job, wanted).await })
    }

    /// The Pods of a Job once there are so many and every one of them runs.
    pub fn running_pods(&self, job: &str, count: usize) -> Vec<Pod> {
        self.pods_when(job, |pods| pods.len() == count && pods.iter().all(|pod| phase(pod) == "Running"))
    }
}

/// A Pod's name.
pub fn name_of(pod: &Pod) -> &str {
    pod.metadata.as_ref().map_or("", |meta| &meta.name)
}

/// A Pod's phase.
pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().map_or("", |status| &status.phase)
}

/// How often the Pod's first container was started again.
pub fn restarts(pod: &Pod) -> i32 {
    let first = pod.status.as_ref().and_then(|status| status.container_statuses.first());
    first.map_or(0, |container| container.restart_count)
}
