//! What is wrong with an object, field by field.
//!
//! Everything that is wrong is collected and told at once, each with the exact path a person would look for in the
//! manifest. How the errors reach a client (gRPC details, a Kubernetes Status) is left to whoever answers it.

mod class;

use std::collections::BTreeMap;
use std::fmt;

pub use class::{BadValue, Class};

pub use crate::field_path::FieldPath;
pub(crate) use crate::field_path::{push_field, push_index, push_key};
use crate::node::Node;

/// One mistake in one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field.
    pub path: FieldPath,
    /// What kind of mistake it is.
    pub class: Class,
    /// The value that is wrong, where there is one.
    pub value: Option<BadValue>,
    /// What is wrong and what would be right; lower case, without the path.
    pub detail: String,
    /// What Kubernetes says behind class and value.
    remark: String,
}

impl FieldError {
    /// The mistake in Kubernetes' form, without the path: `Invalid value: -1: is too few; the least is 0`.
    pub fn kubernetes(&self) -> String {
        let mut text = self.class.words().to_owned();
        match (&self.value, self.class) {
            (Some(value), _) => text += &format!(": {value}"),
            (None, Class::Invalid) => text += ": \"\"",
            (None, _) => {}
        }
        if !self.remark.is_empty() {
            text += ": ";
            text += &self.remark;
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.as_str().is_empty() {
            f.write_str(&self.detail)
        } else {
            write!(f, "{}: {}", self.path, self.detail)
        }
    }
}

impl std::error::Error for FieldError {}

/// The most mistakes told at once; nobody mends more before trying again, and an answer has a size limit too.
pub const ERRORS_MAX: usize = 50;

/// The most mistakes looked at before they are put in order: an object can have as many as it has bytes.
const COLLECTED_MAX: usize = 20 * ERRORS_MAX;

/// Every mistake found, in the order of the fields. Empty means that there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    errors: Vec<FieldError>,
    /// There are more than were collected.
    more: bool,
}

impl FieldErrors {
    /// No mistakes so far.
    pub fn new() -> FieldErrors {
        FieldErrors::default()
    }

    /// Adds a mistake; the methods below are for the usual ones.
    pub fn push(&mut self, path: impl Into<FieldPath>, class: Class, detail: impl Into<String>) {
        let detail = detail.into();
        self.add(path.into(), class, None, detail.clone(), detail);
    }

    /// Adds a mistake in this value. `must` stands behind it, here and in Kubernetes' form.
    fn push_value(
        &mut self,
        path: impl Into<FieldPath>,
        class: Class,
        value: impl Into<BadValue>,
        must: impl fmt::Display,
    ) {
        let (value, must) = (value.into(), must.to_string());
        let detail = format!("{} {must}", value.shown());
        self.add(path.into(), class, Some(value), detail, must);
    }

    fn add(
        &mut self,
        path: FieldPath,
        class: Class,
        value: Option<BadValue>,
        detail: String,
        remark: String,
    ) {
        if self.is_full() {
            self.more = true;
        } else {
            self.errors.push(FieldError { path, class, value, detail, remark });
        }
    }

    /// Not given, and needed. `detail` says what to give: `needed; name at least one container`.
    pub fn required(&mut self, path: impl Into<FieldPath>, detail: impl Into<String>) {
        self.push(path, Class::Required, detail);
    }

    /// Given, and not possible. `must` says what would be right, after the value: `must be at least 0`.
    pub fn invalid(
        &mut self,
        path: impl Into<FieldPath>,
        value: impl Into<BadValue>,
        must: impl fmt::Display,
    ) {
        self.push_value(path, Class::Invalid, value, must);
    }

    /// Given, and something within it is not possible. `detail` names it, so that the whole need not be shown.
    pub fn invalid_within(
        &mut self,
        path: impl Into<FieldPath>,
        value: impl Into<BadValue>,
        detail: impl fmt::Display,
    ) {
        let detail = detail.to_string();
        self.add(path.into(), Class::Invalid, Some(value.into()), detail.clone(), detail);
    }

    /// Not one of the values there are.
    pub fn unsupported(&mut self, path: impl Into<FieldPath>, value: impl Into<BadValue>, values: &[&str]) {
        let value = value.into();
        let detail = format!("{} is not one of {}", value.shown(), Alternatives(values));
        let values: Vec<_> = values.iter().map(|value| format!("\"{value}\"")).collect();
        let remark = format!("supported values: {}", values.join(", "));
        self.add(path.into(), Class::Unsupported, Some(value), detail, remark);
    }

