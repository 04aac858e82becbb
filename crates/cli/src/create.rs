//! `wick create`: makes something new, from a manifest, from a few flags, or from a CronJob.
//!
//! Unlike `apply` it refuses what is there already. What flags describe is a manifest like any other ([`flags`]). A Job
//! from a CronJob is started by the agent, outside the schedule, and kept in the history as a manual run.

mod flags;

use std::path::PathBuf;

use api::cron_job::manual;
use api::field_error::FieldErrors;
use api::pb::wick::v1::{CronJobServiceTriggerRequest, RunOverrides};
use clap::{Args, Subcommand};
use tonic::Code;

use crate::apply::{DryRun, pin};
use crate::failure::{Failure, Field, tell};
use crate::form::{Form, FormParser};
use crate::kind::{Kind, pair};
use crate::manifest;
use crate::objects::{self, Created, Object, missing};
use crate::output::{print, value, written};
use crate::session::{Global, Session};
use crate::sources::{Source, sources};
use flags::{CreateCronJob, CreateJob};

const EXAMPLES: &str = "\
Examples:
  wick create -f job.yaml
  wick create job try-it --from cronjob/nightly --env MODE=dry --fuel 5M
  wick create job hello --image hello:1 -- hello --quick
  wick create cronjob nightly --image hello:1 --schedule '30 2 * * *' --tz Europe/Berlin";

const JOB_EXAMPLES: &str = "\
Examples:
  wick create job try-it --from cronjob/nightly
  wick create job --from cj/nightly --env MODE=dry --arg=-v --fuel 5M
  wick create job hello --image hello:1 -- hello --quick
  wick create job hello --image ./hello.wasm --dry-run=client -o yaml

A Job from a CronJob starts now, whatever the schedule, suspend and
concurrencyPolicy say. It belongs to the CronJob; what it does differently stands
in its annotations and in the history.";

const CRON_JOB_EXAMPLES: &str = "\
Examples:
  wick create cronjob nightly --image hello:1 --schedule '30 2 * * *'
  wick create cronjob hourly --image hello:1 --schedule @hourly --tz Asia/Seoul -- hello --quick";

/// Creates jobs and cronjobs, from manifests, flags or a cronjob
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_value_name = "KIND")]
pub(crate) struct Create {
    #[command(subcommand)]
    what: Option<What>,

    /// A file, a directory (its .yaml, .yml and .json files by name) or - for stdin
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Directories in directories too
    #[arg(short = 'R', long)]
    recursive: bool,

    #[command(flatten)]
    telling: Telling,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Creates a job, from an image or a cronjob
    #[command(after_help = JOB_EXAMPLES)]
    Job(CreateJob),
    /// Creates a cronjob
    #[command(name = "cronjob", visible_alias = "cj", after_help = CRON_JOB_EXAMPLES)]
    CronJob(CreateCronJob),
}

/// Whether anything is made, and what is told of it.
#[derive(Args, Clone, Debug)]
#[group(skip)]
struct Telling {
    /// Say what would happen, and create nothing: server asks the agent, client only looks at what is given
    #[arg(long, value_enum, default_value_t = DryRun::None, value_name = "WHERE")]
    #[arg(hide_default_value = true, hide_possible_values = true)]
    dry_run: DryRun,

    /// Print what is created: yaml, json, name or jsonpath=TEMPLATE
    #[arg(short, long, value_parser = FormParser, value_name = "FORM", hide_possible_values = true)]
    output: Option<Form>,
}

impl Create {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self.what {
            None if self.files.is_empty() => Err(Failure::not_asked("nothing to create is given")
                .hint("for instance: wick create -f job.yaml, or wick create job NAME --from cronjob/X")),
            None => {
                let sources = sources(&self.files, self.recursive)?;
                self.telling.check()?;
                all(global, &sources, true, &self.telling).await
            }
            Some(What::Job(job)) => {
                job.telling.check()?;
                match job.from()? {
                    Some(cron_job) => trigger(global, &cron_job, &job).await,
                    None => all(global, &[job.manifest()?], false, &job.telling).await,
                }
            }
            Some(What::CronJob(cron_job)) => {
                cron_job.telling.check()?;
                all(global, &[cron_job.manifest()?], false, &cron_job.telling).await
            }
        }
    }
}

impl Telling {
    fn check(&self) -> Result<(), Failure> {
        match &self.output {
            Some(Form::Wide | Form::Columns(_)) => {
                Err(Failure::not_asked("what is created is printed as yaml, json, name or jsonpath=…"))
            }
            _ => Ok(()),
        }
    }

    /// Says that `object` was created, or prints it.
    fn tell(&self, object: &Object) -> Result<(), Failure> {
        let name = || format!("{}\n", object.qualified_name());
        match &self.output {
            Some(form) => print(&written(&value(object), form).unwrap_or_else(name)),
            None => print(&format!("{} created{}\n", object.qualified_name(), self.dry_run.suffix())),
        }
    }
}

