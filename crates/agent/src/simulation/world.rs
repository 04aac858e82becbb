//! The world: one engine on a disk of memory, a clock that goes from one thing that happens to the next, and the guests.

mod digest;
mod telling;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use api::Grants;
use api::pb::k8s::batch::v1::{CronJob, Job};
use api::pb::k8s::meta::v1::ObjectMeta;
use api::pb::wick::v1::simulation_entry::What;
use api::pb::wick::v1::{SimulationEntry, SimulationExit, SimulationGuest, SimulationStart, WatchEventType};
use engine::store::{MemoryDisk, MemoryStore};
use engine::{
    Applied, Config, Effect, Engine, Event, GuestId, Limits, Object, ObjectKey, Reader, Rejected, Reply,
    StartGuest, Usage, stored_time,
};
use jiff::Timestamp;
use sched::node::Room;
use sched::{Now, Steady};

use self::digest::Digest;
use self::telling::key;
use super::guests::{Ended, Guests, PodFacts};
use super::scenario::{Action, NodeSpec, Scenario};
use super::summary::Summary;
use super::zones::WorldZones;
use super::{Told, Trouble};
use crate::clock;

/// What is kept of the ledger: it is told as it is written, and nobody asks for it later.
const LEDGER_BYTES: u64 = 1 << 20;
/// Of so many Jobs that have gone it is remembered which Pods they made.
const GONE_MAX: usize = 1_000;
/// Names of images it knows: those of a whole scenario.
const IMAGES_MAX: usize = 200_000;
/// The device of a scenario that starts before this program was made was made so long before it: a year.
const BUILT_BEFORE_MS: i64 = 365 * 86_400_000;
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

pub(super) struct World<'a> {
    disk: MemoryDisk,
    config: Config,
    pub(super) zones: Arc<WorldZones>,
    /// What the wall clock said when the power went.
    down_since: Option<Timestamp>,
    /// `None` while it is down.
    engine: Option<Engine>,
    reader: Option<Reader>,
    start: Timestamp,
    until: Option<i64>,
    /// Milliseconds since the start.
    pub(super) t: i64,
    /// How far the wall clock was stepped.
    stepped: i64,
    /// What the steady axis is ahead of `t`.
    ahead: i64,
    boot_at: Option<i64>,
    pub(super) guests: Guests,
    actions: VecDeque<Action>,
    /// By uid.
    jobs: BTreeMap<String, JobFacts>,
    /// The newest Job of each name.
    job_uids: BTreeMap<ObjectKey, String>,
    /// Those that have not finished, by uid.
    pods: BTreeMap<String, PodFacts>,
    pub(super) summary: Summary,
    steps: u64,
    pub(super) grants: Arc<Grants>,
    pub(super) namespace: String,
    brief: bool,
    bounds: Bounds,
    digest: Digest,
    /// Jobs that have gone, the last of them; what is remembered of those before is forgotten.
    gone: VecDeque<(ObjectKey, String)>,
    tell: &'a mut Told<'a>,
    /// Nothing is told before the objects of the start are there: a refusal among them ends it all.
    kept_back: Option<Vec<SimulationEntry>>,
}

/// What is remembered of a Job.
struct JobFacts {
    name: String,
    cron_job: Option<String>,
    /// The names of its Pods, in the order they were made.
    pods: Vec<Box<str>>,
}

/// What the world is told beside the scenario.
pub(super) struct Given {
    pub(super) grants: Arc<Grants>,
    pub(super) zones: Arc<WorldZones>,
    pub(super) namespace: String,
    pub(super) brief: bool,
    pub(super) bounds: Bounds,
}

/// How far a world may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The most commits.
    pub(crate) steps: u64,
    /// The most that may be stored in it, in bytes.
    pub(crate) bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { steps: 5_000_000, bytes: 128 << 20 }
    }
}

