//! What ties Pods to their Job: the selector and the labels that are made for it, or those that its owner chose.

use std::collections::BTreeMap;

use crate::field_error::{Class, FieldErrors, FieldPath};
use crate::names;
use crate::pb::k8s::batch::v1::{Job, JobSpec};
use crate::pb::k8s::meta::v1::LabelSelector;

const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// As they were called before labels had prefixes. Kubernetes gives both.
const OLD_CONTROLLER_UID: &str = "controller-uid";
const OLD_JOB_NAME: &str = "job-name";
const UIDS: [&str; 2] = [CONTROLLER_UID, OLD_CONTROLLER_UID];
const NAMES: [&str; 2] = [JOB_NAME, OLD_JOB_NAME];

type Labels = BTreeMap<String, String>;

/// Takes away what was made for a stored Job: in a manifest copied from one, it belongs to that one. What only looks
/// like it stays, to be told.
pub(super) fn drop_generated(job: &mut Job) {
    let Some(spec) = &mut job.spec else { return };
    if is_manual(spec) {
        return;
    }
    let spec = spec.make_mut();
    let selected = spec.selector.as_ref().and_then(generated_for).map(str::to_owned);
    if selected.is_some() || spec.selector.as_ref() == Some(&LabelSelector::default()) {
        spec.selector = None;
    }
    let Some(template) = spec.template.as_mut().and_then(|template| template.metadata.as_mut()) else {
        return;
    };
    let Some(uid) = same(&template.labels, UIDS) else { return };
    if same(&template.labels, NAMES).is_none() || selected.is_some_and(|selected| selected != uid) {
        return;
    }
    let uid = uid.to_owned();
    if let Some(meta) = &mut job.metadata
        && same(&meta.labels, UIDS) == Some(&uid)
    {
        // A Job has these labels only if it inherited them: with all others, unless more were added since.
        if meta.labels == template.labels {
            meta.labels.clear();
        }
        remove_generated(&mut meta.labels);
    }
    remove_generated(&mut template.labels);
}

/// Labels in a template that are filled in for each Job.
pub(crate) fn generated_labels(spec: &JobSpec) -> impl Iterator<Item = &'static str> {
    let meta = spec.template.as_ref().and_then(|template| template.metadata.as_ref());
    let given = move |key: &&str| meta.is_some_and(|meta| meta.labels.contains_key(*key));
    UIDS.into_iter().chain(NAMES).filter(given)
}

fn remove_generated(labels: &mut Labels) {
    for label in UIDS.into_iter().chain(NAMES) {
        labels.remove(label);
    }
}

/// The selector and the labels that tie Pods to their Job, unless its owner chose them. A Job without labels of its own
/// gets its template's.
pub(super) fn generate(job: &mut Job) {
    let meta = job.metadata.get_or_insert_default();
    let spec = job.spec.get_or_insert_default().make_mut();
    let manual = is_manual(spec);
    let labels = &mut spec.template.get_or_insert_default().metadata.get_or_insert_default().labels;
    if !manual {
        for (keys, value) in [(UIDS, &meta.uid), (NAMES, &meta.name)] {
            labels.extend(keys.map(|key| (key.to_owned(), value.clone())));
        }
        spec.selector = Some(LabelSelector {
            match_labels: [(CONTROLLER_UID.to_owned(), meta.uid.clone())].into(),
            ..LabelSelector::default()
        });
    }
    if meta.labels.is_empty() {
        meta.labels.clone_from(labels);
    }
}

/// Whether the labels are those a selector asks for. What no selector can say selects nothing.
pub fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let fits = |(key, value): (&String, &String)| labels.get(key) == Some(value);
    selector.match_labels.iter().all(fits)
        && selector.match_expressions.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match requirement.operator.as_str() {
                "In" => value.is_some_and(|value| requirement.values.contains(value)),
                "NotIn" => value.is_none_or(|value| !requirement.values.contains(value)),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

/// Finds what is wrong with the selector, and with labels that are not the user's to give.
pub(super) fn validate(job: &Job, path: &FieldPath, errors: &mut FieldErrors) {
    let Some(spec) = &job.spec else { return };
    let no_labels = Labels::new();
    let template = spec.template.as_ref().and_then(|template| template.metadata.as_ref());
    let labels = template.map_or(&no_labels, |meta| &meta.labels);
    let labels_path = path.field("template").field("metadata").field("labels");
    let path = path.field("selector");
    if is_manual(spec) {
        let Some(selector) = &spec.selector else {
            return errors.required(path, "needed; manualSelector is true, so say which Pods are the Job's");
        };
        let before = errors.len();
        validate_selector(selector, &path, errors);
        if errors.len() == before && !selects(selector, labels) {
            let detail =
                "must have the labels that spec.selector asks for, else the Job would not know its Pods";
            errors.push(labels_path, Class::Invalid, detail);
        }
        return;
    }
    if spec.selector.is_some() {
        let detail = "is made for each Job; leave it out, or set manualSelector to true";
        errors.push(path, Class::Invalid, detail);
    }
    let name = job.metadata.as_ref().map_or("", |meta| &meta.name);
    for (keys, right) in [(UIDS, None), (NAMES, Some(name))] {
        for key in keys {
            let Some(value) = labels.get(key).filter(|value| right != Some(value.as_str())) else { continue };
            errors.invalid(
                labels_path.key(key),
                value,
                "is not the Job's own; leave it out, it is filled in",
            );
        }
    }
}

fn validate_selector(selector: &LabelSelector, path: &FieldPath, errors: &mut FieldErrors) {
    const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];
    for (key, value) in &selector.match_labels {
        let path = path.field("matchLabels");
        if let Err(must) = names::qualified_name(key) {
            errors.invalid(path.clone(), key, must);
        }
        if let Err(must) = names::label_value(value) {
            errors.invalid(path.key(key), value, must);
        }
    }
    for (index, requirement) in selector.match_expressions.iter().enumerate() {
        let path = path.field("matchExpressions").index(index);
        if let Err(must) = names::qualified_name(&requirement.key) {
            errors.invalid(path.field("key"), &requirement.key, must);
        }
        match requirement.operator.as_str() {
            "In" | "NotIn" if requirement.values.is_empty() => {
                errors.required(path.field("values"), "needed; give the values to look for");
            }
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" if !requirement.values.is_empty() => {
                let detail = format!("must be left out: {} looks at the key alone", requirement.operator);
                errors.forbidden(path.field("values"), detail);
            }
            "Exists" | "DoesNotExist" => {}
            "" => errors.required(path.field("operator"), "needed; give In, NotIn, Exists or DoesNotExist"),
            other => errors.unsupported(path.field("operator"), other, &OPERATORS),
        }
        for (index, value) in requirement.values.iter().enumerate() {
            if let Err(must) = names::label_value(value) {
                errors.invalid(path.field("values").index(index), value, must);
            }
        }
    }
}

fn is_manual(spec: &JobSpec) -> bool {
    spec.manual_selector == Some(true)
}

/// The uid of the Job that a selector was made for.
fn generated_for(selector: &LabelSelector) -> Option<&str> {
    let ours = selector.match_labels.keys().all(|key| UIDS.contains(&key.as_str()));
    same(&selector.match_labels, UIDS).filter(|_| ours && selector.match_expressions.is_empty())
}

/// The value of those of the labels that are there, if it is one.
fn same<'a>(labels: &'a Labels, keys: [&str; 2]) -> Option<&'a str> {
    match keys.map(|key| labels.get(key)) {
        [Some(a), Some(b)] => (a == b).then_some(a),
        [one, other] => one.or(other).map(String::as_str),
    }
}
