//! The samples, and the table and the JSON made of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::rows::{ROWS, Row, Unit, Who};
use crate::stats::median;

/// Everything measured so far.
#[derive(Default)]
pub(crate) struct Record {
    /// By the row's key.
    samples: BTreeMap<(&'static str, Who), Vec<f64>>,
    /// What a reader of the table should know besides; each is kept once.
    notes: Vec<String>,
    /// What could not be measured, and why.
    failures: Vec<String>,
}

impl Record {
    pub(crate) fn add(&mut self, row: &Row, who: Who, sample: f64) {
        self.samples.entry((row.key, who)).or_default().push(sample);
    }

    pub(crate) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(crate) fn failed(&mut self, what: &str, error: &anyhow::Error) {
        let failure = format!("{what}: {error:#}");
        if !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
    }

    pub(crate) fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    fn samples(&self, row: &Row, who: Who) -> &[f64] {
        self.samples.get(&(row.key, who)).map_or(&[], Vec::as_slice)
    }

    fn median(&self, row: &Row, who: Who) -> Option<f64> {
        median(self.samples(row, who))
    }

    /// The rows that have samples, then notes and failures.
    pub(crate) fn table(&self) -> String {
        let crun = self.samples.keys().any(|(_, who)| *who == Who::Crun);
        let mut lines = vec![header(crun)];
        lines.extend(ROWS.iter().filter_map(|row| self.line(row, crun)));
        let mut text = if lines.len() > 1 { aligned(&lines) } else { "nothing was measured\n".to_owned() };
        for (heading, items) in [("notes", &self.notes), ("not measured", &self.failures)] {
            for (at, item) in items.iter().enumerate() {
                let heading = if at == 0 { format!("\n{heading}:\n") } else { String::new() };
                let _ = writeln!(text, "{heading}  {item}"); // Into a String it cannot fail.
            }
        }
        text
    }

    fn line(&self, row: &Row, crun: bool) -> Option<Vec<String>> {
        let wick = self.median(row, Who::Wick)?;
        let beside = |who| {
            let other = self.median(row, who);
            let shown = other.map_or_else(|| "-".to_owned(), |other| shown(row.unit, other));
            let ratio = other.and_then(|other| ratio(row.unit, wick, other));
            [shown, ratio.unwrap_or_else(|| "-".to_owned())]
        };
        let mut cells =
            vec![row.title.to_owned(), shown(row.unit, wick), spread(self.samples(row, Who::Wick))];
        cells.extend(beside(Who::ForkExec));
        if crun {
            cells.extend(beside(Who::Crun));
        }
        cells.push(row.goal.map_or_else(String::new, |goal| goal_shown(row.unit, wick, goal)));
        Some(cells)
    }

    pub(crate) fn json(&self, machine: &Value) -> Value {
        let who = |row: &Row, who| {
            let samples = self.samples(row, who);
            median(samples).map(|median| json!({"median": median, "samples": samples}))
        };
        let rows = ROWS.iter().filter(|row| self.median(row, Who::Wick).is_some()).map(|row| {
            json!({
                "key": row.key,
                "title": row.title.trim_start(),
                "unit": row.unit.name(),
                "goal": row.goal,
                "wick": who(row, Who::Wick),
                "fork_exec": who(row, Who::ForkExec),
                "crun": who(row, Who::Crun),
            })
        });
        let rows: Vec<Value> = rows.collect();
        json!({"machine": machine, "rows": rows, "notes": self.notes, "not_measured": self.failures})
    }
}

fn header(crun: bool) -> Vec<String> {
    let mut cells = vec!["", "wick", "spread", "fork+exec", "better"];
    if crun {
        cells.extend(["crun", "better"]);
    }
    cells.push("goal");
    cells.into_iter().map(str::to_owned).collect()
}

/// How far apart the rounds were, of their median.
fn spread(samples: &[f64]) -> String {
    let (least, most) = samples
        .iter()
        .fold((f64::MAX, f64::MIN), |(least, most), &sample| (least.min(sample), most.max(sample)));
    match median(samples) {
        Some(median) if samples.len() > 1 && median > 0.0 => {
            format!("±{:.0} %", (most - least) / median * 50.0)
        }
        _ => String::new(),
    }
}

/// How many times better `wick` is than `other`; below 1 it is worse.
fn ratio(unit: Unit, wick: f64, other: f64) -> Option<String> {
    let ratio = if unit.is_rate() { wick / other } else { other / wick };
    ratio.is_finite().then(|| match ratio {
        1000.0.. => format!("{}×", grouped(ratio)),
        10.0.. => format!("{ratio:.0}×"),
        1.0.. => format!("{ratio:.1}×"),
        _ => format!("{ratio:.2}×"),
    })
}

fn goal_shown(unit: Unit, wick: f64, goal: f64) -> String {
    let (sign, met) = if unit.is_rate() { ('≥', wick >= goal) } else { ('≤', wick <= goal) };
    format!("{sign} {}{}", shown(unit, goal), if met { "" } else { "  missed" })
}

/// A number with three digits that count, and its unit.
fn shown(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Seconds => scaled(value, &[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs")]),
        Unit::Bytes => scaled(value, &[(1e6, "MB"), (1e3, "kB"), (1.0, "B")]),
        Unit::PerSecond => format!("{}/s", grouped(value)),
        Unit::PerMinute => format!("{}/min", three(value)),
    }
}

fn scaled(value: f64, scales: &[(f64, &str)]) -> String {
    let fits = scales.iter().find(|(scale, _)| value >= *scale).or(scales.last());
    fits.map_or_else(|| three(value), |(scale, name)| format!("{} {name}", three(value / scale)))
}

fn three(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.2}"),
    }
}

