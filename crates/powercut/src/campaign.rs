//! Cuts, generation after generation, and what came of them.

mod proof;

use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::check::LATER;
use crate::child::{Ended, Job, Recorded, Scratch};
use crate::cut::{Aim, Cut, Points, Rules};
use crate::disk::Image;
use crate::oracle::{Expected, Kind, Records};
use crate::random::Random;
use crate::report::Table;
use crate::story::Story;
use crate::toy::Flaw;
use crate::work::{Tuning, Workload};

/// What chains do, one after the other, from some place on: the engine every second time.
const WORKLOADS: [Workload; 6] =
    [Workload::Engine, Workload::Big, Workload::Engine, Workload::Pieces, Workload::Engine, Workload::Small];

/// How many states of each recording are looked at, by generation.
const STATES: [usize; 3] = [20, 10, 10];
/// How many states of each recording are gone on with.
const GO_ON: [usize; 3] = [3, 1, 0];
/// How many states a whole chain looks at.
const CHAIN: usize = STATES[0] + GO_ON[0] * (STATES[1] + GO_ON[1] * STATES[2]);

/// So many of a hundred states are also written to, closed and opened again.
const WRITTEN_AGAIN_PERCENT: usize = 25;

/// The most bad states that are kept.
const MOST_KEPT: usize = 20;

/// Cuts the power again and again.
#[derive(Debug, Args)]
pub(crate) struct Campaign {
    /// How many states to look at.
    states: usize,
    /// What decides all chances; chosen at random, and told, if it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Where bad states go, each with its log, in directories of their own.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Where states are made: a directory in memory is quicker, and as good.
    #[arg(long)]
    scratch: Option<PathBuf>,
    /// Aim at nothing else.
    #[arg(long)]
    aim: Option<Aim>,
    /// Do nothing else.
    #[arg(long)]
    workload: Option<Workload>,
    /// How many chains at the same time.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// One recording after the other, each from a state of the one before.
struct Chain<'a> {
    name: String,
    job: Job,
    scratch: Scratch,
    random: Random,
    left: usize,
    aim: Option<Aim>,
    table: Table,
    keep: &'a Keep,
}

/// Where bad states go.
struct Keep {
    dir: Option<PathBuf>,
    /// They are to be bad, and nobody wants to hear of them.
    silent: bool,
    kept: AtomicUsize,
}

/// A state that was as it should be.
struct Survivor {
    image: Image,
    expected: Expected,
    cut: Cut,
}

