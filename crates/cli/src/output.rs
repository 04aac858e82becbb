//! Puts data on stdout, in the form that was asked for.
//!
//! Only data: what is said about it goes to stderr, through [`crate::failure`].

use std::io::{self, Write};

use api::json;
use serde_json::Value;

use crate::failure::Failure;
use crate::form::Form;
use crate::kind::Kind;
use crate::objects::Object;

/// Prints text as it is.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// Prints bytes as they are, and does not keep them waiting.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// `objects` in full: one as itself, several as a List.
pub(crate) fn in_full(objects: &[Object], single: bool) -> Value {
    match objects {
        [object] if single => value(object),
        _ => {
            let mut items = json::list(objects.iter().map(value).collect());
            // kubectl's readers expect it; a List of several requests has no revision of its own.
            if let Value::Object(fields) = &mut items {
                fields.insert("metadata".to_owned(), serde_json::json!({"resourceVersion": ""}));
            }
            items
        }
    }
}

/// What `form` makes of one value in full; `None` if it makes tables, or names.
pub(crate) fn written(value: &Value, form: &Form) -> Option<String> {
    match form {
        Form::Yaml => {
            let text = api::yaml::write(value);
            Some(if text.ends_with('\n') { text } else { text + "\n" })
        }
        Form::Json => Some(indented(value)),
        Form::Template(template) => Some(template.print(value)),
        Form::Wide | Form::Name | Form::Columns(_) => None,
    }
}

/// JSON with the four blanks of kubectl's.
fn indented(value: &Value) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    match serde::Serialize::serialize(value, &mut writer) {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned() + "\n",
        Err(error) => unreachable!("a JSON value is not JSON: {error}"),
    }
}

/// An object in full.
pub(crate) fn value(object: &Object) -> Value {
    match object {
        Object::Job(job) => json::to_json(job.as_ref()),
        Object::CronJob(scheduled) => json::to_json(&scheduled.cron_job),
        Object::Pod(pod) => json::to_json(pod.as_ref()),
        Object::Event(event) => json::to_json(event.as_ref()),
        Object::Image(image) => own(object.kind(), json::to_json(image)),
        Object::Node(node) => own(object.kind(), json::to_json(node.as_ref())),
    }
}

/// An object of a kind that Kubernetes does not have, named as Kubernetes names one.
fn own(kind: Kind, fields: Value) -> Value {
    let mut object = serde_json::json!({"apiVersion": kind.api_version(), "kind": kind.in_manifests()});
    if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields) {
        for (name, value) in fields {
            // An Image's own `kind` says module or component.
            let (name, value) = match (name.as_str(), value.as_str()) {
                ("kind", Some(value)) => {
                    ("type".to_owned(), value.trim_start_matches("IMAGE_KIND_").to_lowercase().into())
                }
                _ => (name, value),
            };
            object.insert(name, value);
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ago;
    use api::pb::k8s::batch::v1::Job;
    use api::pb::k8s::meta::v1::ObjectMeta;
    use api::pb::wick::v1::{Image, ImageKind, Node};
    use expect_test::{Expect, expect};

    #[test]
    fn one_object_is_itself() {
        check(
            &[job("hello")],
            true,
            Form::Json,
            expect![[r#"
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {
                    "name": "hello"
                }
            }
        "#]],
        );
        check(
            &[job("hello")],
            true,
            Form::Yaml,
            expect![[r#"
            apiVersion: batch/v1
            kind: Job
            metadata:
              name: hello
        "#]],
        );
    }

    #[test]
    fn several_objects_are_a_list() {
        check(
            &[job("a"), job("b")],
            false,
            Form::Yaml,
            expect![[r#"
            apiVersion: v1
            kind: List
            items:
            - apiVersion: batch/v1
              kind: Job
              metadata:
                name: a
            - apiVersion: batch/v1
              kind: Job
              metadata:
                name: b
            metadata:
              resourceVersion: ""
        "#]],
        );
        check(
            &[],
            false,
            Form::Yaml,
            expect![[r#"
            apiVersion: v1
            kind: List
            items: []
            metadata:
              resourceVersion: ""
        "#]],
        );
    }

    #[test]
    fn what_kubernetes_does_not_have_is_printed_too() {
        let image = Image {
            name: "hello:latest".to_owned(),
            digest: "sha256:01".to_owned(),
            size_bytes: 69_632,
            kind: ImageKind::Module.into(),
            pushed_at: ago(0),
        };
        check(
            &[Object::Image(image)],
            true,
            Form::Yaml,
            expect![[r#"
            apiVersion: wick.dev/v1
            kind: Image
            name: hello:latest
            digest: sha256:01
            sizeBytes: 69632
            type: module
            pushedAt: "2026-11-20T15:00:00Z"
        "#]],
        );
        let node = Node { name: "gate".to_owned(), revision: 1 << 60, ..Node::default() };
        check(
            &[Object::Node(Box::new(node))],
            true,
            Form::Yaml,
            expect![[r#"
            apiVersion: wick.dev/v1
            kind: Node
            name: gate
            revision: 1152921504606846976
        "#]],
        );
    }

    fn job(name: &str) -> Object {
        let metadata = Some(ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() });
        Object::Job(Box::new(Job { metadata, ..Job::default() }))
    }

    fn check(objects: &[Object], single: bool, form: Form, wanted: Expect) {
        wanted.assert_eq(&written(&in_full(objects, single), &form).unwrap());
    }
}
