//! What descriptions of several kinds share: metadata, templates, containers, conditions, events.

use std::collections::BTreeMap;

use api::pb::k8s::core::v1::{
    Container, ContainerState, ContainerStateTerminated, EnvVar, Event, PodTemplateSpec,
    ResourceRequirements, Volume,
};
use api::pb::k8s::meta::v1::ObjectMeta;

use super::sheet::Sheet;
use crate::age::{age, between};
use crate::clock::{Clock, time};
use crate::columns::{NONE, Seen, or_none, source};
use crate::objects::pairs;
use crate::table::Table;

/// The longest value of an annotation that is shown, in characters.
const ANNOTATION_LENGTH: usize = 140;

/// What is shown for a number that was not given.
pub(crate) const UNSET: &str = "<unset>";

/// Name and namespace.
pub(crate) fn name(sheet: &mut Sheet, meta: &ObjectMeta) {
    sheet.pair(0, "Name", &meta.name);
    sheet.pair(0, "Namespace", &meta.namespace);
}

/// Labels and annotations.
pub(crate) fn labels(sheet: &mut Sheet, level: usize, meta: &ObjectMeta) {
    sheet.list(level, "Labels", pairs(&meta.labels));
    let annotations = meta.annotations.iter().map(|(key, value)| {
        let mut shown: String = value.chars().take(ANNOTATION_LENGTH).collect();
        if shown.len() < value.len() {
            shown += "...";
        }
        format!("{key}: {}", shown.trim())
    });
    sheet.list(level, "Annotations", annotations.collect());
}

/// Who made it: `Job/hello`.
pub(crate) fn controlled_by(sheet: &mut Sheet, meta: &ObjectMeta) {
    let owner = meta.owner_references.iter().find(|owner| owner.controller == Some(true));
    sheet.some(0, "Controlled By", owner.map(|owner| format!("{}/{}", owner.kind, owner.name)));
}

/// A number, or that it was not given.
pub(crate) fn number(number: Option<i32>) -> String {
    number.map_or_else(|| UNSET.to_owned(), |number| number.to_string())
}

/// What a Job's Pods are made from, one level below.
pub(crate) fn template(sheet: &mut Sheet, template: Option<&PodTemplateSpec>) {
    let template = template.cloned().unwrap_or_default();
    let spec = template.spec.unwrap_or_default();
    labels(sheet, 1, &template.metadata.unwrap_or_default());
    for (label, containers) in [("Init Containers", &spec.init_containers), ("Containers", &spec.containers)]
    {
        if containers.is_empty() {
            continue;
        }
        sheet.head(1, label);
        for asked in containers {
            sheet.head(2, &asked.name);
            sheet.pair(3, "Image", &asked.image);
            container(sheet, 3, asked, &PodFacts::default());
        }
    }
    volumes(sheet, 1, &spec.volumes);
    sheet.some(1, "Restart Policy", said(&spec.restart_policy));
}

/// What a container was asked to be, without what became of it.
pub(crate) fn container(sheet: &mut Sheet, level: usize, container: &Container, pod: &PodFacts<'_>) {
    sheet.text_if_any(level, "Command", &container.command);
    sheet.text_if_any(level, "Args", &container.args);
    sheet.some(level, "Restart Policy", container.restart_policy.as_deref());
    let rules = container.restart_policy_rules.iter().map(|rule| {
        let codes = rule.exit_codes.clone().unwrap_or_default();
        let values: Vec<String> = codes.values.iter().map(i32::to_string).collect();
        format!("{} on exit code {} {}", rule.action, codes.operator, values.join(","))
    });
    sheet.text_if_any(level, "Restart Policy Rules", &rules.collect::<Vec<_>>());
    let nothing = ResourceRequirements::default();
    let resources = container.resources.as_ref().unwrap_or(&nothing);
    sheet.quantities(level, "Limits", &resources.limits);
    sheet.quantities(level, "Requests", &resources.requests);
    let env = container.env.iter().map(|var| variable(var, pod)).collect::<Vec<_>>();
    sheet.text(level, "Environment", &env);
    let mounts = container.volume_mounts.iter().map(|mount| {
        let access = if mount.read_only { "ro" } else { "rw" };
        format!("{} from {} ({access})", mount.mount_path, mount.name)
    });
    sheet.text(level, "Mounts", &mounts.collect::<Vec<_>>());
}

