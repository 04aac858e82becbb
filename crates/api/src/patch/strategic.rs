//! Kubernetes' strategic merge patch: a merge patch that knows which lists are sets of named things.
//!
//! What it knows stands in the schema (`merge_key`, `merge_set`). A field that the schema does not have is merged as it
//! comes, and is told as unknown when the object is read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{ROOT, mistake};
use crate::descriptor::{Cardinality, Field, Shape};
use crate::field_error::{Class, FieldErrors, FieldPath};

/// What becomes of a map or of an element: `delete`, `replace` or `merge`.
const DIRECTIVE: &str = "$patch";
/// All other keys of the map go first.
const RETAIN: &str = "$retainKeys";
/// The order of a merged list.
const ORDER: &str = "$setElementOrder/";
/// What goes from a merged list of scalars.
const DELETE: &str = "$deleteFromPrimitiveList/";

/// Merges `patch` into the object's `fields`.
pub(super) fn apply(
    fields: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    shape: &'static Shape,
) -> Result<(), FieldErrors> {
    merge(fields, patch.clone(), Some(shape), &FieldPath::from(ROOT))
}

fn merge(
    original: &mut Map<String, Value>,
    mut patch: Map<String, Value>,
    shape: Option<&'static Shape>,
    place: &FieldPath,
) -> Result<(), FieldErrors> {
    match directive(&mut patch, place)? {
        Directive::Merge => {}
        Directive::Replace => {
            *original = without_directives(patch);
            return Ok(());
        }
        Directive::Delete => {
            original.clear();
            return Ok(());
        }
    }
    retain(original, &mut patch, place)?;
    let special = |prefix: &'static str, patch: &mut Map<String, Value>| {
        let names = patch.keys().filter(|name| name.starts_with(prefix)).cloned().collect::<Vec<_>>();
        let lists = names.into_iter().filter_map(|name| {
            let value = patch.remove(&name)?;
            match value {
                Value::Array(list) => Some(Ok((name[prefix.len()..].to_owned(), list))),
                _ => Some(Err(mistake(place.field(&name), Class::Type, "expected a list"))),
            }
        });
        lists.collect::<Result<BTreeMap<String, Vec<Value>>, FieldErrors>>()
    };
    let deletions = special(DELETE, &mut patch)?;
    let mut orders = special(ORDER, &mut patch)?;
    for (name, gone) in deletions {
        if let Some(Value::Array(list)) = original.get_mut(&name) {
            let gone: BTreeSet<String> = gone.iter().map(Value::to_string).collect();
            list.retain(|element| !gone.contains(&element.to_string()));
        }
    }
    for (name, new) in patch {
        let field = shape.and_then(|shape| shape.find(&name)?.pop());
        let order = orders.remove(&name);
        let place = place.field(&name);
        match (original.get_mut(&name), new) {
            (_, Value::Null) => {
                original.remove(&name);
            }
            (Some(Value::Object(old)), Value::Object(new)) => {
                merge(old, new, field.and_then(message), &place)?;
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                let old = std::mem::take(old);
                let merged = merge_list(old, new, order, field, &place)?;
                original.insert(name, Value::Array(merged));
            }
            (None, Value::Array(new)) => {
                let merged = merge_list(Vec::new(), new, order, field, &place)?;
                original.insert(name, Value::Array(merged));
            }
            (_, new) => match plain(new) {
                Some(new) => {
                    original.insert(name, new);
                }
                None => {
                    original.remove(&name);
                }
            },
        }
    }
    // Lists that are only put in another order.
    for (name, order) in orders {
        let field = shape.and_then(|shape| shape.find(&name)?.pop());
        if let (Some(Value::Array(list)), Some(names)) = (original.get_mut(&name), field.and_then(Names::of))
        {
            let before: Vec<String> = list.iter().map(|element| names.lenient(element)).collect();
            let order = order.iter().map(|element| names.lenient(element)).collect::<Vec<_>>();
            *list = ordered(std::mem::take(list), names, &order, &before);
        }
    }
    Ok(())
}

