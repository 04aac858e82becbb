//! The descriptor set: what reflection serves, and the schema that the transcoder and the checks walk.
//!
//! [`Shape`] is a message as Kubernetes' JSON has it, worked out from the descriptors and our options once, at the
//! first use. There is no other list of fields.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use prost::Name;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, Value};

use crate::pb::wick::options::v1::Unsupported;

/// Every `.proto` file as one `google.protobuf.FileDescriptorSet`, comments and options included.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The descriptors of every message and service.
pub fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| match DescriptorPool::decode(FILE_DESCRIPTOR_SET) {
        Ok(pool) => pool,
        // Written by build.rs from a pool, and read by a test.
        Err(error) => unreachable!("the compiled descriptor set is broken: {error}"),
    })
}

/// A message as JSON has it.
#[derive(Debug)]
pub struct Shape {
    /// The message.
    pub descriptor: MessageDescriptor,
    /// Its fields, in the order of the `.proto` file, which is the order they are written in.
    pub fields: Vec<Field>,
}

/// A field as JSON has it.
#[derive(Debug)]
pub struct Field {
    /// The field.
    pub descriptor: FieldDescriptor,
    /// Its name in JSON. The fields of an inline message stand in its place.
    pub name: String,
    /// How many values it has.
    pub cardinality: Cardinality,
    /// What a value is; of a map, what the values are. Map keys are strings.
    pub kind: FieldKind,
    /// What our options say about it.
    pub options: Options,
}

/// How many values a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// One, or none.
    One,
    /// Any number, in order.
    List,
    /// Any number, by key.
    Map,
}

/// What a value is in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// `true` or `false`.
    Bool,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// A whole number of 32 bits, not negative.
    Uint32,
    /// A whole number of 64 bits, not negative.
    Uint64,
    /// A number.
    Double,
    /// A text.
    Text,
    /// Bytes, as base64.
    Bytes,
    /// One of the names of an enum.
    Enum(prost_reflect::EnumDescriptor),
    /// A time, as RFC 3339.
    Time,
    /// An amount such as `128Mi`; a bare number will do.
    Quantity,
    /// A number or a text.
    IntOrString,
    /// A message of this full name.
    Message(String),
}

/// What `wick/options/v1/options.proto` can say about a field; each is explained there.
#[derive(Debug, Default)]
pub struct Options {
    /// The message's fields stand beside their parent's.
    pub inline: bool,
    /// The list is merged by this field of its elements.
    pub merge_key: Option<String>,
    /// An element's patch may carry `$retainKeys`.
    pub retain_keys: bool,
    /// The list of scalars is merged as a set.
    pub merge_set: bool,
    /// The unit of the number.
    pub unit: Option<String>,
    /// The time is written with microseconds.
    pub micros: bool,
    /// Written even when zero or empty.
    pub always: bool,
    /// Filled in by Wick.
    pub output_only: bool,
    /// Forgotten without being read.
    pub dropped: bool,
    /// Accepted with a warning.
    pub warned: Option<Unsupported>,
    /// Refused.
    pub refused: Option<Unsupported>,
}

impl Shape {
    /// The shape of a message, by its full name.
    pub fn named(full_name: &str) -> Option<&'static Shape> {
        shapes().get(full_name)
    }

    /// The shape of a compiled message type.
    pub fn of<M: Name>() -> &'static Shape {
        match Shape::named(&M::full_name()) {
            Some(shape) => shape,
            None => unreachable!("`{}` was compiled from another descriptor set", M::full_name()),
        }
    }

    /// The field of this name, which may stand in an inline message: then the inline fields that lead to it come
    /// first.
    pub fn find(&'static self, name: &str) -> Option<Vec<&'static Field>> {
        for field in &self.fields {
            if let Some(inner) = field.inline() {
                if let Some(mut rest) = inner.find(name) {
                    rest.insert(0, field);
                    return Some(rest);
                }
            } else if field.name == name {
                return Some(vec![field]);
            }
        }
        None
    }

    /// The names of all fields, those of inline messages included.
    pub fn names(&'static self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for field in &self.fields {
            match field.inline() {
                Some(inner) => names.append(&mut inner.names()),
                None => names.push(field.name.as_str()),
            }
        }
        names
    }
}

