//! `wick`: what people type at, and read.
//!
//! kubectl's verbs, flags and words, for a device with an agent on it. Each verb has a file; they ask the agent through
//! [`client`] and leave every decision to it. What is shown is made by pure functions: [`table`], [`columns`], [`status`],
//! [`age`], [`describe`].
//!
//! Data goes to stdout, words to stderr. The exit code is 0: done; 1: the request, or what was waited for, failed; 2: it
//! could not be asked. Colours and bars are for terminals only ([`screen`]), and nothing asks back.

mod age;
mod apply;
mod change;
mod chosen;
mod client;
mod clock;
mod columns;
mod completion;
mod create;
mod delete;
mod describe;
mod failure;
mod form;
mod get;
mod history;
mod image;
mod jsonpath;
mod kind;
mod label;
mod lines;
mod logs;
mod manifest;
mod next;
mod objects;
mod output;
mod patch;
mod patience;
mod run;
#[cfg(test)]
mod samples;
mod scale;
mod screen;
mod session;
mod simulate;
mod sources;
mod status;
mod suspend;
mod table;
mod version;
mod wait;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::{Failure, reason};
use crate::session::Global;

const EXAMPLES: &str = "\
Examples:
  wick run hello.wasm
  wick apply -f job.yaml
  wick get jobs -w
  wick wait --for=condition=complete job/hello
  wick logs job/hello
  wick describe job hello

Exit code: 0 done; 1 the request, or the Job waited for, failed; 2 it could
not be asked.";

/// Kubernetes Jobs and CronJobs on a device without a cluster
#[derive(Parser, Debug)]
#[command(name = "wick", version, after_help = EXAMPLES, max_term_width = 100)]
struct Command {
    #[command(flatten)]
    global: Global,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Run),
    Apply(apply::Apply),
    Create(create::Create),
    Get(get::Get),
    Describe(describe::Describe),
    Logs(logs::Logs),
    Wait(wait::Wait),
    Scale(scale::Scale),
    Suspend(suspend::Suspend),
    Resume(suspend::Resume),
    Patch(patch::Patch),
    Label(label::Label),
    Annotate(label::Annotate),
    Delete(delete::Delete),
    History(history::History),
    Image(image::ImageCommand),
    Next(next::Next),
    Simulate(simulate::Simulate),
    Version(version::Version),
    Completion(completion::Completion),
    Man(completion::ManPages),
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let done = match args.next() {
        Some(first) if first == run::BECOME_AGENT => Err(run::become_agent(args)),
        _ => run(Command::parse()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    // These ask nobody.
    let verb = match command.verb {
        Verb::Completion(verb) => return verb.run(),
        Verb::Man(verb) => return verb.run(),
        verb => verb,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::not_asked(format!("cannot start: {}", reason(&error))))?;
    let global = command.global;
    runtime.block_on(async move {
        match verb {
            Verb::Run(verb) => verb.run(&global).await,
            Verb::Apply(verb) => verb.run(&global).await,
            Verb::Create(verb) => verb.run(&global).await,
            Verb::Get(verb) => verb.run(&global).await,
            Verb::Describe(verb) => verb.run(&global).await,
            Verb::Logs(verb) => verb.run(&global).await,
            Verb::Wait(verb) => verb.run(&global).await,
            Verb::Scale(verb) => verb.run(&global).await,
            Verb::Suspend(verb) => verb.run(&global).await,
            Verb::Resume(verb) => verb.run(&global).await,
            Verb::Patch(verb) => verb.run(&global).await,
            Verb::Label(verb) => verb.run(&global).await,
            Verb::Annotate(verb) => verb.run(&global).await,
            Verb::Delete(verb) => verb.run(&global).await,
            Verb::History(verb) => verb.run(&global).await,
            Verb::Image(verb) => verb.run(&global).await,
            Verb::Next(verb) => verb.run(&global).await,
            Verb::Simulate(verb) => verb.run(&global).await,
            Verb::Version(verb) => verb.run(&global).await,
            Verb::Completion(_) | Verb::Man(_) => Ok(()), // Done above.
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_of_flags_holds_together() {
        Command::command().debug_assert();
    }

    #[test]
    fn kubectls_ways_of_asking_are_understood() {
        for line in [
            "get jobs",
            "get job,pods -A -o wide",
            "get po -n other -l a=b --field-selector status.phase=Running -w",
            "get events --no-headers",
            "-n other get job/hello -o yaml",
            "describe pod hello-x7k2p",
            "logs -f job/hello --tail 10 --timestamps",
            "logs hello-x7k2p main -p",
            "logs hello-x7k2p --tail=-1 --all-containers --prefix",
            "wait --for=condition=complete job/hello --timeout 30s",
            "wait --for condition=Complete=true jobs --all --timeout=-1s",
            "delete job a b --wait=false --cascade=foreground",
            "delete job --wait a",
            "delete jobs --field-selector status.successful=1 --cascade=orphan",
            "delete pod a --grace-period=0 --force",
            "delete pods -l a=b --now --timeout 3s",
            "wait --for=delete pods --field-selector status.phase=Running",
            "delete -f a.yaml -f - --ignore-not-found",
            "apply -f . -R --dry-run=server",
            "image push a.wasm hello:1",
            "scale job hello --replicas=3 --current-replicas 2 --resource-version 7",
            "scale --replicas=0 job/hello job/other",
            "suspend job hello",
            "resume jobs --all",
            "create -f a.yaml --dry-run=client -o yaml",
            "create job try --from=cronjob/nightly --env A=b --arg=-v --fuel 5M",
            "create job hello --image=hello:1 -o name -- date -u",
            "create cj nightly --image hello:1 --schedule @daily --tz UTC --restart=Never",
            "get cj -A -o wide",
            "history",
            "history cronjob nightly --since 24h --missed",
            "-n other history job/hello -o wide --limit 5",
            "describe cronjob/nightly",
            "logs -f cronjob/nightly",
            "suspend cronjob nightly job/hello",
            "patch cronjob nightly -p {}",
            "delete cronjobs --all --cascade=foreground",
            "wait --for=jsonpath={.status.lastScheduleTime} cronjob/nightly --timeout=-1s",
            "patch job hello -p {} --type=merge --dry-run=server -o yaml",
            "patch job/hello --patch-file - --type json",
            "label jobs -l a=b tier=edge old- --overwrite",
            "annotate job hello note-",
            "run hello.wasm --env A=b --completions 3 -- -v --name x",
            "run job.yaml --private -q",
            "completion bash",
            "man --dir out",
            "version --client",
            "next @daily --tz Asia/Seoul --from 2026-03-07T00:00:00Z -n 3 --dst RunOnce -o json",
            "next cronjob/nightly",
            "next -f cronjob.yaml",
            "simulate scenario.yaml -o json --from current",
            "get jobs -o jsonpath={.items[*].metadata.name} --sort-by=.metadata.name",
            "get jobs -o=custom-columns=NAME:.metadata.name -L app,tier --show-labels",
        ] {
            let words = ["wick"].into_iter().chain(line.split(' '));
            if let Err(error) = Command::try_parse_from(words) {
                panic!("{line}: {error}");
            }
        }
    }
}
