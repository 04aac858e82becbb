//! The device: the real engine, a disk that outlives it, and its two clocks.

use std::collections::VecDeque;
use std::sync::Arc;

use engine::store::{DiskRoom, Fault, MemoryDisk, MemoryStore, StoreError};
use engine::{Applied, Config, Engine, Event, Limits, OpenError, stored_time};
use jiff::Timestamp;
use sched::cron_job::OnlyUtc;
use sched::node::Room;
use sched::{Now, Steady};

/// Where worlds begin: 2026-03-01T00:00:00Z, in milliseconds.
const BEGINNING_MS: i64 = 1_772_323_200_000;

/// A clock that says less was not set: two months before.
const NOT_BEFORE_S: i64 = 1_767_225_600;

pub(crate) struct Device {
    disk: MemoryDisk,
    engine: Option<Engine>,
    config: Config,
    /// Milliseconds since the world began; nothing moves it but time.
    pub(crate) time: i64,
    /// What the wall clock is off.
    wall_offset: i64,
    /// The steady axis, less `time`, while the device is on.
    steady_offset: i64,
}

/// The power went: the commit in flight may be there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PowerWent;

impl Device {
    pub(crate) fn new(limits: Limits, guests: u32) -> Device {
        Device {
            disk: MemoryDisk::new(),
            engine: None,
            config: Config {
                node_name: "edge-1".into(),
                fresh_instance_id: "0123456789abcdef0123456789abcdef".into(),
                node_labels: std::collections::BTreeMap::new(),
                allocatable: Room { pods: guests, guests, cpu_millis: 2000, memory_bytes: 1 << 30 },
                limits,
                zones: Arc::new(OnlyUtc),
                not_before: Timestamp::from_second(NOT_BEFORE_S).unwrap_or_default(),
            },
            time: 0,
            wall_offset: 0,
            steady_offset: 0,
        }
    }

    pub(crate) fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    pub(crate) fn now(&self) -> Now {
        let wall = BEGINNING_MS + self.time + self.wall_offset;
        let wall = Timestamp::from_millisecond(wall).unwrap_or(Timestamp::UNIX_EPOCH);
        Now { wall, steady: Steady(self.time + self.steady_offset) }
    }

    /// Boots: the steady axis goes on as the agent's clock has it.
    pub(crate) fn boot(&mut self) -> Result<Result<Applied, PowerWent>, String> {
        let store = MemoryStore::open(&self.disk);
        let stored = stored_time(&store).map_err(|error| error.to_string())?;
        let wall = BEGINNING_MS + self.time + self.wall_offset;
        let steady = match stored {
            None => 0,
            // What a device does that cannot tell how long it was off, and what it does if it can.
            Some(stored) if wall >= stored.wall_ms && wall >= BEGINNING_MS => {
                stored.steady_ms + (wall - stored.wall_ms)
            }
            Some(stored) => stored.steady_ms,
        };
        self.steady_offset = steady - self.time;
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
        let now = self.now();
        let Some(engine) = &mut self.engine else { return Err(PowerWent) };
        engine.apply(events, now).map_err(|_| {
            self.engine = None;
            PowerWent
        })
    }

    pub(crate) fn drain(&mut self) {
        if let Some(engine) = &mut self.engine {
            engine.drain();
        }
    }

    /// The power will go during the next commit but so many.
    pub(crate) fn power_goes_in(&self, commits: u64, fault: Fault) {
        self.disk.fail_commit(commits, fault);
    }

    /// What was to go wrong with a commit will not.
    pub(crate) fn power_stays(&self) {
        self.disk.fail_commit(u64::MAX >> 1, Fault::Lost);
    }

    pub(crate) fn set_room(&self, room: DiskRoom) {
        self.disk.set_room(room);
    }

    pub(crate) fn step_wall_clock(&mut self, by: i64) {
        self.wall_offset += by;
    }

    /// As after a boot without a battery: 1970.
    pub(crate) fn lose_wall_clock(&mut self) {
        self.wall_offset = -BEGINNING_MS - self.time;
    }

    pub(crate) fn set_wall_clock_right(&mut self) {
        self.wall_offset = 0;
    }
}
