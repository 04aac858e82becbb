//! Patches: what changes of an object, in the three ways that Kubernetes has for saying so.
//!
//! A patch is applied to the object as Kubernetes' JSON, and what comes of it is read as strictly as a manifest. Whether
//! the change is allowed is not looked at here, but for what would make it another object: it is then taken in as any
//! other.

mod merge;
mod operations;
mod strategic;

use serde_json::{Map, Number, Value};

use crate::descriptor::Shape;
use crate::field_error::{Class, FieldErrors, FieldPath};
use crate::json;
use crate::kind::Object;
use crate::manifest;
use crate::node::Node;
use crate::pb::k8s::meta::v1::ObjectMeta;
use operations::Operation;

pub use operations::{COPIED_MAX, OPERATIONS_MAX};

/// The largest patch, in bytes (as many as an object may have).
pub const PATCH_MAX: usize = crate::job::OBJECT_MAX;

/// Where a mistake in the patch itself is told to be.
const ROOT: &str = "patch";

/// How a patch says what changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// Kubernetes' own: as `Merge`, but lists of things with names are merged by them.
    Strategic,
    /// RFC 7386: what is there replaces, `null` removes, lists are replaced whole.
    Merge,
    /// RFC 6902: a list of operations.
    Json,
}

/// What a patch makes of an object that is stored; yet to be checked, as any other that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Revised<M> {
    /// What is asked for now.
    pub object: M,
    /// What may have changed of the stored one meanwhile.
    pub against: Against,
}

/// What the stored object must still be when a patched one takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// What was read, but for its status: that of a busy Job changes in every commit.
    Read,
    /// The version that was read; else the patch is to be applied anew.
    Version,
    /// The version that the patch itself names; else it is refused.
    Named,
}

/// A patch, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch(Body);

#[derive(Clone, Debug, PartialEq)]
enum Body {
    Strategic(Map<String, Value>),
    Merge(Map<String, Value>),
    Operations(Vec<Operation>),
}

impl Patch {
    /// Reads a patch, which is JSON or YAML.
    pub fn parse(kind: PatchKind, text: &str) -> Result<Patch, FieldErrors> {
        if text.len() > PATCH_MAX {
            let mut errors = FieldErrors::new();
            errors.too_long(ROOT, text.len(), PATCH_MAX);
            return Err(errors);
        }
        let documents = manifest::documents(text);
        let documents = documents.map_err(|error| mistake(ROOT, Class::Type, error.to_string()))?;
        let value = match &documents[..] {
            [document] => value(&document.node, &FieldPath::from(ROOT))?,
            [] => return Err(mistake(ROOT, Class::Required, "needed; there is nothing in it")),
            [_, _, ..] => return Err(mistake(ROOT, Class::Invalid, "expected one document, got several")),
        };
        match (kind, value) {
            (PatchKind::Strategic, Value::Object(fields)) => Ok(Patch(Body::Strategic(fields))),
            (PatchKind::Merge, Value::Object(fields)) => Ok(Patch(Body::Merge(fields))),
            (PatchKind::Json, Value::Array(list)) => operations::parse(list).map(Body::Operations).map(Patch),
            (PatchKind::Strategic | PatchKind::Merge, Value::Array(_)) => Err(mistake(
                ROOT,
                Class::Type,
                "expected a map, got a list; a list of operations is a JSON patch",
            )),
            (PatchKind::Strategic | PatchKind::Merge, _) => {
                Err(mistake(ROOT, Class::Type, "expected a map, such as `{\"spec\":{\"suspend\":true}}`"))
            }
            (PatchKind::Json, Value::Object(_)) => Err(mistake(
                ROOT,
                Class::Type,
                "expected a list of operations, got a map; a map is a merge patch",
            )),
            (PatchKind::Json, _) => Err(mistake(
                ROOT,
                Class::Type,
                "expected a list of operations, such as `[{\"op\":\"remove\",\"path\":\"/spec/suspend\"}]`",
            )),
        }
    }

    /// A merge patch that stands in a larger document.
    pub fn merge(node: &Node) -> Result<Patch, FieldErrors> {
        match value(node, &FieldPath::from(ROOT))? {
            Value::Object(fields) => Ok(Patch(Body::Merge(fields))),
            _ => Err(mistake(ROOT, Class::Type, "expected a map, such as `{\"spec\":{\"suspend\":true}}`")),
        }
    }

