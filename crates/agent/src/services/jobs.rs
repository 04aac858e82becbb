//! JobService.

use std::sync::Arc;

use api::NewJob;
use api::patch::{Against, Patch, PatchKind};
use api::pb::k8s::batch::v1::Job;
use api::pb::wick::v1::job_service_server::JobService;
use api::pb::wick::v1::{
    DeletionPropagation, JobServiceCreateRequest, JobServiceCreateResponse, JobServiceDeleteRequest,
    JobServiceDeleteResponse, JobServiceGetRequest, JobServiceGetResponse, JobServiceListRequest,
    JobServiceListResponse, JobServicePatchRequest, JobServicePatchResponse, JobServiceUpdateRequest,
    JobServiceUpdateResponse, JobServiceWatchRequest, JobServiceWatchResponse, PatchType, WatchEventType,
};
use engine::{Event, Kind, Object, ObjectKey, Outcome, Propagation, Reader, Reply, WriteMode};
use tonic::{Code, Request, Response, Status};

use super::select::Filter;
use super::watch::{Answers, Watched, watch};
use super::{Agent, key, page, status};

const KIND: &str = "jobs.batch";

/// How often a patch is applied anew because somebody else changed the Job meanwhile (as on a cluster).
const PATCH_ATTEMPTS: u32 = 5;

impl Agent {
    /// Checks a Job that was asked for; what is wrong is told with its paths.
    pub(super) fn check_job(&self, job: Job) -> Result<NewJob, Status> {
        let name = job.metadata.as_ref().map_or("", |meta| &meta.name);
        let what = if name.is_empty() { "the Job".to_owned() } else { format!("Job `{name}`") };
        NewJob::check(job, &self.live.grants()).map_err(|errors| status::invalid(&what, &errors))
    }

    /// Applies a patch once to what the Job is now.
    async fn patch_job(
        &self,
        key: &ObjectKey,
        patch: &Patch,
        dry_run: bool,
    ) -> Result<JobServicePatchResponse, PatchRefused> {
        let read = self.reader.job(key).ok_or_else(|| status::not_found(KIND, &key.name))?;
        let revised = patch.revise(&*read).map_err(|errors| status::invalid("the patch", &errors))?;
        let job = self.check_job(revised.object)?;
        // Only of what the patch brings: of the rest people were warned when they wrote it.
        let known = self.check_job(Job::clone(&read));
        let known = known.as_ref().map_or(&[][..], |known| known.warnings());
        let warnings = job.warnings().iter().filter(|warning| !known.contains(warning)).cloned().collect();
        let mode = match revised.against {
            Against::Read => WriteMode::Revise(read),
            Against::Version | Against::Named => WriteMode::Update,
        };
        let reply = self.engine.send(Event::CreateJob { job: Box::new(job), mode, dry_run }).answer().await;
        let reply = reply.map_err(|refused| match refused.code() {
            Code::Aborted if revised.against != Against::Named => PatchRefused::Overtaken(refused),
            _ => PatchRefused::Other(refused),
        })?;
        let (job, outcome) = written(reply)?;
        Ok(JobServicePatchResponse { job: Some(job), warnings, changed: outcome != Outcome::Unchanged })
    }

    async fn write_job(
        &self,
        job: Option<Job>,
        mode: WriteMode<Job>,
        dry_run: bool,
    ) -> Result<(Job, Vec<String>), Status> {
        let job = job.ok_or_else(|| status::field("job", "needed; give the Job"))?;
        let job = self.check_job(job)?;
        let warnings = job.warnings().to_vec();
        let reply = self.engine.send(Event::CreateJob { job: Box::new(job), mode, dry_run }).answer().await?;
        Ok((job_of(reply)?, warnings))
    }
}

/// Why a patch was not applied.
enum PatchRefused {
    /// Somebody else changed the Job meanwhile.
    Overtaken(Status),
    Other(Status),
}

