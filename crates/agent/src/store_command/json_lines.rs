//! A record as a line of JSON, and back.

use anyhow::{Context, anyhow, bail};
use api::json::{from_node, to_json};
use api::node::Node;
use api::pb::wick::v1::{CronJobRecord, ImageRecord, JobRecord, PodRecord};
use engine::StoredRecord;
use serde_json::{Value, json};

/// What an export is, and how it is written; another one gets another number.
const TITLE: &str = "wick store export 1";

/// The first line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) revision: u64,
    pub(super) records: u64,
}

impl Head {
    pub(super) fn line(&self) -> String {
        json!({"export": TITLE, "revision": self.revision, "records": self.records}).to_string()
    }

    pub(super) fn parse(line: &str) -> anyhow::Result<Head> {
        let head: Value = serde_json::from_str(line).unwrap_or_default();
        if head["export"] != TITLE {
            bail!("this is no `{TITLE}`");
        }
        let number = |key: &str| head[key].as_u64().with_context(|| format!("{key}: must be a number"));
        Ok(Head { revision: number("revision")?, records: number("records")? })
    }
}

/// `record` is the object as kubectl shows it, where there is one; `control` is the rest.
pub(super) fn write(record: &StoredRecord) -> String {
    let (kind, object, control) = match record {
        StoredRecord::Meta(record) => ("Meta", None, to_json(record)),
        StoredRecord::Image(record) => ("Image", None, to_json(record)),
        StoredRecord::Ledger(record) => ("Ledger", None, to_json(record)),
        StoredRecord::Job(record) => {
            let control = JobRecord { job: None, ..record.clone() };
            ("Job", record.job.as_ref().map(to_json), to_json(&control))
        }
        StoredRecord::CronJob(record) => {
            let control = CronJobRecord { cron_job: None, ..record.clone() };
            ("CronJob", record.cron_job.as_ref().map(to_json), to_json(&control))
        }
        StoredRecord::Pod(record) => {
            let control = PodRecord { pod: None, ..record.clone() };
            ("Pod", record.pod.as_ref().map(to_json), to_json(&control))
        }
    };
    json!({"record": kind, "object": object, "control": control}).to_string()
}

/// Everything must be known, and of the right type.
pub(super) fn read(line: &str) -> anyhow::Result<StoredRecord> {
    let line =
        Node::from_json(line).map_err(|error| anyhow!("column {}: {}", error.column, error.message))?;
    let part = |name: &str| line.get(name).with_context(|| format!("{name}: missing"));
    let control = part("control")?;
    let object = match part("object")? {
        Node::Null => None,
        object => Some(object),
    };
    let wrong = |what: &'static str| move |errors: api::FieldErrors| anyhow!("{what}: {errors}");
    Ok(match part("record")?.as_text() {
        Some("Meta") => StoredRecord::Meta(from_node(control).map_err(wrong("control"))?),
        Some("Image") => StoredRecord::Image(from_node::<ImageRecord>(control).map_err(wrong("control"))?),
        Some("Ledger") => StoredRecord::Ledger(from_node(control).map_err(wrong("control"))?),
        Some("Job") => StoredRecord::Job(JobRecord {
            job: object.map(from_node).transpose().map_err(wrong("object"))?,
            ..from_node(control).map_err(wrong("control"))?
        }),
        Some("CronJob") => StoredRecord::CronJob(CronJobRecord {
            cron_job: object.map(from_node).transpose().map_err(wrong("object"))?,
            ..from_node(control).map_err(wrong("control"))?
        }),
        Some("Pod") => StoredRecord::Pod(PodRecord {
            pod: object.map(from_node).transpose().map_err(wrong("object"))?,
            ..from_node(control).map_err(wrong("control"))?
        }),
        _ => bail!("record: must be one of Meta, Job, CronJob, Pod, Image and Ledger"),
    })
}
