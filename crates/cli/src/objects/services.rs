//! The agent's services, which are typed, asked in one way for every kind.
//!
//! What a kind has no method for is a mistake of the caller, who has looked at the kind before: it is answered as an agent
//! answers that cannot do it.

use std::pin::Pin;

use api::pb::k8s::batch::v1::CronJob;
use api::pb::k8s::meta::v1::ObjectMeta;
use api::pb::wick::v1::{
    CronJobServiceCreateRequest, CronJobServiceDeleteRequest, CronJobServiceGetRequest,
    CronJobServiceListRequest, CronJobServicePatchRequest, CronJobServiceWatchRequest, DeletionPropagation,
    EventServiceListRequest, EventServiceWatchRequest, ImageServiceInspectRequest, ImageServiceListRequest,
    JobServiceCreateRequest, JobServiceDeleteRequest, JobServiceGetRequest, JobServiceListRequest,
    JobServicePatchRequest, JobServiceWatchRequest, NextSlot, NodeServiceGetRequest, ObjectFilter, PatchType,
    PodServiceDeleteRequest, PodServiceGetRequest, PodServiceListRequest, PodServiceWatchRequest,
    WatchEventType,
};
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};

use super::{Object, Scheduled};
use crate::client::Agent;
use crate::kind::Kind;

/// One thing by its name.
pub(super) async fn get(
    agent: &Agent,
    kind: Kind,
    namespace: String,
    name: String,
) -> Result<Option<Object>, Status> {
    Ok(match kind {
        Kind::Job => {
            let request = JobServiceGetRequest { namespace, name };
            agent.jobs().get(request).await?.into_inner().job.map(Object::from)
        }
        Kind::CronJob => {
            let request = CronJobServiceGetRequest { namespace, name };
            let got = agent.cron_jobs().get(request).await?.into_inner();
            scheduled(got.cron_job, got.next)
        }
        Kind::Pod => {
            let request = PodServiceGetRequest { namespace, name };
            agent.pods().get(request).await?.into_inner().pod.map(Object::from)
        }
        Kind::Event => {
            let field_selector = format!("metadata.name={name}");
            let filter = ObjectFilter { namespace, field_selector, ..ObjectFilter::default() };
            list(agent, kind, filter).await?.pop()
        }
        Kind::Image => {
            let request = ImageServiceInspectRequest { name };
            agent.images().inspect(request).await?.into_inner().image.map(Object::Image)
        }
        Kind::Node => {
            let nodes = list(agent, kind, ObjectFilter::default()).await?;
            nodes.into_iter().find(|node| node.name() == name)
        }
    })
}

/// All things of a kind that `filter` selects.
pub(super) async fn list(agent: &Agent, kind: Kind, filter: ObjectFilter) -> Result<Vec<Object>, Status> {
    let filter = Some(filter);
    match kind {
        Kind::Job => {
            let mut request = JobServiceListRequest { filter, ..JobServiceListRequest::default() };
            in_parts(async |token| {
                request.continue_token = token;
                let listed = agent.jobs().list(request.clone()).await?.into_inner();
                Ok((listed.jobs.into_iter().map(Object::from).collect(), listed.continue_token))
            })
            .await
        }
        Kind::CronJob => {
            let mut request = CronJobServiceListRequest { filter, ..CronJobServiceListRequest::default() };
            in_parts(async |token| {
                request.continue_token = token;
                let listed = agent.cron_jobs().list(request.clone()).await?.into_inner();
                let next = listed.next.into_iter().map(Some).chain(std::iter::repeat(None));
                let found = listed.cron_jobs.into_iter().zip(next);
                let found = found.filter_map(|(cron_job, next)| scheduled(Some(cron_job), next));
                Ok((found.collect(), listed.continue_token))
            })
            .await
        }
        Kind::Pod => {
            let mut request = PodServiceListRequest { filter, ..PodServiceListRequest::default() };
            in_parts(async |token| {
                request.continue_token = token;
                let listed = agent.pods().list(request.clone()).await?.into_inner();
                Ok((listed.pods.into_iter().map(Object::from).collect(), listed.continue_token))
            })
            .await
        }
        Kind::Event => {
            let listed = agent.events().list(EventServiceListRequest { filter }).await?.into_inner();
            Ok(listed.events.into_iter().map(Object::from).collect())
        }
        Kind::Image => {
            let listed = agent.images().list(ImageServiceListRequest {}).await?.into_inner();
            Ok(listed.images.into_iter().map(Object::Image).collect())
        }
        Kind::Node => {
            let node = agent.node().get(NodeServiceGetRequest {}).await?.into_inner().node;
            Ok(node.into_iter().map(|node| Object::Node(Box::new(node))).collect())
        }
    }
}

/// What several answers hold together; each names the next one.
async fn in_parts(
    mut ask: impl AsyncFnMut(String) -> Result<(Vec<Object>, String), Status>,
) -> Result<Vec<Object>, Status> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let (part, next) = ask(token).await?;
        all.extend(part);
        if next.is_empty() {
            return Ok(all);
        }
        token = next;
    }
}

fn scheduled(cron_job: Option<CronJob>, next: Option<NextSlot>) -> Option<Object> {
    cron_job.map(|cron_job| Scheduled { cron_job, next: next.unwrap_or_default() }.into())
}

/// What a watch is told: what happened, and to what.
pub(super) type Told = (WatchEventType, Option<Object>);

/// Changes as they come.
pub(super) type Changes = Pin<Box<dyn Stream<Item = Result<Told, Status>>>>;

