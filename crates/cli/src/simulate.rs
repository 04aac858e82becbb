//! `wick simulate`: plays a scenario, and shows what would happen.
//!
//! The agent plays it ([`api::pb::wick::v1::simulation_service_client`]), a private one if none runs; here it is only shown:
//! as JSON, a line for each thing that happens, or as a timeline for people.

mod lines;
mod timeline;

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use api::pb::wick::v1::SimulationServiceSimulateRequest;
use api::pb::wick::v1::simulation_entry::What;
use clap::{Args, ValueEnum};
use tonic::{Code, Status};

use self::lines::Lines;
use self::timeline::Timeline;
use crate::client::Agent;
use crate::failure::Failure;
use crate::run::{PrivateAgent, Signals};
use crate::screen::Screen;
use crate::session::Global;
use crate::sources::sources;

const EXAMPLES: &str = "\
Examples:
  wick simulate scenario.yaml
  wick simulate scenario.yaml -o json | jq 'select(.type == \"EXIT\")'
  wick simulate scenario.yaml --from current
  echo 'until: 30d' | wick simulate - --from current

Without --socket, --server or their variables, and where no agent answers at
the usual place, a private agent is started, and goes with the simulation.

Exit code: 0 it was played to its end; 1 the scenario is refused; 2 it could
not be played.";

/// Plays a scenario on a clock of its own, and shows what would happen
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Simulate {
    /// The scenario, - for stdin
    #[arg(value_name = "SCENARIO.yaml")]
    scenario: PathBuf,

    /// json: everything, a line for each thing that happens [default: a timeline]
    #[arg(short, long, value_name = "FORM")]
    output: Option<Output>,

    /// current: begin with the running agent's CronJobs and unfinished Jobs instead of the scenario's objects
    #[arg(long, value_name = "WHOSE")]
    from: Option<From>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum From {
    Current,
}

/// How it is shown.
enum Show {
    Lines(Lines),
    Timeline(Timeline),
}

impl Simulate {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut signals = Signals::listen()?;
        let mut found = sources(std::slice::from_ref(&self.scenario), false)?;
        let (Some(source), true) = (found.pop(), found.is_empty()) else {
            return Err(Failure::not_asked(format!(
                "{} is a directory; a scenario is one file",
                self.scenario.display()
            )));
        };
        let request = SimulationServiceSimulateRequest {
            scenario: source.text,
            namespace: global.namespace().to_owned(),
            from_current: self.from.is_some(),
            brief: self.output.is_none(),
        };
        let (agent, private) = tokio::select! {
            code = signals.next() => return Err(Failure::Stopped(code)),
            found = self.agent(global) => found?,
        };
        let played = tokio::select! {
            biased;
            code = signals.next() => Err(Failure::Stopped(code)),
            played = self.play(&agent, request) => played.map_err(|failure| failure.within(&source.name)),
        };
        drop(agent);
        let stopped = match private {
            Some(private) => {
                private
                    .stop(async {
                        let _ = signals.next().await;
                    })
                    .await
            }
            None => Ok(()),
        };
        played.and(stopped)
    }

    /// The running agent; a private one where there is none, unless the running one's objects are asked for.
    async fn agent(&self, global: &Global) -> Result<(Agent, Option<PrivateAgent>), Failure> {
        if global.names_an_agent() || self.from.is_some() {
            return Ok((global.connect().await?.agent, None));
        }
        if let Ok(session) = global.connect().await {
            return Ok((session.agent, None));
        }
        let (private, agent) = PrivateAgent::start().await?;
        Ok((agent, Some(private)))
    }

    async fn play(&self, agent: &Agent, request: SimulationServiceSimulateRequest) -> Result<(), Failure> {
        let mut show = match self.output {
            Some(Output::Json) => Show::Lines(Lines::default()),
            None => Show::Timeline(Timeline::new(Screen::stdout().colour)),
        };
        let mut out = BufWriter::with_capacity(64 << 10, io::stdout());
        let mut stream = agent.simulations().simulate(request).await.map_err(refused)?.into_inner();
        let mut ended = false;
        let outcome = loop {
            let response = match stream.message().await {
                Ok(Some(response)) => response,
                Ok(None) if ended => break Ok(()),
                Ok(None) => break Err(Failure::not_asked("the agent ended the simulation before its end")),
                Err(status) => break Err(refused(status)),
            };
            for entry in response.entries {
                ended |= matches!(entry.what, Some(What::Final(_)));
                match &mut show {
                    Show::Lines(lines) => lines.write(entry, &mut out)?,
                    Show::Timeline(timeline) => timeline.write(entry, &mut out)?,
                }
            }
        };
        out.flush()?;
        outcome
    }
}

/// A scenario that is wrong was refused; anything else means that it could not be played.
fn refused(status: Status) -> Failure {
    match status.code() {
        Code::InvalidArgument => status.into(),
        _ => match Failure::from(status) {
            Failure::Refused(words) => Failure::NotAsked(words),
            failure => failure,
        },
    }
}
