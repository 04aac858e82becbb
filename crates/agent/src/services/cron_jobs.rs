//! CronJobService.

use std::sync::Arc;

use api::cron_job::{self, NEXT_SLOT_MAX, next_slot};
use api::pb::k8s::batch::v1::CronJob;
use api::pb::wick::v1::cron_job_service_server::CronJobService;
use api::pb::wick::v1::{
    CronJobServiceCreateRequest, CronJobServiceCreateResponse, CronJobServiceDeleteRequest,
    CronJobServiceDeleteResponse, CronJobServiceGetRequest, CronJobServiceGetResponse,
    CronJobServiceListRequest, CronJobServiceListResponse, CronJobServicePatchRequest,
    CronJobServicePatchResponse, CronJobServiceTriggerRequest, CronJobServiceTriggerResponse,
    CronJobServiceUpdateRequest, CronJobServiceUpdateResponse, CronJobServiceWatchRequest,
    CronJobServiceWatchResponse, NextSlot, WatchEventType,
};
use api::{FieldErrors, NewCronJob};
use engine::{Event, Kind, Object, ObjectKey, Outcome, Propagation, Reader, Reply, WriteMode};
use tonic::{Request, Response, Status};

use super::change::{self, Patched, Written};
use super::select::Filter;
use super::watch::{Answers, Watched, watch};
use super::{Agent, page, status};

impl Agent {
    /// When a CronJob is due next.
    fn next(&self, cron_job: &CronJob) -> NextSlot {
        next_slot(cron_job, &*self.zones, &self.facts.node_name, self.facts.clock.wall())
    }
}

#[tonic::async_trait]
impl CronJobService for Agent {
    async fn create(
        &self,
        request: Request<CronJobServiceCreateRequest>,
    ) -> Result<Response<CronJobServiceCreateResponse>, Status> {
        let CronJobServiceCreateRequest { cron_job, dry_run } = request.into_inner();
        let (cron_job, warnings) = change::write(self, cron_job, WriteMode::Create, dry_run).await?;
        let next = Some(self.next(&cron_job));
        Ok(Response::new(CronJobServiceCreateResponse { cron_job: Some(cron_job), warnings, next }))
    }

    async fn get(
        &self,
        request: Request<CronJobServiceGetRequest>,
    ) -> Result<Response<CronJobServiceGetResponse>, Status> {
        let CronJobServiceGetRequest { namespace, name } = request.into_inner();
        let cron_job: CronJob = Arc::unwrap_or_clone(change::get(self, &namespace, &name)?);
        let next = Some(self.next(&cron_job));
        Ok(Response::new(CronJobServiceGetResponse { cron_job: Some(cron_job), next }))
    }

    async fn list(
        &self,
        request: Request<CronJobServiceListRequest>,
    ) -> Result<Response<CronJobServiceListResponse>, Status> {
        let CronJobServiceListRequest { filter, limit, continue_token } = request.into_inner();
        let filter = Filter::parse::<CronJob>(filter)?;
        let page = page::parse(limit, &continue_token)?;
        let (cron_jobs, revision) = CronJob::list(&self.reader, &filter)?;
        let (cron_jobs, more) = page::cut(cron_jobs, &page, NEXT_SLOT_MAX);
        let next = cron_jobs.iter().map(|cron_job| self.next(cron_job)).collect();
        let continue_token = page::token(more);
        Ok(Response::new(CronJobServiceListResponse { cron_jobs, revision, continue_token, next }))
    }

    async fn update(
        &self,
        request: Request<CronJobServiceUpdateRequest>,
    ) -> Result<Response<CronJobServiceUpdateResponse>, Status> {
        let CronJobServiceUpdateRequest { cron_job, dry_run } = request.into_inner();
        let (cron_job, warnings) = change::write(self, cron_job, WriteMode::Update, dry_run).await?;
        let next = Some(self.next(&cron_job));
        Ok(Response::new(CronJobServiceUpdateResponse { cron_job: Some(cron_job), warnings, next }))
    }

