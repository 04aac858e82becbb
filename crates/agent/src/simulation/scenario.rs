//! A scenario, read: where the world begins, what is in it, how its guests behave, and what is done to it when.

use std::collections::BTreeMap;

use api::field_error::Class;
use api::kind::{self, Kind};
use api::node::Node;
use api::quantity::Quantity;
use api::{FieldErrors, FieldPath, ImageRef, manifest, names};
use jiff::Timestamp;
use sched::Exit;
use sched::pod::Status;

use super::reading::{Fields, Reading, Value};

/// The most rules for guests: each start of a container looks at them.
pub(super) const RULES_MAX: usize = 1_000;
/// The most actions.
pub(super) const ACTIONS_MAX: usize = 10_000;
/// The most objects at the start.
pub(super) const OBJECTS_MAX: usize = 10_000;
/// The most images, and the most labels of the node.
const NAMES_MAX: usize = 10_000;

/// A world to be lived through.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) start: Timestamp,
    /// Milliseconds from the start.
    pub(super) until: Option<i64>,
    pub(super) seed: u128,
    pub(super) node: NodeSpec,
    /// `None`: every image exists.
    pub(super) images: Option<Vec<ImageRef>>,
    pub(super) objects: Vec<Manifest>,
    pub(super) rules: Vec<Rule>,
    /// In the order in which they come.
    pub(super) actions: Vec<Action>,
}

/// The device.
#[derive(Clone, Debug)]
pub(super) struct NodeSpec {
    pub(super) name: String,
    pub(super) cpu_millis: u64,
    pub(super) memory_bytes: u64,
    pub(super) pods: u32,
}

/// An object as it stands in the scenario.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) node: Node,
    pub(super) path: FieldPath,
}

/// How some containers behave.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) cron_job: Option<Pattern>,
    pub(super) job: Option<Pattern>,
    pub(super) container: Option<String>,
    pub(super) index: Option<u32>,
    pub(super) pod: Option<u32>,
    pub(super) start: Option<u32>,
    /// It is about a probe's or a hook's command.
    pub(super) hook: bool,
    /// How long it runs; `None` is for ever.
    pub(super) run: Option<i64>,
    pub(super) exit: Exit,
    pub(super) stop: Option<Stop>,
}

/// What a guest does when it is asked to stop.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    /// After so long; `None`: not before it is killed.
    pub(super) after: Option<i64>,
    pub(super) exit: Exit,
}

/// A name, or how one begins.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    is_prefix: bool,
}

impl Pattern {
    pub(super) fn matches(&self, name: &str) -> bool {
        if self.is_prefix { name.starts_with(&self.text) } else { name == self.text }
    }
}

/// Something that is done to the world.
#[derive(Clone, Debug)]
pub(super) struct Action {
    /// Which one it is in the scenario, from 1.
    pub(super) number: u32,
    /// Milliseconds from the start.
    pub(super) at: i64,
    pub(super) deed: Deed,
}

#[derive(Clone, Debug)]
pub(super) enum Deed {
    Apply { manifest: Manifest, owned_by: Option<(Kind, String)> },
    Patch { target: Target, merge: Node },
    Delete { target: Target, propagation: Option<Propagation>, grace_seconds: Option<i64> },
    Trigger { cron_job: String },
    Crash { down_for: i64 },
    Clock { step: i64 },
    AddImage(ImageRef),
    RemoveImage(ImageRef),
    RemoveZone,
    Condition { pod: NthPod, condition: Condition },
}

/// What becomes of what a deleted object owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// Which object an action is about.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Named { kind: Kind, name: String },
    Pod(NthPod),
}

/// The n-th Pod a Job created, from 1.
#[derive(Clone, Debug)]
pub(super) struct NthPod {
    pub(super) job: String,
    pub(super) nth: u32,
}

/// A condition of a Pod.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) kind: String,
    pub(super) status: Status,
    pub(super) reason: String,
}

