//! From a document to a message, and everything that is wrong on the way.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use prost_reflect::{DynamicMessage, MapKey, Value};

use crate::descriptor::{Cardinality, Field, FieldKind, Shape};
use crate::field_error::{Class, FieldErrors, FieldPath, push_field, push_index, push_key};
use crate::node::Node;
use crate::quantity::Quantity;

/// How far below a misplaced field's place it is looked for, in messages.
const SEARCH_DEPTH: usize = 3;

/// What was read, and all that is wrong with the rest.
pub(crate) struct Decoded {
    /// What could be read. An element of a list that could not be is empty, so that the others keep their places.
    pub(crate) message: DynamicMessage,
    /// What could not.
    pub(crate) errors: FieldErrors,
    /// Fields that were probably meant by unknown ones.
    pub(crate) meant: Vec<FieldPath>,
}

/// Reads a message of this shape. A document that is no map is the only mistake told without a path.
pub fn decode(shape: &'static Shape, node: &Node) -> Result<DynamicMessage, FieldErrors> {
    let Decoded { message, errors, .. } = decode_all(shape, node);
    errors.cut().into_result(message)
}

/// Reads as much of a message of this shape as can be read.
pub(crate) fn decode_all(shape: &'static Shape, node: &Node) -> Decoded {
    let mut decoder =
        Decoder { errors: FieldErrors::new(), meant: Vec::new(), path: String::new(), parents: Vec::new() };
    let message = match node {
        Node::Map(entries) => decoder.object(shape, entries),
        node => {
            decoder.wrong_type::<()>("a map", node, "");
            DynamicMessage::new(shape.descriptor.clone())
        }
    };
    Decoded { message, errors: decoder.errors, meant: decoder.meant }
}

struct Decoder {
    errors: FieldErrors,
    meant: Vec<FieldPath>,
    /// Where we are. One buffer for the whole walk: a path is only copied when there is something to tell.
    path: String,
    /// The messages we are in, each with the length of its path.
    parents: Vec<(&'static Shape, usize)>,
}

impl Decoder {
    fn object(&mut self, shape: &'static Shape, entries: &[(String, Node)]) -> DynamicMessage {
        let mut message = DynamicMessage::new(shape.descriptor.clone());
        let mut seen = Seen::default();
        self.parents.push((shape, self.path.len()));
        for (name, node) in entries {
            let above = self.path.len();
            push_field(&mut self.path, name);
            if seen.first(self, name) {
                self.field(shape, &mut message, name, node);
            }
            self.path.truncate(above);
        }
        self.parents.pop();
        message
    }

    fn field(&mut self, shape: &'static Shape, message: &mut DynamicMessage, name: &str, node: &Node) {
        let Some(mut chain) = shape.find(name) else {
            let is_header = self.parents.len() == 1 && (name == "apiVersion" || name == "kind");
            if !is_header {
                self.unknown(shape, name);
            }
            return;
        };
        let Some(field) = chain.pop() else { return };
        if field.options.dropped || *node == Node::Null {
            return;
        }
        let Some(value) = self.values(field, node) else { return };
        // The message that has the field may stand in others, inline.
        let mut holder = message;
        for inline in chain {
            match holder.get_field_mut(&inline.descriptor) {
                Value::Message(inner) => holder = inner,
                _ => return,
            }
        }
        holder.set_field(&field.descriptor, value);
    }

