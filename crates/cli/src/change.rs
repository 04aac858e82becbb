//! What the verbs that change things share: each is a patch, and says in a line what became of it.

use api::pb::k8s::batch::v1::Job;
use api::pb::wick::v1::PatchType;
use clap::Args;
use tonic::Code;

use crate::chosen::{Chosen, Named};
use crate::failure::{Failure, tell};
use crate::kind::{Kind, Target, targets};
use crate::objects::{self, Object, missing};
use crate::output::print;
use crate::session::{Global, Session};
use crate::status::job_is_finished;

/// What can be changed: what else there is comes from these, and goes with them.
pub(crate) const CHANGEABLE: [Kind; 2] = [Kind::Job, Kind::CronJob];

/// Which things are changed.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub(crate) struct Subjects {
    /// job or cronjob with names, or KIND/NAME …
    #[arg(required = true, value_name = "KIND [NAME]")]
    pub(crate) what: Vec<String>,

    #[command(flatten)]
    pub(crate) chosen: Chosen,
}

/// What a patch made of a thing.
pub(crate) struct Patched {
    pub(crate) object: Object,
    pub(crate) changed: bool,
}

impl Subjects {
    /// The things that are meant, all of them of these `kinds`, and who is asked.
    pub(crate) async fn find(
        &self,
        global: &Global,
        kinds: &[Kind],
        done: &str,
    ) -> Result<(Session, Vec<Named>), Failure> {
        let targets = only(targets(&self.what)?, kinds, done)?;
        self.chosen.check(&targets)?;
        let plurals: Vec<&str> = targets.iter().map(|target| target.kind.plural()).collect();
        let plurals = plurals.join(" and ");
        let session = global.connect().await?;
        let found = self.chosen.find(&session, targets).await?;
        if found.is_empty() {
            let what = format!("no {plurals} to change in namespace {}", session.namespace);
            return Err(Failure::refused(what));
        }
        Ok((session, found))
    }
}

/// Refuses everything that is of no kind among `kinds`, and so cannot be `done` to.
pub(crate) fn only(targets: Vec<Target>, kinds: &[Kind], done: &str) -> Result<Vec<Target>, Failure> {
    match targets.iter().find(|target| !kinds.contains(&target.kind)) {
        Some(target) => {
            let can: Vec<&str> = kinds.iter().map(|kind| kind.plural()).collect();
            let what = format!("{} cannot be {done}", target.kind.plural());
            Err(Failure::not_asked(what).hint(format!("{} can, for instance: job/hello", can.join(" and "))))
        }
        None => Ok(targets),
    }
}

/// Does something to each of `all`; what is refused for one does not keep the others from it.
pub(crate) async fn each<F: AsyncFn(&Named) -> Result<(), Failure>>(
    all: &[Named],
    change: F,
) -> Result<(), Failure> {
    let mut all_done = true;
    for named in all {
        match change(named).await {
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

/// Has the agent patch a thing, and says what it warns of.
pub(crate) async fn patch(
    session: &Session,
    named: &Named,
    form: PatchType,
    text: String,
    dry_run: bool,
) -> Result<Patched, Failure> {
    let Named { kind, namespace, name } = named;
    let place = (namespace.clone(), name.clone());
    let patched = match objects::patch(&session.agent, *kind, place, (form, text), dry_run).await {
        Ok(patched) => patched,
        Err(status) if status.code() == Code::NotFound => {
            return Err(missing(&session.agent, *kind, namespace, name).await);
        }
        Err(status) => return Err(Failure::from(status).within(&named.qualified())),
    };
    for warning in patched.warnings {
        tell(&format!("warning: {warning}"));
    }
    let object =
        patched.object.ok_or_else(|| Failure::refused("the agent did not answer what came of it"))?;
    Ok(Patched { object, changed: patched.changed })
}

/// A thing as it is now.
pub(crate) async fn read(session: &Session, named: &Named) -> Result<Object, Failure> {
    objects::get(&session.agent, named.kind, &named.namespace, &named.name).await
}

/// `job.batch/hello scaled`, or that it was so before.
pub(crate) fn say(named: &Named, word: &str, changed: bool) -> Result<(), Failure> {
    let unchanged = if changed { "" } else { " (no change)" };
    print(&format!("{} {word}{unchanged}\n", named.qualified()))
}

/// Says that a change of how a Job runs comes too late.
pub(crate) fn warn_if_finished(job: &Job) {
    if job_is_finished(job) {
        let name = job.metadata.as_ref().map_or("", |meta| &meta.name);
        tell(&format!("warning: job `{name}` has finished; this starts and stops nothing"));
    }
}
