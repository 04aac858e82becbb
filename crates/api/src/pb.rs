//! The messages, clients and servers, as compiled from the `.proto` files.
//!
//! A package is a module: `k8s.batch.v1` is [`k8s::batch::v1`]. Field names are Rust's (`backoff_limit`), the
//! comments are the schema's.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "the code is generated; what it looks like is decided elsewhere"
)]

include!(concat!(env!("OUT_DIR"), "/packages.rs"));
