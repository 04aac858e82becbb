//! YAML as Kubernetes reads it, within budgets, and as `kubectl -o yaml` prints it.
//!
//! Plain `yes`, `no`, `on` and `off` are booleans, `0644` is octal, keys that are no text become text, `<<` merges.
//! Quoted scalars are always text. A key given twice is an error at its line.

use std::fmt;

use serde::Serialize;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, MergeKeyPolicy, MessageFormatter, Options, Spanned};

use crate::node::{Located, Node};

/// The largest manifest, in bytes: four times what a cluster takes for one object.
pub const TEXT_MAX: usize = 4 << 20;
/// The deepest nesting of lists and maps. A Job needs about 15.
pub const DEPTH_MAX: usize = 64;
/// The most values in a manifest, all documents together.
pub const NODES_MAX: usize = 200_000;
/// The most documents in a manifest.
pub const DOCUMENTS_MAX: usize = 1_000;
/// The most anchors in a manifest, and the most aliases that refer to them.
pub const ALIASES_MAX: usize = 1_000;
/// The most values that aliases may expand to, all together.
pub const ALIASED_NODES_MAX: usize = 50_000;

/// Why a text could not be read, and where, from line 1 and column 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The line; 0 when it is the text as a whole.
    pub line: u64,
    /// The column, in characters; 0 when it is the text as a whole.
    pub column: u64,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for SyntaxError {}

/// Reads every document of a text; those with nothing in them are skipped.
pub fn read(text: &str) -> Result<Vec<Located>, SyntaxError> {
    check_size(text)?;
    let documents = serde_saphyr::from_multiple_with_options::<Spanned<Node>>(text, options());
    let documents = documents.map_err(syntax_error)?;
    let located = documents
        .into_iter()
        .map(|document| Located { line: document.referenced.line(), node: document.value });
    Ok(located.filter(|document| document.node != Node::Null).collect())
}

/// Writes a value as one document.
pub fn write<T: Serialize>(value: &T) -> String {
    let options = serde_saphyr::ser_options! {
        folded_wrap_chars: usize::MAX, // Long texts stay on their line: commands are to be copied.
    };
    match serde_saphyr::to_string_with_options(value, options) {
        Ok(text) => text,
        Err(error) => unreachable!("JSON values can be written as YAML, and yet: {error}"),
    }
}

pub(crate) fn check_size(text: &str) -> Result<(), SyntaxError> {
    if text.len() <= TEXT_MAX {
        return Ok(());
    }
    let message = format!("{} bytes are too many for a manifest; the most is {TEXT_MAX}", text.len());
    Err(SyntaxError { line: 0, column: 0, message })
}

pub(crate) fn options() -> Options {
    let budget = serde_saphyr::budget! {
        max_depth: DEPTH_MAX,
        max_nodes: NODES_MAX,
        max_events: 2 * NODES_MAX + 4 * DOCUMENTS_MAX, // A list or map ends as well, a document starts and ends.
        max_documents: DOCUMENTS_MAX,
        max_anchors: ALIASES_MAX,
        max_aliases: ALIASES_MAX,
        max_merge_keys: ALIASES_MAX,
        max_recorded_anchor_events: 2 * ALIASED_NODES_MAX,
        max_recorded_anchor_bytes: TEXT_MAX,
        max_total_scalar_bytes: TEXT_MAX,
    };
    serde_saphyr::options! {
        budget: budget,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 2 * ALIASED_NODES_MAX,
            max_replay_stack_depth: 16,
            max_alias_expansions_per_anchor: ALIASES_MAX,
        },
        merge_keys: MergeKeyPolicy::Merge,
        legacy_octal_numbers: true,
        with_snippet: false, // The message has line and column; whoever has the file can show it.
    }
}

