//! RFC 6902: operations, one after the other, all or none.

use serde_json::{Map, Value};

use super::{ROOT, mistake};
use crate::field_error::{Class, FieldErrors, FieldPath};
use crate::yaml::DEPTH_MAX;

/// The most operations in a patch, as on a cluster.
pub const OPERATIONS_MAX: usize = 10_000;
/// The most that a patch copies and moves, all operations together, in bytes (about; as on a cluster).
pub const COPIED_MAX: usize = 3 << 20;

/// The most names a mistake lists.
const NAMES_MAX: usize = 12;

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operation {
    /// Which one of the patch, from 0.
    index: usize,
    path: Pointer,
    what: What,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    Add(Value),
    Remove,
    Replace(Value),
    Move(Pointer),
    Copy(Pointer),
    Test(Value),
}

/// RFC 6901: the way to a value. Empty is the whole object.
#[derive(Clone, Debug, PartialEq)]
struct Pointer(Vec<String>);

/// Reads a list of operations.
pub(super) fn parse(list: Vec<Value>) -> Result<Vec<Operation>, FieldErrors> {
    if list.len() > OPERATIONS_MAX {
        let mut errors = FieldErrors::new();
        errors.too_many(ROOT, list.len(), OPERATIONS_MAX);
        return Err(errors);
    }
    let operations =
        list.into_iter().enumerate().map(|(index, operation)| Operation::parse(index, operation));
    operations.collect()
}

/// Does them, in order.
pub(super) fn apply(object: &mut Value, operations: &[Operation]) -> Result<(), FieldErrors> {
    let mut copied = 0;
    operations.iter().try_for_each(|operation| operation.apply(object, &mut copied))
}

impl Operation {
    fn parse(index: usize, operation: Value) -> Result<Operation, FieldErrors> {
        let place = FieldPath::from(ROOT).index(index);
        let Value::Object(mut members) = operation else {
            let detail = "expected an operation, such as `{\"op\":\"remove\",\"path\":\"/spec/suspend\"}`";
            return Err(mistake(place, Class::Type, detail));
        };
        let op = match members.get("op") {
            Some(Value::String(op)) => op.clone(),
            Some(_) => return Err(mistake(place.field("op"), Class::Type, "expected a string")),
            None => return Err(mistake(place.field("op"), Class::Required, format!("needed; {OPS}"))),
        };
        let path = Pointer::parse(&members, &place, "path")?;
        let mut value = || {
            let needed = || {
                mistake(place.field("value"), Class::Required, format!("needed by `{op}`; it may be null"))
            };
            members.remove("value").ok_or_else(needed)
        };
        let what = match op.as_str() {
            "add" => What::Add(value()?),
            "remove" => What::Remove,
            "replace" => What::Replace(value()?),
            "test" => What::Test(value()?),
            "move" => What::Move(Pointer::parse(&members, &place, "from")?),
            "copy" => What::Copy(Pointer::parse(&members, &place, "from")?),
            _ => {
                return Err(mistake(place.field("op"), Class::Unsupported, format!("`{op}` is none; {OPS}")));
            }
        };
        Ok(Operation { index, path, what })
    }

    fn apply(&self, object: &mut Value, copied: &mut usize) -> Result<(), FieldErrors> {
        match &self.what {
            What::Add(value) => self.add(object, value.clone()),
            What::Remove => self.remove(object, &self.path, "path").map(drop),
            What::Replace(value) => {
                let found = find_mut(object, &self.path).map_err(|at| {
                    let hint = if at.missing_last { "; `add` makes it" } else { "" };
                    self.missing("path", &self.path, &at, hint)
                })?;
                *found = value.clone();
                Ok(())
            }
            What::Move(from) => {
                if self.path.0.starts_with(&from.0) && self.path != *from {
                    let detail = format!("`{}` cannot be moved into itself", from.text());
                    return Err(mistake(self.place("path"), Class::Invalid, detail));
                }
                let value = self.remove(object, from, "from")?;
                self.count(&value, copied)?;
                self.add(object, value)
            }
            What::Copy(from) => {
                let found = find(object, from).map_err(|at| self.missing("from", from, &at, ""))?;
                self.count(found, copied)?;
                let value = found.clone();
                self.add(object, value)
            }
            What::Test(wanted) => match find(object, &self.path) {
                Ok(found) if same(found, wanted) => Ok(()),
                // As on a cluster: what is not there is null.
                Err(_) if wanted.is_null() => Ok(()),
                Ok(found) => {
                    let detail = format!("`{}` is {}, not {}", self.path.text(), shown(found), shown(wanted));
                    Err(mistake(self.place("value"), Class::Invalid, detail))
                }
                Err(at) => Err(self.missing("path", &self.path, &at, "")),
            },
        }
    }

