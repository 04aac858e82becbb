//! Tells systemd how the agent stands (`sd_notify`), and that it is alive.
//!
//! The keep-alive is not a timer's: it is sent only after the engine's thread has answered, so an agent that accepts
//! connections but records nothing any more is restarted. Without systemd nothing of this happens, and nothing wakes.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::engine_thread::EngineHandle;

/// Where the service manager listens, if there is one.
pub(crate) struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// After so long without a keep-alive the agent is killed.
    watchdog: Option<Duration>,
}

impl Notify {
    /// As the environment says.
    pub(crate) fn from_env() -> Notify {
        let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let socket = var("NOTIFY_SOCKET").and_then(|path| match open(&path) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(path = %path.to_string_lossy(), %error, "cannot tell the service manager anything");
                None
            }
        });
        let number = |name: &str| var(name)?.to_str()?.parse::<u64>().ok();
        // The keep-alive may be expected of another process.
        let for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| *usec > 0 && for_us).map(Duration::from_micros);
        Notify { socket, watchdog }
    }

    /// The agent can be asked.
    pub(crate) fn ready(&self) {
        self.send("READY=1");
    }

    /// The configuration is being read again; [`Notify::ready`] ends it.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let usec = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    /// The agent is going down, and will have within this time.
    pub(crate) fn stopping(&self, within: Duration) {
        let usec = within.as_micros();
        self.send(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={usec}"));
    }

    /// Sends keep-alives, each after an answer of the engine's thread, for as long as there are answers. Twice in the time
    /// that systemd allows, as it recommends; without a watchdog, never.
    pub(crate) async fn keep_alive(&self, engine: &EngineHandle) {
        let (Some(allowed), Some(_)) = (self.watchdog, &self.socket) else { return };
        let mut beats = tokio::time::interval(allowed / 2);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            if engine.answers().await.is_err() {
                return;
            }
            self.send("WATCHDOG=1");
        }
    }

    fn send(&self, message: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(message.as_bytes(), address)
        {
            tracing::warn!(%error, "cannot tell the service manager");
        }
    }
}

/// A path, or a name without a file where it begins with `@`.
fn open(path: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not hold us up.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listener: UnixDatagram, path: &OsStr) {
        let notify = Notify { socket: Some(open(path).unwrap()), watchdog: None };
        notify.ready();
        notify.stopping(Duration::from_secs(2));
        notify.reloading();
        let read = || {
            let mut bytes = [0; 100];
            let length = listener.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..length].to_vec()).unwrap()
        };
        assert_eq!(read(), "READY=1");
        assert_eq!(read(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=2000000");
        assert!(read().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    }

    #[test]
    fn a_socket_with_a_path_hears_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        check(UnixDatagram::bind(&path).unwrap(), path.as_os_str());
    }

    #[test]
    fn a_socket_without_a_path_hears_it() {
        let name = format!("wick-notify-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        check(UnixDatagram::bind_addr(&address).unwrap(), OsStr::new(&format!("@{name}")));
    }
}
