//! What the daemon can be told, as flags or in the environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Runs Kubernetes Jobs on this device: each container a WASI guest, everything that happened kept on disk.
#[derive(Clone, Debug, Parser)]
#[command(name = "wickd", version, max_term_width = 100)]
pub(crate) struct Config {
    /// Where everything is kept; made if it is not there, used by one wickd at a time
    #[arg(long, value_name = "DIR", env = "WICK_DATA_DIR", default_value_os_t = default_data_dir())]
    pub(crate) data_dir: PathBuf,

    /// Unix socket to answer on, for this user only (mode 0600)
    #[arg(long, value_name = "PATH", env = "WICK_SOCKET", default_value_os_t = default_socket())]
    pub(crate) socket: PathBuf,

    /// Also answer in plain text on this loopback address, such as 127.0.0.1:7180 (port 0 takes a free one)
    #[arg(long, value_name = "HOST:PORT", env = "WICK_LISTEN", value_parser = loopback)]
    pub(crate) listen: Option<SocketAddr>,

    /// The node's name, in Pods' spec.nodeName [default: the host's name]
    #[arg(long, value_name = "NAME", env = "WICK_NODE_NAME")]
    pub(crate) node_name: Option<String>,

    /// Let hostPath volumes name this directory and what is below it; may be given several times. None by default
    #[arg(long = "allow-host-path", value_name = "DIR", env = "WICK_ALLOW_HOST_PATH", value_delimiter = ':', value_parser = absolute)]
    pub(crate) allow_host_paths: Vec<PathBuf>,

    /// Guests that may be there at the same time; Pods wait for the others to end
    #[arg(long, value_name = "N", env = "WICK_GUESTS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) guests: u32,

    /// The largest image that can be pushed, in MiB
    #[arg(long, value_name = "MIB", env = "WICK_MAX_IMAGE_MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) max_image_mib: u64,

    /// What is kept of the output of one run of a container, in KiB; the oldest lines go first
    #[arg(long, value_name = "KIB", env = "WICK_LOG_KIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(64..=1_048_576))]
    pub(crate) log_kib: u64,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = text.replacen("localhost:", "127.0.0.1:", 1);
    let address: SocketAddr =
        address.parse().map_err(|_| "not an address and a port, such as 127.0.0.1:7180".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("plain text is for loopback only: use 127.0.0.1 or [::1], or the Unix socket".to_owned())
    }
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("must be an absolute path".to_owned()) }
}

/// Where a service of the system keeps its state; for anybody else, where people's programs do.
fn default_data_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/wick");
    }
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")));
    state.map_or_else(|| PathBuf::from("/var/lib/wick"), |state| state.join("wick"))
}

/// `wick` looks at the same places.
fn default_socket() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(dir) => dir.join("wick.sock"),
        None => PathBuf::from("/run/wick/wick.sock"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_for_loopback_only() {
        assert!(loopback("127.0.0.1:0").is_ok());
        assert!(loopback("[::1]:7180").is_ok());
        assert!(loopback("localhost:7180").is_ok());
        for refused in ["0.0.0.0:7180", "192.0.2.1:7180", "[::]:7180", "7180", "example.com:80"] {
            assert!(loopback(refused).is_err(), "{refused}");
        }
    }
}
