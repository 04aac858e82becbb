//! The one thread that owns the engine: it drains what is waiting, applies it as one batch, then sends replies, performs
//! effects and announces the new revision. When nothing is waiting and no timer is due it sleeps.
//!
//! Going down, it lets guests go on for their grace. Those that end in it are recorded as ever; the others are ended without
//! a record, so that the next start finds them interrupted.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use engine::{Applied, Engine, Event, GuestId, Rejected, Reply, Usage};
use sched::{Exit, Millis, Steady};
use tokio::sync::{oneshot, watch};
use tonic::Status;
use zones::Zones;

use crate::clock::Clock;
use crate::guests::Guests;
use crate::logging;
use crate::services::status;

/// At most so many events are taken at once. Each has a caller that waits; more in one commit makes none quicker.
const BATCH: usize = 1024;
/// A timer is served at most so late after a suspend, and a clock that was set is noticed so soon.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Zone data is looked at so often at most, and only while there are CronJobs and something else wakes the thread.
const ZONES_EVERY: Millis = Millis::from_secs(60);

/// To the engine's thread. Cheap to clone.
#[derive(Clone)]
pub(crate) struct EngineHandle {
    sender: Sender<Message>,
    /// The revision readers see.
    pub(crate) revision: watch::Receiver<u64>,
}

enum Message {
    Event {
        event: Event,
        reply: Answer,
    },
    /// Nothing new, and an end when no guest runs any more; none may go on for longer than this.
    Drain(Millis),
    Close,
    Ping(oneshot::Sender<()>),
}

/// Who waits to hear what became of an event; nobody, for a fact.
type Answer = Option<oneshot::Sender<Result<Reply, Rejected>>>;

/// An answer that comes once the event is recorded.
pub(crate) struct Pending(oneshot::Receiver<Result<Reply, Rejected>>);

impl Pending {
    pub(crate) async fn answer(self) -> Result<Reply, Status> {
        match self.0.await {
            Ok(reply) => reply.map_err(status::rejected),
            Err(_) => Err(Status::unavailable("the agent is going down")),
        }
    }