    /// The same value a second time.
    pub fn duplicate(&mut self, path: impl Into<FieldPath>, value: impl Into<BadValue>) {
        let value = value.into();
        let detail = format!("{} is there already; each must be unique", value.shown());
        self.add(path.into(), Class::Duplicate, Some(value), detail, String::new());
    }

    /// Not to be given here. `detail` says why and what to do instead.
    pub fn forbidden(&mut self, path: impl Into<FieldPath>, detail: impl Into<String>) {
        self.push(path, Class::Forbidden, detail);
    }

    /// More elements than there may be.
    pub fn too_many(&mut self, path: impl Into<FieldPath>, count: usize, most: usize) {
        let detail = format!("{count} are too many; the most is {most}");
        let remark = format!("{count}: must have at most {most} items");
        self.add(path.into(), Class::TooMany, None, detail, remark);
    }

    /// Longer than it may be, in bytes.
    pub fn too_long(&mut self, path: impl Into<FieldPath>, bytes: usize, most: usize) {
        let detail = format!("{bytes} bytes are too many; the most is {most}");
        self.add(path.into(), Class::TooLong, None, detail, format!("may not be more than {most} bytes"));
    }

    /// Names something that does not exist. `detail` says what there is.
    pub fn not_found(
        &mut self,
        path: impl Into<FieldPath>,
        value: impl Into<BadValue>,
        detail: impl fmt::Display,
    ) {
        let value = value.into();
        let text = format!("{} does not exist; {detail}", value.shown());
        self.add(path.into(), Class::NotFound, Some(value), text, detail.to_string());
    }

    /// Changed, and cannot change.
    pub fn immutable(&mut self, path: impl Into<FieldPath>) {
        let detail = "cannot change once the object exists; delete it and create it anew".to_owned();
        self.add(path.into(), Class::Invalid, None, detail, "field is immutable".to_owned());
    }

    /// Changed in these parts, which cannot change.
    pub(crate) fn immutable_in(&mut self, path: impl Into<FieldPath>, parts: &[String]) {
        const PARTS_MAX: usize = 3;
        let named: Vec<_> = parts.iter().take(PARTS_MAX).map(|part| format!("`{part}`")).collect();
        let more = if parts.len() > PARTS_MAX { " and more" } else { "" };
        let detail = format!(
            "{}{more} cannot change once the object exists; delete it and create it anew",
            named.join(", ")
        );
        self.add(path.into(), Class::Invalid, None, detail, "field is immutable".to_owned());
    }

    /// Adds what was found elsewhere.
    pub fn append(&mut self, others: FieldErrors) {
        self.more |= others.more;
        for error in others.errors {
            if self.is_full() {
                self.more = true;
                return;
            }
            self.errors.push(error);
        }
    }

    /// Whether no more are collected.
    pub(crate) fn is_full(&self) -> bool {
        self.errors.len() >= COLLECTED_MAX
    }

    /// Leaves out those for which this is not true.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&FieldError) -> bool) {
        self.errors.retain(keep);
    }

    /// The mistakes in the order of the fields of a document, which stands at `place`. What is not in it stands before what is in the same map.
    #[must_use]
    pub(crate) fn in_order_of(mut self, document: &Node, place: &FieldPath) -> FieldErrors {
        let mut ranks = BTreeMap::new();
        rank(document, &mut place.as_str().to_owned(), &mut ranks);
        self.errors.sort_by_cached_key(|error| {
            let mut path = error.path.as_str();
            loop {
                match (ranks.get(path), path.rfind(['.', '['])) {
                    (Some(rank), _) => return *rank,
                    (None, Some(end)) => path = &path[..end],
                    (None, None) => return 0,
                }
            }
        });
        self
    }

    /// No more of them than can be told.
    #[must_use]
    pub(crate) fn cut(mut self) -> FieldErrors {
        if self.errors.len() > ERRORS_MAX || self.more {
            self.errors.truncate(ERRORS_MAX);
            self.more = false;
            self.push(FieldPath::root(), Class::Invalid, "and there are more mistakes than these");
        }
        self
    }

    /// The same mistakes, in an object that stands at `prefix` of a larger one.
    #[must_use]
    pub fn under(mut self, prefix: &FieldPath) -> FieldErrors {
        for error in &mut self.errors {
            error.path = error.path.under(prefix);
        }
        self
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// How many mistakes there are.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// The mistakes.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.errors.iter()
    }

    /// `value` if nothing is wrong.
    pub fn into_result<T>(self, value: T) -> Result<T, FieldErrors> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}