impl Scenario {
    /// Reads a scenario; `now` is when it starts if it does not say so. With `from_current` its objects do not count.
    pub(super) fn read(text: &str, now: Timestamp, from_current: bool) -> Result<Scenario, FieldErrors> {
        let mut reading = Reading::new();
        let documents = match manifest::documents(text) {
            Ok(documents) => documents,
            Err(error) => {
                reading.errors().push("", Class::Type, error.to_string());
                Vec::new()
            }
        };
        let node = match documents.as_slice() {
            [document] => &document.node,
            [] => {
                if reading.errors().is_empty() {
                    reading.errors().required("", "the scenario is empty; it needs at least `objects`");
                }
                &Node::Null
            }
            [_, second, ..] => {
                let detail =
                    format!("a scenario is one document, and in line {} a second one starts", second.line);
                reading.errors().push("", Class::Invalid, detail);
                &Node::Null
            }
        };
        let scenario = if reading.errors().is_empty() {
            let root = Value { node, path: FieldPath::root() };
            scenario(&mut reading, &root, now, from_current)
        } else {
            None
        };
        match reading.finish(scenario)? {
            Some(scenario) => Ok(scenario),
            None => {
                let mut errors = FieldErrors::new();
                errors.push("", Class::Type, "the scenario is not a map");
                Err(errors)
            }
        }
    }
}

fn scenario(reading: &mut Reading, root: &Value<'_>, now: Timestamp, from_current: bool) -> Option<Scenario> {
    let fields =
        reading.map(root, &["start", "until", "seed", "node", "images", "objects", "guests", "actions"])?;
    let start = fields.get("start").and_then(|value| reading.instant(&value));
    let start = start.unwrap_or_else(|| Timestamp::from_second(now.as_second()).unwrap_or(now));
    let until = fields.get("until").and_then(|value| reading.moment(&value, start));
    let seed = fields.get("seed").and_then(|value| reading.whole(&value, i64::MIN.into(), u64::MAX.into()));
    let node = node_spec(reading, fields.get("node"));
    let images = fields.get("images").map(|value| {
        let elements = reading.list(&value, NAMES_MAX);
        elements.iter().filter_map(|element| image(reading, element)).collect()
    });
    let mut objects = Vec::new();
    if let Some(value) = fields.get("objects").filter(|_| !from_current) {
        for element in reading.list(&value, OBJECTS_MAX) {
            objects.extend(object(reading, &element));
        }
    }
    let mut rules = Vec::new();
    if let Some(value) = fields.get("guests") {
        for element in reading.list(&value, RULES_MAX) {
            rules.extend(rule(reading, &element));
        }
    }
    let mut actions = Vec::new();
    if let Some(value) = fields.get("actions") {
        for (number, element) in (1..).zip(reading.list(&value, ACTIONS_MAX)) {
            actions.extend(action(reading, &element, number, start));
        }
    }
    let applied = actions.iter().filter_map(|action| match &action.deed {
        Deed::Apply { manifest, .. } => Some(manifest),
        _ => None,
    });
    let is_cron_job =
        |manifest: &Manifest| manifest.node.get("kind").and_then(Node::as_text) == Some("CronJob");
    if fields.get("until").is_none() && objects.iter().chain(applied).any(is_cron_job) {
        reading.errors().required(
            fields.path().field("until"),
            "needed where there is a CronJob: it never ends by itself",
        );
    }
    actions.sort_by_key(|action| action.at); // Those of one time stay in the order they are written in.
    // The same bits for one seed; which ones does not matter.
    let seed = u128::from_ne_bytes(seed.unwrap_or(0).to_ne_bytes());
    Some(Scenario { start, until, seed, node, images, objects, rules, actions })
}

fn node_spec(reading: &mut Reading, value: Option<Value<'_>>) -> NodeSpec {
    let mut spec =
        NodeSpec { name: "edge-1".to_owned(), cpu_millis: 2_000, memory_bytes: 1 << 30, pods: 110 };
    let known = ["name", "cpu", "memory", "pods", "timeZone", "labels"];
    let Some(fields) = value.and_then(|value| reading.map(&value, &known)) else { return spec };
    if let Some(value) = fields.get("name")
        && let Some(name) = reading.text(&value)
    {
        match names::dns_subdomain(&name) {
            Ok(_) => spec.name = name,
            Err(must) => reading.impossible(&value, must),
        }
    }
    if let Some(quantity) = fields.get("cpu").and_then(|value| quantity(reading, &value)) {
        spec.cpu_millis = u64::try_from(quantity.milli_value()).unwrap_or(0);
    }
    if let Some(quantity) = fields.get("memory").and_then(|value| quantity(reading, &value)) {
        spec.memory_bytes = u64::try_from(quantity.value()).unwrap_or(0);
    }
    if let Some(pods) = fields.get("pods").and_then(|value| reading.whole(&value, 0, u32::MAX.into())) {
        spec.pods = u32::try_from(pods).unwrap_or(u32::MAX);
    }
    if let Some(value) = fields.get("timeZone")
        && let Some(zone) = reading.text(&value)
        && !is_zone_name(&zone)
    {
        reading.impossible(&value, "must be the name of a time zone, such as `Europe/Berlin` or `UTC`");
    }
    if let Some(value) = fields.get("labels") {
        labels(reading, &value);
    }
    spec
}

