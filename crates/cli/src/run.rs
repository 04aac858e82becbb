//! `wick run`: tries Jobs, with an agent of their own if there is none, and leaves nothing behind.
//!
//! Guests' output goes to stdout, everything else to stderr. Whatever ends it (the Jobs, an error, a signal), the way out
//! is the same: the Jobs it made are deleted, or its agent is stopped and all it had is removed.

mod board;
mod follow;
mod module;
mod private;
mod story;

pub(crate) use self::module::variable;

use std::path::PathBuf;

use api::pb::wick::v1::{DeletionPropagation, JobServiceDeleteRequest, JobServiceGetRequest};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tonic::Code;

use self::board::Board;
use self::module::ModuleFlags;
pub(crate) use self::private::{BECOME_AGENT, PrivateAgent, become_agent};
use self::story::JobKey;
use crate::apply;
use crate::chosen::Named;
use crate::delete::gone;
use crate::failure::{Failure, reason, tell};
use crate::kind::Kind;
use crate::manifest;
use crate::session::{Global, Session};
use crate::sources::{Source, sources};

const EXAMPLES: &str = "\
Examples:
  wick run hello.wasm
  wick run hello.wat --env NAME=world --memory 64Mi -- --loud
  wick run work.wasm --completions 10 --parallelism 4
  wick run job.yaml
  wick run jobs/ --socket /run/wick/wick.sock

Without --socket, --server or their variables, and where no agent answers at
the usual place, a private agent is started in a temporary directory, and goes
with the Jobs. Its program, wickd, is looked for beside wick, then in PATH;
WICK_AGENT names another one.

Exit code: 0 the Jobs completed; 1 one failed; 2 they could not be run; 130 or
143 it was stopped by a signal. A second signal makes it stop at once.";

/// Runs Jobs from a manifest, or a module as a Job, and shows how they go
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Run {
    /// A manifest, a directory of manifests, - for stdin, or a module (.wasm, .wat)
    #[arg(value_name = "FILE|DIR")]
    what: PathBuf,

    /// Directories in directories too
    #[arg(short = 'R', long)]
    recursive: bool,

    /// With an agent of its own, even where one is running
    #[arg(long, conflicts_with_all = ["socket", "server", "keep"])]
    private: bool,

    /// Leave the Jobs on the running agent
    #[arg(long)]
    keep: bool,

    /// Show no progress
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    module: ModuleFlags,
}

/// The agent that runs the Jobs.
enum Runner {
    Private(Box<PrivateAgent>),
    Running,
}

impl Run {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut signals = Signals::listen()?;
        let sources = self.sources(global)?;
        let jobs = jobs(&sources, global.namespace())?;
        let (session, mut runner) = tokio::select! {
            code = signals.next() => return Err(Failure::Stopped(code)),
            found = self.agent(global) => found?,
        };
        let mut made = Vec::new();
        let outcome = {
            let work = self.work(&session, &sources, &jobs, &mut made);
            tokio::select! {
                biased;
                code = signals.next() => Err(Failure::Stopped(code)),
                outcome = work => outcome,
                failure = runner.ended() => Err(failure),
            }
        };
        if matches!(outcome, Err(Failure::Stopped(_))) && !self.quiet {
            tell("stopping; a second signal makes it stop at once");
        }
        let cleaned = match runner {
            Runner::Private(agent) => {
                agent
                    .stop(async {
                        let _ = signals.next().await;
                    })
                    .await
            }
            Runner::Running if self.keep => Ok(()),
            Runner::Running => tokio::select! {
                cleaned = delete(&session, &made) => cleaned,
                _ = signals.next() => Ok(()),
            },
        };
        match (outcome, cleaned) {
            (Ok(()), cleaned) => cleaned,
            (Err(failure), Ok(())) => Err(failure),
            (Err(failure), Err(other)) => {
                other.tell();
                Err(failure)
            }
        }
    }

    /// The manifests to apply.
    fn sources(&self, global: &Global) -> Result<Vec<Source>, Failure> {
        if module::is_module(&self.what) {
            // On an agent that has other Jobs the same file may be run twice.
            let suffix =
                if self.is_private(global) { String::new() } else { format!("-{}", std::process::id()) };
            return Ok(vec![self.module.manifest(&self.what, &suffix)?]);
        }
        if let Some(flag) = self.module.given() {
            return Err(Failure::not_asked(format!(
                "{} is not a module, and {flag} is for one",
                self.what.display()
            ))
            .hint("a manifest says it itself: wick run job.yaml; a module is a .wasm or .wat file"));
        }
        sources(std::slice::from_ref(&self.what), self.recursive)
    }

    /// Whether it is certain that the agent is its own.
    fn is_private(&self, global: &Global) -> bool {
        self.private || !global.names_an_agent() && !global.usual_place_exists()
    }

    async fn agent(&self, global: &Global) -> Result<(Session, Runner), Failure> {
        if global.names_an_agent() && !self.private {
            return Ok((global.connect().await?, Runner::Running));
        }
        if !self.private
            && let Ok(session) = global.connect().await
        {
            if !self.quiet {
                tell("using the agent that is running; --private starts another one");
            }
            return Ok((session, Runner::Running));
        }
        if self.keep {
            tell("warning: --keep is for a running agent; a private one takes its Jobs with it");
        }
        let (private, agent) = PrivateAgent::start().await?;
        let session = Session { agent, namespace: global.namespace().to_owned() };
        Ok((session, Runner::Private(Box::new(private))))
    }

    /// Applies and follows. `made` are the Jobs that may be there because of it.
    async fn work(
        &self,
        session: &Session,
        sources: &[Source],
        jobs: &[JobKey],
        made: &mut Vec<JobKey>,
    ) -> Result<(), Failure> {
        for job in jobs {
            is_free(session, job).await?;
        }
        made.extend_from_slice(jobs);
        let mut all_done = true;
        for source in sources {
            let sent = apply::send(session, source, false).await?;
            for failure in &sent.refused {
                failure.tell();
                all_done = false;
            }
            for result in &sent.results {
                for warning in &result.warnings {
                    tell(&format!("warning: {warning}"));
                }
                if let Err(failure) = apply::line(result, "") {
                    failure.within(&source.name).tell();
                    all_done = false;
                }
            }
        }
        if !all_done {
            return Err(Failure::Said);
        }
        let story = follow::follow(session, jobs, &mut Board::on_stderr(self.quiet)).await?;
        let failures = story.failures();
        for failure in &failures {
            failure.tell();
        }
        if failures.is_empty() { Ok(()) } else { Err(Failure::Said) }
    }
}