impl From<FieldError> for FieldErrors {
    fn from(error: FieldError) -> FieldErrors {
        FieldErrors { errors: vec![error], more: false }
    }
}

impl IntoIterator for FieldErrors {
    type Item = FieldError;
    type IntoIter = std::vec::IntoIter<FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.into_iter()
    }
}

impl<'a> IntoIterator for &'a FieldErrors {
    type Item = &'a FieldError;
    type IntoIter = std::slice::Iter<'a, FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.iter()
    }
}

/// Numbers the places of a document as they come. An entry of a map may be a field, or stand under its key.
fn rank(node: &Node, path: &mut String, ranks: &mut BTreeMap<String, usize>) {
    let above = path.len();
    ranks.insert(path.clone(), ranks.len());
    match node {
        Node::Map(entries) => {
            for (name, value) in entries {
                push_key(path, name);
                ranks.insert(path.clone(), ranks.len());
                path.truncate(above);
                push_field(path, name);
                rank(value, path, ranks);
                path.truncate(above);
            }
        }
        Node::List(elements) => {
            for (index, element) in elements.iter().enumerate() {
                push_index(path, index);
                rank(element, path, ranks);
                path.truncate(above);
            }
        }
        _ => {}
    }
}

/// `a`, `b` or `c`.
pub(crate) struct Alternatives<'a>(pub(crate) &'a [&'a str]);

impl fmt::Display for Alternatives<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.0.iter().enumerate() {
            match index {
                0 => {}
                _ if index + 1 == self.0.len() => f.write_str(" or ")?,
                _ => f.write_str(", ")?,
            }
            write!(f, "`{value}`")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(report: impl FnOnce(&mut FieldErrors, FieldPath), expected: Expect) {
        let mut errors = FieldErrors::new();
        report(&mut errors, FieldPath::root().field("spec"));
        expected.assert_eq(&errors.iter().map(|error| format!("{error}\n")).collect::<String>());
    }

    #[test]
    fn says_where_what_and_what_would_be_right() {
        check(
            |errors, spec| {
                errors.invalid(spec.field("parallelism"), -1, "is too few; the least is 0");
                errors.required(spec.field("containers"), "needed; name at least one container");
                errors.unsupported(spec.field("restartPolicy"), "Always", &["Never", "OnFailure"]);
                errors.duplicate(spec.field("containers").index(1).field("name"), "main");
                errors.too_many(spec.field("rules"), 21, 20);
                errors.too_long(spec.field("managedBy"), 64, 63);
                errors.invalid(spec.field("labels").key("app/x"), "a b", "must not hold a space");
                errors.not_found(spec.field("mounts").index(0), "data", "the Pod's volumes are `tmp`");
                errors.immutable(spec.field("template"));
                errors.forbidden(spec.field("suspend"), "not supported yet");
            },
            expect![[r#"
                spec.parallelism: -1 is too few; the least is 0
                spec.containers: needed; name at least one container
                spec.restartPolicy: `Always` is not one of `Never` or `OnFailure`
                spec.containers[1].name: `main` is there already; each must be unique
                spec.rules: 21 are too many; the most is 20
                spec.managedBy: 64 bytes are too many; the most is 63
                spec.labels[app/x]: `a b` must not hold a space
                spec.mounts[0]: `data` does not exist; the Pod's volumes are `tmp`
                spec.template: cannot change once the object exists; delete it and create it anew
                spec.suspend: not supported yet
            "#]],
        );
    }

    #[test]
    fn moves_below_a_prefix() {
        let mut errors = FieldErrors::new();
        errors.forbidden("spec.x", "no");
        errors.forbidden("", "not at all");
        let errors = errors.under(&FieldPath::root().field("items").index(2));
        expect!["items[2].spec.x: no; items[2]: not at all"].assert_eq(&errors.to_string());
    }

    #[test]
    fn cuts_long_values_between_characters() {
        check(
            |errors, spec| errors.invalid(spec, "ü".repeat(100), "is long"),
            expect![[r#"
                spec: `üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü…` is long
            "#]],
        );
    }
}
