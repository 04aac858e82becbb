//! How far a run is, on stderr: bars on a terminal, else a line for each change.
//!
//! Bars are drawn at their own pace, whatever happens in between: thousands of Pods a second change only what is drawn
//! next. Everything that is printed meanwhile goes through here, so that it stands above them.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::story::{Active, Story};
use crate::clock::Clock;
use crate::failure::{Failure, tell};
use crate::output::print_bytes;
use crate::screen::{Screen, status_word};
use crate::table::cut;

/// How many Pods have a line of their own.
const POD_LINES: usize = 8;
/// How much of a Job's name stands before its bar.
const NAME_WIDTH: usize = 28;
/// What a line has besides its words.
const MARGIN: usize = 4;

/// Where progress is shown.
pub(super) enum Board {
    /// Nowhere.
    Quiet,
    /// A line for each change.
    Lines,
    /// On a terminal.
    Bars(Box<Bars>),
}

/// What stands at the end of the terminal.
pub(super) struct Bars {
    screen: Screen,
    all: MultiProgress,
    jobs: BTreeMap<String, ProgressBar>,
    pods: BTreeMap<String, ProgressBar>,
    more: Option<ProgressBar>,
}

impl Board {
    /// What stderr is good for.
    pub(super) fn on_stderr(quiet: bool) -> Board {
        match (quiet, io::stderr().is_terminal()) {
            (true, _) => Board::Quiet,
            (false, false) => Board::Lines,
            (false, true) => Board::Bars(Box::new(Bars {
                screen: Screen::stderr(),
                all: MultiProgress::new(),
                jobs: BTreeMap::new(),
                pods: BTreeMap::new(),
                more: None,
            })),
        }
    }

    /// Something changed. On a terminal the bars tell; what went wrong stays to be read.
    pub(super) fn change(&self, line: &str, went_wrong: bool) {
        match self {
            Board::Quiet => {}
            Board::Lines => tell(line),
            Board::Bars(_) if went_wrong => self.say(line),
            Board::Bars(_) => {}
        }
    }

    /// Says something that is no progress.
    pub(super) fn say(&self, words: &str) {
        match self {
            Board::Quiet | Board::Lines => tell(words),
            Board::Bars(bars) => bars.all.suspend(|| tell(words)),
        }
    }

    /// Prints what a guest wrote.
    pub(super) fn output(&self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            _ if bytes.is_empty() => Ok(()),
            Board::Quiet | Board::Lines => print_bytes(bytes),
            Board::Bars(bars) => bars.all.suspend(|| print_bytes(bytes)),
        }
    }

    /// Draws how far it is now.
    pub(super) fn draw(&mut self, story: &Story, clock: &Clock) {
        if let Board::Bars(bars) = self {
            bars.draw(story, clock);
        }
    }

    /// Takes the bars away, and leaves a line for each Job.
    pub(super) fn end(&mut self, story: &Story, clock: &Clock) {
        if let Board::Bars(bars) = self {
            bars.clear();
            for job in story.progress(clock) {
                tell(&format!("job.batch/{}: {}/{} in {}", job.name, job.done, job.of, job.words));
            }
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Bars {
    fn clear(&mut self) {
        // What cannot be cleared cannot be seen either. Hidden, for a bar that goes is drawn once more.
        let _ = self.all.clear();
        self.all.set_draw_target(ProgressDrawTarget::hidden());
    }

    fn draw(&mut self, story: &Story, clock: &Clock) {
        for job in story.progress(clock) {
            let bar = self.jobs.entry(job.name.clone()).or_insert_with(|| {
                let bar = self.all.add(ProgressBar::new(job.of));
                bar.set_style(style("{prefix} [{bar:24}] {pos}/{len} {msg}"));
                bar.set_prefix(cut(&job.name, NAME_WIDTH));
                bar
            });
            bar.set_length(job.of);
            bar.set_position(job.done);
            bar.set_message(job.words);
        }
        let active = story.active(clock);
        let (shown, hidden) = active.split_at(active.len().min(POD_LINES));
        let gone = |name: &String| !shown.iter().any(|pod| pod.name == *name);
        for name in self.pods.keys().filter(|name| gone(name)).cloned().collect::<Vec<_>>() {
            if let Some(bar) = self.pods.remove(&name) {
                bar.finish_and_clear();
                self.all.remove(&bar);
            }
        }
        for pod in shown {
            self.pod(pod);
        }
        self.more(hidden.len());
    }

    fn pod(&mut self, pod: &Active) {
        let bar = self.pods.entry(pod.name.clone()).or_insert_with(|| {
            let bar = ProgressBar::new_spinner();
            let bar = match &self.more {
                Some(more) => self.all.insert_before(more, bar),
                None => self.all.add(bar),
            };
            bar.set_style(style("  {msg}"));
            bar
        });
        let line = format!("{}  {}", pod.name, pod.words);
        let most = self.screen.width.unwrap_or(80).saturating_sub(pod.status.len() + MARGIN);
        let line = cut(line.trim_end(), most);
        let (name, words) = line.split_at(pod.name.len().min(line.len()));
        let word = status_word(&pod.status, self.screen.colour);
        bar.set_message(format!("{name} {word}{words}"));
        bar.tick();
    }

    fn more(&mut self, hidden: usize) {
        match (hidden, self.more.take()) {
            (0, Some(bar)) => {
                bar.finish_and_clear();
                self.all.remove(&bar);
            }
            (0, None) => {}
            (hidden, bar) => {
                let bar = bar.unwrap_or_else(|| {
                    let bar = self.all.add(ProgressBar::new_spinner());
                    bar.set_style(style("  {msg}"));
                    bar
                });
                bar.set_message(format!("and {hidden} more"));
                bar.tick();
                self.more = Some(bar);
            }
        }
    }
}

/// A style from a template of ours; one that is wrong would show as the default.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}
