//! Where a field is in an object, as messages say it.

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

    /// The same field, in an object that stands at `prefix` of a larger one.
    pub(crate) fn under(&self, prefix: &FieldPath) -> FieldPath {
        let mut path = prefix.0.clone();
        if !self.0.is_empty() {
            push_field(&mut path, &self.0);
        }
        FieldPath(path)
    }

    /// Whether this is the other field, or stands somewhere in it.
    pub(crate) fn is_within(&self, other: &FieldPath) -> bool {
        let rest = self.0.strip_prefix(&other.0);
        rest.is_some_and(|rest| other.0.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
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
