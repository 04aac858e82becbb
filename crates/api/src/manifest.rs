//! Manifests: YAML or JSON text with any number of objects in it.
//!
//! A manifest that is no YAML cannot be read at all. Otherwise each document stands for itself: one that is wrong does
//! not keep the others from being applied. What it asks for, and whether we can do it, is looked at by
//! [`Document::check`].

mod images;

use sched::cron_job::Zones;

use crate::cron_job::NewCronJob;
use crate::field_error::{Class, FieldError, FieldErrors, FieldPath};
use crate::job::{Grants, NewJob};
use crate::json::{self, Reading};
use crate::kind::{CRON_JOB, JOB, KINDS, Kind, Object as _};
use crate::node::{Located, Node};
use crate::pb::k8s::batch::v1::{CronJob, Job};
use crate::pb::k8s::meta::v1::ObjectMeta;
use crate::yaml;
pub use crate::yaml::SyntaxError;
pub use images::{ImageField, images, rewrite_images};

/// The kinds a manifest may hold.
pub const SERVED: [Kind; 2] = [JOB, CRON_JOB];

/// One object of a manifest, readable or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Which one it is, from 0; the items of a `List` count as objects of their own.
    pub index: usize,
    /// The line its document starts in, from 1.
    pub line: u64,
    /// Its `apiVersion`, as it stands there; empty if it has none.
    pub api_version: String,
    /// Its `kind`, as it stands there; empty if it has none.
    pub kind: String,
    /// Its namespace; empty if it names none.
    pub namespace: String,
    /// Its name; empty if it has none.
    pub name: String,
    /// The object, or everything in it that cannot be read.
    pub object: Result<Object, FieldErrors>,
    /// What could be read of an object that cannot be read as a whole.
    partial: Option<Partial>,
    /// As it was written, and where.
    source: Node,
    place: FieldPath,
}

/// An object with holes where it could not be read.
#[derive(Clone, Debug, PartialEq)]
struct Partial {
    object: Object,
    /// What is missing in it because it has another name.
    meant: Vec<FieldPath>,
}

impl Document {
    /// Takes the object in, in this namespace if it names none itself. Everything that is wrong is told at once, in the
    /// order of the document: what cannot be read, and what cannot be of the rest.
    pub fn check(&self, namespace: &str, grants: &Grants, zones: &dyn Zones) -> Result<New, FieldErrors> {
        match self.examine(namespace, grants, zones) {
            (Some(new), errors) if errors.is_empty() => Ok(new),
            (_, errors) => Err(errors.cut()),
        }
    }

    /// The same, with what was made of an object that is wrong.
    pub(crate) fn examine(
        &self,
        namespace: &str,
        grants: &Grants,
        zones: &dyn Zones,
    ) -> (Option<New>, FieldErrors) {
        let (object, mut errors, meant) = match (&self.object, &self.partial) {
            (Ok(object), _) => (object, FieldErrors::new(), &[][..]),
            (Err(unread), Some(partial)) => (&partial.object, unread.clone(), &partial.meant[..]),
            (Err(unread), None) => return (None, unread.clone()),
        };
        let mut object = object.clone();
        let given = object.metadata_mut();
        if given.namespace.is_empty() {
            namespace.clone_into(&mut given.namespace);
        }
        let (mut new, impossible) = New::examine(object, grants, zones);
        let mut impossible = impossible.under(&self.place);
        if let New::CronJob(new) = &mut new {
            let unless_stored = std::mem::take(&mut new.unless_stored).under(&self.place);
            // Most are new, and what is wrong is told at once.
            if errors.is_empty() {
                new.unless_stored = unless_stored;
            } else {
                impossible.append(unless_stored);
            }
        }
        impossible.retain(|error| !follows(error, &errors, meant));
        errors.append(impossible);
        (Some(new), errors.in_order_of(&self.source, &self.place))
    }
}

/// Whether a mistake is there only because something could not be read.
fn follows(error: &FieldError, unread: &FieldErrors, meant: &[FieldPath]) -> bool {
    let needed = error.class == Class::Required;
    let unknown_name = error.class == Class::NotFound;
    meant.iter().any(|meant| needed && meant.is_within(&error.path))
        || unread.iter().any(|unread| {
            error.path.is_within(&unread.path)
                || (needed && unread.path.is_within(&error.path))
                || (unknown_name && unread.class == Class::Type)
        })
}

/// An object a manifest may hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A Job.
    Job(Box<Job>),
    /// A CronJob.
    CronJob(Box<CronJob>),
}

