//! What happens in a simulation, for people: a line for each thing that matters, and the sums.
//!
//! What happens to many at the same moment is one line.

use std::collections::BTreeMap;
use std::io::{self, Write};

use api::pb::wick::v1::simulation_entry::What;
use api::pb::wick::v1::{SimulationEntry, SimulationFinal, SimulationGuest};
use jiff::Timestamp;

use crate::screen;
use crate::table::tame;

/// So many alike are told one by one; more are counted.
const ONE_BY_ONE: usize = 3;

/// Writes entries as a timeline.
pub(super) struct Timeline {
    colour: bool,
    /// The moment that is being told, in milliseconds.
    t_ms: i64,
    now: Option<Timestamp>,
    began: Option<Timestamp>,
    /// What happened in it, in order.
    moment: Vec<Happened>,
    /// Where in `moment` something alike is.
    alike: BTreeMap<String, usize>,
    /// The day that was told last.
    day: String,
}

/// Something that happened, perhaps to many.
struct Happened {
    each: Vec<(String, String)>,
    count: usize,
    /// What it is of many.
    all: (String, String),
    tone: Tone,
}

#[derive(Clone, Copy)]
enum Tone {
    Plain,
    Good,
    Bad,
}

impl Timeline {
    pub(super) fn new(colour: bool) -> Timeline {
        Timeline {
            colour,
            t_ms: 0,
            now: None,
            began: None,
            moment: Vec::new(),
            alike: BTreeMap::new(),
            day: String::new(),
        }
    }

    pub(super) fn write(&mut self, entry: SimulationEntry, out: &mut impl Write) -> io::Result<()> {
        let time = entry.time.and_then(|time| Timestamp::from_second(time.seconds).ok());
        if entry.t_ms != self.t_ms || time != self.now {
            self.tell(out)?;
            (self.t_ms, self.now) = (entry.t_ms, time);
        }
        self.began = self.began.or(time);
        match entry.what {
            Some(What::Started(start)) => {
                let guest = start.guest.unwrap_or_default();
                let word = if guest.start > 1 { "started again" } else { "started" };
                self.guest(&guest, word, Tone::Plain);
            }
            Some(What::Ended(exit)) => {
                let guest = exit.guest.unwrap_or_default();
                let tone = if exit.exit == 0 { Tone::Good } else { Tone::Bad };
                self.guest(&guest, &format!("exited {} ({})", exit.exit, exit.reason), tone);
            }
            Some(What::Refused(refused)) => {
                let message = refused.error.unwrap_or_default().message;
                self.happened(
                    "refused",
                    (format!("action {}", refused.action), format!("refused: {message}")),
                    ("actions".into(), "refused".into()),
                    Tone::Bad,
                );
            }
            Some(What::Note(note)) => {
                // Of a Pod's Event, many are told by their reason alone.
                let reason = note.text.split(':').next().unwrap_or_default().to_owned();
                let kind = note.about.split('/').next().unwrap_or_default().to_owned();
                let tone = match note.text.as_str() {
                    "completed" => Tone::Good,
                    _ if note.warning => Tone::Bad,
                    _ => Tone::Plain,
                };
                let about = if note.about.is_empty() { "device".to_owned() } else { note.about };
                let all =
                    (if kind.is_empty() { "device".to_owned() } else { format!("{kind}s") }, reason.clone());
                self.happened(&format!("{kind} {reason}"), (about, note.text), all, tone);
            }
            Some(What::Final(end)) => {
                self.tell(out)?;
                self.sums(&end, out)?;
            }
            Some(What::Change(_) | What::Remains(_) | What::Ledger(_)) | None => {}
        }
        Ok(())
    }

    fn guest(&mut self, guest: &SimulationGuest, what: &str, tone: Tone) {
        let SimulationGuest { job, pod, container, .. } = guest;
        let owner = if job.is_empty() { format!("pod/{pod}") } else { format!("job/{job}") };
        let one = (format!("pod/{pod}"), format!("{container} {what}"));
        self.happened(
            &format!("{owner} {container} {what}"),
            one,
            (owner, format!("{container} {what}")),
            tone,
        );
    }

