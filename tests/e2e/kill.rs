//! The agent is killed with SIGKILL, over and over, while a Job runs: nothing acknowledged is lost, the Job completes
//! exactly, and never do more guests live than it allows. Once with containers that restart in their Pods, which is the
//! long story, and once with Pods that are replaced.
//!
//! The guests keep a journal of their own, in a file that is none of the agent's. A guest that dies with the agent leaves
//! a start without an end; so the test writes a line of its own after each death, before the agent is started again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::pb::k8s::batch::v1::Job;
use api::pb::k8s::core::v1::Pod;
use api::pb::wick::v1::{
    ImageServiceListRequest, JobServiceDeleteRequest, JobServiceListRequest, JobServiceUpdateRequest,
    PodServiceListRequest,
};
use serde_json::{Value, json};
use wick_tests::client::{Client, pods_of};
use wick_tests::{Node, manifest, name_of, phase, restarts};

use crate::grpc_images::tiny;

const PARALLELISM: i32 = 4;
/// How long a guest works.
const WORK_MS: u64 = 200;
/// The longest an agent lives, from when it can be asked.
const LIFE_MAX_MS: u64 = 500;
/// The longest an agent lives that is killed while it starts.
const BOOT_MAX_MS: u64 = 400;
/// Objects made in one round, so that the test is about deaths and not about numbers.
const NEW_JOBS_A_ROUND: u32 = 8;
/// Makes a run like another one, as far as chance decides it.
const SEED: &str = "WICK_E2E_SEED";
/// The label that counts a kept Job's updates.
const STEP: &str = "step";

/// What is run, and how often the agent dies meanwhile.
struct Story {
    restart_policy: &'static str,
    completions: i32,
    rounds: u32,
    /// In so many rounds at least the Job must not be complete yet, or the story tells nothing.
    at_work: u32,
}

/// SplitMix64: enough chance for moments.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn millis(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.below(most * 1000))
    }
}

/// Everything the agent has acknowledged, or shown.
struct Acknowledged {
    story: Story,
    /// Uid to name and number of updates.
    jobs: BTreeMap<String, (String, u64)>,
    deleted: BTreeSet<String>,
    images: BTreeSet<String>,
    /// Of the Job that runs: uid to name, phase and restarts.
    pods: BTreeMap<String, (String, String, i32)>,
    succeeded: i32,
    next_job: u32,
}

fn uid(job: &Job) -> &str {
    &job.metadata.as_ref().unwrap().uid
}

fn step(job: &Job) -> u64 {
    job.metadata.as_ref().unwrap().labels.get(STEP).map_or(0, |step| step.parse().unwrap())
}

fn succeeded(job: &Job) -> i32 {
    job.status.as_ref().map_or(0, |status| status.succeeded)
}

fn the_job(story: &Story, journal_dir: &Path) -> Value {
    let mut job = manifest::work("work", WORK_MS);
    job["spec"]["completions"] = story.completions.into();
    job["spec"]["parallelism"] = PARALLELISM.into();
    job["spec"]["backoffLimit"] = 1000.into();
    manifest::pod(&mut job)["restartPolicy"] = story.restart_policy.into();
    let host = json!({"hostPath": {"path": journal_dir.to_str().unwrap()}});
    manifest::mount(&mut job, "journal", "/journal", host);
    manifest::set_env(&mut job, "JOURNAL", "/journal/lines");
    job
}

/// A Job without Pods: there only to be kept.
fn kept(number: u32) -> Job {
    let mut job = manifest::job(&format!("kept-{number}"), "nothing");
    job["spec"]["parallelism"] = 0.into();
    job["metadata"]["labels"] = json!({STEP: "0"});
    manifest::message(&job)
}

impl Acknowledged {
    fn new(story: Story) -> Acknowledged {
        Acknowledged {
            story,
            jobs: BTreeMap::new(),
            deleted: BTreeSet::new(),
            images: BTreeSet::new(),
            pods: BTreeMap::new(),
            succeeded: 0,
            next_job: 0,
        }
    }