    /// The same for an object that is new: what is wrong with it is told under its name, and not as wrong with a change.
    pub(crate) async fn answer_about_new(self, what: &str) -> Result<Reply, Status> {
        match self.0.await {
            Ok(Err(Rejected::Invalid(errors))) => Err(status::invalid(what, &errors)),
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

    /// Asks for a clean stop once no guest runs any more; none may go on for longer than `limit`, nor than its Pod's grace.
    pub(crate) fn drain(&self, limit: Millis) {
        let _ = self.sender.send(Message::Drain(limit));
    }

    /// Waits until the thread has done what it was at, and what is due now.
    pub(crate) async fn answers(&self) -> Result<(), oneshot::error::RecvError> {
        let (answer, answered) = oneshot::channel();
        let _ = self.sender.send(Message::Ping(answer));
        answered.await
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
    zones: Arc<Zones>,
    done: oneshot::Sender<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let work = move || {
        let worker = Worker {
            engine,
            guests,
            clock,
            zones,
            zones_seen: clock.now().steady,
            revision: inbox.revision,
            events: VecDeque::new(),
            replies: VecDeque::new(),
            pings: Vec::new(),
            stops: None,
            abandoned: BTreeSet::new(),
            short_of_room: false,
        };
        let result = worker.run(first, &inbox.receiver);
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
    zones: Arc<Zones>,
    /// When their data was last looked at.
    zones_seen: Steady,
    revision: watch::Sender<u64>,
    /// What is to be taken in, and who waits for the answer to each; before those, who waits for what is being recorded.
    events: VecDeque<Event>,
    replies: VecDeque<Answer>,
    /// Who waits for the engine to have looked at the time.
    pings: Vec<oneshot::Sender<()>>,
    /// Going down: which guests are ended when, the earliest first.
    stops: Option<BTreeSet<(Steady, GuestId)>>,
    /// Guests that were ended so, and are to be found interrupted.
    abandoned: BTreeSet<GuestId>,
    /// What was last told of the disk.
    short_of_room: bool,
}

impl Worker {
    fn run(mut self, first: Applied, inbox: &Receiver<Message>) -> anyhow::Result<()> {
        let mut more = first.more;
        let mut closing = false;
        self.act(first);
        loop {
            if !more && !closing {
                match self.wait(inbox) {
                    Ok(message) => closing |= self.take(message),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => closing = true,
                }
            }
            for message in inbox.try_iter().take(BATCH) {
                closing |= self.take(message);
            }
            closing |= self.stop_guests();
            self.look_at_zones();
            let applied = self
                .engine
                .apply(&mut self.events, self.clock.now())
                .context("cannot record what happened")?;
            more = applied.more;
            self.act(applied);
            self.tell_of_room();
            for waiting in self.pings.drain(..) {
                // Whoever asked may have gone.
                let _ = waiting.send(());
            }
            if closing && !more {
                break;
            }
        }
        let interrupted = self.abandoned.len() + self.guests.running();
        if interrupted > 0 {
            tracing::info!(interrupted, "guests still ran; the next start finds them interrupted");
        }
        self.guests.shutdown();
        self.engine.close().context("cannot close the store")
    }

    /// Zone data is updated under running programs, and devices are carried to other zones.
    fn look_at_zones(&mut self) {
        let now = self.clock.now().steady;
        if now < self.zones_seen + ZONES_EVERY || !self.engine.has_cron_jobs() {
            return;
        }
        self.zones_seen = now;
        if self.zones.changed() {
            tracing::info!(
                time_zone = self.zones.local_name(),
                source = self.zones.source(),
                version = self.zones.version(),
                "zone data changed"
            );
            self.events.push_back(Event::ZonesChanged);
            self.replies.push_back(None);
        }
    }

    /// Takes a message; true if it asks for the end.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Event { event, reply } => {
                if let Event::GuestEnded { guest, exit, .. } = &event {
                    self.guests.forget(*guest);
                    if *exit == Exit::Stopped && self.abandoned.contains(guest) {
                        return false;
                    }
                }
                self.events.push_back(event);
                self.replies.push_back(reply);
            }
            Message::Drain(limit) => {
                let now = self.clock.now().steady;
                let stops = self.engine.drain().into_iter();
                self.stops = Some(stops.map(|(guest, grace)| (now + grace.min(limit), guest)).collect());
            }
            Message::Close => return true,
            Message::Ping(answer) => self.pings.push(answer),
        }
        false
    }

    /// Going down, ends the guests whose grace is over; true if none runs any more.
    fn stop_guests(&mut self) -> bool {
        let Some(stops) = &mut self.stops else { return false };
        let now = self.clock.now().steady;
        while let Some((at, guest)) = stops.first().copied()
            && at <= now
        {
            stops.pop_first();
            if self.guests.abandon(guest) {
                self.abandoned.insert(guest);
            }
        }
        self.guests.running() == 0
    }

    /// The next message, or `Timeout` when a timer is due.
    fn wait(&self, inbox: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        let stop = self.stops.as_ref().and_then(|stops| stops.first()).map(|(at, _)| *at);
        let now = self.clock.now();
        match [self.engine.next_wake(now), stop].into_iter().flatten().min() {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => {
                let left = (at - now.steady).0.max(0);
                let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
                // The wait stands still while the device is suspended, the steady axis does not.
                inbox.recv_timeout(left.min(LONGEST_WAIT))
            }
        }
    }

    /// What is committed may now be known, and done.
    fn act(&mut self, applied: Applied) {
        // Only now does a guest start.
        for effect in applied.effects {
            self.guests.perform(effect);
        }
        for reply in applied.replies {
            if let Some(waiting) = self.replies.pop_front().flatten() {
                // Whoever asked may have gone.
                let _ = waiting.send(reply);
            }
        }
        for milestone in &applied.milestones {
            logging::milestone(milestone);
        }
        self.revision
            .send_if_modified(|revision| std::mem::replace(revision, applied.revision) != applied.revision);
        if self.engine.holds() {
            self.refuse_requests();
        }
    }

    /// Nothing can be recorded until there is room: facts wait, but whoever asks for something is told at once.
    fn refuse_requests(&mut self) {
        let why = self.engine.short_of_room().unwrap_or("the disk is full").to_owned();
        let replies = self.replies.split_off(self.replies.len() - self.events.len());
        for (event, reply) in std::mem::take(&mut self.events).into_iter().zip(replies) {
            match reply {
                Some(waiting) => drop(waiting.send(Err(Rejected::Limit(why.clone())))),
                None => {
                    self.events.push_back(event);
                    self.replies.push_back(None);
                }
            }
        }
    }

    fn tell_of_room(&mut self) {
        let short = self.engine.short_of_room();
        if short.is_some() != self.short_of_room {
            match short {
                Some(why) => tracing::warn!(
                    why,
                    "the disk is almost full: nothing new is taken in, what runs goes on and is recorded"
                ),
                None => tracing::info!("the disk has room again"),
            }
            self.short_of_room = short.is_some();
        }
    }
}

/// What a guest used, as it is recorded.
pub(crate) fn usage(usage: runtime::Usage) -> Usage {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Usage {
        wall_us: micros(usage.wall),
        cpu_us: micros(usage.cpu),
        fuel: usage.fuel,
        peak_memory_bytes: usage.peak_memory_bytes,
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
