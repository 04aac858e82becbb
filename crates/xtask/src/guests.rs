//! `cargo xtask guests`: compiles the crates in examples/ for WASI.
//!
//! They always land in examples/target, whatever `CARGO_TARGET_DIR` says, because the manifests beside them
//! say so.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project;

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "guests",
    about: "Builds the example guests for WASI",
    help: "
Adds the targets wasm32-wasip1 and wasm32-wasip2 to the toolchain where they are missing (through
rustup), and builds the crates in examples/ into examples/target/TARGET/release. What is up to
date is left alone.",
    run: crate::Run::Alone(build),
};

/// Core modules.
pub(crate) const MODULE_TARGET: &str = "wasm32-wasip1";
/// Components.
const COMPONENT_TARGET: &str = "wasm32-wasip2";
/// The guest that is a component; all the others are core modules.
const COMPONENT: &str = "hello-component";

/// Builds all guests, with the targets they need.
pub(crate) fn build() -> Result<()> {
    for target in [MODULE_TARGET, COMPONENT_TARGET] {
        install(target)?;
    }
    project::run(&mut cargo(["build", "--workspace", "--exclude", COMPONENT, "--target", MODULE_TARGET]))?;
    project::run(&mut cargo(["build", "--package", COMPONENT, "--target", COMPONENT_TARGET]))
}

/// The module that [`build`] makes of a guest.
pub(crate) fn module(name: &str) -> PathBuf {
    project::examples().join("target").join(MODULE_TARGET).join("release").join(format!("{name}.wasm"))
}

/// Builds guests for this machine, as programs like any other; the directory they are in.
pub(crate) fn build_native(names: &[&str]) -> Result<PathBuf> {
    let mut command = cargo(["build"]);
    for name in names {
        command.args(["--package", name]);
    }
    project::run(&mut command)?;
    Ok(project::examples().join("target/release"))
}

/// Lints all guests, warnings as errors. One target does for all: none of them asks which one it is.
pub(crate) fn lint() -> Result<()> {
    install(MODULE_TARGET)?;
    project::run(cargo(["clippy", "--workspace", "--target", MODULE_TARGET]).args(["--", "-D", "warnings"]))
}

fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let mut command = project::cargo(&project::examples(), args);
    command.args(["--release", "--locked", "--target-dir", "target"]);
    command
}

/// Adds `target` to the toolchain that is in use here, if it lacks it.
///
/// Asks rustc, not rustup, whether it is there: a distribution's Rust has no rustup and may have the target.
fn install(target: &str) -> Result<()> {
    let mut ask = Command::new("rustc");
    ask.current_dir(project::root()).args(["--print", "target-libdir", "--target", target]);
    let answer = ask.output().context("`rustc` could not be started")?;
    if !answer.status.success() {
        let words = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
        bail!("`{}` failed: {words}", project::line(&ask));
    }
    if Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_dir() {
        return Ok(());
    }
    let mut add = Command::new("rustup");
    add.current_dir(project::root()).args(["target", "add", target]);
    match add.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("`{}` failed: {status}", project::line(&add)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "this Rust has no target `{target}`, and there is no `rustup` to add it; install Rust from \
             https://rustup.rs, or your distribution's package for that target"
        ),
        Err(error) => Err(error).context("`rustup` could not be started"),
    }
}
