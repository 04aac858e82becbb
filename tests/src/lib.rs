//! What the tests in e2e/ stand on: a device of their own with the real `wickd` and the real `wick`, and a generated client.
//!
//! Everything here fails by panicking with what is needed to understand it: the command line, what it said, and, when
//! a [`Node`] goes down with a failing test, the agent's log. Nothing sleeps to wait for something: what is waited for
//! is an answer, a watch, a line or an end, and each has one time limit, [`PATIENCE`], that only a broken agent reaches.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "this is part of tests; a test fails by panicking"
)]

mod agent;
pub mod client;
mod lines;
pub mod manifest;
mod node;
pub mod programs;
mod said;
pub mod transcript;
mod watching;

use std::time::Duration;

pub use agent::{Agent, NotReady, Ready};
pub use client::Client;
pub use lines::Lines;
pub use node::Node;
pub use said::{Said, plain};
pub use watching::{name_of, phase, restarts};

/// How long anything that comes soon may take to come: far longer than it does on a slow machine under load.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The same for `wick`'s `--timeout`.
pub const PATIENCE_FLAG: &str = "60s";
