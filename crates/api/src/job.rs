//! Jobs: taken in with Kubernetes' defaults and rules (`check.rs`, `policies.rs`, `selector.rs`, `update.rs`), turned into
//! what is decided from (`state.rs`), and given their status.

mod check;
mod indexes;
mod pods;
mod policies;
mod selector;
mod state;
mod status_rules;
mod update;

use std::path::PathBuf;

use jiff::Timestamp;

use crate::asked::{self, Asked};
use crate::field_error::{FieldErrors, FieldPath};
use crate::kind::Object;
use crate::pb::k8s::batch::v1::{Job, JobSpec};
use crate::{metadata, support};

pub use crate::asked::OBJECT_MAX;
pub(crate) use check::{default_template, validate_spec, warn as warn_spec};
pub use pods::{completion_index, failed, plant};
pub(crate) use selector::generated_labels;
pub use selector::selects;
pub(crate) use state::restart_policy;
pub use state::{
    begin_deletion, growth, is_finished, live, message, new_state, reason, record, spec, state, suspension,
    write_status,
};
pub use status_rules::check_status;

/// What the operator of this device lets guests have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Directories that hostPath volumes may name, with all below them.
    pub host_paths: Vec<PathBuf>,
}

/// A Job that was asked for: checked, with its defaults, without an identity yet.
pub type NewJob = Asked<Job>;

impl NewJob {
    /// Takes a Job in: what the agent sets is dropped, defaults are filled in, and everything that is wrong or cannot be
    /// honoured is told at once.
    pub fn check(job: Job, grants: &Grants) -> Result<NewJob, FieldErrors> {
        Asked::unless_wrong(NewJob::examine(job, grants))
    }

    /// The same, with all that is wrong as it was found; to be put in order and cut.
    pub(crate) fn examine(mut job: Job, grants: &Grants) -> (NewJob, FieldErrors) {
        let mut errors = FieldErrors::new();
        if asked::is_too_large(&job, &mut errors) {
            return (Asked::new(Job::default(), &[]), errors);
        }
        job.status = None;
        metadata::place(job.metadata_mut());
        selector::drop_generated(&mut job);
        let support = support::check_message(&job);
        check::default(&mut job);
        check::validate(&job, grants, &mut errors);
        let mut warnings = support.warnings;
        if errors.is_empty() {
            let path = FieldPath::from("spec");
            metadata::warn_name(&job, &mut warnings);
            job.spec.iter().for_each(|spec| check::warn(spec, &path, &mut warnings));
        }
        errors.append(support.refused);
        (Asked::new(job, &warnings), errors)
    }

    /// The Job as it is first stored, under this name and identity.
    pub fn stamp(self, name: String, uid: &str, now: Timestamp) -> Job {
        let mut job = self.object;
        asked::stamp(job.metadata_mut(), name, uid, now);
        selector::generate(&mut job);
        job
    }

    /// What `stored` becomes when it is replaced by this; `None` if nothing changes. Tells what may not change.
    pub fn revise(self, stored: &Job) -> Result<Option<Job>, FieldErrors> {
        let mut job = stored.clone();
        let whole = self.is_whole();
        asked::revise(job.metadata_mut(), self.object.metadata.unwrap_or_default(), whole);
        job.spec = self.object.spec;
        // A manifest that begins to speak of parallelism does not ask for a work queue.
        if let (Some(spec), Some(stored)) = (&mut job.spec, &stored.spec)
            && !whole
            && spec.completions.is_none()
        {
            spec.make_mut().completions = stored.completions;
        }
        selector::generate(&mut job);
        if job == *stored {
            return Ok(None);
        }
        let mut errors = FieldErrors::new();
        update::validate(&job, stored, &mut errors);
        if job.spec != stored.spec {
            job.metadata_mut().generation += 1;
        }
        errors.into_result(Some(job))
    }
}

/// Makes a Job from a CronJob's template what it would be had it been asked for.
pub(crate) fn prepare(job: &mut Job) {
    metadata::place(job.metadata_mut());
    selector::drop_generated(job);
    check::default(job);
}

/// Finds what is wrong with the name of such a Job, and with what must fit it.
pub(crate) fn validate_named(job: &Job, errors: &mut FieldErrors) {
    check::validate_name(job, errors);
    selector::validate(job, &FieldPath::from("spec"), errors);
}

/// The images of the containers in a Job's template, in order.
pub fn images(job: &Job) -> impl Iterator<Item = &str> {
    job.spec.iter().flat_map(|spec| spec_images(spec))
}

/// The same, of what a Job is to do.
pub(crate) fn spec_images(spec: &JobSpec) -> impl Iterator<Item = &str> {
    let pods = spec.template.iter().filter_map(|template| template.spec.as_ref());
    pods.flat_map(|pod| crate::pod::containers(pod)).map(|container| container.image.as_str())
}