/// Everything that `filter` selects, a bookmark, then what changes.
pub(super) async fn watch(agent: &Agent, kind: Kind, filter: ObjectFilter) -> Result<Changes, Status> {
    let (filter, since_revision) = (Some(filter), None);
    Ok(match kind {
        Kind::Job => {
            let request = JobServiceWatchRequest { filter, since_revision };
            changes(agent.jobs().watch(request).await?.into_inner(), |told| {
                (told.r#type(), told.job.map(Object::from))
            })
        }
        Kind::CronJob => {
            let request = CronJobServiceWatchRequest { filter, since_revision };
            changes(agent.cron_jobs().watch(request).await?.into_inner(), |told| {
                (told.r#type(), scheduled(told.cron_job, told.next))
            })
        }
        Kind::Pod => {
            let request = PodServiceWatchRequest { filter, since_revision };
            changes(agent.pods().watch(request).await?.into_inner(), |told| {
                (told.r#type(), told.pod.map(Object::from))
            })
        }
        Kind::Event => {
            let request = EventServiceWatchRequest { filter, since_revision };
            changes(agent.events().watch(request).await?.into_inner(), |told| {
                (told.r#type(), told.event.map(Object::from))
            })
        }
        Kind::Image | Kind::Node => return Err(cannot_be(kind, "watched")),
    })
}

fn changes<T: 'static>(stream: Streaming<T>, told: fn(T) -> Told) -> Changes {
    Box::pin(stream.map(move |part| part.map(told)))
}

/// What was created.
pub(crate) struct Created {
    pub(crate) object: Option<Object>,
    pub(crate) warnings: Vec<String>,
}

/// Creates one thing.
pub(crate) async fn create(agent: &Agent, object: Object, dry_run: bool) -> Result<Created, Status> {
    Ok(match object {
        Object::Job(job) => {
            let request = JobServiceCreateRequest { job: Some(*job), dry_run };
            let answer = agent.jobs().create(request).await?.into_inner();
            Created { object: answer.job.map(Object::from), warnings: answer.warnings }
        }
        Object::CronJob(asked) => {
            let request = CronJobServiceCreateRequest { cron_job: Some(asked.cron_job), dry_run };
            let answer = agent.cron_jobs().create(request).await?.into_inner();
            Created { object: scheduled(answer.cron_job, answer.next), warnings: answer.warnings }
        }
        Object::Pod(_) | Object::Event(_) | Object::Image(_) | Object::Node(_) => {
            return Err(cannot_be(object.kind(), "created"));
        }
    })
}

/// What a patch made of an object.
pub(crate) struct Patched {
    pub(crate) object: Option<Object>,
    pub(crate) warnings: Vec<String>,
    pub(crate) changed: bool,
}

/// Changes what a patch says of one thing.
pub(crate) async fn patch(
    agent: &Agent,
    kind: Kind,
    (namespace, name): (String, String),
    (form, patch): (PatchType, String),
    dry_run: bool,
) -> Result<Patched, Status> {
    let r#type = form.into();
    Ok(match kind {
        Kind::Job => {
            let request = JobServicePatchRequest { namespace, name, r#type, patch, dry_run };
            let answer = agent.jobs().patch(request).await?.into_inner();
            let object = answer.job.map(Object::from);
            Patched { object, warnings: answer.warnings, changed: answer.changed }
        }
        Kind::CronJob => {
            let request = CronJobServicePatchRequest { namespace, name, r#type, patch, dry_run };
            let answer = agent.cron_jobs().patch(request).await?.into_inner();
            let object = scheduled(answer.cron_job, answer.next);
            Patched { object, warnings: answer.warnings, changed: answer.changed }
        }
        Kind::Pod | Kind::Event | Kind::Image | Kind::Node => return Err(cannot_be(kind, "changed")),
    })
}

/// How a thing is deleted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deletion {
    /// What happens to what it owns.
    pub(crate) propagation: DeletionPropagation,
    /// How long a Pod's guests have to stop, in seconds; `None` for what the Pod says.
    pub(crate) grace: Option<i64>,
}

/// Deletes one thing that has metadata, and answers with what it had last.
pub(crate) async fn delete(
    agent: &Agent,
    kind: Kind,
    (namespace, name): (String, String),
    how: Deletion,
) -> Result<Option<ObjectMeta>, Status> {
    let (uid, propagation) = (String::new(), how.propagation.into());
    Ok(match kind {
        Kind::Job => {
            let request = JobServiceDeleteRequest { namespace, name, uid, propagation };
            agent.jobs().delete(request).await?.into_inner().job.and_then(|job| job.metadata)
        }
        Kind::CronJob => {
            let request = CronJobServiceDeleteRequest { namespace, name, uid, propagation };
            let answer = agent.cron_jobs().delete(request).await?.into_inner();
            answer.cron_job.and_then(|cron_job| cron_job.metadata)
        }
        Kind::Pod => {
            let grace_period_seconds = how.grace;
            let request = PodServiceDeleteRequest { namespace, name, uid, grace_period_seconds };
            agent.pods().delete(request).await?.into_inner().pod.and_then(|pod| pod.metadata)
        }
        Kind::Event | Kind::Image | Kind::Node => return Err(cannot_be(kind, "deleted")),
    })
}

fn cannot_be(kind: Kind, done: &str) -> Status {
    Status::unimplemented(format!("{} cannot be {done}", kind.plural()))
}
