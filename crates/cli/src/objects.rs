//! What can be looked at, whatever its kind: got, listed, watched and changed in one way.
//!
//! The services are typed, one for each kind; what verbs have in common is said once because of this. A new kind is a
//! variant here and in [`Kind`], and an arm for each method in [`services`].

mod services;

pub(crate) use services::{Created, Deletion, create, delete, patch};

use std::collections::BTreeMap;

use api::pb::k8s::batch::v1::{CronJob, Job};
use api::pb::k8s::core::v1::{Event, Pod};
use api::pb::k8s::meta::v1::ObjectMeta;
use api::pb::wick::v1::{Image, NextSlot, Node, ObjectFilter, WatchEventType};
use tokio_stream::StreamExt;
use tonic::{Code, Status};

use crate::client::Agent;
use crate::failure::Failure;
use crate::kind::Kind;

/// How many names a hint lists.
const NAMES_IN_A_HINT: usize = 5;

/// One thing.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Job(Box<Job>),
    CronJob(Box<Scheduled>),
    Pod(Box<Pod>),
    Event(Box<Event>),
    Image(Image),
    Node(Box<Node>),
}

/// A CronJob, and when it is due next: that is told with it and is no part of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scheduled {
    pub(crate) cron_job: CronJob,
    pub(crate) next: NextSlot,
}

impl Object {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Object::Job(_) => Kind::Job,
            Object::CronJob(_) => Kind::CronJob,
            Object::Pod(_) => Kind::Pod,
            Object::Event(_) => Kind::Event,
            Object::Image(_) => Kind::Image,
            Object::Node(_) => Kind::Node,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Object::Image(image) if image.name.is_empty() => &image.digest,
            Object::Image(image) => &image.name,
            Object::Node(node) => &node.name,
            Object::Job(_) | Object::CronJob(_) | Object::Pod(_) | Object::Event(_) => {
                self.meta().map_or("", |meta| &meta.name)
            }
        }
    }

    pub(crate) fn namespace(&self) -> &str {
        self.meta().map_or("", |meta| &meta.namespace)
    }

    /// Kubernetes' metadata, where it has some.
    pub(crate) fn meta(&self) -> Option<&ObjectMeta> {
        match self {
            Object::Job(job) => job.metadata.as_ref(),
            Object::CronJob(scheduled) => scheduled.cron_job.metadata.as_ref(),
            Object::Pod(pod) => pod.metadata.as_ref(),
            Object::Event(event) => event.metadata.as_ref(),
            Object::Image(_) | Object::Node(_) => None,
        }
    }

    /// As people write it: `job.batch/hello`.
    pub(crate) fn qualified_name(&self) -> String {
        format!("{}/{}", self.kind().qualified(), self.name())
    }

    /// The Job it is, if it is one.
    pub(crate) fn job(self) -> Option<Job> {
        if let Object::Job(job) = self { Some(*job) } else { None }
    }

    /// The Pod it is, if it is one.
    pub(crate) fn pod(self) -> Option<Pod> {
        if let Object::Pod(pod) = self { Some(*pod) } else { None }
    }
}

impl From<Job> for Object {
    fn from(job: Job) -> Object {
        Object::Job(Box::new(job))
    }
}

impl From<Scheduled> for Object {
    fn from(scheduled: Scheduled) -> Object {
        Object::CronJob(Box::new(scheduled))
    }
}

impl From<api::manifest::Object> for Object {
    fn from(object: api::manifest::Object) -> Object {
        match object {
            api::manifest::Object::Job(job) => Object::Job(job),
            api::manifest::Object::CronJob(cron_job) => {
                Scheduled { cron_job: *cron_job, next: NextSlot::default() }.into()
            }
        }
    }
}

impl From<Pod> for Object {
    fn from(pod: Pod) -> Object {
        Object::Pod(Box::new(pod))
    }
}

impl From<Event> for Object {
    fn from(event: Event) -> Object {
        Object::Event(Box::new(event))
    }
}

/// One thing by its name.
pub(crate) async fn get(agent: &Agent, kind: Kind, namespace: &str, name: &str) -> Result<Object, Failure> {
    match services::get(agent, kind, namespace.to_owned(), name.to_owned()).await {
        Ok(Some(object)) => Ok(object),
        Ok(None) => Err(missing(agent, kind, namespace, name).await),
        Err(status) if status.code() == Code::NotFound => Err(missing(agent, kind, namespace, name).await),
        Err(status) => Err(status.into()),
    }
}

/// All things of a kind that `filter` selects.
pub(crate) async fn list(agent: &Agent, kind: Kind, filter: ObjectFilter) -> Result<Vec<Object>, Status> {
    services::list(agent, kind, filter).await
}

/// That there is no `kind` of that `name`, and what there is instead.
pub(crate) async fn missing(agent: &Agent, kind: Kind, namespace: &str, name: &str) -> Failure {
    // A hint that cannot be found out is left out; the error stands without it.
    let everything = list(agent, kind, ObjectFilter::default()).await.unwrap_or_default();
    let names: Vec<_> = everything.iter().map(|object| (object.namespace(), object.name())).collect();
    let failure = Failure::refused(match kind.has_namespace() {
        true => format!("no {} named `{name}` in namespace {namespace}", kind.singular()),
        false => format!("no {} named `{name}`", kind.singular()),
    });
    failure.hint(instead(kind, namespace, name, &names))
}