impl Campaign {
    /// True if nothing was bad.
    pub(crate) fn run(&self) -> Result<bool> {
        let seed = self.seed.unwrap_or_else(|| std::hash::RandomState::new().hash_one(0));
        println!("seed {seed}");
        let scratch = match &self.scratch {
            Some(dir) => dir.clone(),
            None => {
                Some(PathBuf::from("/dev/shm")).filter(|dir| dir.is_dir()).unwrap_or_else(std::env::temp_dir)
            }
        };
        let keep = Keep { dir: self.keep.clone(), silent: false, kept: AtomicUsize::new(0) };
        println!("\nstores made to be broken, one of them sound:");
        proof::run(&scratch, &keep)?;

        println!("\nthe store, {} states:", self.states);
        let chains = self.states.div_ceil(CHAIN);
        let from = Random::new(seed).below(WORKLOADS.len());
        let (next, result) = (AtomicUsize::new(0), Mutex::new(anyhow::Ok(Table::default())));
        let work = || loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= chains || lock(&result).is_err() {
                return;
            }
            let states = CHAIN.min(self.states - n * CHAIN);
            let workload = self.workload.unwrap_or(WORKLOADS[(from + n) % WORKLOADS.len()]);
            let random = Random::new(seed ^ (n as u64).wrapping_mul(0xd134_2543_de82_ef95));
            let done = chain(workload, self.aim, states, random, &scratch, &keep);
            let mut result = lock(&result);
            match (&mut *result, done) {
                (Ok(table), Ok(done)) => {
                    table.merge(done);
                    eprintln!("    {} of {} states, {} bad", table.states(), self.states, table.bad());
                }
                (Ok(_), Err(error)) => *result = Err(error.context(format!("chain {n} of seed {seed}"))),
                (Err(_), _) => {}
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads {
                scope.spawn(work);
            }
            work();
        });
        let table = result.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        print!("\n{}", table.render());
        println!(
            "\n{} states of {} recordings; sync_file_range reached the kernel {} times; {} bad",
            table.states(),
            table.recordings,
            table.range_syncs,
            table.bad()
        );
        if table.range_syncs > 0 {
            bail!("sled's `sync_file_range` reached the kernel: this program was linked without our own");
        }
        if table.bad() > 0 {
            let place = match &self.keep {
                Some(dir) => {
                    format!("look at `{}`: why.txt, the state, and the log it was made from", dir.display())
                }
                None => format!("run it again with --seed {seed} --keep DIR to look at them"),
            };
            println!("{place}");
        }
        Ok(table.bad() == 0)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn chain(
    workload: Workload,
    aim: Option<Aim>,
    states: usize,
    mut random: Random,
    scratch: &Path,
    keep: &Keep,
) -> Result<Table> {
    let tuning = if random.percent(50) { Tuning::Tight } else { Tuning::Default };
    let job = Job { workload, tuning, toy: None, steps: 0, seed: 0 };
    let mut chain = Chain {
        name: format!("{workload:?}, {tuning:?}").to_lowercase(),
        job,
        scratch: Scratch::new(scratch)?,
        random,
        left: states,
        aim,
        table: Table::default(),
        keep,
    };
    chain.generation(0, &Image::default(), &Expected::nothing(), None)?;
    Ok(chain.table)
}

impl Chain<'_> {
    /// Records, cuts, looks, and goes on with some. `before` is the cut that led to `start`.
    fn generation(
        &mut self,
        generation: usize,
        start: &Image,
        expected: &Expected,
        before: Option<Cut>,
    ) -> Result<()> {
        let job = Job { steps: steps(self.job.workload, generation), seed: self.random.next(), ..self.job };
        let story = match self.scratch.record(start, &job)? {
            Recorded::Story(story) => story,
            Recorded::Failed(why) => {
                let Some(cut) = before else { bail!("the work failed on an empty disk: {why}") };
                self.table.turns_bad(&self.name, cut.rules, Kind::FailedLater);
                return self.keep.keep(start, None, &format!("{}: the work then failed: {why}", self.name));
            }
        };
        self.table.recordings += 1;
        self.table.range_syncs += story.range_syncs;
        let mut survivors = self.look(generation, &story, expected)?;
        for _ in 0..GO_ON[generation] {
            if self.left == 0 || survivors.is_empty() {
                break;
            }
            let Survivor { image, expected, cut } = survivors.swap_remove(self.random.below(survivors.len()));
            self.generation(generation + 1, &image, &expected, Some(cut))?;
        }
        Ok(())
    }

    fn look(&mut self, generation: usize, story: &Story, expected: &Expected) -> Result<Vec<Survivor>> {
        let points = Points::of(story);
        let mut survivors = Vec::new();
        for n in 0..STATES[generation].min(self.left) {
            let (at, aim) = points.any(self.aim, &mut self.random);
            let rules = if n.is_multiple_of(2) { Rules::Strict } else { Rules::Lenient };
            if let Some(survivor) = self.state(generation, story, expected, at, aim, rules)? {
                survivors.push(survivor);
            }
        }
        Ok(survivors)
    }