impl Object {
    /// Its kind.
    pub fn kind(&self) -> &'static Kind {
        match self {
            Object::Job(_) => Job::KIND,
            Object::CronJob(_) => CronJob::KIND,
        }
    }

    /// Its metadata, if it has any.
    pub fn metadata(&self) -> Option<&ObjectMeta> {
        match self {
            Object::Job(job) => job.metadata.as_ref(),
            Object::CronJob(cron_job) => cron_job.metadata.as_ref(),
        }
    }

    /// Its metadata, made if it had none.
    pub fn metadata_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Object::Job(job) => job.metadata.get_or_insert_default(),
            Object::CronJob(cron_job) => cron_job.metadata.get_or_insert_default(),
        }
    }
}

/// An object that was asked for, of either kind: checked, with its defaults, without an identity yet.
#[derive(Clone, Debug, PartialEq)]
pub enum New {
    /// A Job.
    Job(Box<NewJob>),
    /// A CronJob.
    CronJob(Box<NewCronJob>),
}

impl New {
    /// Takes an object in; everything that is wrong with it is told at once.
    pub fn check(object: Object, grants: &Grants, zones: &dyn Zones) -> Result<New, FieldErrors> {
        Ok(match object {
            Object::Job(job) => New::Job(Box::new(NewJob::check(*job, grants)?)),
            Object::CronJob(cron_job) => New::CronJob(Box::new(NewCronJob::check(*cron_job, grants, zones)?)),
        })
    }

    fn examine(object: Object, grants: &Grants, zones: &dyn Zones) -> (New, FieldErrors) {
        match object {
            Object::Job(job) => {
                let (new, errors) = NewJob::examine(*job, grants);
                (New::Job(Box::new(new)), errors)
            }
            Object::CronJob(cron_job) => {
                let (new, errors) = NewCronJob::examine(*cron_job, grants, zones);
                (New::CronJob(Box::new(new)), errors)
            }
        }
    }

