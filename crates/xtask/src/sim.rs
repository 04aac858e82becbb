//! `cargo xtask sim`: lives whole worlds for as long as it is told.
//!
//! The worlds are tests/sim; here they are built to run fast, and handed their flags.

mod planted;

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::programs::{self, Profile};

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "sim",
    about: "Lives whole worlds, each from one seed, and checks the promises after every commit",
    help: "
  cargo xtask sim SECONDS      as many worlds as there is time for
  --worlds N                   so many
  --seed N                     beginning with this one (1)
  --story                      tells what happens
  cargo xtask sim planted      plants bugs in a copy, one after the other, and has each found

A broken promise ends it with the story so far and the command that tells it again. `cargo test`
lives a fixed number of worlds.",
    run: crate::Run::With(run),
};

fn run(args: &[&str]) -> Result<()> {
    if args == ["planted"] {
        return planted::find_all();
    }
    let (seconds, rest) = match args {
        [first, rest @ ..] if first.bytes().all(|byte| byte.is_ascii_digit()) => (Some(*first), rest),
        all => (None, all),
    };
    let built = programs::build(&["wick-tests"], Profile::Fast)?;
    let program = built.get("wick-sim").context("cargo built no `wick-sim`")?;
    let mut command = Command::new(program);
    if let Some(seconds) = seconds {
        command.args(["--seconds", seconds]);
    }
    let status = command.args(rest).status().context("`wick-sim` could not be started")?;
    ensure!(status.success(), "a promise was broken");
    Ok(())
}
