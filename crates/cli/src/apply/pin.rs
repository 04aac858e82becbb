//! Images that are files on this side: pushed, and their names in the manifest replaced by ones pinned to a digest.
//!
//! `hello@sha256:…` means the very bytes that were pushed, whatever happens to the name `hello` afterwards. A document
//! that names a file that is not there is refused as a whole; the others go on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use api::manifest::rewrite_images;

use crate::failure::{Failure, Field, reason};
use crate::image::{LocalImage, push};
use crate::manifest::{self, Document, ImageField};
use crate::session::Session;
use crate::sources::Source;

/// A manifest as it is to be sent.
pub(crate) struct Pinned {
    /// The text; `None` if nothing is left of it.
    pub(crate) text: Option<String>,
    /// Documents that were taken out, and why.
    pub(crate) refused: Vec<Failure>,
}

/// A manifest, and the files that its images are.
struct Found {
    text: Option<String>,
    refused: Vec<Failure>,
    /// By what the manifest says.
    files: BTreeMap<String, LocalImage>,
}

/// Pushes what the manifest needs, unless it is a dry run, and pins it.
pub(crate) async fn pin(session: &Session, source: &Source, dry_run: bool) -> Result<Pinned, Failure> {
    let found = find(source);
    if dry_run {
        return pinned(source, found);
    }
    let mut names = BTreeMap::new();
    for (image, file) in &found.files {
        let name = file.name();
        let stored = push(session, file, &name).await?.image.unwrap_or_default();
        names.insert(image.clone(), format!("{name}@{}", stored.digest));
    }
    rewrite(source, found.text, found.refused, &names)
}

/// As [`pin`] in a dry run: with the digests the files have here.
pub(crate) fn pin_locally(source: &Source) -> Result<Pinned, Failure> {
    pinned(source, find(source))
}

fn pinned(source: &Source, found: Found) -> Result<Pinned, Failure> {
    let mut names = BTreeMap::new();
    for (image, file) in &found.files {
        names.insert(image.clone(), format!("{}@{}", file.name(), file.digest()?));
    }
    rewrite(source, found.text, found.refused, &names)
}

fn rewrite(
    source: &Source,
    text: Option<String>,
    refused: Vec<Failure>,
    names: &BTreeMap<String, String>,
) -> Result<Pinned, Failure> {
    let text = match text {
        Some(text) if !names.is_empty() => {
            let text = rewrite_images(&text, |image| names.get(image).cloned());
            Some(text.map_err(|error| Failure::refused(format!("{}: {error}", source.name)))?)
        }
        text => text,
    };
    Ok(Pinned { text, refused })
}

/// Looks for the files, and takes out documents that name one which cannot be read.
fn find(source: &Source) -> Found {
    let mut found = Found { text: Some(source.text.clone()), refused: Vec::new(), files: BTreeMap::new() };
    // A text that cannot be read is sent as it is: the agent says what is wrong with it, and where.
    let documents = manifest::read(&source.text).unwrap_or_default();
    let mut left = documents.len();
    for document in &documents {
        match files(document, &source.dir) {
            Ok(files) => found.files.extend(files),
            Err(failures) => {
                found.refused.extend(failures.into_iter().map(|failure| failure.within(&source.name)));
                if let Some(text) = &mut found.text {
                    document.blank(text);
                }
                left -= 1;
            }
        }
    }
    if !found.refused.is_empty() && left == 0 {
        found.text = None;
    }
    found
}

/// The files that a document's images are, by what it says; or what is wrong with each object.
fn files(document: &Document, dir: &Path) -> Result<Vec<(String, LocalImage)>, Vec<Failure>> {
    let (mut files, mut failures) = (Vec::new(), Vec::new());
    for object in &document.objects {
        let mut fields = Vec::new();
        for ImageField { path, image } in manifest::images(object) {
            let Some(file) = file(&image, dir) else { continue };
            match LocalImage::find(&file) {
                Ok(found) => files.push((image, found)),
                Err(error) => {
                    let why = format!("`{image}`: {}: {}", file.display(), reason(&error));
                    fields.push(Field { path, why });
                }
            }
        }
        if !fields.is_empty() {
            let who = format!("{}.batch/{}", object.kind.to_lowercase(), object.name);
            let what = format!(
                "line {}: {who} was refused: an image is a file that cannot be read",
                document.line_of(object)
            );
            failures.push(Failure::refused(what).fields(fields));
        }
    }
    if failures.is_empty() { Ok(files) } else { Err(failures) }
}

