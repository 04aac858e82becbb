//! ManifestService.

use std::sync::Arc;

use api::manifest::{self, Document, New};
use api::pb::wick::v1::apply_result::Object as ResultObject;
use api::pb::wick::v1::manifest_service_server::ManifestService;
use api::pb::wick::v1::{
    ApplyOutcome, ApplyResult, FieldViolation, ManifestServiceApplyRequest, ManifestServiceApplyResponse,
};
use engine::{Event, Outcome, Reply, WriteMode};
use tonic::{Request, Response, Status};
use tonic_types::StatusExt;

use super::{Agent, status};
use crate::engine_thread::Pending;

#[tonic::async_trait]
impl ManifestService for Agent {
    async fn apply(
        &self,
        request: Request<ManifestServiceApplyRequest>,
    ) -> Result<Response<ManifestServiceApplyResponse>, Status> {
        let ManifestServiceApplyRequest { manifest, namespace, dry_run } = request.into_inner();
        // All of it must be readable before any of it is applied.
        let documents =
            manifest::parse(&manifest).map_err(|error| status::field("manifest", &error.to_string()))?;
        // Sent without waiting for one another, so that they share commits; the engine keeps their order.
        let mut under_way = Vec::with_capacity(documents.len());
        for document in documents {
            under_way.push(self.begin(document, &namespace, dry_run));
        }
        let mut results = Vec::with_capacity(under_way.len());
        for (mut result, pending) in under_way {
            match pending {
                Ok(pending) => finish(&mut result, pending.answer().await),
                Err(refused) => finish(&mut result, Err(refused)),
            }
            results.push(result);
        }
        Ok(Response::new(ManifestServiceApplyResponse { results }))
    }
}

impl Agent {
    /// Hands one document over; what is wrong with it is known before.
    fn begin(
        &self,
        document: Document,
        namespace: &str,
        dry_run: bool,
    ) -> (ApplyResult, Result<Pending, Status>) {
        let mut result = ApplyResult {
            index: u32::try_from(document.index).unwrap_or(u32::MAX),
            line: u32::try_from(document.line).unwrap_or(u32::MAX),
            kind: document.kind.clone(),
            namespace: document.namespace.clone(),
            name: document.name.clone(),
            ..ApplyResult::default()
        };
        if result.namespace.is_empty() {
            api::metadata::namespace(namespace).clone_into(&mut result.namespace);
        }
        let pending = match document.check(&result.namespace, &self.live.grants(), &*self.zones) {
            Ok(New::Job(job)) => {
                result.warnings = job.warnings().to_vec();
                Ok(self.engine.send(Event::CreateJob { job, mode: WriteMode::Apply, dry_run }))
            }
            Ok(New::CronJob(cron_job)) => {
                result.warnings = cron_job.warnings().to_vec();
                Ok(self.engine.send(Event::WriteCronJob { cron_job, mode: WriteMode::Apply, dry_run }))
            }
            Err(errors) => {
                let kind = if result.kind.is_empty() { "the document" } else { &result.kind };
                let what = if result.name.is_empty() {
                    format!("{kind} at line {}", result.line)
                } else {
                    format!("{kind} `{}`", result.name)
                };
                Err(status::invalid(&what, &errors))
            }
        };
        (result, pending)
    }
}

/// Writes what became of a document into its result.
fn finish(result: &mut ApplyResult, answer: Result<Reply, Status>) {
    let (object, outcome) = match answer {
        Ok(Reply::Job { job, outcome }) => (ResultObject::Job(Arc::unwrap_or_clone(job)), outcome),
        Ok(Reply::CronJob { cron_job, outcome }) => {
            (ResultObject::CronJob(Arc::unwrap_or_clone(cron_job)), outcome)
        }
        Ok(Reply::Done | Reply::Pod(_) | Reply::ImageDeleted { .. }) => {
            return refuse(result, &Status::internal("the engine answered about something else"));
        }
        Err(refused) => return refuse(result, &refused),
    };
    let outcome = match outcome {
        Outcome::Created => ApplyOutcome::Created,
        Outcome::Unchanged => ApplyOutcome::Unchanged,
        Outcome::Configured | Outcome::Deleted => ApplyOutcome::Configured,
    };
    result.outcome = outcome.into();
    let meta = match &object {
        ResultObject::Job(job) => &job.metadata,
        ResultObject::CronJob(cron_job) => &cron_job.metadata,
    };
    if let Some(meta) = meta {
        result.name.clone_from(&meta.name);
    }
    result.object = Some(object);
}

fn refuse(result: &mut ApplyResult, refused: &Status) {
    result.outcome = ApplyOutcome::Refused.into();
    result.code = refused.code().into();
    refused.message().clone_into(&mut result.message);
    let details = refused.get_error_details();
    result.violations = details
        .bad_request()
        .map_or(&[][..], |bad| &bad.field_violations)
        .iter()
        .map(|violation| FieldViolation {
            field: violation.field.clone(),
            description: violation.description.clone(),
        })
        .collect();
}
