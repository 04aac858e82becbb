//! `wickd`: the daemon. Reads its arguments, runs, prints what went wrong, and picks the exit code.

mod clock;
mod config;
mod daemon;
mod data;
mod device;
mod engine_thread;
mod guests;
mod host_path;
mod images;
mod listen;
mod live;
mod logging;
mod logs;
mod notify;
mod services;
mod simulation;
mod store_command;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use engine::store::StoreError;

use crate::config::{ConfigError, Given, Told};
use crate::store_command::StoreCommand;

/// The hidden subcommand that compiles one image in a process of its own, and ends.
const COMPILE: &str = "compile";

/// Runs Kubernetes Jobs on this device: each container a WASI guest, everything that happened kept on disk.
///
/// What is told by a flag goes before the environment, that before the configuration file, and that before the default.
#[derive(Parser)]
#[command(name = "wickd", version, max_term_width = 100)]
struct Args {
    /// The configuration file [default: /etc/wick/wickd.toml or $XDG_CONFIG_HOME/wick/wickd.toml, if it is there]
    #[arg(long, value_name = "PATH", env = "WICK_CONFIG", global = true)]
    config: Option<PathBuf>,

    #[command(flatten)]
    given: Given,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Look at the configuration, and run nothing
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at the store of a data directory that no wickd uses, and move it
    #[command(subcommand)]
    Store(StoreCommand),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Tell everything that is wrong with a configuration file
    Check {
        /// The file [default: the one that would be read]
        file: Option<PathBuf>,
    },
    /// Print what holds, and who said so
    Show,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == COMPILE) {
        return runtime::compile::child_main(args);
    }
    let matches = Args::command().get_matches();
    let Args { config, given, command } = match Args::from_arg_matches(&matches) {
        Ok(args) => args,
        Err(error) => error.exit(),
    };
    let told = Told::new(given, config, &matches);
    let result = match command {
        None => run(&told),
        Some(Command::Config(ConfigCommand::Check { file })) => check_config(&told, file),
        Some(Command::Config(ConfigCommand::Show)) => show_config(&told),
        Some(Command::Store(command)) => store_command::run(command),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            if let Some(hint) = hint(&error) {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(told: &Told) -> anyhow::Result<ExitCode> {
    let resolved = told.resolve().context("the configuration cannot be used")?;
    daemon::run(told, resolved)?;
    Ok(ExitCode::SUCCESS)
}

fn check_config(told: &Told, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let Some(file) = file.or_else(|| told.file()) else {
        eprintln!("there is no configuration file, and none is needed");
        return Ok(ExitCode::SUCCESS);
    };
    match config::check(&file) {
        Ok(()) => {
            println!("{} is fine", file.display());
            Ok(ExitCode::SUCCESS)
        }
        Err(wrong @ ConfigError::Wrong { .. }) => {
            eprintln!("{wrong}");
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.into()),
    }
}

fn show_config(told: &Told) -> anyhow::Result<ExitCode> {
    print!("{}", told.resolve().context("the configuration cannot be used")?.show());
    Ok(ExitCode::SUCCESS)
}

/// What to do about an error, where that is not in it.
fn hint(error: &anyhow::Error) -> Option<String> {
    let refused = error.chain().find_map(|cause| cause.downcast_ref::<StoreError>())?;
    let StoreError::Refused { store, .. } = refused else { return None };
    let dir = store.parent()?.display();
    Some(format!(
        "`wickd store check {dir}` tells more and changes nothing; `wickd store set-aside {dir}` keeps all of it aside, \
         and the next start begins empty"
    ))
}
