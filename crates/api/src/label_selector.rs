//! Which objects are meant: by labels (`app=x,tier in (a, b),!old`) and by fields (`status.phase!=Running`).
//!
//! Which fields an object can be selected by is left to whoever knows the object.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::names;
use crate::pb::k8s::meta::v1 as meta;

/// Conditions on labels, all of which must hold. None at all selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    condition: Condition,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Exists,
    Missing,
    In(Vec<String>),
    NotIn(Vec<String>),
}

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The text breaks off or goes on where it should not.
    #[error("selector `{selector}`: expected {expected} at `{rest}`")]
    Syntax {
        /// The whole selector.
        selector: String,
        /// What would be right.
        expected: &'static str,
        /// What stands there instead.
        rest: String,
    },
    /// A key or value has characters that no label has.
    #[error("selector `{selector}`: `{text}` {must}")]
    Name {
        /// The whole selector.
        selector: String,
        /// The key or value.
        text: String,
        /// What would be right.
        must: &'static str,
    },
}

impl LabelSelector {
    /// Selects everything.
    pub fn everything() -> LabelSelector {
        LabelSelector::default()
    }

    /// Whether it selects an object with these labels.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.condition {
                Condition::Exists => value.is_some(),
                Condition::Missing => value.is_none(),
                Condition::In(values) => value.is_some_and(|value| values.contains(value)),
                // An object without the label is none of the values.
                Condition::NotIn(values) => !value.is_some_and(|value| values.contains(value)),
            }
        })
    }
}

impl FromStr for LabelSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<LabelSelector, SelectorError> {
        let mut scanner = Scanner { selector: text, rest: text };
        let mut requirements = Vec::new();
        if scanner.peek().is_none() {
            return Ok(LabelSelector::default());
        }
        loop {
            requirements.push(scanner.requirement()?);
            if scanner.peek().is_none() {
                return Ok(LabelSelector { requirements });
            }
            if !scanner.take(",") {
                return Err(scanner.expected("`,`"));
            }
        }
    }
}

impl TryFrom<&meta::LabelSelector> for LabelSelector {
    type Error = SelectorError;

    fn try_from(selector: &meta::LabelSelector) -> Result<LabelSelector, SelectorError> {
        let labels = selector.match_labels.iter().map(|(key, value)| Requirement {
            key: key.clone(),
            condition: Condition::In(vec![value.clone()]),
        });
        let mut requirements = labels.collect::<Vec<_>>();
        for expression in &selector.match_expressions {
            let values = expression.values.clone();
            let condition = match expression.operator.as_str() {
                "In" => Condition::In(values),
                "NotIn" => Condition::NotIn(values),
                "Exists" => Condition::Exists,
                "DoesNotExist" => Condition::Missing,
                operator => {
                    return Err(SelectorError::Syntax {
                        selector: expression.key.clone(),
                        expected: "`In`, `NotIn`, `Exists` or `DoesNotExist`",
                        rest: operator.to_owned(),
                    });
                }
            };
            requirements.push(Requirement { key: expression.key.clone(), condition });
        }
        Ok(LabelSelector { requirements })
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Requirement { key, condition }) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match condition {
                Condition::Exists => write!(f, "{key}")?,
                Condition::Missing => write!(f, "!{key}")?,
                Condition::In(values) => match &values[..] {
                    [value] => write!(f, "{key}={value}")?,
                    values => write!(f, "{key} in ({})", values.join(","))?,
                },
                Condition::NotIn(values) => match &values[..] {
                    [value] => write!(f, "{key}!={value}")?,
                    values => write!(f, "{key} notin ({})", values.join(","))?,
                },
            }
        }
        Ok(())
    }
}

struct Scanner<'a> {
    selector: &'a str,
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let missing = self.take("!");
        let key = self.word();
        if key.is_empty() {
            return Err(self.expected("a label's key"));
        }
        self.name(key, names::qualified_name(key))?;
        let condition = if missing {
            Condition::Missing
        } else if self.take("==") || self.take("=") {
            Condition::In(vec![self.value()?])
        } else if self.take("!=") {
            Condition::NotIn(vec![self.value()?])
        } else {
            let before = self.rest;
            match self.word() {
                "" => Condition::Exists,
                "in" => Condition::In(self.values()?),
                "notin" => Condition::NotIn(self.values()?),
                _ => {
                    self.rest = before;
                    return Err(self.expected("`=`, `!=`, `in (…)`, `notin (…)` or `,`"));
                }
            }
        };
        Ok(Requirement { key: key.to_owned(), condition })
    }

    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        if !self.take("(") {
            return Err(self.expected("`(`"));
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value()?);
            if self.take(")") {
                return Ok(values);
            }
            if !self.take(",") {
                return Err(self.expected("`,` or `)`"));
            }
        }
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        let value = self.word();
        self.name(value, names::label_value(value))?;
        Ok(value.to_owned())
    }

    /// Everything up to a character with a meaning, which may be nothing.
    fn word(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let end =
            self.rest.find(|c: char| c.is_whitespace() || "=!,()".contains(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.trim_start().chars().next()
    }

    fn expected(&self, expected: &'static str) -> SelectorError {
        let rest = match self.rest.trim_start() {
            "" => "the end",
            rest => rest,
        };
        SelectorError::Syntax { selector: self.selector.to_owned(), expected, rest: rest.to_owned() }
    }

    fn name(&self, text: &str, rule: Result<(), &'static str>) -> Result<(), SelectorError> {
        rule.map_err(|must| SelectorError::Name {
            selector: self.selector.to_owned(),
            text: text.to_owned(),
            must,
        })
    }
}

/// Conditions on fields, all of which must hold. None at all selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    /// The field, as in `status.phase`.
    pub field: String,
    /// Whether it must have the value, or must not.
    pub equal: bool,
    /// The value.
    pub value: String,
}

