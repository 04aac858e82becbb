//! kubectl's JSONPath templates: `{range .items[*]}{.metadata.name}{"\n"}{end}`.
//!
//! The dialect is kubectl's and not RFC 9535: `$` may be left out, a key may hold `-` and, escaped, dots
//! (`.metadata.labels.wick\.dev/zone`), a filter compares with `==` without `&&`, and results are written as text. The
//! crates for the RFC refuse half of what people copy from Kubernetes' pages, so the few rules are here: the template in
//! this file, paths and filters in [`path`].
//!
//! As in `kubectl get`, what is not there is nothing, and no error. A template without any braces is taken for a path.

mod path;

use serde_json::Value;

use path::Cursor;
pub(crate) use path::{Path, compare};

/// How deep `range` in `range`, and filters in filters, may be.
const MAX_NESTING: usize = 32;

/// A template that can be printed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template(Vec<Node>);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Text(String),
    Path(Path),
    Range(Path, Vec<Node>),
}

/// What stands between braces.
enum Action {
    Nodes(Vec<Node>),
    Range(Path),
    End,
}

impl Template {
    /// Reads a template.
    pub(crate) fn parse(text: &str) -> Result<Template, String> {
        if !text.contains('{') {
            return Ok(Template(vec![Node::Path(Path::parse(text)?)]));
        }
        // The nodes of the template, and of each `range` that is open.
        let mut open: Vec<(Path, Vec<Node>)> = Vec::new();
        let mut nodes = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                nodes.push(Node::Text(before.to_owned()));
            }
            let mut cursor = Cursor::new(after);
            match action(&mut cursor)? {
                Action::Nodes(more) => nodes.extend(more),
                Action::Range(path) if open.len() < MAX_NESTING => {
                    open.push((path, std::mem::take(&mut nodes)));
                }
                Action::Range(_) => return Err(format!("more than {MAX_NESTING} ranges in each other")),
                Action::End => match open.pop() {
                    Some((path, outer)) => {
                        let body = std::mem::replace(&mut nodes, outer);
                        nodes.push(Node::Range(path, body));
                    }
                    None => return Err("`{end}` without a `{range …}` before it".to_owned()),
                },
            }
            rest = cursor.rest();
        }
        if !open.is_empty() {
            return Err("a `{range …}` has no `{end}`".to_owned());
        }
        if !rest.is_empty() {
            nodes.push(Node::Text(rest.to_owned()));
        }
        Ok(Template(nodes))
    }

    /// The template about `root`.
    pub(crate) fn print(&self, root: &Value) -> String {
        let mut text = String::new();
        print(&self.0, root, root, &mut text);
        text
    }
}

/// Reads up to and with the closing brace.
fn action(cursor: &mut Cursor<'_>) -> Result<Action, String> {
    let mut nodes = Vec::new();
    loop {
        cursor.skip_blanks();
        match cursor.peek() {
            None => return Err("a `{` has no `}`".to_owned()),
            Some('}') => {
                cursor.next();
                return Ok(Action::Nodes(nodes));
            }
            Some('"' | '\'') => nodes.push(Node::Text(cursor.quoted()?)),
            Some(_) if nodes.is_empty() && cursor.takes_word("end") => {
                cursor.closes()?;
                return Ok(Action::End);
            }
            Some(_) if nodes.is_empty() && cursor.takes_word("range") => {
                cursor.skip_blanks();
                let path = Path::read(cursor)?;
                cursor.closes()?;
                return Ok(Action::Range(path));
            }
            Some(_) => nodes.push(Node::Path(Path::read(cursor)?)),
        }
    }
}

fn print(nodes: &[Node], root: &Value, here: &Value, text: &mut String) {
    for node in nodes {
        match node {
            Node::Text(literal) => text.push_str(literal),
            Node::Path(path) => {
                let found: Vec<String> = path.find(root, here).into_iter().map(said).collect();
                text.push_str(&found.join(" "));
            }
            Node::Range(path, body) => {
                for item in path.find(root, here) {
                    print(body, root, item, text);
                }
            }
        }
    }
}

