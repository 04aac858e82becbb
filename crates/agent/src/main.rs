//! `wickd`: the daemon. Reads its arguments, runs, prints what went wrong, and picks the exit code.

mod clock;
mod config;
mod daemon;
mod data;
mod engine_thread;
mod guests;
mod images;
mod listen;
mod logs;
mod services;

use std::process::ExitCode;

use clap::Parser;

use crate::config::Config;

/// The hidden subcommand that compiles one image in a process of its own, and ends.
const COMPILE: &str = "compile";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == COMPILE) {
        return runtime::compile::child_main(args);
    }
    let config = Config::parse();
    daemon::log_to_stderr();
    match daemon::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
