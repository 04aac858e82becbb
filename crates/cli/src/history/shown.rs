//! How entries of the history are shown.

use std::borrow::Cow;

use api::pb::wick::v1::{Attempt, LedgerEntry, RunOverrides};
use jiff::Timestamp;

use crate::age;
use crate::clock::{Clock, time};
use crate::columns::NONE;
use crate::table::{Table, size};

/// The type of an entry about runs of a Job that goes on.
pub(super) const RAN: &str = "Ran";
const DELETED: &str = "Deleted";

/// A row for each entry but those that have nothing but runs.
pub(super) fn entries(entries: &[LedgerEntry], wide: bool, namespaces: bool, clock: &Clock) -> Table {
    let mut table = Table::new(match wide {
        false => &["TIME", "CRONJOB", "SLOT", "WHAT", "DURATION", "ATTEMPTS"],
        true => &[
            "TIME",
            "CRONJOB",
            "SLOT",
            "WHAT",
            "DURATION",
            "ATTEMPTS",
            "EXITS",
            "CPU",
            "FUEL",
            "MEMORY",
            "OVERRIDES",
        ],
    });
    let told: Vec<&LedgerEntry> = entries.iter().filter(|entry| entry.r#type != RAN).collect();
    for entry in &told {
        let attempts = entry.attempts.len() as u64 + entry.more_attempts;
        let mut row = vec![
            time(entry.recorded_at.as_ref())
                .filter(|_| entry.id > 0)
                .map_or("now".to_owned(), |at| moment(at, clock)),
            if entry.cron_job.is_empty() { NONE.to_owned() } else { entry.cron_job.clone() },
            slots(entry, clock),
            what(entry),
            length(entry),
            if attempts > 0 { attempts.to_string() } else { String::new() },
        ];
        if wide {
            row.extend(sums(entry));
            row.push(entry.overrides.as_ref().map_or(String::new(), overrides));
        }
        table.rows.push(row);
    }
    if namespaces {
        table.put_first("NAMESPACE", told.iter().map(|entry| entry.namespace.clone()));
    }
    table
}

/// A row for each run.
pub(super) fn runs(entries: &[LedgerEntry], clock: &Clock) -> Table {
    let mut table = Table::new(&[
        "ENDED",
        "POD",
        "CONTAINER",
        "START",
        "EXIT",
        "STATUS",
        "WALL",
        "CPU",
        "FUEL",
        "MEMORY",
    ]);
    let runs: Vec<&Attempt> = entries.iter().flat_map(|entry| &entry.attempts).collect();
    for run in &runs {
        table.rows.push(vec![
            time(run.finished_at.as_ref()).map_or(String::new(), |at| moment(at, clock)),
            run.pod.clone(),
            run.container.clone(),
            run.start.to_string(),
            run.exit_code.to_string(),
            run.reason.clone(),
            micros(run.wall_us),
            micros(run.cpu_us),
            run.fuel.map_or(String::new(), |fuel| fuel.to_string()),
            size(run.peak_memory_bytes),
        ]);
    }
    if runs.iter().any(|run| run.index.is_some()) {
        table.put_at(
            2,
            "INDEX",
            runs.iter().map(|run| run.index.map_or(String::new(), |index| index.to_string())),
        );
    }
    table
}

/// What happened, in words.
fn what(entry: &LedgerEntry) -> String {
    let LedgerEntry { job, reason, .. } = entry;
    match entry.r#type.as_str() {
        "Started" => format!("started {job}"),
        "Triggered" => format!("started {job} by hand"),
        "Missed" => {
            let slots = if entry.count == 1 { "slot" } else { "slots" };
            let so_far = if entry.id == 0 { " so far" } else { "" };
            format!("missed {} {slots}{so_far}: {reason}", entry.count)
        }
        "Finished" if reason == DELETED => format!("{job} was deleted before its end"),
        "Finished" if entry.failed => format!("{job} failed: {reason}"),
        "Finished" => format!("{job} succeeded"),
        other => format!("{other} {job}"),
    }
}

/// The slots it is about.
fn slots(entry: &LedgerEntry, clock: &Clock) -> String {
    let at = |wire: &Option<_>| time(wire.as_ref());
    match (at(&entry.slot), at(&entry.first), at(&entry.last)) {
        (Some(slot), _, _) => slot_time(slot, clock),
        (None, Some(first), Some(last)) if first < last => {
            let (from, to) = (slot_time(first, clock), slot_time(last, clock));
            // The day once, if it is the same.
            let to = match (from.split_once(' '), to.split_once(' ')) {
                (Some((day, _)), Some((same, time))) if day == same => time.to_owned(),
                _ => to,
            };
            format!("{from} to {to}")
        }
        (None, Some(first), _) => slot_time(first, clock),
        (None, None, _) => String::new(),
    }
}

/// How long a Job took.
fn length(entry: &LedgerEntry) -> String {
    match (time(entry.started_at.as_ref()), time(entry.finished_at.as_ref())) {
        (Some(start), Some(end)) => age::between(start, end),
        _ => String::new(),
    }
}