/// What there is instead of `name`: the same name elsewhere, else the names here, closest first.
fn instead(kind: Kind, namespace: &str, name: &str, known: &[(&str, &str)]) -> String {
    let elsewhere: Vec<&str> =
        known.iter().filter(|(_, known)| *known == name).map(|(space, _)| *space).collect();
    if let Some(first) = elsewhere.first() {
        return format!("there is one in namespace {first}: -n {first}");
    }
    let inside = if kind.has_namespace() { format!(" in namespace {namespace}") } else { String::new() };
    let mut here: Vec<&str> = known
        .iter()
        .filter(|(space, _)| !kind.has_namespace() || *space == namespace)
        .map(|(_, name)| *name)
        .collect();
    if here.is_empty() {
        return format!("there are no {}{inside}", kind.plural());
    }
    here.sort_by_cached_key(|known| (strsim::damerau_levenshtein(known, name), (*known).to_owned()));
    let listed: Vec<String> = here.iter().take(NAMES_IN_A_HINT).map(|name| format!("`{name}`")).collect();
    let more = match here.len().saturating_sub(NAMES_IN_A_HINT) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{inside}: {}{more}", kind.plural(), listed.join(", "))
}

/// What a watch tells.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Added(Object),
    Modified(Object),
    Deleted(Object),
    /// Everything there was has been told.
    Caught,
}

/// A stream of changes.
pub(crate) struct Watch {
    changes: services::Changes,
    /// What came, and was only looked at.
    next: Option<Result<Option<Change>, Status>>,
}

impl Watch {
    /// Everything that `filter` selects, [`Change::Caught`], then what changes.
    pub(crate) async fn begin(agent: &Agent, kind: Kind, filter: ObjectFilter) -> Result<Watch, Status> {
        Ok(Watch { changes: services::watch(agent, kind, filter).await?, next: None })
    }

    /// Waits for the next change, and leaves it to be told.
    pub(crate) async fn look(&mut self) -> &Result<Option<Change>, Status> {
        let next = match self.next.take() {
            Some(next) => next,
            None => self.told().await,
        };
        self.next.insert(next)
    }

    /// The next change; `None` when the agent ends the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Change>, Status> {
        match self.next.take() {
            Some(next) => next,
            None => self.told().await,
        }
    }

    async fn told(&mut self) -> Result<Option<Change>, Status> {
        while let Some((change, object)) = self.changes.next().await.transpose()? {
            return Ok(Some(match (change, object) {
                (WatchEventType::Bookmark, _) => Change::Caught,
                (WatchEventType::Added, Some(object)) => Change::Added(object),
                (WatchEventType::Modified, Some(object)) => Change::Modified(object),
                (WatchEventType::Deleted, Some(object)) => Change::Deleted(object),
                // Something a newer agent tells: it is not about any object we know.
                (WatchEventType::Unspecified, _) | (_, None) => continue,
            }));
        }
        Ok(None)
    }
}

/// The filter for the one thing of that name.
pub(crate) fn only(namespace: &str, name: &str) -> ObjectFilter {
    ObjectFilter { namespace: namespace.to_owned(), name: name.to_owned(), ..ObjectFilter::default() }
}

/// The filter for the Pods of a Job.
pub(crate) fn pods_of(namespace: &str, job: &str) -> ObjectFilter {
    ObjectFilter {
        namespace: namespace.to_owned(),
        label_selector: format!("batch.kubernetes.io/job-name={job}"),
        ..ObjectFilter::default()
    }
}

/// Labels as `-l` shows them: `a=b,c=d`.
pub(crate) fn pairs(map: &BTreeMap<String, String>) -> Vec<String> {
    map.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn the_closest_names_come_first() {
        check(
            "nightly-backup",
            "weekly-backup nightly-report nightly-bakup",
            expect!["jobs in namespace default: `nightly-bakup`, `weekly-backup`, `nightly-report`"],
        );
    }

    #[test]
    fn a_few_names_are_enough() {
        check("a", "b c d e f g h", expect!["jobs in namespace default: `b`, `c`, `d`, `e`, `f` and 2 more"]);
    }

    #[test]
    fn the_same_name_elsewhere_is_what_was_meant() {
        check("a", "b other/a", expect!["there is one in namespace other: -n other"]);
    }

    #[test]
    fn where_there_is_nothing_that_is_said() {
        check("a", "other/b", expect!["there are no jobs in namespace default"]);
    }

    #[test]
    fn images_are_in_no_namespace() {
        let said = instead(Kind::Image, "default", "helo", &[("", "hello:latest")]);
        expect!["images: `hello:latest`"].assert_eq(&said);
    }

    fn check(name: &str, known: &str, wanted: Expect) {
        let known: Vec<_> =
            known.split(' ').map(|known| known.split_once('/').unwrap_or(("default", known))).collect();
        wanted.assert_eq(&instead(Kind::Job, "default", name, &known));
    }
}
