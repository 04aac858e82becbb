//! `cargo xtask test`: what CI runs, in the order that fails soonest.
//!
//! Formats and lints are quicker than a build, so they come first; the guests take seconds. The tests in tests/ run the real binaries and the
//! real guests, so both are built before them; `--all-targets` makes that the very build that `cargo test` wants.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::screen::{Screen, seconds};
use crate::{demo, guests, powercut, project, tools};

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "test",
    about: "Runs everything CI runs",
    help: "
Format, lints with warnings as errors, the guests, a build of everything, the demo, every test, end
to end ones included, and a short `powercut`. Stops at the first step that fails. Each step is timed. With `CI` set it also
installs the tools of other people's clients; tests that lack theirs then fail, and are skipped
otherwise.",
    run: crate::Run::Alone(run),
};

/// A part of the whole: its name, and what it does.
type Step = (&'static str, fn() -> Result<()>);

const STEPS: [Step; 10] = [
    ("format", format),
    ("tools", tools::in_ci),
    ("lint the guests", guests::lint),
    ("build the guests", guests::build),
    ("lint", lint),
    ("lint the client", lint_client),
    ("build", build),
    ("demo", demo::run),
    ("test", test),
    ("cut the power", powercut::in_ci),
];

fn run() -> Result<()> {
    let screen = Screen::stdout();
    let mut times = Vec::new();
    for (at, (name, step)) in STEPS.iter().enumerate() {
        screen.heading(&format!("[{}/{}] {name}", at + 1, STEPS.len()));
        let began = Instant::now();
        step().with_context(|| format!("step `{name}` failed after {}", seconds(began.elapsed())))?;
        times.push((name, began.elapsed()));
    }
    screen.heading("all passed");
    for (name, time) in &times {
        screen.line(&format!("{name:<18} {:>8}", seconds(*time)));
    }
    let total: Duration = times.iter().map(|(_, time)| *time).sum();
    screen.line(&format!("{:<18} {:>8}", "together", seconds(total)));
    Ok(())
}

fn format() -> Result<()> {
    for dir in [project::root(), &project::examples(), &project::client()] {
        project::run(&mut project::cargo(dir, ["fmt", "--all", "--check"]))?;
    }
    Ok(())
}

fn lint() -> Result<()> {
    let args = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    project::run(&mut project::cargo(project::root(), args))
}

/// The one in Rust; its dependencies are where the tests look for them.
fn lint_client() -> Result<()> {
    let mut command = project::cargo(&project::client(), ["clippy", "--all-targets", "--locked"]);
    command.arg("--target-dir").arg(project::target("tmp/clients-rust"));
    project::run(command.args(["--", "-D", "warnings"]))
}

fn build() -> Result<()> {
    let args = ["build", "--workspace", "--all-targets", "--locked"];
    project::run(&mut project::cargo(project::root(), args))
}

fn test() -> Result<()> {
    project::run(&mut project::cargo(project::root(), ["test", "--workspace", "--locked"]))
}
