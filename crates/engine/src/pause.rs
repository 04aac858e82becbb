//! When nothing new begins: while the agent goes down, and while the disk is almost full.
//!
//! A full disk, step by step. First new objects are refused and no Pods are made or let in; what runs goes on, and is
//! recorded. Then a commit gives up the store's reserve. When not even that makes room, the commit is held: it is tried again
//! before anything else, and until it is durable nothing of it is shown, answered or done, and no other fact is taken in.

use sched::{Millis, Now, Steady};

use crate::effect::GuestId;
use crate::engine::Engine;
use crate::event::Rejected;
use crate::store::StoreError;

/// How soon a disk without room is looked at again.
const LOOK_AGAIN: Millis = Millis::from_secs(2);

/// Why nothing new begins, if it does not.
#[derive(Default)]
pub(crate) struct Pause {
    pub(crate) draining: bool,
    /// What the disk lacks, for people.
    short_of_room: Option<String>,
    look_again_at: Option<Steady>,
}

impl Pause {
    /// Whether Pods may be made and let in.
    pub(crate) fn begins_nothing(&self) -> bool {
        self.draining || self.short_of_room.is_some()
    }

    pub(crate) fn look_again_at(&self) -> Option<Steady> {
        self.look_again_at
    }
}

impl Engine {
    /// From now on nothing new begins: what is asked for is refused, Pods wait, and containers that end are not started
    /// again; their ends are recorded. Says which guests run, and how long their Pods let them take to stop.
    ///
    /// What still runs when the engine is closed stays recorded as running, and is found interrupted at the next start.
    pub fn drain(&mut self) -> Vec<(GuestId, Millis)> {
        self.pause.draining = true;
        let mut running = Vec::new();
        for (ordinal, pod) in &self.pods {
            for (index, container) in pod.state.containers.iter().enumerate() {
                if container.state.has_guest() {
                    let container_index = u32::try_from(index).unwrap_or(u32::MAX);
                    let guest =
                        GuestId { pod: *ordinal, container: container_index, restarts: container.restarts };
                    running.push((guest, pod.state.grace));
                }
            }
        }
        running
    }

    /// What the disk lacks, in words, while nothing new is taken in for it.
    pub fn short_of_room(&self) -> Option<&str> {
        self.pause.short_of_room.as_deref()
    }

    /// Whether a commit waits for room on the disk. Nothing is taken in before it is recorded.
    pub fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// Looks whether there is room to begin anything new; what waited for it is looked at again.
    pub(crate) fn look_for_room(&mut self, now: Now) -> Result<(), StoreError> {
        match self.store.room_for_more(0) {
            Ok(()) => {
                if self.pause.short_of_room.take().is_some() {
                    self.admit_again = true;
                    self.dirty_jobs.append(&mut self.starved);
                }
                self.pause.look_again_at = None;
            }
            Err(error @ StoreError::Full { .. }) => {
                self.pause.short_of_room = Some(error.to_string());
                let waits = self.held.is_some() || !self.waiting.is_empty() || !self.starved.is_empty();
                self.pause.look_again_at = waits.then(|| now.steady + LOOK_AGAIN);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A commit was not written: it is tried again soon.
    pub(crate) fn look_again_soon(&mut self, full: &StoreError, now: Now) {
        self.pause.short_of_room = Some(full.to_string());
        self.pause.look_again_at = Some(now.steady + LOOK_AGAIN);
    }

    /// Why nothing new of so many bytes is taken in, if it is not.
    pub(crate) fn refusal(&mut self, bytes: usize) -> Option<Rejected> {
        if self.pause.draining {
            return Some(Rejected::GoingDown);
        }
        match self.store.room_for_more(bytes) {
            Err(error @ StoreError::Full { .. }) => Some(Rejected::Limit(error.to_string())),
            // If the store failed, the commit says so.
            Ok(()) | Err(_) => None,
        }
    }
}
