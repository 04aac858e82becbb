//! What happens in a simulation as JSON, an object a line. The order of keys is part of the format.

use std::io::{self, Write};

use api::json::to_json;
use api::pb::k8s::meta::v1::ObjectMeta;
use api::pb::wick::v1::simulation_entry::What;
use api::pb::wick::v1::simulation_object::Object;
use api::pb::wick::v1::{
    SimulationChange, SimulationEntry, SimulationExit, SimulationGuest, SimulationObject, SimulationRefusal,
    SimulationStart, WatchEventType,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Writes entries as lines. What still exists at the end stands in the last one.
#[derive(Default)]
pub(super) struct Lines {
    /// Objects of the last line that are written already.
    remaining: usize,
}

impl Lines {
    pub(super) fn write(&mut self, entry: SimulationEntry, out: &mut impl Write) -> io::Result<()> {
        let t = json!(entry.t_ms as f64 / 1000.0);
        let line = match entry.what {
            Some(What::Change(change)) => {
                let time = entry.time.map_or(0, |time| time.seconds);
                change_line(t, time, change)
            }
            Some(What::Started(start)) => started(t, start),
            Some(What::Ended(exit)) => ended(t, exit),
            Some(What::Refused(refused)) => refusal(t, refused),
            Some(What::Ledger(entry)) => json!({ "t": t, "type": "LEDGER", "entry": to_json(&entry) }),
            Some(What::Remains(SimulationObject { object: Some(object) })) => {
                return self.remains(&t, object, out);
            }
            Some(What::Final(_)) => {
                self.begin_final(&t, out)?;
                return out.write_all(b"]}\n");
            }
            Some(What::Note(_) | What::Remains(SimulationObject { object: None })) | None => return Ok(()),
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")
    }

    /// The last line is written as its objects come: there may be many.
    fn remains(&mut self, t: &Value, object: Object, out: &mut impl Write) -> io::Result<()> {
        self.begin_final(t, out)?;
        if self.remaining > 1 {
            out.write_all(b",")?;
        }
        Ok(serde_json::to_writer(out, &in_full(object).3)?)
    }

    fn begin_final(&mut self, t: &Value, out: &mut impl Write) -> io::Result<()> {
        self.remaining += 1;
        if self.remaining == 1 { write!(out, "{{\"type\":\"FINAL\",\"t\":{t},\"objects\":[") } else { Ok(()) }
    }
}

fn change_line(t: Value, time: i64, change: SimulationChange) -> Value {
    let kind = match WatchEventType::try_from(change.r#type) {
        Ok(WatchEventType::Added) => "ADDED",
        Ok(WatchEventType::Deleted) => "DELETED",
        Ok(WatchEventType::Modified | WatchEventType::Bookmark | WatchEventType::Unspecified) | Err(_) => {
            "MODIFIED"
        }
    };
    let time = Timestamp::from_second(time).unwrap_or_default().to_string();
    let Some(object) = change.object.and_then(|object| object.object) else { return Value::Null };
    let (word, namespace, name, object) = in_full(object);
    json!({
        "t": t, "time": time, "type": kind, "kind": word, "namespace": namespace, "name": name, "object": object,
    })
}

/// An object with its kind, namespace and name.
fn in_full(object: Object) -> (&'static str, String, String, Value) {
    let (kind, value, meta) = match object {
        Object::Job(job) => ("Job", to_json(&job), job.metadata),
        Object::CronJob(cron_job) => ("CronJob", to_json(&cron_job), cron_job.metadata),
        Object::Pod(pod) => ("Pod", to_json(&pod), pod.metadata),
        Object::Event(event) => ("Event", to_json(&event), event.metadata),
    };
    let ObjectMeta { namespace, name, .. } = meta.unwrap_or_default();
    (kind, namespace, name, value)
}

fn guest(t: Value, kind: &str, guest: Option<SimulationGuest>) -> Map<String, Value> {
    let SimulationGuest { pod, container, start, index, .. } = guest.unwrap_or_default();
    let mut line = Map::new();
    line.insert("t".to_owned(), t);
    line.insert("type".to_owned(), kind.into());
    line.insert("pod".to_owned(), pod.into());
    line.insert("container".to_owned(), container.into());
    line.insert("start".to_owned(), start.into());
    if let Some(index) = index {
        line.insert("index".to_owned(), index.into());
    }
    line
}

fn started(t: Value, start: SimulationStart) -> Value {
    let mut line = guest(t, "START", start.guest);
    line.insert("args".to_owned(), start.args.into());
    line.insert(
        "env".to_owned(),
        start.env.into_iter().map(|(name, value)| (name, Value::String(value))).collect(),
    );
    Value::Object(line)
}

fn ended(t: Value, exit: SimulationExit) -> Value {
    let mut line = guest(t, "EXIT", exit.guest);
    line.insert("exit".to_owned(), exit.exit.into());
    line.insert("reason".to_owned(), exit.reason.into());
    Value::Object(line)
}

fn refusal(t: Value, refused: SimulationRefusal) -> Value {
    let mut error = json!({"kind": "Status", "apiVersion": "v1"});
    if let (Value::Object(error), Value::Object(fields)) =
        (&mut error, to_json(&refused.error.unwrap_or_default()))
    {
        error.extend(fields);
    }
    json!({"t": t, "type": "REFUSED", "action": refused.action, "error": error})
}
