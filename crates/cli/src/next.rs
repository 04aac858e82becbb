//! `wick next`: when a schedule or a CronJob is due, and what clock changes do to it.
//!
//! A schedule by itself, or a CronJob in a file, needs no agent: [`preview`] is what the agent would say. The zones are then
//! this device's.

use std::path::PathBuf;

use api::FieldErrors;
use api::cron_job::{PREVIEW_DEFAULT, PREVIEW_MAX, Previewing, preview};
use api::manifest::{self, Object};
use api::pb::wick::v1::schedule_service_next_request::Of;
use api::pb::wick::v1::{
    ClockChange, CronJobName, PreviewedSlot, ScheduleServiceNextRequest, ScheduleServiceNextResponse,
    ScheduleText,
};
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::json;
use tonic::Code;

use crate::clock::{self, Clock};
use crate::columns::NONE;
use crate::failure::{Failure, Field, tell};
use crate::kind::{Kind, targets};
use crate::objects::missing;
use crate::output::print;
use crate::screen::Screen;
use crate::session::{Global, Session};
use crate::sources::{Source, sources};
use crate::table::{Table, Widths};

const EXAMPLES: &str = "\
Examples:
  wick next '30 2 * * *' --tz Europe/Berlin
  wick next @hourly --from 2026-03-08T00:00:00Z -n 3 -o json
  wick next '0 2 * * *' --tz America/New_York --from 2026-03-07T00:00:00Z --dst RunOnce
  wick next cronjob/nightly
  wick next -f cronjob.yaml

Five fields, minute hour day month weekday, or @yearly, @monthly, @weekly,
@daily, @hourly or '@every 1h30m', as in a CronJob's spec.schedule. A note says
where a clock change drops, moves or doubles a slot. A schedule and a file need
no agent.

Exit code: 0 done; 1 the schedule, the zone or the CronJob is refused; 2 it
could not be asked.";

/// Tells when a schedule or a cronjob is due next
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Next {
    /// A schedule in quotes, or cronjob/NAME
    #[arg(value_name = "SCHEDULE | cronjob/NAME", allow_hyphen_values = true)]
    what: Option<String>,

    /// The rest of a schedule without quotes, or of `cronjob NAME`.
    #[arg(hide = true, requires = "what")]
    rest: Vec<String>,

    /// A file with a CronJob that is not stored, - for stdin
    #[arg(short = 'f', long = "filename", value_name = "FILE", conflicts_with = "what")]
    file: Option<PathBuf>,

    /// The zone the schedule is meant in, such as Europe/Berlin [default: UTC]
    #[arg(long, visible_alias = "time-zone", value_name = "ZONE")]
    tz: Option<String>,

    /// Slots after this instant, such as 2026-03-07T00:00:00Z [default: now]
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    from: Option<Timestamp>,

    /// How many, 1 to 1000
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = PREVIEW_DEFAULT, value_parser = count)]
    count: u32,

    /// What happens to slots when clocks change: Kubernetes (the default) or RunOnce
    #[arg(long, value_name = "HOW", value_parser = PossibleValuesParser::new(["Kubernetes", "RunOnce"]), hide_possible_values = true)]
    dst: Option<String>,

    /// json: the instants alone, {"next":["2026-03-07T07:30:00Z", …]} [default: a table]
    #[arg(short, long, value_name = "FORM", hide_possible_values = true)]
    output: Option<Output>,

    /// The namespace of the CronJob; -n is the count here [default: default]
    // It has the global flag's name, and so takes its place.
    #[arg(long, id = "namespace", value_name = "NAME", help_heading = "Global options")]
    _namespace: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Json,
}

fn instant(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "it is not an instant such as 2026-03-07T00:00:00Z".to_owned())
}

fn count(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| (1..=PREVIEW_MAX).contains(count));
    count.ok_or_else(|| format!("it is not a number from 1 to {PREVIEW_MAX}; a namespace is --namespace"))
}

