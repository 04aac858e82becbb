//! `wick patch`: changes what a patch says of a thing.

use std::path::PathBuf;

use api::field_error::FieldErrors;
use api::patch::{Patch as Read, PatchKind};
use api::pb::wick::v1::PatchType;
use clap::{Args, ValueEnum};

use crate::apply::DryRun;
use crate::change::{self, CHANGEABLE, Patched, Subjects, each};
use crate::chosen::Named;
use crate::failure::{Failure, Field};
use crate::form::{Form, FormParser};
use crate::objects::{Object, Scheduled};
use crate::output::{print, value, written};
use crate::session::{Global, Session};
use crate::sources::sources;

const EXAMPLES: &str = "\
Examples:
  wick patch job hello -p '{\"spec\":{\"parallelism\":3}}'
  wick patch job hello -p 'metadata: {labels: {tier: edge, old: null}}'
  wick patch job hello --type json \\
    -p '[{\"op\":\"replace\",\"path\":\"/spec/suspend\",\"value\":true}]'
  wick patch cronjob nightly -p 'spec: {schedule: \"30 2 * * *\"}'
  wick patch job hello --patch-file change.yaml --dry-run=server -o yaml

What cannot change once a Job exists (its template, for one) is refused with its
path; of a CronJob everything can but its name, and Jobs that it has started stay
as they are. A patch of the status does nothing.";

/// Changes fields of jobs and cronjobs
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Patch {
    #[command(flatten)]
    subjects: Subjects,

    /// What changes, as JSON or YAML
    #[arg(short, long, value_name = "PATCH", required_unless_present = "patch_file")]
    patch: Option<String>,

    /// A file with what changes, or - for stdin
    #[arg(long, value_name = "FILE", conflicts_with = "patch")]
    patch_file: Option<PathBuf>,

    /// How the patch says it: strategic (lists of things with names are merged), merge (lists are replaced) or json
    /// (a list of operations)
    #[arg(long = "type", value_enum, default_value_t = Type::Strategic, value_name = "TYPE")]
    #[arg(hide_default_value = true, hide_possible_values = true)]
    kind: Type,

    /// Say what would happen, and change nothing: server asks the agent, client only applies the patch
    #[arg(long, value_enum, default_value_t = DryRun::None, value_name = "WHERE")]
    #[arg(hide_default_value = true, hide_possible_values = true)]
    dry_run: DryRun,

    /// Print what comes of it: yaml, json, name or jsonpath=TEMPLATE
    #[arg(short, long, value_parser = FormParser, value_name = "FORM", hide_possible_values = true)]
    output: Option<Form>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Type {
    Strategic,
    Merge,
    Json,
}

impl Type {
    fn asked(self) -> PatchType {
        match self {
            Type::Strategic => PatchType::Strategic,
            Type::Merge => PatchType::Merge,
            Type::Json => PatchType::Json,
        }
    }

    fn read(self) -> PatchKind {
        match self {
            Type::Strategic => PatchKind::Strategic,
            Type::Merge => PatchKind::Merge,
            Type::Json => PatchKind::Json,
        }
    }
}

impl Patch {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        if let Some(Form::Wide | Form::Columns(_)) = &self.output {
            return Err(Failure::not_asked(
                "what comes of a patch is printed as yaml, json, name or jsonpath=…",
            ));
        }
        let text = match (&self.patch, &self.patch_file) {
            (Some(text), _) => text.clone(),
            (None, Some(file)) => {
                let sources = sources(std::slice::from_ref(file), false)?;
                match <[_; 1]>::try_from(sources) {
                    Ok([source]) => source.text,
                    Err(_) => return Err(Failure::not_asked(format!("{}: not one file", file.display()))),
                }
            }
            (None, None) => return Err(Failure::not_asked("no patch given").hint("give -p or --patch-file")),
        };
        // What is no patch at all is said once, before anything is done.
        let patch = Read::parse(self.kind.read(), &text)
            .map_err(|errors| Failure::not_asked("this is no patch").fields(fields(&errors)))?;
        let (session, found) = self.subjects.find(global, &CHANGEABLE, "patched").await?;
        each(&found, async |named| self.one(&session, named, &patch, &text).await).await
    }

    async fn one(&self, session: &Session, named: &Named, patch: &Read, text: &str) -> Result<(), Failure> {
        let Patched { object, changed } = match self.dry_run {
            DryRun::Client => {
                let object = change::read(session, named).await?;
                let (object, changed) = patched(object, patch).map_err(|errors| {
                    Failure::refused(format!("{}: the patch is invalid", named.qualified()))
                        .fields(fields(&errors))
                })?;
                Patched { object, changed }
            }
            DryRun::None | DryRun::Server => {
                let dry_run = self.dry_run == DryRun::Server;
                change::patch(session, named, self.kind.asked(), text.to_owned(), dry_run).await?
            }
        };
        match &self.output {
            Some(form) => {
                let name = || format!("{}\n", object.qualified_name());
                print(&written(&value(&object), form).unwrap_or_else(name))
            }
            None => {
                let unchanged = if changed { "" } else { " (no change)" };
                print(&format!("{} patched{unchanged}{}\n", named.qualified(), self.dry_run.suffix()))
            }
        }
    }
}

/// What comes of a thing, and whether it is another one.
fn patched(object: Object, patch: &Read) -> Result<(Object, bool), FieldErrors> {
    Ok(match object {
        Object::Job(job) => {
            let patched = patch.apply(job.as_ref())?;
            let changed = patched != *job;
            (patched.into(), changed)
        }
        Object::CronJob(scheduled) => {
            let Scheduled { cron_job, next } = *scheduled;
            let patched = patch.apply(&cron_job)?;
            let changed = patched != cron_job;
            (Scheduled { cron_job: patched, next }.into(), changed)
        }
        // Nobody else is asked to change.
        object @ (Object::Pod(_) | Object::Event(_) | Object::Image(_) | Object::Node(_)) => (object, false),
    })
}

fn fields(errors: &FieldErrors) -> impl Iterator<Item = Field> {
    errors.iter().map(|error| Field { path: error.path.as_str().to_owned(), why: error.detail.clone() })
}
