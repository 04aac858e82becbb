//! Reads the ledger from disk, a segment at a time: what a reader holds beside its result does not grow with the ledger.

use api::pb::wick::v1::{LedgerEntry, LedgerRecord};
use jiff::Timestamp;
use prost::Message;

use crate::event::ObjectKey;
use crate::keys;
use crate::store::StoreError;
use crate::view::{LedgerNow, Reader};

/// So many runs are told of a Job that has finished; of more, how many there are.
pub const ATTEMPTS_MAX: usize = 1000;

/// Which entries of the ledger are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerFilter {
    /// Of this namespace; empty for all.
    pub namespace: String,
    /// What concerns this CronJob; empty for all.
    pub cron_job: String,
    /// What concerns this Job; empty for all.
    pub job: String,
    /// What was recorded then or later, and what is still open.
    pub since: Option<Timestamp>,
    /// Only slots that were missed.
    pub missed_only: bool,
}

impl LedgerFilter {
    /// Whether it selects this entry.
    pub fn selects(&self, entry: &LedgerEntry) -> bool {
        let is = |asked: &str, is: &str| asked.is_empty() || asked == is;
        let since = self.since.map(|since| since.as_second());
        is(&self.namespace, &entry.namespace)
            && is(&self.cron_job, &entry.cron_job)
            && is(&self.job, &entry.job)
            && (!self.missed_only || entry.r#type == super::MISSED)
            && entry.recorded_at.as_ref().is_none_or(|at| since.is_none_or(|since| at.seconds >= since))
    }
}

/// A place in the ledger: what follows it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerPlace {
    /// After the entry of this number; 0 for the beginning.
    Entry(u64),
    /// After the slots that this CronJob is missing without an end so far.
    Open(ObjectKey),
}

/// A part of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerPage {
    /// Only what follows this.
    pub after: LedgerPlace,
    /// At most so many entries.
    pub most: usize,
    /// At most so many bytes as encoded, but one entry at least.
    pub bytes: usize,
}

impl Default for LedgerPage {
    /// All of it.
    fn default() -> LedgerPage {
        LedgerPage { after: LedgerPlace::Entry(0), most: usize::MAX, bytes: usize::MAX }
    }
}

/// What is found, until the page is full.
struct Part<'a> {
    page: &'a LedgerPage,
    found: Vec<LedgerEntry>,
    bytes: usize,
}

impl Part<'_> {
    /// Takes an entry; false if there is no place for it any more.
    fn take(&mut self, entry: LedgerEntry) -> bool {
        let bytes = entry.encoded_len();
        let first = self.found.is_empty();
        if self.found.len() >= self.page.most.max(1) || !first && self.bytes + bytes > self.page.bytes {
            return false;
        }
        self.bytes += bytes;
        self.found.push(entry);
        true
    }
}

impl Reader {
    /// A part of the entries that a filter selects, oldest first, and the place after it if there are more. What is still
    /// open comes last.
    ///
    /// The end of a Job comes with the runs of its containers, the last [`ATTEMPTS_MAX`] of them; until then they are in
    /// entries of their own.
    pub fn ledger(
        &self,
        filter: &LedgerFilter,
        page: &LedgerPage,
    ) -> Result<(Vec<LedgerEntry>, Option<LedgerPlace>), StoreError> {
        let LedgerNow { segments, open_runs, active_jobs } = self.ledger_now();
        let mut part = Part { page, found: Vec::new(), bytes: 0 };
        let (mut after, open_after) = match &page.after {
            LedgerPlace::Entry(id) => (*id, None),
            LedgerPlace::Open(key) => (u64::MAX, Some(key)),
        };
        let since = filter.since.map_or(i64::MIN, |since| since.as_second());
        for segment in segments {
            if segment.last <= after || segment.latest_seconds < since {
                continue;
            }
            let begin = after.max(segment.first.saturating_sub(1));
            let most = usize::try_from(segment.last - begin).unwrap_or(usize::MAX);
            for (key, bytes) in self.history().scan(keys::LEDGER, Some(&keys::ledger(begin)), most)? {
                // The oldest may have gone meanwhile: what is found instead belongs to the next segment.
                let Some(id) = keys::ledger_id(&key).filter(|id| *id <= segment.last) else { break };
                // What cannot be read is left out; the next start says what is wrong with it.
                let Ok(record) = LedgerRecord::decode(bytes.as_slice()) else { continue };
                let Some(entry) = record.entry else { continue };
                let told_later = entry.r#type == super::RAN && !active_jobs.contains(&entry.job_uid);
                if filter.selects(&entry) && !told_later {
                    let entry = self.with_attempts(entry, record.previous_id)?;
                    if !part.take(entry) {
                        return Ok((part.found, Some(LedgerPlace::Entry(after))));
                    }
                }
                after = id;
            }
        }
        let mut last = open_after.cloned();
        for (key, entry) in open_runs.iter() {
            if open_after.is_some_and(|after| key <= after) || !filter.selects(entry) {
                continue;
            }
            if !part.take(LedgerEntry::clone(entry)) {
                let place = last.map_or(LedgerPlace::Entry(after), LedgerPlace::Open);
                return Ok((part.found, Some(place)));
            }
            last = Some(key.clone());
        }
        Ok((part.found, None))
    }

    /// Puts the runs into the end of a Job that are in entries before it.
    fn with_attempts(&self, mut entry: LedgerEntry, mut previous_id: u64) -> Result<LedgerEntry, StoreError> {
        if entry.r#type != super::FINISHED {
            return Ok(entry);
        }
        let mut earlier = Vec::new();
        let mut room = ATTEMPTS_MAX.saturating_sub(entry.attempts.len());
        while previous_id > 0 && room > 0 {
            // The oldest may have gone.
            let Some(bytes) = self.history().get(&keys::ledger(previous_id))? else { break };
            let Ok(LedgerRecord { entry: Some(ran), previous_id: before, .. }) =
                LedgerRecord::decode(bytes.as_slice())
            else {
                break;
            };
            // Whatever was brought into the store from elsewhere, this ends.
            if ran.job_uid != entry.job_uid || before >= previous_id {
                break;
            }
            previous_id = before;
            earlier.extend(ran.attempts.into_iter().rev().take(room));
            room = ATTEMPTS_MAX.saturating_sub(entry.attempts.len() + earlier.len());
        }
        entry.more_attempts = entry.more_attempts.saturating_sub(earlier.len() as u64);
        earlier.reverse();
        earlier.append(&mut entry.attempts);
        entry.attempts = earlier;
        Ok(entry)
    }
}
