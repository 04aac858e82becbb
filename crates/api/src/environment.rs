//! The environment and the arguments a container gets, with Kubernetes' expansion of `$(NAME)`.

use std::collections::BTreeMap;

use crate::container::Node;
use crate::pb::k8s::core::v1::{Container, EnvVarSource, Pod, ResourceFieldSelector};
use crate::quantity::Quantity;

/// The container's variables in the order of its `env`; of equal names the last one counts.
pub(crate) fn variables(pod: &Pod, container: &Container, node: Node<'_>) -> Vec<(String, String)> {
    let mut known: BTreeMap<&str, String> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    // What every container on a cluster gets.
    let chosen = pod.spec.as_ref().map(|spec| &spec.hostname).filter(|name| !name.is_empty());
    let hostname = chosen.or(pod.metadata.as_ref().map(|meta| &meta.name));
    known.insert("HOSTNAME", hostname.cloned().unwrap_or_default());
    order.push("HOSTNAME");
    for variable in &container.env {
        let value = match &variable.value_from {
            Some(source) => match &source.resource_field_ref {
                Some(resource) => amount(pod, container, resource, node),
                None => field(pod, source, node.name),
            },
            // Only what stands before it is visible.
            None => expand(&variable.value, |name| known.get(name).map(String::as_str)),
        };
        if known.insert(&variable.name, value).is_none() {
            order.push(&variable.name);
        }
    }
    order.into_iter().filter_map(|name| Some((name.to_owned(), known.get(name)?.clone()))).collect()
}

/// What `valueFrom.fieldRef` names; which paths there are is checked when the Job is taken in.
fn field(pod: &Pod, source: &EnvVarSource, node_name: &str) -> String {
    let Some(reference) = &source.field_ref else { return String::new() };
    let empty = Default::default();
    let meta = pod.metadata.as_ref().unwrap_or(&empty);
    match reference.field_path.as_str() {
        "metadata.name" => meta.name.clone(),
        "metadata.namespace" => meta.namespace.clone(),
        "metadata.uid" => meta.uid.clone(),
        "spec.nodeName" => node_name.to_owned(),
        "spec.serviceAccountName" => "default".to_owned(),
        path => match subscript(path) {
            Some(("metadata.labels", key)) => meta.labels.get(key).cloned().unwrap_or_default(),
            Some(("metadata.annotations", key)) => meta.annotations.get(key).cloned().unwrap_or_default(),
            _ => String::new(),
        },
    }
}

/// What `valueFrom.resourceFieldRef` names, in its divisor's units, rounded up. A limit that is not set is what the node
/// has; a request that is not set is nothing.
fn amount(pod: &Pod, own: &Container, wanted: &ResourceFieldSelector, node: Node<'_>) -> String {
    let mut all = pod.spec.iter().flat_map(|spec| crate::pod::containers(spec));
    let named = all.find(|container| container.name == wanted.container_name);
    let container = if wanted.container_name.is_empty() { own } else { named.unwrap_or(own) };
    let Some((field, resource)) = wanted.resource.split_once('.') else { return String::new() };
    let resources = container.resources.as_ref();
    let set = resources.and_then(|resources| match field {
        "limits" => resources.limits.get(resource),
        _ => resources.requests.get(resource),
    });
    let set: Option<Quantity> = set.and_then(|text| text.parse().ok());
    let divisor: Option<Quantity> = wanted.divisor.as_ref().and_then(|text| text.parse().ok());
    let divisor = divisor.filter(|divisor| !divisor.is_zero()).unwrap_or(Quantity::units(1));
    let has = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
    let (value, divisor) = match (resource, field) {
        ("cpu", "limits") => {
            let value = set.map_or(has(node.allocatable.cpu_millis), |set| set.milli_value());
            (value, divisor.milli_value())
        }
        ("cpu", _) => (set.map_or(0, |set| set.milli_value()), divisor.milli_value()),
        ("memory", "limits") => {
            (set.map_or(has(node.allocatable.memory_bytes), |set| set.value()), divisor.value())
        }
        _ => (set.map_or(0, |set| set.value()), divisor.value()),
    };
    let divisor = divisor.max(1);
    (value / divisor + i64::from(value % divisor > 0)).to_string()
}

/// `metadata.labels['app']` in its two parts.
pub(crate) fn subscript(path: &str) -> Option<(&str, &str)> {
    let (field, rest) = path.split_once("['")?;
    Some((field, rest.strip_suffix("']")?))
}

