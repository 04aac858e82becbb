//! The agent's own log: for people on a terminal, JSON for whatever else reads standard error.
//!
//! One line for each thing that matters: the start and what it recovered, images that came and went, Jobs that began, ended
//! and went, at `info`; guests at `debug`. Never what a guest is given (arguments, environment) or writes.

use std::io::IsTerminal;

use engine::Milestone;
use sched::clock::ClockNews;
use sched::cron_job::Missed;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

/// Chooses what is told.
pub(crate) struct LogLevel(reload::Handle<Targets, Registry>);

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
fn filter(level: &str) -> Targets {
    match level.trim().parse::<LevelFilter>() {
        Ok(level @ (LevelFilter::DEBUG | LevelFilter::TRACE)) => {
            let ours = ["wickd", "engine", "runtime"].map(|name| (name, level));
            Targets::new().with_default(LevelFilter::INFO).with_targets(ours)
        }
        // One that cannot be read was turned down before.
        _ => directives(level).unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO)),
    }
}

/// A level, or directives with commas between them.
pub(crate) fn directives(text: &str) -> Result<Targets, ParseError> {
    text.replace(char::is_whitespace, "").parse()
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
        Milestone::CronJobCreated { key, uid } => tracing::info!(cron_job = %key, uid, "CronJob created"),
        Milestone::CronJobDeleted { key } => tracing::info!(cron_job = %key, "CronJob deleted"),
        Milestone::SlotStarted { key, slot, job, .. } => {
            tracing::info!(cron_job = %key, %slot, job, "slot started a Job");
        }
        Milestone::SlotsMissed { key, missed } => {
            let Missed { first, last, count, why } = missed;
            tracing::warn!(cron_job = %key, %first, %last, count, reason = why.name(), "slots missed");
        }
        Milestone::Clock(ClockNews::Stepped { from, to }) => tracing::warn!(%from, %to, "the clock was set"),
        Milestone::Clock(ClockNews::Plausible { .. }) => {
            tracing::info!("the clock is plausible: slots start Jobs");
        }
        Milestone::Clock(ClockNews::Implausible) => {
            tracing::warn!("the clock is not plausible: no slot starts a Job until it is set");
        }
        Milestone::ImageStored { name, digest, size_bytes } => {
            tracing::info!(image = name, digest, size_bytes, "image stored");
        }
        Milestone::ImageDeleted { names, digest } => {
            tracing::info!(images = names.join(" "), digest, "image deleted");
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_level_alone_is_about_wick_and_directives_are_about_anything() {
        let tells = |level: &str, target: &str| {
            [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE]
                .iter()
                .filter(|one| filter(level).would_enable(target, one))
                .count()
        };
        for (level, ours, theirs) in [
            ("off", 0, 0),
            ("WARN", 2, 2),
            ("info", 3, 3),
            ("debug", 4, 3),
            ("trace", 5, 3),
            ("info,runtime=debug", 4, 3),
            ("warn, h2=trace", 2, 5),
            ("runtime=error", 1, 0),
        ] {
            assert_eq!((tells(level, "runtime::load"), tells(level, "h2::frame")), (ours, theirs), "{level}");
        }
    }
}
