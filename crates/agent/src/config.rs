//! What the daemon can be told: by flags, else the environment, else one TOML file, else it takes a default.
//!
//! [`SETTINGS`] is the list of what can be told; flags, the file's keys, `wickd config show` and the documentation of both
//! follow it. Deliberately absent: putting settings to use ([`crate::live`] has those that may change while it runs).

mod check;
mod file;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::device;
pub(crate) use file::Problem;

/// Where the configuration file is, unless one is named.
const SYSTEM_FILE: &str = "/etc/wick/wickd.toml";

/// What can be told, in one place for all ways to tell it. Everything is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct Given {
    /// Where everything is kept; made if it is not there, used by one wickd at a time [default: /var/lib/wick for root, else
    /// ~/.local/state/wick]
    #[arg(long, value_name = "DIR", env = "WICK_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Unix socket to answer on, for this user only (mode 0600) [default: $XDG_RUNTIME_DIR/wick.sock, else
    /// /run/wick/wick.sock]
    #[arg(long, value_name = "PATH", env = "WICK_SOCKET")]
    pub(crate) socket: Option<PathBuf>,

    /// Let this group use the socket too, by its name in /etc/group or its number (mode 0660). wickd must be in it, or be root
    #[arg(long, value_name = "GROUP", env = "WICK_SOCKET_GROUP", value_parser = check::group)]
    pub(crate) socket_group: Option<String>,

    /// Also answer in plain text on this loopback address, such as 127.0.0.1:7180 (port 0 takes a free one)
    #[arg(long, value_name = "HOST:PORT", env = "WICK_LISTEN", value_parser = check::loopback)]
    pub(crate) listen: Option<SocketAddr>,

    /// The node's name, in Pods' spec.nodeName [default: the host's name]
    #[arg(long, value_name = "NAME", env = "WICK_NODE_NAME", value_parser = check::node_name)]
    pub(crate) node_name: Option<String>,

    /// The device's time zone: what a CronJob without spec.timeZone means [default: the system's]
    #[arg(long, value_name = "ZONE", env = "WICK_TIME_ZONE", value_parser = check::time_zone)]
    pub(crate) time_zone: Option<String>,

    /// Let hostPath volumes name this directory and what is below it; may be given several times. None by default
    #[arg(id = "allow_host_paths", long = "allow-host-path", value_name = "DIR", env = "WICK_ALLOW_HOST_PATH", value_delimiter = ':', value_parser = check::absolute)]
    pub(crate) allow_host_paths: Option<Vec<PathBuf>>,

    /// Guests that may be there at the same time, 1 to 10000; Pods wait for the others to end [default: 1000]
    #[arg(long, value_name = "N", env = "WICK_GUESTS", value_parser = check::guests)]
    pub(crate) guests: Option<u64>,

    /// How much memory a guest may use whose container has no memory limit, in MiB, 1 to 4096 [default: a quarter of the
    /// device's]
    #[arg(long, value_name = "MIB", env = "WICK_GUEST_MEMORY_MIB", value_parser = check::guest_memory_mib)]
    pub(crate) guest_memory_mib: Option<u64>,

    /// The largest image that can be pushed, in MiB, 1 to 1024 [default: 64]
    #[arg(long, value_name = "MIB", env = "WICK_MAX_IMAGE_MIB", value_parser = check::max_image_mib)]
    pub(crate) max_image_mib: Option<u64>,

    /// What is kept of the output of one run of a container, in KiB, 64 to 1048576; the oldest lines go first [default: 4096]
    #[arg(long, value_name = "KIB", env = "WICK_LOG_KIB", value_parser = check::log_kib)]
    pub(crate) log_kib: Option<u64>,

    /// Jobs that are kept, finished ones included, 1 to 100000; more are refused [default: 10000]
    #[arg(long, value_name = "N", env = "WICK_MAX_JOBS", value_parser = check::max_jobs)]
    pub(crate) max_jobs: Option<u64>,

    /// Pods that have not finished, 1 to 100000; Jobs wait with more [default: 4000]
    #[arg(long, value_name = "N", env = "WICK_MAX_LIVE_PODS", value_parser = check::max_live_pods)]
    pub(crate) max_live_pods: Option<u64>,

    /// What Jobs and Pods that have not finished take in memory, in MiB as encoded, 4 to 4096; more are refused, or wait
    /// [default: 64]
    #[arg(long, value_name = "MIB", env = "WICK_MAX_OBJECTS_MIB", value_parser = check::max_objects_mib)]
    pub(crate) max_objects_mib: Option<u64>,

    /// Finished Pods that are kept with their logs, 0 to 100000; the oldest go first [default: 12500]
    #[arg(long, value_name = "N", env = "WICK_KEEP_PODS", value_parser = check::keep_pods)]
    pub(crate) keep_pods: Option<u64>,

    /// What finished Pods and their logs take of the disk, in MiB, 1 to 1048576; the oldest go first [default: 256]
    #[arg(long, value_name = "MIB", env = "WICK_KEEP_PODS_MIB", value_parser = check::keep_pods_mib)]
    pub(crate) keep_pods_mib: Option<u64>,

    /// How many days the history of Jobs and slots is kept, 1 to 3650 [default: 30]
    #[arg(long, value_name = "DAYS", env = "WICK_LEDGER_DAYS", value_parser = check::ledger_days)]
    pub(crate) ledger_days: Option<u64>,

    /// What the history takes of the disk, in bytes, 16384 to 1099511627776; the oldest goes first [default: 67108864]
    #[arg(long, value_name = "BYTES", env = "WICK_LEDGER_BYTES", value_parser = check::ledger_bytes)]
    pub(crate) ledger_bytes: Option<u64>,

    /// How long guests may go on after the first SIGTERM, in seconds, 0 to 3600; a Pod whose terminationGracePeriodSeconds is
    /// less is stopped after that [default: 25]
    #[arg(long, value_name = "SECONDS", env = "WICK_DRAIN_SECONDS", value_parser = check::drain_seconds)]
    pub(crate) drain_seconds: Option<u64>,

    /// What the agent's own log tells: off, error, warn, info, debug or trace, or directives such as info,runtime=debug
    /// [default: info]
    #[arg(long, value_name = "LEVEL", env = "WICK_LOG", value_parser = check::log_level)]
    pub(crate) log_level: Option<String>,
}

