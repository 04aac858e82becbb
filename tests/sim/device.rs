//! The device: the real engine, a disk that outlives it, and its two clocks.

use std::collections::VecDeque;
use std::sync::Arc;

use api::pb::wick::v1::{CronJobRecord, LedgerRecord};

use engine::store::{DiskRoom, Fault, MemoryDisk, MemoryStore, StoreError};
use engine::{Applied, Config, Engine, Event, Limits, OpenError, stored_time};
use jiff::Timestamp;
use prost::Message;
use sched::node::Room;
use sched::{Now, Steady};

use crate::zones::WorldZones;

/// Where worlds begin, in seconds since 1970: on an ordinary day, and hours before clocks change in New York, in Berlin,
/// in Sydney, in Berlin again, in New York again.
pub(crate) const BEGINNINGS: [i64; 6] =
    [1_772_323_200, 1_772_928_000, 1_774_713_600, 1_775_282_400, 1_792_854_000, 1_793_476_800];

/// The device's name.
pub(crate) const DEVICE: &str = "edge-1";

/// A clock that says less was not set: 2026-01-01T00:00:00Z.
pub(crate) const NOT_BEFORE_S: i64 = 1_767_225_600;

pub(crate) struct Device {
    disk: MemoryDisk,
    engine: Option<Engine>,
    config: Config,
    /// When the world began, in milliseconds since 1970.
    beginning: i64,
    /// Milliseconds since the world began; nothing moves it but time.
    pub(crate) time: i64,
    /// What the wall clock is off.
    wall_offset: i64,
    /// The steady axis, less `time`, while the device is on.
    steady_offset: i64,
    room: DiskRoom,
    draining: bool,
    /// What the clock said since the engine held nothing back.
    walls: Walls,
}

/// What the clock said while a commit was made, in milliseconds since 1970: one that is held is made before it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walls {
    pub(crate) earliest: i64,
    pub(crate) latest: i64,
    /// On the steady axis, in milliseconds, when it was made.
    pub(crate) steady: i64,
}

/// The power went: the commit in flight may be there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PowerWent;

impl Device {
    pub(crate) fn new(limits: Limits, guests: u32, beginning: i64, zones: WorldZones) -> Device {
        Device {
            disk: MemoryDisk::new(),
            engine: None,
            config: Config {
                node_name: DEVICE.into(),
                fresh_instance_id: "0123456789abcdef0123456789abcdef".into(),
                node_labels: std::collections::BTreeMap::new(),
                allocatable: Room { pods: guests, guests, cpu_millis: 2000, memory_bytes: 1 << 30 },
                limits,
                zones: Arc::new(zones),
                not_before: Timestamp::from_second(NOT_BEFORE_S).unwrap_or_default(),
            },
            beginning: beginning * 1000,
            time: 0,
            wall_offset: 0,
            steady_offset: 0,
            room: DiskRoom::Plenty,
            draining: false,
            walls: Walls { earliest: 0, latest: 0, steady: 0 },
        }
    }

    pub(crate) fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    pub(crate) fn now(&self) -> Now {
        let wall = Timestamp::from_millisecond(self.wall()).unwrap_or(Timestamp::UNIX_EPOCH);
        Now { wall, steady: Steady(self.time + self.steady_offset) }
    }

    /// What the clock says, in milliseconds since 1970.
    pub(crate) fn wall(&self) -> i64 {
        self.beginning + self.time + self.wall_offset
    }

    /// What the clock said while the last commit was made.
    pub(crate) fn walls(&self) -> Walls {
        self.walls
    }

    fn look_at_clock(&mut self) {
        let wall = self.wall();
        let held = self.engine.as_ref().is_some_and(Engine::holds);
        let (earliest, latest) =
            if held { (self.walls.earliest.min(wall), self.walls.latest.max(wall)) } else { (wall, wall) };
        let steady = if held { self.walls.steady } else { self.now().steady.0 };
        self.walls = Walls { earliest, latest, steady };
    }