impl From<Status> for PatchRefused {
    fn from(refused: Status) -> PatchRefused {
        PatchRefused::Other(refused)
    }
}

/// The Job in an answer to an event about one.
pub(super) fn job_of(reply: Reply) -> Result<Job, Status> {
    written(reply).map(|(job, _)| job)
}

/// The Job in an answer, and what became of it.
fn written(reply: Reply) -> Result<(Job, Outcome), Status> {
    match reply {
        Reply::Job { job, outcome } => Ok((Arc::unwrap_or_clone(job), outcome)),
        Reply::Done | Reply::CronJob { .. } | Reply::Pod(_) | Reply::ImageDeleted { .. } => {
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
        let JobServiceListRequest { filter, limit, continue_token } = request.into_inner();
        let filter = Filter::parse::<Job>(filter)?;
        let page = page::parse(limit, &continue_token)?;
        let (jobs, revision) = Job::list(&self.reader, &filter)?;
        let (jobs, next) = page::cut(jobs, &page);
        Ok(Response::new(JobServiceListResponse { jobs, revision, continue_token: page::token(next) }))
    }

    async fn update(
        &self,
        request: Request<JobServiceUpdateRequest>,
    ) -> Result<Response<JobServiceUpdateResponse>, Status> {
        let JobServiceUpdateRequest { job, dry_run } = request.into_inner();
        let (job, warnings) = self.write_job(job, WriteMode::Update, dry_run).await?;
        Ok(Response::new(JobServiceUpdateResponse { job: Some(job), warnings }))
    }

    async fn patch(
        &self,
        request: Request<JobServicePatchRequest>,
    ) -> Result<Response<JobServicePatchResponse>, Status> {
        let JobServicePatchRequest { namespace, name, r#type, patch, dry_run } = request.into_inner();
        let kind = match PatchType::try_from(r#type) {
            Ok(PatchType::Unspecified | PatchType::Strategic) => PatchKind::Strategic,
            Ok(PatchType::Merge) => PatchKind::Merge,
            Ok(PatchType::Json) => PatchKind::Json,
            Err(_) => return Err(status::field("type", "not one of STRATEGIC, MERGE and JSON")),
        };
        let key = key(&namespace, &name)?;
        let patch = Patch::parse(kind, &patch).map_err(|errors| status::invalid("the patch", &errors))?;
        let mut attempts = 1;
        loop {
            match self.patch_job(&key, &patch, dry_run).await {
                Ok(patched) => return Ok(Response::new(patched)),
                Err(PatchRefused::Overtaken(_)) if attempts < PATCH_ATTEMPTS => attempts += 1,
                Err(PatchRefused::Overtaken(refused) | PatchRefused::Other(refused)) => return Err(refused),
            }
        }
    }

    async fn delete(
        &self,
        request: Request<JobServiceDeleteRequest>,
    ) -> Result<Response<JobServiceDeleteResponse>, Status> {
        let request = request.into_inner();
        let propagation = match DeletionPropagation::try_from(request.propagation) {
            Ok(DeletionPropagation::Unspecified | DeletionPropagation::Background) => Propagation::Background,
            Ok(DeletionPropagation::Foreground) => Propagation::Foreground,
            Ok(DeletionPropagation::Orphan) => Propagation::Orphan,
            Err(_) => {
                return Err(status::field("propagation", "not one of BACKGROUND, FOREGROUND and ORPHAN"));
            }
        };
        let key = key(&request.namespace, &request.name)?;
        let reply =
            self.engine.send(Event::DeleteJob { key, uid: request.uid, propagation }).answer().await?;
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
            Object::CronJob(_) | Object::Pod(_) | Object::Event(_) => None,
        }
    }

    fn message(kind: WatchEventType, job: Option<Arc<Job>>, revision: u64) -> JobServiceWatchResponse {
        JobServiceWatchResponse { r#type: kind.into(), job: job.map(Arc::unwrap_or_clone), revision }
    }
}
