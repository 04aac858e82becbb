//! Batches of all sizes, straight to the store.

use anyhow::Result;
use engine::store::{Batch, LookError, Store};

use super::Workload;
use crate::announce::Announcing;
use crate::random::Random;

/// How many keys there are: few enough that most are written more than once.
const KEYS: usize = 400;
/// The most batches between two stops.
const MOST_BETWEEN_STOPS: usize = 60;

/// Commits `steps` batches, with clean stops in between.
pub(super) fn run(
    open: &dyn Fn() -> Result<Announcing, LookError>,
    workload: Workload,
    steps: usize,
    random: &mut Random,
) -> Result<()> {
    let mut store = open()?;
    let mut at_ms = 0;
    let mut until_stop = random.between(1, MOST_BETWEEN_STOPS);
    for _ in 0..steps {
        at_ms += random.below(700) as i64;
        store.commit(&batch(workload, store.revision() + 1, at_ms, random))?;
        until_stop -= 1;
        if until_stop == 0 {
            store.close()?;
            drop(store);
            store = open()?;
            until_stop = random.between(1, MOST_BETWEEN_STOPS);
        }
    }
    if random.percent(50) {
        store.close()?;
    }
    // Else the process ends here and now.
    std::mem::forget(store);
    Ok(())
}

/// Some batch. No two have the same bytes in them, whatever their revision.
pub(crate) fn batch(workload: Workload, revision: u64, at_ms: i64, random: &mut Random) -> Batch {
    let mut batch = Batch::new(revision, at_ms);
    let (ops, shortest, longest) = match workload {
        Workload::Engine | Workload::Small => (random.between(1, 15), 20, 600),
        Workload::Big if random.percent(40) => (usize::MAX, 1500, Batch::MAX_INLINE_BYTES),
        Workload::Big if random.percent(30) => (usize::MAX, 0, 200),
        Workload::Big => (random.between(20, 100), 500, Batch::MAX_INLINE_BYTES),
        Workload::Pieces if random.percent(5) => (1, 1 << 20, Batch::MAX_VALUE_BYTES),
        Workload::Pieces if random.percent(50) => (random.between(1, 5), 4000, 60_000),
        Workload::Pieces => (random.between(1, 12), 100, 9000),
    };
    for _ in 0..ops {
        let key = key(random);
        let gone = random.percent(20);
        let length = if gone { 0 } else { random.between(shortest, longest) };
        if !batch.would_fit(key.len(), length) {
            break;
        }
        if gone {
            batch.delete(key);
            continue;
        }
        // Keys are picked again and again: a batch of very short values may run out of them before it is full.
        if ops == usize::MAX && batch.len() >= KEYS * 9 / 10 {
            break;
        }
        batch.put(key, value(length, random));
    }
    batch
}

/// Some keys are short and some long.
fn key(random: &mut Random) -> Vec<u8> {
    let n = random.below(KEYS);
    let long = if n.is_multiple_of(7) { "x".repeat(n % 300) } else { String::new() };
    format!("{:02}/{n:04}{long}", n % 13).into_bytes()
}

fn value(length: usize, random: &mut Random) -> Vec<u8> {
    let mut value = Vec::with_capacity(length + 8);
    while value.len() < length {
        value.extend_from_slice(&random.next().to_le_bytes());
    }
    value.truncate(length);
    value
}
