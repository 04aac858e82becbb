//! Why something was turned down, as Kubernetes says it: a Status.

use api::FieldErrors;
use api::kind::Kind;
use api::pb::k8s::meta::v1::{ListMeta, Status, StatusCause, StatusDetails};
use engine::Rejected;

/// There is no such object.
pub(super) fn not_found(kind: &Kind, name: &str) -> Box<Status> {
    status(404, "NotFound", format!("{} \"{name}\" not found", resource(kind)), details(kind, name))
}

/// What was given cannot be done, or not yet.
pub(super) fn bad_request(kind: &Kind, name: &str, message: String) -> Box<Status> {
    status(400, "BadRequest", message, details(kind, name))
}

/// An object that cannot be: every reason, with its path.
pub(super) fn invalid(kind: &Kind, name: &str, errors: &FieldErrors) -> Box<Status> {
    let all = match errors.len() {
        1 => errors.to_string(),
        _ => format!("[{}]", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    };
    let of =
        if kind.group.is_empty() { kind.kind.to_owned() } else { format!("{}.{}", kind.kind, kind.group) };
    let message = format!("{of} \"{name}\" is invalid: {all}");
    // One that cannot even be read is no object that breaks a rule.
    let (code, reason) = if errors.iter().any(|error| error.class.is_syntax()) {
        (400, "BadRequest")
    } else {
        (422, "Invalid")
    };
    let causes = errors.iter().map(|error| StatusCause {
        reason: error.class.reason().to_owned(),
        message: error.detail.clone(),
        field: error.path.as_str().to_owned(),
    });
    status(code, reason, message, StatusDetails { causes: causes.collect(), ..details(kind, name) })
}

/// What the engine would not do.
pub(super) fn rejected(kind: &Kind, name: &str, rejected: &Rejected) -> Box<Status> {
    let (code, reason) = match rejected {
        Rejected::Invalid(errors) => return invalid(kind, name, errors),
        Rejected::Exists { .. } => (409, "AlreadyExists"),
        Rejected::NotFound { .. } => (404, "NotFound"),
        Rejected::Precondition(_) | Rejected::Conflict { .. } => (409, "Conflict"),
        Rejected::Limit(_) => (403, "Forbidden"),
        Rejected::GoingDown => (503, "ServiceUnavailable"),
    };
    let message = rejected.to_string().replace('`', "\"");
    status(code, reason, message, details(kind, name))
}

fn status(code: i32, reason: &str, message: String, details: StatusDetails) -> Box<Status> {
    Box::new(Status {
        metadata: Some(ListMeta::default()),
        status: "Failure".to_owned(),
        message,
        reason: reason.to_owned(),
        details: Some(details),
        code,
    })
}

fn details(kind: &Kind, name: &str) -> StatusDetails {
    StatusDetails {
        name: name.to_owned(),
        group: kind.group.to_owned(),
        kind: kind.plural.to_owned(),
        ..StatusDetails::default()
    }
}

fn resource(kind: &Kind) -> String {
    if kind.group.is_empty() { kind.plural.to_owned() } else { format!("{}.{}", kind.plural, kind.group) }
}
