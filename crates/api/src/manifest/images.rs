//! The images a manifest names, and other names in their place.
//!
//! Only the names themselves are replaced, in the text: comments, order and line numbers stay, so that whatever is
//! said about the manifest later on still fits the file.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::node::{Key, Node};
use crate::yaml::{self, SyntaxError};

/// A container's image, as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageField {
    /// The line, from 1.
    pub line: u64,
    /// The name, or a path.
    pub image: String,
}

/// The images of all containers, in the order of the text.
pub fn images(text: &str) -> Result<Vec<ImageField>, SyntaxError> {
    let places = places(text)?;
    Ok(places.into_values().map(|place| ImageField { line: place.line, image: place.image }).collect())
}

/// The text with other names for some images: `rewrite` is asked for each, and `None` keeps it.
pub fn rewrite_images(
    text: &str,
    mut rewrite: impl FnMut(&str) -> Option<String>,
) -> Result<String, SyntaxError> {
    let mut rewritten = String::with_capacity(text.len());
    let mut end = 0;
    for (start, place) in places(text)? {
        if let Some(image) = rewrite(&place.image) {
            let stands_alone = text.get(place.range.clone()).is_some_and(|old| reads_as(old, &place.image));
            if !stands_alone || start < end {
                let message = format!("the image `{}` cannot be replaced; write it in one line", place.image);
                return Err(SyntaxError { line: place.line, column: place.column, message });
            }
            rewritten.push_str(&text[end..start]);
            rewritten.push_str(&serde_json::Value::String(image).to_string()); // In quotes it is JSON and YAML.
            end = place.range.end;
        }
    }
    rewritten.push_str(&text[end..]);
    Ok(rewritten)
}

/// Whether a piece of the text is just this name, so that another one can stand in its place.
fn reads_as(piece: &str, image: &str) -> bool {
    let one_line = !piece.contains('\n');
    one_line
        && yaml::read(piece).is_ok_and(|read| read.len() == 1 && read[0].node == Node::Text(image.to_owned()))
}

struct Place {
    line: u64,
    column: u64,
    range: Range<usize>,
    image: String,
}

/// Every image, by where it starts. One that is referred to by aliases is there once.
fn places(text: &str) -> Result<BTreeMap<usize, Place>, SyntaxError> {
    yaml::check_size(text)?;
    let documents = serde_saphyr::from_multiple_with_options::<Spanned<Tree>>(text, yaml::options());
    let mut places = BTreeMap::new();
    for document in documents.map_err(yaml::syntax_error)? {
        find(&document.value, &mut places);
    }
    Ok(places)
}

fn find(tree: &Tree, places: &mut BTreeMap<usize, Place>) {
    match tree {
        Tree::Map(entries) => {
            for (key, value) in entries {
                if ["containers", "initContainers", "ephemeralContainers"].contains(&key.as_str()) {
                    containers(&value.value, places);
                }
                find(&value.value, places);
            }
        }
        Tree::List(elements) => elements.iter().for_each(|element| find(&element.value, places)),
        Tree::Text(_) | Tree::Other => {}
    }
}

fn containers(tree: &Tree, places: &mut BTreeMap<usize, Place>) {
    let Tree::List(containers) = tree else { return };
    let fields = containers.iter().filter_map(|container| match &container.value {
        Tree::Map(entries) => entries.iter().find(|(key, _)| key == "image"),
        _ => None,
    });
    for (_, value) in fields {
        // Where an alias stands for the name, the name itself is what can be replaced.
        let span = value.defined.span();
        if let (Tree::Text(image), Some(start), Some(length)) =
            (&value.value, span.byte_offset(), span.byte_len())
            && let (Ok(start), Ok(length)) = (usize::try_from(start), usize::try_from(length))
        {
            places.insert(
                start,
                Place {
                    line: value.defined.line(),
                    column: value.defined.column(),
                    range: start..start.saturating_add(length),
                    image: image.clone(),
                },
            );
        }
    }
}

/// A document with the places of its values, as far as they matter here.
enum Tree {
    Text(String),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(String, Spanned<Tree>)>),
    Other,
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some((Key(key), value)) = entries.next_entry()? {
            map.push((key, value));
        }
        Ok(Tree::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    /// Paths get a digest, names stay.
    fn check(text: &str, expected: Expect) {
        let rewritten =
            rewrite_images(text, |image| image.starts_with('.').then(|| format!("sha256:{}", image.len())));
        expected.assert_eq(&rewritten.unwrap_or_else(|error| error.to_string()));
    }

    #[test]
    fn replaces_only_the_names() {
        check(
            r#"# Mine.
kind: Job
image: ./not-this.wasm
spec:
  template:
    spec:
      initContainers:
      - {name: i, image: ./i.wasm} # Inline.
      containers:
        - name: a   # A comment with ü.
          image:   ./a.wasm   # Why.
          args: [./a.wasm]
        - image: "./b b.wasm"
        - image: './c.wasm'
        - image: hello:1.2
        - name: none
---
spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: ./d.wasm}]}}}}}
"#,
            expect![[r##"
                # Mine.
                kind: Job
                image: ./not-this.wasm
                spec:
                  template:
                    spec:
                      initContainers:
                      - {name: i, image: "sha256:8"} # Inline.
                      containers:
                        - name: a   # A comment with ü.
                          image:   "sha256:8"   # Why.
                          args: [./a.wasm]
                        - image: "sha256:10"
                        - image: "sha256:8"
                        - image: hello:1.2
                        - name: none
                ---
                spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: "sha256:8"}]}}}}}
            "##]],
        );
    }

    #[test]
    fn replaces_names_in_json() {
        check(
            r#"{"containers":[{"image":"./a\u002ewasm","name":"a"}]}"#,
            expect![[r#"{"containers":[{"image":"sha256:8","name":"a"}]}"#]],
        );
    }

    #[test]
    fn replaces_what_aliases_stand_for() {
        check(
            "x: &x\n  image: ./x.wasm\ncontainers:\n- image: &y ./y.wasm\n- image: *y\n- <<: *x\n  name: z\n- *x\n",
            expect![[r#"
                x: &x
                  image: "sha256:8"
                containers:
                - image: &y "sha256:8"
                - image: *y
                - <<: *x
                  name: z
                - *x
            "#]],
        );
    }

    #[test]
    fn refuses_names_over_several_lines() {
        check(
            "containers:\n- image: >-\n    ./a.wasm\n",
            expect!["line 3, column 5: the image `./a.wasm` cannot be replaced; write it in one line"],
        );
        check(
            "containers:\n- image: ./a\n    b.wasm\n",
            expect!["line 2, column 10: the image `./a b.wasm` cannot be replaced; write it in one line"],
        );
    }

    #[test]
    fn lists_images_with_their_lines() {
        let images = images("containers:\n- image: a\n- image: 5\n- image: ~\n- image: './b'\n").unwrap();
        let lines =
            images.iter().map(|image| format!("{} {}\n", image.line, image.image)).collect::<String>();
        expect![[r#"
            2 a
            5 ./b
        "#]]
        .assert_eq(&lines);
    }
}
