//! `wick history`: what became of slots and Jobs, also of those that are gone.

mod shown;

use std::collections::VecDeque;

use api::json;
use api::pb::wick::v1::{HistoryServiceListRequest, LedgerEntry};
use clap::Args;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::clock::{Clock, wire};
use crate::failure::{Failure, tell};
use crate::form::{Form, FormParser};
use crate::kind::{Kind, targets};
use crate::logs::duration;
use crate::output::{print, written};
use crate::screen::Screen;
use crate::session::Global;
use crate::table::{Table, Widths};

const EXAMPLES: &str = "\
Examples:
  wick history                         What became of slots and Jobs, oldest first
  wick history cronjob nightly --since 7d
  wick history cronjob/nightly --missed
  wick history job hello               With each run of its containers
  wick history -A --limit 20 -o wide
  wick history job hello -o jsonpath='{.entries[*].attempts[*].cpuUs}'

The history outlives the objects: it is kept by age and by size, as the
agent's settings ledger_days and ledger_bytes say.";

/// Tells what became of slots and jobs, also of those that are gone
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES)]
pub(crate) struct History {
    /// cronjob NAME or job NAME; everything of the namespace if nothing is named
    #[arg(value_name = "KIND NAME", num_args = 0..=2)]
    what: Vec<String>,

    /// Only what was recorded in the last 90m, 24h, 7d, …, or since 2026-11-20, or since 2026-11-20T15:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = Since::parse)]
    since: Option<Since>,

    /// Only slots that were missed
    #[arg(long)]
    missed: bool,

    /// Only the newest so many entries
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// How to print it: wide, yaml, json, jsonpath=TEMPLATE or custom-columns=HEADER:PATH,…
    #[arg(short, long, value_parser = FormParser, value_name = "FORM", hide_possible_values = true)]
    output: Option<Form>,

    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,

    /// Leave the header out
    #[arg(long)]
    no_headers: bool,
}

/// Since when.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Since {
    Ago(SignedDuration),
    At(Timestamp),
    /// Since it began, where the reader is.
    Day(Date),
}

impl Since {
    fn parse(text: &str) -> Result<Since, String> {
        let days = text.strip_suffix('d').and_then(|days| days.parse::<i32>().ok());
        if let Some(days) = days {
            return Ok(Since::Ago(SignedDuration::from_hours(24 * i64::from(days))));
        }
        let ago = duration(text).map(Since::Ago);
        let at = || text.parse().map(Since::At);
        let day = || text.parse().map(Since::Day);
        ago.or_else(|_| at()).or_else(|_| day()).map_err(|_| {
            format!(
                "`{text}` is neither a duration such as 24h or 7d, nor a time such as 2026-11-20T15:00:00Z"
            )
        })
    }

    /// `None` if it is before all times.
    fn time(self, clock: &Clock) -> Option<Timestamp> {
        match self {
            Since::Ago(ago) => clock.now.checked_sub(ago).ok(),
            Since::At(time) => Some(time),
            Since::Day(day) => Some(day.to_zoned(clock.zone.clone()).ok()?.timestamp()),
        }
    }
}

/// What the history is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct About {
    cron_job: String,
    job: String,
}

impl History {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let about = about(&self.what)?;
        if self.output == Some(Form::Name) {
            return Err(Failure::not_asked("what happened has no name")
                .hint("-o wide, yaml, json, jsonpath=… or custom-columns=…"));
        }
        if self.missed && !about.job.is_empty() {
            return Err(Failure::not_asked("slots are missed by CronJobs, not by Jobs")
                .hint("wick history cronjob NAME --missed"));
        }
        let session = global.connect().await?;
        let clock = Clock::read();
        let tables = matches!(self.output, None | Some(Form::Wide));
        let whole = !about.job.is_empty() || !tables;
        let mut request = HistoryServiceListRequest {
            namespace: if self.all_namespaces { String::new() } else { session.namespace.clone() },
            cron_job: about.cron_job.clone(),
            job: about.job.clone(),
            since: self.since.and_then(|since| since.time(&clock)).map(wire),
            missed_only: self.missed,
            ..HistoryServiceListRequest::default()
        };
        let limit = self.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let mut history = session.agent.history();
        let mut found = VecDeque::new();
        loop {
            let answer = history.list(request.clone()).await?.into_inner();
            for entry in answer.entries {
                // In a table the runs of a Job that goes on would only be in the way of what has become of others.
                if whole || entry.r#type != shown::RAN {
                    found.push_back(entry);
                }
                if found.len() > limit {
                    found.pop_front();
                }
            }
            request.continue_token = answer.continue_token;
            if request.continue_token.is_empty() {
                break;
            }
        }
        let found = Vec::from(found);
        match &self.output {
            Some(form @ (Form::Json | Form::Yaml | Form::Template(_))) => {
                print(&written(&json!({"entries": values(&found)}), form).unwrap_or_default())
            }
            _ if found.is_empty() => {
                let place = if self.all_namespaces {
                    String::new()
                } else {
                    format!(" in {} namespace", session.namespace)
                };
                tell(&format!("No history found{place}."));
                Ok(())
            }
            Some(Form::Columns(columns)) => print(&self.text(&columns.table(&values(&found)))),
            Some(Form::Name | Form::Wide) | None => self.show(&about, &found, &clock),
        }
    }

    fn show(&self, about: &About, found: &[LedgerEntry], clock: &Clock) -> Result<(), Failure> {
        let wide = self.output == Some(Form::Wide);
        let mut tables = Vec::new();
        let told = shown::entries(found, wide, self.all_namespaces, clock);
        if !told.rows.is_empty() {
            tables.push(self.text(&told));
        }
        if !about.job.is_empty() {
            let runs = shown::runs(found, clock);
            if !runs.rows.is_empty() {
                tables.push(self.text(&runs));
            }
        }
        print(&tables.join("\n"))?;
        let more: u64 = found.iter().map(|entry| entry.more_attempts).sum();
        if !about.job.is_empty() && more > 0 {
            tell(&format!("There were {more} more runs before these."));
        }
        Ok(())
    }

    fn text(&self, table: &Table) -> String {
        table.text(!self.no_headers, &mut Widths::default(), Screen::stdout())
    }
}

