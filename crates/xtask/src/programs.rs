//! Builds programs of the workspace, and has cargo say where they are: that is for its configuration to decide.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::project;

/// How programs are built.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    Dev,
    /// Quick to run, and quicker to build than what is handed out.
    Fast,
    /// As they are handed out; takes minutes.
    Release,
}

/// The agent and the command line.
pub(crate) struct Programs {
    pub(crate) wickd: PathBuf,
    pub(crate) wick: PathBuf,
}

impl Programs {
    pub(crate) fn build(profile: Profile) -> Result<Programs> {
        let mut built = build(&["wick-agent", "wick-cli"], profile)?;
        let mut take = |name: &str| built.remove(name).with_context(|| format!("cargo built no `{name}`"));
        Ok(Programs { wickd: take("wickd")?, wick: take("wick")? })
    }
}

/// Builds packages together; their programs by name.
pub(crate) fn build(packages: &[&str], profile: Profile) -> Result<BTreeMap<String, PathBuf>> {
    let mut command = project::cargo(project::root(), ["build", "--locked"]);
    for package in packages {
        command.args(["--package", package]);
    }
    match profile {
        Profile::Dev => {}
        Profile::Fast => drop(command.args(["--profile", "fast"])),
        Profile::Release => drop(command.arg("--release")),
    }
    command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output = command.output().context("`cargo` could not be started")?;
    ensure!(output.status.success(), "`{}` failed: {}", project::line(&command), output.status);

    let mut built = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: serde_json::Value = serde_json::from_str(line).context("cargo's message is not JSON")?;
        if let (Some(name), Some(path)) = (message["target"]["name"].as_str(), message["executable"].as_str())
        {
            built.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    Ok(built)
}
