//! What a record is, by its key: for loading, and for whoever looks at a store from outside.

use api::pb::wick::v1::{CronJobRecord, ImageRecord, JobRecord, LedgerRecord, MetaRecord, PodRecord};
use prost::Message;

use crate::engine::OpenError;
use crate::event::ObjectKey;
use crate::images::stored_name;
use crate::keys;
use crate::view::{cron_job_key, job_key, pod_key};

/// A record of the store, read.
#[derive(Clone, Debug, PartialEq)]
pub enum StoredRecord {
    /// The store's own facts.
    Meta(MetaRecord),
    /// A Job.
    Job(JobRecord),
    /// A CronJob.
    CronJob(CronJobRecord),
    /// A Pod.
    Pod(PodRecord),
    /// A name of an image.
    Image(ImageRecord),
    /// An entry of the ledger.
    Ledger(LedgerRecord),
}

impl StoredRecord {
    /// Reads what lies at `key`.
    pub fn decode(key: &[u8], bytes: &[u8]) -> Result<StoredRecord, OpenError> {
        fn read<M: Message + Default>(key: &[u8], bytes: &[u8]) -> Result<M, OpenError> {
            M::decode(bytes).map_err(|error| damaged(key, error.to_string()))
        }
        let record = if key == keys::META {
            StoredRecord::Meta(read(key, bytes)?)
        } else if key.starts_with(keys::JOBS) {
            StoredRecord::Job(read(key, bytes)?)
        } else if key.starts_with(keys::CRON_JOBS) {
            StoredRecord::CronJob(read(key, bytes)?)
        } else if key.starts_with(keys::PODS) {
            StoredRecord::Pod(read(key, bytes)?)
        } else if key.starts_with(keys::IMAGES) {
            StoredRecord::Image(read(key, bytes)?)
        } else if keys::ledger_id(key).is_some() {
            StoredRecord::Ledger(read(key, bytes)?)
        } else {
            return Err(damaged(key, "no such kind of record".into()));
        };
        Ok(record)
    }

    /// Where such a record lies. One that lies elsewhere would be found under a name it does not have.
    pub fn key(&self) -> Vec<u8> {
        let object = |prefix, key: ObjectKey| keys::object(prefix, &key);
        match self {
            StoredRecord::Meta(_) => keys::META.to_vec(),
            StoredRecord::Job(record) => {
                object(keys::JOBS, record.job.as_ref().map_or_else(|| ObjectKey::new("", ""), job_key))
            }
            StoredRecord::CronJob(record) => {
                let key = record.cron_job.as_ref().map_or_else(|| ObjectKey::new("", ""), cron_job_key);
                object(keys::CRON_JOBS, key)
            }
            StoredRecord::Pod(record) => {
                object(keys::PODS, record.pod.as_ref().map_or_else(|| ObjectKey::new("", ""), pod_key))
            }
            StoredRecord::Image(record) => keys::image(stored_name(record)),
            StoredRecord::Ledger(record) => keys::ledger(record.entry.as_ref().map_or(0, |entry| entry.id)),
        }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            StoredRecord::Meta(record) => record.encode_to_vec(),
            StoredRecord::Job(record) => record.encode_to_vec(),
            StoredRecord::CronJob(record) => record.encode_to_vec(),
            StoredRecord::Pod(record) => record.encode_to_vec(),
            StoredRecord::Image(record) => record.encode_to_vec(),
            StoredRecord::Ledger(record) => record.encode_to_vec(),
        }
    }
}

pub(crate) fn damaged(key: &[u8], why: String) -> OpenError {
    OpenError::Record { key: keys::shown(key), why }
}
