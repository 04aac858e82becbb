//! JobService.

use std::sync::Arc;

use api::pb::k8s::batch::v1::Job;
use api::pb::wick::v1::job_service_server::JobService;
use api::pb::wick::v1::{
    JobServiceCreateRequest, JobServiceCreateResponse, JobServiceDeleteRequest, JobServiceDeleteResponse,
    JobServiceGetRequest, JobServiceGetResponse, JobServiceListRequest, JobServiceListResponse,
    JobServicePatchRequest, JobServicePatchResponse, JobServiceUpdateRequest, JobServiceUpdateResponse,
    JobServiceWatchRequest, JobServiceWatchResponse, WatchEventType,
};
use api::{FieldErrors, NewJob};
use engine::{Event, Kind, Object, ObjectKey, Outcome, Propagation, Reader, Reply, WriteMode};
use tonic::{Request, Response, Status};

use super::change::{self, Patched, Written};
use super::select::Filter;
use super::watch::{Answers, Watched, watch};
use super::{Agent, page};

#[tonic::async_trait]
impl JobService for Agent {
    async fn create(
        &self,
        request: Request<JobServiceCreateRequest>,
    ) -> Result<Response<JobServiceCreateResponse>, Status> {
        let JobServiceCreateRequest { job, dry_run } = request.into_inner();
        let (job, warnings) = change::write(self, job, WriteMode::Create, dry_run).await?;
        Ok(Response::new(JobServiceCreateResponse { job: Some(job), warnings }))
    }

    async fn get(
        &self,
        request: Request<JobServiceGetRequest>,
    ) -> Result<Response<JobServiceGetResponse>, Status> {
        let JobServiceGetRequest { namespace, name } = request.into_inner();
        let job = change::get(self, &namespace, &name)?;
        Ok(Response::new(JobServiceGetResponse { job: Some(Arc::unwrap_or_clone(job)) }))
    }

    async fn list(
        &self,
        request: Request<JobServiceListRequest>,
    ) -> Result<Response<JobServiceListResponse>, Status> {
        let JobServiceListRequest { filter, limit, continue_token } = request.into_inner();
        let filter = Filter::parse::<Job>(filter)?;
        let page = page::parse(limit, &continue_token)?;
        let (jobs, revision) = Job::list(&self.reader, &filter)?;
        let (jobs, next) = page::cut(jobs, &page, 0);
        Ok(Response::new(JobServiceListResponse { jobs, revision, continue_token: page::token(next) }))
    }

    async fn update(
        &self,
        request: Request<JobServiceUpdateRequest>,
    ) -> Result<Response<JobServiceUpdateResponse>, Status> {
        let JobServiceUpdateRequest { job, dry_run } = request.into_inner();
        let (job, warnings) = change::write(self, job, WriteMode::Update, dry_run).await?;
        Ok(Response::new(JobServiceUpdateResponse { job: Some(job), warnings }))
    }

    async fn patch(
        &self,
        request: Request<JobServicePatchRequest>,
    ) -> Result<Response<JobServicePatchResponse>, Status> {
        let JobServicePatchRequest { namespace, name, r#type, patch, dry_run } = request.into_inner();
        let patched = change::patch(self, (&namespace, &name), r#type, &patch, dry_run).await?;
        let Patched { object, warnings, changed } = patched;
        Ok(Response::new(JobServicePatchResponse { job: Some(object), warnings, changed }))
    }

    async fn delete(
        &self,
        request: Request<JobServiceDeleteRequest>,
    ) -> Result<Response<JobServiceDeleteResponse>, Status> {
        let JobServiceDeleteRequest { namespace, name, uid, propagation } = request.into_inner();
        let job = change::delete(self, (&namespace, &name), uid, propagation).await?;
        Ok(Response::new(JobServiceDeleteResponse { job: Some(job) }))
    }

    type WatchStream = Answers<JobServiceWatchResponse>;

    async fn watch(
        &self,
        request: Request<JobServiceWatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let JobServiceWatchRequest { filter, since_revision } = request.into_inner();
        watch::<Job>(self, filter, since_revision)
    }
}

impl Written for Job {
    const PLURAL: &'static str = "jobs.batch";
    const FIELD: &'static str = "job";

    fn check(self, agent: &Agent) -> Result<NewJob, FieldErrors> {
        NewJob::check(self, &agent.live.grants())
    }

    fn read(reader: &Reader, key: &ObjectKey) -> Option<Arc<Job>> {
        reader.job(key)
    }

    fn write(job: Box<NewJob>, mode: WriteMode<Job>, dry_run: bool) -> Event {
        Event::CreateJob { job, mode, dry_run }
    }

    fn delete(key: ObjectKey, uid: String, propagation: Propagation) -> Event {
        Event::DeleteJob { key, uid, propagation }
    }

    fn answered(reply: Reply) -> Option<(Arc<Job>, Outcome)> {
        match reply {
            Reply::Job { job, outcome } => Some((job, outcome)),
            Reply::Done | Reply::CronJob { .. } | Reply::Pod(_) | Reply::ImageDeleted { .. } => None,
        }
    }
}

impl Watched for Job {
    type Message = JobServiceWatchResponse;
    const KIND: Kind = Kind::Job;

    fn list(reader: &Reader, filter: &Filter) -> Result<(Vec<Arc<Job>>, u64), Status> {
        let (mut jobs, revision) = reader.jobs(&filter.namespace);
        jobs.retain(|job| filter.selects(&**job));
        Ok((jobs, revision))
    }

    fn of(object: Object) -> Option<Arc<Job>> {
        match object {
            Object::Job(job) => Some(job),
            Object::CronJob(_) | Object::Pod(_) | Object::Event(_) => None,
        }
    }

    fn message(
        _: &Agent,
        kind: WatchEventType,
        job: Option<Arc<Job>>,
        revision: u64,
    ) -> JobServiceWatchResponse {
        JobServiceWatchResponse { r#type: kind.into(), job: job.map(Arc::unwrap_or_clone), revision }
    }
}