    fn happened(&mut self, alike: &str, one: (String, String), all: (String, String), tone: Tone) {
        let at = match self.alike.get(alike) {
            Some(at) => *at,
            None => {
                self.alike.insert(alike.to_owned(), self.moment.len());
                self.moment.push(Happened { each: Vec::new(), count: 0, all, tone });
                self.moment.len() - 1
            }
        };
        if let Some(happened) = self.moment.get_mut(at) {
            happened.count += 1;
            if happened.count <= ONE_BY_ONE {
                happened.each.push(one);
            }
        }
    }

    /// Writes the moment that is over.
    fn tell(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.alike.clear();
        let moment = std::mem::take(&mut self.moment);
        if moment.is_empty() {
            return Ok(());
        }
        let now = self.now.unwrap_or_default();
        let day = now.strftime("%a %Y-%m-%d").to_string();
        if day != self.day {
            writeln!(out, "{day} (UTC)")?;
            self.day = day;
        }
        for Happened { each, count, all: (about, what), tone } in moment {
            let lines =
                if count <= ONE_BY_ONE { each } else { vec![(about, format!("{what}, {count} times"))] };
            for (about, what) in lines {
                let what = self.coloured(&tame(&what), tone);
                let clock = now.strftime("%H:%M:%S");
                writeln!(out, "{clock} {:>9}  {:<24} {what}", length(self.t_ms), tame(&about))?;
            }
        }
        Ok(())
    }

    fn coloured(&self, text: &str, tone: Tone) -> String {
        // The words that have these colours everywhere.
        let like = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => "Completed",
            Tone::Bad => "Failed",
        };
        screen::status_word(like, self.colour).replace(like, text)
    }

    fn sums(&self, end: &SimulationFinal, out: &mut impl Write) -> io::Result<()> {
        let failed: u64 = end.jobs_failed.values().sum();
        if !self.day.is_empty() {
            writeln!(out)?;
        }
        let began = self.began.unwrap_or_default().strftime("%Y-%m-%d %H:%M:%S");
        writeln!(out, "Simulated   {} from {began} UTC, {} commits", length(self.t_ms), end.commits)?;
        if end.slots > 0 || end.triggered > 0 {
            let missed: u64 = end.slots_missed.values().sum();
            writeln!(
                out,
                "Slots       {} due, {} started, {missed} missed{}; {} overlapped; {} Jobs started by hand",
                end.slots,
                end.slots_started,
                reasons(&end.slots_missed),
                end.overlaps,
                end.triggered
            )?;
        }
        writeln!(
            out,
            "Jobs        {} created, {} completed, {failed} failed{}",
            end.jobs_created,
            end.jobs_completed,
            reasons(&end.jobs_failed)
        )?;
        writeln!(out, "Pods        {} created", end.pods_created)?;
        let failures: u64 = end.failures.values().sum();
        writeln!(
            out,
            "Containers  {} started, {} of them again; {failures} failed{}; at most {} at once",
            end.starts,
            end.restarts,
            reasons(&end.failures),
            end.most_at_once
        )?;
        if let Some(minute) = end.busiest_minute.and_then(|time| Timestamp::from_second(time.seconds).ok()) {
            let minute = minute.strftime("%Y-%m-%d %H:%M");
            writeln!(out, "Busiest     {minute}, {} starts in that minute", end.busiest_starts)?;
        }
        if end.crashes > 0 {
            writeln!(out, "Power cuts  {}; {} containers were running", end.crashes, end.interrupted)?;
        }
        if end.refused > 0 {
            writeln!(out, "Refused     {} actions", end.refused)?;
        }
        Ok(())
    }
}

/// ` (Error 2, OOMKilled 1)`.
fn reasons(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return String::new();
    }
    let each: Vec<String> = counts.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    format!(" ({})", each.join(", "))
}

/// `1h30m`; milliseconds only where there are some.
fn length(ms: i64) -> String {
    let mut left = ms.max(0);
    let mut text = String::new();
    for (unit, of) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if left >= of {
            text += &format!("{}{unit}", left / of);
            left %= of;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}
