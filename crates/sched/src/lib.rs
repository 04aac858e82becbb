//! Decides what should happen next. Pure.
//!
//! Given what is stored and the time, these functions say what to do: which Pods a Job makes or removes, which containers
//! of a Pod start or stop, which Pods the node takes. They answer with plans and never fail; whoever applies a plan records
//! it, acts on it and speaks of it. Applying a plan and asking again at the same time gives an empty plan, so that "what
//! should be going on now?" has one answer, also after a crash.
//!
//! Deliberately absent: clocks, disks, threads, chance, logs, hash order, and Kubernetes' messages (`api` turns those into
//! the types here, once, where they are validated).

pub mod backoff;
pub mod clock;
pub mod cron;
pub mod cron_job;
mod exit;
pub mod job;
pub mod names;
pub mod node;
pub mod pod;
mod time;

pub use exit::{Exit, MESSAGE_MAX};
pub use time::{Millis, Now, Steady};