    /// A client that makes, changes, deletes and looks at things, for as long as it is let.
    async fn keep_asking(&mut self, client: &Client, chance: &mut Chance) {
        let mut made = 0;
        loop {
            match chance.below(6) {
                0 | 1 if made < NEW_JOBS_A_ROUND => {
                    made += 1;
                    self.next_job += 1;
                    let job = client.create(kept(self.next_job)).await.unwrap();
                    self.jobs.insert(uid(&job).to_owned(), (format!("kept-{}", self.next_job), 0));
                }
                2 => self.update_one(client, chance).await,
                3 if made > 0 && chance.below(3) == 0 => self.delete_one(client, chance).await,
                4 if chance.below(4) == 0 => {
                    let name = format!("kept:{}", self.images.len());
                    client.push(&name, &tiny(&name)).await.unwrap();
                    self.images.insert(name);
                }
                _ => self.look(client).await,
            }
        }
    }

    fn any_job(&self, chance: &mut Chance) -> Option<(String, String, u64)> {
        let nth = usize::try_from(chance.below(self.jobs.len().max(1) as u64)).unwrap();
        self.jobs.iter().nth(nth).map(|(uid, (name, step))| (uid.clone(), name.clone(), *step))
    }

    async fn update_one(&mut self, client: &Client, chance: &mut Chance) {
        let Some((uid, name, step)) = self.any_job(chance) else { return };
        let request = api::pb::wick::v1::JobServiceGetRequest { name, ..Default::default() };
        let mut job = client.jobs().get(request).await.unwrap().into_inner().job.unwrap();
        let labels = &mut job.metadata.as_mut().unwrap().labels;
        // What was sent and not answered may have been done; so it is counted on from what is there.
        let next = labels.get(STEP).map_or(0, |step| step.parse::<u64>().unwrap()).max(step) + 1;
        labels.insert(STEP.to_owned(), next.to_string());
        client.jobs().update(JobServiceUpdateRequest { job: Some(job), dry_run: false }).await.unwrap();
        self.jobs.get_mut(&uid).unwrap().1 = next;
    }

    async fn delete_one(&mut self, client: &Client, chance: &mut Chance) {
        let Some((uid, name, _)) = self.any_job(chance) else { return };
        // It may be gone without our having been told, from now on.
        self.jobs.remove(&uid);
        let request =
            JobServiceDeleteRequest { name, uid: uid.clone(), ..JobServiceDeleteRequest::default() };
        client.jobs().delete(request).await.unwrap();
        self.deleted.insert(uid);
    }

    /// Looks at the Job and its Pods; what is seen is acknowledged.
    async fn look(&mut self, client: &Client) {
        let request =
            api::pb::wick::v1::JobServiceGetRequest { name: "work".to_owned(), ..Default::default() };
        let job = client.jobs().get(request).await.unwrap().into_inner().job.unwrap();
        let request =
            PodServiceListRequest { filter: Some(pods_of("work")), ..PodServiceListRequest::default() };
        let pods = client.pods().list(request).await.unwrap().into_inner().pods;
        self.check_work(&job, &pods);
    }

    fn check_work(&mut self, job: &Job, pods: &[Pod]) {
        let now = succeeded(job);
        assert!(
            now >= self.succeeded,
            "{} completions were acknowledged, {now} are on record",
            self.succeeded
        );
        assert!(now <= self.story.completions, "{now} of {} completions", self.story.completions);
        let status = job.status.clone().unwrap_or_default();
        assert!(status.active <= PARALLELISM, "{} Pods are active", status.active);
        if self.story.restart_policy == "OnFailure" {
            assert_eq!(status.failed, 0, "an interruption restarts a container, and fails no Pod");
        }
        self.succeeded = now;
        let now: BTreeMap<String, (String, String, i32)> = pods
            .iter()
            .map(|pod| {
                let uid = pod.metadata.as_ref().unwrap().uid.clone();
                (uid, (name_of(pod).to_owned(), phase(pod).to_owned(), restarts(pod)))
            })
            .collect();
        for (uid, (name, phase, restarts)) in &self.pods {
            let (_, phase_now, restarts_now) = now.get(uid).unwrap_or_else(|| panic!("Pod `{name}` is gone"));
            assert!(!is_final(phase) || phase_now == phase, "`{name}` was {phase}, now it is {phase_now}");
            assert!(restarts_now >= restarts, "`{name}` was restarted {restarts} times, now {restarts_now}");
        }
        self.pods = now;
    }