    fn values(&mut self, field: &'static Field, node: &Node) -> Option<Value> {
        match (field.cardinality, node) {
            (Cardinality::One, node) => self.value(field, node),
            (Cardinality::List, Node::List(elements)) => {
                let mut values = Vec::with_capacity(elements.len());
                for (index, element) in elements.iter().enumerate() {
                    let above = self.path.len();
                    push_index(&mut self.path, index);
                    let value = self.value(field, element);
                    values.push(value.unwrap_or_else(|| Value::default_value(&field.descriptor.kind())));
                    self.path.truncate(above);
                }
                Some(Value::List(values))
            }
            (Cardinality::List, node @ Node::Text(_)) => {
                self.wrong_type("a list", node, "put it in brackets, `[…]`")
            }
            (Cardinality::List, node @ Node::Map(_)) => {
                self.wrong_type("a list", node, "put a `-` before it")
            }
            (Cardinality::List, node) => self.wrong_type("a list", node, ""),
            (Cardinality::Map, Node::Map(entries)) => {
                #[expect(
                    clippy::disallowed_types,
                    reason = "prost-reflect has no other; what is written is sorted"
                )]
                let mut values = std::collections::HashMap::with_capacity(entries.len());
                let mut seen = Seen::default();
                for (key, node) in entries {
                    let above = self.path.len();
                    push_key(&mut self.path, key);
                    let value = match (seen.first(self, key), &field.kind, node) {
                        (false, ..) => None,
                        // A label or annotation with nothing after its colon is empty, as on a cluster.
                        (true, FieldKind::Text, Node::Null) => Some(Value::String(String::new())),
                        (true, ..) => self.value(field, node),
                    };
                    if let Some(value) = value {
                        values.insert(MapKey::String(key.clone()), value);
                    }
                    self.path.truncate(above);
                }
                Some(Value::Map(values))
            }
            (Cardinality::Map, node) => self.wrong_type("a map", node, ""),
        }
    }

    fn value(&mut self, field: &'static Field, node: &Node) -> Option<Value> {
        match (&field.kind, node) {
            (FieldKind::Bool, Node::Bool(value)) => Some(Value::Bool(*value)),
            (FieldKind::Bool, node @ Node::Text(text)) if text == "true" || text == "false" => {
                self.wrong_type("true or false", node, "remove the quotes")
            }
            (FieldKind::Bool, node) => self.wrong_type("true or false", node, ""),

            (FieldKind::Int32, node) => self.whole(node, i32::MIN, i32::MAX).map(Value::I32),
            (FieldKind::Int64, node) => self.whole(node, i64::MIN, i64::MAX).map(Value::I64),
            (FieldKind::Uint32, node) => self.whole(node, u32::MIN, u32::MAX).map(Value::U32),
            (FieldKind::Uint64, node) => self.whole(node, u64::MIN, u64::MAX).map(Value::U64),
            (FieldKind::Double, Node::Int(value)) => Some(double(field, *value as f64)),
            (FieldKind::Double, Node::Float(value)) => Some(double(field, *value)),
            (FieldKind::Double, node) => self.wrong_type("a number", node, ""),

            (FieldKind::Text, Node::Text(text)) => Some(Value::String(text.clone())),
            (FieldKind::Text, node @ (Node::Bool(_) | Node::Int(_) | Node::Float(_))) => {
                self.wrong_type("a string", node, "put it in quotes")
            }
            (FieldKind::Text, node) => self.wrong_type("a string", node, ""),

            (FieldKind::Bytes, Node::Text(text)) => self.bytes(text),
            (FieldKind::Bytes, node) => self.wrong_type("bytes in base64", node, ""),
            (FieldKind::Enum(descriptor), Node::Text(text)) => match descriptor.get_value_by_name(text) {
                Some(value) => Some(Value::EnumNumber(value.number())),
                None => {
                    self.mistake(Class::Unsupported, format!("`{text}` is not one of the values there are"))
                }
            },
            (FieldKind::Enum(_), node) => self.wrong_type("a name", node, ""),

            (FieldKind::Time, Node::Text(text)) => self.time(field, text),
            (FieldKind::Time, node) => self.wrong_type(TIME, node, ""),
            (FieldKind::Quantity, node) => self.quantity(field, node),
            (FieldKind::IntOrString, node) => self.int_or_string(field, node),

            (FieldKind::Message(_), Node::Map(entries)) => {
                field.message().map(|shape| Value::Message(self.object(shape, entries)))
            }
            (FieldKind::Message(_), node) => self.wrong_type("a map", node, ""),
        }
    }

    fn whole<T: TryFrom<i128> + fmt::Display>(&mut self, node: &Node, least: T, most: T) -> Option<T> {
        let value = match node {
            Node::Int(value) => *value,
            // `1e3` and, as it is no octal number, `089`: JSON has but one kind of number.
            Node::Float(value) if value.fract() == 0.0 && value.abs() < 1e18 => *value as i128,
            node @ Node::Text(text) if text.parse::<i64>().is_ok() => {
                return self.wrong_type("a whole number", node, "remove the quotes");
            }
            node => return self.wrong_type("a whole number", node, ""),
        };
        match T::try_from(value) {
            Ok(value) => Some(value),
            Err(_) => {
                let detail = format!("{value} is out of range; the least is {least}, the most {most}");
                self.mistake(Class::Invalid, detail)
            }
        }
    }

    fn bytes(&mut self, text: &str) -> Option<Value> {
        // Kubernetes' reader skips line breaks too, and people paste what `base64` wrapped.
        let joined = text.replace(['\n', '\r'], "");
        match BASE64_STANDARD.decode(joined) {
            Ok(bytes) => Some(Value::Bytes(bytes.into())),
            Err(error) => {
                self.mistake(Class::Invalid, format!("expected bytes in base64: {error}").to_lowercase())
            }
        }
    }

    fn time(&mut self, field: &'static Field, text: &str) -> Option<Value> {
        let Ok(time) = text.parse::<jiff::Timestamp>() else {
            return self
                .mistake(Class::Invalid, format!("expected {TIME}, got {}", Node::Text(text.to_owned())));
        };
        // As stored by Kubernetes: the rest of the second is dropped, towards the past.
        let nanos = time.as_nanosecond();
        let seconds = nanos.div_euclid(1_000_000_000);
        let micros = if field.options.micros { nanos.rem_euclid(1_000_000_000) / 1000 } else { 0 };
        let mut message = self.message_of(field)?;
        message.set_field_by_name("seconds", Value::I64(i64::try_from(seconds).ok()?));
        message.set_field_by_name("nanos", Value::I32(i32::try_from(micros * 1000).ok()?));
        Some(Value::Message(message))
    }

    fn quantity(&mut self, field: &'static Field, node: &Node) -> Option<Value> {
        let text = match node {
            Node::Text(text) => text.clone(),
            Node::Int(value) => value.to_string(),
            Node::Float(value) => value.to_string(),
            node => return self.wrong_type("a quantity such as `500m` or `128Mi`", node, ""),
        };
        match text.parse::<Quantity>() {
            Ok(quantity) => {
                let mut message = self.message_of(field)?;
                message.set_field_by_name("value", Value::String(quantity.to_string()));
                Some(Value::Message(message))
            }
            Err(error) => self.mistake(Class::Invalid, format!("{:?} {error}", text.trim())),
        }
    }

    fn int_or_string(&mut self, field: &'static Field, node: &Node) -> Option<Value> {
        let mut message = self.message_of(field)?;
        match node {
            Node::Text(text) => {
                message.set_field_by_name("type", Value::I64(1));
                message.set_field_by_name("strVal", Value::String(text.clone()));
            }
            Node::Int(_) | Node::Float(_) => {
                let number = self.whole(node, i32::MIN, i32::MAX)?;
                message.set_field_by_name("intVal", Value::I32(number));
            }
            node => return self.wrong_type("a number or a string", node, ""),
        }
        Some(Value::Message(message))
    }

    /// An empty message of the field's own type, also where JSON has something simpler.
    fn message_of(&self, field: &'static Field) -> Option<DynamicMessage> {
        let kind = match (field.cardinality, field.descriptor.kind()) {
            (Cardinality::Map, prost_reflect::Kind::Message(entry)) => entry.map_entry_value_field().kind(),
            (_, kind) => kind,
        };
        kind.as_message().map(|descriptor| DynamicMessage::new(descriptor.clone()))
    }

    fn wrong_type<T>(&mut self, expected: &str, got: &Node, hint: &str) -> Option<T> {
        let hint = if hint.is_empty() { String::new() } else { format!("; {hint}") };
        self.mistake(Class::Type, format!("expected {expected}, got {got}{hint}"))
    }

    fn mistake<T>(&mut self, class: Class, detail: String) -> Option<T> {
        self.errors.push(&self.path[..], class, detail);
        None
    }

    fn unknown(&mut self, shape: &'static Shape, name: &str) {
        if self.errors.is_full() {
            // One more, which is not told.
            self.errors.push(FieldPath::root(), Class::Unknown, "");
            return;
        }
        let names = shape.names();
        let here = self.parents.last().map_or("", |(_, length)| &self.path[..*length]);
        let (place, meant, detail) = if let Some(same) =
            names.iter().find(|known| folded(known) == folded(name))
        {
            (here.to_owned(), *same, format!("unknown field; did you mean `{same}`?"))
        } else if let Some(place) = self.place_of(shape, name) {
            let shown = if place.is_empty() { "the object itself".to_owned() } else { format!("`{place}`") };
            (place, name, format!("unknown field; `{name}` belongs in {shown}"))
        } else if let Some(similar) = similar(name, &names) {
            (here.to_owned(), similar, format!("unknown field; did you mean `{similar}`?"))
        } else {
            self.mistake::<()>(Class::Unknown, "unknown field".to_owned());
            return;
        };
        self.meant.push(FieldPath::from(&place[..]).field(meant));
        self.mistake::<()>(Class::Unknown, detail);
    }

    /// The path to where a field of exactly this name is known: below the message it stands in, or around it.
    fn place_of(&self, shape: &'static Shape, name: &str) -> Option<String> {
        let here = self.parents.last().map_or("", |(_, length)| &self.path[..*length]);
        if let Some(below) = below(shape, name, SEARCH_DEPTH) {
            let mut path = here.to_owned();
            push_field(&mut path, &below);
            return Some(path);
        }
        let (_, length) = self.parents.iter().rev().skip(1).find(|(shape, _)| has_input(shape, name))?;
        Some(self.path[..*length].to_owned())
    }
}

