//! Which objects a list or a watch is about.

use api::label_selector::{FieldSelector, LabelSelector};
use api::pb::k8s::batch::v1::{CronJob, Job};
use api::pb::k8s::core::v1::{Event, ObjectReference, Pod, PodSpec, PodStatus};
use api::pb::k8s::meta::v1::ObjectMeta;
use api::pb::wick::v1::ObjectFilter;
use tonic::Status;

use super::status;

/// An object that can be selected by labels and fields.
pub(super) trait Selectable {
    /// The fields that can be selected by, beside `metadata.name` and `metadata.namespace`.
    const FIELDS: &'static [&'static str];

    fn metadata(&self) -> Option<&ObjectMeta>;

    /// One of [`Self::FIELDS`], as text.
    fn field(&self, field: &str) -> String;
}

/// A filter, understood.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) namespace: String,
    name: String,
    labels: LabelSelector,
    fields: FieldSelector,
}

const METADATA: [&str; 2] = ["metadata.name", "metadata.namespace"];

impl Filter {
    pub(super) fn parse<T: Selectable>(filter: Option<ObjectFilter>) -> Result<Filter, Status> {
        let filter = filter.unwrap_or_default();
        let labels = filter.label_selector.parse();
        let labels = labels.map_err(|error| status::selector("filter.label_selector", &error))?;
        let fields: FieldSelector = filter
            .field_selector
            .parse()
            .map_err(|error| status::selector("filter.field_selector", &error))?;
        for term in fields.terms() {
            let known = || METADATA.iter().chain(T::FIELDS);
            if !known().any(|field| *field == term.field) {
                let known: Vec<_> = known().copied().collect();
                let detail =
                    format!("field label not supported: `{}`; there is {}", term.field, known.join(", "));
                return Err(status::field("filter.field_selector", &detail));
            }
        }
        Ok(Filter { namespace: filter.namespace, name: filter.name, labels, fields })
    }

    pub(super) fn selects<T: Selectable>(&self, object: &T) -> bool {
        let Some(meta) = object.metadata() else { return false };
        (self.namespace.is_empty() || self.namespace == meta.namespace)
            && (self.name.is_empty() || self.name == meta.name)
            && self.labels.matches(&meta.labels)
            && self.fields.terms().iter().all(|term| {
                let equal = match term.field.as_str() {
                    "metadata.name" => meta.name == term.value,
                    "metadata.namespace" => meta.namespace == term.value,
                    field => object.field(field) == term.value,
                };
                equal == term.equal
            })
    }
}

impl Selectable for Job {
    const FIELDS: &'static [&'static str] = &["status.successful"];

    fn metadata(&self) -> Option<&ObjectMeta> {
        self.metadata.as_ref()
    }

    fn field(&self, _: &str) -> String {
        // Kubernetes' name for it.
        self.status.as_ref().map_or(0, |status| status.succeeded).to_string()
    }
}

impl Selectable for CronJob {
    const FIELDS: &'static [&'static str] = &[];

    fn metadata(&self) -> Option<&ObjectMeta> {
        self.metadata.as_ref()
    }

    fn field(&self, _: &str) -> String {
        String::new()
    }
}

impl Selectable for Pod {
    const FIELDS: &'static [&'static str] = &[
        "spec.nodeName",
        "spec.host",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ];

    fn metadata(&self) -> Option<&ObjectMeta> {
        self.metadata.as_ref()
    }

    fn field(&self, field: &str) -> String {
        let spec = |part: fn(&PodSpec) -> &String| {
            self.spec.as_ref().map_or(String::new(), |spec| part(spec).clone())
        };
        let status = |part: fn(&PodStatus) -> &String| {
            self.status.as_ref().map_or(String::new(), |status| part(status).clone())
        };
        match field {
            "spec.nodeName" | "spec.host" => spec(|spec| &spec.node_name),
            "spec.restartPolicy" => spec(|spec| &spec.restart_policy),
            "spec.schedulerName" => spec(|spec| &spec.scheduler_name),
            "spec.serviceAccountName" => spec(|spec| &spec.service_account_name),
            "spec.hostNetwork" => self.spec.as_ref().is_some_and(|spec| spec.host_network).to_string(),
            "status.phase" => status(|status| &status.phase),
            "status.podIP" | "status.podIPs" => status(|status| &status.pod_ip),
            _ => status(|status| &status.nominated_node_name),
        }
    }
}

impl Selectable for Event {
    const FIELDS: &'static [&'static str] = &[
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ];

    fn metadata(&self) -> Option<&ObjectMeta> {
        self.metadata.as_ref()
    }

    fn field(&self, field: &str) -> String {
        let about = |part: fn(&ObjectReference) -> &String| {
            self.involved_object.as_ref().map_or(String::new(), |object| part(object).clone())
        };
        match field {
            "involvedObject.kind" => about(|object| &object.kind),
            "involvedObject.namespace" => about(|object| &object.namespace),
            "involvedObject.name" => about(|object| &object.name),
            "involvedObject.uid" => about(|object| &object.uid),
            "involvedObject.apiVersion" => about(|object| &object.api_version),
            "involvedObject.resourceVersion" => about(|object| &object.resource_version),
            "involvedObject.fieldPath" => about(|object| &object.field_path),
            "reason" => self.reason.clone(),
            "reportingComponent" => self.reporting_component.clone(),
            "source" => {
                let source = self.source.as_ref().map(|source| source.component.clone()).unwrap_or_default();
                if source.is_empty() { self.reporting_component.clone() } else { source }
            }
            _ => self.r#type.clone(),
        }
    }
}