/// Creates everything that manifests describe; what is refused of one does not keep the others from it. In which of
/// several `files` that is, is said.
async fn all(global: &Global, sources: &[Source], files: bool, telling: &Telling) -> Result<(), Failure> {
    let session = match telling.dry_run {
        DryRun::Client => None,
        DryRun::None | DryRun::Server => Some(global.connect().await?),
    };
    let mut all_done = true;
    for source in sources {
        let pinned = match &session {
            Some(session) => pin::pin(session, source, telling.dry_run == DryRun::Server).await?,
            None => pin::pin_locally(source)?,
        };
        all_done &= pinned.refused.is_empty();
        for failure in &pinned.refused {
            failure.tell();
        }
        let Some(text) = pinned.text else { continue };
        let documents =
            manifest::read(&text).map_err(|error| Failure::refused(format!("{}: {error}", source.name)))?;
        if documents.is_empty() && pinned.refused.is_empty() {
            return Err(Failure::refused(format!("{}: nothing in it", source.name)));
        }
        for document in documents.iter().flat_map(|document| &document.objects) {
            match one(global, session.as_ref(), document, telling).await {
                Ok(()) => {}
                Err(failure @ Failure::Refused(_)) => {
                    let failure = if files { failure.within(&source.name) } else { failure };
                    failure.tell();
                    all_done = false;
                }
                Err(failure) => return Err(failure),
            }
        }
    }
    if all_done { Ok(()) } else { Err(Failure::Said) }
}

/// Creates one object; without a session only looks at it.
async fn one(
    global: &Global,
    session: Option<&Session>,
    document: &api::manifest::Document,
    telling: &Telling,
) -> Result<(), Failure> {
    let mut object = match &document.object {
        Ok(object) => object.clone(),
        Err(errors) => {
            let kind = if document.kind.is_empty() { "object" } else { &document.kind };
            let what = format!("{kind} `{}` cannot be read", document.name);
            return Err(Failure::refused(what).fields(fields(errors)));
        }
    };
    let meta = object.metadata_mut();
    if meta.namespace.is_empty() {
        global.namespace().clone_into(&mut meta.namespace);
    }
    let object = Object::from(object);
    let Some(session) = session else { return telling.tell(&object) };
    let who = object.qualified_name();
    let created = match objects::create(&session.agent, object, telling.dry_run == DryRun::Server).await {
        Ok(created) => created,
        Err(status) if status.code() == Code::AlreadyExists => {
            return Err(Failure::from(status).hint("wick apply changes what is there"));
        }
        Err(status) => return Err(Failure::from(status).within(&who)),
    };
    let Created { object, warnings } = created;
    for warning in warnings {
        tell(&format!("warning: {warning}"));
    }
    let object = object.ok_or_else(|| Failure::refused("the agent did not answer what it created"))?;
    telling.tell(&object)
}

/// Starts a Job of the CronJob `name`.
async fn trigger(global: &Global, name: &str, asked: &CreateJob) -> Result<(), Failure> {
    let session = global.connect().await?;
    let (job_name, overrides) = (asked.name.clone().unwrap_or_default(), asked.different.overrides());
    if asked.telling.dry_run == DryRun::Client {
        let object = objects::get(&session.agent, Kind::CronJob, &session.namespace, name).await?;
        let Object::CronJob(scheduled) = object else {
            return Err(Failure::refused("the agent answered about something else"));
        };
        let job = manual(&scheduled.cron_job, &job_name, &overrides).map_err(|errors| {
            Failure::refused(format!("no Job can be made of cronjob.batch/{name}")).fields(fields(&errors))
        })?;
        return asked.telling.tell(&job.into());
    }
    let request = CronJobServiceTriggerRequest {
        namespace: session.namespace.clone(),
        name: name.to_owned(),
        job_name,
        overrides: (overrides != RunOverrides::default()).then_some(overrides),
        dry_run: asked.telling.dry_run == DryRun::Server,
    };
    let answer = match session.agent.cron_jobs().trigger(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) if status.code() == Code::NotFound => {
            return Err(missing(&session.agent, Kind::CronJob, &session.namespace, name).await);
        }
        Err(status) if status.code() == Code::AlreadyExists => {
            return Err(Failure::from(status).hint("without a name the Job gets one of its own"));
        }
        Err(status) => {
            let who = asked
                .name
                .as_ref()
                .map_or_else(|| format!("cronjob.batch/{name}"), |name| format!("job.batch/{name}"));
            return Err(Failure::from(status).within(&who));
        }
    };
    for warning in answer.warnings {
        tell(&format!("warning: {warning}"));
    }
    let job = answer.job.ok_or_else(|| Failure::refused("the agent did not answer what it created"))?;
    asked.telling.tell(&job.into())
}

fn fields(errors: &FieldErrors) -> impl Iterator<Item = Field> {
    errors.iter().map(|error| Field { path: error.path.as_str().to_owned(), why: error.detail.clone() })
}

/// The CronJob that `--from` names.
fn cron_job(from: &str) -> Result<String, Failure> {
    let made_from = |what: String| {
        Failure::not_asked(format!("{what}; a Job is made from a CronJob"))
            .hint("for instance: --from cronjob/nightly")
    };
    match pair(from) {
        Ok((Kind::CronJob, name)) => Ok(name),
        Ok((kind, _)) => Err(made_from(format!("`{from}` is one of the {}", kind.plural()))),
        Err(_) => Err(made_from(format!("`{from}` is not cronjob/NAME"))),
    }
}