/// `12,345`.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The first column to the left, the last one too, the others to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for cells in lines {
        let mut line = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let width = widths[column];
            let cell = match column {
                0 => format!("{cell:<width$}"),
                _ if column + 1 == columns => format!("   {cell}"),
                _ => format!("  {cell:>width$}"),
            };
            line += &cell;
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::rows::{COMPLETIONS, HELLO_CPU, LATENCY_P50, RSS_IDLE, WAKE_UPS};

    #[test]
    fn each_row_stands_beside_fork_and_exec() {
        let mut record = Record::default();
        for (wick, native) in [(9e-6, 1.1e-3), (8e-6, 1.0e-3), (8.5e-6, 0.9e-3)] {
            record.add(&HELLO_CPU, Who::Wick, wick);
            record.add(&HELLO_CPU, Who::ForkExec, native);
        }
        record.add(&COMPLETIONS, Who::Wick, 12_345.0);
        record.add(&COMPLETIONS, Who::ForkExec, 1_900.0);
        record.add(&LATENCY_P50, Who::Wick, 0.0051);
        record.add(&LATENCY_P50, Who::ForkExec, 0.0011);
        record.add(&RSS_IDLE, Who::Wick, 14_200_000.0);
        record.add(&WAKE_UPS, Who::Wick, 0.0);
        record.note("the agent's threads".to_owned());
        record.note("the agent's threads".to_owned());
        record.failed("cold", &anyhow::anyhow!("no answer").context("the log"));
        check(
            &record,
            expect![[r#"
                                                              wick  spread  fork+exec  better   goal
                warm hello, runtime alone: CPU             8.50 µs    ±6 %    1.00 ms    118×
                durable completions, one Job, 32 at once  12,345/s            1,900/s    6.5×   ≥ 5,000/s
                one Job, submit to Complete: p50           5.10 ms            1.10 ms   0.22×   ≤ 4.00 ms  missed
                agent's RSS, idle                          14.2 MB                  -       -   ≤ 20.0 MB
                wake-ups of an idle agent                    0/min                  -       -   ≤ 2.00/min

                notes:
                  the agent's threads

                not measured:
                  cold: the log: no answer
            "#]],
        );
    }

    #[test]
    fn crun_has_columns_where_it_was_measured() {
        let mut record = Record::default();
        for (who, sample) in [(Who::Wick, 0.001), (Who::ForkExec, 0.002), (Who::Crun, 0.02)] {
            record.add(&LATENCY_P50, who, sample);
        }
        check(
            &record,
            expect![[r#"
                                                     wick  spread  fork+exec  better     crun  better   goal
                one Job, submit to Complete: p50  1.00 ms            2.00 ms    2.0×  20.0 ms     20×   ≤ 4.00 ms
            "#]],
        );
    }

    #[test]
    fn the_json_keeps_every_sample() {
        let mut record = Record::default();
        record.add(&RSS_IDLE, Who::Wick, 1.0);
        record.add(&RSS_IDLE, Who::Wick, 3.0);
        let json = record.json(&json!({"cores": 2}));
        assert_eq!(json["rows"][0]["key"], "rss_idle");
        assert_eq!(json["rows"][0]["wick"], json!({"median": 2.0, "samples": [1.0, 3.0]}));
        assert_eq!(json["rows"][0]["crun"], Value::Null);
        assert_eq!(json["machine"]["cores"], 2);
    }

    fn check(record: &Record, wanted: Expect) {
        wanted.assert_eq(&record.table());
    }
}
