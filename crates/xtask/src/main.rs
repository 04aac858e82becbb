//! The project's own commands, run as `cargo xtask COMMAND`.
//!
//! One file per command. What a command needs beyond cargo it asks the real programs for; nothing here links
//! against Wick, so that it builds in seconds on a fresh machine and breaks only when Wick's surface does. So `bench`
//! only builds and starts what measures: crates/bench.

mod bench;
mod demo;
mod guests;
mod powercut;
mod programs;
mod project;
mod screen;
mod sim;
mod test;
mod tools;

use std::process::ExitCode;

/// One of the commands: its name, one line about it, what `--help` adds, and what it does.
struct Command {
    name: &'static str,
    about: &'static str,
    help: &'static str,
    run: Run,
}

/// What a command does.
#[derive(Clone, Copy)]
enum Run {
    /// It takes no arguments.
    Alone(fn() -> anyhow::Result<()>),
    /// It hands its arguments on, unread.
    With(fn(&[&str]) -> anyhow::Result<()>),
}

const COMMANDS: [Command; 7] = [
    bench::COMMAND,
    demo::COMMAND,
    guests::COMMAND,
    powercut::COMMAND,
    sim::COMMAND,
    test::COMMAND,
    tools::COMMAND,
];

/// What the command line asks for.
enum Asked<'a> {
    Help(String),
    Run(&'static Command, &'a [&'a str]),
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match parse(&args) {
        Ok(Asked::Help(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok(Asked::Run(command, args)) => {
            let done = match command.run {
                Run::Alone(run) => run(),
                Run::With(run) => run(args),
            };
            match done {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("error: {error:#}");
                    ExitCode::FAILURE
                }
            }
        }
        Err(text) => {
            eprint!("{text}");
            ExitCode::from(2)
        }
    }
}

fn parse<'a>(args: &'a [&'a str]) -> Result<Asked<'a>, String> {
    match args {
        [] => Err(overview()),
        ["help" | "--help" | "-h"] => Ok(Asked::Help(overview())),
        ["help", name] => Ok(Asked::Help(help(find(name)?))),
        [name, "--help" | "-h"] => Ok(Asked::Help(help(find(name)?))),
        [name, arguments @ ..] => {
            let command = find(name)?;
            match (command.run, arguments) {
                (Run::Alone(_), [first, ..]) => {
                    Err(format!("error: `{}` takes no arguments, got `{first}`\n", command.name))
                }
                (Run::Alone(_) | Run::With(_), _) => Ok(Asked::Run(command, arguments)),
            }
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
    let Command { name, about, help, run } = command;
    let arguments = match run {
        Run::Alone(_) => "",
        Run::With(_) => " [FLAGS]",
    };
    format!("{about}\n\nUsage: cargo xtask {name}{arguments}\n\n{}\n", help.trim())
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

                  bench    Measures Wick beside fork and exec of the same programs
                  demo     Shows a Job that survives the agent's sudden death
                  guests   Builds the example guests for WASI
                  powercut Cuts the power of the store, in simulation
                  sim      Lives whole worlds, each from one seed, and checks the promises after every commit
                  test     Runs everything CI runs
                  tools    Installs what the tests of other people's clients need

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
        check(&["bench", "--only", "sizes"], expect![[r#"run bench --only sizes"#]]);
    }

    fn check(args: &[&str], wanted: Expect) {
        wanted.assert_eq(&answer(args));
    }

    fn answer(args: &[&str]) -> String {
        match parse(args) {
            Ok(Asked::Help(text)) => format!("help\n{text}"),
            Ok(Asked::Run(command, args)) => {
                format!("run {} {}", command.name, args.join(" ")).trim_end().to_owned()
            }
            Err(text) => format!("refused\n{text}"),
        }
    }
}
