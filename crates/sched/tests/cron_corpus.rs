//! Every answer Kubernetes gives, from a corpus that lies beside the project where it is developed and in CI.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use sched::cron::{Dst, Schedule, split_zone};
use serde_json::Value;

/// What Kubernetes' rules say of a zone's name before it is looked up; the rest is the database's.
fn zone(name: &str) -> Option<TimeZone> {
    let zone = TimeZoneDatabase::bundled().get(name).ok()?;
    // The database finds names whatever their case.
    (zone.iana_name() == Some(name)).then_some(zone)
}

fn answer(case: &Value, limit: usize) -> Result<Vec<String>, String> {
    let text = |key: &str| case[key].as_str().unwrap_or_default();
    let (mut expr, mut name) = (text("expr"), text("tz"));
    if let Some(split) = split_zone(expr) {
        (name, expr) = split.map_err(|error| error.to_string())?;
    }
    let zone = zone(if name.is_empty() { "UTC" } else { name }).ok_or_else(|| format!("no zone `{name}`"))?;
    let schedule = Schedule::parse(expr).map_err(|error| error.to_string())?;
    let mut at: Timestamp = case["start"].as_str().unwrap_or("2025-01-01T00:00:00Z").parse().unwrap();
    let mut slots = Vec::new();
    while slots.len() < limit {
        let Some(next) = schedule.next_after(at, &zone, Dst::Kubernetes) else { break };
        assert!(next > at, "{case}: {next} is not after {at}");
        slots.push(next.to_string());
        at = next;
    }
    Ok(slots)
}

#[test]
fn every_answer_is_kubernetes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cron-corpus.jsonl");
    let Ok(corpus) = std::fs::read_to_string(&path) else {
        assert!(std::env::var_os("CI").is_none(), "{} is not there", path.display());
        eprintln!("skipped: {} is not there", path.display());
        return;
    };
    let mut wrong = Vec::new();
    let mut cases = 0;
    for line in corpus.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        cases += 1;
        let limit = case["n"].as_u64().unwrap_or(0) as usize;
        let given = answer(&case, limit);
        let expected: Option<Vec<_>> =
            case["next"].as_array().map(|next| next.iter().filter_map(Value::as_str).collect());
        let right = match (&given, expected) {
            (Err(_), None) => case["error"] == true,
            (Ok(given), Some(expected)) => *given == expected,
            (Ok(_), None) => case["hang"] == true,
            (Err(_), Some(_)) => false,
        };
        if !right {
            wrong.push(format!("{line}\n    gave {given:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {cases} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases >= 1185, "only {cases} cases");
}
