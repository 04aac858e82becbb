//! Real guests on the real runtime, compiled by the real child. One binary, because linking it is what takes time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows them in tests, but not in their helpers"
)]

mod code;
mod components;
mod exits;
mod grants;
mod many;
mod world;
