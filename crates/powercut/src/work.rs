//! What the store is put through while it is recorded, and in which form it is opened.

mod batches;
mod device;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::{Args, ValueEnum};
use engine::store::{DataDir, LookError, SledOptions, SledStore, Store};

use crate::announce::{Announcer, Announcing};
use crate::random::Random;
use crate::toy::{Flaw, Toy};

pub(crate) use batches::batch;

/// The data directory's name in the recorded directory: that it is made is recorded too.
pub(crate) const DATA_NAME: &str = "data";

/// What is done to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Workload {
    /// The engine, with Jobs, Pods, ends of guests, deletions and images.
    Engine,
    /// Small batches that write over each other.
    Small,
    /// Batches up to the largest, of values up to the longest that lie with their keys.
    Big,
    /// Values in pieces, up to two megabytes.
    Pieces,
}

/// How the store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Tuning {
    /// As the agent has it.
    Default,
    /// Little in memory, the cleaner always at work, and a rewrite at almost every start.
    Tight,
}

/// Which store.
#[derive(Clone, Debug, Args)]
pub(crate) struct Subject {
    /// The directory that is recorded.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    #[arg(long)]
    pub(crate) tuning: Tuning,
    /// A toy in the place of the store.
    #[arg(long)]
    pub(crate) toy: Option<Flaw>,
}

/// Does the work of a recorded program.
#[derive(Debug, Args)]
pub(crate) struct Work {
    #[command(flatten)]
    subject: Subject,
    #[arg(long)]
    workload: Workload,
    /// What is written here is an announcement.
    #[arg(long)]
    announce: PathBuf,
    #[arg(long)]
    seed: u64,
    /// How much is done.
    #[arg(long)]
    steps: usize,
}

impl Subject {
    pub(crate) fn open(&self) -> Result<Box<dyn Store>, LookError> {
        let dir = self.dir.join(DATA_NAME);
        Ok(match self.toy {
            Some(flaw) => Box::new(Toy::open(&dir, flaw)?),
            None => Box::new(open_sled(&dir, self.tuning)?),
        })
    }
}

fn open_sled(dir: &Path, tuning: Tuning) -> Result<SledStore, LookError> {
    let options = match tuning {
        Tuning::Default => SledOptions::default(),
        Tuning::Tight => SledOptions {
            cache_bytes: 1 << 20,
            clean_every_ms: 5,
            rewrite_above_bytes: 1 << 20,
            rewrite_below_percent: 90,
            ..SledOptions::default()
        },
    };
    Ok(SledStore::open(&DataDir::lock(dir)?, options)?)
}

impl Work {
    /// Ends the process as a cut does, or with a clean stop.
    pub(crate) fn run(&self) -> Result<()> {
        let announcer = Arc::new(Announcer::open(&self.announce)?);
        let open = || Announcing::open(&announcer, || self.subject.open());
        let mut random = Random::new(self.seed);
        match self.workload {
            Workload::Engine => device::run(&open, self.steps, &mut random),
            _ => batches::run(&open, self.workload, self.steps, &mut random),
        }
    }
}
