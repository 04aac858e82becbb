//! Bugs planted on purpose: whether the simulated worlds find what they are for.
//!
//! Each is a change of one place in a copy of the sources. The copy is built and worlds are lived in it until a promise is
//! broken; one in which none breaks means that the worlds have gone blind. Where a place has changed so that a bug cannot be
//! planted any more, that is said, and another place is to be found.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::project;
use crate::screen::{Screen, seconds};

/// A bug, and where it goes.
struct Bug {
    what: &'static str,
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
}

const BUGS: [Bug; 26] = [
    Bug {
        what: "a success counts twice",
        file: "crates/sched/src/job.rs",
        right: "            self.succeeded += 1;\n",
        wrong: "            self.succeeded += 2;\n",
    },
    Bug {
        what: "a Job is over while its Pods still stop",
        file: "crates/sched/src/job.rs",
        right: "let over = live.active == 0 && live.terminating == 0;",
        wrong: "let over = live.active == 0;",
    },
    Bug {
        what: "a suspended Job goes on",
        file: "crates/sched/src/job.rs",
        right: "            _ if self.spec.suspend => 0,\n",
        wrong: "",
    },
    Bug {
        what: "Pods that run are forgotten when more are made",
        file: "crates/sched/src/job.rs",
        right: "let missing = wanted.saturating_sub(live.active).saturating_sub(held);",
        wrong: "let missing = wanted.saturating_sub(held);",
    },
    Bug {
        what: "a finished Job follows changes of its spec",
        file: "crates/sched/src/job.rs",
        right: "if !matches!(next.phase, Phase::Finished(_)) {",
        wrong: "if true {",
    },
    Bug {
        what: "the end of an earlier run ends a later one",
        file: "crates/sched/src/pod.rs",
        right: ".filter(|container| container.restarts == restarts)",
        wrong: ".filter(|container| container.restarts >= restarts)",
    },
    Bug {
        what: "after a crash, what ran is taken to run on",
        file: "crates/engine/src/engine.rs",
        right: "interrupted: engine.interrupt(&mut tx),",
        wrong: "interrupted: 0,",
    },
    Bug {
        what: "revisions are given again after a crash",
        file: "crates/engine/src/engine.rs",
        right: "        engine.revision += REVISION_GAP;\n",
        wrong: "        engine.revision -= engine.revision.min(3);\n",
    },
    Bug {
        what: "numbers of objects begin anew after a crash",
        file: "crates/engine/src/engine.rs",
        right: "self.next_ordinal = meta.next_ordinal.max(1);",
        wrong: "self.next_ordinal = (meta.next_ordinal / 2).max(1);",
    },
    Bug {
        what: "a Pod's timer is never set",
        file: "crates/engine/src/pods.rs",
        right: "self.timers.extend(plan.wake.map(|at| (at, Subject::Pod(ordinal))));",
        wrong: "",
    },
    Bug {
        what: "a container whose turn comes later misses its image's arrival",
        file: "crates/engine/src/pods.rs",
        right: "if entry.state.containers.iter().any(|container| !container.image_present) {",
        wrong: "if false {",
    },
    Bug {
        what: "a counted Pod is not marked as counted",
        file: "crates/engine/src/jobs.rs",
        right: "pod_entry.state.counted = true;",
        wrong: "pod_entry.state.counted = pod_entry.state.is_deleted();",
    },
    Bug {
        what: "of two writers who read one version, both win",
        file: "crates/engine/src/jobs.rs",
        right: "if !given.is_empty() && (given != current || tx.touched_jobs.contains_key(&ordinal)) {",
        wrong: "if given == \"0\" {",
    },
    Bug {
        what: "a commit for which there was no room is dropped",
        file: "crates/engine/src/transaction.rs",
        right: "self.held = Some(prepared);",
        wrong: "drop(prepared);",
    },
    Bug {
        what: "a slot may start when its deadline has just passed",
        file: "crates/sched/src/cron_job/plan.rs",
        right: "late.into_iter().flatten().filter_map(|late| minus(by, late)).fold(begin, Timestamp::max)",
        wrong: "late.into_iter().flatten().filter_map(|late| minus(by, crate::Millis(late.0 + 1))).fold(begin, Timestamp::max)",
    },
    Bug {
        what: "what became of slots is forgotten at a start",
        file: "crates/api/src/cron_job/state.rs",
        right: "settled: second(record.settled_seconds),",
        wrong: "settled: new.settled,",
    },
    Bug {
        what: "Forbid does not look at Jobs that run",
        file: "crates/sched/src/cron_job/plan.rs",
        right: "        self.next.spec.concurrency == Concurrency::Forbid && !self.next.active.is_empty()\n",
        wrong: "        self.next.spec.concurrency == Concurrency::Forbid && self.next.active.len() > 1\n",
    },
    Bug {
        what: "a clock that was put back has slots start that were missed",
        file: "crates/sched/src/cron_job/plan.rs",
        // Either of the two is enough against it.
        right: concat!(
            "        if by < self.next.settled {\n",
            "            // The clock was put back: what became of slots until then is known already.\n",
            "            return;\n",
            "        }\n",
            "        // Of another schedule it may lie before what is settled, but not among slots that were told as missed.\n",
            "        let held = self.next.held.map(|held| held.slot);\n",
            "        let slot = slots.latest(from, by).filter(|slot| self.next.told < Some(*slot) || held == Some(*slot));\n",
        ),
        wrong: concat!(
            "        let held = self.next.held.map(|held| held.slot);\n",
            "        let slot = slots.latest(from, by);\n",
        ),
    },
    Bug {
        what: "numbers of the ledger are given again after a crash",
        file: "crates/engine/src/engine.rs",
        right: "self.ledger.next_id = self.ledger.next_id.max(meta.next_ledger_id);",
        wrong: "self.ledger.next_id = self.ledger.next_id.min(meta.next_ledger_id / 2).max(1);",
    },
    Bug {
        what: "a slot that is held is not told of when another takes its place",
        file: "crates/sched/src/cron_job/books.rs",
        right: "            self.join(Missed { first: slot, last: slot, count: 1, why }, closed);\n",
        wrong: "            let _ = (slot, why, &closed);\n",
    },
    Bug {
        what: "a suspended CronJob starts its slots",
        file: "crates/sched/src/cron_job/plan.rs",
        right: "        if spec.suspend {\n            return;\n        }\n",
        wrong: "",
    },
    Bug {
        what: "what came due before its schedule changed is not told of",
        file: "crates/sched/src/cron_job/plan.rs",
        right: "            self.take_up(clock, by, &mut closed);\n            self.miss_all(clock, by, &mut closed);\n        }\n        // What waits",
        wrong: "        }\n        // What waits",
    },
    Bug {
        what: "slots of a new schedule from before it are made up for",
        file: "crates/sched/src/cron_job/plan.rs",
        right: "self.settled = self.settled.max(by).max(self.due_by(clock.wall));",
        wrong: "",
    },
    Bug {
        what: "what waits to be caught up with is forgotten where the zone is not known",
        file: "crates/sched/src/cron_job/books.rs",
        right: "        if let Some(run) = self.waiting.take().filter(|run| run.first > self.settled) {\n",
        wrong: "        if let Some(run) = self.waiting.take().filter(|_| false) {\n",
    },
    Bug {
        what: "the end of a Job that is deleted is not told",
        file: "crates/engine/src/deletion.rs",
        right: "            self.tell_finished(ordinal, tx);\n",
        wrong: "",
    },
    Bug {
        what: "a slot starts a Job, and the ledger is not told",
        file: "crates/engine/src/cron_jobs/starting.rs",
        right: "        self.tell_ledger(told, tx);\n        Ok(())\n",
        wrong: "        drop(told);\n        Ok(())\n",
    },
];

