//! Kubernetes' JSON and YAML ⇄ messages, by walking the descriptors.
//!
//! Reading tells **everything** that is wrong with a document at once, each with its path. It knows types and nothing
//! else: whether a value makes sense is checked elsewhere, and so is whether we can do what it asks for
//! ([`support`](crate::support)).
//!
//! Where Kubernetes' JSON is not protobuf's: 64-bit integers are numbers, inline messages are flattened, times have
//! whole seconds, quantities are strings, and a field set to `null` is not set.

mod decode;
mod encode;

use prost::{Message, Name};
use prost_reflect::DynamicMessage;
use serde_json::{Map, Value, json};

pub use decode::decode;
use decode::{Decoded, decode_all};
pub use encode::encode;

use crate::descriptor::Shape;
use crate::field_error::{FieldErrors, FieldPath};
use crate::kind::Kind;
use crate::node::Node;
use crate::yaml;

/// A message that was read as far as it could be.
pub(crate) struct Reading<M> {
    /// What could be read.
    pub(crate) message: M,
    /// What could not.
    pub(crate) errors: FieldErrors,
    /// Fields that were probably meant by unknown ones.
    pub(crate) meant: Vec<FieldPath>,
}

/// Reads a message. `apiVersion` and `kind` may be there and are not looked at.
pub fn from_node<M: Message + Name + Default>(node: &Node) -> Result<M, FieldErrors> {
    let Reading { message, errors, .. } = read_node(node);
    errors.cut().into_result(message)
}

/// Reads as much of a message as can be read.
pub(crate) fn read_node<M: Message + Name + Default>(node: &Node) -> Reading<M> {
    let Decoded { message, errors, meant } = decode_all(Shape::of::<M>(), node);
    match message.transcode_to() {
        Ok(message) => Reading { message, errors, meant },
        Err(error) => unreachable!("`{}` was compiled from these descriptors: {error}", M::full_name()),
    }
}

/// Writes a message; an object of a kind starts with `apiVersion` and `kind`.
pub fn to_json<M: Message + Name>(message: &M) -> Value {
    let fields = encode(Shape::of::<M>(), &to_dynamic(message));
    let Some(kind) = Kind::of_message(&M::full_name()) else {
        return Value::Object(fields);
    };
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), kind.api_version().into());
    object.insert("kind".to_owned(), kind.kind.into());
    object.extend(fields);
    Value::Object(object)
}

/// Writes a message as one YAML document.
pub fn to_yaml<M: Message + Name>(message: &M) -> String {
    yaml::write(&to_json(message))
}

/// Several objects in one, as `kubectl get -o yaml` prints them.
pub fn list(items: Vec<Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

pub(crate) fn to_dynamic<M: Message + Name>(message: &M) -> DynamicMessage {
    match DynamicMessage::decode(Shape::of::<M>().descriptor.clone(), &message.encode_to_vec()[..]) {
        Ok(dynamic) => dynamic,
        Err(error) => unreachable!("`{}` was compiled from these descriptors: {error}", M::full_name()),
    }
}

#[cfg(test)]
mod tests;
