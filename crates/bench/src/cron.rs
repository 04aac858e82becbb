//! CronJobs: how long a schedule takes to be worked out, what many cost an agent, and how soon after their second they start.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sched::cron::{Dst, Schedule};

use crate::measures::Bench;
use crate::proc;
use crate::rows::{DUE_P50, DUE_P99, FLEET_READY, FLEET_RSS, NEXT_TYPICAL, NEXT_WORST, Who, YEAR, YEAR_RSS};
use crate::stats::{median, percentile};
use crate::table::Record;

/// What people write.
const TYPICAL: [&str; 6] =
    ["* * * * *", "*/15 * * * *", "0 3 * * *", "30 2 * * 1-5", "0 0 1 * *", "15 4 * * sun"];
/// What takes longest to find, if it is ever found.
const HOSTILE: [&str; 6] =
    ["0 0 29 2 *", "0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "59 23 29 2 1", ", * * * *", "0 0 29 2 */7"];
const ZONES: [&str; 5] =
    ["UTC", "Europe/Berlin", "America/New_York", "Africa/Casablanca", "Australia/Lord_Howe"];
/// What takes longest of all: a search that meets a day that is left out, or many changes one after the other.
const AT_CHANGES: [(&str, &str, &str); 4] = [
    ("* * 30 12 *", "Pacific/Apia", "2011-09-24T14:30:00Z"),
    ("* * 30 12 *", "Pacific/Fakaofo", "2011-12-27T10:59:55Z"),
    ("*/5 * 31 12 *", "Asia/Manila", "1844-12-28T15:56:03Z"),
    ("0 0 1 10 *", "America/Punta_Arenas", "1927-08-30T04:42:45Z"),
];
/// Instants each is asked at, some days apart.
const INSTANTS: i64 = 400;

const FLEET: usize = 10_000;
const AT_ONCE: usize = 1_000;

/// How long one look for the next slot takes.
pub(crate) fn next(record: &mut Record) -> Result<()> {
    record.add(&NEXT_TYPICAL, Who::Wick, median(&looks(&TYPICAL)?).context("nothing was measured")?);
    let mut worst = looks(&HOSTILE)?;
    for (text, zone, after) in AT_CHANGES {
        worst.push(look(&Schedule::parse(text)?, &TimeZone::get(zone)?, after.parse()?));
    }
    let worst = worst.into_iter().fold(0.0, f64::max);
    record.add(&NEXT_WORST, Who::Wick, worst);
    Ok(())
}

/// Seconds for a look, for each schedule in each zone: the median over its instants.
fn looks(schedules: &[&str]) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for zone in ZONES {
        let zone = TimeZone::get(zone)?;
        for text in schedules {
            let schedule = Schedule::parse(text)?;
            let mut samples = Vec::new();
            for at in 0..INSTANTS {
                let after = Timestamp::from_second(1_780_000_000 + at * 500_003)?;
                samples.push(look(&schedule, &zone, after));
            }
            times.extend(median(&samples));
        }
    }
    Ok(times)
}

/// Seconds for one look, the quickest of several: whatever else the machine does takes none away.
fn look(schedule: &Schedule, zone: &TimeZone, after: Timestamp) -> f64 {
    let once = || {
        let began = Instant::now();
        black_box(schedule.next_after(black_box(after), zone, Dst::Kubernetes));
        began.elapsed().as_secs_f64()
    };
    (0..3).map(|_| once()).fold(f64::INFINITY, f64::min)
}

/// An agent with many CronJobs, none of which is due.
pub(crate) async fn fleet(bench: &Bench, record: &mut Record) -> Result<()> {
    let (agent, client) = bench.agent_with("hello").await?;
    let empty = {
        drop(client);
        let (agent, ready_after) = agent.kill_and_start(&bench.wickd)?;
        (agent, ready_after)
    };
    let (agent, without) = empty;
    let client = agent.client().await?;
    for first in (0..FLEET).step_by(500) {
        let mut manifest = String::new();
        for at in first..first + 500 {
            let (month, day) = (1 + at % 12, 1 + at % 28);
            write!(manifest, "{}", cron_job(&format!("fleet-{at}"), &format!("0 0 {day} {month} *")))?;
        }
        client.apply(&manifest).await?;
    }
    drop(client);
    let (agent, with) = agent.kill_and_start(&bench.wickd)?;
    record.add(&FLEET_READY, Who::Wick, (with - without).max(0.0));
    record.add(&FLEET_RSS, Who::Wick, proc::rss(agent.pid())?);
    agent.stop()
}

/// Many CronJobs that are due at the same second.
pub(crate) async fn due(bench: &Bench, record: &mut Record) -> Result<()> {
    let (agent, client) = bench.agent_with("hello").await?;
    // Another minute, if this one is nearly over.
    let soon = now()?.as_secs() % 60;
    if soon > 40 {
        tokio::time::sleep(Duration::from_secs(61 - soon)).await;
    }
    let minute = (now()?.as_secs() / 60 + 1) * 60;
    let (hour, minute_of_hour) = (minute / 3600 % 24, minute / 60 % 60);
    let mut manifest = String::new();
    for at in 0..AT_ONCE {
        let schedule = format!("{minute_of_hour} {hour} * * *");
        write!(manifest, "{}", cron_job(&format!("due-{at}"), &schedule))?;
    }
    let mut watch = client.watch().await?;
    client.apply(&manifest).await?;
    ensure!(now()?.as_secs() < minute, "the CronJobs were not stored before they were due");
    let mut late = Vec::with_capacity(AT_ONCE);
    while late.len() < AT_ONCE {
        watch.added().await?;
        late.push((now()? - Duration::from_secs(minute)).as_secs_f64());
    }
    record.add(&DUE_P50, Who::Wick, percentile(&late, 50).context("no Job was started")?);
    record.add(&DUE_P99, Who::Wick, percentile(&late, 99).context("no Job was started")?);
    agent.stop()
}

/// A year of a fleet, on a clock of its own.
pub(crate) async fn year(bench: &Bench, record: &mut Record) -> Result<()> {
    let agent = bench.agent()?;
    let client = agent.client().await?;
    let rss = proc::rss(agent.pid())?;
    let mut scenario = String::from(
        "start: 2026-01-01T00:00:00Z\nuntil: 2027-01-01T00:00:00Z\nnode: {timeZone: Europe/Berlin}\nguests: [{run: 20s}]\nobjects:\n",
    );
    for at in 0..100 {
        writeln!(scenario, "- {}", body(&format!("every-15-{at}"), "*/15 * * * *"))?;
    }
    let began = Instant::now();
    let end = client.simulate(&scenario).await?;
    ensure!(end.slots_started > 3_400_000, "only so many slots started a Job: {end:?}");
    record.add(&YEAR, Who::Wick, began.elapsed().as_secs_f64());
    record.add(&YEAR_RSS, Who::Wick, (proc::rss_peak(agent.pid())? - rss).max(0.0));
    agent.stop()
}

fn now() -> Result<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")
}

fn cron_job(name: &str, schedule: &str) -> String {
    format!("---\n{}\n", body(name, schedule))
}

fn body(name: &str, schedule: &str) -> String {
    format!(
        "{{apiVersion: batch/v1, kind: CronJob, metadata: {{name: {name}}}, spec: {{schedule: '{schedule}', jobTemplate: \
         {{spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: main, image: hello}}]}}}}}}}}}}}}"
    )
}
