//! The ledger: what became of every slot and of every Job, kept when the objects are gone.
//!
//! Entries are numbered in the order they are written, each in the commit that makes it true, and lie on disk alone: what is
//! in memory are segments, a few bytes for hundreds of entries. The oldest go by age and by size, segment by segment. Age is
//! measured on the steady axis: a step of the clock empties nothing.
//!
//! Deliberately absent: a timer. What is too old goes with the next commit of anything; an idle agent does not wake for it.

mod jobs;
mod reading;

use std::collections::VecDeque;

use api::pb::wick::v1::{LedgerEntry, LedgerRecord};
use prost::Message;
use sched::{Millis, Now, Steady};

use crate::engine::Engine;
use crate::keys;
use crate::limits::Limits;
use crate::store::Batch;
use crate::transaction::Transaction;
use crate::view::News;

pub use reading::{ATTEMPTS_MAX, LedgerFilter, LedgerPage, LedgerPlace};

/// The type of an entry about slots that were missed.
const MISSED: &str = "Missed";
/// About runs of containers of a Job that goes on.
const RAN: &str = "Ran";
/// About the end of a Job.
const FINISHED: &str = "Finished";

/// So many numbers at most are in a segment: what goes in one piece, and what is read in one go.
const SEGMENT_ENTRIES: u64 = 256;
/// A segment is closed when its entries take so many bytes …
const SEGMENT_BYTES: u64 = 32 << 10;
/// … or this part of what all may take: a small ledger must not lose all of itself at once.
const SEGMENT_PART: u64 = 8;
/// And when its entries are this part of the greatest age apart.
const SEGMENT_AGE_PART: i64 = 30;
/// So many segments go in one commit at most. More go in those that follow at once.
const RETIRED_PER_COMMIT: usize = 2;
/// What a record costs beside its entry: key, and what the store adds.
const RECORD_BYTES: usize = 96;

/// What is known of the ledger without looking at the disk.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The next entry's number.
    pub(crate) next_id: u64,
    /// Oldest first.
    segments: VecDeque<Segment>,
    /// Of all keys and values.
    bytes: u64,
}

/// Entries written one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The first number in it.
    pub(crate) first: u64,
    /// The last.
    pub(crate) last: u64,
    bytes: u64,
    oldest: Steady,
    newest: Steady,
    /// The latest wall clock time at which one was written, in seconds since 1970.
    pub(crate) latest_seconds: i64,
}

/// As much of a record as must be known to keep it: the rest is skipped over, not read.
#[derive(Clone, PartialEq, Message)]
struct Glance {
    #[prost(message, optional, tag = "1")]
    entry: Option<EntryGlance>,
    #[prost(int64, tag = "2")]
    steady_ms: i64,
}

#[derive(Clone, PartialEq, Message)]
struct EntryGlance {
    #[prost(message, optional, tag = "3")]
    recorded_at: Option<TimeGlance>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct TimeGlance {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger { next_id: 1, segments: VecDeque::new(), bytes: 0 }
    }
}

impl Ledger {
    /// An entry that is on disk; they are found in order.
    pub(crate) fn found(&mut self, id: u64, bytes: &[u8], limits: &Limits) -> Result<(), prost::DecodeError> {
        let glance = Glance::decode(bytes)?;
        let recorded_at = glance.entry.and_then(|entry| entry.recorded_at);
        let seconds = recorded_at.map_or(i64::MAX, |at| at.seconds);
        self.add(id, bytes.len(), Steady(glance.steady_ms), seconds, limits);
        self.next_id = self.next_id.max(id.saturating_add(1));
        Ok(())
    }

    /// Counts an entry in, and says what became of its segment.
    fn add(&mut self, id: u64, value_bytes: usize, steady: Steady, seconds: i64, limits: &Limits) -> Segment {
        let bytes = (keys::LEDGER_KEY_BYTES + value_bytes) as u64;
        self.bytes += bytes;
        let full = SEGMENT_BYTES.min(limits.ledger_bytes / SEGMENT_PART);
        let apart = Millis(limits.ledger_age.0 / SEGMENT_AGE_PART);
        if let Some(last) = self.segments.back_mut()
            && id - last.first < SEGMENT_ENTRIES
            && last.bytes + bytes <= full
            && steady - last.oldest <= apart
        {
            last.last = id;
            last.bytes += bytes;
            last.newest = last.newest.max(steady);
            last.latest_seconds = last.latest_seconds.max(seconds);
            return *last;
        }
        let segment =
            Segment { first: id, last: id, bytes, oldest: steady, newest: steady, latest_seconds: seconds };
        self.segments.push_back(segment);
        segment
    }

    /// Whether the oldest are to go.
    pub(crate) fn is_over(&self, now: Steady, limits: &Limits) -> bool {
        let too_old = |segment: &Segment| now - segment.newest >= limits.ledger_age;
        self.bytes > limits.ledger_bytes || self.segments.front().is_some_and(too_old)
    }

    fn retire(&mut self, now: Steady, limits: &Limits) -> Option<Segment> {
        if !self.is_over(now, limits) {
            return None;
        }
        let oldest = self.segments.pop_front()?;
        self.bytes -= oldest.bytes;
        Some(oldest)
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment> {
        self.segments.iter().copied()
    }
}

impl Engine {
    /// Writes an entry, with the commit; its number and the time are added here. The number is taken: if the commit cannot be
    /// made the engine is dropped with it.
    pub(crate) fn tell_ledger(&mut self, entry: LedgerEntry, tx: &mut Transaction) {
        self.tell_ledger_after(0, entry, tx);
    }

    /// The same, with the entry before it that is about the same Job. Says which number it has.
    fn tell_ledger_after(&mut self, previous_id: u64, mut entry: LedgerEntry, tx: &mut Transaction) -> u64 {
        let id = self.ledger.next_id;
        self.ledger.next_id += 1;
        entry.id = id;
        entry.recorded_at = Some(api::time::seconds(tx.now.wall));
        let record = LedgerRecord { entry: Some(entry), steady_ms: tx.now.steady.0, previous_id };
        tx.charge(record.encoded_len() + RECORD_BYTES);
        tx.ledger.push(record);
        id
    }

    /// Puts what was told into the batch, takes the oldest out if there is too much, and says what was written.
    pub(crate) fn write_ledger(
        &mut self,
        records: Vec<LedgerRecord>,
        now: Now,
        batch: &mut Batch,
        news: &mut News,
    ) -> Vec<LedgerEntry> {
        let limits = &self.config.limits;
        let mut written = Vec::with_capacity(records.len());
        let seconds = now.wall.as_second();
        for record in records {
            let bytes = record.encode_to_vec();
            let Some(entry) = record.entry else { continue };
            let segment = self.ledger.add(entry.id, bytes.len(), now.steady, seconds, limits);
            news.ledger.push((segment.first, Some(segment)));
            batch.put(keys::ledger(entry.id), bytes);
            written.push(entry);
        }
        for _ in 0..RETIRED_PER_COMMIT {
            let Some(segment) = self.ledger.retire(now.steady, limits) else { break };
            for id in segment.first..=segment.last {
                batch.delete(keys::ledger(id));
            }
            news.ledger.push((segment.first, None));
        }
        written
    }
}

#[cfg(test)]
mod tests;
