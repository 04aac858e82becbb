//! Cuts the power of the real store, in simulation, and looks at what is left.
//!
//! A recorded program (`work`) runs the real engine on the real store and announces what it commits. From the log of
//! what it did to its files, states are made that a disk could be in when the power goes; each is opened by another
//! program (`check`), and must have all that was acknowledged and nothing that was not. Some states are gone on with,
//! recorded again, and cut again, and those once more. Before all that, stores with known flaws are put through the
//! same, and must be found out.

mod announce;
mod campaign;
mod check;
mod child;
mod cut;
mod disk;
mod oracle;
mod random;
mod report;
#[cfg(test)]
mod script;
mod story;
mod toy;
mod wire;
mod work;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Asked {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Cuts the power again and again.
    Campaign(campaign::Campaign),
    #[command(hide = true)]
    Work(work::Work),
    #[command(hide = true)]
    Check(check::Check),
}

fn main() -> ExitCode {
    let done = match Asked::parse().command {
        Command::Campaign(campaign) => campaign.run(),
        Command::Work(work) => work.run().map(|()| true),
        Command::Check(check) => check.run().map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
