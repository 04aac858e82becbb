//! Watches: the state as it is, if asked for, and then every change, read from what the engine remembers.
//!
//! Nothing is queued for a watcher but the portion it is being sent: a slow one reads on from its cursor when it gets
//! there, and is told to list again if that is no longer remembered.

use std::pin::Pin;
use std::sync::Arc;

use api::pb::wick::v1::{ObjectFilter, WatchEventType};
use engine::{Kind, Object, Reader};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status};

use super::select::{Filter, Selectable};
use super::{Agent, status};

/// Changes read, and messages under way, at once.
const PORTION: usize = 64;

/// What a streaming method answers.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A kind that can be watched.
pub(super) trait Watched: Selectable + Send + Sync + Sized + 'static {
    /// One change as it is sent.
    type Message: Send + 'static;
    const KIND: Kind;

    /// All there are that the filter selects, and the revision they are of.
    fn list(reader: &Reader, filter: &Filter) -> Result<(Vec<Arc<Self>>, u64), Status>;

    fn of(object: Object) -> Option<Arc<Self>>;

    fn message(
        agent: &Agent,
        kind: WatchEventType,
        object: Option<Arc<Self>>,
        revision: u64,
    ) -> Self::Message;
}

/// [`Watched::list`] on a thread that may wait for the disk.
pub(super) async fn list<T: Watched>(reader: &Reader, filter: &Filter) -> Result<(Vec<Arc<T>>, u64), Status> {
    let (reader, filter) = (reader.clone(), filter.clone());
    let listed = tokio::task::spawn_blocking(move || T::list(&reader, &filter)).await;
    listed.map_err(|error| Status::internal(format!("cannot list: {error}")))?
}

/// Answers a watch.
pub(super) fn watch<T: Watched>(
    agent: &Agent,
    filter: Option<ObjectFilter>,
    since: Option<u64>,
) -> Result<Response<Answers<T::Message>>, Status> {
    let filter = Filter::parse::<T>(filter)?;
    let (sender, receiver) = mpsc::channel(PORTION);
    let watcher = Watcher { agent: agent.clone(), filter, sender };
    // A revision that cannot be watched from is refused at once.
    if let Some(since) = since {
        watcher.agent.reader.changes(T::KIND, since, 1).map_err(status::expired)?;
    }
    tokio::spawn(async move {
        if let Err(refused) = watcher.run::<T>(since).await {
            // The client may have gone first.
            let _ = watcher.sender.send(Err(refused)).await;
        }
    });
    Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
}

struct Watcher<M> {
    agent: Agent,
    filter: Filter,
    sender: mpsc::Sender<Result<M, Status>>,
}

impl<M: Send + 'static> Watcher<M> {
    async fn run<T: Watched<Message = M>>(&self, since: Option<u64>) -> Result<(), Status> {
        let mut revision = self.agent.engine.revision.clone();
        let mut cursor = match since {
            Some(since) => since,
            None => {
                let (objects, listed) = list::<T>(&self.agent.reader, &self.filter).await?;
                for object in objects {
                    if !self.send::<T>(WatchEventType::Added, Some(object), listed).await {
                        return Ok(());
                    }
                }
                if !self.send::<T>(WatchEventType::Bookmark, None, listed).await {
                    return Ok(());
                }
                listed
            }
        };
        loop {
            revision.mark_unchanged();
            loop {
                let (changes, reached) =
                    self.agent.reader.changes(T::KIND, cursor, PORTION).map_err(status::expired)?;
                let last = changes.len() < PORTION;
                for change in changes {
                    let before =
                        change.before.and_then(T::of).filter(|object| self.filter.selects(&**object));
                    let after = change.after.and_then(T::of).filter(|object| self.filter.selects(&**object));
                    // Starting to match is being added, ceasing to match is being deleted.
                    let (kind, object) = match (before, after) {
                        (None, None) => continue,
                        (None, Some(after)) => (WatchEventType::Added, after),
                        (Some(_), Some(after)) => (WatchEventType::Modified, after),
                        (Some(before), None) => (WatchEventType::Deleted, before),
                    };
                    if !self.send::<T>(kind, Some(object), change.revision).await {
                        return Ok(());
                    }
                }
                cursor = reached;
                if last {
                    break;
                }
            }
            tokio::select! {
                changed = revision.changed() => {
                    if changed.is_err() {
                        return Err(Status::unavailable("the agent is going down"));
                    }
                }
                () = self.sender.closed() => return Ok(()),
            }
        }
    }

    /// False if the client has gone.
    async fn send<T: Watched<Message = M>>(
        &self,
        kind: WatchEventType,
        object: Option<Arc<T>>,
        revision: u64,
    ) -> bool {
        self.sender.send(Ok(T::message(&self.agent, kind, object, revision))).await.is_ok()
    }
}