    fn state(
        &mut self,
        generation: usize,
        story: &Story,
        expected: &Expected,
        at: usize,
        aim: Aim,
        rules: Rules,
    ) -> Result<Option<Survivor>> {
        self.left -= 1;
        let cut = Cut::any(at, rules, &mut self.random);
        let image = cut.image(story, &mut self.random);
        let expected = expected.after(story, at).with_context(|| format!("{}: {cut}", self.name))?;
        let go_on = self.random.percent(WRITTEN_AGAIN_PERCENT).then(|| self.random.next());
        let ended = self.scratch.check(&image, self.job.tuning, self.job.toy, go_on)?;
        let bad = verdict(&ended, &expected);
        let kind = bad.as_ref().map(|(kind, _)| *kind);
        self.table.add(&self.name, rules, generation + 1, aim, kind);
        match bad {
            None => Ok(Some(Survivor { image, expected, cut })),
            Some((kind, why)) => {
                let generation = generation + 1;
                let name = kind.name();
                let why =
                    format!("{name}: {why}\n{}, generation {generation}, {cut}, aimed at {aim:?}", self.name);
                self.keep.keep(&image, Some(story), &why)?;
                Ok(None)
            }
        }
    }
}

fn verdict(ended: &Ended, expected: &Expected) -> Option<(Kind, String)> {
    let Ended::Exited { status, out, .. } = ended else { return Some((Kind::Hung, ended.describe())) };
    if !out.starts_with("opened ") {
        let died = status.code().is_none_or(|code| code == 101);
        return Some((if died { Kind::Died } else { Kind::DoesNotOpen }, ended.describe()));
    }
    let found = out.split_once(&format!("{LATER}\n")).map_or(out.as_str(), |(found, _)| found);
    let found = match Records::parse(found) {
        Ok(found) => found,
        Err(error) => return Some((Kind::Died, format!("{error:#}: {}", ended.describe()))),
    };
    let wrong = expected.judge(&found);
    wrong.or_else(|| (!status.success()).then(|| (Kind::FailedLater, ended.describe())))
}

/// Enough that every kind of thing happens, and logs stay small enough to be read again for each state.
fn steps(workload: Workload, generation: usize) -> usize {
    let (first, later) = match workload {
        Workload::Engine => (120, 40),
        Workload::Small => (100, 40),
        Workload::Big => (14, 8),
        Workload::Pieces => (16, 8),
    };
    if generation == 0 { first } else { later }
}

impl Keep {
    fn nowhere() -> Keep {
        Keep { dir: None, silent: true, kept: AtomicUsize::new(0) }
    }

    fn keep(&self, image: &Image, story: Option<&Story>, why: &str) -> Result<()> {
        if !self.silent {
            eprintln!("    bad: {why}");
        }
        let Some(dir) = &self.dir else { return Ok(()) };
        let n = self.kept.fetch_add(1, Ordering::Relaxed);
        if n >= MOST_KEPT {
            return Ok(());
        }
        let dir = dir.join(format!("bad-{n}"));
        let write = || {
            if dir.exists() {
                std::fs::remove_dir_all(&dir)?;
            }
            std::fs::create_dir_all(&dir)?;
            image.write(&dir.join("state"))?;
            if let Some(story) = story {
                std::fs::write(dir.join("log"), story.log())?;
            }
            std::fs::write(dir.join("why.txt"), format!("{why}\n"))?;
            anyhow::Ok(())
        };
        write().with_context(|| dir.display().to_string())
    }
}

/// A chain of one recording of a toy.
fn toy(flaw: Flaw, rules: Rules, states: usize, scratch: &Path, keep: &Keep) -> Result<Table> {
    let seed = flaw as u64 * 2 + rules as u64;
    let job = Job { workload: Workload::Small, tuning: Tuning::Default, toy: Some(flaw), steps: 150, seed };
    let mut chain = Chain {
        name: format!("{flaw:?}"),
        job,
        scratch: Scratch::new(scratch)?,
        random: Random::new(seed),
        left: states,
        aim: None,
        table: Table::default(),
        keep,
    };
    let Recorded::Story(story) = chain.scratch.record(&Image::default(), &job)? else {
        bail!("the work of a toy failed");
    };
    let points = Points::of(&story);
    for _ in 0..states {
        let (at, aim) = points.any(None, &mut chain.random);
        chain.state(0, &story, &Expected::nothing(), at, aim, rules)?;
    }
    Ok(chain.table)
}