/// Worlds that are lived for a bug at most.
const WORLDS: &str = "400";

/// Plants each bug, and has it found.
pub(super) fn find_all() -> Result<()> {
    let screen = Screen::stdout();
    let copy = project::target("planted");
    let mut missed = Vec::new();
    for bug in &BUGS {
        let began = Instant::now();
        refresh(&copy)?;
        plant(&copy, bug)?;
        let found = live(&copy)?;
        let told = found.as_deref().unwrap_or("NOT FOUND");
        screen.line(&format!("{:<62} {:>7}  {told}", bug.what, seconds(began.elapsed())));
        if found.is_none() {
            missed.push(bug.what);
        }
    }
    ensure!(missed.is_empty(), "not found in {WORLDS} worlds: {}", missed.join("; "));
    screen.line(&format!("all {} found", BUGS.len()));
    Ok(())
}

/// Makes the copy as the sources are; what is the same already is not touched, so that cargo builds only what changed.
fn refresh(copy: &Path) -> Result<()> {
    fs::create_dir_all(copy).with_context(|| copy.display().to_string())?;
    for part in ["Cargo.toml", "Cargo.lock", "crates", "proto", "tests", "docs", "README.md"] {
        sync(&project::root().join(part), &copy.join(part))?;
    }
    Ok(())
}

fn sync(from: &Path, to: &Path) -> Result<()> {
    let told = || from.display().to_string();
    if from.is_dir() {
        fs::create_dir_all(to).with_context(told)?;
        for entry in fs::read_dir(from).with_context(told)? {
            let name = entry.with_context(told)?.file_name();
            if name != "target" {
                sync(&from.join(&name), &to.join(&name))?;
            }
        }
        return Ok(());
    }
    let bytes = fs::read(from).with_context(told)?;
    if fs::read(to).ok().as_ref() != Some(&bytes) {
        fs::write(to, bytes).with_context(|| to.display().to_string())?;
    }
    Ok(())
}

fn plant(copy: &Path, bug: &Bug) -> Result<()> {
    let path = copy.join(bug.file);
    let text = bug.planted(copy)?;
    fs::write(&path, text).with_context(|| path.display().to_string())
}

impl Bug {
    /// Its file as it is with it.
    fn planted(&self, root: &Path) -> Result<String> {
        let path = root.join(self.file);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let places = text.matches(self.right).count();
        ensure!(places == 1, "`{}` cannot be planted: {} has its place {places} times", self.what, self.file);
        Ok(text.replace(self.right, self.wrong))
    }
}

/// Lives worlds in the copy; the last line of what was broken, if anything was.
fn live(copy: &Path) -> Result<Option<String>> {
    let target = project::target("planted-build");
    let args = ["build", "--quiet", "--package", "wick-tests", "--bin", "wick-sim", "--target-dir"];
    let mut build = project::cargo(copy, args);
    build.arg(&target);
    ensure!(
        build.status().context("cargo could not be started")?.success(),
        "a planted bug does not compile"
    );
    let mut command = Command::new(target.join("debug/wick-sim"));
    let output = command
        .args(["--worlds", WORLDS])
        .stderr(Stdio::piped())
        .output()
        .context("`wick-sim` could not be started")?;
    if output.status.success() {
        return Ok(None);
    }
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let line = told.lines().find(|line| line.starts_with("seed ") || line.contains("panicked at"));
    let Some(line) = line else { bail!("`wick-sim` failed and says not why: {told}") };
    Ok(Some(line.chars().take(160).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_has_its_place() {
        for bug in &BUGS {
            if let Err(error) = bug.planted(project::root()) {
                panic!("{error:#}");
            }
        }
    }
}