/// The file that an image is, if it is one: whatever begins as a path, and what ends as a module where there is such a
/// file.
pub(crate) fn file(image: &str, dir: &Path) -> Option<PathBuf> {
    let path = dir.join(image);
    let begins = ["./", "../", "/"].iter().any(|start| image.starts_with(start));
    let ends = [".wasm", ".wat"].iter().any(|end| image.ends_with(end));
    (begins || ends && path.is_file()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use std::fs;

    const HEAD: &str = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: a\nspec:\n  template:\n    spec:\n      containers:\n";

    #[test]
    fn a_path_is_pinned_to_its_bytes() {
        let text = format!(
            "{HEAD}        - image: ./hello.wasm # mine\n        - image: deep/b.wat\n        - image: hello\n"
        );
        check(
            &text,
            expect![[r#"
            apiVersion: batch/v1
            kind: Job
            metadata:
              name: a
            spec:
              template:
                spec:
                  containers:
                    - image: "hello@sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" # mine
                    - image: "b@sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"
                    - image: hello
        "#]],
        );
    }

    #[test]
    fn a_name_that_looks_like_a_file_is_one_where_there_is_such_a_file() {
        check(
            &format!("{HEAD}        - image: hello.wasm\n        - image: other.wasm\n"),
            expect![[r#"
            apiVersion: batch/v1
            kind: Job
            metadata:
              name: a
            spec:
              template:
                spec:
                  containers:
                    - image: "hello@sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
                    - image: other.wasm
        "#]],
        );
    }

    #[test]
    fn a_document_whose_file_is_missing_is_taken_out() {
        let text = format!(
            "{HEAD}        - image: hello:1\n---\n{HEAD}        - image: ./missing.wasm\n        - image: ./deep\n"
        );
        check(
            &text,
            expect![[r#"
            apiVersion: batch/v1
            kind: Job
            metadata:
              name: a
            spec:
              template:
                spec:
                  containers:
                    - image: hello:1
            ---










            error: job.yaml: line 11: job.batch/a was refused: an image is a file that cannot be read
              spec.template.spec.containers[0].image: `./missing.wasm`: DIR/./missing.wasm: no such file or directory
              spec.template.spec.containers[1].image: `./deep`: DIR/./deep: is a directory
        "#]],
        );
        check(
            &format!("{HEAD}        - image: ../missing.wasm\n"),
            expect![[r#"
            (nothing left)
            error: job.yaml: line 1: job.batch/a was refused: an image is a file that cannot be read
              spec.template.spec.containers[0].image: `../missing.wasm`: DIR/../missing.wasm: no such file or directory
        "#]],
        );
    }

    #[test]
    fn what_cannot_be_read_is_left_to_the_agent() {
        check(
            "a: [\n",
            expect![[r#"
            a: [
        "#]],
        );
        check(
            "kind: Job\nspec: {template: {spec: {containers: [{image: ./hello.wasm, imagee: 3}]}}}\n",
            expect![[r#"
            kind: Job
            spec: {template: {spec: {containers: [{image: ./hello.wasm, imagee: 3}]}}}
        "#]],
        );
    }

    fn check(text: &str, wanted: Expect) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("deep")).unwrap();
        fs::write(dir.path().join("hello.wasm"), "a").unwrap();
        fs::write(dir.path().join("deep/b.wat"), "b").unwrap();
        let source =
            Source { name: "job.yaml".to_owned(), text: text.to_owned(), dir: dir.path().to_owned() };
        let pinned = pin_locally(&source).unwrap();
        let mut said = pinned.text.unwrap_or_else(|| "(nothing left)\n".to_owned());
        for failure in pinned.refused {
            match failure {
                Failure::Refused(words) => said += &format!("{words}\n"),
                failure => said += &format!("{failure:?}\n"),
            }
        }
        let said: String = said.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        wanted.assert_eq(&said.replace(&dir.path().display().to_string(), "DIR"));
    }
}
