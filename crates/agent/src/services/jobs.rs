//! JobService.

use std::sync::Arc;

use api::NewJob;
use api::pb::k8s::batch::v1::Job;
use api::pb::wick::v1::job_service_server::JobService;
use api::pb::wick::v1::{
    DeletionPropagation, JobServiceCreateRequest, JobServiceCreateResponse, JobServiceDeleteRequest,
    JobServiceDeleteResponse, JobServiceGetRequest, JobServiceGetResponse, JobServiceListRequest,
    JobServiceListResponse, JobServiceUpdateRequest, JobServiceUpdateResponse, JobServiceWatchRequest,
    JobServiceWatchResponse, WatchEventType,
};
use engine::{Event, Kind, Object, Reader, Reply, WriteMode};
use tonic::{Request, Response, Status};

use super::select::Filter;
use super::watch::{Answers, Watched, watch};
use super::{Agent, key, status};

const KIND: &str = "jobs.batch";

impl Agent {
    /// Checks a Job that was asked for; what is wrong is told with its paths.
    pub(super) fn check_job(&self, job: Job) -> Result<NewJob, Status> {
        let name = job.metadata.as_ref().map_or(String::new(), |meta| meta.name.clone());
        NewJob::check(job, &self.live.grants())
            .map_err(|errors| status::invalid(&format!("Job `{name}`"), &errors))
    }

    async fn write_job(
        &self,
        job: Option<Job>,
        mode: WriteMode,
        dry_run: bool,
    ) -> Result<(Job, Vec<String>), Status> {
        let job = job.ok_or_else(|| status::field("job", "needed; give the Job"))?;
        let job = self.check_job(job)?;
        let warnings = job.warnings().to_vec();
        let reply = self.engine.send(Event::CreateJob { job: Box::new(job), mode, dry_run }).answer().await?;
        Ok((job_of(reply)?, warnings))
    }
}

/// The Job in an answer to an event about one.
pub(super) fn job_of(reply: Reply) -> Result<Job, Status> {
    match reply {
        Reply::Job { job, .. } => Ok(Arc::unwrap_or_clone(job)),
        Reply::Done | Reply::ImageDeleted { .. } => {
            Err(Status::internal("the engine answered about something else"))
        }
    }
}

#[tonic::async_trait]
impl JobService for Agent {
    async fn create(
        &self,
        request: Request<JobServiceCreateRequest>,
    ) -> Result<Response<JobServiceCreateResponse>, Status> {
        let JobServiceCreateRequest { job, dry_run } = request.into_inner();
        let (job, warnings) = self.write_job(job, WriteMode::Create, dry_run).await?;
        Ok(Response::new(JobServiceCreateResponse { job: Some(job), warnings }))
    }

    async fn get(
        &self,
        request: Request<JobServiceGetRequest>,
    ) -> Result<Response<JobServiceGetResponse>, Status> {
        let JobServiceGetRequest { namespace, name } = request.into_inner();
        let key = key(&namespace, &name)?;
        let job = self.reader.job(&key).ok_or_else(|| status::not_found(KIND, &name))?;
        Ok(Response::new(JobServiceGetResponse { job: Some(Arc::unwrap_or_clone(job)) }))
    }

    async fn list(
        &self,
        request: Request<JobServiceListRequest>,
    ) -> Result<Response<JobServiceListResponse>, Status> {
        let filter = Filter::parse::<Job>(request.into_inner().filter)?;
        let (jobs, revision) = Job::list(&self.reader, &filter)?;
        let jobs = jobs.into_iter().map(Arc::unwrap_or_clone).collect();
        Ok(Response::new(JobServiceListResponse { jobs, revision }))
    }

    async fn update(
        &self,
        request: Request<JobServiceUpdateRequest>,
    ) -> Result<Response<JobServiceUpdateResponse>, Status> {
        let JobServiceUpdateRequest { job, dry_run } = request.into_inner();
        let (job, warnings) = self.write_job(job, WriteMode::Update, dry_run).await?;
        Ok(Response::new(JobServiceUpdateResponse { job: Some(job), warnings }))
    }

    async fn delete(
        &self,
        request: Request<JobServiceDeleteRequest>,
    ) -> Result<Response<JobServiceDeleteResponse>, Status> {
        let request = request.into_inner();
        let foreground = match DeletionPropagation::try_from(request.propagation) {
            Ok(DeletionPropagation::Unspecified | DeletionPropagation::Background) => false,
            Ok(DeletionPropagation::Foreground) => true,
            Err(_) => return Err(status::field("propagation", "not one of BACKGROUND and FOREGROUND")),
        };
        let key = key(&request.namespace, &request.name)?;
        let reply = self.engine.send(Event::DeleteJob { key, uid: request.uid, foreground }).answer().await?;
        Ok(Response::new(JobServiceDeleteResponse { job: Some(job_of(reply)?) }))
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
            Object::Pod(_) | Object::Event(_) => None,
        }
    }

    fn message(kind: WatchEventType, job: Option<Arc<Job>>, revision: u64) -> JobServiceWatchResponse {
        JobServiceWatchResponse { r#type: kind.into(), job: job.map(Arc::unwrap_or_clone), revision }
    }
}