/// Whether it looks like a name of the zone database, as Kubernetes checks it.
fn is_zone_name(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && !part.starts_with('-')
            && part.len() <= 14
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte))
    };
    !text.eq_ignore_ascii_case("local") && text.split('/').all(is_part)
}

fn labels(reading: &mut Reading, value: &Value<'_>) {
    let Node::Map(entries) = value.node else {
        reading.map(value, &[]);
        return;
    };
    let mut seen = BTreeMap::new();
    for (key, node) in entries {
        let at = Value { node, path: value.path.key(key) };
        if seen.insert(key, ()).is_some() {
            reading.errors().duplicate(&at.path, key);
        }
        if let Err(must) = names::qualified_name(key) {
            reading.errors().invalid(&value.path, key, must);
        }
        match node {
            Node::Text(text) => {
                if let Err(must) = names::label_value(text) {
                    reading.impossible(&at, must);
                }
            }
            _ => {
                reading.text(&at);
            }
        }
    }
}

fn quantity(reading: &mut Reading, value: &Value<'_>) -> Option<Quantity> {
    let text = match value.node {
        Node::Int(number) => number.to_string(),
        Node::Float(number) => number.to_string(),
        _ => reading.text(value)?,
    };
    match text.parse::<Quantity>() {
        Ok(quantity) if quantity.is_negative() => {
            reading.impossible(value, "must not be negative");
            None
        }
        Ok(quantity) => Some(quantity),
        Err(error) => {
            reading.impossible(value, &error.to_string());
            None
        }
    }
}

fn image(reading: &mut Reading, value: &Value<'_>) -> Option<ImageRef> {
    let text = reading.text(value)?;
    ImageRef::parse(&text).map_err(|must| reading.impossible(value, must)).ok()
}

fn object(reading: &mut Reading, value: &Value<'_>) -> Option<Manifest> {
    if !matches!(value.node, Node::Map(_)) {
        reading.map(value, &[]);
        return None;
    }
    Some(Manifest { node: value.node.clone(), path: value.path.clone() })
}

fn rule(reading: &mut Reading, value: &Value<'_>) -> Option<Rule> {
    let fields = reading.map(value, &["match", "run", "exit", "stop"])?;
    let mut rule = Rule {
        cron_job: None,
        job: None,
        container: None,
        index: None,
        pod: None,
        start: None,
        hook: false,
        run: fields.get("run").and_then(|value| reading.duration_or_forever(&value)).unwrap_or(Some(0)),
        exit: fields.get("exit").and_then(|value| exit(reading, &value)).unwrap_or(Exit::Code(0)),
        stop: fields.get("stop").and_then(|value| stop(reading, &value)),
    };
    let known = ["cronJob", "job", "container", "index", "pod", "start", "hook"];
    if let Some(given) = fields.get("match").and_then(|value| reading.map(&value, &known)) {
        rule.cron_job = given.get("cronJob").and_then(|value| pattern(reading, &value));
        rule.job = given.get("job").and_then(|value| pattern(reading, &value));
        rule.container = given.get("container").and_then(|value| reading.text(&value));
        let index = given.get("index").and_then(|value| reading.whole(&value, 0, i32::MAX.into()));
        rule.index = index.and_then(|index| u32::try_from(index).ok());
        rule.pod = given.get("pod").and_then(|value| reading.nth(&value));
        rule.start = given.get("start").and_then(|value| reading.nth(&value));
        let hooks = ["liveness", "readiness", "startup", "postStart", "preStop"].map(|hook| (hook, ()));
        rule.hook = given.get("hook").is_some_and(|value| {
            reading.word(&value, &hooks);
            true
        });
    }
    Some(rule)
}

fn pattern(reading: &mut Reading, value: &Value<'_>) -> Option<Pattern> {
    let text = reading.text(value)?;
    let (text, is_prefix) = match text.strip_suffix('*') {
        Some(prefix) => (prefix.to_owned(), true),
        None => (text, false),
    };
    if text.contains('*') {
        reading.impossible(value, "must be a name, or how one begins and a `*` at the end");
        return None;
    }
    Some(Pattern { text, is_prefix })
}

