//! A node without an agent: the real engine on the real store, a clock that is told the time, guests that end when the
//! test says so.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::pb::k8s::batch::v1::Job;
use api::pb::k8s::core::v1::Pod;
use api::pb::wick::v1::{Image, ImageRecord, LedgerEntry};
use api::{Grants, NewCronJob, NewJob};
use engine::store::{DataDir, SledOptions, SledStore};
use engine::{
    Applied, Config, Effect, Engine, Event, GuestId, Limits, ObjectKey, Rejected, Reply, StartGuest, Usage,
    WriteMode,
};
use jiff::Timestamp;
use sched::cron_job::OnlyUtc;
use sched::node::Room;
use sched::{Exit, Now, Steady};

/// What every guest uses.
const USED: Usage = Usage { wall_us: 1_500_000, cpu_us: 250, fuel: Some(90_000), peak_memory_bytes: 2 << 20 };

pub(crate) struct Node {
    path: PathBuf,
    /// Goes with the node, if it is the node's.
    _dir: Option<tempfile::TempDir>,
    engine: Option<Engine>,
    pub(crate) config: Config,
    /// Milliseconds, on both axes.
    pub(crate) now: i64,
    /// What the wall clock is ahead of that.
    pub(crate) wall_ahead: i64,
    /// Guests that were started and have not ended.
    pub(crate) running: BTreeMap<GuestId, StartGuest>,
    /// The most that ran at the same time.
    pub(crate) most: usize,
    /// All effects but starts, as they came.
    pub(crate) effects: Vec<Effect>,
    /// Commits so far.
    pub(crate) commits: usize,
    /// What the ledger was told of, in order.
    pub(crate) ledger: Vec<LedgerEntry>,
    /// Every Job, as it was after the last commit.
    jobs: BTreeMap<ObjectKey, Arc<Job>>,
}

impl Node {
    pub(crate) fn new() -> Node {
        Node::with(default_config())
    }

    pub(crate) fn with(config: Config) -> Node {
        let dir = tempfile::tempdir().unwrap();
        Node::on(dir.path().to_owned(), Some(dir), config)
    }

    /// With its data there.
    pub(crate) fn at(path: &Path) -> Node {
        Node::on(path.to_owned(), None, default_config())
    }

    fn on(path: PathBuf, dir: Option<tempfile::TempDir>, config: Config) -> Node {
        let mut node = Node {
            path,
            _dir: dir,
            engine: None,
            config,
            now: 1_800_000_000_000,
            wall_ahead: 0,
            running: BTreeMap::new(),
            most: 0,
            effects: Vec::new(),
            commits: 0,
            ledger: Vec::new(),
            jobs: BTreeMap::new(),
        };
        node.boot();
        node
    }

    pub(crate) fn time(&self) -> Now {
        Now { wall: Now::at(self.now + self.wall_ahead).wall, steady: Steady(self.now) }
    }

    /// When the engine is to be asked again.
    pub(crate) fn next_wake(&mut self) -> Option<Steady> {
        let now = self.time();
        self.engine().next_wake(now)
    }

    pub(crate) fn boot(&mut self) {
        let data_dir = lock(&self.path);
        let store = SledStore::open(&data_dir, SledOptions::default()).unwrap();
        let (engine, applied) = Engine::open(Box::new(store), self.config.clone(), self.time()).unwrap();
        self.engine = Some(engine);
        let more = applied.more;
        self.act(applied);
        if more {
            self.settle();
        }
    }

    /// The agent is killed: what it had in memory is gone, and every guest with it.
    pub(crate) fn crash(&mut self) {
        self.engine = None;
        self.running.clear();
        self.effects.clear();
    }

    pub(crate) fn engine(&mut self) -> &mut Engine {
        self.engine.as_mut().unwrap()
    }

    /// Applies `events` one commit after another until nothing is left to do at this time.
    pub(crate) fn apply(&mut self, events: Vec<Event>) -> Vec<Result<Reply, Rejected>> {
        let mut events: VecDeque<Event> = events.into();
        let mut replies = Vec::new();
        loop {
            let now = self.time();
            let mut applied = self.engine().apply(&mut events, now).unwrap();
            replies.append(&mut applied.replies);
            let more = applied.more;
            self.act(applied);
            if !more {
                let held = self.engine().holds();
                assert!(held || events.is_empty(), "events were left although there was nothing more to do");
                return replies;
            }
        }
    }

    pub(crate) fn settle(&mut self) {
        self.apply(Vec::new());
    }

    fn act(&mut self, applied: Applied) {
        self.commits += 1;
        self.ledger.extend(applied.ledger);
        for effect in applied.effects {
            match effect {
                Effect::Start(start) => {
                    let before = self.running.insert(start.guest, *start);
                    assert!(before.is_none(), "a guest was started twice");
                }
                other => self.effects.push(other),
            }
        }
        self.most = self.most.max(self.running.len());
        self.check_statuses();
    }

    /// No status may say what an API server would refuse, nor take back what it said before.
    fn check_statuses(&mut self) {
        let (jobs, _) = self.engine().reader().jobs("");
        let mut known = BTreeMap::new();
        for job in jobs {
            let meta = job.metadata.as_ref().unwrap();
            let key = ObjectKey::new(&meta.namespace, &meta.name);
            let before = self.jobs.get(&key);
            if !before.is_some_and(|before| Arc::ptr_eq(before, &job)) {
                let same = |before: &&Arc<Job>| before.metadata.as_ref().unwrap().uid == meta.uid;
                let checked = api::job::check_status(before.filter(same).map(|before| &**before), &job);
                assert!(checked.is_ok(), "{key}: {}\n{before:#?}\n{job:#?}", checked.unwrap_err());
            }
            known.insert(key, job);
        }
        self.jobs = known;
    }