fn message(field: &'static Field) -> Option<&'static Shape> {
    if field.cardinality == Cardinality::Map { None } else { field.message() }
}

/// What tells a merged list's elements apart.
#[derive(Clone, Copy)]
enum Names {
    /// This field of theirs.
    Key(&'static str),
    /// They themselves.
    Scalar,
}

impl Names {
    /// Of the field's list, if it is merged.
    fn of(field: &'static Field) -> Option<Names> {
        match &field.options.merge_key {
            Some(key) => Some(Names::Key(key)),
            None => field.options.merge_set.then_some(Names::Scalar),
        }
    }

    fn lenient(self, element: &Value) -> String {
        match self {
            Names::Key(key) => element.get(key).map(Value::to_string).unwrap_or_default(),
            Names::Scalar => element.to_string(),
        }
    }
}

fn merge_list(
    old: Vec<Value>,
    new: Vec<Value>,
    order: Option<Vec<Value>>,
    field: Option<&'static Field>,
    place: &FieldPath,
) -> Result<Vec<Value>, FieldErrors> {
    let Some(names) = field.and_then(Names::of) else {
        return Ok(new.into_iter().filter_map(plain).collect());
    };
    let (mut list, new) = match names {
        Names::Key(key) => match split(old, new, key, place)? {
            Split::Replaced(list) => return Ok(list),
            Split::Merged { old, new } => (old, new),
        },
        Names::Scalar => (old, new.into_iter().map(|element| (element.to_string(), element)).collect()),
    };
    let before: Vec<String> = list.iter().map(|element| names.lenient(element)).collect();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for (at, name) in before.iter().enumerate() {
        known.entry(name.clone()).or_insert(at);
    }
    let mut given = Vec::with_capacity(new.len());
    for (at, (name, element)) in new.into_iter().enumerate() {
        given.push(name.clone());
        match (known.get(&name).and_then(|at| list.get_mut(*at)), element) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                merge(old, new, field.and_then(message), &place.index(at))?;
            }
            (Some(_), _) => {}
            (None, element) => {
                known.insert(name, list.len());
                list.extend(plain(element));
            }
        }
    }
    let order = match order {
        Some(order) => order.iter().map(|element| names.lenient(element)).collect(),
        None => given,
    };
    Ok(ordered(list, names, &order, &before))
}

/// A list of maps, apart from what directives in the patch did to it.
enum Split {
    /// It is this now.
    Replaced(Vec<Value>),
    /// What is left of it, and the patches of its elements by their names.
    Merged { old: Vec<Value>, new: Vec<(String, Value)> },
}

fn split(
    mut old: Vec<Value>,
    new: Vec<Value>,
    key: &'static str,
    place: &FieldPath,
) -> Result<Split, FieldErrors> {
    let mut replaced = false;
    let mut gone = BTreeSet::new();
    let mut elements = Vec::with_capacity(new.len());
    for (at, element) in new.into_iter().enumerate() {
        let place = place.index(at);
        let Value::Object(mut element) = element else {
            return Err(mistake(place, Class::Type, format!("expected a map with `{key}`")));
        };
        let directive = directive(&mut element, &place)?;
        let name = element.get(key).filter(|name| !name.is_null()).map(Value::to_string);
        let needed = || {
            let detail = format!("needed: elements of this list are told apart by their `{key}`");
            mistake(place.field(key), Class::Required, detail)
        };
        match directive {
            Directive::Replace => {
                replaced = true;
                if !element.is_empty() {
                    elements.push((name.unwrap_or_default(), Value::Object(element)));
                }
            }
            Directive::Delete => {
                gone.insert(name.ok_or_else(needed)?);
            }
            Directive::Merge => elements.push((name.ok_or_else(needed)?, Value::Object(element))),
        }
    }
    if replaced {
        return Ok(Split::Replaced(elements.into_iter().filter_map(|(_, element)| plain(element)).collect()));
    }
    old.retain(|element| !gone.contains(&Names::Key(key).lenient(element)));
    Ok(Split::Merged { old, new: elements })
}