/// One thing that can be told.
pub(crate) struct Setting {
    /// Its key in the file, and its name.
    pub(crate) key: &'static str,
    flag: &'static str,
    variable: &'static str,
    /// Whether SIGHUP puts a change to use. Other changes wait for the next start.
    pub(crate) reloads: bool,
}

/// All of them.
pub(crate) const SETTINGS: [Setting; 20] = [
    setting("data_dir", "--data-dir", "WICK_DATA_DIR", false),
    setting("socket", "--socket", "WICK_SOCKET", false),
    setting("socket_group", "--socket-group", "WICK_SOCKET_GROUP", false),
    setting("listen", "--listen", "WICK_LISTEN", false),
    setting("node_name", "--node-name", "WICK_NODE_NAME", false),
    setting("time_zone", "--time-zone", "WICK_TIME_ZONE", false),
    setting("allow_host_paths", "--allow-host-path", "WICK_ALLOW_HOST_PATH", true),
    setting("guests", "--guests", "WICK_GUESTS", false),
    setting("guest_memory_mib", "--guest-memory-mib", "WICK_GUEST_MEMORY_MIB", true),
    setting("max_image_mib", "--max-image-mib", "WICK_MAX_IMAGE_MIB", true),
    setting("log_kib", "--log-kib", "WICK_LOG_KIB", true),
    setting("max_jobs", "--max-jobs", "WICK_MAX_JOBS", false),
    setting("max_live_pods", "--max-live-pods", "WICK_MAX_LIVE_PODS", false),
    setting("max_objects_mib", "--max-objects-mib", "WICK_MAX_OBJECTS_MIB", false),
    setting("keep_pods", "--keep-pods", "WICK_KEEP_PODS", false),
    setting("keep_pods_mib", "--keep-pods-mib", "WICK_KEEP_PODS_MIB", false),
    setting("ledger_days", "--ledger-days", "WICK_LEDGER_DAYS", false),
    setting("ledger_bytes", "--ledger-bytes", "WICK_LEDGER_BYTES", false),
    setting("drain_seconds", "--drain-seconds", "WICK_DRAIN_SECONDS", true),
    setting("log_level", "--log-level", "WICK_LOG", true),
];

