//! The ledger: what was entered in it, and whether that is still there after a crash.

use std::collections::BTreeMap;

use api::pb::wick::v1::{LedgerEntry, LedgerRecord};
use prost::Message;

use super::account::Item;
use super::{Books, Checked, Written};

impl Books {
    /// An entry of the ledger that was acknowledged, or found after a crash.
    pub(super) fn enter(&mut self, entry: &LedgerEntry, steady: i64) -> Checked {
        let last = self.ledger.last_key_value().map_or(0, |(id, _)| *id);
        if entry.id <= last {
            return Err(format!("the ledger's entry {} came after {last}", entry.id));
        }
        self.ledger.insert(entry.id, Written { entry: entry.clone(), steady });
        let second = |at: &Option<prost_types::Timestamp>| at.as_ref().map_or(0, |at| at.seconds);
        match entry.r#type.as_str() {
            "Started" => {
                self.count("slots started", 1);
                let slot = second(&entry.slot);
                self.slot_started(&entry.cron_job_uid, slot, &entry.job_uid)?;
                let account = self.accounts.entry(entry.cron_job_uid.clone()).or_default();
                account.items.push(Item { first: slot, last: slot, count: 1, what: "started" });
                account.keeps_more = false;
                let job = self.jobs.entry(entry.job_uid.clone()).or_default();
                job.started += 1;
                job.slot = Some(slot);
                job.owner = Some((entry.cron_job.clone(), entry.cron_job_uid.clone()));
                if entry.job != format!("{}-{}", entry.cron_job, slot.div_euclid(60)) || job.started > 1 {
                    return Err(format!("{} was started {} times for {slot}", entry.job, job.started));
                }
            }
            "Missed" => {
                self.count(reason(&entry.reason), entry.count);
                let (first, last) = (second(&entry.first), second(&entry.last));
                if first > last || entry.count == 0 || (first == last) != (entry.count == 1) {
                    return Err(format!("{entry:?} is no run of slots"));
                }
                let account = self.accounts.entry(entry.cron_job_uid.clone()).or_default();
                account.items.push(Item { first, last, count: entry.count, what: "missed" });
            }
            "Finished" => {
                let job = self.jobs.entry(entry.job_uid.clone()).or_default();
                job.finished += 1;
                job.ended = entry.reason != "Deleted";
                if job.finished > 1 {
                    return Err(format!("the end of Job {} is told twice", entry.job));
                }
            }
            "Triggered" => {
                self.count("Jobs triggered", 1);
                self.jobs.entry(entry.job_uid.clone()).or_default().triggered += 1;
            }
            "Ran" => {}
            other => return Err(format!("the ledger has an entry of type {other}")),
        }
        Ok(())
    }

    /// What is on disk of the ledger while the device is off: all that was acknowledged, but what was too old or too much.
    pub(crate) fn found(&mut self, records: &[LedgerRecord], in_flight: bool, steady: i64) -> Checked {
        let on_disk: BTreeMap<u64, &LedgerRecord> =
            records.iter().filter_map(|record| Some((record.entry.as_ref()?.id, record))).collect();
        let mut after = 0;
        let mut whole = false;
        for (id, written) in self.ledger.iter().rev() {
            after += written.entry.encoded_len() as u64 + 16;
            match on_disk.get(id) {
                Some(record) if whole => {
                    return Err(format!("the ledger lost what is between {record:?} and what is newer"));
                }
                Some(record) => {
                    if record.entry.as_ref() != Some(&written.entry) {
                        return Err(format!("the ledger has {record:?}, and had {:?}", written.entry));
                    }
                }
                None => {
                    let old = steady - written.steady >= self.limits.ledger_age.0;
                    if !whole && !old && after < self.limits.ledger_bytes / 2 {
                        let there: Vec<u64> = on_disk.keys().copied().collect();
                        let lost = &written.entry;
                        return Err(format!(
                            "the ledger has {there:?}, and lost, after {after} bytes: {lost:?}"
                        ));
                    }
                    whole = true;
                }
            }
        }
        let last = self.ledger.last_key_value().map_or(0, |(id, _)| *id);
        for (_, record) in on_disk.range(last + 1..) {
            if !in_flight {
                return Err(format!("the ledger has {record:?}, which nobody was told of"));
            }
            if let Some(entry) = &record.entry {
                self.enter(entry, record.steady_ms)?;
            }
        }
        Ok(())
    }
}

fn reason(why: &str) -> &'static str {
    sched::cron_job::Reason::named(why).map_or("missed for no known reason", |why| match why.name() {
        "Suspended" => "missed: Suspended",
        "Forbidden" => "missed: Forbidden",
        "TooLate" => "missed: TooLate",
        "AgentDown" => "missed: AgentDown",
        "ClockNotPlausible" => "missed: ClockNotPlausible",
        "JumpedOver" => "missed: JumpedOver",
        "UnknownTimeZone" => "missed: UnknownTimeZone",
        "JobExists" => "missed: JobExists",
        _ => "missed: FailedCreate",
    })
}