    fn add(&self, object: &mut Value, value: Value) -> Result<(), FieldErrors> {
        if self.path.0.len() + measure(&value).depth > DEPTH_MAX {
            let detail = format!("nested deeper than {DEPTH_MAX}, the most");
            return Err(mistake(self.place("path"), Class::TooMany, detail));
        }
        let Some((last, parents)) = self.path.0.split_last() else {
            *object = value;
            return Ok(());
        };
        let parent = Pointer(parents.to_vec());
        let holder = find_mut(object, &parent).map_err(|at| {
            let hint = format!(
                "; `add` `{}` first",
                Pointer(parents[..=at.depth.min(parents.len() - 1)].to_vec()).text()
            );
            self.missing("path", &self.path, &at, if at.missing_last { &hint } else { "" })
        })?;
        match holder {
            Value::Object(fields) => {
                fields.insert(last.clone(), value);
                Ok(())
            }
            Value::Array(list) => {
                let length = list.len();
                match (last.as_str(), index(last)) {
                    ("-", _) => list.push(value),
                    (_, Some(at)) if at <= length => list.insert(at, value),
                    _ => {
                        let detail = format!(
                            "`{}`: `{last}` is no place in a list of {length}; give 0 to {length}, or `-` for its end",
                            self.path.text()
                        );
                        return Err(mistake(self.place("path"), Class::NotFound, detail));
                    }
                }
                Ok(())
            }
            holder => {
                let detail = format!("`{}` is {}, and has nothing in it", parent.text(), shown(holder));
                Err(mistake(self.place("path"), Class::NotFound, detail))
            }
        }
    }

    fn remove(&self, object: &mut Value, pointer: &Pointer, member: &str) -> Result<Value, FieldErrors> {
        let Some((last, parents)) = pointer.0.split_last() else { return Ok(object.take()) };
        // Looked for whole first: what is not there is told from the top.
        find(object, pointer).map_err(|at| self.missing(member, pointer, &at, ""))?;
        let parent = Pointer(parents.to_vec());
        let removed = match find_mut(object, &parent) {
            Ok(Value::Object(fields)) => fields.shift_remove(last),
            Ok(Value::Array(list)) => index(last).map(|at| list.remove(at)),
            Ok(_) | Err(_) => None,
        };
        Ok(removed.unwrap_or_default())
    }

    /// Counts what is copied, so that a short patch cannot make a huge object.
    fn count(&self, value: &Value, copied: &mut usize) -> Result<(), FieldErrors> {
        *copied = copied.saturating_add(measure(value).bytes);
        if *copied > COPIED_MAX {
            let detail = format!("the operations copy and move more than {COPIED_MAX} bytes, the most");
            return Err(mistake(FieldPath::from(ROOT).index(self.index), Class::TooLong, detail));
        }
        Ok(())
    }

    fn missing(&self, member: &str, pointer: &Pointer, at: &Missing, hint: &str) -> FieldErrors {
        let whole = pointer.text();
        let reached = Pointer(pointer.0[..at.depth].to_vec()).text();
        let reached = if reached.is_empty() { "the object".to_owned() } else { format!("`{reached}`") };
        let detail = format!("`{whole}` is not there: {reached} {}{hint}", at.instead);
        mistake(self.place(member), Class::NotFound, detail)
    }

    fn place(&self, member: &str) -> FieldPath {
        FieldPath::from(ROOT).index(self.index).field(member)
    }

    /// Whether it is about the object's version, or takes something from what the agent fills in.
    pub(super) fn looks_at_version(&self) -> bool {
        let reads = match &self.what {
            What::Add(_) | What::Remove | What::Replace(_) => None,
            What::Move(from) | What::Copy(from) => Some(from),
            What::Test(_) => Some(&self.path),
        };
        let read_status = reads.is_some_and(|pointer| match &pointer.0[..] {
            [] => true,
            [first, rest @ ..] => match (first.as_str(), rest) {
                ("status", _) | ("metadata", []) => true,
                ("metadata", [field, ..]) => field == "resourceVersion",
                _ => false,
            },
        });
        read_status || self.path.0 == ["metadata", "resourceVersion"]
    }
}

