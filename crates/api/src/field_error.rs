//! What is wrong with an object, field by field.
//!
//! Everything that is wrong is collected and told at once, each with the exact path a person would look for in the
//! manifest. How the errors reach a client (gRPC details, a Kubernetes Status) is left to whoever answers it.

use std::fmt;

/// Where a field is, as in `spec.template.spec.containers[0].image`. The empty path is the object itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(String);

impl FieldPath {
    /// The object itself.
    pub fn root() -> FieldPath {
        FieldPath::default()
    }

    /// A field of this one.
    #[must_use]
    pub fn field(&self, name: &str) -> FieldPath {
        let mut path = self.0.clone();
        push_field(&mut path, name);
        FieldPath(path)
    }

    /// An element of this list, from 0.
    #[must_use]
    pub fn index(&self, index: usize) -> FieldPath {
        let mut path = self.0.clone();
        push_index(&mut path, index);
        FieldPath(path)
    }

    /// An entry of this map.
    #[must_use]
    pub fn key(&self, key: &str) -> FieldPath {
        let mut path = self.0.clone();
        push_key(&mut path, key);
        FieldPath(path)
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Appends `.name`; how a path looks is known here only.
pub(crate) fn push_field(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// Appends `[index]`.
pub(crate) fn push_index(path: &mut String, index: usize) {
    use fmt::Write;
    let _ = write!(path, "[{index}]"); // Writing to a string cannot fail.
}

/// Appends `[key]`.
pub(crate) fn push_key(path: &mut String, key: &str) {
    path.push('[');
    path.push_str(key);
    path.push(']');
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for FieldPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&FieldPath> for FieldPath {
    fn from(path: &FieldPath) -> FieldPath {
        path.clone()
    }
}

impl From<&str> for FieldPath {
    fn from(path: &str) -> FieldPath {
        FieldPath(path.to_owned())
    }
}

/// What kind of mistake it is, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Not given, and needed.
    Required,
    /// Given, and not possible.
    Invalid,
    /// Not one of the values there are.
    Unsupported,
    /// Given twice.
    Duplicate,
    /// Not to be given here.
    Forbidden,
    /// More elements than there may be.
    TooMany,
    /// Longer than it may be.
    TooLong,
    /// Names something that does not exist.
    NotFound,
    /// No such field.
    Unknown,
    /// A string where a number belongs, and the like.
    Type,
}

impl Class {
    /// The word Kubernetes uses for it in the causes of a Status.
    pub fn reason(self) -> &'static str {
        match self {
            Class::Required => "FieldValueRequired",
            Class::Invalid => "FieldValueInvalid",
            Class::Unsupported => "FieldValueNotSupported",
            Class::Duplicate => "FieldValueDuplicate",
            Class::Forbidden => "FieldValueForbidden",
            Class::TooMany => "FieldValueTooMany",
            Class::TooLong => "FieldValueTooLong",
            Class::NotFound => "FieldValueNotFound",
            Class::Unknown => "FieldValueUnknown",
            Class::Type => "FieldValueTypeInvalid",
        }
    }

    /// Whether the object could not even be read, as opposed to asking for something impossible.
    pub fn is_syntax(self) -> bool {
        matches!(self, Class::Unknown | Class::Type)
    }
}

/// One mistake in one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field.
    pub path: FieldPath,
    /// What kind of mistake it is.
    pub class: Class,
    /// What is wrong and what would be right; lower case, without the path.
    pub detail: String,
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

/// Every mistake found, in the order of the fields. Empty means that there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// No mistakes so far.
    pub fn new() -> FieldErrors {
        FieldErrors::default()
    }

    /// Adds a mistake; the methods below are for the usual ones.
    pub fn push(&mut self, path: impl Into<FieldPath>, class: Class, detail: impl Into<String>) {
        self.0.push(FieldError { path: path.into(), class, detail: detail.into() });
    }

    /// Not given, and needed. `detail` says what to give: `needed; name at least one container`.
    pub fn required(&mut self, path: impl Into<FieldPath>, detail: impl Into<String>) {
        self.push(path, Class::Required, detail);
    }

    /// Given, and not possible. `must` says what would be right, after the value: `must be at least 0`.
    pub fn invalid(&mut self, path: impl Into<FieldPath>, value: impl fmt::Display, must: impl fmt::Display) {
        self.push(path, Class::Invalid, format!("{} {must}", Shown(value)));
    }

    /// Not one of the values there are.
    pub fn unsupported(&mut self, path: impl Into<FieldPath>, value: impl fmt::Display, values: &[&str]) {
        self.push(
            path,
            Class::Unsupported,
            format!("{} is not one of {}", Shown(value), Alternatives(values)),
        );
    }

    /// The same value a second time.
    pub fn duplicate(&mut self, path: impl Into<FieldPath>, value: impl fmt::Display) {
        self.push(path, Class::Duplicate, format!("{} is there already; each must be unique", Shown(value)));
    }

    /// Not to be given here. `detail` says why and what to do instead.
    pub fn forbidden(&mut self, path: impl Into<FieldPath>, detail: impl Into<String>) {
        self.push(path, Class::Forbidden, detail);
    }

    /// More elements than there may be.
    pub fn too_many(&mut self, path: impl Into<FieldPath>, count: usize, most: usize) {
        self.push(path, Class::TooMany, format!("{count} are too many; the most is {most}"));
    }

    /// Longer than it may be, in bytes.
    pub fn too_long(&mut self, path: impl Into<FieldPath>, bytes: usize, most: usize) {
        self.push(path, Class::TooLong, format!("{bytes} bytes are too many; the most is {most}"));
    }

    /// Names something that does not exist. `detail` says what there is.
    pub fn not_found(
        &mut self,
        path: impl Into<FieldPath>,
        value: impl fmt::Display,
        detail: impl fmt::Display,
    ) {
        self.push(path, Class::NotFound, format!("{} does not exist; {detail}", Shown(value)));
    }

    /// Changed, and cannot change.
    pub fn immutable(&mut self, path: impl Into<FieldPath>) {
        self.push(path, Class::Invalid, "cannot change once the object exists; delete it and create it anew");
    }

    /// Adds what was found elsewhere.
    pub fn append(&mut self, mut others: FieldErrors) {
        self.0.append(&mut others.0);
    }

    /// The same mistakes, in an object that stands at `prefix` of a larger one.
    #[must_use]
    pub fn under(mut self, prefix: &FieldPath) -> FieldErrors {
        for error in &mut self.0 {
            let mut path = prefix.0.clone();
            if !error.path.0.is_empty() {
                push_field(&mut path, &error.path.0);
            }
            error.path = FieldPath(path);
        }
        self
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many mistakes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The mistakes.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.0.iter()
    }

    /// `value` if nothing is wrong.
    pub fn into_result<T>(self, value: T) -> Result<T, FieldErrors> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
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
        FieldErrors(vec![error])
    }
}

impl IntoIterator for FieldErrors {
    type Item = FieldError;
    type IntoIter = std::vec::IntoIter<FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a FieldErrors {
    type Item = &'a FieldError;
    type IntoIter = std::slice::Iter<'a, FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// A value in a message: numbers as they are, everything else in backticks, cut where it gets long.
pub(crate) struct Shown<T>(pub(crate) T);

/// Longer values are cut, in characters: they are in the manifest, and a message is read on a terminal.
const SHOWN_MAX: usize = 60;

impl<T: fmt::Display> fmt::Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        if text.parse::<f64>().is_ok_and(f64::is_finite) {
            return f.write_str(&text);
        }
        match text.char_indices().nth(SHOWN_MAX) {
            Some((cut, _)) => write!(f, "`{}…`", text[..cut].escape_debug()),
            None => write!(f, "`{}`", text.escape_debug()),
        }
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
