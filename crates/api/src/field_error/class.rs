//! What kind of mistake there is, and in which value.

use std::fmt;

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

    /// The words Kubernetes begins the message with.
    pub fn words(self) -> &'static str {
        match self {
            Class::Required => "Required value",
            Class::Invalid => "Invalid value",
            Class::Unsupported => "Unsupported value",
            Class::Duplicate => "Duplicate value",
            Class::Forbidden => "Forbidden",
            Class::TooMany => "Too many",
            Class::TooLong => "Too long",
            Class::NotFound => "Not found",
            Class::Unknown => "Unknown field",
            Class::Type => "Wrong type",
        }
    }

    /// Whether the object could not even be read, as opposed to asking for something impossible.
    pub fn is_syntax(self) -> bool {
        matches!(self, Class::Unknown | Class::Type)
    }
}

/// A value that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadValue {
    /// A text.
    Text(String),
    /// A number.
    Number(i128),
}

impl BadValue {
    /// As a message has it: numbers as they are, texts in backticks, cut where they get long.
    pub(super) fn shown(&self) -> String {
        match self {
            BadValue::Text(text) => Shown(text).to_string(),
            BadValue::Number(number) => number.to_string(),
        }
    }
}

/// As JSON has it, which is how Kubernetes' messages do.
impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadValue::Text(text) => write!(f, "{}", serde_json::Value::from(text.as_str())),
            BadValue::Number(number) => write!(f, "{number}"),
        }
    }
}

impl From<&str> for BadValue {
    fn from(text: &str) -> BadValue {
        BadValue::Text(text.to_owned())
    }
}

impl From<&String> for BadValue {
    fn from(text: &String) -> BadValue {
        BadValue::Text(text.clone())
    }
}

impl From<String> for BadValue {
    fn from(text: String) -> BadValue {
        BadValue::Text(text)
    }
}

impl From<i32> for BadValue {
    fn from(number: i32) -> BadValue {
        BadValue::Number(number.into())
    }
}

impl From<i64> for BadValue {
    fn from(number: i64) -> BadValue {
        BadValue::Number(number.into())
    }
}

/// A value in a message: numbers as they are, everything else in backticks, cut where it gets long.
struct Shown<T>(T);

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