/// Exits, CPU time, fuel and memory of all runs that are told; a `+` where there were more.
fn sums(entry: &LedgerEntry) -> [String; 4] {
    let runs = &entry.attempts;
    if runs.is_empty() {
        return Default::default();
    }
    let more = if entry.more_attempts > 0 { "+" } else { "" };
    let cpu = runs.iter().fold(0_u64, |sum, run| sum.saturating_add(run.cpu_us));
    let fuel = runs.iter().filter_map(|run| run.fuel).reduce(u64::saturating_add);
    let memory = runs.iter().map(|run| run.peak_memory_bytes).max().unwrap_or_default();
    [
        exits(runs),
        micros(cpu) + more,
        fuel.map_or(String::new(), |fuel| format!("{fuel}{more}")),
        size(memory),
    ]
}

/// `Error(3) ×2, Completed`: each way to end, in the order in which they came first.
fn exits(runs: &[Attempt]) -> String {
    let mut ways: Vec<(Cow<'_, str>, usize)> = Vec::new();
    for run in runs {
        let way: Cow<'_, str> = match run.reason.as_str() {
            "Error" => format!("Error({})", run.exit_code).into(),
            reason => reason.into(),
        };
        match ways.iter_mut().find(|(known, _)| *known == way) {
            Some((_, count)) => *count += 1,
            None => ways.push((way, 1)),
        }
    }
    let said =
        ways.into_iter().map(|(way, count)| if count > 1 { format!("{way} ×{count}") } else { way.into() });
    said.collect::<Vec<String>>().join(", ")
}

/// `A=b, args x y, fuel 100`.
fn overrides(overrides: &RunOverrides) -> String {
    let mut parts: Vec<String> =
        overrides.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !overrides.args.is_empty() {
        parts.push(format!("args {}", overrides.args.join(" ")));
    }
    parts.extend(overrides.fuel.map(|fuel| format!("fuel {fuel}")));
    parts.join(", ")
}

