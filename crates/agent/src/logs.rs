//! What guests write: kept in size-capped files that are rotated, and read back while they grow.
//!
//! A line on disk is as the container runtimes write it (CRI): `2026-11-20T09:00:00.123456789Z stdout F text`, with `P` for
//! a piece whose line goes on in the next. What a guest wrote is handed to the kernel before its call returns, so a killed
//! agent loses none of it; it is not synced, so a power cut may take the last seconds.

mod line;
mod reader;
mod writer;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::data::{Data, LogName};
use crate::live::Live;
pub(crate) use reader::LogReader;
pub(crate) use writer::LogWriter;

/// Files one run's output is kept in: the one written to and those before it.
const FILES: u64 = 4;

/// The output of all containers.
pub(crate) struct Logs {
    data: Data,
    clock: Clock,
    live: Arc<Live>,
    /// The runs that go on; a reader waits for them.
    writers: Mutex<BTreeMap<LogName, Weak<LogWriter>>>,
}

impl Logs {
    pub(crate) fn new(data: Data, clock: Clock, live: Arc<Live>) -> Logs {
        Logs { data, clock, live, writers: Mutex::default() }
    }

    /// Where a run's output goes. Nothing is written before the guest does.
    pub(crate) fn writer(self: &Arc<Self>, pod_uid: &str, container: &str, restarts: u32) -> Arc<LogWriter> {
        let name = LogName::new(pod_uid, container, restarts);
        let writer = Arc::new(LogWriter::new(self.clone(), name.clone()));
        self.writers().insert(name, Arc::downgrade(&writer));
        writer
    }

    /// A run's output, from the beginning of what is kept.
    pub(crate) fn reader(self: &Arc<Self>, pod_uid: &str, container: &str, restarts: u32) -> LogReader {
        LogReader::new(self.data.clone(), LogName::new(pod_uid, container, restarts))
    }

    /// What tells that a run's output grows; `None` before the run has begun and after it has ended. Ask for its
    /// notification *before* reading, or growth in between is missed.
    pub(crate) fn growth(&self, pod_uid: &str, container: &str, restarts: u32) -> Option<Arc<Notify>> {
        let name = LogName::new(pod_uid, container, restarts);
        let writer = self.writers().get(&name)?.upgrade()?;
        Some(writer.growth())
    }

    /// When the file written to is so large, another one is begun, in bytes.
    fn file_bytes(&self) -> u64 {
        self.live.log_bytes() / FILES
    }

    fn ended(&self, name: &LogName) {
        self.writers().remove(name);
    }

    fn writers(&self) -> MutexGuard<'_, BTreeMap<LogName, Weak<LogWriter>>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
