//! What the verbs that change a Job share: each is a patch, and says in a line what became of it.

use api::pb::k8s::batch::v1::Job;
use api::pb::wick::v1::{JobServicePatchRequest, JobServicePatchResponse, PatchType};
use clap::Args;
use tonic::Code;

use crate::chosen::{Chosen, Named};
use crate::failure::{Failure, tell};
use crate::kind::{Kind, Target, targets};
use crate::objects::{self, Object, missing};
use crate::output::print;
use crate::session::{Global, Session};
use crate::status::job_is_finished;

/// Which Jobs are changed.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub(crate) struct Jobs {
    /// job NAME …, or job/NAME …
    #[arg(required = true, value_name = "KIND [NAME]")]
    pub(crate) what: Vec<String>,

    #[command(flatten)]
    pub(crate) chosen: Chosen,
}

/// What a patch made of a Job.
pub(crate) struct Patched {
    pub(crate) job: Job,
    pub(crate) changed: bool,
}

impl Jobs {
    /// The Jobs that are meant, and who is asked.
    pub(crate) async fn find(&self, global: &Global) -> Result<(Session, Vec<Named>), Failure> {
        let targets = only_jobs(targets(&self.what)?)?;
        self.chosen.check(&targets)?;
        let session = global.connect().await?;
        let found = self.chosen.find(&session, targets).await?;
        if found.is_empty() {
            return Err(Failure::refused(format!("no jobs to change in namespace {}", session.namespace)));
        }
        Ok((session, found))
    }
}

/// Refuses everything that is no Job: what else there is comes from Jobs, and goes with them.
pub(crate) fn only_jobs(targets: Vec<Target>) -> Result<Vec<Target>, Failure> {
    match targets.iter().find(|target| target.kind != Kind::Job) {
        Some(target) => Err(Failure::not_asked(format!("{} cannot be changed", target.kind.plural()))
            .hint("jobs can, for instance: job/hello")),
        None => Ok(targets),
    }
}

/// Does something to each of `jobs`; what is refused for one does not keep the others from it.
pub(crate) async fn each<F: AsyncFn(&Named) -> Result<(), Failure>>(
    jobs: &[Named],
    change: F,
) -> Result<(), Failure> {
    let mut all_done = true;
    for job in jobs {
        match change(job).await {
            Ok(()) => {}
            Err(failure @ Failure::Refused(_)) => {
                failure.tell();
                all_done = false;
            }
            Err(failure) => return Err(failure),
        }
    }
    if all_done { Ok(()) } else { Err(Failure::Said) }
}

/// Has the agent patch a Job, and says what it warns of.
pub(crate) async fn patch(
    session: &Session,
    named: &Named,
    kind: PatchType,
    text: String,
    dry_run: bool,
) -> Result<Patched, Failure> {
    let Named { namespace, name, .. } = named;
    let request = JobServicePatchRequest {
        namespace: namespace.clone(),
        name: name.clone(),
        r#type: kind.into(),
        patch: text,
        dry_run,
    };
    let patched = match session.agent.jobs().patch(request).await {
        Ok(patched) => patched.into_inner(),
        Err(status) if status.code() == Code::NotFound => {
            return Err(missing(&session.agent, Kind::Job, namespace, name).await);
        }
        Err(status) => return Err(Failure::from(status).within(&format!("job.batch/{name}"))),
    };
    let JobServicePatchResponse { job, warnings, changed } = patched;
    for warning in warnings {
        tell(&format!("warning: {warning}"));
    }
    Ok(Patched { job: job.unwrap_or_default(), changed })
}

/// A Job as it is now.
pub(crate) async fn read(session: &Session, named: &Named) -> Result<Job, Failure> {
    match objects::get(&session.agent, Kind::Job, &named.namespace, &named.name).await? {
        Object::Job(job) => Ok(*job),
        Object::Pod(_) | Object::Event(_) | Object::Image(_) | Object::Node(_) => {
            Err(Failure::refused("the agent answered about something else"))
        }
    }
}

/// `job.batch/hello scaled`, or that it was so before.
pub(crate) fn say(named: &Named, word: &str, changed: bool) -> Result<(), Failure> {
    let unchanged = if changed { "" } else { " (no change)" };
    print(&format!("job.batch/{} {word}{unchanged}\n", named.name))
}

/// Says that a change of how a Job runs comes too late.
pub(crate) fn warn_if_finished(job: &Job) {
    if job_is_finished(job) {
        let name = job.metadata.as_ref().map_or("", |meta| &meta.name);
        tell(&format!("warning: job `{name}` has finished; this starts and stops nothing"));
    }
}
