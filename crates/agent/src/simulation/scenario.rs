//! A scenario, read: where the world begins, what is in it, how its guests behave, and what is done to it when.

mod deed;

use std::collections::BTreeMap;

use api::field_error::Class;
use api::node::Node;
use api::quantity::Quantity;
use api::{FieldErrors, FieldPath, ImageRef, manifest, names};
use jiff::Timestamp;
use sched::Exit;

use super::current::Current;
use super::reading::{Reading, Value};

pub(super) use self::deed::{Action, Condition, Deed, NthPod, Propagation, Target};

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
pub(crate) struct NodeSpec {
    pub(crate) name: String,
    pub(crate) cpu_millis: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) pods: u32,
    /// The zone of CronJobs that name none.
    pub(crate) time_zone: String,
    pub(crate) labels: BTreeMap<String, String>,
}

impl Default for NodeSpec {
    fn default() -> NodeSpec {
        NodeSpec {
            name: "edge-1".to_owned(),
            cpu_millis: 2_000,
            memory_bytes: 1 << 30,
            pods: 110,
            time_zone: "UTC".to_owned(),
            labels: BTreeMap::new(),
        }
    }
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

impl Scenario {
    /// Reads a scenario; `now` is when it starts if it does not say so. With what an agent has its objects do not count.
    pub(super) fn read(
        text: &str,
        now: Timestamp,
        current: Option<&Current>,
    ) -> Result<Scenario, FieldErrors> {
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
            scenario(&mut reading, &root, now, current)
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

fn scenario(
    reading: &mut Reading,
    root: &Value<'_>,
    now: Timestamp,
    current: Option<&Current>,
) -> Option<Scenario> {
    let fields =
        reading.map(root, &["start", "until", "seed", "node", "images", "objects", "guests", "actions"])?;
    let start = fields.get("start").and_then(|value| reading.instant(&value));
    let start = start.unwrap_or_else(|| Timestamp::from_second(now.as_second()).unwrap_or(now));
    let until = fields.get("until").and_then(|value| reading.moment(&value, start));
    let seed = fields.get("seed").and_then(|value| reading.whole(&value, i64::MIN.into(), u64::MAX.into()));
    let given = current.map_or_else(NodeSpec::default, |current| current.node.clone());
    let node = node_spec(reading, fields.get("node"), given);
    let images = fields.get("images").map(|value| {
        let elements = reading.list(&value, NAMES_MAX);
        elements.iter().filter_map(|element| image(reading, element)).collect()
    });
    let mut objects = Vec::new();
    if let Some(value) = fields.get("objects").filter(|_| current.is_none()) {
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
            actions.extend(deed::action(reading, &element, number, start));
        }
    }
    let applied = actions.iter().filter_map(|action| match &action.deed {
        Deed::Apply { manifest, .. } => Some(manifest),
        _ => None,
    });
    let is_cron_job =
        |manifest: &Manifest| manifest.node.get("kind").and_then(Node::as_text) == Some("CronJob");
    let has_cron_jobs = current.is_some_and(|current| !current.cron_jobs.is_empty());
    if fields.get("until").is_none() && (has_cron_jobs || objects.iter().chain(applied).any(is_cron_job)) {
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

/// `spec`, and over it what the scenario says.
fn node_spec(reading: &mut Reading, value: Option<Value<'_>>, mut spec: NodeSpec) -> NodeSpec {
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
    {
        if !is_zone_name(&zone) {
            reading.impossible(&value, "must be the name of a time zone, such as `Europe/Berlin` or `UTC`");
        }
        spec.time_zone = zone;
    }
    if let Some(value) = fields.get("labels") {
        spec.labels = labels(reading, &value);
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

fn labels(reading: &mut Reading, value: &Value<'_>) -> BTreeMap<String, String> {
    let Node::Map(entries) = value.node else {
        reading.map(value, &[]);
        return BTreeMap::new();
    };
    let mut labels = BTreeMap::new();
    for (key, node) in entries {
        let at = Value { node, path: value.path.key(key) };
        let text = if let Node::Text(text) = node { text.as_str() } else { "" };
        if labels.insert(key.clone(), text.to_owned()).is_some() {
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
    labels
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

#[cfg(test)]
mod tests;
