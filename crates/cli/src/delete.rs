//! `wick delete`: takes what is named away, with what it owns, and waits until they are gone.

use std::path::PathBuf;

use api::pb::wick::v1::{DeletionPropagation, ObjectFilter};
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use tokio::time::{Instant, timeout_at};
use tonic::Code;

use crate::change::CHANGEABLE;
use crate::chosen::{Chosen, Named};
use crate::failure::{Failure, tell};
use crate::image::remove;
use crate::kind::{Kind, Target, targets};
use crate::logs::{duration, wait_of};
use crate::manifest;
use crate::objects::{self, Change, Deletion, Watch, missing, only};
use crate::output::print;
use crate::session::{Global, Session};
use crate::sources::{Source, sources};

const EXAMPLES: &str = "\
Examples:
  wick delete job hello
  wick delete job/hello job/other --wait=false
  wick delete -f job.yaml --ignore-not-found
  wick delete jobs -l app=backup
  wick delete jobs --field-selector status.successful=1
  wick delete job hello --cascade=orphan
  wick delete pod hello-x7k2p --now
  wick delete cronjob nightly
  wick delete cronjob nightly --cascade=orphan
  wick delete image hello:1.2

A Job makes another Pod in the place of one that is deleted while it runs.";

/// Deletes cronjobs with their jobs, jobs with their pods, pods and images
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Delete {
    /// job, cronjob, pod or image with names, or KIND/NAME …
    #[arg(value_name = "KIND [NAME]")]
    what: Vec<String>,

    /// What a manifest names: a file, a directory or - for stdin
    #[arg(short = 'f', long = "filename", value_name = "FILE", conflicts_with = "what")]
    files: Vec<PathBuf>,

    /// Directories in directories too
    #[arg(short = 'R', long, requires = "files")]
    recursive: bool,

    /// Whether a Job's Pods, and a CronJob's Jobs with theirs, go after it (background), before it (foreground) or stay
    /// (orphan)
    #[arg(long, value_enum, default_value_t = Cascade::Background, hide_possible_values = true, value_name = "HOW")]
    cascade: Cascade,

    /// Wait until it is gone: true or false
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
        hide_possible_values = true)]
    wait: bool,

    /// How long to wait; 0 for as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true, value_parser = duration)]
    timeout: SignedDuration,

    /// What is not there is as good as deleted
    #[arg(long)]
    ignore_not_found: bool,

    #[command(flatten)]
    chosen: Chosen,

    /// How many seconds a Pod's guests have to stop; -1 for what the Pod says
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "-1",
        hide_default_value = true,
        allow_negative_numbers = true
    )]
    grace_period: i64,

    /// Stop Pods within a second
    #[arg(long, conflicts_with_all = ["grace_period", "force"])]
    now: bool,

    /// End Pods at once, without a chance to stop by themselves
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Cascade {
    /// It goes at once, what it owns after it
    Background,
    /// What it owns goes first
    Foreground,
    /// What it owns stays, and is nobody's
    Orphan,
}

