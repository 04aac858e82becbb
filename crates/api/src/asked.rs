//! Objects that were asked for: checked, with their defaults, without an identity yet.
//!
//! What is checked of each kind, and what becomes of a stored one, is said beside the kind.

use jiff::Timestamp;

use crate::field_error::{ERRORS_MAX, FieldErrors, FieldPath};
use crate::json;
use crate::kind::Object;
use crate::node::Node;
use crate::pb::k8s::meta::v1::ObjectMeta;
use crate::support::Warning;
use crate::time;

/// The largest object taken in, in bytes as encoded (etcd's default limit on a request).
pub const OBJECT_MAX: usize = 1536 << 10;

/// An object that was asked for: whoever holds one holds a valid one.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked<M> {
    pub(crate) object: M,
    /// What is wrong with it unless the stored object has it already.
    pub(crate) unless_stored: FieldErrors,
    warnings: Vec<String>,
    whole: bool,
}

impl<M: Object> Asked<M> {
    pub(crate) fn new(object: M, warnings: &[Warning]) -> Asked<M> {
        let more = warnings.len().saturating_sub(ERRORS_MAX);
        let mut warnings: Vec<_> = warnings.iter().take(ERRORS_MAX).map(Warning::to_string).collect();
        if more > 0 {
            warnings.push(format!("and there are {more} more warnings"));
        }
        Asked { object, unless_stored: FieldErrors::new(), warnings, whole: false }
    }

    /// It, unless something is wrong; that is put in the order of the fields, as the object is written.
    pub(crate) fn unless_wrong((asked, errors): (Asked<M>, FieldErrors)) -> Result<Asked<M>, FieldErrors> {
        if errors.is_empty() {
            return Ok(asked);
        }
        Err(asked.in_order(errors).cut())
    }

    pub(crate) fn in_order(&self, errors: FieldErrors) -> FieldErrors {
        match serde_json::from_value::<Node>(json::to_json(&self.object)) {
            Ok(document) => errors.in_order_of(&document, &FieldPath::root()),
            Err(_) => errors,
        }
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.text(|meta| &meta.namespace)
    }

    /// Its name; empty if it is to be generated.
    pub fn name(&self) -> &str {
        self.text(|meta| &meta.name)
    }

    /// What a generated name begins with.
    pub fn generate_name(&self) -> &str {
        self.text(|meta| &meta.generate_name)
    }

    /// The version the writer last saw; empty for any.
    pub fn resource_version(&self) -> &str {
        self.text(|meta| &meta.resource_version)
    }

    fn text(&self, field: fn(&ObjectMeta) -> &String) -> &str {
        self.object.metadata().map_or("", |meta| field(meta))
    }

    /// What was accepted although it means nothing here, `path: why`.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Says that it is all that is to be of the object: whoever sent it had read the stored one, and means what is left
    /// out. A manifest says only what somebody wanted.
    #[must_use]
    pub fn replacing(self) -> Asked<M> {
        Asked { whole: true, ..self }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }
}

/// Whether it is too large to look at; that is then told.
pub(crate) fn is_too_large<M: Object>(object: &M, errors: &mut FieldErrors) -> bool {
    let bytes = object.encoded_len();
    if bytes > OBJECT_MAX {
        errors.too_long(FieldPath::root(), bytes, OBJECT_MAX);
    }
    bytes > OBJECT_MAX
}

/// The metadata of an object that is first stored: what may be given, under this name and identity.
pub(crate) fn stamp(meta: &mut ObjectMeta, name: String, uid: &str, now: Timestamp) {
    *meta = ObjectMeta {
        name,
        generate_name: std::mem::take(&mut meta.generate_name),
        namespace: std::mem::take(&mut meta.namespace),
        labels: std::mem::take(&mut meta.labels),
        annotations: std::mem::take(&mut meta.annotations),
        owner_references: std::mem::take(&mut meta.owner_references),
        uid: uid.to_owned(),
        generation: 1,
        creation_timestamp: Some(time::seconds(now)),
        ..ObjectMeta::default()
    };
}

/// Puts what was given over the metadata of a stored object.
pub(crate) fn revise(meta: &mut ObjectMeta, given: ObjectMeta, whole: bool) {
    meta.labels = given.labels;
    meta.annotations = given.annotations;
    // A manifest that says nothing of owners does not take them away.
    if whole || !given.owner_references.is_empty() {
        meta.owner_references = given.owner_references;
    }
}
