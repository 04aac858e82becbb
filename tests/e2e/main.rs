//! The real `wickd`, the real `wick`, real guests and a generated client: what Wick promises, seen from outside.
//!
//! One binary, because linking it is what takes time; a module for each subject.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy.toml allows them in tests, but not in their helpers"
)]

mod agent_life;
mod bad_images;
mod bad_manifests;
mod cli;
mod cron_jobs;
mod cron_kill;
mod data_dir;
mod deletion;
mod environment;
mod examples;
mod grpc_images;
mod grpc_jobs;
mod grpc_logs;
mod grpc_manifests;
mod grpc_node;
mod grpc_patch;
mod grpc_watch;
mod history;
mod kill;
mod next;
mod packaging;
mod pods;
mod readme;
mod recovery;
mod semantics;
mod simulate;
mod syscalls;
mod tools;
mod volumes;
