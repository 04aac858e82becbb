//! Where things are in the checkout, and how its programs are run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The checkout.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")); // crates/xtask
    here.ancestors().nth(2).unwrap_or(here)
}

/// The workspace of the guests.
pub(crate) fn examples() -> PathBuf {
    root().join("examples")
}

/// The workspace of the client in Rust.
pub(crate) fn client() -> PathBuf {
    examples().join("clients/rust")
}

/// Where `path` is below target/, whatever `CARGO_TARGET_DIR` says: tests and people look for it there.
pub(crate) fn target(path: &str) -> PathBuf {
    root().join("target").join(path)
}

/// The cargo that runs us, or else the one on the path, in `dir`.
pub(crate) fn cargo<const N: usize>(dir: &Path, args: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(dir).args(args);
    command
}

/// Runs `command` to its end, its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    let status = command.status().with_context(|| format!("`{line}` could not be started"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}

/// The command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut line = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line += &arg.to_string_lossy();
    }
    line
}

/// `path` as seen from where we were called, if it is below; else whole.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