const fn setting(key: &'static str, flag: &'static str, variable: &'static str, reloads: bool) -> Setting {
    Setting { key, flag, variable, reloads }
}

/// What holds, after all were asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) socket_group: Option<String>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) node_name: Option<String>,
    pub(crate) time_zone: Option<String>,
    pub(crate) allow_host_paths: Vec<PathBuf>,
    pub(crate) guests: u64,
    pub(crate) guest_memory_mib: u64,
    pub(crate) max_image_mib: u64,
    pub(crate) log_kib: u64,
    pub(crate) max_jobs: u64,
    pub(crate) max_live_pods: u64,
    pub(crate) max_objects_mib: u64,
    pub(crate) keep_pods: u64,
    pub(crate) keep_pods_mib: u64,
    pub(crate) ledger_days: u64,
    pub(crate) ledger_bytes: u64,
    pub(crate) drain_seconds: u64,
    pub(crate) log_level: String,
}

impl Config {
    /// `flags` (with the environment behind them) before the `file` before the defaults.
    fn merge(flags: Given, file: Given) -> Config {
        Config {
            data_dir: flags.data_dir.or(file.data_dir).unwrap_or_else(default_data_dir),
            socket: flags.socket.or(file.socket).unwrap_or_else(default_socket),
            socket_group: flags.socket_group.or(file.socket_group),
            listen: flags.listen.or(file.listen),
            node_name: flags.node_name.or(file.node_name),
            time_zone: flags.time_zone.or(file.time_zone),
            allow_host_paths: flags.allow_host_paths.or(file.allow_host_paths).unwrap_or_default(),
            guests: flags.guests.or(file.guests).unwrap_or(1000),
            guest_memory_mib: flags
                .guest_memory_mib
                .or(file.guest_memory_mib)
                .unwrap_or_else(|| default_guest_memory_mib(device::memory_bytes())),
            max_image_mib: flags.max_image_mib.or(file.max_image_mib).unwrap_or(64),
            log_kib: flags.log_kib.or(file.log_kib).unwrap_or(4096),
            max_jobs: flags.max_jobs.or(file.max_jobs).unwrap_or(10_000),
            max_live_pods: flags.max_live_pods.or(file.max_live_pods).unwrap_or(4_000),
            max_objects_mib: flags.max_objects_mib.or(file.max_objects_mib).unwrap_or(64),
            keep_pods: flags.keep_pods.or(file.keep_pods).unwrap_or(12_500),
            keep_pods_mib: flags.keep_pods_mib.or(file.keep_pods_mib).unwrap_or(256),
            ledger_days: flags.ledger_days.or(file.ledger_days).unwrap_or(30),
            ledger_bytes: flags.ledger_bytes.or(file.ledger_bytes).unwrap_or(64 << 20),
            drain_seconds: flags.drain_seconds.or(file.drain_seconds).unwrap_or(25),
            log_level: flags.log_level.or(file.log_level).unwrap_or_else(|| "info".to_owned()),
        }
    }

