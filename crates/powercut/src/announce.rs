//! A store that says what it is about to commit, and what it has: to the recorder, in one log with the writes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use engine::store::{Batch, History, LookError, Store, StoreError, Visit};

use crate::oracle::{self, Records};

/// Where announcements go: the recorder takes what is written to this file.
pub(crate) struct Announcer(File);

/// The store, announcing.
pub(crate) struct Announcing {
    store: Box<dyn Store>,
    announcer: Arc<Announcer>,
}

impl Announcer {
    pub(crate) fn open(path: &Path) -> io::Result<Announcer> {
        Ok(Announcer(OpenOptions::new().write(true).open(path)?))
    }

    /// In one write, so that it is one event.
    pub(crate) fn say(&self, text: &str) -> Result<(), StoreError> {
        let said = (&self.0).write(text.as_bytes());
        match said {
            Ok(count) if count == text.len() => Ok(()),
            Ok(_) => Err(unheard(io::ErrorKind::WriteZero.into())),
            Err(error) => Err(unheard(error)),
        }
    }
}

fn unheard(error: io::Error) -> StoreError {
    StoreError::Failed { doing: "announcing".into(), source: error.into() }
}

impl Announcing {
    /// Opens a store, and announces what was found in it.
    pub(crate) fn open(
        announcer: &Arc<Announcer>,
        open: impl FnOnce() -> Result<Box<dyn Store>, LookError>,
    ) -> Result<Announcing, LookError> {
        announcer.say("opening")?;
        let store = open()?;
        announcer.say(&format!("opened {}", records(&*store)?.digest()))?;
        Ok(Announcing { store, announcer: announcer.clone() })
    }
}

/// All that is in a store.
pub(crate) fn records(store: &dyn Store) -> Result<Records, StoreError> {
    let mut records = Records { revision: store.revision(), ..Records::default() };
    store.load(b"", &mut |key, value| {
        records.values.insert(oracle::hex(key), oracle::hash(value));
        ControlFlow::Continue(())
    })?;
    Ok(records)
}

impl Store for Announcing {
    fn load(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.load(prefix, visit)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.announcer.say(&oracle::issued(batch))?;
        self.store.commit(batch)?;
        self.announcer.say(&format!("acknowledged {}", batch.revision))
    }

    fn history(&self) -> Arc<dyn History> {
        self.store.history()
    }

    fn revision(&self) -> u64 {
        self.store.revision()
    }

    fn room_for_more(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.store.room_for_more(bytes)
    }

    fn release_reserve(&mut self) -> Result<bool, StoreError> {
        self.store.release_reserve()
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.announcer.say("closing")?;
        self.store.close()?;
        self.announcer.say("closed")
    }
}