/// What a variable may be taken from.
#[derive(Default)]
pub(crate) struct PodFacts<'a> {
    pub(crate) meta: Option<&'a ObjectMeta>,
    pub(crate) node: &'a str,
}

impl PodFacts<'_> {
    /// The field at `path`, if it is known here.
    fn field(&self, path: &str) -> Option<String> {
        let meta = self.meta?;
        let keyed = |prefix: &str, map: &BTreeMap<String, String>| {
            let key = path.strip_prefix(prefix)?.strip_prefix("['")?.strip_suffix("']")?;
            Some(map.get(key).cloned().unwrap_or_default())
        };
        match path {
            "metadata.name" => Some(meta.name.clone()),
            "metadata.namespace" => Some(meta.namespace.clone()),
            "metadata.uid" => Some(meta.uid.clone()),
            "spec.nodeName" => Some(self.node.to_owned()),
            _ => keyed("metadata.labels", &meta.labels)
                .or_else(|| keyed("metadata.annotations", &meta.annotations)),
        }
    }
}

fn variable(var: &EnvVar, pod: &PodFacts<'_>) -> String {
    let Some(from) = &var.value_from else { return format!("{}: {}", var.name, var.value) };
    let what = if let Some(field) = &from.field_ref {
        let value = pod.field(&field.field_path).unwrap_or_default();
        format!("{value} ({})", field.field_path)
    } else if let Some(secret) = &from.secret_key_ref {
        let name = secret.local_object_reference.as_ref().map_or("", |reference| &reference.name);
        // Its value is nobody's business.
        format!("<set to the key '{}' in secret '{name}'>", secret.key)
    } else if let Some(config) = &from.config_map_key_ref {
        let name = config.local_object_reference.as_ref().map_or("", |reference| &reference.name);
        format!("<set to the key '{}' of config map '{name}'>", config.key)
    } else if let Some(resource) = &from.resource_field_ref {
        match resource.container_name.as_str() {
            "" => format!("<its own {}>", resource.resource),
            of => format!("<{} of container '{of}'>", resource.resource),
        }
    } else {
        NONE.to_owned()
    };
    format!("{}: {}", var.name, what.trim_start())
}

/// A container's state, or its last one.
pub(crate) fn state(sheet: &mut Sheet, level: usize, label: &str, state: &ContainerState, clock: &Clock) {
    let date = |wire| time(wire).map_or_else(|| "<unknown>".to_owned(), |time| clock.date(time));
    if let Some(ended) = &state.terminated {
        sheet.pair(level, label, "Terminated");
        sheet.some(level + 1, "Reason", said(&ended.reason));
        sheet.some(level + 1, "Message", said(&ended.message));
        sheet.pair(level + 1, "Exit Code", ended.exit_code.to_string());
        sheet.some(level + 1, "Signal", (ended.signal > 0).then(|| ended.signal.to_string()));
        // What never started has no such time.
        sheet.some(level + 1, "Started", time(ended.started_at.as_ref()).map(|time| clock.date(time)));
        sheet.pair(level + 1, "Finished", date(ended.finished_at.as_ref()));
    } else if let Some(running) = &state.running {
        sheet.pair(level, label, "Running");
        sheet.pair(level + 1, "Started", date(running.started_at.as_ref()));
    } else if let Some(waiting) = &state.waiting {
        sheet.pair(level, label, "Waiting");
        sheet.some(level + 1, "Reason", said(&waiting.reason));
        sheet.some(level + 1, "Message", said(&waiting.message));
    }
}