impl Field {
    /// The shape of the message, if it is one.
    pub fn message(&self) -> Option<&'static Shape> {
        match &self.kind {
            FieldKind::Message(name) => Shape::named(name),
            _ => None,
        }
    }

    /// The shape of the message, if its fields stand beside their parent's.
    pub fn inline(&self) -> Option<&'static Shape> {
        if self.options.inline { self.message() } else { None }
    }

    fn new(descriptor: FieldDescriptor) -> Field {
        let (cardinality, kind) = if descriptor.is_map() {
            let values = match descriptor.kind() {
                prost_reflect::Kind::Message(entry) => entry.map_entry_value_field().kind(),
                kind => kind,
            };
            (Cardinality::Map, values)
        } else if descriptor.is_list() {
            (Cardinality::List, descriptor.kind())
        } else {
            (Cardinality::One, descriptor.kind())
        };
        Field {
            name: descriptor.json_name().to_owned(),
            cardinality,
            kind: FieldKind::new(kind),
            options: Options::new(&descriptor),
            descriptor,
        }
    }
}

impl FieldKind {
    fn new(kind: prost_reflect::Kind) -> FieldKind {
        use prost_reflect::Kind;
        match kind {
            Kind::Bool => FieldKind::Bool,
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => FieldKind::Int32,
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => FieldKind::Int64,
            Kind::Uint32 | Kind::Fixed32 => FieldKind::Uint32,
            Kind::Uint64 | Kind::Fixed64 => FieldKind::Uint64,
            Kind::Float | Kind::Double => FieldKind::Double,
            Kind::String => FieldKind::Text,
            Kind::Bytes => FieldKind::Bytes,
            Kind::Enum(descriptor) => FieldKind::Enum(descriptor),
            Kind::Message(descriptor) => match descriptor.full_name() {
                "google.protobuf.Timestamp" => FieldKind::Time,
                "google.protobuf.StringValue" => FieldKind::Quantity,
                "k8s.util.v1.IntOrString" => FieldKind::IntOrString,
                name => FieldKind::Message(name.to_owned()),
            },
        }
    }
}

impl Options {
    fn new(field: &FieldDescriptor) -> Options {
        let given = field.options();
        let mut options = Options::default();
        for (extension, value) in given.extensions() {
            let flag = value.as_bool().unwrap_or_default();
            let text = || value.as_str().map(str::to_owned);
            match extension.full_name() {
                "wick.options.v1.inline" => options.inline = flag,
                "wick.options.v1.merge_key" => options.merge_key = text(),
                "wick.options.v1.retain_keys" => options.retain_keys = flag,
                "wick.options.v1.merge_set" => options.merge_set = flag,
                "wick.options.v1.unit" => options.unit = text(),
                "wick.options.v1.micros" => options.micros = flag,
                "wick.options.v1.always" => options.always = flag,
                "wick.options.v1.output_only" => options.output_only = flag,
                "wick.options.v1.dropped" => options.dropped = flag,
                "wick.options.v1.warned" => options.warned = unsupported(value),
                "wick.options.v1.refused" => options.refused = unsupported(value),
                _ => {}
            }
        }
        options
    }
}

fn unsupported(value: &Value) -> Option<Unsupported> {
    value.as_message().and_then(|message: &DynamicMessage| message.transcode_to().ok())
}