impl FieldSelector {
    /// The conditions, to find out which fields are asked for.
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// Whether it selects an object with these fields. A field the object does not have is empty.
    pub fn matches(&self, fields: &BTreeMap<String, String>) -> bool {
        self.matches_with(|field| fields.get(field).map_or("", String::as_str))
    }

    /// Whether it selects an object whose fields `value_of` knows.
    pub fn matches_with<'a>(&self, value_of: impl Fn(&str) -> &'a str) -> bool {
        self.terms.iter().all(|term| (value_of(&term.field) == term.value) == term.equal)
    }
}

impl FromStr for FieldSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<FieldSelector, SelectorError> {
        let mut terms = Vec::new();
        for part in split_unescaped(text) {
            if part.trim().is_empty() {
                continue;
            }
            let (field, equal, value) = if let Some((field, value)) = part.split_once("!=") {
                (field, false, value)
            } else if let Some((field, value)) = part.split_once("==") {
                (field, true, value)
            } else if let Some((field, value)) = part.split_once('=') {
                (field, true, value)
            } else {
                return Err(SelectorError::Syntax {
                    selector: text.to_owned(),
                    expected: "`field=value` or `field!=value`",
                    rest: part.to_owned(),
                });
            };
            terms.push(FieldTerm { field: field.trim().to_owned(), equal, value: unescape(value.trim()) });
        }
        Ok(FieldSelector { terms })
    }
}

/// The parts between commas, where `\,` is no comma.
fn split_unescaped(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        if c == ',' && !escaped {
            parts.push(&text[start..at]);
            start = at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.extend(chars.next()),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn labels(text: &str) -> BTreeMap<String, String> {
        text.split_whitespace()
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    fn check(selector: &str, yes: &[&str], no: &[&str]) {
        let parsed = selector.parse::<LabelSelector>().unwrap();
        assert_eq!(
            parsed.to_string().parse::<LabelSelector>().unwrap(),
            parsed,
            "`{selector}` prints as it reads"
        );
        for object in yes {
            assert!(parsed.matches(&labels(object)), "`{selector}` should select `{object}`");
        }
        for object in no {
            assert!(!parsed.matches(&labels(object)), "`{selector}` should not select `{object}`");
        }
    }

    fn check_error(selector: &str, expected: Expect) {
        expected.assert_eq(&selector.parse::<LabelSelector>().unwrap_err().to_string());
    }

    #[test]
    fn selects_by_labels() {
        check("", &["", "a=b"], &[]);
        check("a=b", &["a=b", "a=b c=d"], &["", "a=c", "a="]);
        check("a == b", &["a=b"], &["a=c"]);
        check("a!=b", &["", "a=c"], &["a=b"]);
        check("a", &["a=", "a=b"], &["", "b=a"]);
        check("!a", &["", "b=a"], &["a="]);
        check("a in (x, y)", &["a=x", "a=y"], &["", "a=z"]);
        check("a notin (x,y)", &["", "a=z"], &["a=x", "a=y"]);
        check("a=", &["a="], &["", "a=b"]);
        check("example.com/in=in,b,!c", &["example.com/in=in b="], &["example.com/in=in b= c=", "b="]);
    }

    #[test]
    fn says_what_is_wrong_with_a_selector() {
        check_error("a=b,", expect!["selector `a=b,`: expected a label's key at `the end`"]);
        check_error("a in x", expect!["selector `a in x`: expected `(` at `x`"]);
        check_error("a in (x", expect!["selector `a in (x`: expected `,` or `)` at `the end`"]);
        check_error(
            "a b",
            expect!["selector `a b`: expected `=`, `!=`, `in (…)`, `notin (…)` or `,` at `b`"],
        );
        check_error(
            "-a=b",
            expect![
                "selector `-a=b`: `-a` must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, perhaps after a prefix such as `example.com/`"
            ],
        );
    }

    #[test]
    fn selects_as_a_job_does() {
        let selector = meta::LabelSelector {
            match_labels: labels("app=x"),
            match_expressions: vec![meta::LabelSelectorRequirement {
                key: "tier".to_owned(),
                operator: "NotIn".to_owned(),
                values: vec!["a".to_owned()],
            }],
        };
        let selector = LabelSelector::try_from(&selector).unwrap();
        assert_eq!(selector.to_string(), "app=x,tier!=a");
        assert!(selector.matches(&labels("app=x")));
        assert!(!selector.matches(&labels("app=x tier=a")));
    }

    #[test]
    fn selects_by_fields() {
        let fields = labels("status.phase=Running metadata.name=a,b");
        for (selector, selected) in [
            ("", true),
            ("status.phase=Running", true),
            ("status.phase!=Running", false),
            ("status.phase == Running , metadata.name=a\\,b", true),
            ("spec.nodeName=", true),
            ("spec.nodeName!=", false),
        ] {
            assert_eq!(selector.parse::<FieldSelector>().unwrap().matches(&fields), selected, "`{selector}`");
        }
        expect!["selector `x`: expected `field=value` or `field!=value` at `x`"]
            .assert_eq(&"x".parse::<FieldSelector>().unwrap_err().to_string());
    }
}
