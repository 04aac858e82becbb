//! Looks at a store after a cut, in a process of its own: it may hang or die.
//!
//! It is opened as the agent opens it, and read whole; what was found goes to standard output. Then, if asked to, it is
//! written to, closed, opened and read again: a store that only looks sound is found out.

use std::io::Write;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::announce::records;
use crate::oracle::{self, Records};
use crate::random::Random;
use crate::work::{Subject, Workload, batch};

/// How many batches are written to see whether the store can be gone on with.
const BATCHES: usize = 6;

/// After this line comes what happened when the store was gone on with.
pub(crate) const LATER: &str = "later";

/// What may be found in a store.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    subject: Subject,
    /// Also go on with it, as this seed says.
    #[arg(long)]
    go_on: Option<u64>,
}

impl Check {
    pub(crate) fn run(&self) -> Result<()> {
        let mut store = self.subject.open()?;
        let mut found = records(&*store)?;
        let mut text = format!("opened {}\n", found.revision);
        for (key, value) in &found.values {
            text += &format!("{key} {value}\n");
        }
        std::io::stdout().write_all(text.as_bytes())?;
        let Some(seed) = self.go_on else {
            // As if it were killed: the next one has that to deal with.
            std::mem::forget(store);
            return Ok(());
        };
        println!("{LATER}");
        let mut random = Random::new(seed);
        for workload in [Workload::Small, Workload::Big, Workload::Pieces].iter().cycle().take(BATCHES) {
            let batch = batch(*workload, found.revision + 1, 0, &mut random);
            store.commit(&batch).context("committing")?;
            take(&mut found, &batch);
        }
        ensure!(records(&*store)? == found, "it reads otherwise than it was written");
        store.close().context("closing")?;
        drop(store);
        let mut store = self.subject.open().context("opening again")?;
        ensure!(records(&*store)? == found, "it opens otherwise than it was closed");
        store.close().context("closing again")
    }
}

fn take(records: &mut Records, batch: &engine::store::Batch) {
    records.revision = batch.revision;
    for (key, value) in batch.ops() {
        match value {
            Some(value) => drop(records.values.insert(oracle::hex(key), oracle::hash(value))),
            None => drop(records.values.remove(&oracle::hex(key))),
        }
    }
}