    /// After a start: everything acknowledged is there.
    async fn check(&mut self, client: &Client) {
        let jobs = client.jobs().list(JobServiceListRequest::default()).await.unwrap().into_inner().jobs;
        let by_uid: BTreeMap<&str, &Job> = jobs.iter().map(|job| (uid(job), job)).collect();
        for (uid, (name, acknowledged)) in &self.jobs {
            let job = by_uid.get(uid.as_str()).unwrap_or_else(|| panic!("Job `{name}` ({uid}) is lost"));
            assert!(step(job) >= *acknowledged, "Job `{name}` is at step {}, not {acknowledged}", step(job));
        }
        for uid in &self.deleted {
            assert!(
                !by_uid.contains_key(uid.as_str()),
                "a deleted Job is there again: {:#?}",
                by_uid[uid.as_str()]
            );
        }
        let images = client.images().list(ImageServiceListRequest {}).await.unwrap().into_inner().images;
        let names: BTreeSet<String> = images.into_iter().map(|image| image.name).collect();
        assert!(self.images.is_subset(&names), "of {:?} there is {names:?}", self.images);
        self.look(client).await;
    }
}

fn seed() -> u64 {
    match std::env::var(SEED) {
        Ok(seed) => seed.parse().unwrap_or_else(|_| panic!("{SEED}: not a number: {seed}")),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64),
    }
}

/// Says in the journal that all guests are dead: the agent is.
fn note_death(journal: &Path) {
    let mut file = File::options().append(true).create(true).open(journal).unwrap();
    file.write_all(b"killed\n").unwrap();
}

fn is_final(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed")
}

#[test]
fn a_job_completes_exactly_although_the_agent_is_killed_at_any_moment() {
    tell(Story { restart_policy: "OnFailure", completions: 160, rounds: 24, at_work: 20 });
}

#[test]
fn a_job_whose_pods_are_replaced_completes_exactly_too() {
    tell(Story { restart_policy: "Never", completions: 50, rounds: 8, at_work: 6 });
}

fn tell(story: Story) {
    let seed = seed();
    println!("{SEED}={seed}");
    let mut chance = Chance(seed);
    let mut node = Node::off(&[]);
    let journal_dir = node.path().join("journal");
    fs::create_dir(&journal_dir).unwrap();
    let journal = journal_dir.join("lines");
    node.add_flag("--allow-host-path", &journal_dir);
    node.boot();
    node.apply(&the_job(&story, &journal_dir));

    let Story { completions, rounds, at_work, .. } = story;
    let mut acknowledged = Acknowledged::new(story);
    let mut killed_at_work = 0;
    for round in 0..rounds {
        let life = chance.millis(LIFE_MAX_MS);
        node.block_on(async {
            let client = node.client().await;
            // Whatever is under way when the time is over is not waited for.
            let _ = tokio::time::timeout(life, acknowledged.keep_asking(&client, &mut chance)).await;
        });
        node.kill();
        note_death(&journal);
        killed_at_work += u32::from(acknowledged.succeeded < completions);
        while chance.below(4) == 0 {
            node.begin_boot();
            // A moment of its start, whichever: nothing is waited for.
            std::thread::sleep(chance.millis(BOOT_MAX_MS));
            node.kill();
            note_death(&journal);
        }
        node.boot();
        node.block_on(async { acknowledged.check(&node.client().await).await });
        println!("round {round}: lived {life:?}; {} of {completions} succeeded", acknowledged.succeeded);
    }
    assert!(
        killed_at_work >= at_work,
        "the Job was complete after {killed_at_work} of {rounds} deaths: it is too short"
    );

    let job = node.job_when("work", |job| {
        let status = job.status.clone().unwrap_or_default();
        status
            .conditions
            .iter()
            .any(|condition| condition.r#type == "Complete" || condition.r#type == "Failed")
    });
    node.block_on(async { acknowledged.check(&node.client().await).await });
    assert_eq!(succeeded(&job), completions, "{job:#?}");
    let failed = acknowledged.pods.values().filter(|(_, phase, _)| phase == "Failed").count();
    assert_eq!(job.status.as_ref().map(|status| status.failed), Some(i32::try_from(failed).unwrap()));
    let ended: Vec<&String> = acknowledged
        .pods
        .values()
        .filter(|(_, phase, _)| phase == "Succeeded")
        .map(|(name, ..)| name)
        .collect();
    assert_eq!(ended.len(), usize::try_from(completions).unwrap(), "Pods that are Succeeded: {ended:?}");
    let text = fs::read_to_string(&journal).unwrap();
    check_journal(&text, &ended);

    // And all of it once more after a clean stop; no death has left anything on the disk that belongs to nobody.
    node.stop();
    node.boot();
    node.block_on(async {
        let client = node.client().await;
        acknowledged.check(&client).await;
        let images = client.images().list(ImageServiceListRequest {}).await.unwrap().into_inner().images;
        let digests: BTreeSet<String> =
            images.into_iter().map(|image| image.digest.replace(':', "-")).collect();
        let stored = fs::read_dir(node.data().join("images")).unwrap();
        let stored: BTreeSet<String> = stored
            .map(|file| file.unwrap().file_name().to_string_lossy().trim_end_matches(".wasm").to_owned())
            .collect();
        assert_eq!(stored, digests);
    });
    for path in node.of_pods() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let uid = name.split('_').next().unwrap();
        assert!(acknowledged.pods.contains_key(uid), "no Pod has {}", path.display());
    }
}

