//! `cargo xtask powercut`: cuts the power of the real store, in simulation.
//!
//! What does it is a program of its own, with the engine in it: crates/powercut.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::programs::{self, Profile};
use crate::project;

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "powercut",
    about: "Cuts the power of the store, in simulation",
    help: "
  cargo xtask powercut STATES [--seed SEED] [--keep DIR] [--scratch DIR] [--threads N]

Records what the real store does to its files under the engine's own work, makes of that so many
states that a disk could be in when the power goes, and opens each: all that was acknowledged must
be there, every batch whole. Some are gone on with and cut again, twice. Before that it proves
itself on stores with known flaws. Fails if any state is bad; those are kept in DIR
(target/powercut), each with what is wrong, and the log it was made from.

The seed decides all chances but one: which of sled's threads is first. About four states a second.",
    run: crate::Run::With(run),
};

/// How many states CI looks at.
const IN_CI: &str = "160";

/// A short campaign, another one each time.
pub(crate) fn in_ci() -> Result<()> {
    run(&[IN_CI])
}

fn run(args: &[&str]) -> Result<()> {
    let built = programs::build(&["wick-powercut"], Profile::Dev)?;
    let program = built.get("wick-powercut").context("cargo built no `wick-powercut`")?;
    let mut command = Command::new(program);
    command.arg("campaign");
    if !args.iter().any(|arg| *arg == "--keep" || arg.starts_with("--keep=")) {
        command.arg("--keep").arg(project::target("powercut"));
    }
    // What went wrong is said already, by whoever it went wrong for.
    let status = command.args(args).status().context("`wick-powercut` could not be started")?;
    ensure!(status.success(), "not every state was as it should be, or the campaign could not be made");
    Ok(())
}