    /// Each setting's value as the file would have it; `None` if it has none. In the order of [`SETTINGS`].
    pub(crate) fn values(&self) -> [Option<String>; SETTINGS.len()] {
        let path = |path: &Path| quoted(&path.to_string_lossy());
        let paths: Vec<String> = self.allow_host_paths.iter().map(|one| path(one)).collect();
        [
            Some(path(&self.data_dir)),
            Some(path(&self.socket)),
            self.socket_group.as_deref().map(quoted),
            self.listen.map(|address| quoted(&address.to_string())),
            self.node_name.as_deref().map(quoted),
            self.time_zone.as_deref().map(quoted),
            Some(format!("[{}]", paths.join(", "))),
            Some(self.guests.to_string()),
            Some(self.guest_memory_mib.to_string()),
            Some(self.max_image_mib.to_string()),
            Some(self.log_kib.to_string()),
            Some(self.max_jobs.to_string()),
            Some(self.max_live_pods.to_string()),
            Some(self.max_objects_mib.to_string()),
            Some(self.keep_pods.to_string()),
            Some(self.keep_pods_mib.to_string()),
            Some(self.ledger_days.to_string()),
            Some(self.ledger_bytes.to_string()),
            Some(self.drain_seconds.to_string()),
            Some(quoted(&self.log_level)),
        ]
    }
}

/// What was told on the command line and in the environment, and which file may say the rest. Asked again at SIGHUP.
pub(crate) struct Told {
    flags: Given,
    /// `--config` or WICK_CONFIG.
    named: Option<PathBuf>,
    /// Who told each setting, by its key.
    by: BTreeMap<&'static str, String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file that was named, or found, cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// All that is wrong with it, a line each.
    #[error("{}", lines(path, problems))]
    Wrong { path: PathBuf, problems: Vec<Problem> },
}

/// What holds, and who said so.
pub(crate) struct Resolved {
    pub(crate) config: Config,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    /// Who told each setting, by its key; those that are not here have their defaults.
    by: BTreeMap<&'static str, String>,
}

impl Told {
    pub(crate) fn new(flags: Given, named: Option<PathBuf>, matches: &ArgMatches) -> Told {
        let mut by = BTreeMap::new();
        for setting in &SETTINGS {
            match matches.value_source(setting.key) {
                Some(ValueSource::CommandLine) => by.insert(setting.key, format!("flag {}", setting.flag)),
                Some(ValueSource::EnvVariable) => {
                    by.insert(setting.key, format!("environment {}", setting.variable))
                }
                _ => None,
            };
        }
        Told { flags, named, by }
    }

    /// The file that is read: the one named, else the first that is there.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.named.clone().or_else(|| places().into_iter().find(|path| path.exists()))
    }

    /// Reads the file, and says what holds.
    pub(crate) fn resolve(&self) -> Result<Resolved, ConfigError> {
        let file = self.file();
        let (given, lines) = match &file {
            Some(path) => file::read(path)?,
            None => Default::default(),
        };
        let mut by = self.by.clone();
        for (key, line) in lines {
            by.entry(key).or_insert_with(|| {
                let path = file.as_deref().unwrap_or(Path::new("")).display();
                format!("file {path}, line {line}")
            });
        }
        Ok(Resolved { config: Config::merge(self.flags.clone(), given), file, by })
    }
}

/// Checks one file, whatever else was told.
pub(crate) fn check(path: &Path) -> Result<(), ConfigError> {
    file::read(path).map(|_| ())
}

/// Where a file that was not named may be, the nearest first.
pub(crate) fn places() -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from(SYSTEM_FILE)];
    if !rustix::process::geteuid().is_root() {
        let config = absolute_variable("XDG_CONFIG_HOME")
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
        places.splice(..0, config.map(|config| config.join("wick/wickd.toml")));
    }
    places
}

impl Resolved {
    /// What holds, as a file that would say the same, with who said so.
    pub(crate) fn show(&self) -> String {
        let mut text = match &self.file {
            Some(path) => format!("# with {}\n", path.display()),
            None => format!("# without a file; one would be {}\n", list(&places())),
        };
        let values = self.config.values();
        let lines: Vec<String> = SETTINGS
            .iter()
            .zip(values)
            .map(|(setting, value)| match value {
                Some(value) => format!("{} = {value}", setting.key),
                None => format!("# {} =", setting.key),
            })
            .collect();
        let width = lines.iter().map(|line| line.chars().count()).filter(|width| *width < 60).max();
        for (setting, line) in SETTINGS.iter().zip(lines) {
            let by = self.by.get(setting.key).map_or("default", String::as_str);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{line:<width$}  # {by}", width = width.unwrap_or(0));
        }
        text
    }
}