/// An end in one line: `Error, exit code 1, 5s ago: message`.
pub(crate) fn end(ended: &ContainerStateTerminated, clock: &Clock) -> String {
    let mut line = cause(ended);
    if let Some(at) = time(ended.finished_at.as_ref()) {
        line += &format!(", {} ago", between(at, clock.now));
    }
    with_message(line, ended)
}

/// How a container ended, without when.
pub(crate) fn exit(ended: &ContainerStateTerminated) -> String {
    with_message(cause(ended), ended)
}

fn cause(ended: &ContainerStateTerminated) -> String {
    let reason = if ended.reason.is_empty() { "Terminated" } else { &ended.reason };
    format!("{reason}, exit code {}", ended.exit_code)
}

fn with_message(line: String, ended: &ContainerStateTerminated) -> String {
    match said(&ended.message) {
        Some(message) => format!("{line}: {message}"),
        None => line,
    }
}

/// A condition, whoever has it.
pub(crate) struct Condition<'a> {
    pub(crate) kind: &'a str,
    pub(crate) status: &'a str,
    pub(crate) since: Option<&'a prost_types::Timestamp>,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

/// Conditions, with why they are so.
pub(crate) fn conditions<'a>(
    sheet: &mut Sheet,
    conditions: impl Iterator<Item = Condition<'a>>,
    clock: &Clock,
) {
    let mut table = Table::new(&["Type", "Status", "Since", "Reason", "Message"]);
    for condition in conditions {
        table.rows.push(vec![
            condition.kind.to_owned(),
            condition.status.to_owned(),
            age(time(condition.since), clock.now),
            condition.reason.to_owned(),
            condition.message.to_owned(),
        ]);
    }
    sheet.table(0, "Conditions", &table);
}

/// Volumes and what they are.
pub(crate) fn volumes(sheet: &mut Sheet, level: usize, volumes: &[Volume]) {
    if volumes.is_empty() {
        return sheet.pair(level, "Volumes", NONE);
    }
    sheet.head(level, "Volumes");
    for volume in volumes {
        sheet.head(level + 1, &volume.name);
        let source = volume.volume_source.clone().unwrap_or_default();
        if let Some(dir) = source.empty_dir {
            sheet.pair(level + 2, "Type", "EmptyDir (a directory that lives as long as its Pod)");
            sheet.pair(level + 2, "SizeLimit", dir.size_limit.unwrap_or_else(|| "<unset>".to_owned()));
        } else if let Some(host) = source.host_path {
            sheet.pair(level + 2, "Type", "HostPath (a directory of the device)");
            sheet.pair(level + 2, "Path", host.path);
        } else {
            sheet.pair(level + 2, "Type", "<unknown>");
        }
    }
}

/// What was told about it lately.
pub(crate) fn events(sheet: &mut Sheet, events: &[Event], clock: &Clock) {
    let mut table = Table::new(&["Type", "Reason", "Age", "From", "Message"]);
    for event in events {
        let seen = Seen::of(event);
        let mut when = age(seen.last, clock.now);
        if seen.count > 1 {
            when += &format!(" (x{} over {})", seen.count, age(seen.first, clock.now));
        }
        let about = event.involved_object.as_ref().map_or("", |object| &object.field_path);
        let about = if about.is_empty() { String::new() } else { format!("{about}: ") };
        table.rows.push(vec![
            event.r#type.clone(),
            event.reason.clone(),
            when,
            or_none(source(event)),
            format!("{about}{}", event.message.trim()),
        ]);
    }
    sheet.table(0, "Events", &table);
}

/// Text that is not empty.
pub(crate) fn said(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl Sheet {
    /// Lines of text below a label, left out where there are none.
    fn text_if_any(&mut self, level: usize, label: &str, lines: &[String]) {
        if !lines.is_empty() {
            self.text(level, label, lines);
        }
    }

    /// Quantities below a label, left out where there are none.
    fn quantities(&mut self, level: usize, label: &str, quantities: &BTreeMap<String, String>) {
        if quantities.is_empty() {
            return;
        }
        self.head(level, label);
        for (name, quantity) in quantities {
            self.pair(level + 1, name, quantity);
        }
    }
}
