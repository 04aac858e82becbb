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

use crate::field_error::{ERRORS_MAX, FieldErrors, FieldPath};
use crate::node::Node;
use crate::pb::k8s::batch::v1::Job;
use crate::pb::k8s::meta::v1::ObjectMeta;
use crate::support::Warning;
use crate::{json, metadata, pod_template, support, time};

pub use pods::{completion_index, failed, plant};
pub use selector::selects;
pub(crate) use state::restart_policy;
pub use state::{
    begin_deletion, growth, live, message, new_state, reason, record, spec, state, suspension, write_status,
};
pub use status_rules::check_status;

/// The largest object taken in, in bytes as encoded (etcd's default limit on a request).
pub const OBJECT_MAX: usize = 1536 << 10;

/// What the operator of this device lets guests have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Directories that hostPath volumes may name, with all below them.
    pub host_paths: Vec<PathBuf>,
}

/// A Job that was asked for: checked, with its defaults, without an identity yet.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    job: Job,
    warnings: Vec<String>,
    whole: bool,
}

impl NewJob {
    /// Takes a Job in: what the agent sets is dropped, defaults are filled in, and everything that is wrong or cannot be
    /// honoured is told at once.
    pub fn check(job: Job, grants: &Grants) -> Result<NewJob, FieldErrors> {
        let (new, errors) = NewJob::examine(job, grants);
        if errors.is_empty() {
            return Ok(new);
        }
        Err(in_order(errors, &new.job).cut())
    }

    /// The same, with all that is wrong as it was found; to be put in order and cut.
    pub(crate) fn examine(mut job: Job, grants: &Grants) -> (NewJob, FieldErrors) {
        let mut errors = FieldErrors::new();
        let bytes = prost::Message::encoded_len(&job);
        if bytes > OBJECT_MAX {
            errors.too_long(FieldPath::root(), bytes, OBJECT_MAX);
            return (NewJob { job: Job::default(), warnings: Vec::new(), whole: false }, errors);
        }
        job.status = None;
        let meta = job.metadata.get_or_insert_default();
        meta.namespace = metadata::namespace(&meta.namespace).to_owned();
        selector::drop_generated(&mut job);
        let support = support::check_message(&job);
        check::default(&mut job);
        check::validate(&job, grants, &mut errors);
        let mut warnings = support.warnings;
        if errors.is_empty() {
            check::warn(&job, &mut warnings);
            let template = job.spec.as_ref().and_then(|spec| spec.template.as_ref());
            if let Some(template) = template {
                pod_template::warn(template, &FieldPath::from("spec.template"), &mut warnings);
            }
        }
        errors.append(support.refused);
        let more = warnings.len().saturating_sub(ERRORS_MAX);
        let mut warnings: Vec<_> = warnings.iter().take(ERRORS_MAX).map(Warning::to_string).collect();
        if more > 0 {
            warnings.push(format!("and there are {more} more warnings"));
        }
        (NewJob { job, warnings, whole: false }, errors)
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.text(|meta| &meta.namespace)
    }

    /// Its name; empty if it is to be generated.
    pub fn name(&self) -> &str {
        self.text(|meta| &meta.name)
    }

    /// What a generated name begins with.
    pub fn generate_name(&self) -> &str {
        self.text(|meta| &meta.generate_name)
    }

    fn text(&self, field: fn(&ObjectMeta) -> &String) -> &str {
        self.job.metadata.as_ref().map_or("", |meta| field(meta))
    }

    /// What was accepted although it means nothing here, `path: why`.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The version the writer last saw; empty for any.
    pub fn resource_version(&self) -> &str {
        self.text(|meta| &meta.resource_version)
    }

    /// Says that it is all that is to be of the Job: whoever sent it had read the stored one, and means what is left out.
    /// A manifest says only what somebody wanted.
    #[must_use]
    pub fn replacing(self) -> NewJob {
        NewJob { whole: true, ..self }
    }

    /// The Job as it is first stored, under this name and identity.
    pub fn stamp(self, name: String, uid: &str, now: Timestamp) -> Job {
        let mut job = self.job;
        let meta = job.metadata.get_or_insert_default();
        *meta = ObjectMeta {
            name,
            generate_name: std::mem::take(&mut meta.generate_name),
            namespace: std::mem::take(&mut meta.namespace),
            labels: std::mem::take(&mut meta.labels),
            annotations: std::mem::take(&mut meta.annotations),
            owner_references: std::mem::take(&mut meta.owner_references),
            uid: uid.to_owned(),
            generation: 1,
            creation_timestamp: Some(time::seconds(now)),
            ..ObjectMeta::default()
        };
        selector::generate(&mut job);
        job
    }

    /// What `stored` becomes when it is replaced by this; `None` if nothing changes. Tells what may not change.
    pub fn revise(self, stored: &Job) -> Result<Option<Job>, FieldErrors> {
        let mut job = stored.clone();
        let given = self.job.metadata.unwrap_or_default();
        let meta = job.metadata.get_or_insert_default();
        meta.labels = given.labels;
        meta.annotations = given.annotations;
        // A manifest that says nothing of owners does not take them away, nor does one that begins to speak of parallelism
        // ask for a work queue.
        if self.whole || !given.owner_references.is_empty() {
            meta.owner_references = given.owner_references;
        }
        job.spec = self.job.spec;
        if let (Some(spec), Some(stored)) = (&mut job.spec, &stored.spec)
            && !self.whole
        {
            spec.completions = spec.completions.or(stored.completions);
        }
        selector::generate(&mut job);
        if job == *stored {
            return Ok(None);
        }
        let mut errors = FieldErrors::new();
        update::validate(&job, stored, &mut errors);
        if job.spec != stored.spec {
            job.metadata.get_or_insert_default().generation += 1;
        }
        errors.into_result(Some(job))
    }
}

/// Mistakes in the order of the fields of a Job, as it is written.
fn in_order(errors: FieldErrors, job: &Job) -> FieldErrors {
    match serde_json::from_value::<Node>(json::to_json(job)) {
        Ok(document) => errors.in_order_of(&document, &FieldPath::root()),
        Err(_) => errors,
    }
}

/// The images of the containers in a Job's template, in order.
pub fn images(job: &Job) -> impl Iterator<Item = &str> {
    let template = job.spec.iter().filter_map(|spec| spec.template.as_ref());
    let containers = template.filter_map(|template| template.spec.as_ref()).flat_map(crate::pod::containers);
    containers.map(|container| container.image.as_str())
}