/// Goes through what the guests wrote: never more than `PARALLELISM` of them lived at once, and never two of one Pod.
fn check_journal(text: &str, succeeded: &[&String]) {
    let mut alive: BTreeSet<&str> = BTreeSet::new();
    let mut ended: BTreeSet<&str> = BTreeSet::new();
    let (mut most, mut interrupted) = (0, 0);
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["start", pod, _] => {
                assert!(alive.insert(pod), "line {}: two guests of `{pod}` live:\n{text}", number + 1);
                most = most.max(alive.len());
                let limit = usize::try_from(PARALLELISM).unwrap();
                assert!(alive.len() <= limit, "line {}: {} guests live:\n{text}", number + 1, alive.len());
            }
            ["end", pod, _] => {
                assert!(alive.remove(pod), "line {}: `{pod}` did not live:\n{text}", number + 1);
                ended.insert(pod);
            }
            ["killed"] => {
                interrupted += alive.len();
                alive.clear();
            }
            _ => panic!("line {}: not a line of the journal: {line}\n{text}", number + 1),
        }
    }
    println!("{interrupted} guests were interrupted, up to {most} lived at once");
    assert_eq!(alive, BTreeSet::new(), "guests live after the Job's end");
    assert!(interrupted > 0, "no guest was ever interrupted: the deaths came at the wrong moments");
    for pod in succeeded {
        assert!(
            ended.contains(pod.as_str()),
            "`{pod}` is Succeeded, and its guest never came to its end:\n{text}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::check_journal;

    #[test]
    fn a_journal_of_four_at_once_is_right() {
        let pods = ["a", "b", "c", "d", "e"].map(str::to_owned);
        let text =
            "start a 1\nstart b 1\nstart c 1\nstart d 1\nkilled\nstart e 2\nend e 3\nstart a 3\nend a 4\n";
        check_journal(text, &[&pods[4], &pods[0]]);
    }

    #[test]
    #[should_panic(expected = "line 5: 5 guests live")]
    fn five_at_once_are_too_many() {
        check_journal("start a 1\nstart b 1\nstart c 1\nstart d 1\nstart e 1\n", &[]);
    }

    #[test]
    #[should_panic(expected = "line 2: two guests of `a` live")]
    fn two_guests_of_one_pod_are_one_too_many() {
        check_journal("start a 1\nstart a 1\n", &[]);
    }

    #[test]
    #[should_panic(expected = "`b` is Succeeded, and its guest never came to its end")]
    fn a_success_without_an_end_is_none() {
        check_journal(
            "start a 1\nstart b 1\nkilled\nstart a 1\nend a 1\n",
            &[&"a".to_owned(), &"b".to_owned()],
        );
    }
}
