//! The project's own commands, run as `cargo xtask COMMAND`.
//!
//! One file per command. What a command needs beyond cargo it asks the real programs for; nothing here links
//! against Wick, so that it builds in seconds on a fresh machine and breaks only when Wick's surface does.

mod demo;
mod guests;
mod project;
mod screen;
mod test;

use std::process::ExitCode;

/// One of the commands: its name, one line about it, what `--help` adds, and what it does.
struct Command {
    name: &'static str,
    about: &'static str,
    help: &'static str,
    run: fn() -> anyhow::Result<()>,
}

const COMMANDS: [Command; 3] = [demo::COMMAND, guests::COMMAND, test::COMMAND];

/// What the command line asks for.
enum Asked {
    Help(String),
    Run(&'static Command),
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match parse(&args) {
        Ok(Asked::Help(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok(Asked::Run(command)) => match (command.run)() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
        Err(text) => {
            eprint!("{text}");
            ExitCode::from(2)
        }
    }
}

fn parse(args: &[&str]) -> Result<Asked, String> {
    match args {
        [] => Err(overview()),
        ["help" | "--help" | "-h"] => Ok(Asked::Help(overview())),
        ["help", name] => Ok(Asked::Help(help(find(name)?))),
        [name] => Ok(Asked::Run(find(name)?)),
        [name, "--help" | "-h"] => Ok(Asked::Help(help(find(name)?))),
        [name, argument, ..] => {
            let command = find(name)?;
            Err(format!("error: `{}` takes no arguments, got `{argument}`\n", command.name))
        }
    }
}

fn find(name: &str) -> Result<&'static Command, String> {
    COMMANDS
        .iter()
        .find(|command| command.name == name)
        .ok_or_else(|| format!("error: no command named `{name}`\n\n{}", overview()))
}

fn overview() -> String {
    let mut text = String::from("Usage: cargo xtask COMMAND\n\n");
    for Command { name, about, .. } in &COMMANDS {
        text += &format!("  {name:<8} {about}\n");
    }
    text + "\n`cargo xtask COMMAND --help` says more.\n"
}

fn help(command: &Command) -> String {
    let Command { name, about, help, .. } = command;
    format!("{about}\n\nUsage: cargo xtask {name}\n\n{}\n", help.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn no_command_is_answered_with_all_of_them() {
        check(
            &[],
            expect![[r#"
                refused
                Usage: cargo xtask COMMAND

                  demo     Shows a Job that survives the agent's sudden death
                  guests   Builds the example guests for WASI
                  test     Runs everything CI runs

                `cargo xtask COMMAND --help` says more.
            "#]],
        );
    }

    #[test]
    fn a_command_explains_itself_either_way() {
        check(
            &["guests", "--help"],
            expect![[r#"
                help
                Builds the example guests for WASI

                Usage: cargo xtask guests

                Adds the targets wasm32-wasip1 and wasm32-wasip2 to the toolchain where they are missing (through
                rustup), and builds the crates in examples/ into examples/target/TARGET/release. What is up to
                date is left alone.
            "#]],
        );
        assert_eq!(answer(&["help", "guests"]), answer(&["guests", "--help"]));
    }

    #[test]
    fn an_argument_too_many_is_named() {
        check(
            &["test", "--fast"],
            expect![[r#"
                refused
                error: `test` takes no arguments, got `--fast`
            "#]],
        );
    }

    #[test]
    fn a_command_is_run_by_its_name() {
        check(&["demo"], expect![[r#"run demo"#]]);
    }

    fn check(args: &[&str], wanted: Expect) {
        wanted.assert_eq(&answer(args));
    }

    fn answer(args: &[&str]) -> String {
        match parse(args) {
            Ok(Asked::Help(text)) => format!("help\n{text}"),
            Ok(Asked::Run(command)) => format!("run {}", command.name),
            Err(text) => format!("refused\n{text}"),
        }
    }
}
