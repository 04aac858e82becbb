//! `wick delete`: takes Jobs (their Pods with them) and images away, and waits until they are gone.

use std::path::PathBuf;

use api::pb::wick::v1::{DeletionPropagation, JobServiceDeleteRequest, ObjectFilter};
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use tokio::time::{Instant, timeout_at};
use tonic::Code;

use crate::failure::{Failure, tell};
use crate::image::remove;
use crate::kind::{Kind, Target, targets};
use crate::logs::{duration, wait_of};
use crate::manifest;
use crate::objects::{self, Change, Watch, missing, only};
use crate::output::print;
use crate::session::{Global, Session};
use crate::sources::{Source, sources};

const EXAMPLES: &str = "\
Examples:
  wick delete job hello
  wick delete job/hello job/other --wait=false
  wick delete -f job.yaml --ignore-not-found
  wick delete jobs -l app=backup
  wick delete image hello:1.2";

/// Deletes jobs, with their pods, and images
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Delete {
    /// job or image with names, or KIND/NAME …
    #[arg(value_name = "KIND [NAME]")]
    what: Vec<String>,

    /// What a manifest names: a file, a directory or - for stdin
    #[arg(short = 'f', long = "filename", value_name = "FILE", conflicts_with = "what")]
    files: Vec<PathBuf>,

    /// Directories in directories too
    #[arg(short = 'R', long, requires = "files")]
    recursive: bool,

    /// Whether a Job's Pods go after it (background) or before it (foreground)
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

    /// All of the namespace
    #[arg(long, conflicts_with = "selector")]
    all: bool,

    /// Those with these labels: a=b, c!=d, e in (f,g), h, !i
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Cascade {
    /// The Job goes at once, its Pods after it
    Background,
    /// The Pods go first
    Foreground,
}

/// What is to be deleted.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Delete {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let (named, selected, mut unreadable) = match self.files.is_empty() {
            true => {
                let (named, selected) = self.arguments(global)?;
                (named, selected, false)
            }
            false => {
                let (named, unreadable) =
                    in_manifests(&sources(&self.files, self.recursive)?, global.namespace());
                (named, Vec::new(), unreadable)
            }
        };
        let session = global.connect().await?;
        let mut all = named;
        for kind in &selected {
            let filter = ObjectFilter {
                namespace: session.namespace.clone(),
                label_selector: self.selector.clone().unwrap_or_default(),
                ..ObjectFilter::default()
            };
            let found = objects::list(&session.agent, *kind, filter).await?;
            all.extend(found.iter().map(|object| Named {
                kind: *kind,
                namespace: object.namespace().to_owned(),
                name: object.name().to_owned(),
            }));
        }
        if all.is_empty() && !unreadable {
            tell("No resources found");
            return Ok(());
        }
        let mut going = Vec::new();
        for named in all {
            match self.one(&session, &named).await {
                Ok(Some(uid)) => going.push((named, uid)),
                Ok(None) => {}
                Err(failure @ Failure::Refused(_)) => {
                    failure.tell();
                    unreadable = true;
                }
                Err(failure) => return Err(failure),
            }
        }
        if self.wait {
            self.wait_for(&session, &going).await?;
        }
        if unreadable { Err(Failure::Said) } else { Ok(()) }
    }

    /// What the arguments name, and the kinds of which a selector chooses.
    fn arguments(&self, global: &Global) -> Result<(Vec<Named>, Vec<Kind>), Failure> {
        if self.what.is_empty() {
            return Err(Failure::not_asked("nothing is named")
                .hint("for instance: wick delete job hello, or wick delete -f job.yaml"));
        }
        let (mut named, mut selected) = (Vec::new(), Vec::new());
        let selects = self.all || self.selector.is_some();
        for Target { kind, names } in targets(&self.what)? {
            deletable(kind)?;
            match (names.is_empty(), selects) {
                (true, false) => {
                    return Err(Failure::not_asked("nothing is named").hint("name it, or give -l or --all"));
                }
                (false, true) => return Err(Failure::not_asked("either names or a selector, not both")),
                (true, true) if kind == Kind::Image && self.selector.is_some() => {
                    return Err(Failure::not_asked("images have no labels to select by"));
                }
                (true, true) => selected.push(kind),
                (false, false) => named.extend(names.into_iter().map(|name| Named {
                    kind,
                    namespace: global.namespace().to_owned(),
                    name,
                })),
            }
        }
        Ok((named, selected))
    }

    /// Deletes one thing; the uid of a Job that is going.
    async fn one(&self, session: &Session, named: &Named) -> Result<Option<String>, Failure> {
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
        };
        let request = JobServiceDeleteRequest {
            namespace: namespace.clone(),
            name: name.clone(),
            uid: String::new(),
            propagation: propagation.into(),
        };
        match session.agent.jobs().delete(request).await {
            Ok(deleted) => {
                print(&format!("{} \"{name}\" deleted\n", kind.qualified()))?;
                let job = deleted.into_inner().job.unwrap_or_default();
                Ok(Some(job.metadata.unwrap_or_default().uid))
            }
            Err(status) if status.code() == Code::NotFound => match self.ignore_not_found {
                true => Ok(None),
                false => Err(missing(&session.agent, *kind, namespace, name).await),
            },
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

/// Jobs and images can be deleted; the others go by themselves.
fn deletable(kind: Kind) -> Result<(), Failure> {
    match kind {
        Kind::Job | Kind::Image => Ok(()),
        Kind::Pod => Err(Failure::not_asked("a pod goes with its job").hint("wick delete job NAME")),
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
            match (object.kind.as_str(), object.name.as_str()) {
                ("Job", name) if !name.is_empty() => named.push(Named {
                    kind: Kind::Job,
                    namespace: if object.namespace.is_empty() { namespace } else { &object.namespace }
                        .to_owned(),
                    name: name.to_owned(),
                }),
                (kind, name) => {
                    let what = match (kind, name) {
                        ("", _) => "a document has no kind".to_owned(),
                        (kind, "") => format!("a {kind} has no metadata.name"),
                        (kind, name) => {
                            format!("`{name}` is a {kind}, and only Jobs are deleted by manifest")
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