/// Whose slots are asked for.
#[derive(Debug, PartialEq)]
enum Asked {
    Schedule(String),
    Stored(String),
    File(PathBuf),
}

impl Next {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let clock = Clock::read();
        let from = self.from.unwrap_or(clock.now);
        let next = match self.asked()? {
            Asked::Schedule(schedule) => {
                let text = ScheduleText {
                    schedule,
                    time_zone: self.tz.clone().unwrap_or_else(|| "UTC".to_owned()),
                    dst: self.dst.clone().unwrap_or_default(),
                };
                preview(Previewing::Text(&text), from, self.count, &clock::zones(), "")
                    .map_err(|errors| refused(errors, "the schedule"))?
            }
            Asked::File(path) => {
                let mut found = sources(std::slice::from_ref(&path), false)?;
                match (found.pop(), found.is_empty()) {
                    (Some(source), true) => self.in_file(&source, from)?,
                    _ => {
                        return Err(Failure::not_asked(format!("{} is a directory", path.display()))
                            .hint("give the one file whose CronJob is meant"));
                    }
                }
            }
            Asked::Stored(name) => {
                let Session { agent, namespace } = global.connect().await?;
                let stored = CronJobName { namespace: namespace.clone(), name: name.clone() };
                let request = ScheduleServiceNextRequest {
                    of: Some(Of::Stored(stored)),
                    from: self.from.map(clock::wire),
                    count: self.count,
                };
                match agent.schedules().next(request).await {
                    Ok(next) => next.into_inner(),
                    Err(status) if status.code() == Code::NotFound => {
                        return Err(missing(&agent, Kind::CronJob, &namespace, &name).await);
                    }
                    Err(status) => return Err(status.into()),
                }
            }
        };
        match self.output {
            Some(Output::Json) => print(&instants(&next)),
            None => {
                print(&table(&next).text(true, &mut Widths::default(), Screen::stdout()))?;
                if let Some(words) = remark(&next, self.count) {
                    tell(&format!("note: {words}"));
                }
                Ok(())
            }
        }
    }

    fn asked(&self) -> Result<Asked, Failure> {
        let words: Vec<String> = self.what.iter().chain(&self.rest).cloned().collect();
        let asked = match (&words[..], &self.file) {
            (_, Some(path)) => Asked::File(path.clone()),
            ([], None) => {
                return Err(Failure::not_asked("nothing is given that could be due").hint(
                    "for instance: wick next '30 2 * * *' --tz Europe/Berlin, or wick next cronjob/NAME",
                ));
            }
            ([first, ..], None) if names_a_kind(first) => Asked::Stored(stored(&words)?),
            (words, None) => Asked::Schedule(words.join(" ")),
        };
        if self.tz.as_ref().is_some_and(String::is_empty) {
            return Err(Failure::refused("timeZone: is empty; name a zone such as `Europe/Berlin`"));
        }
        if !matches!(asked, Asked::Schedule(_)) && (self.tz.is_some() || self.dst.is_some()) {
            return Err(Failure::not_asked("a CronJob has its own zone and clock changes")
                .hint("--tz and --dst go with a schedule"));
        }
        Ok(asked)
    }

    /// The slots of the one CronJob of a manifest.
    fn in_file(&self, source: &Source, from: Timestamp) -> Result<ScheduleServiceNextResponse, Failure> {
        let documents = manifest::parse(&source.text)
            .map_err(|error| Failure::refused(format!("{}: {error}", source.name)))?;
        let mut cron_jobs = documents.into_iter().filter(|document| document.kind == "CronJob");
        let (Some(document), None) = (cron_jobs.next(), cron_jobs.next()) else {
            return Err(Failure::refused(format!("{}: it has not exactly one CronJob", source.name)));
        };
        let what = format!("{}: CronJob `{}`", source.name, document.name);
        let cron_job = match document.object {
            Ok(Object::CronJob(cron_job)) => cron_job,
            Ok(Object::Job(_)) => return Err(Failure::refused(format!("{what} is a Job"))),
            Err(errors) => return Err(refused(errors, &what)),
        };
        preview(Previewing::New(&cron_job), from, self.count, &clock::zones(), "")
            .map_err(|errors| refused(errors, &what))
    }
}