/// Replaces `$(NAME)` by what `lookup` knows; an unknown name stays as it is, `$$` is a dollar sign, and nothing is expanded
/// twice.
pub(crate) fn expand<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match lookup(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.push_str(&rest[dollar..rest.len() - tail.len()]),
            }
            rest = tail;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use sched::node::Room;

    use super::*;
    use crate::pb::k8s::core::v1::{EnvVar, ObjectFieldSelector, ResourceRequirements};
    use crate::pb::k8s::meta::v1::ObjectMeta;

    #[test]
    fn expands_as_kubernetes_does() {
        let lookup = |name: &str| (name == "A").then_some("x");
        for (text, expected) in [
            ("$(A)", "x"),
            ("a$(A)b$(A)", "axbx"),
            ("$(B)", "$(B)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$x"),
            ("$(A", "$(A"),
            ("$x $", "$x $"),
            ("", ""),
        ] {
            assert_eq!(expand(text, lookup), expected, "{text}");
        }
    }

    fn variable(name: &str, value: &str) -> EnvVar {
        EnvVar { name: name.into(), value: value.into(), value_from: None }
    }

    fn from(name: &str, field_path: &str) -> EnvVar {
        let field_ref = Some(ObjectFieldSelector { field_path: field_path.into(), ..Default::default() });
        EnvVar {
            name: name.into(),
            value_from: Some(Box::new(EnvVarSource { field_ref, ..Default::default() })),
            ..Default::default()
        }
    }

    fn check(env: Vec<EnvVar>, expected: &str) {
        let labels = [("app".to_owned(), "demo".to_owned())].into();
        let metadata =
            Some(ObjectMeta { name: "pod-1".into(), namespace: "ns".into(), labels, ..Default::default() });
        let pod = Pod { metadata, ..Default::default() };
        let amounts = |memory: &str| [("memory".to_owned(), memory.to_owned())].into();
        let resources = ResourceRequirements {
            limits: amounts("100M"),
            requests: [("cpu".to_owned(), "1500m".to_owned())].into(),
        };
        let container = Container { env, resources: Some(resources), ..Default::default() };
        let allocatable = Room { pods: 10, guests: 10, cpu_millis: 3500, memory_bytes: 1 << 30 };
        let node = Node { name: "edge-1", allocatable };
        let found: Vec<_> = variables(&pod, &container, node)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(found.join(" "), expected);
    }

    #[test]
    fn a_variable_sees_those_before_it() {
        check(
            vec![variable("A", "x"), variable("B", "$(A)-$(C)"), variable("C", "y")],
            "HOSTNAME=pod-1 A=x B=x-$(C) C=y",
        );
    }

    #[test]
    fn of_equal_names_the_last_one_counts() {
        check(
            vec![variable("A", "1"), variable("HOSTNAME", "mine"), variable("A", "2$(A)")],
            "HOSTNAME=mine A=21",
        );
    }

    #[test]
    fn fields_of_the_pod_come_in_by_name() {
        check(
            vec![
                from("NAME", "metadata.name"),
                from("NS", "metadata.namespace"),
                from("NODE", "spec.nodeName"),
                from("APP", "metadata.labels['app']"),
                from("NONE", "metadata.annotations['x']"),
            ],
            "HOSTNAME=pod-1 NAME=pod-1 NS=ns NODE=edge-1 APP=demo NONE=",
        );
    }

    fn amount_of(name: &str, resource: &str, divisor: Option<&str>) -> EnvVar {
        let resource_field_ref = Some(ResourceFieldSelector {
            resource: resource.into(),
            divisor: divisor.map(str::to_owned),
            ..Default::default()
        });
        EnvVar {
            name: name.into(),
            value_from: Some(Box::new(EnvVarSource { resource_field_ref, ..Default::default() })),
            ..Default::default()
        }
    }

    #[test]
    fn limits_and_requests_come_in_rounded_up_to_their_divisor() {
        check(
            vec![
                amount_of("BYTES", "limits.memory", None),
                amount_of("MI", "limits.memory", Some("1Mi")),
                amount_of("CORES", "requests.cpu", None),
                amount_of("MILLIS", "requests.cpu", Some("1m")),
                amount_of("NODE", "limits.cpu", Some("0")),
                amount_of("NODE_MILLIS", "limits.cpu", Some("1m")),
                amount_of("NONE", "requests.memory", Some("1Ki")),
                amount_of("DISK", "limits.ephemeral-storage", None),
            ],
            "HOSTNAME=pod-1 BYTES=100000000 MI=96 CORES=2 MILLIS=1500 NODE=4 NODE_MILLIS=3500 NONE=0 DISK=0",
        );
    }
}