/// A value as text: strings as they are, the rest as JSON.
pub(crate) fn said(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::json;

    #[test]
    fn a_path_is_printed_as_text() {
        check("{.kind}", expect!["List"]);
        check("{.items[0].status.succeeded}", expect!["3"]);
        check("kind is {.kind}!", expect!["kind is List!"]);
        check("{$.kind}{@.kind}", expect!["ListList"]);
        check("{.items[*].metadata.name}", expect!["a b"]);
        check("{.items[0].metadata.labels}", expect![[r#"{"app-name":"x","wick.dev/zone":"y"}"#]]);
        check("{.items[0].spec.suspend}", expect!["false"]);
    }

    #[test]
    fn ranges_and_texts_make_lines() {
        check(
            r#"{range .items[*]}{.metadata.name}{"\t"}{.status.succeeded}{"\n"}{end}"#,
            expect![[r#"
                a	3
                b	
            "#]],
        );
        check(
            r#"{range .items[*]}[{range .status.conditions[*]}{.type}={.status}{' '}{end}]{end}"#,
            expect!["[Suspended=False Complete=True ][]"],
        );
        check(r#"{range .items[*]}{$.kind}/{.metadata.name} {end}"#, expect!["List/a List/b "]);
        check(r#"{.kind "-" .kind}"#, expect!["List-List"]);
    }

    #[test]
    fn filters_choose() {
        check(r#"{.items[0].status.conditions[?(@.type=="Complete")].status}"#, expect!["True"]);
        check(r#"{.items[0].status.conditions[?(@.type!='Complete')].type}"#, expect!["Suspended"]);
        check(r#"{.items[?(@.status.succeeded>=3)].metadata.name}"#, expect!["a"]);
        check(r#"{.items[?(@.status.succeeded)].metadata.name}"#, expect!["a"]);
        check(r#"{.items[?(@.metadata.labels.app-name=="x")].metadata.name}"#, expect!["a"]);
        check(r#"{.items[?( 1 < 2 )].metadata.name}"#, expect!["a b"]);
    }

    #[test]
    fn keys_with_dots_are_escaped_or_quoted() {
        check(r"{.items[0].metadata.labels.wick\.dev/zone}", expect!["y"]);
        check(r"{.items[0].metadata.labels['wick\.dev/zone']}", expect!["y"]);
        check(r"{.items[0]['metadata']['name']}", expect!["a"]);
        check(r"{.items[*]['metadata.name','status.succeeded']}", expect!["a 3 b"]);
    }

    #[test]
    fn indexes_slices_and_descents_reach_what_they_say() {
        check("{.items[-1].metadata.name}", expect!["b"]);
        check("{.items[0:2].metadata.name}", expect!["a b"]);
        check("{.items[:1].metadata.name}", expect!["a"]);
        check("{.items[::2].metadata.name}", expect!["a"]);
        check("{.items[1,0].metadata.name}", expect!["b a"]);
        check("{..name}", expect!["a b"]);
        check(
            "{.items[*].status.*}",
            expect![[r#"3 [{"type":"Suspended","status":"False"},{"type":"Complete","status":"True"}]"#]],
        );
    }

    #[test]
    fn what_is_not_there_is_nothing() {
        check("{.items[7].metadata.name}|{.nothing.at.all}|{.kind.of}|{.items[-9]}", expect!["|||"]);
    }

    #[test]
    fn without_braces_it_is_a_path() {
        check(".kind", expect!["List"]);
        check("kind", expect!["List"]);
        check("$.items[*].metadata.name", expect!["a b"]);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        check("{.a", expect!["error: a `{` has no `}`"]);
        check("{range .a}", expect!["error: a `{range …}` has no `{end}`"]);
        check("{end}", expect!["error: `{end}` without a `{range …}` before it"]);
        check("{.a[}", expect!["error: `[` at character 3 has no `]`"]);
        check(
            "{.a[x]}",
            expect!["error: `x` at character 4 is not an index, a slice, a quoted key or a filter"],
        );
        check("{.a[?(@.b=1)]}", expect!["error: `=1)]}` at character 9 is not one of == != < <= > >="]);
        check("{.a[?(@.b]}", expect!["error: `]}` at character 9 is not one of == != < <= > >="]);
        check(r#"{"a}"#, expect![[r#"error: a `"` has no other one"#]]);
        check("", expect!["error: it is empty; `{.metadata.name}` is a template"]);
        check(
            "{range .a}x{end }y{.b[9999999999999999999]}",
            expect![
                "error: `9999999999999999999` at character 4 is not an index, a slice, a quoted key or a filter"
            ],
        );
        let deep = format!("{{.a{}}}", "[?(@".repeat(40));
        check(&deep, expect!["error: more than 32 filters in each other"]);
    }

    fn check(template: &str, wanted: Expect) {
        let root = json!({
            "kind": "List",
            "items": [
                {
                    "metadata": {"name": "a", "labels": {"app-name": "x", "wick.dev/zone": "y"}},
                    "spec": {"suspend": false},
                    "status": {"succeeded": 3, "conditions": [
                        {"type": "Suspended", "status": "False"},
                        {"type": "Complete", "status": "True"},
                    ]},
                },
                {"metadata": {"name": "b"}},
            ],
        });
        wanted.assert_eq(&match Template::parse(template) {
            Ok(template) => template.print(&root),
            Err(error) => format!("error: {error}"),
        });
    }
}
