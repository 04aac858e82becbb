//! Reads a document strictly: every key that is not known, every value of the wrong type and every impossible one is told,
//! each with its path, all at once.

use api::field_error::Class;
use api::node::Node;
use api::{FieldErrors, FieldPath};
use jiff::Timestamp;

/// The longest duration, in milliseconds: a hundred years of 365 days.
const LONGEST_MS: i64 = 100 * 365 * 86_400_000;

/// What is read so far is wrong in these ways.
pub(super) struct Reading {
    errors: FieldErrors,
}

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Value<'a> {
    pub(super) node: &'a Node,
    pub(super) path: FieldPath,
}

/// A map whose keys are all known.
pub(super) struct Fields<'a> {
    path: FieldPath,
    entries: &'a [(String, Node)],
}

impl<'a> Fields<'a> {
    /// The value of a key; `null` is none.
    pub(super) fn get(&self, key: &str) -> Option<Value<'a>> {
        let (_, node) = self.entries.iter().find(|(name, node)| name == key && *node != Node::Null)?;
        Some(Value { node, path: self.path.field(key) })
    }

    pub(super) fn path(&self) -> &FieldPath {
        &self.path
    }
}

impl Reading {
    pub(super) fn new() -> Reading {
        Reading { errors: FieldErrors::new() }
    }

    /// The value, if nothing was wrong.
    pub(super) fn finish<T>(self, value: T) -> Result<T, FieldErrors> {
        self.errors.into_result(value)
    }

    pub(super) fn errors(&mut self) -> &mut FieldErrors {
        &mut self.errors
    }

    fn expected(&mut self, value: &Value<'_>, what: &str) {
        self.errors.push(&value.path, Class::Type, format!("expected {what}, got {}", value.node));
    }

    pub(super) fn impossible(&mut self, value: &Value<'_>, must: &str) {
        let shown = match value.node {
            Node::Text(text) => text.clone(),
            Node::Int(number) => number.to_string(),
            Node::Float(number) => number.to_string(),
            node => node.to_string(),
        };
        self.errors.invalid(&value.path, shown, must);
    }

    /// A map of these keys and no others.
    pub(super) fn map<'a>(&mut self, value: &Value<'a>, known: &[&str]) -> Option<Fields<'a>> {
        let Node::Map(entries) = value.node else {
            self.expected(value, "a map");
            return None;
        };
        for (index, (key, _)) in entries.iter().enumerate() {
            if entries[..index].iter().any(|(earlier, _)| earlier == key) {
                self.errors.duplicate(value.path.field(key), key);
            } else if !known.contains(&key.as_str()) {
                let near = known.iter().filter(|name| strsim::damerau_levenshtein(key, name) <= 2);
                let detail = match near.min_by_key(|name| strsim::damerau_levenshtein(key, name)) {
                    Some(meant) => format!("unknown field; did you mean `{meant}`?"),
                    None => format!("unknown field; there are `{}`", known.join("`, `")),
                };
                self.errors.push(value.path.field(key), Class::Unknown, detail);
            }
        }
        Some(Fields { path: value.path.clone(), entries })
    }

    /// The elements of a list.
    pub(super) fn list<'a>(&mut self, value: &Value<'a>, most: usize) -> Vec<Value<'a>> {
        let Node::List(elements) = value.node else {
            self.expected(value, "a list");
            return Vec::new();
        };
        if elements.len() > most {
            self.errors.too_many(&value.path, elements.len(), most);
            return Vec::new();
        }
        let numbered = elements.iter().enumerate();
        numbered.map(|(index, node)| Value { node, path: value.path.index(index) }).collect()
    }

    /// A text that says something.
    pub(super) fn text(&mut self, value: &Value<'_>) -> Option<String> {
        match value.node {
            Node::Text(text) if text.is_empty() => {
                self.errors.required(&value.path, "needed; it is empty");
                None
            }
            Node::Text(text) => Some(text.clone()),
            _ => {
                self.expected(value, "a string");
                None
            }
        }
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&mut self, value: &Value<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(value)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.errors.unsupported(&value.path, text, &words);
        }
        found
    }

    /// A whole number between these two.
    pub(super) fn whole(&mut self, value: &Value<'_>, least: i128, most: i128) -> Option<i128> {
        let Node::Int(number) = value.node else {
            self.expected(value, "a whole number");
            return None;
        };
        if (least..=most).contains(number) {
            return Some(*number);
        }
        self.impossible(value, &format!("must be from {least} to {most}"));
        None
    }

    /// A whole number from 1.
    pub(super) fn nth(&mut self, value: &Value<'_>) -> Option<u32> {
        self.whole(value, 1, u32::MAX.into()).and_then(|number| u32::try_from(number).ok())
    }

    /// A length of time, in milliseconds, that is not negative.
    pub(super) fn duration(&mut self, value: &Value<'_>) -> Option<i64> {
        let ms = self.signed_duration(value)?;
        if ms < 0 {
            self.impossible(value, "must not be negative");
            return None;
        }
        Some(ms)
    }

    /// A length of time forwards or back, in milliseconds.
    pub(super) fn signed_duration(&mut self, value: &Value<'_>) -> Option<i64> {
        let ms = match value.node {
            Node::Int(0) => Ok(0),
            Node::Text(text) => parse_duration(text),
            _ => {
                self.expected(value, "a duration such as `90s` or `1h30m`");
                return None;
            }
        };
        ms.map_err(|must| self.impossible(value, &must)).ok()
    }

    /// A duration or `forever`, which is `None`.
    pub(super) fn duration_or_forever(&mut self, value: &Value<'_>) -> Option<Option<i64>> {
        if value.node.as_text() == Some("forever") { Some(None) } else { self.duration(value).map(Some) }
    }

    /// An instant.
    pub(super) fn instant(&mut self, value: &Value<'_>) -> Option<Timestamp> {
        let text = self.text(value)?;
        let instant = text.parse::<Timestamp>().ok();
        if instant.is_none() {
            self.impossible(value, "must be an instant in RFC 3339, such as `2026-03-08T06:00:00Z`");
        }
        instant
    }

    /// A duration from `start` or an instant not before it, as milliseconds from it.
    pub(super) fn moment(&mut self, value: &Value<'_>, start: Timestamp) -> Option<i64> {
        let is_instant = |text: &str| text.len() > 4 && text.contains(['T', 't']) && text.contains(':');
        if !value.node.as_text().is_some_and(is_instant) {
            return self.duration(value);
        }
        let ms = self.instant(value)?.as_millisecond() - start.as_millisecond();
        if ms < 0 {
            self.impossible(value, &format!("must not be before the start, {start}"));
            return None;
        }
        if ms > LONGEST_MS {
            self.impossible(value, "must be within a hundred years of the start");
            return None;
        }
        Some(ms)
    }
}

