//! Jobs: taken in with Kubernetes' defaults and rules (`check.rs`), turned into what is decided from (`state.rs`), and given their status.

mod check;
mod state;

use std::path::PathBuf;

use jiff::Timestamp;

use crate::field_error::{FieldErrors, FieldPath};
use crate::pb::k8s::batch::v1::Job;
use crate::pb::k8s::meta::v1::{LabelSelector, ObjectMeta};
use crate::{metadata, names as alphabets, support, time};

pub(crate) use state::restart_policy;
pub use state::{begin_deletion, failure_message, live, new_state, record, spec, state, write_status};

const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// What Kubernetes adds to the labels of a Job's Pods; the last two are from before labels had prefixes.
const GENERATED_LABELS: [&str; 4] = [CONTROLLER_UID, JOB_NAME, "controller-uid", "job-name"];

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
}

impl NewJob {
    /// Takes a Job in: what the agent sets is dropped, defaults are filled in, and everything that is wrong or cannot be
    /// honoured is told at once.
    pub fn check(mut job: Job, grants: &Grants) -> Result<NewJob, FieldErrors> {
        let mut errors = FieldErrors::new();
        let bytes = prost::Message::encoded_len(&job);
        if bytes > OBJECT_MAX {
            errors.too_long(FieldPath::root(), bytes, OBJECT_MAX);
            return Err(errors);
        }
        job.status = None;
        let meta = job.metadata.get_or_insert_default();
        meta.namespace = metadata::namespace(&meta.namespace).to_owned();
        drop_generated(&mut job);
        let support = support::check_message(&job);
        errors.append(support.refused);
        check::default(&mut job);
        check::validate(&job, grants, &mut errors);
        let mut warnings: Vec<_> = support.warnings.iter().map(ToString::to_string).collect();
        let meta = job.metadata.get_or_insert_default();
        if errors.is_empty() && !meta.name.is_empty() && alphabets::dns_label(&meta.name).is_err() {
            warnings.push(format!(
                "metadata.name: `{}` is no DNS label; Pods are better named without dots",
                meta.name
            ));
        }
        errors.into_result(NewJob { job, warnings })
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
            uid: uid.to_owned(),
            generation: 1,
            creation_timestamp: Some(time::seconds(now)),
            ..ObjectMeta::default()
        };
        generate(&mut job);
        job
    }

    /// What `stored` becomes when it is replaced by this; `None` if nothing changes. Tells what may not change.
    pub fn revise(self, stored: &Job) -> Result<Option<Job>, FieldErrors> {
        let mut job = stored.clone();
        let given = self.job.metadata.unwrap_or_default();
        let meta = job.metadata.get_or_insert_default();
        meta.labels = given.labels;
        meta.annotations = given.annotations;
        job.spec = self.job.spec;
        generate(&mut job);
        if job == *stored {
            return Ok(None);
        }
        let mut errors = FieldErrors::new();
        let path = FieldPath::from("spec");
        if let (Some(new), Some(old)) = (&job.spec, &stored.spec) {
            if new.completions != old.completions {
                errors.immutable(path.field("completions"));
            }
            if new.completion_mode != old.completion_mode {
                errors.immutable(path.field("completionMode"));
            }
            if new.template != old.template {
                errors.immutable(path.field("template"));
            }
        }
        if job.spec != stored.spec {
            job.metadata.get_or_insert_default().generation += 1;
        }
        errors.into_result(Some(job))
    }
}

/// Takes away what Wick generates: in a manifest copied from a stored Job it belongs to that one.
fn drop_generated(job: &mut Job) {
    let Some(spec) = &mut job.spec else { return };
    if spec.manual_selector == Some(true) {
        return;
    }
    spec.selector = None;
    spec.manual_selector = None;
    let template = spec.template.as_mut().and_then(|template| template.metadata.as_mut());
    // A Job has these labels only if it inherited them; one of its own by such a name is its owner's business.
    let inherited = job.metadata.as_mut().filter(|meta| meta.labels.contains_key(CONTROLLER_UID));
    for meta in template.into_iter().chain(inherited) {
        for label in GENERATED_LABELS {
            meta.labels.remove(label);
        }
    }
}

/// The selector and the labels that tie Pods to their Job. A Job without labels of its own gets its template's.
fn generate(job: &mut Job) {
    let meta = job.metadata.get_or_insert_default();
    let (uid, name) = (meta.uid.clone(), meta.name.clone());
    let spec = job.spec.get_or_insert_default();
    spec.selector = Some(LabelSelector {
        match_labels: [(CONTROLLER_UID.to_owned(), uid.clone())].into(),
        ..LabelSelector::default()
    });
    let labels = &mut spec.template.get_or_insert_default().metadata.get_or_insert_default().labels;
    for (label, value) in GENERATED_LABELS.into_iter().zip([&uid, &name, &uid, &name]) {
        labels.insert(label.to_owned(), value.clone());
    }
    if meta.labels.is_empty() {
        meta.labels.clone_from(labels);
    }
}

/// The images of the containers in a Job's template, in order.
pub fn images(job: &Job) -> impl Iterator<Item = &str> {
    let template = job.spec.iter().filter_map(|spec| spec.template.as_ref());
    let containers = template.filter_map(|template| template.spec.as_ref()).flat_map(|spec| &spec.containers);
    containers.map(|container| container.image.as_str())
}