    /// Boots: the steady axis goes on as the agent's clock has it.
    pub(crate) fn boot(&mut self) -> Result<Result<Applied, PowerWent>, String> {
        self.draining = false;
        let store = MemoryStore::open(&self.disk);
        let stored = stored_time(&store).map_err(|error| error.to_string())?;
        let wall = self.wall();
        let steady = match stored {
            None => 0,
            // What a device does that cannot tell how long it was off, and what it does if it can.
            Some(stored) if wall >= stored.wall_ms && wall >= NOT_BEFORE_S * 1000 => {
                stored.steady_ms + (wall - stored.wall_ms)
            }
            Some(stored) => stored.steady_ms,
        };
        self.steady_offset = steady - self.time;
        // The commit that was in flight was made by the clock as it was then.
        let before = self.walls.latest;
        self.look_at_clock();
        self.walls.latest = self.walls.latest.max(before);
        match Engine::open(Box::new(store), self.config.clone(), self.now()) {
            Ok((engine, applied)) => {
                self.engine = Some(engine);
                Ok(Ok(applied))
            }
            Err(OpenError::Store(StoreError::Stopped(_))) => Ok(Err(PowerWent)),
            Err(error) => Err(format!("the store does not open: {error}")),
        }
    }

    /// The power goes.
    pub(crate) fn crash(&mut self) {
        self.engine = None;
    }

    /// The agent stops cleanly.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        match self.engine.take().map(Engine::close) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(error)) if error.is_full() => Ok(()),
            Some(Err(error)) => Err(format!("a clean stop failed: {error}")),
        }
    }

    /// One commit.
    pub(crate) fn apply(&mut self, events: &mut VecDeque<Event>) -> Result<Applied, PowerWent> {
        self.look_at_clock();
        let now = self.now();
        let Some(engine) = &mut self.engine else { return Err(PowerWent) };
        engine.apply(events, now).map_err(|_| {
            self.engine = None;
            PowerWent
        })
    }

    pub(crate) fn drain(&mut self) {
        self.draining = true;
        if let Some(engine) = &mut self.engine {
            engine.drain();
        }
    }

    /// There is room for many more Jobs, from the next start on.
    pub(crate) fn enlarge(&mut self) {
        self.config.limits.jobs = 1000;
    }

    /// The ledger, as it is on disk.
    pub(crate) fn ledger(&self) -> Vec<LedgerRecord> {
        self.records(b"l/")
    }

    /// All CronJobs, as they are on disk.
    pub(crate) fn cron_jobs(&self) -> Vec<CronJobRecord> {
        self.records(b"c/")
    }

    fn records<M: Message + Default>(&self, prefix: &[u8]) -> Vec<M> {
        let records = self.disk.records_of(prefix);
        records.iter().filter_map(|(_, bytes)| M::decode(bytes.as_slice()).ok()).collect()
    }

    /// Nothing new begins: it goes down, or its disk is full.
    pub(crate) fn has_plenty(&self) -> bool {
        !self.draining && self.room == DiskRoom::Plenty
    }

    /// The power will go during the next commit but so many.
    pub(crate) fn power_goes_in(&self, commits: u64, fault: Fault) {
        self.disk.fail_commit(commits, fault);
    }

    /// What was to go wrong with a commit will not.
    pub(crate) fn power_stays(&self) {
        self.disk.fail_commit(u64::MAX >> 1, Fault::Lost);
    }

    pub(crate) fn set_room(&mut self, room: DiskRoom) {
        self.room = room;
        self.disk.set_room(room);
    }

    pub(crate) fn step_wall_clock(&mut self, by: i64) {
        self.wall_offset += by;
    }

    /// As after a boot without a battery: 1970.
    pub(crate) fn lose_wall_clock(&mut self) {
        self.wall_offset = -self.beginning - self.time;
    }

    pub(crate) fn set_wall_clock_right(&mut self) {
        self.wall_offset = 0;
    }
}