    async fn patch(
        &self,
        request: Request<CronJobServicePatchRequest>,
    ) -> Result<Response<CronJobServicePatchResponse>, Status> {
        let CronJobServicePatchRequest { namespace, name, r#type, patch, dry_run } = request.into_inner();
        let patched = change::patch(self, (&namespace, &name), r#type, &patch, dry_run).await?;
        let Patched { object, warnings, changed } = patched;
        let next = Some(self.next(&object));
        Ok(Response::new(CronJobServicePatchResponse { cron_job: Some(object), warnings, changed, next }))
    }

    async fn delete(
        &self,
        request: Request<CronJobServiceDeleteRequest>,
    ) -> Result<Response<CronJobServiceDeleteResponse>, Status> {
        let CronJobServiceDeleteRequest { namespace, name, uid, propagation } = request.into_inner();
        let cron_job = change::delete(self, (&namespace, &name), uid, propagation).await?;
        Ok(Response::new(CronJobServiceDeleteResponse { cron_job: Some(cron_job) }))
    }

    type WatchStream = Answers<CronJobServiceWatchResponse>;

    async fn watch(
        &self,
        request: Request<CronJobServiceWatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let CronJobServiceWatchRequest { filter, since_revision } = request.into_inner();
        watch::<CronJob>(self, filter, since_revision)
    }

    async fn trigger(
        &self,
        request: Request<CronJobServiceTriggerRequest>,
    ) -> Result<Response<CronJobServiceTriggerResponse>, Status> {
        let CronJobServiceTriggerRequest { namespace, name, job_name, overrides, dry_run } =
            request.into_inner();
        let cron_job = change::get::<CronJob>(self, &namespace, &name)?;
        let job = cron_job::manual(&cron_job, &job_name, &overrides.unwrap_or_default());
        let job = job.map_err(|errors| status::invalid("the manual run", &errors))?;
        // Of the template people were warned when they wrote it; and what is stored of it has defaults they did not write.
        let (job, _) = change::write(self, Some(job), WriteMode::Create, dry_run).await?;
        Ok(Response::new(CronJobServiceTriggerResponse { job: Some(job), warnings: Vec::new() }))
    }
}

impl Written for CronJob {
    const PLURAL: &'static str = "cronjobs.batch";
    const FIELD: &'static str = "cron_job";

    fn check(self, agent: &Agent) -> Result<NewCronJob, FieldErrors> {
        NewCronJob::check(self, &agent.live.grants(), &*agent.zones)
    }

    fn read(reader: &Reader, key: &ObjectKey) -> Option<Arc<CronJob>> {
        reader.cron_job(key)
    }

    fn write(cron_job: Box<NewCronJob>, mode: WriteMode<CronJob>, dry_run: bool) -> Event {
        Event::WriteCronJob { cron_job, mode, dry_run }
    }

    fn delete(key: ObjectKey, uid: String, propagation: Propagation) -> Event {
        Event::DeleteCronJob { key, uid, propagation }
    }

    fn answered(reply: Reply) -> Option<(Arc<CronJob>, Outcome)> {
        match reply {
            Reply::CronJob { cron_job, outcome } => Some((cron_job, outcome)),
            Reply::Done | Reply::Job { .. } | Reply::Pod(_) | Reply::ImageDeleted { .. } => None,
        }
    }
}

impl Watched for CronJob {
    type Message = CronJobServiceWatchResponse;
    const KIND: Kind = Kind::CronJob;

    fn list(reader: &Reader, filter: &Filter) -> Result<(Vec<Arc<CronJob>>, u64), Status> {
        let (mut cron_jobs, revision) = reader.cron_jobs(&filter.namespace);
        cron_jobs.retain(|cron_job| filter.selects(&**cron_job));
        Ok((cron_jobs, revision))
    }

    fn of(object: Object) -> Option<Arc<CronJob>> {
        match object {
            Object::CronJob(cron_job) => Some(cron_job),
            Object::Job(_) | Object::Pod(_) | Object::Event(_) => None,
        }
    }

    fn message(
        agent: &Agent,
        kind: WatchEventType,
        cron_job: Option<Arc<CronJob>>,
        revision: u64,
    ) -> CronJobServiceWatchResponse {
        let next = cron_job.as_ref().map(|cron_job| agent.next(cron_job));
        let cron_job = cron_job.map(Arc::unwrap_or_clone);
        CronJobServiceWatchResponse { r#type: kind.into(), cron_job, revision, next }
    }
}
