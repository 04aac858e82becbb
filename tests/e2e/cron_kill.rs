//! The agent is killed with SIGKILL again and again around the full minute, while CronJobs of every policy are due in it,
//! and once it is down across a whole minute: every minute is accounted for once, and no slot starts two Jobs.
//!
//! The guests keep a journal of their own, in a file that is none of the agent's, so that a Job nobody admits to is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::pb::wick::v1::{CronJobServiceGetRequest, HistoryServiceListRequest, LedgerEntry};
use serde_json::{Value, json};
use wick_tests::client::Client;
use wick_tests::{Node, manifest};

const MINUTE: i64 = 60;
/// How long a guest works: long enough to be killed at it.
const WORK_MS: u64 = 700;
/// When the agent dies, in milliseconds from a full minute: it is started again at once.
const DEATHS: [&[i64]; 3] = [&[-900, -350, 0, 150, 600], &[-500, -50, 40, 250], &[-1200, -200, 100, 900]];
/// Down from so long before a full minute …
const DOWN_FROM_MS: i64 = -400;
/// … until so long after the next one.
const DOWN_UNTIL_MS: i64 = 60_300;
/// The CronJobs, and what each does while an earlier Job runs.
const POLICIES: [(&str, &str); 3] = [("allow", "Allow"), ("forbid", "Forbid"), ("replace", "Replace")];

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Lets the time come: what happens then is what is tested, and nothing is waited for.
fn let_it_be(at_ms: i64) {
    thread::sleep(Duration::from_millis(u64::try_from(at_ms - now_ms()).unwrap_or(0)));
}

fn cron_job(name: &str, policy: &str, journal_dir: &Path) -> Value {
    let mut job = manifest::work("work", WORK_MS);
    manifest::pod(&mut job)["restartPolicy"] = "OnFailure".into();
    job["spec"]["backoffLimit"] = 100.into();
    let host = json!({"hostPath": {"path": journal_dir.to_str().unwrap()}});
    manifest::mount(&mut job, "journal", "/journal", host);
    manifest::set_env(&mut job, "JOURNAL", "/journal/lines");
    let mut cron_job = manifest::cron_job(name, "* * * * *", &job);
    cron_job["spec"]["concurrencyPolicy"] = policy.into();
    cron_job["spec"]["successfulJobsHistoryLimit"] = 100.into();
    cron_job
}

/// Says in the journal that all guests are dead: the agent is.
fn kill(node: &mut Node, journal: &Path) {
    node.kill();
    let mut file = File::options().append(true).create(true).open(journal).unwrap();
    file.write_all(b"killed\n").unwrap();
}

/// The ledger of a CronJob.
async fn entries(client: &Client, cron_job: &str) -> Vec<LedgerEntry> {
    let request = HistoryServiceListRequest { cron_job: cron_job.to_owned(), ..Default::default() };
    client.history().list(request).await.unwrap().into_inner().entries
}

