//! The compiler child as a program of its own, for tests and for whoever embeds the runtime elsewhere.
//! In `wickd` it is a hidden subcommand.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::compile::child_main(std::env::args_os().skip(1))
}