pub(crate) fn syntax_error(error: serde_saphyr::Error) -> SyntaxError {
    let (line, column) = error.location().map_or((0, 0), |location| (location.line(), location.column()));
    let mut cause = &error;
    while let Error::WithSnippet { error, .. } | Error::AliasError { error, .. } = cause {
        cause = error;
    }
    let message = match cause {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key `{key}` is given twice; keep one of them")
        }
        Error::DuplicateMappingKey { key: None, .. } => "a key is given twice; keep one of them".to_owned(),
        Error::Budget { breach, .. } => over_budget(breach),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            format!("its aliases stand for too much; the most is {ALIASED_NODES_MAX} values")
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "an alias refers to what it stands in".to_owned()
        }
        error => serde_saphyr::DefaultMessageFormatter.format_message(error).into_owned(),
    };
    // The parser quotes from the text, which may hold what a terminal acts upon.
    let message = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    SyntaxError { line, column, message }
}

fn over_budget(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Depth { .. } => format!("lists and maps are nested too deep; the most is {DEPTH_MAX}"),
        BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => {
            format!("there are too many values; the most is {NODES_MAX}")
        }
        BudgetBreach::Documents { .. } => {
            format!("there are too many documents; the most is {DOCUMENTS_MAX}")
        }
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::MergeKeys { .. }
        | BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::RecordedAnchorEvents { .. }
        | BudgetBreach::RecordedAnchorBytes { .. } => {
            format!("there are too many anchors and aliases; the most is {ALIASES_MAX}")
        }
        _ => format!("there is too much text; the most is {TEXT_MAX} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        let shown = match read(text) {
            Ok(documents) => {
                documents.iter().map(|document| format!("{}: {:?}\n", document.line, document.node)).collect()
            }
            Err(error) => format!("{error}\n"),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn reads_plain_scalars_as_kubernetes_does() {
        check(
            "[yes, No, on, OFF, true, y, n]",
            expect![[r#"
            1: List([Bool(true), Bool(false), Bool(true), Bool(false), Bool(true), Bool(true), Bool(false)])
        "#]],
        );
        check(
            "[\"yes\", 'no', !!str on]",
            expect![[r#"
            1: List([Text("yes"), Text("no"), Text("on")])
        "#]],
        );
        check(
            "[0644, 0o644, 0x1F, 1_000, 0b11, -0644, 089, 0]",
            expect![[r#"
            1: List([Int(420), Int(420), Int(31), Int(1000), Int(3), Int(-420), Float(89.0), Int(0)])
        "#]],
        );
        check(
            "[1.5, 1e3, .5, -2, 18446744073709551615, 18446744073709551616]",
            expect![[r#"
            1: List([Float(1.5), Float(1000.0), Float(0.5), Int(-2), Int(18446744073709551615), Float(1.8446744073709552e19)])
        "#]],
        );
        check(
            "[2001-01-01, 12:30:45, 1.2.3, ~, null, Null, '', nan]",
            expect![[r#"
            1: List([Text("2001-01-01"), Text("12:30:45"), Text("1.2.3"), Null, Null, Null, Text(""), Text("nan")])
        "#]],
        );
        check(
            "{1: a, yes: b, 1.5: c, 'x': d}",
            expect![[r#"
            1: Map([("1", Text("a")), ("true", Text("b")), ("1.5", Text("c")), ("x", Text("d"))])
        "#]],
        );
    }

    #[test]
    fn reads_several_documents() {
        check(
            "# nothing\n---\na: 1\n---\n---\n# still nothing\n---\nb: 2\n...\n",
            expect![[r#"
            3: Map([("a", Int(1))])
            8: Map([("b", Int(2))])
        "#]],
        );
        check("", expect![""]);
    }

    #[test]
    fn expands_anchors_and_merges() {
        check(
            "a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n",
            expect![[r#"
            1: Map([("a", Map([("b", Int(1))])), ("c", Map([("b", Int(1))])), ("d", Map([("e", Int(2)), ("b", Int(1))]))])
        "#]],
        );
    }

    #[test]
    fn tells_line_and_column() {
        check(
            "a: 1\nb: [1,\nc: 2\n",
            expect![[r#"
            line 2, column 4: unclosed bracket '['
        "#]],
        );
        check(
            "a: 1\nb:\n  c: 1\n  c: 2\n",
            expect![[r#"
            line 4, column 3: the key `c` is given twice; keep one of them
        "#]],
        );
        check(
            "a: 1\n\tb: 2\n",
            expect![[r#"
            line 1, column 4: while scanning a plain scalar, found a tab
        "#]],
        );
        check(
            "a: *x\n",
            expect![[r#"
            line 1, column 4: alias references unknown anchor
        "#]],
        );
        check(
            "a: {[b]: 1}\n",
            expect![[r#"
            line 1, column 5: expected a text as the key of a map, got a list
        "#]],
        );
    }

    #[test]
    fn stays_within_its_budgets() {
        check(
            &format!("{}{}", "[".repeat(65), "]".repeat(65)),
            expect![[r#"
            line 1, column 65: lists and maps are nested too deep; the most is 64
        "#]],
        );
        check(
            &format!("[{}]", "1,".repeat(NODES_MAX + 1)),
            expect![[r#"
            line 1, column 400000: there are too many values; the most is 200000
        "#]],
        );
        check(
            &"a".repeat(TEXT_MAX + 1),
            expect![[r#"
            4194305 bytes are too many for a manifest; the most is 4194304
        "#]],
        );
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
                    d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]\n";
        check(
            bomb,
            expect![[r#"
            line 6, column 8: its aliases stand for too much; the most is 50000 values
        "#]],
        );
    }

    #[test]
    fn writes_what_it_reads() {
        let value = serde_json::json!({
            "apiVersion": "batch/v1",
            "strings": ["yes", "0644", "1.5", "", "null", "~", "a: b", "# x", "line\nline\n", " x", "2001-01-01", "é"],
            "long": "x ".repeat(100),
            "numbers": [1, -1, 1.5, 9007199254740993_i64],
            "empty": {"map": {}, "list": []},
            "args": [["-c", "echo 'hi' \"there\""], {"a": true}],
        });
        let text = write(&value);
        expect![[r##"
            apiVersion: batch/v1
            strings:
            - "yes"
            - "0644"
            - "1.5"
            - ""
            - "null"
            - "~"
            - "a: b"
            - "# x"
            - |
              line
              line
            - " x"
            - "2001-01-01"
            - é
            long: "x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x "
            numbers:
            - 1
            - -1
            - 1.5
            - 9007199254740993
            empty:
              map: {}
              list: []
            args:
            - - -c
              - echo 'hi' "there"
            - a: true
        "##]].assert_eq(&text);
        let again = read(&text).unwrap();
        assert_eq!(again[0].node, serde_json::from_value::<Node>(value).unwrap());
    }

    #[test]
    fn writes_every_text_so_that_it_is_read_again() {
        let mut texts = Vec::new();
        for c in (0..0x3000).chain([0xFEFF, 0xFFFD, 0xFFFF, 0x1F600, 0x10FFFF]).filter_map(char::from_u32) {
            texts.push(format!("{c}"));
            texts.push(format!("a{c}"));
            texts.push(format!("{c}a"));
            texts.push(format!("a{c}b\n{c} c\n\n"));
            texts.push(format!("  a {c}"));
        }
        for text in [
            "-", "- a", "?", ": a", "a:", "%a", "---", "...", "---\na", "!a", "&a", "*a", "|", ">", "@", "`",
            "=", "<<",
        ] {
            texts.extend([text.to_owned(), format!("{text}\n"), format!("\n{text}"), format!("\t{text}")]);
        }
        let map = texts.iter().map(|text| (text.clone(), serde_json::Value::from(text.clone())));
        let value = serde_json::json!({"list": texts, "map": map.collect::<serde_json::Map<_, _>>()});
        let read = read(&write(&value)).unwrap();
        let expected = serde_json::from_value::<Node>(value).unwrap();
        assert!(read.len() == 1 && read[0].node == expected, "some text changed");
    }
}
