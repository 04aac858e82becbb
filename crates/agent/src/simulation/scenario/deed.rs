//! What a scenario does to its world, and when.

use api::ImageRef;
use api::field_error::Class;
use api::kind::{self, Kind};
use api::node::Node;
use jiff::Timestamp;
use sched::pod::Status;

use super::{Manifest, image, is_zone_name, object};
use crate::simulation::reading::{Fields, Reading, Value};

/// Something that is done to the world.
#[derive(Clone, Debug)]
pub(in crate::simulation) struct Action {
    /// Which one it is in the scenario, from 1.
    pub(in crate::simulation) number: u32,
    /// Milliseconds from the start.
    pub(in crate::simulation) at: i64,
    pub(in crate::simulation) deed: Deed,
}

#[derive(Clone, Debug)]
pub(in crate::simulation) enum Deed {
    Apply { manifest: Manifest, owned_by: Option<(Kind, String)> },
    Patch { target: Target, merge: Node },
    Delete { target: Target, propagation: Option<Propagation>, grace_seconds: Option<i64> },
    Trigger { cron_job: String, name: String },
    Crash { down_for: i64 },
    Clock { step: i64 },
    AddImage(ImageRef),
    RemoveImage(ImageRef),
    RemoveZone(String),
    Condition { pod: NthPod, condition: Condition },
}

/// What becomes of what a deleted object owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulation) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// Which object an action is about.
#[derive(Clone, Debug)]
pub(in crate::simulation) enum Target {
    Named { kind: Kind, name: String },
    Pod(NthPod),
}

/// The n-th Pod a Job created, from 1.
#[derive(Clone, Debug)]
pub(in crate::simulation) struct NthPod {
    pub(in crate::simulation) job: String,
    pub(in crate::simulation) nth: u32,
}

/// A condition of a Pod.
#[derive(Clone, Debug)]
pub(in crate::simulation) struct Condition {
    pub(in crate::simulation) kind: String,
    pub(in crate::simulation) status: Status,
    pub(in crate::simulation) reason: String,
}

const DEEDS: [&str; 10] = [
    "apply",
    "patch",
    "delete",
    "trigger",
    "crash",
    "clock",
    "add-image",
    "remove-image",
    "remove-zone",
    "condition",
];