fn about(words: &[String]) -> Result<About, Failure> {
    if words.is_empty() {
        return Ok(About::default());
    }
    let hint = "wick history cronjob NAME, or wick history job NAME";
    let targets = targets(words)?;
    let [target] = targets.as_slice() else {
        return Err(Failure::not_asked("the history of one thing is told at a time").hint(hint));
    };
    let [name] = target.names.as_slice() else {
        return Err(Failure::not_asked(format!("which {}?", target.kind.singular())).hint(hint));
    };
    match target.kind {
        Kind::CronJob => Ok(About { cron_job: name.clone(), ..About::default() }),
        Kind::Job => Ok(About { job: name.clone(), ..About::default() }),
        Kind::Pod | Kind::Event | Kind::Image | Kind::Node => Err(Failure::not_asked(format!(
            "the history is of cronjobs and jobs, not of {}",
            target.kind.plural()
        ))
        .hint(hint)),
    }
}

fn values(entries: &[LedgerEntry]) -> Vec<Value> {
    entries.iter().map(json::to_json).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::noon;
    use expect_test::{Expect, expect};

    #[test]
    fn since_is_a_length_of_time_or_a_time() {
        let clock = noon();
        let said = |text: &str| match Since::parse(text) {
            Ok(since) => since.time(&clock).map_or("ever".to_owned(), |time| time.to_string()),
            Err(error) => error,
        };
        let times = ["24h", "90m", "7d", "0", "2026-11-20", "2026-11-20T03:00:00+01:00", "2000000d"];
        expect![[r#"
            2026-11-19T15:00:00Z
            2026-11-20T13:30:00Z
            2026-11-13T15:00:00Z
            2026-11-20T15:00:00Z
            2026-11-20T00:00:00Z
            2026-11-20T02:00:00Z
            -003449-01-27T15:00:00Z"#]]
        .assert_eq(&times.map(said).join("\n"));
        expect![
            "`yesterday` is neither a duration such as 24h or 7d, nor a time such as 2026-11-20T15:00:00Z"
        ]
        .assert_eq(&said("yesterday"));
    }

    #[test]
    fn one_thing_may_be_named() {
        check("", expect![[r#"About { cron_job: "", job: "" }"#]]);
        check("cj nightly", expect![[r#"About { cron_job: "nightly", job: "" }"#]]);
        check("job/hello", expect![[r#"About { cron_job: "", job: "hello" }"#]]);
        check(
            "job",
            expect![[r#"
            error: which job?
            hint: wick history cronjob NAME, or wick history job NAME"#]],
        );
        check(
            "pod hello",
            expect![[r#"
            error: the history is of cronjobs and jobs, not of pods
            hint: wick history cronjob NAME, or wick history job NAME"#]],
        );
        check(
            "job/a cj/b",
            expect![[r#"
            error: the history of one thing is told at a time
            hint: wick history cronjob NAME, or wick history job NAME"#]],
        );
    }

    fn check(words: &str, wanted: Expect) {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        wanted.assert_eq(&match about(&words) {
            Ok(about) => format!("{about:?}"),
            Err(Failure::NotAsked(words)) => words.to_string(),
            Err(failure) => format!("{failure:?}"),
        });
    }
}
