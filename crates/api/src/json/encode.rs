//! From a message to Kubernetes' JSON, in the order of the `.proto` files.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use prost_reflect::{DynamicMessage, MapKey, Value};
use serde_json::{Map, Value as Json, json};

use crate::descriptor::{Cardinality, Field, FieldKind, Shape};

/// Writes a message of this shape. What is not set is left out, as is what is zero or empty unless it was set on
/// purpose (`optional`) or clients rely on it (`always`).
pub fn encode(shape: &'static Shape, message: &DynamicMessage) -> Map<String, Json> {
    let mut object = Map::new();
    write(shape, message, &mut object);
    object
}

fn write(shape: &'static Shape, message: &DynamicMessage, object: &mut Map<String, Json>) {
    for field in &shape.fields {
        // Most fields of most objects are not set, and the default of a message is made anew each time.
        let is_set = message.has_field(&field.descriptor);
        if let Some(inner) = field.inline() {
            if let Value::Message(message) = &*message.get_field(&field.descriptor) {
                write(inner, message, object);
            }
        } else if is_set || field.options.always {
            let json = values(field, &message.get_field(&field.descriptor));
            if !json.is_null() {
                object.insert(field.name.clone(), json);
            }
        }
    }
}

fn values(field: &'static Field, value: &Value) -> Json {
    match (field.cardinality, value) {
        (Cardinality::List, Value::List(list)) => list.iter().map(|value| one(field, value)).collect(),
        (Cardinality::Map, Value::Map(map)) => {
            let mut entries = map.iter().collect::<Vec<_>>();
            entries.sort_by_key(|(key, _)| *key); // The map is hashed; what is printed must not depend on that.
            let entries = entries.into_iter().map(|(key, value)| (text_of(key), one(field, value)));
            Json::Object(entries.collect())
        }
        (_, value) => one(field, value),
    }
}

fn one(field: &'static Field, value: &Value) -> Json {
    match (&field.kind, value) {
        (FieldKind::Time, Value::Message(time)) => time_of(field, time),
        (FieldKind::Quantity, Value::Message(quantity)) => match text_field(quantity, "value") {
            text if text.is_empty() => json!("0"), // What Go writes for a quantity without a value.
            text => Json::String(text),
        },
        (FieldKind::IntOrString, Value::Message(either)) => match integer_field(either, "type") {
            1 => Json::String(text_field(either, "strVal")),
            _ => integer_field(either, "intVal").into(),
        },
        (FieldKind::Message(_), Value::Message(message)) => match field.message() {
            Some(shape) => Json::Object(encode(shape, message)),
            None => Json::Null,
        },
        (FieldKind::Enum(descriptor), Value::EnumNumber(number)) => match descriptor.get_value(*number) {
            Some(value) => value.name().into(),
            None => (*number).into(),
        },
        (_, Value::Bool(value)) => (*value).into(),
        (_, Value::I32(value)) => (*value).into(),
        (_, Value::I64(value)) => (*value).into(),
        (_, Value::U32(value)) => (*value).into(),
        (_, Value::U64(value)) => (*value).into(),
        (_, Value::F32(value)) => f64::from(*value).into(),
        (_, Value::F64(value)) => (*value).into(),
        (_, Value::String(text)) => text.as_str().into(),
        (_, Value::Bytes(bytes)) => BASE64_STANDARD.encode(bytes).into(),
        (_, Value::EnumNumber(_) | Value::Message(_) | Value::List(_) | Value::Map(_)) => Json::Null,
    }
}

/// RFC 3339 in UTC. The first second of 1970 is no time: an empty message is how Go's clients send that there is none.
fn time_of(field: &Field, time: &DynamicMessage) -> Json {
    let seconds = integer_field(time, "seconds");
    let nanos = i32::try_from(integer_field(time, "nanos")).unwrap_or_default();
    if seconds == 0 && nanos == 0 {
        return Json::Null;
    }
    let nearest = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    if field.options.micros {
        let time = Timestamp::new(seconds, nanos / 1000 * 1000).unwrap_or(nearest);
        Json::String(format!("{time:.6}"))
    } else {
        let time = Timestamp::from_second(seconds).unwrap_or(nearest);
        Json::String(format!("{time:.0}"))
    }
}

fn integer_field(message: &DynamicMessage, name: &str) -> i64 {
    match message.get_field_by_name(name).as_deref() {
        Some(Value::I64(value)) => *value,
        Some(Value::I32(value)) => i64::from(*value),
        _ => 0,
    }
}

fn text_field(message: &DynamicMessage, name: &str) -> String {
    match message.get_field_by_name(name).as_deref() {
        Some(Value::String(text)) => text.clone(),
        _ => String::new(),
    }
}

fn text_of(key: &MapKey) -> String {
    match key {
        MapKey::String(text) => text.clone(),
        MapKey::Bool(value) => value.to_string(),
        MapKey::I32(value) => value.to_string(),
        MapKey::I64(value) => value.to_string(),
        MapKey::U32(value) => value.to_string(),
        MapKey::U64(value) => value.to_string(),
    }
}