fn shapes() -> &'static BTreeMap<String, Shape> {
    static SHAPES: OnceLock<BTreeMap<String, Shape>> = OnceLock::new();
    SHAPES.get_or_init(|| {
        let messages = pool().all_messages().filter(|message| !message.is_map_entry());
        let shapes = messages.map(|descriptor| {
            let numbers =
                descriptor.descriptor_proto().field.iter().map(|field| field.number().unsigned_abs());
            let fields = numbers.filter_map(|number| descriptor.get_field(number)).map(Field::new).collect();
            (descriptor.full_name().to_owned(), Shape { descriptor, fields })
        });
        shapes.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(message: &str, fields: &[&str], expected: Expect) {
        let shape = Shape::named(message).unwrap();
        let lines = fields.iter().map(|name| {
            let found = shape.find(name).unwrap();
            let numbers = found.iter().map(|field| field.descriptor.number().to_string()).collect::<Vec<_>>();
            let last = found.last().unwrap();
            let presence = if last.descriptor.supports_presence() { "?" } else { "" };
            format!("{name} {}{presence} {:?} {:?}\n", numbers.join("."), last.cardinality, last.kind)
        });
        expected.assert_eq(&lines.collect::<String>());
    }

    #[test]
    fn has_kubernetes_numbers_types_and_pointers() {
        check(
            "k8s.batch.v1.JobSpec",
            &[
                "parallelism",
                "completions",
                "activeDeadlineSeconds",
                "template",
                "backoffLimit",
                "completionMode",
            ],
            expect![[r#"
                parallelism 1? One Int32
                completions 2? One Int32
                activeDeadlineSeconds 3? One Int64
                template 6? One Message("k8s.core.v1.PodTemplateSpec")
                backoffLimit 7? One Int32
                completionMode 9? One Text
            "#]],
        );
        check(
            "k8s.batch.v1.CronJobSpec",
            &["schedule", "concurrencyPolicy", "jobTemplate", "timeZone"],
            expect![[r#"
                schedule 1 One Text
                concurrencyPolicy 3 One Text
                jobTemplate 5? One Message("k8s.batch.v1.JobTemplateSpec")
                timeZone 8? One Text
            "#]],
        );
        check(
            "k8s.core.v1.Container",
            &[
                "name",
                "image",
                "command",
                "args",
                "env",
                "resources",
                "volumeMounts",
                "securityContext",
                "tty",
            ],
            expect![[r#"
                name 1 One Text
                image 2 One Text
                command 3 List Text
                args 4 List Text
                env 7 List Message("k8s.core.v1.EnvVar")
                resources 8? One Message("k8s.core.v1.ResourceRequirements")
                volumeMounts 9 List Message("k8s.core.v1.VolumeMount")
                securityContext 15? One Message("k8s.core.v1.SecurityContext")
                tty 18 One Bool
            "#]],
        );
        check(
            "k8s.core.v1.ResourceRequirements",
            &["limits", "requests"],
            expect![[r#"
                limits 1 Map Quantity
                requests 2 Map Quantity
            "#]],
        );
        check(
            "k8s.meta.v1.ObjectMeta",
            &["uid", "creationTimestamp", "deletionGracePeriodSeconds", "labels", "ownerReferences"],
            expect![[r#"
                uid 5 One Text
                creationTimestamp 8? One Time
                deletionGracePeriodSeconds 10? One Int64
                labels 11 Map Text
                ownerReferences 13 List Message("k8s.meta.v1.OwnerReference")
            "#]],
        );
    }

    #[test]
    fn finds_fields_of_inline_messages() {
        check(
            "k8s.core.v1.Volume",
            &["name", "emptyDir", "configMap"],
            expect![[r#"
                name 1 One Text
                emptyDir 2.2? One Message("k8s.core.v1.EmptyDirVolumeSource")
                configMap 2.19? One Message("k8s.core.v1.ConfigMapVolumeSource")
            "#]],
        );
        check(
            "k8s.core.v1.Probe",
            &["httpGet", "periodSeconds"],
            expect![[r#"
                httpGet 1.2? One Message("k8s.core.v1.HTTPGetAction")
                periodSeconds 4 One Int32
            "#]],
        );
        check(
            "k8s.core.v1.SecretKeySelector",
            &["name", "key"],
            expect![[r#"
                name 1.1 One Text
                key 2 One Text
            "#]],
        );
    }

    #[test]
    fn reads_every_option() {
        let field = |message: &str, name: &str| {
            let field = Shape::named(message).unwrap().find(name).unwrap().pop().unwrap();
            format!("{:#?}", field.options)
        };
        expect![[r#"
            Options {
                inline: false,
                merge_key: Some(
                    "name",
                ),
                retain_keys: true,
                merge_set: false,
                unit: None,
                micros: false,
                always: false,
                output_only: false,
                dropped: false,
                warned: None,
                refused: None,
            }"#]]
        .assert_eq(&field("k8s.core.v1.PodSpec", "volumes"));
        expect![[r#"
            Options {
                inline: false,
                merge_key: None,
                retain_keys: false,
                merge_set: false,
                unit: None,
                micros: false,
                always: false,
                output_only: false,
                dropped: false,
                warned: Some(
                    Unsupported {
                        why: "names are looked up by the device's resolver",
                        except: [
                            "ClusterFirst",
                            "Default",
                        ],
                        even_empty: false,
                    },
                ),
                refused: None,
            }"#]]
        .assert_eq(&field("k8s.core.v1.PodSpec", "dnsPolicy"));
    }

    #[test]
    fn every_merge_key_is_a_field_of_its_list() {
        for shape in shapes().values() {
            for field in &shape.fields {
                if let Some(key) = &field.options.merge_key {
                    assert!(
                        field.message().unwrap().find(key).is_some(),
                        "{}.{}",
                        shape.descriptor.name(),
                        field.name
                    );
                }
            }
        }
    }

    #[test]
    fn every_field_of_kubernetes_is_explained() {
        for file in pool().files().filter(|file| file.name().starts_with("k8s/")) {
            let proto = file.file_descriptor_proto();
            let comments = proto.source_code_info.as_ref().unwrap();
            for (message, descriptor) in proto.message_type.iter().enumerate() {
                for (field, of) in descriptor.field.iter().enumerate() {
                    let path = [4, message as i32, 2, field as i32];
                    let location = comments.location.iter().find(|location| location.path == path).unwrap();
                    assert!(
                        !location.leading_comments().trim().is_empty(),
                        "{}.{}",
                        descriptor.name(),
                        of.name()
                    );
                }
            }
        }
    }
}
