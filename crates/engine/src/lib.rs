//! Records facts and decisions; the sole writer of the store.
//!
//! A fact or a request comes in as an [`Event`]; the pure functions of `sched` say what it means; one commit records both;
//! only then are replies and [`Effect`]s handed out and the change shown to readers. A crash before the commit undid it; a
//! crash after it looks like a crash just after the guest started: at the next start the container is running with no guest
//! under it, and becomes interrupted. There is no third case.
//!
//! Deliberately absent: clocks, threads, sockets and guests (the agent has them, and owns the one thread that calls
//! [`Engine::apply`]); what a manifest means (`api`); what should happen next (`sched`).

mod cron_jobs;
mod deletion;
mod effect;
mod engine;
mod event;
mod images;
mod jobs;
mod keys;
mod ledger;
mod limits;
mod ownership;
mod pause;
mod pods;
mod recorder;
mod records;
pub mod store;
mod transaction;
mod view;

pub use cron_jobs::unrecorded;
pub use effect::{Effect, GuestId, Milestone, StartGuest};
pub use engine::{Applied, Config, Engine, OpenError, PodUids, Recovered, StoredTime, stored_time};
pub use event::{Event, ObjectKey, Outcome, Propagation, Rejected, Reply, Usage, WriteMode};
pub use keys::shown as shown_key;
pub use ledger::{ATTEMPTS_MAX, LedgerFilter, LedgerPage, LedgerPlace};
pub use limits::{LOG_BLOCK, Limits};
pub use records::StoredRecord;
pub use view::{CHANGES, CHANGES_BYTES, Change, Counts, Expired, Kind, Object, Page, Reader};
