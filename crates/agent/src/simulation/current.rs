//! A world that begins with what an agent has, and not with a scenario's objects.
//!
//! Every CronJob is made at the start as it stands, and every Job that has not finished begins anew; one that a CronJob
//! started belongs to the CronJob of that name again, and holds none of its slots back. Deliberately absent: what came of
//! slots and Pods before.

use api::pb::k8s::batch::v1::{CronJob, Job};
use api::pb::k8s::meta::v1::{ObjectMeta, OwnerReference};

use super::scenario::NodeSpec;

/// What an agent has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Current {
    pub(crate) cron_jobs: Vec<CronJob>,
    /// Those that have not finished.
    pub(crate) jobs: Vec<Job>,
    /// What a scenario leaves out of its node.
    pub(crate) node: NodeSpec,
}

impl Current {
    /// The objects as somebody would create them anew.
    pub(crate) fn new(cron_jobs: Vec<CronJob>, jobs: Vec<Job>, node: NodeSpec) -> Current {
        let cron_jobs = cron_jobs.into_iter().map(|cron_job| CronJob {
            metadata: anew(cron_job.metadata),
            status: None,
            ..cron_job
        });
        let jobs = jobs.into_iter().map(|job| {
            let owner = api::cron_job::cron_job_of(&job).map(|(name, _)| owned_by(name));
            let mut metadata = anew(job.metadata);
            metadata.iter_mut().for_each(|meta| meta.owner_references.extend(owner.clone()));
            Job { metadata, status: None, ..job }
        });
        Current { cron_jobs: cron_jobs.collect(), jobs: jobs.collect(), node }
    }
}

fn anew(meta: Option<ObjectMeta>) -> Option<ObjectMeta> {
    let ObjectMeta { name, namespace, labels, annotations, .. } = meta?;
    Some(ObjectMeta { name, namespace, labels, annotations, ..ObjectMeta::default() })
}

/// Whose uid is yet to be filled in.
fn owned_by(cron_job: &str) -> OwnerReference {
    OwnerReference {
        api_version: api::kind::CRON_JOB.api_version(),
        kind: api::kind::CRON_JOB.kind.to_owned(),
        name: cron_job.to_owned(),
        controller: Some(true),
        ..OwnerReference::default()
    }
}