#[test]
fn every_minute_is_accounted_for_once_although_the_agent_is_killed_around_it() {
    let mut node = Node::off(&[]);
    let journal_dir = node.path().join("journal");
    fs::create_dir(&journal_dir).unwrap();
    let journal = journal_dir.join("lines");
    node.add_flag("--allow-host-path", &journal_dir);
    node.boot();
    for (name, policy) in POLICIES {
        node.apply(&cron_job(name, policy, &journal_dir));
    }
    let created: BTreeMap<&str, i64> = node.block_on(async {
        let client = node.client().await;
        let mut created = BTreeMap::new();
        for (name, _) in POLICIES {
            let request = CronJobServiceGetRequest { name: name.to_owned(), ..Default::default() };
            let cron_job = client.cron_jobs().get(request).await.unwrap().into_inner().cron_job.unwrap();
            created.insert(name, cron_job.metadata.unwrap().creation_timestamp.unwrap().seconds);
        }
        created
    });

    let mut minute = next_minute(now_ms() + 2_000);
    for deaths in DEATHS {
        for death in deaths {
            // A start that took longer has used up the moment: it dies a little later then.
            let_it_be(minute * 1000 + death);
            kill(&mut node, &journal);
            node.boot();
        }
        minute += MINUTE;
    }
    let_it_be(minute * 1000 + DOWN_FROM_MS);
    kill(&mut node, &journal);
    let_it_be(minute * 1000 + DOWN_UNTIL_MS);
    node.boot();
    minute += MINUTE;

    // All it started comes to an end, but for what Replace has stopped.
    for (name, _) in POLICIES {
        node.job_when(&format!("{name}-{}", minute / MINUTE), |job| {
            let conditions = job.status.iter().flat_map(|status| &status.conditions);
            conditions.into_iter().any(|condition| condition.r#type == "Complete")
        });
    }
    let text = fs::read_to_string(&journal).unwrap();
    let mut started = BTreeSet::new();
    for (name, _) in POLICIES {
        let entries = node.block_on(async { entries(&node.client().await, name).await });
        println!("{name}:\n{}", told(&entries));
        let first = next_minute(created[name] * 1000);
        started.extend(check_slots(name, &entries, first, minute));
    }
    check_journal(&text, &started);
}

/// The first full minute after this, in seconds.
fn next_minute(at_ms: i64) -> i64 {
    (at_ms.div_euclid(1000 * MINUTE) + 1) * MINUTE
}

fn told(entries: &[LedgerEntry]) -> String {
    entries
        .iter()
        .map(|entry| {
            format!(
                "{} {} {:?} {:?} {} {}\n",
                entry.r#type,
                entry.job,
                entry.slot.or(entry.first).map(|at| at.seconds / MINUTE),
                entry.count,
                entry.reason,
                entry.attempts.len()
            )
        })
        .collect()
}

/// Every minute from the first to the last is covered by one entry; the names of the Jobs that were started.
fn check_slots(name: &str, entries: &[LedgerEntry], first: i64, last: i64) -> BTreeSet<String> {
    let mut covered: BTreeMap<i64, u32> = BTreeMap::new();
    let (mut started, mut uids) = (BTreeSet::new(), BTreeSet::new());
    for entry in entries {
        match entry.r#type.as_str() {
            "Started" => {
                let slot = entry.slot.unwrap().seconds;
                *covered.entry(slot).or_default() += 1;
                assert_eq!(entry.job, format!("{name}-{}", slot / MINUTE));
                assert!(started.insert(entry.job.clone()), "`{}` was started twice", entry.job);
                assert!(uids.insert(entry.job_uid.clone()), "two Jobs have one uid");
            }
            "Missed" => {
                let (first, last) = (entry.first.unwrap().seconds, entry.last.unwrap().seconds);
                let slots: Vec<i64> = (first..=last).step_by(usize::try_from(MINUTE).unwrap()).collect();
                assert_eq!(slots.len() as u64, entry.count, "{entry:?}");
                for slot in slots {
                    *covered.entry(slot).or_default() += 1;
                }
            }
            "Finished" => assert!(uids.contains(&entry.job_uid), "`{}` was never started", entry.job),
            _ => {}
        }
    }
    let wanted: BTreeMap<i64, u32> =
        (first..=last).step_by(usize::try_from(MINUTE).unwrap()).map(|slot| (slot, 1)).collect();
    assert_eq!(covered, wanted, "`{name}`:\n{}", told(entries));
    started
}

/// Only Jobs that were started ran, and none of them twice at once.
fn check_journal(text: &str, started: &BTreeSet<String>) {
    let mut alive: BTreeSet<&str> = BTreeSet::new();
    let mut interrupted = 0;
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["start", pod, _] => {
                let job = pod.rsplit_once('-').map_or("", |(job, _)| job);
                assert!(started.contains(job), "`{job}` ran, and was never started:\n{text}");
                assert!(alive.insert(job), "two guests of `{job}` live:\n{text}");
            }
            ["end", pod, _] => {
                let job = pod.rsplit_once('-').map_or("", |(job, _)| job);
                assert!(alive.remove(job), "`{job}` did not live:\n{text}");
            }
            ["killed"] => {
                interrupted += alive.len();
                alive.clear();
            }
            _ => panic!("not a line of the journal: {line}\n{text}"),
        }
    }
    println!("{} Jobs were started, {interrupted} guests were interrupted", started.len());
}
