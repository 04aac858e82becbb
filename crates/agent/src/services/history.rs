//! HistoryService: what the ledger says.

use api::pb::wick::v1::history_service_server::HistoryService;
use api::pb::wick::v1::{HistoryServiceListRequest, HistoryServiceListResponse};
use engine::{LedgerFilter, LedgerPage, LedgerPlace, ObjectKey};
use tonic::{Request, Response, Status};

use super::page::BYTES;
use super::{Agent, status};

#[tonic::async_trait]
impl HistoryService for Agent {
    async fn list(
        &self,
        request: Request<HistoryServiceListRequest>,
    ) -> Result<Response<HistoryServiceListResponse>, Status> {
        let request = request.into_inner();
        let filter = LedgerFilter {
            namespace: request.namespace,
            cron_job: request.cron_job,
            job: request.job,
            since: request.since.as_ref().map(api::time::instant),
            missed_only: request.missed_only,
        };
        let most = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let page = LedgerPage { after: place(&request.continue_token)?, most, bytes: BYTES };
        let reader = self.reader.clone();
        let listed = tokio::task::spawn_blocking(move || reader.ledger(&filter, &page)).await;
        let listed = listed.map_err(|error| Status::internal(format!("cannot list: {error}")))?;
        let (entries, next) = listed.map_err(|error| status::unreadable(&error))?;
        let continue_token = next.as_ref().map_or(String::new(), token);
        Ok(Response::new(HistoryServiceListResponse { entries, continue_token }))
    }
}

/// A number, or a CronJob's namespace and name.
fn token(place: &LedgerPlace) -> String {
    match place {
        LedgerPlace::Entry(id) => id.to_string(),
        LedgerPlace::Open(key) => key.to_string(),
    }
}

fn place(token: &str) -> Result<LedgerPlace, Status> {
    let place = match token.split_once('/') {
        None if token.is_empty() => Some(LedgerPlace::Entry(0)),
        None => token.parse().ok().map(LedgerPlace::Entry),
        Some((namespace, name)) => {
            let whole = !namespace.is_empty() && !name.is_empty();
            whole.then(|| LedgerPlace::Open(ObjectKey::new(namespace, name)))
        }
    };
    place.ok_or_else(|| {
        let why = "not one of this agent's; take it from the answer before, or leave it out to begin";
        status::field("continue_token", why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_place_and_only_our_own_are_taken() {
        for place_before in
            [LedgerPlace::Entry(7), LedgerPlace::Entry(u64::MAX), LedgerPlace::Open(ObjectKey::new("a", "b"))]
        {
            assert_eq!(place(&token(&place_before)).ok(), Some(place_before));
        }
        assert_eq!(place("").ok(), Some(LedgerPlace::Entry(0)));
        for wrong in ["x", "-1", "/", "a/", "/b", "18446744073709551616"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
