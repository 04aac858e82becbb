//! Refusals as gRPC tells them: a code, a line for people, and the path of every field in the details.

use std::io::ErrorKind;

use api::FieldErrors;
use api::label_selector::SelectorError;
use engine::store::StoreError;
use engine::{Expired, Rejected};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The object is not valid: every reason, each with its path.
pub(crate) fn invalid(what: &str, errors: &FieldErrors) -> Status {
    let mut details = ErrorDetails::new();
    for error in errors {
        details.add_bad_request_violation(error.path.as_str(), error.detail.clone());
    }
    Status::with_error_details(Code::InvalidArgument, format!("{what} is invalid: {errors}"), details)
}

/// One field of a request is not valid.
pub(crate) fn field(path: &str, detail: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.add_bad_request_violation(path, detail);
    Status::with_error_details(Code::InvalidArgument, format!("{path}: {detail}"), details)
}

pub(crate) fn rejected(rejected: Rejected) -> Status {
    let message = rejected.to_string();
    match rejected {
        Rejected::Exists { .. } => Status::already_exists(message),
        Rejected::NotFound { .. } => Status::not_found(message),
        Rejected::Precondition(_) => Status::failed_precondition(message),
        Rejected::Conflict { .. } => Status::aborted(message),
        Rejected::Invalid(errors) => invalid("the change", &errors),
        Rejected::Limit(_) => Status::resource_exhausted(message),
        Rejected::GoingDown => Status::unavailable(message),
    }
}

pub(crate) fn not_found(kind: &'static str, name: &str) -> Status {
    rejected(Rejected::NotFound { kind, name: name.to_owned() })
}

pub(crate) fn expired(expired: Expired) -> Status {
    Status::out_of_range(expired.to_string())
}

pub(crate) fn selector(path: &str, error: &SelectorError) -> Status {
    field(path, &error.to_string())
}

/// Reading what is stored failed: the details are for the agent's log.
pub(crate) fn unreadable(error: &StoreError) -> Status {
    if matches!(error, StoreError::Closed) {
        return rejected(Rejected::GoingDown);
    }
    tracing::error!(%error, "cannot read the store");
    Status::internal("the store cannot be read; the agent's log says why")
}

/// A file of the agent's could not be read or written.
pub(crate) fn io(doing: &str, error: &std::io::Error) -> Status {
    if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
        return Status::resource_exhausted(format!("cannot {doing}: the disk is full"));
    }
    tracing::error!(%error, "cannot {doing}");
    Status::internal(format!("cannot {doing}: {error}"))
}