impl Delete {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let grace = self.grace()?;
        let (session, all, mut failed) = if self.files.is_empty() {
            let targets = self.targets()?;
            let session = global.connect().await?;
            let found = self.chosen.find(&session, targets).await?;
            (session, found, false)
        } else {
            let (named, unreadable) =
                in_manifests(&sources(&self.files, self.recursive)?, global.namespace());
            (global.connect().await?, named, unreadable)
        };
        if all.is_empty() && !failed {
            tell("No resources found");
            return Ok(());
        }
        if grace.is_some() && all.iter().any(|named| matches!(named.kind, Kind::Job | Kind::CronJob)) {
            tell(
                "warning: a grace period is for Pods that are named; a Job's Pods have what its template says",
            );
        }
        let mut going = Vec::new();
        for named in all {
            match self.one(&session, &named, grace).await {
                Ok(Some(uid)) => going.push((named, uid)),
                Ok(None) => {}
                Err(failure @ Failure::Refused(_)) => {
                    failure.tell();
                    failed = true;
                }
                Err(failure) => return Err(failure),
            }
        }
        if self.wait {
            self.wait_for(&session, &going).await?;
        }
        if failed { Err(Failure::Said) } else { Ok(()) }
    }

    /// What the arguments name, and the kinds of which a selector chooses.
    fn targets(&self) -> Result<Vec<Target>, Failure> {
        if self.what.is_empty() {
            return Err(Failure::not_asked("nothing is named")
                .hint("for instance: wick delete job hello, or wick delete -f job.yaml"));
        }
        let targets = targets(&self.what)?;
        for target in &targets {
            deletable(target.kind)?;
        }
        self.chosen.check(&targets)?;
        Ok(targets)
    }

    /// How long Pods have to stop, in seconds; `None` for what they say.
    fn grace(&self) -> Result<Option<i64>, Failure> {
        match (self.grace_period, self.force, self.now) {
            (seconds, true, _) if seconds > 0 => {
                Err(Failure::not_asked("--force leaves no grace period; give one of them"))
            }
            (_, true, _) => Ok(Some(0)),
            (_, _, true) => Ok(Some(1)),
            // As kubectl has it: nothing is ended without a chance unless that is asked for in as many words.
            (0, false, false) => Ok(Some(1)),
            (seconds, false, false) => Ok((seconds > 0).then_some(seconds)),
        }
    }

    /// Deletes one thing; the uid of what is going.
    async fn one(
        &self,
        session: &Session,
        named: &Named,
        grace: Option<i64>,
    ) -> Result<Option<String>, Failure> {
        let Named { kind, namespace, name } = named;
        if *kind == Kind::Image {
            return match remove(session, name).await {
                Ok(gone) => print(&gone).map(|()| None),
                Err(_) if self.ignore_not_found && self.is_missing(session, named).await? => Ok(None),
                Err(failure) => Err(failure),
            };
        }
        let propagation = match self.cascade {
            Cascade::Background => DeletionPropagation::Background,
            Cascade::Foreground => DeletionPropagation::Foreground,
            Cascade::Orphan => DeletionPropagation::Orphan,
        };
        let place = (namespace.clone(), name.clone());
        match objects::delete(&session.agent, *kind, place, Deletion { propagation, grace }).await {
            Ok(meta) => {
                let word = if self.force && *kind == Kind::Pod { "force deleted" } else { "deleted" };
                print(&format!("{} \"{name}\" {word}\n", kind.qualified()))?;
                Ok(Some(meta.unwrap_or_default().uid))
            }
            // What was chosen, and went by itself meanwhile, is gone as well.
            Err(status) if status.code() == Code::NotFound => {
                match self.ignore_not_found || self.chosen.chooses() {
                    true => Ok(None),
                    false => Err(missing(&session.agent, *kind, namespace, name).await),
                }
            }
            Err(status) => Err(status.into()),
        }
    }

    async fn is_missing(&self, session: &Session, named: &Named) -> Result<bool, Failure> {
        let images = objects::list(&session.agent, named.kind, ObjectFilter::default()).await?;
        let tagged = format!("{}:latest", named.name);
        Ok(!images.iter().any(|image| image.name() == named.name || image.name() == tagged))
    }

    async fn wait_for(&self, session: &Session, going: &[(Named, String)]) -> Result<(), Failure> {
        let end = (!self.timeout.is_zero()).then(|| Instant::now() + wait_of(self.timeout));
        for (named, uid) in going {
            let gone = gone(session, named, uid);
            match end {
                None => gone.await?,
                Some(end) => match timeout_at(end, gone).await {
                    Ok(gone) => gone?,
                    Err(_) => {
                        let what = format!("{}/{}", named.kind.plural(), named.name);
                        return Err(Failure::refused(format!("timed out waiting for {what} to be gone")));
                    }
                },
            }
        }
        Ok(())
    }
}

/// Some things go by themselves, or never.
fn deletable(kind: Kind) -> Result<(), Failure> {
    match kind {
        Kind::Job | Kind::CronJob | Kind::Pod | Kind::Image => Ok(()),
        Kind::Event => Err(Failure::not_asked("events go by themselves, after an hour")),
        Kind::Node => Err(Failure::not_asked("the node is the device itself")),
    }
}

