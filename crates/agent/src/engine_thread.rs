//! The one thread that owns the engine: it drains what is waiting, applies it as one batch, then sends replies, performs
//! effects and announces the new revision. When nothing is waiting and no timer is due it sleeps.

use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use engine::{Applied, Engine, Event, Rejected, Reply};
use sched::Exit;
use tokio::sync::{oneshot, watch};
use tonic::Status;

use crate::clock::Clock;
use crate::guests::Guests;
use crate::services::status;

/// At most so many events are taken at once. Each has a caller that waits; more in one commit makes none quicker.
const BATCH: usize = 1024;

/// To the engine's thread. Cheap to clone.
#[derive(Clone)]
pub(crate) struct EngineHandle {
    sender: Sender<Message>,
    /// The revision readers see.
    pub(crate) revision: watch::Receiver<u64>,
}

enum Message {
    Event { event: Event, reply: Option<oneshot::Sender<Result<Reply, Rejected>>> },
    Close,
}

/// An answer that comes once the event is recorded.
pub(crate) struct Pending(oneshot::Receiver<Result<Reply, Rejected>>);

impl Pending {
    pub(crate) async fn answer(self) -> Result<Reply, Status> {
        match self.0.await {
            Ok(reply) => reply.map_err(status::rejected),
            Err(_) => Err(Status::unavailable("the agent is going down")),
        }
    }
}

impl EngineHandle {
    /// Hands an event over; the answer comes once it is recorded. Not waiting for one before the next is sent lets them
    /// share a commit.
    pub(crate) fn send(&self, event: Event) -> Pending {
        let (reply, receiver) = oneshot::channel();
        // If the thread has gone, the receiver says so.
        let _ = self.sender.send(Message::Event { event, reply: Some(reply) });
        Pending(receiver)
    }

    /// Hands a fact over that nobody waits for.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.sender.send(Message::Event { event, reply: None });
    }

    /// Asks for a clean stop, after what was sent before.
    pub(crate) fn close(&self) {
        let _ = self.sender.send(Message::Close);
    }
}

/// A channel that [`spawn`] will read from: guests need it before the engine is opened.
pub(crate) struct Inbox {
    receiver: Receiver<Message>,
    revision: watch::Sender<u64>,
}

pub(crate) fn channel() -> (EngineHandle, Inbox) {
    let (sender, receiver) = mpsc::channel();
    let (announce, revision) = watch::channel(0);
    (EngineHandle { sender, revision }, Inbox { receiver, revision: announce })
}

/// Starts the thread; `done` gets what ended it.
pub(crate) fn spawn(
    engine: Engine,
    first: Applied,
    inbox: Inbox,
    guests: Guests,
    clock: Clock,
    done: oneshot::Sender<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let work = move || {
        let result = Worker { engine, guests, clock, revision: inbox.revision }.run(first, &inbox.receiver);
        // Nobody listens any more when the process is being killed.
        let _ = done.send(result);
    };
    thread::Builder::new().name("engine".into()).spawn(work).context("cannot start the engine's thread")?;
    Ok(())
}

struct Worker {
    engine: Engine,
    guests: Guests,
    clock: Clock,
    revision: watch::Sender<u64>,
}

impl Worker {
    fn run(mut self, first: Applied, inbox: &Receiver<Message>) -> anyhow::Result<()> {
        let mut events: VecDeque<Event> = VecDeque::new();
        let mut replies: VecDeque<Option<oneshot::Sender<Result<Reply, Rejected>>>> = VecDeque::new();
        let mut more = first.more;
        let mut closing = false;
        self.act(first, &mut replies);
        loop {
            let mut take = |message: Message| match message {
                Message::Event { event, reply } => {
                    events.push_back(event);
                    replies.push_back(reply);
                    false
                }
                Message::Close => true,
            };
            if !more && !closing {
                match self.wait(inbox) {
                    Ok(message) => closing |= take(message),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => closing = true,
                }
            }
            for message in inbox.try_iter().take(BATCH) {
                closing |= take(message);
            }
            for event in &events {
                if let Event::GuestEnded { guest, .. } = event {
                    self.guests.forget(*guest);
                }
            }
            let applied =
                self.engine.apply(&mut events, self.clock.now()).context("cannot record what happened")?;
            more = applied.more;
            self.act(applied, &mut replies);
            if closing && !more {
                break;
            }
        }
        self.guests.shutdown();
        self.engine.close().context("cannot close the store")
    }

    /// The next message, or `Timeout` when a timer is due.
    fn wait(&self, inbox: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        match self.engine.next_wake() {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => {
                let left = (at - self.clock.now().steady).0.max(0);
                inbox.recv_timeout(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
            }
        }
    }

    /// What is committed may now be known, and done.
    fn act(
        &mut self,
        applied: Applied,
        replies: &mut VecDeque<Option<oneshot::Sender<Result<Reply, Rejected>>>>,
    ) {
        // Only now does a guest start.
        for effect in applied.effects {
            self.guests.perform(effect);
        }
        for reply in applied.replies {
            if let Some(waiting) = replies.pop_front().flatten() {
                // Whoever asked may have gone.
                let _ = waiting.send(reply);
            }
        }
        self.revision
            .send_if_modified(|revision| std::mem::replace(revision, applied.revision) != applied.revision);
    }
}

/// How a guest's end is told in the words decisions are made in.
pub(crate) fn exit(exit: runtime::Exit) -> Exit {
    match exit {
        runtime::Exit::Code(code) => Exit::Code(code),
        runtime::Exit::Trap { name, message } => Exit::Trap { message: format!("{name}: {message}") },
        runtime::Exit::OutOfFuel { limit } => {
            Exit::OutOfFuel { message: format!("it used up its fuel of {limit}") }
        }
        runtime::Exit::Deadline { .. } => Exit::Deadline,
        runtime::Exit::OutOfMemory { limit_bytes } => Exit::OutOfMemory {
            message: format!("it asked for more memory than its limit of {limit_bytes} bytes"),
        },
        runtime::Exit::Stopped(_) => Exit::Stopped,
        runtime::Exit::Refused { why } => Exit::Refused { why },
    }
}