    /// What becomes of `object`.
    pub fn apply<M: Object>(&self, object: &M) -> Result<M, FieldErrors> {
        let mut value = json::to_json(object);
        let header = ["apiVersion", "kind"].map(|name| (name, value.get(name).cloned()));
        match (&self.0, &mut value) {
            (Body::Merge(patch), Value::Object(fields)) => merge::apply(fields, patch),
            (Body::Strategic(patch), Value::Object(fields)) => {
                strategic::apply(fields, patch, Shape::of::<M>())?;
            }
            (Body::Operations(operations), value) => operations::apply(value, operations)?,
            (Body::Merge(_) | Body::Strategic(_), _) => unreachable!("an object is a map"),
        }
        let mut errors = FieldErrors::new();
        for (name, before) in header {
            // What was taken away stands in the request already; what was changed would be another object.
            let after = value.get(name).filter(|after| !after.is_null());
            if let (Some(Value::String(before)), Some(after)) = (before, after)
                && *after != Value::String(before.clone())
            {
                errors.push(
                    name,
                    Class::Forbidden,
                    format!("{after} is not `{before}`; a patch cannot change it"),
                );
            }
        }
        errors.into_result(())?;
        json::from_node(&node(value))
    }

    /// What becomes of a stored object, which stays the one it is.
    pub fn revise<M: Object>(&self, read: &M) -> Result<Revised<M>, FieldErrors> {
        let mut object = self.apply(read)?;
        let no_meta = ObjectMeta::default();
        let (before, meta) = (read.metadata().unwrap_or(&no_meta), object.metadata_mut());
        let mut errors = FieldErrors::new();
        for (field, before, after) in [
            ("metadata.name", &before.name, &meta.name),
            ("metadata.namespace", &before.namespace, &meta.namespace),
            ("metadata.uid", &before.uid, &meta.uid),
        ] {
            if before != after && !(after.is_empty() && field == "metadata.uid") {
                let must = format!("is another {}'s; this is `{before}`", M::KIND.kind);
                errors.invalid(field, after, must);
            }
        }
        let named = meta.resource_version != before.resource_version && !meta.resource_version.is_empty();
        let against = if named {
            Against::Named
        } else if self.looks_at_version() {
            meta.resource_version.clone_from(&before.resource_version);
            Against::Version
        } else {
            meta.resource_version.clear();
            Against::Read
        };
        errors.into_result(Revised { object, against })
    }

    /// Whether what it does depends on, or is about, the object's version.
    ///
    /// Such a patch must not be applied to an object whose status has changed since it was read; any other may, because
    /// it neither sees the status nor changes it.
    fn looks_at_version(&self) -> bool {
        match &self.0 {
            Body::Strategic(patch) | Body::Merge(patch) => {
                let metadata = patch.get("metadata");
                metadata
                    .and_then(|metadata| metadata.get("resourceVersion"))
                    .is_some_and(|version| !version.is_null())
            }
            Body::Operations(operations) => operations.iter().any(Operation::looks_at_version),
        }
    }
}

fn mistake(path: impl Into<FieldPath>, class: Class, detail: impl Into<String>) -> FieldErrors {
    let mut errors = FieldErrors::new();
    errors.push(path, class, detail);
    errors
}

/// As a JSON value. A key given twice is a mistake: nobody knows which is meant.
fn value(node: &Node, path: &FieldPath) -> Result<Value, FieldErrors> {
    Ok(match node {
        Node::Null => Value::Null,
        Node::Bool(value) => Value::Bool(*value),
        Node::Int(whole) => Number::from_i128(*whole).map_or(Value::Null, Value::Number),
        Node::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Node::Text(text) => Value::String(text.clone()),
        Node::List(elements) => {
            let elements = elements.iter().enumerate().map(|(at, element)| value(element, &path.index(at)));
            Value::Array(elements.collect::<Result<_, _>>()?)
        }
        Node::Map(entries) => {
            let mut map = Map::with_capacity(entries.len());
            for (key, inner) in entries {
                let inner = value(inner, &path.field(key))?;
                if map.insert(key.clone(), inner).is_some() {
                    return Err(mistake(path.field(key), Class::Duplicate, "given twice; keep one of them"));
                }
            }
            Value::Object(map)
        }
    })
}

fn node(value: Value) -> Node {
    match value {
        Value::Null => Node::Null,
        Value::Bool(value) => Node::Bool(value),
        Value::Number(number) => match (number.as_i128(), number.as_f64()) {
            (Some(whole), _) => Node::Int(whole),
            (None, Some(number)) => Node::Float(number),
            (None, None) => Node::Null,
        },
        Value::String(text) => Node::Text(text),
        Value::Array(elements) => Node::List(elements.into_iter().map(node).collect()),
        Value::Object(map) => Node::Map(map.into_iter().map(|(key, value)| (key, node(value))).collect()),
    }
}

#[cfg(test)]
mod tests;