fn exit(reading: &mut Reading, value: &Value<'_>) -> Option<Exit> {
    let message = || "the scenario says so".to_owned();
    let exit = match value.node {
        Node::Int(code) => u8::try_from(*code).ok().map(Exit::Code),
        Node::Text(word) => match word.as_str() {
            "trap" => Some(Exit::Trap { message: message() }),
            "oom" => Some(Exit::OutOfMemory { message: message() }),
            "fuel" => Some(Exit::OutOfFuel { message: message() }),
            "refused" => Some(Exit::Refused { why: message() }),
            _ => None,
        },
        _ => None,
    };
    if exit.is_none() {
        reading.impossible(value, "must be from 0 to 255, or one of `trap`, `oom`, `fuel` and `refused`");
    }
    exit
}

fn stop(reading: &mut Reading, value: &Value<'_>) -> Option<Stop> {
    let fields = reading.map(value, &["after", "exit"])?;
    Some(Stop {
        after: fields.get("after").and_then(|value| reading.duration_or_forever(&value)).unwrap_or(Some(0)),
        exit: fields.get("exit").and_then(|value| exit(reading, &value)).unwrap_or(Exit::Stopped),
    })
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

fn action(reading: &mut Reading, value: &Value<'_>, number: u32, start: Timestamp) -> Option<Action> {
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
            name.and(cron_job).map(|cron_job| Deed::Trigger { cron_job })
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
            Some(Deed::RemoveZone)
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

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        let now = Timestamp::from_millisecond(1_800_000_000_123).unwrap();
        let said = match Scenario::read(text, now, false) {
            Ok(scenario) => format!("{scenario:#?}\n"),
            Err(errors) => errors.iter().map(|error| format!("{error}\n")).collect(),
        };
        expected.assert_eq(&said);
    }

    #[test]
    fn a_scenario_may_say_nothing() {
        check(
            "{}",
            expect![[r#"
            Scenario {
                start: 2027-01-15T08:00:00Z,
                until: None,
                seed: 0,
                node: NodeSpec {
                    name: "edge-1",
                    cpu_millis: 2000,
                    memory_bytes: 1073741824,
                    pods: 110,
                },
                images: None,
                objects: [],
                rules: [],
                actions: [],
            }
        "#]],
        );
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        check(
            "
start: yesterday
until: 5
seed: x
nodes: {}
node: {name: Edge, cpu: lots, memory: -1, pods: 1.5, timeZone: ../x, labels: {a b: c, d: 1}}
images: [busybox, 'A B', 3]
objects: {}
guests:
- {match: {job: 'a*b', index: -1, pod: 0, start: one, hook: boot, kontainer: c}, run: 5x, exit: 256, stop: 3s}
- run: 5s
  exit: kill
  stop: {after: -1s, exit: -1}
actions:
- {apply: {}}
- {at: 1s}
- {at: 1s, crash: {for: 1s}, clock: {step: 1s}}
- {at: -1s, patch: {kind: Node, name: a}}
- {at: 1s, delete: {pod: {job: a}, name: b, propagation: Sideways, gracePeriodSeconds: -1}}
- {at: 1s, trigger: {cronJob: c}}
- {at: 1s, crash: {}}
- {at: 1s, clock: {step: back}}
- {at: 1s, condition: {type: '', status: Maybe}}
- {at: 1s, add-image: '', ownedBy: {}}
- {at: 1s, apply: {kind: CronJob}, ownedBy: {kind: Pod}}
- 7
",
            expect![[r#"
                nodes: unknown field; did you mean `node`?
                start: `yesterday` must be an instant in RFC 3339, such as `2026-03-08T06:00:00Z`
                until: expected a duration such as `90s` or `1h30m`, got the number 5
                seed: expected a whole number, got the string "x"
                node.name: `Edge` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
                node.cpu: `lots` is no quantity; write a number and perhaps a suffix, as in `500m`, `2`, `128Mi` or `1e3`
                node.memory: -1 must not be negative
                node.pods: expected a whole number, got the number 1.5
                node.timeZone: `../x` must be the name of a time zone, such as `Europe/Berlin` or `UTC`
                node.labels: `a b` must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, perhaps after a prefix such as `example.com/`
                node.labels[d]: expected a string, got the number 1
                images[1]: `A B` must be a name such as `hello`, `hello:1.2` or `example.com/team/hello` in lower-case letters, digits, `.`, `_` and `-`, or `sha256:` and 64 hexadecimal digits; a path to a file is pushed by `wick apply`, or by `wick image push FILE NAME`
                images[2]: expected a string, got the number 3
                objects: expected a list, got a map
                guests[0].run: `5x` must be a duration such as `90s`, `1h30m` or `250ms`, in `d`, `h`, `m`, `s` and `ms`
                guests[0].exit: 256 must be from 0 to 255, or one of `trap`, `oom`, `fuel` and `refused`
                guests[0].stop: expected a map, got the string "3s"
                guests[0].match.kontainer: unknown field; did you mean `container`?
                guests[0].match.job: `a*b` must be a name, or how one begins and a `*` at the end
                guests[0].match.index: -1 must be from 0 to 2147483647
                guests[0].match.pod: 0 must be from 1 to 4294967295
                guests[0].match.start: expected a whole number, got the string "one"
                guests[0].match.hook: `boot` is not one of `liveness`, `readiness`, `startup`, `postStart` or `preStop`
                guests[1].exit: `kill` must be from 0 to 255, or one of `trap`, `oom`, `fuel` and `refused`
                guests[1].stop.after: `-1s` must not be negative
                guests[1].stop.exit: -1 must be from 0 to 255, or one of `trap`, `oom`, `fuel` and `refused`
                actions[0].at: needed; say when, such as `30s`
                actions[1]: nothing is done; give one of `apply`, `patch`, `delete`, `trigger`, `crash`, `clock`, `add-image`, `remove-image`, `remove-zone`, `condition`
                actions[2]: `crash` and `clock` are two actions; make them two
                actions[3].at: `-1s` must not be negative
                actions[3].patch.kind: `Node` is not one of `Job`, `CronJob` or `Pod`
                actions[3].patch.merge: needed; say what changes
                actions[4].delete.propagation: `Sideways` is not one of `Background`, `Foreground` or `Orphan`
                actions[4].delete.gracePeriodSeconds: -1 must be from 0 to 2147483647
                actions[4].delete.name: `pod` says already which object is meant
                actions[4].delete.pod.nth: needed; the first is 1
                actions[5].trigger.name: needed
                actions[6].crash.for: needed; say how long the agent is down, such as `20s`
                actions[7].clock.step: `back` must be a duration such as `90s`, `1h30m` or `250ms`, in `d`, `h`, `m`, `s` and `ms`
                actions[8].condition.pod: needed; say which, such as `{job: a, nth: 1}`
                actions[8].condition.type: needed; it is empty
                actions[8].condition.status: `Maybe` is not one of `True`, `False` or `Unknown`
                actions[9].ownedBy: only `apply` can say who owns the object
                actions[9].add-image: needed; it is empty
                actions[10].ownedBy.kind: `Pod` is not one of `Job` or `CronJob`
                actions[10].ownedBy.name: needed
                actions[11]: expected a map, got the number 7
            "#]],
        );
    }

    #[test]
    fn what_cannot_be_read_at_all_is_told_with_its_place() {
        check(
            "a: [",
            expect![[r#"
            line 1, column 4: unclosed bracket '['
        "#]],
        );
        check(
            "",
            expect![[r#"
            the scenario is empty; it needs at least `objects`
        "#]],
        );
        check(
            "{}\n---\n{}\n---\na: 1\n",
            expect![[r#"
            a scenario is one document, and in line 3 a second one starts
        "#]],
        );
        check(
            "[]",
            expect![[r#"
            expected a map, got a list
        "#]],
        );
        check(
            "{start: 1, start: 2}",
            expect![[r#"
            line 1, column 12: the key `start` is given twice; keep one of them
        "#]],
        );
        check(
            "objects: [{kind: CronJob}]",
            expect![[r#"
            until: needed where there is a CronJob: it never ends by itself
        "#]],
        );
    }

    #[test]
    fn actions_come_in_the_order_of_their_times() {
        check(
            "
start: 2026-03-08T06:00:00Z
actions:
- {at: 10s, add-image: b}
- {at: 2026-03-08T06:00:05Z, remove-zone: Europe/Berlin}
- {at: 10s, remove-image: b}
- {at: 2026-03-08T05:59:59Z, add-image: c}
",
            expect![[r#"
                actions[3].at: `2026-03-08T05:59:59Z` must not be before the start, 2026-03-08T06:00:00Z
            "#]],
        );
    }
}
