//! EventService.

use std::sync::Arc;

use api::pb::k8s::core::v1::Event;
use api::pb::wick::v1::event_service_server::EventService;
use api::pb::wick::v1::{
    EventServiceListRequest, EventServiceListResponse, EventServiceWatchRequest, EventServiceWatchResponse,
    WatchEventType,
};
use engine::{Kind, Object, Reader};
use tonic::{Request, Response, Status};

use super::Agent;
use super::select::Filter;
use super::watch::{Answers, Watched, watch};

#[tonic::async_trait]
impl EventService for Agent {
    async fn list(
        &self,
        request: Request<EventServiceListRequest>,
    ) -> Result<Response<EventServiceListResponse>, Status> {
        let filter = Filter::parse::<Event>(request.into_inner().filter)?;
        // Those whose hour is over go when the engine looks; on an idle device nothing else makes it.
        self.engine.answers().await.map_err(|_| Status::unavailable("the agent is going down"))?;
        let (events, revision) = Event::list(&self.reader, &filter)?;
        let events = events.into_iter().map(Arc::unwrap_or_clone).collect();
        Ok(Response::new(EventServiceListResponse { events, revision }))
    }

    type WatchStream = Answers<EventServiceWatchResponse>;

    async fn watch(
        &self,
        request: Request<EventServiceWatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let EventServiceWatchRequest { filter, since_revision } = request.into_inner();
        watch::<Event>(self, filter, since_revision)
    }
}

impl Watched for Event {
    type Message = EventServiceWatchResponse;
    const KIND: Kind = Kind::Event;

    fn list(reader: &Reader, filter: &Filter) -> Result<(Vec<Arc<Event>>, u64), Status> {
        let (mut events, revision) = reader.events(&filter.namespace);
        events.retain(|event| filter.selects(&**event));
        // By when they were last seen; within a second, as they were recorded.
        events.sort_by_key(|event| {
            let version = event.metadata.as_ref().map_or("", |meta| &meta.resource_version);
            version.parse::<u64>().unwrap_or(0)
        });
        Ok((events, revision))
    }

    fn of(object: Object) -> Option<Arc<Event>> {
        match object {
            Object::Event(event) => Some(event),
            Object::Job(_) | Object::CronJob(_) | Object::Pod(_) => None,
        }
    }

    fn message(
        _: &Agent,
        kind: WatchEventType,
        event: Option<Arc<Event>>,
        revision: u64,
    ) -> EventServiceWatchResponse {
        EventServiceWatchResponse { r#type: kind.into(), event: event.map(Arc::unwrap_or_clone), revision }
    }
}