    /// It, if there is none of its name; what only a stored one may have is told.
    pub fn unless_stored(self) -> Result<New, FieldErrors> {
        match &self {
            New::CronJob(new) if !new.unless_stored.is_empty() => Err(new.unless_stored.clone().cut()),
            New::CronJob(_) | New::Job(_) => Ok(self),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> &'static Kind {
        match self {
            New::Job(_) => Job::KIND,
            New::CronJob(_) => CronJob::KIND,
        }
    }

    /// Its name; empty if it is to be generated.
    pub fn name(&self) -> &str {
        match self {
            New::Job(new) => new.name(),
            New::CronJob(new) => new.name(),
        }
    }

    /// What was accepted although it means nothing here, `path: why`.
    pub fn warnings(&self) -> &[String] {
        match self {
            New::Job(new) => new.warnings(),
            New::CronJob(new) => new.warnings(),
        }
    }
}

/// Reads a manifest: every object in it, in order.
pub fn parse(text: &str) -> Result<Vec<Document>, SyntaxError> {
    let mut objects = Vec::new();
    for Located { line, node } in documents(text)? {
        match items(&node) {
            Some(items) => {
                let list = FieldPath::root().field("items");
                for (index, item) in items.iter().enumerate() {
                    objects.push(document(objects.len(), line, item, &list.index(index)));
                }
            }
            None => objects.push(document(objects.len(), line, &node, &FieldPath::root())),
        }
    }
    Ok(objects)
}

/// Reads one object that stands at `place` of a larger document: of a scenario, say.
pub fn read_object(node: &Node, place: &FieldPath) -> Document {
    document(0, 0, node, place)
}

/// Reads the documents of a text, JSON or YAML. Those with nothing in them are skipped.
pub fn documents(text: &str) -> Result<Vec<Located>, SyntaxError> {
    // Nearly all JSON is YAML too. It is read as JSON because there all keys given twice can be told, and as YAML
    // when it only looks like JSON.
    let start = text.trim_start();
    if !start.starts_with('{') {
        return yaml::read(text);
    }
    Node::from_json_stream(text).or_else(|json_error| {
        let is_json = start[1..].trim_start().starts_with(['"', '}']);
        yaml::read(text).map_err(|yaml_error| if is_json { json_error } else { yaml_error })
    })
}

/// The items, if it is a `List` as `kubectl get -o yaml` prints it.
fn items(node: &Node) -> Option<&[Node]> {
    let kind = node.get("kind")?.as_text()?;
    match node.get("items") {
        Some(Node::List(items))
            if kind == "List" || SERVED.iter().any(|of| kind == format!("{}List", of.kind)) =>
        {
            Some(items)
        }
        _ => None,
    }
}

fn document(index: usize, line: u64, node: &Node, place: &FieldPath) -> Document {
    let text = |node: Option<&Node>| node.and_then(Node::as_text).unwrap_or_default().to_owned();
    let metadata = |key| text(node.get("metadata").and_then(|metadata| metadata.get(key)));
    let (object, partial) = object(node, place);
    Document {
        index,
        line,
        api_version: text(node.get("apiVersion")),
        kind: text(node.get("kind")),
        namespace: metadata("namespace"),
        name: metadata("name"),
        object,
        partial,
        source: node.clone(),
        place: place.clone(),
    }
}

fn object(node: &Node, place: &FieldPath) -> (Result<Object, FieldErrors>, Option<Partial>) {
    let mut errors = FieldErrors::new();
    if !matches!(node, Node::Map(_)) {
        let detail = format!("expected a map with `apiVersion`, `kind` and `metadata`, got {node}");
        errors.push("", Class::Type, detail);
        return (Err(errors.under(place)), None);
    }
    let Some(kind) = kind(node, &mut errors) else {
        return (Err(errors.under(place)), None);
    };
    api_version(node, &kind, &mut errors);
    let (object, more, meant) = if kind == JOB {
        let Reading { message, errors, meant } = json::read_node(node);
        (Object::Job(Box::new(message)), errors, meant)
    } else {
        let Reading { message, errors, meant } = json::read_node(node);
        (Object::CronJob(Box::new(message)), errors, meant)
    };
    errors.append(more);
    if errors.is_empty() {
        return (Ok(object), None);
    }
    let meant = meant.iter().map(|path| path.under(place)).collect();
    (Err(errors.under(place)), Some(Partial { object, meant }))
}

fn kind(node: &Node, errors: &mut FieldErrors) -> Option<Kind> {
    let text = match node.get("kind") {
        Some(Node::Text(text)) if !text.is_empty() => text,
        None | Some(Node::Null | Node::Text(_)) => {
            errors.required("kind", format!("needed; {}", served()));
            return None;
        }
        Some(node) => {
            errors.push("kind", Class::Type, format!("expected a string, got {node}"));
            return None;
        }
    };
    if let Some(kind) = SERVED.iter().find(|kind| kind.kind == text) {
        return Some(*kind);
    }
    let detail = if let Some(meant) = Kind::named(text).filter(|kind| SERVED.contains(kind)).or(similar(text))
    {
        format!("`{text}` is not served; did you mean `{}`?", meant.kind)
    } else if KINDS.iter().any(|kind| kind.kind == text) {
        format!("a `{text}` is made by Wick and cannot be applied; {}", served())
    } else {
        format!("`{text}` is not served; {}", served())
    };
    errors.push("kind", Class::Unsupported, detail);
    None
}

fn api_version(node: &Node, kind: &Kind, errors: &mut FieldErrors) {
    let right = kind.api_version();
    match node.get("apiVersion") {
        Some(Node::Text(text)) if *text == right => {}
        Some(Node::Text(text)) if !text.is_empty() => {
            let detail = format!("`{text}` is not served for a `{}`; did you mean `{right}`?", kind.kind);
            errors.push("apiVersion", Class::Unsupported, detail);
        }
        None | Some(Node::Null | Node::Text(_)) => {
            errors.required("apiVersion", format!("needed; that of a `{}` is `{right}`", kind.kind));
        }
        Some(node) => errors.push("apiVersion", Class::Type, format!("expected a string, got {node}")),
    }
}

fn served() -> String {
    let kinds = SERVED.map(|kind| format!("`{}`", kind.kind)).join(" and ");
    format!("Wick serves {kinds} ({})", JOB.api_version())
}

fn similar(text: &str) -> Option<&'static Kind> {
    let served = KINDS.iter().filter(|kind| SERVED.contains(kind));
    let lower = text.to_ascii_lowercase();
    let near = |kind: &&Kind| strsim::damerau_levenshtein(&lower, kind.singular) <= kind.singular.len() / 3;
    served.filter(near).min_by_key(|kind| strsim::damerau_levenshtein(&lower, kind.singular))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        let shown = match parse(text) {
            Ok(documents) => documents.iter().map(show).collect(),
            Err(error) => format!("{error}\n"),
        };
        expected.assert_eq(&shown);
    }

    fn show(document: &Document) -> String {
        let Document { index, line, api_version, kind, namespace, name, object, .. } = document;
        let what = match object {
            Ok(object) => {
                format!("{} {:?}", object.kind().kind, object.metadata().map(|metadata| &metadata.name))
            }
            Err(errors) => errors.to_string(),
        };
        format!("{index} line {line}: {api_version} {kind} {namespace}/{name}: {what}\n")
    }

    #[test]
    fn reads_several_objects() {
        check(
            r#"
# First nothing.
---
apiVersion: batch/v1
kind: Job
metadata: {name: a, namespace: ns}
---
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: b
spec:
  schedul: '@daily'
---
apiVersion: batch/v1
kind: Job
metadata: {name: c}
"#,
            expect![[r#"
                0 line 4: batch/v1 Job ns/a: Job Some("a")
                1 line 9: batch/v1 CronJob /b: spec.schedul: unknown field; did you mean `schedule`?
                2 line 16: batch/v1 Job /c: Job Some("c")
            "#]],
        );
    }

    #[test]
    fn reads_json() {
        check(
            r#"{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a", "name": "b"}}
               {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "c"}}"#,
            expect![[r#"
                0 line 1: batch/v1 Job /a: metadata.name: given twice; keep one of them
                1 line 2: batch/v1 Job /c: Job Some("c")
            "#]],
        );
        check(
            r#"{"apiVersion": "batch/v1", "kind" "Job"}"#,
            expect![[r#"
            line 1, column 35: expected `:`
        "#]],
        );
        check(
            "{apiVersion: batch/v1, kind: Job}",
            expect![[r#"
            0 line 1: batch/v1 Job /: Job None
        "#]],
        );
    }

    #[test]
    fn expands_lists() {
        check(
            r#"
apiVersion: v1
kind: List
items:
- {apiVersion: batch/v1, kind: Job, metadata: {name: a}}
- {apiVersion: batch/v1, kind: Job, metadata: {nme: b}}
- just text
"#,
            expect![[r#"
                0 line 2: batch/v1 Job /a: Job Some("a")
                1 line 2: batch/v1 Job /: items[1].metadata.nme: unknown field; did you mean `name`?
                2 line 2:   /: items[2]: expected a map with `apiVersion`, `kind` and `metadata`, got the string "just text"
            "#]],
        );
    }

    #[test]
    fn says_what_is_served() {
        let documents = [
            "kind: Deployment\napiVersion: apps/v1",
            "kind: job\napiVersion: batch/v1",
            "kind: Cronjobs\napiVersion: batch/v1",
            "kind: Jbo\napiVersion: batch/v1",
            "kind: CronJob\napiVersion: batch/v1beta1\nspec: {x: 1}",
            "kind: Pod\napiVersion: v1",
            "kind: Job",
            "apiVersion: batch/v1",
            "kind: 5",
            "kind: List",
            "- a",
            "text",
        ];
        check(
            &documents.join("\n---\n"),
            expect![[r#"
            0 line 1: apps/v1 Deployment /: kind: `Deployment` is not served; Wick serves `Job` and `CronJob` (batch/v1)
            1 line 4: batch/v1 job /: kind: `job` is not served; did you mean `Job`?
            2 line 7: batch/v1 Cronjobs /: kind: `Cronjobs` is not served; did you mean `CronJob`?
            3 line 10: batch/v1 Jbo /: kind: `Jbo` is not served; did you mean `Job`?
            4 line 13: batch/v1beta1 CronJob /: apiVersion: `batch/v1beta1` is not served for a `CronJob`; did you mean `batch/v1`?; spec.x: unknown field
            5 line 17: v1 Pod /: kind: a `Pod` is made by Wick and cannot be applied; Wick serves `Job` and `CronJob` (batch/v1)
            6 line 20:  Job /: apiVersion: needed; that of a `Job` is `batch/v1`
            7 line 22: batch/v1  /: kind: needed; Wick serves `Job` and `CronJob` (batch/v1)
            8 line 24:   /: kind: expected a string, got the number 5
            9 line 26:  List /: kind: `List` is not served; Wick serves `Job` and `CronJob` (batch/v1)
            10 line 28:   /: expected a map with `apiVersion`, `kind` and `metadata`, got a list
            11 line 30:   /: expected a map with `apiVersion`, `kind` and `metadata`, got the string "text"
        "#]],
        );
    }

    #[test]
    fn tells_where_it_is_no_yaml() {
        check(
            "kind: Job\n  metadata: {}\n",
            expect![[r#"
            line 2, column 11: mapping values are not allowed in this context
        "#]],
        );
    }
}