fn lines(path: &Path, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(|problem| format!("{}:{problem}", path.display())).collect();
    lines.join("\n")
}

fn list(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    shown.join(" or ")
}

/// A TOML string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Where a service of the system keeps its state; for anybody else, where people's programs do.
fn default_data_dir() -> PathBuf {
    if let Some(given) = service_directory("STATE_DIRECTORY") {
        return given;
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/wick");
    }
    let state = absolute_variable("XDG_STATE_HOME")
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")));
    state.map_or_else(|| PathBuf::from("/var/lib/wick"), |state| state.join("wick"))
}

/// `wick` looks at the same places.
fn default_socket() -> PathBuf {
    let given = service_directory("RUNTIME_DIRECTORY").or_else(|| absolute_variable("XDG_RUNTIME_DIR"));
    given.map_or_else(|| PathBuf::from("/run/wick/wick.sock"), |dir| dir.join("wick.sock"))
}

/// Four guests without a limit shall not bring down the device.
fn default_guest_memory_mib(device_bytes: u64) -> u64 {
    ((device_bytes / 4) >> 20).clamp(1, check::GUEST_MEMORY_MIB_MAX)
}

/// A directory that systemd made for this service; the first if it made several.
fn service_directory(variable: &str) -> Option<PathBuf> {
    let given = std::env::var(variable).ok()?;
    given.split(':').next().map(PathBuf::from).filter(|path| path.is_absolute())
}

fn absolute_variable(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use clap::Args;

    use super::*;

    #[test]
    fn every_setting_can_be_told_in_every_way() {
        let command = Given::augment_args(clap::Command::new("wickd"));
        let flags: Vec<_> = command.get_arguments().map(|arg| arg.get_id().as_str()).collect();
        assert_eq!(flags, SETTINGS.map(|setting| setting.key));
        for (arg, setting) in command.get_arguments().zip(&SETTINGS) {
            assert_eq!(arg.get_long().map(|long| format!("--{long}")).as_deref(), Some(setting.flag));
            assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(setting.variable));
        }
    }

    #[test]
    fn flags_go_before_the_file_and_the_file_before_the_defaults() {
        let flags = Given { guests: Some(5), ..Given::default() };
        let file = Given { guests: Some(6), log_kib: Some(100), ..Given::default() };
        let config = Config::merge(flags, file);
        assert_eq!((config.guests, config.log_kib, config.max_image_mib), (5, 100, 64));
    }

    #[test]
    fn a_guest_has_a_quarter_of_the_memory_by_default() {
        assert_eq!([256 << 20, 1 << 30, 64 << 30].map(default_guest_memory_mib), [64, 256, 4096]);
    }

    #[test]
    fn what_is_shown_says_the_same_as_a_file() {
        let told = Given {
            data_dir: Some("/srv/with \"quotes\" and \\".into()),
            socket: Some("/run/a.sock".into()),
            listen: Some("[::1]:80".parse().unwrap()),
            node_name: Some("gate".into()),
            time_zone: Some("Asia/Seoul".into()),
            allow_host_paths: Some(vec!["/srv/a".into(), "/srv/b".into()]),
            drain_seconds: Some(7),
            socket_group: Some("wick".into()),
            ..Given::default()
        };
        let config = Config::merge(told, Given::default());
        let resolved = Resolved { config: config.clone(), file: None, by: BTreeMap::new() };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wickd.toml");
        std::fs::write(&path, resolved.show()).unwrap();
        let (again, _) = file::read(&path).unwrap();
        assert_eq!(Config::merge(Given::default(), again), config);
    }
}
