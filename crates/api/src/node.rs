//! A document as it was written: JSON or YAML before it means anything.
//!
//! Unlike `serde_json::Value` it keeps the order of keys and those given twice, so that the transcoder can tell all
//! that is wrong with a document, and whole numbers of either sign.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::yaml::{self, SyntaxError};

/// A value of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Nothing: `null`, `~`, or no value at all.
    Null,
    /// `true` or `false`; in YAML also `yes`, `no`, `on`, `off`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// Values in order.
    List(Vec<Node>),
    /// Values by key, in order; a key may be there twice.
    Map(Vec<(String, Node)>),
}

/// One document and the line it starts in.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// The line, from 1.
    pub line: u64,
    /// The document.
    pub node: Node,
}

impl Node {
    /// Reads one JSON document. Keys given twice are kept.
    pub fn from_json(text: &str) -> Result<Node, SyntaxError> {
        let mut documents = Node::from_json_stream(text)?.into_iter();
        match (documents.next(), documents.next()) {
            (Some(document), None) => Ok(document.node),
            (None, _) => {
                Err(SyntaxError { line: 0, column: 0, message: "there is nothing to read".to_owned() })
            }
            (Some(_), Some(second)) => {
                let message = "expected one document, and here a second one starts".to_owned();
                Err(SyntaxError { line: second.line, column: 1, message })
            }
        }
    }

    /// Reads JSON documents that follow each other. Keys given twice are kept.
    pub fn from_json_stream(text: &str) -> Result<Vec<Located>, SyntaxError> {
        yaml::check_size(text)?;
        let left = Cell::new(yaml::NODES_MAX);
        let mut json = serde_json::Deserializer::from_str(text);
        let mut documents = Vec::new();
        // What follows is an error to serde_json, and to us the line that the next document starts in.
        while let Err(next) = json.end() {
            let node = NodeSeed { left: &left }.deserialize(&mut json).map_err(syntax_error)?;
            documents.push(Located { line: next.line() as u64, node });
        }
        Ok(documents)
    }

    /// The first value of this key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match self {
            Node::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }
}

fn syntax_error(error: serde_json::Error) -> SyntaxError {
    let message = error.to_string();
    // serde_json puts the place at the end of its message; we have it in fields.
    let message = message.rsplit_once(" at line ").map_or(&message[..], |(message, _)| message).to_owned();
    SyntaxError { line: error.line() as u64, column: error.column() as u64, message }
}

/// What it is, for a message: `the string "six"`, `a list`.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Longer strings are cut, in characters.
        const SHOWN_MAX: usize = 40;
        match self {
            Node::Null => f.write_str("nothing"),
            Node::Bool(value) => write!(f, "{value}"),
            Node::Int(value) => write!(f, "the number {value}"),
            Node::Float(value) => write!(f, "the number {value}"),
            Node::Text(text) => match text.char_indices().nth(SHOWN_MAX) {
                Some((cut, _)) => write!(f, "the string {:?}…", &text[..cut]),
                None => write!(f, "the string {text:?}"),
            },
            Node::List(_) => f.write_str("a list"),
            Node::Map(_) => f.write_str("a map"),
        }
    }
}

/// Without a limit of its own: whoever parses sets one, as [`yaml::read`] does.
impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        NodeSeed { left: &Cell::new(usize::MAX) }.deserialize(deserializer)
    }
}

/// Reads a node, and counts down what may still come.
#[derive(Clone, Copy)]
struct NodeSeed<'a> {
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => {
                let message = format!("there are too many values; the most is {}", yaml::NODES_MAX);
                return Err(D::Error::custom(message));
            }
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Int(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(self)? {
            list.push(element);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(Key(key)) = entries.next_key()? {
            map.push((key, entries.next_value_seed(self)?));
        }
        Ok(Node::Map(map))
    }
}

/// A map's key; one that is no text becomes its JSON text, as `1:` and `yes:` do in Kubernetes.
pub(crate) struct Key(pub(crate) String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        let text = match Node::deserialize(deserializer)? {
            Node::Null => "null".to_owned(),
            Node::Bool(value) => value.to_string(),
            Node::Int(value) => value.to_string(),
            Node::Float(value) => value.to_string(),
            Node::Text(text) => text,
            node @ (Node::List(_) | Node::Map(_)) => {
                return Err(D::Error::custom(format!("expected a text as the key of a map, got {node}")));
            }
        };
        Ok(Key(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        let shown = match Node::from_json_stream(text) {
            Ok(documents) => {
                documents.iter().map(|document| format!("{}: {:?}\n", document.line, document.node)).collect()
            }
            Err(error) => format!("{error}\n"),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn keeps_order_and_what_is_given_twice() {
        check(
            r#"{"b": 1, "a": [null, true, -1.5, "x"], "b": 18446744073709551615}"#,
            expect![[r#"
            1: Map([("b", Int(1)), ("a", List([Null, Bool(true), Float(-1.5), Text("x")])), ("b", Int(18446744073709551615))])
        "#]],
        );
    }

    #[test]
    fn reads_documents_that_follow_each_other() {
        check(
            "{\"a\": 1}\n\n  {\"b\":\n 2} 3\n",
            expect![[r#"
            1: Map([("a", Int(1))])
            3: Map([("b", Int(2))])
            4: Int(3)
        "#]],
        );
        check(" \n", expect![""]);
    }

    #[test]
    fn tells_line_and_column() {
        check(
            "{\"a\": 1,\n \"b\" 2}",
            expect![[r#"
            line 2, column 6: expected `:`
        "#]],
        );
        check(
            "{\"a\": ",
            expect![[r#"
            line 1, column 6: EOF while parsing a value
        "#]],
        );
        check(
            &"[".repeat(200),
            expect![[r#"
            line 1, column 128: recursion limit exceeded
        "#]],
        );
        check(
            &format!("[{}0]", "0,".repeat(yaml::NODES_MAX)),
            expect![[r#"
            line 1, column 399999: there are too many values; the most is 200000
        "#]],
        );
        expect!["line 2, column 1: expected one document, and here a second one starts"]
            .assert_eq(&Node::from_json("{}\n{}").unwrap_err().to_string());
        expect!["there is nothing to read"].assert_eq(&Node::from_json("").unwrap_err().to_string());
    }
}