/// What manifests name, and whether something in them cannot be told.
fn in_manifests(sources: &[Source], namespace: &str) -> (Vec<Named>, bool) {
    let (mut named, mut unreadable) = (Vec::new(), false);
    for source in sources {
        let documents = match manifest::read(&source.text) {
            Ok(documents) => documents,
            Err(error) => {
                tell(&format!("error: {}: {error}", source.name));
                unreadable = true;
                continue;
            }
        };
        for object in documents.iter().flat_map(|document| &document.objects) {
            let kind = Kind::of_manifest(&object.kind).filter(|kind| CHANGEABLE.contains(kind));
            match (kind, object.name.as_str()) {
                (Some(kind), name) if !name.is_empty() => named.push(Named {
                    kind,
                    namespace: if object.namespace.is_empty() { namespace } else { &object.namespace }
                        .to_owned(),
                    name: name.to_owned(),
                }),
                (_, name) => {
                    let what = match (object.kind.as_str(), name) {
                        ("", _) => "a document has no kind".to_owned(),
                        (kind, "") => format!("a {kind} has no metadata.name"),
                        (kind, name) => {
                            format!("`{name}` is a {kind}; what manifests delete are Jobs and CronJobs")
                        }
                    };
                    tell(&format!("error: {}: {what}", source.name));
                    unreadable = true;
                }
            }
        }
    }
    (named, unreadable)
}

/// Waits until the thing of that uid is gone.
pub(crate) async fn gone(session: &Session, named: &Named, uid: &str) -> Result<(), Failure> {
    let mut watch = Watch::begin(&session.agent, named.kind, only(&named.namespace, &named.name)).await?;
    let mut there = false;
    loop {
        match watch.next().await? {
            Some(Change::Added(object) | Change::Modified(object)) => {
                there = object.meta().is_some_and(|meta| meta.uid == uid);
                if !there {
                    return Ok(()); // Somebody made another one of the same name.
                }
            }
            Some(Change::Deleted(_)) => return Ok(()),
            Some(Change::Caught) if !there => return Ok(()),
            Some(Change::Caught) => {}
            None => return Err(Failure::not_asked("the agent ended the watch")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn a_manifest_names_what_goes() {
        check(
            "kind: Job\nmetadata: {name: a}\n---\nkind: Job\nmetadata: {name: b, namespace: other}\n",
            expect!["default/a other/b"],
        );
        check(
            "kind: List\nitems: [{kind: Job, metadata: {name: a}}, {kind: Job, metadata: {name: b}}]",
            expect!["default/a default/b"],
        );
        check(
            "kind: Job\nmetadata: {name: a}\n---\nkind: CronJob\nmetadata: {name: a}\n",
            expect!["default/a default/a"],
        );
    }

    #[test]
    fn what_a_manifest_does_not_name_is_said_and_the_rest_goes() {
        check(
            "kind: Job\n---\nkind: Job\nmetadata: {name: b}\n",
            expect!["default/b and something unreadable"],
        );
        check("kind: Deployment\nmetadata: {name: b}\n", expect![" and something unreadable"]);
        check("a: [", expect![" and something unreadable"]);
    }

    #[test]
    fn a_grace_is_what_kubectl_makes_of_the_flags() {
        let grace = |line: &str| {
            #[derive(clap::Parser)]
            struct Line {
                #[command(flatten)]
                delete: Delete,
            }
            let words = ["delete", "pod", "a"].into_iter().chain(line.split_whitespace());
            match <Line as clap::Parser>::try_parse_from(words).map(|line| line.delete.grace()) {
                Ok(Ok(grace)) => format!("{grace:?}"),
                Ok(Err(Failure::NotAsked(words))) => words.to_string(),
                Ok(Err(failure)) => format!("{failure:?}"),
                Err(error) => error.kind().to_string(),
            }
        };
        assert_eq!(grace(""), "None");
        assert_eq!(grace("--grace-period -1"), "None");
        assert_eq!(grace("--grace-period 7"), "Some(7)");
        assert_eq!(grace("--grace-period=0"), "Some(1)");
        assert_eq!(grace("--now"), "Some(1)");
        assert_eq!(grace("--force"), "Some(0)");
        assert_eq!(grace("--force --grace-period 0"), "Some(0)");
        assert_eq!(
            grace("--force --grace-period 7"),
            "error: --force leaves no grace period; give one of them"
        );
        assert!(grace("--now --grace-period 7").contains("cannot be used"));
    }

    fn check(text: &str, wanted: Expect) {
        let source = Source { name: "job.yaml".to_owned(), text: text.to_owned(), dir: PathBuf::new() };
        let (named, unreadable) = in_manifests(&[source], "default");
        let mut said: String = named
            .iter()
            .map(|named| format!("{}/{}", named.namespace, named.name))
            .collect::<Vec<_>>()
            .join(" ");
        if unreadable {
            said += " and something unreadable";
        }
        wanted.assert_eq(&said);
    }
}