/// Whether a word is a kind, or KIND/NAME: no schedule begins so.
fn names_a_kind(word: &str) -> bool {
    let kind = word.split('/').next().unwrap_or_default();
    Kind::parse(kind).is_ok()
}

fn stored(words: &[String]) -> Result<String, Failure> {
    let one = || Failure::not_asked("one CronJob is asked for at a time").hint("wick next cronjob/NAME");
    match &targets(words)?[..] {
        [target] if target.kind != Kind::CronJob => {
            Err(Failure::not_asked(format!("{} have no schedule", target.kind.plural()))
                .hint("wick next cronjob/NAME"))
        }
        [target] => match &target.names[..] {
            [name] => Ok(name.clone()),
            _ => Err(one()),
        },
        _ => Err(one()),
    }
}

/// One mistake is the whole line; several have a line each.
fn refused(errors: FieldErrors, what: &str) -> Failure {
    let mut errors: Vec<_> = errors.into_iter().collect();
    match errors.pop() {
        Some(error) if errors.is_empty() => Failure::refused(error.to_string()),
        last => {
            let fields = errors.into_iter().chain(last);
            Failure::refused(format!("{what} is refused")).fields(
                fields.map(|error| Field { path: error.path.as_str().to_owned(), why: error.detail.clone() }),
            )
        }
    }
}

/// `{"next":["2026-03-07T07:30:00Z"]}`: slots only, none that are dropped.
fn instants(next: &ScheduleServiceNextResponse) -> String {
    let slots = next.slots.iter().filter_map(|slot| clock::time(slot.slot.as_ref()));
    let slots: Vec<String> = slots.map(|slot| slot.to_string()).collect();
    format!("{}\n", json!({"next": slots}))
}

fn table(next: &ScheduleServiceNextResponse) -> Table {
    let mut table = Table::new(&["", "UTC", "NOTE"]);
    table.columns[0] = format!("LOCAL TIME ({})", next.time_zone).into();
    let shown = |at: Option<&prost_types::Timestamp>| {
        clock::time(at).map_or_else(|| NONE.to_owned(), |at| at.to_string())
    };
    for slot in &next.slots {
        table.rows.push(vec![clock::local(&slot.local), shown(slot.slot.as_ref()), note(slot)]);
    }
    if next.slots.iter().any(|slot| slot.start != slot.slot) {
        table.put_at(2, "JOB STARTS", next.slots.iter().map(|slot| shown(slot.start.as_ref())));
    }
    table
}

fn note(slot: &PreviewedSlot) -> String {
    match slot.clock_change() {
        ClockChange::Dropped => format!("dropped: {}", slot.note),
        ClockChange::Moved => format!("moved: {}", slot.note),
        ClockChange::Unspecified
        | ClockChange::FirstOfTwo
        | ClockChange::SecondOfTwo
        | ClockChange::OnceOfTwo => slot.note.clone(),
    }
}