impl<'a> World<'a> {
    pub(super) fn new(scenario: &mut Scenario, given: Given, tell: &'a mut Told<'a>) -> World<'a> {
        let NodeSpec { name, cpu_millis, memory_bytes, pods, labels, .. } = scenario.node.clone();
        World {
            disk: MemoryDisk::new(),
            config: Config {
                node_name: name,
                // All that is drawn is derived from it.
                fresh_instance_id: format!("{:032x}", scenario.seed),
                node_labels: labels,
                allocatable: Room { pods, guests: u32::MAX, cpu_millis, memory_bytes },
                limits: Limits {
                    images: IMAGES_MAX,
                    ledger_bytes: LEDGER_BYTES,
                    few_events: given.brief,
                    ..Limits::default()
                },
                zones: given.zones.clone(),
                not_before: not_before(scenario.start),
            },
            zones: given.zones,
            down_since: None,
            engine: None,
            reader: None,
            start: scenario.start,
            until: scenario.until,
            t: 0,
            stepped: 0,
            ahead: 0,
            boot_at: Some(0),
            guests: Guests::new(std::mem::take(&mut scenario.rules)),
            actions: std::mem::take(&mut scenario.actions).into(),
            jobs: BTreeMap::new(),
            job_uids: BTreeMap::new(),
            pods: BTreeMap::new(),
            summary: Summary::default(),
            steps: 0,
            grants: given.grants,
            namespace: given.namespace,
            brief: given.brief,
            bounds: given.bounds,
            digest: Digest::default(),
            gone: VecDeque::new(),
            tell,
            kept_back: Some(Vec::new()),
        }
    }

    /// Whether the start is over.
    pub(super) fn has_begun(&self) -> bool {
        self.kept_back.is_none()
    }

    /// The objects of the start are there: from now on everything is told as it happens.
    pub(super) fn begin_telling(&mut self) -> Result<(), Trouble> {
        for entry in self.kept_back.take().unwrap_or_default() {
            self.tell_entry(entry)?;
        }
        Ok(())
    }

    /// Lives until nothing more can happen, or the time is over.
    pub(super) fn live(&mut self) -> Result<(), Trouble> {
        while let Some(next) = self.next() {
            if self.until.is_some_and(|until| next.at() > until) {
                break;
            }
            self.t = self.t.max(next.at());
            self.tell_digest(false)?;
            match next {
                Next::Boot(_) => self.boot()?,
                Next::Exits(_) => self.end_guests()?,
                Next::Timer(_) => drop(self.apply(Vec::new(), VecDeque::new())?),
                Next::Action(_) => {
                    if let Some(action) = self.actions.pop_front() {
                        self.act(action)?;
                    }
                }
            }
        }
        // A guest that runs for ever does so until the end, a CronJob is one until then even if it is suspended, and so long
        // is nothing over.
        if let Some(until) = self.until
            && (self.guests.running() > 0 || self.next().is_some() || self.has_cron_jobs())
        {
            self.t = self.t.max(until);
        }
        self.tell_digest(true)
    }

    /// What happens next. At the same time: ends of guests before timers, timers before actions.
    fn next(&self) -> Option<Next> {
        if let Some(at) = self.boot_at {
            return Some(Next::Boot(at));
        }
        let timer = self
            .engine
            .as_ref()
            .and_then(|engine| engine.next_wake(self.now()))
            .map(|at| at.0.saturating_sub(self.ahead));
        let candidates = [
            self.guests.next_end().map(Next::Exits),
            timer.map(Next::Timer),
            self.actions.front().map(|action| Next::Action(action.at)),
        ];
        // The first of those that are soonest.
        candidates.into_iter().flatten().min_by_key(|next| next.at().max(self.t))
    }

    /// Goes up, at the start and after a power cut.
    pub(super) fn boot(&mut self) -> Result<(), Trouble> {
        self.boot_at = None;
        self.down_since = None;
        let store = MemoryStore::open(&self.disk);
        if let Some(stored) = stored_time(&store)? {
            let stored_t = stored.steady_ms - self.ahead;
            let wall = self.wall().as_millisecond();
            // Time off counts by the wall clock, as far as that can be believed; unless somebody stepped it, it can.
            if wall - stored.wall_ms != self.t - stored_t {
                self.ahead = clock::resume_at(Some(stored), wall) - self.t;
            }
        }
        let (engine, applied) = Engine::open(Box::new(store), self.config.clone(), self.now())?;
        let reader = engine.reader();
        // What a commit changed is told at once.
        reader.forget_changes();
        self.reader = Some(reader);
        self.engine = Some(engine);
        let more = applied.more;
        self.follow(applied)?;
        if more {
            self.apply(Vec::new(), VecDeque::new())?;
        }
        Ok(())
    }

    /// The power goes.
    pub(super) fn crash(&mut self, down_for: i64) -> Result<(), Trouble> {
        self.note("", format!("the power goes for {}", length(down_for)), true)?;
        // Not closed: only what was committed is left.
        self.engine = None;
        self.down_since = Some(self.wall());
        self.summary.told.crashes += 1;
        self.summary.told.interrupted += self.guests.power_cut() as u64;
        self.boot_at = Some(self.t.saturating_add(down_for));
        Ok(())
    }

    /// The wall clock jumps.
    pub(super) fn step_clock(&mut self, step: i64) -> Result<(), Trouble> {
        self.stepped = self.stepped.saturating_add(step);
        self.note("", format!("the clock jumps by {}", length(step)), false)?;
        // Seen at once.
        self.apply(Vec::new(), VecDeque::new()).map(drop)
    }

    fn end_guests(&mut self) -> Result<(), Trouble> {
        let ended = self.guests.take_ended(self.t);
        let mut events = Vec::with_capacity(ended.len());
        let mut exits = VecDeque::with_capacity(ended.len());
        for Ended { id, guest, exit, ran } in ended {
            self.summary.ended(&exit);
            exits.push_back(What::Ended(SimulationExit {
                guest: Some(guest),
                exit: exit.code().into(),
                reason: exit.reason().to_owned(),
            }));
            let wall_us = u64::try_from(ran).unwrap_or(0).saturating_mul(1000);
            let usage = Usage { wall_us, ..Usage::default() };
            events.push(Event::GuestEnded { guest: id, exit, usage });
        }
        self.apply(events, exits).map(drop)
    }

    /// Hands events over, one commit after the other until nothing is left to do at this time. An exit is told before the
    /// commit that takes it in.
    pub(super) fn apply(
        &mut self,
        events: Vec<Event>,
        mut exits: VecDeque<What>,
    ) -> Result<Vec<Result<Reply, Rejected>>, Trouble> {
        let mut events = VecDeque::from(events);
        let mut replies = Vec::new();
        loop {
            self.steps += 1;
            let Bounds { steps, bytes } = self.bounds;
            if self.steps > steps {
                return Err(Trouble::Limit(format!(
                    "the scenario goes on after {steps} commits, the most a simulation may take; `until` ends it earlier"
                )));
            }
            if self.disk.bytes() > bytes {
                return Err(Trouble::Limit(format!(
                    "the scenario's objects take more than {bytes} bytes, the most a simulation may store"
                )));
            }
            let now = self.now();
            let before = events.len();
            let Some(engine) = &mut self.engine else { return Ok(replies) };
            let mut applied = engine.apply(&mut events, now)?;
            for _ in events.len()..before {
                if let Some(exit) = exits.pop_front()
                    && !self.is_counted(&exit)
                {
                    self.say(exit)?;
                }
            }
            replies.append(&mut applied.replies);
            let more = applied.more;
            self.follow(applied)?;
            if !more {
                return Ok(replies);
            }
        }
    }

    /// Tells what a commit did, and does what it asks for.
    fn follow(&mut self, applied: Applied) -> Result<(), Trouble> {
        for milestone in applied.milestones {
            self.tell_milestone(milestone)?;
        }
        self.tell_changes(applied.changes)?;
        if !self.brief {
            for entry in applied.ledger {
                self.say(What::Ledger(entry))?;
            }
        }
        for effect in applied.effects {
            match effect {
                Effect::Start(start) => self.start_guest(*start)?,
                Effect::Stop(guest) => {
                    if let Some(SimulationGuest { pod, container, .. }) = self.guests.stop(guest, self.t) {
                        self.note(&format!("pod/{pod}"), format!("{container} is asked to stop"), false)?;
                    }
                }
                Effect::Kill(guest) => self.guests.kill(guest, self.t),
                // There is no disk to tidy.
                Effect::RemoveVolumes { .. } | Effect::RemovePod { .. } | Effect::RemoveImage { .. } => {}
            }
        }
        Ok(())
    }

    fn start_guest(&mut self, start: StartGuest) -> Result<(), Trouble> {
        let StartGuest { guest: GuestId { restarts, .. }, ref plan, .. } = start;
        let facts = self.pods.get(&start.pod_uid).cloned().unwrap_or_default();
        let guest = SimulationGuest {
            namespace: start.namespace,
            job: facts.job.clone(),
            pod: start.pod,
            container: start.container,
            start: restarts.saturating_add(1),
            index: facts.index,
        };
        self.guests.start(start.guest, guest.clone(), &facts, self.t);
        self.summary.started(restarts > 0, self.guests.running(), self.wall());
        if self.digest.counts() && facts.cron_job.is_some() {
            return Ok(());
        }
        let (args, env) = if self.brief {
            (Vec::new(), BTreeMap::new())
        } else {
            (plan.args.clone(), plan.env.iter().cloned().collect())
        };
        self.say(What::Started(SimulationStart { guest: Some(guest), args, env }))
    }

    /// Whether a guest's end is counted, and not told.
    fn is_counted(&self, what: &What) -> bool {
        let What::Ended(SimulationExit { guest: Some(guest), .. }) = what else { return false };
        self.digest.counts()
            && self.is_of_cron_job(&ObjectKey::new(guest.namespace.clone(), guest.job.clone()))
    }

    /// Keeps what rules and actions may ask for.
    fn remember(&mut self, object: &Object, kind: WatchEventType) {
        match object {
            Object::Job(job) if kind == WatchEventType::Added => {
                let Some(meta) = &job.metadata else { return };
                let owner = meta.owner_references.iter().find(|owner| owner.kind == "CronJob");
                let cron_job = owner.map(|owner| owner.name.clone());
                let facts = JobFacts { name: meta.name.clone(), cron_job, pods: Vec::new() };
                self.jobs.insert(meta.uid.clone(), facts);
                self.job_uids.insert(key(Some(meta)), meta.uid.clone());
            }
            Object::Job(job) if kind == WatchEventType::Deleted => {
                let Some(meta) = &job.metadata else { return };
                self.gone.push_back((key(Some(meta)), meta.uid.clone()));
                if self.gone.len() > GONE_MAX
                    && let Some((key, uid)) = self.gone.pop_front()
                {
                    self.jobs.remove(&uid);
                    if self.job_uids.get(&key) == Some(&uid) {
                        self.job_uids.remove(&key);
                    }
                }
            }
            Object::Pod(pod) => {
                let Some(meta) = &pod.metadata else { return };
                let phase = pod.status.as_ref().map_or("", |status| &status.phase);
                if kind == WatchEventType::Deleted || phase == "Succeeded" || phase == "Failed" {
                    self.pods.remove(&meta.uid);
                } else if kind == WatchEventType::Added {
                    self.summary.told.pods_created += 1;
                    let facts = self.facts(meta);
                    self.pods.insert(meta.uid.clone(), facts);
                }
            }
            Object::Job(_) | Object::CronJob(_) | Object::Event(_) => {}
        }
    }

    fn facts(&mut self, meta: &ObjectMeta) -> PodFacts {
        let owner = meta.owner_references.iter().find(|owner| owner.controller == Some(true));
        let Some(job) = owner.and_then(|owner| self.jobs.get_mut(&owner.uid)) else {
            return PodFacts::default();
        };
        job.pods.push(meta.name.as_str().into());
        let index = meta.annotations.get(INDEX).or_else(|| meta.labels.get(INDEX));
        PodFacts {
            job: job.name.clone(),
            cron_job: job.cron_job.clone(),
            nth: u32::try_from(job.pods.len()).unwrap_or(u32::MAX),
            index: index.and_then(|index| index.parse().ok()),
        }
    }

    /// The n-th Pod that the newest Job of a name created.
    pub(super) fn nth_pod(&self, job: &str, nth: u32) -> Option<ObjectKey> {
        let job = ObjectKey::new(self.namespace.clone(), job);
        let facts = self.jobs.get(self.job_uids.get(&job)?)?;
        let name = facts.pods.get(usize::try_from(nth).ok()?.checked_sub(1)?)?;
        Some(ObjectKey::new(job.namespace, &**name))
    }

    pub(super) fn job(&self, name: &str) -> Option<Arc<Job>> {
        self.reader.as_ref()?.job(&ObjectKey::new(self.namespace.clone(), name))
    }

    pub(super) fn cron_job(&self, name: &str) -> Option<Arc<CronJob>> {
        self.reader.as_ref()?.cron_job(&ObjectKey::new(self.namespace.clone(), name))
    }

    pub(super) fn uid_of_cron_job(&self, key: &ObjectKey) -> Option<String> {
        Some(self.reader.as_ref()?.cron_job(key)?.metadata.as_ref()?.uid.clone())
    }

    fn has_cron_jobs(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| !reader.cron_jobs("").0.is_empty())
    }

    pub(super) fn wall(&self) -> Timestamp {
        let ms = self.start.as_millisecond().saturating_add(self.t).saturating_add(self.stepped);
        let nearest = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::from_millisecond(ms).unwrap_or(nearest)
    }

    fn now(&self) -> Now {
        Now { wall: self.wall(), steady: Steady(self.t.saturating_add(self.ahead)) }
    }
}

/// A clock that says less was not set. Of a scenario in the past, what a device of its time would say.
fn not_before(start: Timestamp) -> Timestamp {
    let real = clock::not_before();
    if start >= real {
        return real;
    }
    let of_its_time = start.as_millisecond().saturating_sub(BUILT_BEFORE_MS);
    Timestamp::from_millisecond(of_its_time).unwrap_or(start)
}

/// What happens next, and when.
#[derive(Clone, Copy)]
enum Next {
    Boot(i64),
    Exits(i64),
    Timer(i64),
    Action(i64),
}

impl Next {
    fn at(self) -> i64 {
        match self {
            Next::Boot(at) | Next::Exits(at) | Next::Timer(at) | Next::Action(at) => at,
        }
    }
}

/// `-1h30m`, for people.
fn length(ms: i64) -> String {
    let mut left = ms.unsigned_abs();
    let mut text = if ms < 0 { "-".to_owned() } else { String::new() };
    for (unit, of) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if left >= of {
            text += &format!("{}{unit}", left / of);
            left %= of;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}