/// Reads `1h30m`, `1.5s`, `250ms`, `-1h`, and `0`; the error says what would be right, after the text.
fn parse_duration(text: &str) -> Result<i64, String> {
    const UNITS: [(&str, i64); 5] =
        [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let wrong =
        || "must be a duration such as `90s`, `1h30m` or `250ms`, in `d`, `h`, `m`, `s` and `ms`".to_owned();
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    // In millionths of a millisecond, so that fractions are exact.
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (number, after) = rest.split_at(digits);
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, after) = after.split_at(letters);
        let unit_ms = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ms)| *ms).ok_or_else(wrong)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 18 {
            return Err(wrong());
        }
        let digits = format!("{whole}{fraction}").parse::<i128>().map_err(|_| wrong())?;
        let scale = 10_i128.pow(u32::try_from(fraction.len()).unwrap_or(0));
        nanos += digits * i128::from(unit_ms) * 1_000_000 / scale;
        rest = after;
    }
    match i64::try_from(nanos / 1_000_000) {
        Ok(ms) if ms <= LONGEST_MS => Ok(sign * ms),
        Ok(_) | Err(_) => Err("is too long; the most is a hundred years".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(texts: &[&str], expected: Expect) {
        let lines = texts.iter().map(|text| match parse_duration(text) {
            Ok(ms) => format!("{text}: {ms}ms\n"),
            Err(must) => format!("{text}: {must}\n"),
        });
        expected.assert_eq(&lines.collect::<String>());
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        check(
            &["0", "0s", "90s", "1h30m", "1.5s", ".5s", "250ms", "-1h", "+2d", "1m0.001s", "0.0004s"],
            expect![[r#"
                0: 0ms
                0s: 0ms
                90s: 90000ms
                1h30m: 5400000ms
                1.5s: 1500ms
                .5s: 500ms
                250ms: 250ms
                -1h: -3600000ms
                +2d: 172800000ms
                1m0.001s: 60001ms
                0.0004s: 0ms
            "#]],
        );
    }

    #[test]
    fn what_is_no_duration_is_told_what_would_be_right() {
        check(
            &["", "-", "5", "5x", "s", "1s2", "1..5s", "1 s", "5S", "200y", "40000d"],
            expect![[r#"
                : must be a duration such as `90s`, `1h30m` or `250ms`, in `d`, `h`, `m`, `s` and `ms`
                -: must be a duration such as `90s`, `1h30m` or `250ms`, in `d`, `h`, `m`, `s` and `ms`
                5: must be a duration such as `90s`, `1h30m` or `250ms`, in `d`, `h`, `m`, `s` and `ms`
                5x: must be a duration such as `90s`, `1h30m` or `250ms`, in `d`, `h`, `m`, `s` and `ms`
                s: must be a duration such as `90s`, `1h30m` or `250ms`, in `d`, `h`, `m`, `s` and `ms`
                1s2: must be a duration such as `90s`, `1h30m` or `250ms`, in `d`, `h`, `m`, `s` and `ms`
                1..5s: must be a duration such as `90s`, `1h30m` or `250ms`, in `d`, `h`, `m`, `s` and `ms`
                1 s: must be a duration such as `90s`, `1h30m` or `250ms`, in `d`, `h`, `m`, `s` and `ms`
                5S: must be a duration such as `90s`, `1h30m` or `250ms`, in `d`, `h`, `m`, `s` and `ms`
                200y: must be a duration such as `90s`, `1h30m` or `250ms`, in `d`, `h`, `m`, `s` and `ms`
                40000d: is too long; the most is a hundred years
            "#]],
        );
    }
}