fn moment(at: Timestamp, clock: &Clock) -> String {
    at.to_zoned(clock.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Slots are nearly always whole minutes.
fn slot_time(at: Timestamp, clock: &Clock) -> String {
    let form = if at.as_second() % 60 == 0 { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %H:%M:%S" };
    at.to_zoned(clock.zone.clone()).strftime(form).to_string()
}

/// A length of time in microseconds, in few characters.
fn micros(us: u64) -> String {
    let tenths = |large: u64, name: &str| format!("{}.{}{name}", us / large, us % large / (large / 10));
    match us {
        0..1000 => format!("{us}µs"),
        1000..10_000 => tenths(1000, "ms"),
        10_000..1_000_000 => format!("{}ms", us / 1000),
        1_000_000..10_000_000 => tenths(1_000_000, "s"),
        10_000_000.. => {
            let end =
                i64::try_from(us / 1_000_000).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
            age::between(Timestamp::UNIX_EPOCH, end.unwrap_or(Timestamp::MAX))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ago, noon};
    use crate::screen::Screen;
    use crate::table::Widths;
    use expect_test::{Expect, expect};

    fn entry(id: u64, kind: &str, cron_job: &str, job: &str) -> LedgerEntry {
        LedgerEntry {
            id,
            r#type: kind.into(),
            recorded_at: ago(600 - i64::try_from(id).unwrap()),
            namespace: "default".into(),
            cron_job: cron_job.into(),
            job: job.into(),
            ..LedgerEntry::default()
        }
    }

    fn run(exit_code: i32, reason: &str) -> Attempt {
        Attempt {
            pod: "hello-x7k2p".into(),
            container: "main".into(),
            start: 1,
            exit_code,
            reason: reason.into(),
            finished_at: ago(500),
            wall_us: 12_345_678,
            cpu_us: 4_321,
            fuel: Some(90_000),
            peak_memory_bytes: 3 << 19,
            ..Attempt::default()
        }
    }

    /// One of each.
    fn all() -> Vec<LedgerEntry> {
        let finished = |entry| LedgerEntry { started_at: ago(660), finished_at: ago(600), ..entry };
        vec![
            LedgerEntry { slot: ago(600), ..entry(1, "Started", "nightly", "nightly-29919770") },
            finished(LedgerEntry {
                slot: ago(600),
                reason: "Completed".into(),
                attempts: vec![run(3, "Error"), run(0, "Completed"), run(3, "Error")],
                ..entry(2, "Finished", "nightly", "nightly-29919770")
            }),
            LedgerEntry {
                first: ago(540),
                last: ago(0),
                count: 10,
                reason: "Forbidden".into(),
                ..entry(3, "Missed", "nightly", "")
            },
            LedgerEntry {
                first: ago(86_400),
                last: ago(86_395),
                count: 2,
                reason: "TooLate".into(),
                ..entry(4, "Missed", "nightly", "")
            },
            LedgerEntry { manual: true, ..entry(5, "Triggered", "nightly", "by-hand") },
            LedgerEntry { attempts: vec![run(1, "Error")], ..entry(6, "Ran", "", "busy") },
            finished(LedgerEntry {
                failed: true,
                manual: true,
                reason: "BackoffLimitExceeded".into(),
                more_attempts: 1000,
                attempts: vec![run(137, "OOMKilled")],
                overrides: Some(RunOverrides {
                    env: [("MODE".to_owned(), "full".to_owned())].into(),
                    args: vec!["-v".into(), "all".into()],
                    fuel: Some(1_000_000),
                    ..RunOverrides::default()
                }),
                ..entry(7, "Finished", "nightly", "by-hand")
            }),
            LedgerEntry { reason: "Deleted".into(), ..entry(8, "Finished", "", "hello") },
            LedgerEntry {
                first: ago(90_000),
                last: ago(60),
                count: 1,
                reason: "Suspended".into(),
                ..entry(0, "Missed", "weekly", "")
            },
        ]
    }

    #[test]
    fn every_kind_of_entry_is_a_line_that_can_be_read() {
        check(
            &entries(&all(), false, false, &noon()),
            expect![[r#"
            TIME                  CRONJOB   SLOT                                   WHAT                                   DURATION   ATTEMPTS
            2026-11-20 14:50:01   nightly   2026-11-20 14:50                       started nightly-29919770
            2026-11-20 14:50:02   nightly   2026-11-20 14:50                       nightly-29919770 succeeded             60s        3
            2026-11-20 14:50:03   nightly   2026-11-20 14:51 to 15:00              missed 10 slots: Forbidden
            2026-11-20 14:50:04   nightly   2026-11-19 15:00 to 15:00:05           missed 2 slots: TooLate
            2026-11-20 14:50:05   nightly                                          started by-hand by hand
            2026-11-20 14:50:07   nightly                                          by-hand failed: BackoffLimitExceeded   60s        1001
            2026-11-20 14:50:08   <none>                                           hello was deleted before its end
            now                   weekly    2026-11-19 14:00 to 2026-11-20 14:59   missed 1 slot so far: Suspended
        "#]],
        );
    }

    #[test]
    fn more_is_shown_where_it_is_wide() {
        let some: Vec<LedgerEntry> =
            all().into_iter().filter(|entry| entry.r#type == "Finished" && entry.id < 8).collect();
        check(
            &entries(&some, true, true, &noon()),
            expect![[r#"
            NAMESPACE   TIME                  CRONJOB   SLOT               WHAT                                   DURATION   ATTEMPTS   EXITS                    CPU      FUEL     MEMORY   OVERRIDES
            default     2026-11-20 14:50:02   nightly   2026-11-20 14:50   nightly-29919770 succeeded             60s        3          Error(3) ×2, Completed   12ms     270000   1.5MiB
            default     2026-11-20 14:50:07   nightly                      by-hand failed: BackoffLimitExceeded   60s        1001       OOMKilled                4.3ms+   90000+   1.5MiB   MODE=full, args -v all, fuel 1000000
        "#]],
        );
    }

    #[test]
    fn each_run_has_a_line() {
        check(
            &runs(&all(), &noon()),
            expect![[r#"
            ENDED                 POD           CONTAINER   START   EXIT   STATUS      WALL   CPU     FUEL    MEMORY
            2026-11-20 14:51:40   hello-x7k2p   main        1       3      Error       12s    4.3ms   90000   1.5MiB
            2026-11-20 14:51:40   hello-x7k2p   main        1       0      Completed   12s    4.3ms   90000   1.5MiB
            2026-11-20 14:51:40   hello-x7k2p   main        1       3      Error       12s    4.3ms   90000   1.5MiB
            2026-11-20 14:51:40   hello-x7k2p   main        1       1      Error       12s    4.3ms   90000   1.5MiB
            2026-11-20 14:51:40   hello-x7k2p   main        1       137    OOMKilled   12s    4.3ms   90000   1.5MiB
        "#]],
        );
        let mut indexed = all();
        indexed[1].attempts[1].index = Some(7);
        check(
            &runs(&indexed[1..2], &noon()),
            expect![[r#"
            ENDED                 POD           INDEX   CONTAINER   START   EXIT   STATUS      WALL   CPU     FUEL    MEMORY
            2026-11-20 14:51:40   hello-x7k2p           main        1       3      Error       12s    4.3ms   90000   1.5MiB
            2026-11-20 14:51:40   hello-x7k2p   7       main        1       0      Completed   12s    4.3ms   90000   1.5MiB
            2026-11-20 14:51:40   hello-x7k2p           main        1       3      Error       12s    4.3ms   90000   1.5MiB
        "#]],
        );
    }

    #[test]
    fn lengths_of_time_are_short() {
        let some =
            [0, 999, 1000, 9_999, 10_000, 999_999, 1_000_000, 9_999_999, 10_000_000, 125_000_000, u64::MAX];
        expect!["0µs 999µs 1.0ms 9.9ms 10ms 999ms 1.0s 9.9s 10s 2m5s 8035y"]
            .assert_eq(&some.map(micros).join(" "));
    }

    fn check(table: &Table, wanted: Expect) {
        wanted.assert_eq(&table.text(true, &mut Widths::default(), Screen::PLAIN));
    }
}