    /// The time passes, timers included, without anything else happening.
    pub(crate) fn wait(&mut self, ms: i64) {
        let until = self.now + ms;
        while let Some(at) = self.next_wake().filter(|at| at.0 <= until) {
            self.now = self.now.max(at.0);
            self.settle();
        }
        self.now = until;
    }

    pub(crate) fn create(&mut self, manifest: &str) -> Result<Reply, Rejected> {
        let job = Box::new(new_job(manifest));
        self.apply(vec![Event::CreateJob { job, mode: WriteMode::Create, dry_run: false }]).remove(0)
    }

    pub(crate) fn push_image(&mut self, name: &str) {
        let digest = format!("sha256:{:064x}", name.len());
        let image = Image { name: format!("{name}:latest"), digest, ..Image::default() };
        let record = ImageRecord { image: Some(image), ..ImageRecord::default() };
        self.apply(vec![Event::ImageStored(record)]).remove(0).unwrap();
    }

    /// One guest ends.
    pub(crate) fn end(&mut self, guest: GuestId, exit: Exit) {
        self.running.remove(&guest);
        self.apply(vec![Event::GuestEnded { guest, exit, usage: USED }]);
    }

    /// Every guest that runs ends so, in one batch.
    pub(crate) fn end_all(&mut self, exit: &Exit) -> usize {
        let guests: Vec<_> = std::mem::take(&mut self.running).into_keys().collect();
        let count = guests.len();
        self.apply(
            guests
                .into_iter()
                .map(|guest| Event::GuestEnded { guest, exit: exit.clone(), usage: USED })
                .collect(),
        );
        count
    }

    /// Guests the engine asked to stop do.
    pub(crate) fn stop_asked(&mut self) {
        let asked: Vec<_> = std::mem::take(&mut self.effects);
        for effect in asked {
            if let Effect::Stop(guest) = effect {
                self.end(guest, Exit::Stopped);
            }
        }
    }

    pub(crate) fn job(&mut self, name: &str) -> Option<Job> {
        let reader = self.engine().reader();
        reader.job(&ObjectKey::new("default", name)).map(|job| Job::clone(&job))
    }

    pub(crate) fn pods(&mut self) -> Vec<Pod> {
        let (pods, _) = self.engine().reader().pods("", |_| true).unwrap();
        pods.iter().map(|pod| Pod::clone(pod)).collect()
    }

    /// `Running 2 active 1/0` and the conditions.
    pub(crate) fn summary(&mut self, name: &str) -> String {
        let Some(job) = self.job(name) else { return "gone".into() };
        let status = job.status.unwrap();
        let conditions: Vec<_> =
            status.conditions.iter().map(|condition| condition.r#type.as_str()).collect();
        format!(
            "active {} ready {} terminating {} succeeded {} failed {} [{}]",
            status.active,
            status.ready.unwrap(),
            status.terminating.unwrap(),
            status.succeeded,
            status.failed,
            conditions.join(" ")
        )
    }

    pub(crate) fn phases(&mut self) -> BTreeMap<String, usize> {
        let mut phases = BTreeMap::new();
        for pod in self.pods() {
            *phases.entry(pod.status.unwrap().phase).or_default() += 1;
        }
        phases
    }
}

pub(crate) fn default_config() -> Config {
    Config {
        node_name: "edge-1".into(),
        fresh_instance_id: "0123456789abcdef0123456789abcdef".into(),
        node_labels: [("kubernetes.io/os".to_owned(), "linux".to_owned())].into(),
        allocatable: Room { pods: 1000, guests: 1000, cpu_millis: 4000, memory_bytes: 1 << 30 },
        limits: Limits::default(),
        zones: Arc::new(OnlyUtc),
        not_before: Timestamp::UNIX_EPOCH,
    }
}

/// The lock of a store that was just dropped outlives it for a moment; the kernel lets go when its last thread does.
fn lock(path: &Path) -> DataDir {
    DataDir::lock(path).unwrap()
}

pub(crate) fn new_job(manifest: &str) -> NewJob {
    let document = api::manifest::parse(manifest).unwrap().remove(0);
    match document.object.unwrap() {
        api::manifest::Object::Job(job) => NewJob::check(*job, &Grants::default()).unwrap(),
        api::manifest::Object::CronJob(_) => panic!("a CronJob"),
    }
}

pub(crate) fn new_cron_job(manifest: &str) -> NewCronJob {
    let document = api::manifest::parse(manifest).unwrap().remove(0);
    match document.object.unwrap() {
        api::manifest::Object::CronJob(cron_job) => {
            NewCronJob::check(*cron_job, &Grants::default(), &OnlyUtc).unwrap()
        }
        api::manifest::Object::Job(_) => panic!("a Job"),
    }
}

/// A Job named `job` of image `hello`; `spec` is YAML in flow form: `completions: 3, parallelism: 2`.
pub(crate) fn manifest(spec: &str, restart_policy: &str) -> String {
    let comma = if spec.is_empty() { "" } else { ", " };
    format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: job}}, spec: {{{spec}{comma}template: {{spec: \
         {{restartPolicy: {restart_policy}, containers: [{{name: main, image: hello}}]}}}}}}}}"
    )
}