/// What is to be said besides.
fn remark(next: &ScheduleServiceNextResponse, count: u32) -> Option<String> {
    let slots = next.slots.iter().filter(|slot| slot.slot.is_some()).count();
    match next.held_because.as_str() {
        "Suspended" => Some("the CronJob is suspended: no slot starts a Job".to_owned()),
        "" if slots == 0 => Some("the schedule does not match within five years".to_owned()),
        "" if slots < usize::try_from(count).unwrap_or(usize::MAX) => {
            Some("the schedule does not match again within five years".to_owned())
        }
        "" => None,
        other => Some(format!("no slot starts a Job: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use expect_test::{Expect, expect};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        next: Next,
    }

    fn next(words: &[&str]) -> Next {
        Line::try_parse_from(["next"].iter().chain(words)).unwrap_or_else(|error| panic!("{error}")).next
    }

    fn asked(words: &[&str], expected: Expect) {
        expected.assert_eq(&match next(words).asked() {
            Ok(asked) => format!("{asked:?}"),
            Err(Failure::NotAsked(words)) => words.to_string(),
            Err(other) => format!("{other:?}"),
        });
    }

    /// What is printed of a schedule, by the bundled zones.
    fn told(words: &[&str], expected: Expect) {
        let asked = next(words);
        let text = ScheduleText {
            schedule: asked.what.clone().unwrap_or_default(),
            time_zone: asked.tz.clone().unwrap_or_default(),
            dst: asked.dst.clone().unwrap_or_default(),
        };
        let zones = zones::Zones::bundled();
        let next = preview(Previewing::Text(&text), asked.from.unwrap(), asked.count, &zones, "");
        let said = match next.map_err(|errors| refused(errors, "the schedule")) {
            Ok(next) => {
                let screen = Screen { width: None, colour: false };
                let mut text = table(&next).text(true, &mut Widths::default(), screen);
                if let Some(words) = remark(&next, asked.count) {
                    text += &format!("note: {words}\n");
                }
                text + &instants(&next)
            }
            Err(Failure::Refused(words)) => words.to_string(),
            Err(other) => format!("{other:?}"),
        };
        expected.assert_eq(&said);
    }

    #[test]
    fn a_schedule_is_told_from_a_cron_job() {
        asked(&["30 2 * * *"], expect![[r#"Schedule("30 2 * * *")"#]]);
        asked(&["30", "2", "*", "*", "*"], expect![[r#"Schedule("30 2 * * *")"#]]);
        asked(&["-5 * * * *", "--tz", "UTC"], expect![[r#"Schedule("-5 * * * *")"#]]);
        asked(&["@daily"], expect![[r#"Schedule("@daily")"#]]);
        asked(&["*/5 * * * *"], expect![[r#"Schedule("*/5 * * * *")"#]]);
        asked(&["cronjob/nightly"], expect![[r#"Stored("nightly")"#]]);
        asked(&["cj", "nightly"], expect![[r#"Stored("nightly")"#]]);
        asked(&["-f", "a.yaml"], expect![[r#"File("a.yaml")"#]]);
        asked(
            &["job/a"],
            expect![[r#"
            error: jobs have no schedule
            hint: wick next cronjob/NAME"#]],
        );
        asked(
            &["cronjobs"],
            expect![[r#"
            error: one CronJob is asked for at a time
            hint: wick next cronjob/NAME"#]],
        );
        asked(
            &["cj", "a", "b"],
            expect![[r#"
            error: one CronJob is asked for at a time
            hint: wick next cronjob/NAME"#]],
        );
        asked(
            &["cj/a", "--tz", "UTC"],
            expect![[r#"
            error: a CronJob has its own zone and clock changes
            hint: --tz and --dst go with a schedule"#]],
        );
        asked(
            &[],
            expect![[r#"
            error: nothing is given that could be due
            hint: for instance: wick next '30 2 * * *' --tz Europe/Berlin, or wick next cronjob/NAME"#]],
        );
    }

    #[test]
    fn a_table_has_local_time_utc_and_what_clock_changes_do() {
        let from = ["--from", "2026-03-07T00:00:00Z", "-n", "2"];
        told(
            &[&["30 2 * * *", "--tz", "America/New_York"][..], &from].concat(),
            expect![[r#"
            LOCAL TIME (America/New_York)     UTC                    NOTE
            Sat, 07 Mar 2026 02:30:00 -0500   2026-03-07T07:30:00Z
            Sun, 08 Mar 2026 02:30:00         <none>                 dropped: clocks go forward by 1h: 02:30 does not exist on this day
            Mon, 09 Mar 2026 02:30:00 -0400   2026-03-09T06:30:00Z
            {"next":["2026-03-07T07:30:00Z","2026-03-09T06:30:00Z"]}
        "#]],
        );
        let once = ["30 2 * * *", "--tz", "America/New_York", "--dst", "RunOnce"];
        told(
            &[&once[..], &from].concat(),
            expect![[r#"
            LOCAL TIME (America/New_York)     UTC                    NOTE
            Sat, 07 Mar 2026 02:30:00 -0500   2026-03-07T07:30:00Z
            Sun, 08 Mar 2026 03:00:00 -0400   2026-03-08T07:00:00Z   moved: clocks go forward by 1h: 02:30 does not exist on this day; it comes at 03:00
            {"next":["2026-03-07T07:30:00Z","2026-03-08T07:00:00Z"]}
        "#]],
        );
        told(
            &[&["0 0 30 2 *"][..], &from].concat(),
            expect![[r#"
            LOCAL TIME (UTC)   UTC   NOTE
            note: the schedule does not match within five years
            {"next":[]}
        "#]],
        );
        told(
            &["0 0 29 2 *", "--from", "2096-01-01T00:00:00Z", "-n", "2"],
            expect![[r#"
            LOCAL TIME (UTC)                  UTC                    NOTE
            Wed, 29 Feb 2096 00:00:00 +0000   2096-02-29T00:00:00Z
            note: the schedule does not match again within five years
            {"next":["2096-02-29T00:00:00Z"]}
        "#]],
        );
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_what_would_be_right() {
        let from = ["--from", "2026-03-07T00:00:00Z"];
        told(
            &[&["* * * * * *"][..], &from].concat(),
            expect!["error: schedule: 6 fields; Kubernetes cron has 5 (minute hour day month weekday)"],
        );
        told(
            &[&[""][..], &from].concat(),
            expect![
                "error: schedule: is empty; give five fields (minute hour day month weekday), as in `0 3 * * *`"
            ],
        );
        told(
            &[&["@daily", "--tz", "utc"][..], &from].concat(),
            expect!["error: timeZone: `utc` is no time zone this device knows; did you mean `UTC`?"],
        );
        told(
            &[&["TZ=Asia/Seoul 0 3 * * *"][..], &from].concat(),
            expect![
                "error: schedule: `TZ=Asia/Seoul` is not taken within a schedule; give the zone as timeZone"
            ],
        );
        told(
            &[&["60 * * * *", "--tz", "Berlin"][..], &from].concat(),
            expect![[r#"
            error: the schedule is refused
              schedule: minute: `60` is above 59; it must be from 0 to 59
              timeZone: `Berlin` is no time zone this device knows; did you mean `Europe/Berlin`?"#]],
        );
    }

    #[test]
    fn a_jittered_cron_job_tells_when_its_jobs_start() {
        let at = |second: i64| Some(prost_types::Timestamp { seconds: 1_772_866_800 + second, nanos: 0 });
        let local = "2026-03-07T08:00:00+01:00".to_owned();
        let slot = PreviewedSlot { slot: at(0), local, start: at(12), ..PreviewedSlot::default() };
        let next = ScheduleServiceNextResponse {
            slots: vec![slot],
            time_zone: "Europe/Berlin".to_owned(),
            held_because: "Suspended".to_owned(),
        };
        let screen = Screen { width: None, colour: false };
        let text = table(&next).text(true, &mut Widths::default(), screen);
        expect![[r#"
            LOCAL TIME (Europe/Berlin)        UTC                    JOB STARTS             NOTE
            Sat, 07 Mar 2026 08:00:00 +0100   2026-03-07T07:00:00Z   2026-03-07T07:00:12Z
            the CronJob is suspended: no slot starts a Job"#]]
        .assert_eq(&format!("{text}{}", remark(&next, 1).unwrap()));
    }
}
