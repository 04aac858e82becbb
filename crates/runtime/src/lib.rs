//! Runs one guest inside its limits.
//!
//! A guest is a WASI module (wasip1) or component (wasip2, `wasi:cli/run`). [`Runtime::start`] takes what it is
//! given ([`GuestSpec`]) and says, exactly once, how it ended ([`Finished`]). Everything a guest may not exceed
//! is in the spec or in [`Config`], with its unit.
//!
//! Deliberately absent: Jobs, Pods and restarts (the engine decides those), the store, listeners, log files (the
//! agent implements [`Output`]), and any wall clock policy: a deadline here is a span of monotonic time.
//!
//! Guests run on this crate's own threads, with their own tokio runtime, so that whoever calls it keeps answering
//! while every guest spins. Compilation happens in a short-lived child process ([`compile::child_main`]).

mod cache;
pub mod compile;
mod engines;
mod exit;
mod guest;
mod image;
mod load;
mod memory;
mod meter;
mod net;
mod run;
mod runtime;
mod stdio;
mod ticker;

pub use compile::{CompileLimits, Compiler};
pub use exit::{Exit, Finished, Usage};
pub use guest::{Guest, GuestSpec, Mount, Output, StopReason, Stream};
pub use image::{BadDigest, Digest, Image, ImageInfo, ImageKind, Refused, inspect, wat_to_wasm};
pub use net::{BadGrant, NetGrant, NetHost};
pub use runtime::{Activity, Allocatable, Config, Runtime, RuntimeError};