pub(super) fn action(
    reading: &mut Reading,
    value: &Value<'_>,
    number: u32,
    start: Timestamp,
) -> Option<Action> {
    let known: Vec<&str> = ["at", "ownedBy"].into_iter().chain(DEEDS).collect();
    let fields = reading.map(value, &known)?;
    let at = match fields.get("at") {
        Some(value) => reading.moment(&value, start),
        None => {
            reading.errors().required(fields.path().field("at"), "needed; say when, such as `30s`");
            None
        }
    };
    let given: Vec<(&str, Value<'_>)> =
        DEEDS.iter().filter_map(|deed| Some((*deed, fields.get(deed)?))).collect();
    let [(name, value)] = given.as_slice() else {
        let detail = match given.as_slice() {
            [] => format!("nothing is done; give one of `{}`", DEEDS.join("`, `")),
            [(first, _), (second, _), ..] => {
                format!("`{first}` and `{second}` are two actions; make them two")
            }
            [_] => String::new(),
        };
        reading.errors().push(fields.path(), Class::Invalid, detail);
        return None;
    };
    if *name != "apply" && fields.get("ownedBy").is_some() {
        reading
            .errors()
            .forbidden(fields.path().field("ownedBy"), "only `apply` can say who owns the object");
    }
    let deed = deed(reading, name, value, &fields)?;
    Some(Action { number, at: at?, deed })
}

fn deed(reading: &mut Reading, name: &str, value: &Value<'_>, action: &Fields<'_>) -> Option<Deed> {
    match name {
        "apply" => apply(reading, value, action),
        "patch" => {
            let fields = reading.map(value, &["kind", "name", "pod", "merge"])?;
            let target = target(reading, &fields);
            let merge = match fields.get("merge") {
                Some(merge) => {
                    reading_is_map(reading, &merge);
                    Some(merge.node.clone())
                }
                None => {
                    reading.errors().required(fields.path().field("merge"), "needed; say what changes");
                    None
                }
            };
            Some(Deed::Patch { target: target?, merge: merge? })
        }
        "delete" => {
            let fields = reading.map(value, &["kind", "name", "pod", "propagation", "gracePeriodSeconds"])?;
            let words = [
                ("Background", Propagation::Background),
                ("Foreground", Propagation::Foreground),
                ("Orphan", Propagation::Orphan),
            ];
            let propagation = fields.get("propagation").and_then(|value| reading.word(&value, &words));
            let grace = fields.get("gracePeriodSeconds");
            let grace = grace.and_then(|value| reading.whole(&value, 0, i32::MAX.into()));
            let target = target(reading, &fields)?;
            let grace_seconds = grace.and_then(|seconds| i64::try_from(seconds).ok());
            Some(Deed::Delete { target, propagation, grace_seconds })
        }
        "trigger" => {
            let fields = reading.map(value, &["cronJob", "name"])?;
            let cron_job = needed_text(reading, &fields, "cronJob");
            let name = needed_text(reading, &fields, "name");
            Some(Deed::Trigger { cron_job: cron_job?, name: name? })
        }
        "crash" => {
            let fields = reading.map(value, &["for"])?;
            let Some(value) = fields.get("for") else {
                reading.errors().required(
                    fields.path().field("for"),
                    "needed; say how long the agent is down, such as `20s`",
                );
                return None;
            };
            reading.duration(&value).map(|down_for| Deed::Crash { down_for })
        }
        "clock" => {
            let fields = reading.map(value, &["step"])?;
            let Some(value) = fields.get("step") else {
                reading
                    .errors()
                    .required(fields.path().field("step"), "needed; say how far it jumps, such as `-1h`");
                return None;
            };
            reading.signed_duration(&value).map(|step| Deed::Clock { step })
        }
        "add-image" => image(reading, value).map(Deed::AddImage),
        "remove-image" => image(reading, value).map(Deed::RemoveImage),
        "remove-zone" => {
            let zone = reading.text(value)?;
            if !is_zone_name(&zone) {
                reading.impossible(value, "must be the name of a time zone, such as `Europe/Berlin`");
            }
            Some(Deed::RemoveZone(zone))
        }
        _ => condition(reading, value),
    }
}

fn apply(reading: &mut Reading, value: &Value<'_>, action: &Fields<'_>) -> Option<Deed> {
    let mut manifest = object(reading, value)?;
    // It may stand beside the manifest or in it.
    let mut owner = action.get("ownedBy");
    let inside = value.node.get("ownedBy").map(|node| Value { node, path: value.path.field("ownedBy") });
    if let (Node::Map(entries), Some(_)) = (&mut manifest.node, &inside) {
        entries.retain(|(key, _)| key != "ownedBy");
    }
    owner = owner.or(inside);
    let Some(owner) = owner else { return Some(Deed::Apply { manifest, owned_by: None }) };
    let fields = reading.map(&owner, &["kind", "name"])?;
    let kind = object_kind(reading, &fields, &[kind::JOB, kind::CRON_JOB]);
    let name = needed_text(reading, &fields, "name");
    Some(Deed::Apply { manifest, owned_by: Some((kind?, name?)) })
}

fn condition(reading: &mut Reading, value: &Value<'_>) -> Option<Deed> {
    let fields = reading.map(value, &["pod", "type", "status", "reason"])?;
    let pod = match fields.get("pod") {
        Some(value) => nth_pod(reading, &value),
        None => {
            reading
                .errors()
                .required(fields.path().field("pod"), "needed; say which, such as `{job: a, nth: 1}`");
            None
        }
    };
    let kind = needed_text(reading, &fields, "type");
    let words = [Status::True, Status::False, Status::Unknown].map(|status| (status.as_str(), status));
    let status = fields.get("status").map_or(Some(Status::True), |value| reading.word(&value, &words));
    let reason = fields.get("reason").and_then(|value| reading.text(&value)).unwrap_or_default();
    let condition = Condition { kind: kind?, status: status?, reason };
    Some(Deed::Condition { pod: pod?, condition })
}

fn target(reading: &mut Reading, fields: &Fields<'_>) -> Option<Target> {
    if let Some(pod) = fields.get("pod") {
        for key in ["kind", "name"] {
            if fields.get(key).is_some() {
                reading
                    .errors()
                    .forbidden(fields.path().field(key), "`pod` says already which object is meant");
            }
        }
        return nth_pod(reading, &pod).map(Target::Pod);
    }
    let kind = object_kind(reading, fields, &[kind::JOB, kind::CRON_JOB, kind::POD]);
    let name = needed_text(reading, fields, "name");
    Some(Target::Named { kind: kind?, name: name? })
}

fn nth_pod(reading: &mut Reading, value: &Value<'_>) -> Option<NthPod> {
    let fields = reading.map(value, &["job", "nth"])?;
    let job = needed_text(reading, &fields, "job");
    let nth = match fields.get("nth") {
        Some(value) => reading.nth(&value),
        None => {
            reading.errors().required(fields.path().field("nth"), "needed; the first is 1");
            None
        }
    };
    Some(NthPod { job: job?, nth: nth? })
}

fn object_kind(reading: &mut Reading, fields: &Fields<'_>, kinds: &[Kind]) -> Option<Kind> {
    let Some(value) = fields.get("kind") else {
        reading.errors().required(fields.path().field("kind"), "needed; say of which kind the object is");
        return None;
    };
    let words: Vec<(&str, Kind)> = kinds.iter().map(|kind| (kind.kind, *kind)).collect();
    reading.word(&value, &words)
}

fn needed_text(reading: &mut Reading, fields: &Fields<'_>, key: &str) -> Option<String> {
    match fields.get(key) {
        Some(value) => reading.text(&value),
        None => {
            reading.errors().required(fields.path().field(key), "needed");
            None
        }
    }
}

fn reading_is_map(reading: &mut Reading, value: &Value<'_>) {
    if !matches!(value.node, Node::Map(_)) {
        reading.map(value, &[]);
    }
}
