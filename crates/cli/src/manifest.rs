//! What a manifest holds that concerns this side: what its objects are called, and which images are files.
//!
//! The text is otherwise left as it is, comments and all, so that the agent's errors name the lines people see. What
//! is wrong with an object is the agent's to say.

use std::ops::Range;

use api::manifest::{self, Object, SyntaxError};
use api::pb::k8s::batch::v1::JobSpec;

/// One document of a manifest, and the objects in it (a List has several).
#[derive(Debug)]
pub(crate) struct Document {
    /// Its bytes, with the `---` before it.
    range: Range<usize>,
    /// The line it begins at, from 1.
    line: u64,
    /// Its objects, readable or not.
    pub(crate) objects: Vec<manifest::Document>,
}

/// A container's image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageField {
    /// Where it is in the object: `spec.template.spec.containers[0].image`.
    pub(crate) path: String,
    /// What it says.
    pub(crate) image: String,
}

/// The documents of `text`; those with nothing in them are left out.
pub(crate) fn read(text: &str) -> Result<Vec<Document>, SyntaxError> {
    manifest::parse(text)?;
    let mut documents = Vec::new();
    for range in ranges(text) {
        let line = 1 + text[..range.start].matches('\n').count() as u64;
        // As a whole it can be read; a piece that cannot holds no object (a directive before the first `---`).
        let objects = manifest::parse(&text[range.clone()]).unwrap_or_default();
        if !objects.is_empty() {
            documents.push(Document { range, line, objects });
        }
    }
    Ok(documents)
}

impl Document {
    /// The line of the text at which one of its objects' document begins.
    pub(crate) fn line_of(&self, object: &manifest::Document) -> u64 {
        self.line + object.line - 1
    }

    /// Takes it out of the text it was read from, and leaves every other line where it was.
    pub(crate) fn blank(&self, text: &mut String) {
        let mut first = true;
        let lines = text[self.range.clone()].split_inclusive('\n').map(|line| {
            let mark = if std::mem::take(&mut first) && line.starts_with("---") { "---" } else { "" };
            // Blanks, so that the places of the others stay as they are.
            let end = if line.ends_with('\n') { "\n" } else { "" };
            format!("{mark}{}{end}", " ".repeat(line.len() - mark.len() - end.len()))
        });
        let lines: String = lines.collect();
        text.replace_range(self.range.clone(), &lines);
    }
}

/// The images of an object's containers; none if the object cannot be read.
pub(crate) fn images(document: &manifest::Document) -> Vec<ImageField> {
    match &document.object {
        Ok(Object::Job(job)) => of_job("spec", job.spec.as_deref()),
        Ok(Object::CronJob(cron_job)) => {
            let template = cron_job.spec.as_ref().and_then(|spec| spec.job_template.as_ref());
            of_job("spec.jobTemplate.spec", template.and_then(|template| template.spec.as_deref()))
        }
        Err(_) => Vec::new(),
    }
}

fn of_job(path: &str, spec: Option<&JobSpec>) -> Vec<ImageField> {
    let Some(pod) = spec.and_then(|spec| spec.template.as_ref()?.spec.as_ref()) else { return Vec::new() };
    let lists = [("initContainers", &pod.init_containers), ("containers", &pod.containers)];
    let fields = lists.iter().flat_map(|(name, containers)| {
        containers.iter().enumerate().map(move |(index, container)| ImageField {
            path: format!("{path}.template.spec.{name}[{index}].image"),
            image: container.image.clone(),
        })
    });
    fields.collect()
}

/// Where documents begin and end: a line that begins with `---` begins one, whatever it stands in.
fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        let rest = line.strip_prefix("---");
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])) && at > start
        {
            ranges.push(start..at);
            start = at;
        }
        at += line.len();
    }
    if at > start {
        ranges.push(start..at);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const TWO: &str = "\
%YAML 1.2
---
# The first.
apiVersion: batch/v1
kind: Job
metadata: {name: a, namespace: other}
spec:
  template:
    spec:
      containers:
        - {name: a, image: ./größe.wasm}
        - {name: b, image: hello:1}
--- # nothing
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: b}
spec: {jobTemplate: {spec: {template: {spec: {initContainers: [{image: ../b.wat}]}}}}}
";

    #[test]
    fn images_have_paths() {
        check(
            TWO,
            expect![[r#"
            line 4: Job other/a
              spec.template.spec.containers[0].image: ./größe.wasm
              spec.template.spec.containers[1].image: hello:1
            line 15: CronJob /b
              spec.jobTemplate.spec.template.spec.initContainers[0].image: ../b.wat
        "#]],
        );
    }

    #[test]
    fn a_list_is_what_it_lists() {
        check(
            "kind: List\nitems: [{apiVersion: batch/v1, kind: Job, metadata: {name: a}}, {kind: Pod}]",
            expect![[r#"
            line 1: Job /a
            line 1: Pod /
        "#]],
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        check("kind: Job\n---\na: [\n", expect!["line 3, column 4: unclosed bracket '['"]);
    }

    #[test]
    fn a_document_that_is_taken_out_leaves_the_lines_of_the_others() {
        let mut text = TWO.to_owned();
        let documents = read(TWO).unwrap();
        documents[0].blank(&mut text);
        assert_eq!(text.len(), TWO.len());
        check(
            &text,
            expect![[r#"
            line 15: CronJob /b
              spec.jobTemplate.spec.template.spec.initContainers[0].image: ../b.wat
        "#]],
        );
        documents[1].blank(&mut text);
        check(&text, expect![""]);
    }

    fn check(text: &str, wanted: Expect) {
        let said = match read(text) {
            Ok(documents) => documents
                .iter()
                .flat_map(|document| {
                    document.objects.iter().map(move |object| (document.line_of(object), object))
                })
                .map(|(line, object)| {
                    let mut said =
                        format!("line {line}: {} {}/{}\n", object.kind, object.namespace, object.name);
                    for image in images(object) {
                        said += &format!("  {}: {}\n", image.path, image.image);
                    }
                    said
                })
                .collect(),
            Err(error) => error.to_string(),
        };
        wanted.assert_eq(&said);
    }
}
