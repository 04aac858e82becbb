//! The settings that may change while the agent runs. Whoever uses one asks here each time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use api::Grants;

use crate::config::{Config, SETTINGS};
use crate::logging::LogLevel;

/// Shared by all who use one.
pub(crate) struct Live {
    guest_memory_bytes: AtomicU64,
    max_image_bytes: AtomicU64,
    log_bytes: AtomicU64,
    drain_seconds: AtomicU64,
    grants: RwLock<Arc<Grants>>,
}

impl Live {
    pub(crate) fn new(config: &Config) -> Live {
        let live = Live {
            guest_memory_bytes: AtomicU64::default(),
            max_image_bytes: AtomicU64::default(),
            log_bytes: AtomicU64::default(),
            drain_seconds: AtomicU64::default(),
            grants: RwLock::default(),
        };
        live.set(config);
        live
    }

    /// One that keeps so much of a run's output, for tests.
    #[cfg(test)]
    pub(crate) fn keeping(log_bytes: u64) -> Arc<Live> {
        let live = Live {
            guest_memory_bytes: AtomicU64::default(),
            max_image_bytes: AtomicU64::default(),
            log_bytes: AtomicU64::new(log_bytes),
            drain_seconds: AtomicU64::default(),
            grants: RwLock::default(),
        };
        Arc::new(live)
    }

    fn set(&self, config: &Config) {
        self.guest_memory_bytes.store(config.guest_memory_mib << 20, Ordering::Relaxed);
        self.max_image_bytes.store(config.max_image_mib << 20, Ordering::Relaxed);
        self.log_bytes.store(config.log_kib << 10, Ordering::Relaxed);
        self.drain_seconds.store(config.drain_seconds, Ordering::Relaxed);
        let grants = Arc::new(Grants { host_paths: config.allow_host_paths.clone() });
        *self.grants.write().unwrap_or_else(PoisonError::into_inner) = grants;
    }

    /// What a guest may use whose container has no memory limit, in bytes.
    pub(crate) fn guest_memory_bytes(&self) -> u64 {
        self.guest_memory_bytes.load(Ordering::Relaxed)
    }

    /// The largest image that is taken, in bytes.
    pub(crate) fn max_image_bytes(&self) -> u64 {
        self.max_image_bytes.load(Ordering::Relaxed)
    }

    /// What is kept of the output of one run, in bytes.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    /// How long guests may go on after the first signal to end.
    pub(crate) fn drain_seconds(&self) -> u64 {
        self.drain_seconds.load(Ordering::Relaxed)
    }

    /// What Jobs may ask for.
    pub(crate) fn grants(&self) -> Arc<Grants> {
        self.grants.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts `new` to use as far as that can be done while the agent runs, and tells what changed and what waits for the next
    /// start. `old` is what holds, and becomes what holds then.
    pub(crate) fn reload(&self, old: &mut Config, new: Config, level: &LogLevel) {
        let values = old.values().into_iter().zip(new.values());
        for (setting, (before, after)) in SETTINGS.iter().zip(values).filter(|(_, (old, new))| old != new) {
            let (setting, reloads) = (setting.key, setting.reloads);
            let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
            if reloads {
                tracing::info!(setting, before, after, "changed");
            } else {
                tracing::warn!(setting, before, after, "changes at the next start only");
            }
        }
        // What waits for the next start stays as it is, so that the next reload tells of it again.
        *old = Config {
            allow_host_paths: new.allow_host_paths,
            guest_memory_mib: new.guest_memory_mib,
            max_image_mib: new.max_image_mib,
            log_kib: new.log_kib,
            drain_seconds: new.drain_seconds,
            log_level: new.log_level,
            ..old.clone()
        };
        self.set(old);
        level.set(&old.log_level);
    }
}
