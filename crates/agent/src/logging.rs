//! The agent's own log: for people on a terminal, JSON for whatever else reads standard error.
//!
//! One line for each thing that matters: the start and what it recovered, images that came and went, Jobs that began, ended
//! and went, at `info`; guests at `debug`. Never what a guest is given (arguments, environment) or writes.

use std::io::IsTerminal;

use engine::Milestone;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// Chooses what is told.
pub(crate) struct LogLevel(reload::Handle<EnvFilter, Registry>);

/// Starts the log. `level` was checked before.
pub(crate) fn start(level: &str) -> LogLevel {
    let (filter, handle) = reload::Layer::new(filter(level));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    if std::io::stderr().is_terminal() {
        registry.with(lines.compact()).init();
    } else {
        registry.with(lines.json().flatten_event(true)).init();
    }
    LogLevel(handle)
}

impl LogLevel {
    pub(crate) fn set(&self, level: &str) {
        if let Err(error) = self.0.reload(filter(level)) {
            tracing::error!(%error, "cannot change what is logged");
        }
    }
}

/// A level alone is about Wick: what the libraries below tell of every frame at `debug` is for directives to ask for.
fn filter(level: &str) -> EnvFilter {
    let ours = ["wickd", "engine", "runtime"].map(|name| format!("{name}={level}")).join(",");
    match level.trim().to_lowercase().as_str() {
        "debug" | "trace" => EnvFilter::new(format!("info,{ours}")),
        _ => EnvFilter::new(level),
    }
}

/// Tells what was reached.
pub(crate) fn milestone(milestone: &Milestone) {
    match milestone {
        Milestone::JobCreated { key, uid } => tracing::info!(job = %key, uid, "Job created"),
        Milestone::JobFinished { key, reason, failed: false } => {
            tracing::info!(job = %key, reason, "Job complete");
        }
        Milestone::JobFinished { key, reason, failed: true } => {
            tracing::info!(job = %key, reason, "Job failed");
        }
        Milestone::JobDeleted { key } => tracing::info!(job = %key, "Job deleted"),
        Milestone::ImageStored { name, digest, size_bytes } => {
            tracing::info!(image = name, digest, size_bytes, "image stored");
        }
        Milestone::ImageDeleted { names, digest } => {
            tracing::info!(images = names.join(" "), digest, "image deleted");
        }
    }
}
