//! What the device is: its name, its processors, its memory, the labels it has as a node.

use std::collections::BTreeMap;

/// What it is called; `localhost` where that is no name for a node.
pub(crate) fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    if api::names::dns_subdomain(&name).is_ok() { name } else { "localhost".to_owned() }
}

pub(crate) fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

pub(crate) fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    // The field is as wide as a pointer: 32 bits on some devices.
    #[allow(clippy::useless_conversion, reason = "it is none on 32-bit targets")]
    u64::from(info.totalram).saturating_mul(u64::from(info.mem_unit))
}

/// The labels every node of a cluster has; architectures have Go's names there.
pub(crate) fn labels(node_name: &str) -> BTreeMap<String, String> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    [("os", "linux"), ("arch", architecture), ("hostname", node_name)]
        .map(|(name, value)| (format!("kubernetes.io/{name}"), value.to_owned()))
        .into()
}