const OPS: &str = "there are add, remove, replace, move, copy and test";

impl Pointer {
    fn parse(members: &Map<String, Value>, place: &FieldPath, member: &str) -> Result<Pointer, FieldErrors> {
        let text = match members.get(member) {
            Some(Value::String(text)) => text,
            Some(_) => return Err(mistake(place.field(member), Class::Type, "expected a string")),
            None => {
                let detail = "needed, such as `/spec/parallelism`";
                return Err(mistake(place.field(member), Class::Required, detail));
            }
        };
        if text.is_empty() {
            return Ok(Pointer(Vec::new()));
        }
        let Some(steps) = text.strip_prefix('/') else {
            let detail = format!("`{text}` does not begin with `/`; for instance `/spec/parallelism`");
            return Err(mistake(place.field(member), Class::Invalid, detail));
        };
        // In this order: `~01` is `~1`.
        Ok(Pointer(steps.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect()))
    }

    fn text(&self) -> String {
        self.0.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
    }
}

/// How far a pointer leads, and what is there instead of its next step.
struct Missing {
    /// So many steps of it are there.
    depth: usize,
    /// Only the last step is not.
    missing_last: bool,
    instead: String,
}

fn find<'a>(object: &'a Value, pointer: &Pointer) -> Result<&'a Value, Missing> {
    let mut found = object;
    for (depth, step) in pointer.0.iter().enumerate() {
        let inner = match found {
            Value::Object(fields) => fields.get(step),
            Value::Array(list) => index(step).and_then(|at| list.get(at)),
            _ => None,
        };
        found = inner.ok_or_else(|| missing(found, depth, pointer))?;
    }
    Ok(found)
}

fn find_mut<'a>(object: &'a mut Value, pointer: &Pointer) -> Result<&'a mut Value, Missing> {
    find(object, pointer)?;
    let mut found = object;
    for (depth, step) in pointer.0.iter().enumerate() {
        let inner = match found {
            Value::Object(fields) => fields.get_mut(step),
            Value::Array(list) => index(step).and_then(|at| list.get_mut(at)),
            _ => None,
        };
        found = inner.ok_or_else(|| missing(&Value::Null, depth, pointer))?;
    }
    Ok(found)
}

fn missing(found: &Value, depth: usize, pointer: &Pointer) -> Missing {
    let instead = match found {
        Value::Object(fields) if fields.is_empty() => "is empty".to_owned(),
        Value::Object(fields) => {
            let names: Vec<_> = fields.keys().take(NAMES_MAX).map(String::as_str).collect();
            let more = if fields.len() > NAMES_MAX { ", …" } else { "" };
            format!("has {}{more}", names.join(", "))
        }
        Value::Array(list) => match list.len() {
            0 => "is an empty list".to_owned(),
            length => format!("is a list, with 0 to {}", length - 1),
        },
        other => format!("is {}", shown(other)),
    };
    Missing { depth, missing_last: depth + 1 == pointer.0.len(), instead }
}

/// An element's number. As the RFC has it, without zeros before it.
fn index(step: &str) -> Option<usize> {
    let digits = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (step.len() > 1 && step.starts_with('0')) { None } else { step.parse().ok() }
}

/// Equal as JSON values: the order of keys is nothing, and `1` is `1.0`.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i128(), right.as_i128()) {
            (Some(left), Some(right)) => left == right,
            _ => left.as_f64() == right.as_f64(),
        },
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| same(left, right)))
        }
        (left, right) => left == right,
    }
}

struct Measure {
    /// About as many bytes as it is written with.
    bytes: usize,
    /// Lists and maps in one another.
    depth: usize,
}

fn measure(value: &Value) -> Measure {
    let inside = |inner: Measure, so_far: Measure, key: usize| Measure {
        bytes: so_far.bytes + key + inner.bytes,
        depth: so_far.depth.max(inner.depth + 1),
    };
    let empty = Measure { bytes: 2, depth: 1 };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Measure { bytes: 8, depth: 0 },
        Value::String(text) => Measure { bytes: text.len() + 2, depth: 0 },
        Value::Array(list) => list.iter().fold(empty, |sum, inner| inside(measure(inner), sum, 1)),
        Value::Object(map) => {
            map.iter().fold(empty, |sum, (key, inner)| inside(measure(inner), sum, key.len() + 4))
        }
    }
}

/// A value in a message: short ones as they are.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
        Value::String(text) if text.chars().count() > 60 => "a long text".to_owned(),
        value => value.to_string(),
    }
}
