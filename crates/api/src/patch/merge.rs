//! RFC 7386: maps are merged, `null` removes, everything else replaces.

use serde_json::{Map, Value};

/// Merges `patch` into `fields`.
pub(super) fn apply(fields: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, new) in patch {
        match new {
            Value::Null => {
                fields.remove(name);
            }
            Value::Object(new) => {
                let field = fields.entry(name.as_str()).or_insert(Value::Null);
                if !field.is_object() {
                    *field = Value::Object(Map::new());
                }
                if let Value::Object(field) = field {
                    apply(field, new);
                }
            }
            new => {
                fields.insert(name.clone(), new.clone());
            }
        }
    }
}