/// The elements that `order` names in that order, and the others where they stood among them `before`.
fn ordered(list: Vec<Value>, names: Names, order: &[String], before: &[String]) -> Vec<Value> {
    let places = |names: &[String]| {
        let mut places = BTreeMap::new();
        for (at, name) in names.iter().enumerate() {
            places.entry(name.clone()).or_insert(at);
        }
        places
    };
    let (order, before) = (places(order), places(before));
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for element in list {
        let name = names.lenient(&element);
        match order.get(&name) {
            Some(at) => named.push((*at, name, element)),
            None => others.push((name, element)),
        }
    }
    named.sort_by_key(|(at, _, _)| *at);
    others.sort_by_key(|(name, _)| before.get(name).copied().unwrap_or(usize::MAX));
    let mut merged = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, name, element) in named {
        let Some(here) = before.get(&name) else {
            merged.push(element);
            continue;
        };
        while let Some((_, other)) =
            others.next_if(|(other, _)| before.get(other).is_some_and(|at| at < here))
        {
            merged.push(other);
        }
        merged.push(element);
    }
    merged.extend(others.map(|(_, other)| other));
    merged
}

/// What a map in a patch says of itself.
enum Directive {
    Merge,
    Replace,
    Delete,
}

/// Takes the directive out of a map.
fn directive(patch: &mut Map<String, Value>, place: &FieldPath) -> Result<Directive, FieldErrors> {
    match patch.remove(DIRECTIVE) {
        None => Ok(Directive::Merge),
        Some(given) => match given.as_str() {
            Some("merge") => Ok(Directive::Merge),
            Some("replace") => Ok(Directive::Replace),
            Some("delete") => Ok(Directive::Delete),
            _ => {
                let mut errors = FieldErrors::new();
                let given = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
                errors.unsupported(place.field(DIRECTIVE), given, &["delete", "replace", "merge"]);
                Err(errors)
            }
        },
    }
}

/// Keeps of `original` only what the patch says to keep.
fn retain(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    place: &FieldPath,
) -> Result<(), FieldErrors> {
    let Some(kept) = patch.remove(RETAIN) else { return Ok(()) };
    let names = kept
        .as_array()
        .and_then(|kept| kept.iter().map(|name| name.as_str()).collect::<Option<BTreeSet<_>>>());
    let Some(names) = names else {
        return Err(mistake(place.field(RETAIN), Class::Type, "expected a list of names of fields"));
    };
    let given = patch.iter().filter(|(name, value)| !value.is_null() && !name.starts_with('$'));
    if let Some((name, _)) = given.into_iter().find(|(name, _)| !names.contains(name.as_str())) {
        let detail = format!("`{name}` is given, and is not among them");
        return Err(mistake(place.field(RETAIN), Class::Invalid, detail));
    }
    original.retain(|name, _| names.contains(name.as_str()));
    Ok(())
}

/// A value that stands for itself: without directives and without what they or `null` take away.
fn plain(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(map) if map.get(DIRECTIVE).is_some_and(|directive| directive == "delete") => None,
        Value::Object(map) => Some(Value::Object(without_directives(map))),
        Value::Array(list) => Some(Value::Array(list.into_iter().filter_map(plain).collect())),
        value => Some(value),
    }
}

fn without_directives(map: Map<String, Value>) -> Map<String, Value> {
    let special = |name: &str| {
        name == DIRECTIVE || name == RETAIN || name.starts_with(ORDER) || name.starts_with(DELETE)
    };
    let kept = map.into_iter().filter(|(name, _)| !special(name));
    kept.filter_map(|(name, value)| plain(value).map(|value| (name, value))).collect()
}