const TIME: &str = "a time such as `2026-11-20T09:00:00Z`";

/// The keys of one map so far, with how often each was there.
#[derive(Default)]
struct Seen<'a>(BTreeMap<&'a str, usize>);

impl<'a> Seen<'a> {
    /// Whether the key is there for the first time. The second time is a mistake, the others are the same one.
    fn first(&mut self, decoder: &mut Decoder, key: &'a str) -> bool {
        let times = self.0.entry(key).or_default();
        *times += 1;
        if *times == 2 {
            decoder.mistake::<()>(Class::Duplicate, "given twice; keep one of them".to_owned());
        }
        *times == 1
    }
}

fn double(field: &Field, value: f64) -> Value {
    match field.descriptor.kind() {
        prost_reflect::Kind::Float => Value::F32(value as f32),
        _ => Value::F64(value),
    }
}

/// The name without what people get wrong about it: `backoff_limit`, `Backofflimit`.
fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// The known name that is nearest, if a slip of the fingers may have led from it to `name`.
fn similar<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let distances = known.iter().map(|known| (strsim::damerau_levenshtein(name, known), *known));
    distances.min().filter(|(distance, known)| *distance <= (known.len() / 4).max(1)).map(|(_, known)| known)
}

/// Whether the message has a field of this name that is not filled in by Wick.
fn has_input(shape: &'static Shape, name: &str) -> bool {
    shape.find(name).and_then(|mut chain| chain.pop()).is_some_and(|field| !field.options.output_only)
}

/// The path to a message below this one that has a field of this name.
fn below(shape: &'static Shape, name: &str, depth: usize) -> Option<String> {
    let mut inner = Vec::new();
    for field in &shape.fields {
        if field.cardinality == Cardinality::One
            && !field.options.output_only
            && !field.options.inline
            && let Some(message) = field.message()
        {
            if has_input(message, name) {
                return Some(field.name.clone());
            }
            inner.push((field, message));
        }
    }
    let deeper = depth.checked_sub(2).map(|rest| rest + 1)?;
    inner.into_iter().find_map(|(field, message)| {
        below(message, name, deeper).map(|rest| format!("{}.{rest}", field.name))
    })
}