impl Runner {
    /// Returns when an agent that should run has ended.
    async fn ended(&mut self) -> Failure {
        match self {
            Runner::Private(agent) => agent.ended().await,
            Runner::Running => std::future::pending().await,
        }
    }
}

/// The Jobs that manifests describe. What cannot be read is the agent's to refuse.
fn jobs(sources: &[Source], namespace: &str) -> Result<Vec<JobKey>, Failure> {
    let mut jobs = Vec::new();
    for source in sources {
        let documents = manifest::read(&source.text)
            .map_err(|error| Failure::refused(format!("{}: {error}", source.name)))?;
        for object in documents.iter().flat_map(|document| &document.objects) {
            if object.kind == "CronJob" {
                let what = format!("{}: `{}` is a CronJob; only Jobs can be run", source.name, object.name);
                return Err(Failure::refused(what).hint("a schedule is kept by a running agent: wick apply"));
            }
            if object.object.is_ok() {
                let namespace = if object.namespace.is_empty() { namespace } else { &object.namespace };
                jobs.push(JobKey { namespace: namespace.to_owned(), name: object.name.clone() });
            }
        }
    }
    Ok(jobs)
}

/// That there is no such Job yet: one that somebody else made is not to be run, or deleted, by us.
async fn is_free(session: &Session, job: &JobKey) -> Result<(), Failure> {
    let request = JobServiceGetRequest { namespace: job.namespace.clone(), name: job.name.clone() };
    match session.agent.jobs().get(request).await {
        Ok(_) => Err(Failure::refused(format!("job `{}` exists on this agent", job.name)).hint(format!(
            "delete it first: wick delete job {}; or run it beside: wick run --private",
            job.name
        ))),
        Err(status) if status.code() == Code::NotFound => Ok(()),
        Err(status) => Err(status.into()),
    }
}

/// Deletes Jobs, and waits until they are gone.
async fn delete(session: &Session, jobs: &[JobKey]) -> Result<(), Failure> {
    let mut going = Vec::new();
    for job in jobs {
        let request = JobServiceDeleteRequest {
            namespace: job.namespace.clone(),
            name: job.name.clone(),
            uid: String::new(),
            propagation: DeletionPropagation::Foreground.into(),
        };
        match session.agent.jobs().delete(request).await {
            Ok(deleted) => {
                let uid = deleted.into_inner().job.and_then(|job| job.metadata).unwrap_or_default().uid;
                let named =
                    Named { kind: Kind::Job, namespace: job.namespace.clone(), name: job.name.clone() };
                going.push((named, uid));
            }
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => return Err(status.into()),
        }
    }
    for (named, uid) in &going {
        gone(session, named, uid).await?;
    }
    Ok(())
}

/// The signals that stop it.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Signals, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::not_asked(format!("cannot start: {}", reason(&error))))
        };
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// The exit code that goes with the next one.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.hang_up.recv() => 129,
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}
