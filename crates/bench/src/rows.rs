//! What is measured: the rows of the table, their units, and what each should reach.

/// Who was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// The agent, or its runtime alone.
    Wick,
    /// `fork` and `exec` of the same program, compiled for this machine.
    ForkExec,
    /// `crun run` of the latter.
    Crun,
}

/// The unit a row's samples are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    PerSecond,
    PerMinute,
    Bytes,
}

impl Unit {
    /// More is better.
    pub(crate) fn is_rate(self) -> bool {
        self == Unit::PerSecond
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Unit::Seconds => "s",
            Unit::PerSecond => "1/s",
            Unit::PerMinute => "1/min",
            Unit::Bytes => "bytes",
        }
    }
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    /// What `--json` calls it.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    /// The most (of a rate, the least) it should be, in `unit`.
    pub(crate) goal: Option<f64>,
}

const fn row(key: &'static str, title: &'static str, unit: Unit, goal: Option<f64>) -> Row {
    Row { key, title, unit, goal }
}

pub(crate) const HELLO_CPU: Row = row("hello_cpu", "warm hello, runtime alone: CPU", Unit::Seconds, None);
pub(crate) const HELLO_WALL: Row = row("hello_wall", "  one at a time: wall", Unit::Seconds, None);
pub(crate) const HELLO_RATE: Row = row("hello_rate", "  64 in flight", Unit::PerSecond, None);
pub(crate) const COMPLETIONS: Row =
    row("completions", "durable completions, one Job, 32 at once", Unit::PerSecond, Some(5_000.0));
pub(crate) const POD_CPU: Row = row("pod_cpu", "  CPU for each", Unit::Seconds, None);
pub(crate) const POD_WRITTEN: Row = row("pod_written", "  written to disk for each", Unit::Bytes, None);
pub(crate) const POD_KEPT: Row = row("pod_kept", "  data directory's growth for each", Unit::Bytes, None);
pub(crate) const RSS_USED: Row = row("rss_used", "  agent's RSS after all of them", Unit::Bytes, None);
pub(crate) const LARGE: Row = row("large", "the same, completions 20,000, Indexed", Unit::PerSecond, None);
pub(crate) const RECOVERY: Row =
    row("recovery", "  killed in the middle: ready again after", Unit::Seconds, Some(2.0));
pub(crate) const SIMULATED: Row =
    row("simulated", "100,000 indexes, 500 at once, simulated: CPU", Unit::Seconds, Some(10.0));
pub(crate) const SIMULATED_RSS: Row =
    row("simulated_rss", "  the agent's growth by it, at most", Unit::Bytes, Some(100e6));
pub(crate) const NEXT_TYPICAL: Row = row("next_typical", "a schedule's next slot", Unit::Seconds, Some(1e-6));
pub(crate) const NEXT_WORST: Row = row("next_worst", "  the worst schedule", Unit::Seconds, Some(50e-6));
pub(crate) const FLEET_READY: Row =
    row("fleet_ready", "10,000 CronJobs: ready later by", Unit::Seconds, Some(0.2));
pub(crate) const FLEET_RSS: Row = row("fleet_rss", "  agent's RSS", Unit::Bytes, Some(60e6));
pub(crate) const DUE_P50: Row =
    row("due_p50", "1,000 due at one second, Jobs on record: p50", Unit::Seconds, None);
pub(crate) const DUE_P99: Row = row("due_p99", "  p99", Unit::Seconds, Some(0.1));
pub(crate) const YEAR: Row =
    row("year", "a year of 100 CronJobs every 15 minutes, simulated", Unit::Seconds, Some(60.0));
pub(crate) const YEAR_RSS: Row = row("year_rss", "  the agent's growth by it, at most", Unit::Bytes, None);
pub(crate) const LATENCY_P50: Row =
    row("latency_p50", "one Job, submit to Complete: p50", Unit::Seconds, Some(0.004));
pub(crate) const LATENCY_P99: Row = row("latency_p99", "  p99", Unit::Seconds, None);
pub(crate) const FIRST_P50: Row =
    row("first_instruction_p50", "submit to first guest instruction: p50", Unit::Seconds, None);
pub(crate) const COLD: Row = row("cold", "cold module, push to first output", Unit::Seconds, None);
pub(crate) const COLD_PUSH: Row =
    row("cold_push", "  the push's part of it, compilation included", Unit::Seconds, None);
pub(crate) const RSS_IDLE: Row = row("rss_idle", "agent's RSS, idle", Unit::Bytes, Some(20e6));
pub(crate) const RSS_SLEEPING: Row =
    row("rss_sleeping", "memory with 1,000 sleeping guests", Unit::Bytes, None);
pub(crate) const RSS_SLEEPER: Row = row("rss_sleeper", "  each guest's part of it", Unit::Bytes, None);
pub(crate) const WAKE_UPS: Row = row("wake_ups", "wake-ups of an idle agent", Unit::PerMinute, Some(2.0));
pub(crate) const SIZE_WICKD: Row = row("size_wickd", "size of `wickd`, stripped", Unit::Bytes, Some(16e6));
pub(crate) const SIZE_WICK: Row = row("size_wick", "size of `wick`, stripped", Unit::Bytes, Some(6e6));

/// All of them, in the table's order.
pub(crate) const ROWS: [&Row; 31] = [
    &HELLO_CPU,
    &HELLO_WALL,
    &HELLO_RATE,
    &COMPLETIONS,
    &POD_CPU,
    &POD_WRITTEN,
    &POD_KEPT,
    &RSS_USED,
    &LARGE,
    &RECOVERY,
    &SIMULATED,
    &SIMULATED_RSS,
    &NEXT_TYPICAL,
    &NEXT_WORST,
    &FLEET_READY,
    &FLEET_RSS,
    &DUE_P50,
    &DUE_P99,
    &YEAR,
    &YEAR_RSS,
    &LATENCY_P50,
    &LATENCY_P99,
    &FIRST_P50,
    &COLD,
    &COLD_PUSH,
    &RSS_IDLE,
    &RSS_SLEEPING,
    &RSS_SLEEPER,
    &WAKE_UPS,
    &SIZE_WICKD,
    &SIZE_WICK,
];
