//! What was promised of CronJobs and of the ledger, checked with a memory of its own.
//!
//! Every slot is accounted for once: started, missed, or about to be one of them. Whether that is so is worked out from a
//! walk through all minutes ([`Walk`]), and not from what `sched` says.

mod account;
mod ledger;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::pb::k8s::batch::v1::{CronJob, Job};
use api::pb::k8s::meta::v1::ObjectMeta;
use api::pb::wick::v1::{CronJobRecord, LedgerEntry};
use engine::{Change, Limits, Object, ObjectKey, Reader};
use fastrand::Rng;

use crate::checker::Broken;
use crate::device::{NOT_BEFORE_S, Walls};
use crate::walk::Walk;
use crate::zones::WorldZones;
use account::{Account, Item, Look};

type Checked = Result<(), Broken>;

pub(crate) struct Books {
    zones: WorldZones,
    limits: Limits,
    cron_jobs: BTreeMap<ObjectKey, Arc<CronJob>>,
    /// By uid, of every CronJob there ever was.
    accounts: BTreeMap<String, Account>,
    /// By uid, every Job there ever was.
    jobs: BTreeMap<String, JobAccount>,
    /// Every entry that was acknowledged, or found.
    ledger: BTreeMap<u64, Written>,
    /// What the clock said at the latest, in seconds since 1970; times before it was set do not count.
    latest: i64,
    /// CronJobs that somebody asked to be deleted, and whether their Jobs may go with them.
    asked: BTreeMap<ObjectKey, bool>,
    /// Uids of CronJobs whose Jobs may go.
    doomed: BTreeSet<String>,
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

struct Written {
    entry: LedgerEntry,
    steady: i64,
}

#[derive(Default)]
struct JobAccount {
    /// Its CronJob's name and uid.
    owner: Option<(String, String)>,
    slot: Option<i64>,
    job: Option<Arc<Job>>,
    /// It was made for a CronJob that had gone.
    stray: bool,
    /// Its end was told, and was not that it was deleted.
    ended: bool,
    started: u32,
    triggered: u32,
    finished: u32,
}

impl JobAccount {
    fn is_live(&self) -> bool {
        self.job.as_ref().is_some_and(|job| !api::job::is_finished(job))
    }
}

impl Books {
    pub(crate) fn new(zones: WorldZones, limits: Limits) -> Books {
        Books {
            zones,
            limits,
            cron_jobs: BTreeMap::new(),
            accounts: BTreeMap::new(),
            jobs: BTreeMap::new(),
            ledger: BTreeMap::new(),
            latest: i64::MIN,
            asked: BTreeMap::new(),
            doomed: BTreeSet::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Some CronJob that exists.
    pub(crate) fn any(&self, rng: &mut Rng) -> Option<Arc<CronJob>> {
        let at = rng.usize(0..self.cron_jobs.len().max(1));
        self.cron_jobs.values().nth(at).cloned()
    }

    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&Arc<CronJob>> {
        self.cron_jobs.get(key)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&ObjectKey, &Arc<CronJob>)> {
        self.cron_jobs.iter()
    }

    /// Somebody asks for it to go, with its Jobs or without.
    pub(crate) fn asked_to_go(&mut self, key: &ObjectKey, with_jobs: bool) {
        *self.asked.entry(key.clone()).or_default() |= with_jobs;
    }

    /// Whether somebody asked for it to go.
    pub(crate) fn may_go(&self, key: &ObjectKey) -> bool {
        self.asked.contains_key(key)
    }

    /// The device is told that time zones are not what they were, or has looked all of them up.
    pub(crate) fn zones_noticed(&mut self, to_look_up: bool) {
        self.accounts.values_mut().for_each(|account| account.to_look_up = to_look_up);
    }

    /// What the records of all CronJobs say after a commit.
    pub(crate) fn follow(&mut self, records: &[CronJobRecord], walls: Walls) -> Checked {
        for record in records {
            let Some(cron_job) = &record.cron_job else { continue };
            let meta_uid = uid(cron_job.metadata.as_ref());
            let Some(account) = self.accounts.get_mut(meta_uid) else { continue };
            // What it was asked for before came due as late as its Jobs started then.
            let splay = account.splay;
            if account.is_to_change(cron_job) {
                // By then all was settled by what it was asked for before.
                let (at, least) = (record.settled_seconds, (walls.earliest - splay).div_euclid(1000));
                let plausible = walls.earliest / 1000 >= self.latest.max(NOT_BEFORE_S);
                if at > self.latest.max(walls.latest / 1000) || plausible && at < least {
                    let name = &account.name;
                    return Err(format!(
                        "CronJob {name} was changed at {walls:?}, and is settled until {at}"
                    ));
                }
            }
            account.follow(
                record,
                &self.zones,
                Look::Commit { due_by: (walls.latest - splay).div_euclid(1000) },
            );
        }
        Ok(())
    }

    /// The device starts, with these records of CronJobs: it looks up all zones.
    pub(crate) fn starts_with(&mut self, records: &[CronJobRecord], in_flight: bool) {
        for record in records {
            let Some(cron_job) = &record.cron_job else { continue };
            let meta = cron_job.metadata.clone().unwrap_or_default();
            let known = self.cron_jobs.get(&cron_job_key(cron_job)).and_then(|known| known.metadata.clone());
            let told = known.is_some_and(|known| known.resource_version == meta.resource_version);
            if let Some(account) = self.accounts.get_mut(&meta.uid) {
                account.to_look_up = false;
                // What was written and nobody was told of may be more than one change.
                account.lost |= in_flight && !told;
                account.follow(record, &self.zones, Look::Start);
            }
        }
    }

    /// One commit: what it wrote into the ledger, and its changes.
    pub(crate) fn commit(&mut self, changes: &[Change], ledger: &[LedgerEntry], walls: Walls) -> Checked {
        for entry in ledger {
            self.enter(entry, walls.steady)?;
        }
        let before: BTreeMap<String, Arc<CronJob>> = self
            .cron_jobs
            .values()
            .map(|cron_job| (uid(cron_job.metadata.as_ref()).to_owned(), cron_job.clone()))
            .collect();
        for change in changes {
            match (&change.before, &change.after) {
                (_, Some(Object::CronJob(cron_job))) => self.cron_job_changed(cron_job, walls)?,
                (Some(Object::CronJob(cron_job)), None) => self.cron_job_gone(cron_job)?,
                _ => {}
            }
        }
        self.latest = self.latest.max(walls.latest / 1000);
        let told = |kind: &'static str| ledger.iter().filter(move |entry| entry.r#type == kind);
        for change in changes {
            match (&change.before, &change.after) {
                (before, Some(Object::Job(job))) => {
                    let job_uid = self.job_seen(job);
                    let was_over =
                        matches!(before, Some(Object::Job(before)) if api::job::is_finished(before));
                    let entries = told("Finished").filter(|entry| entry.job_uid == job_uid).count();
                    if entries != usize::from(api::job::is_finished(job) && !was_over) {
                        return Err(format!("Job {} changed with {entries} Finished entries", name(job)));
                    }
                    if before.is_none() {
                        self.job_is_new(job, ledger)?;
                    }
                }
                (Some(Object::Job(job)), None) => {
                    let gone = self.jobs.entry(uid(job.metadata.as_ref()).to_owned()).or_default();
                    gone.job = None;
                    if gone.finished != 1 {
                        return Err(format!(
                            "Job {} went with {} Finished entries",
                            name(job),
                            gone.finished
                        ));
                    }
                }
                _ => {}
            }
        }
        for entry in told("Started") {
            let account = self.jobs.get(&entry.job_uid);
            let Some(account) = account.filter(|account| account.job.is_some() || account.finished == 1)
            else {
                return Err(format!("{} is told to be started, and is not there", entry.job));
            };
            let running = account.is_live();
            self.may_start(entry, before.get(&entry.cron_job_uid), running, walls)?;
        }
        Ok(())
    }

    fn slot_started(&mut self, cron_job: &str, slot: i64, job: &str) -> Checked {
        let account = self.accounts.entry(cron_job.to_owned()).or_default();
        let known = account.jobs.entry(slot).or_insert_with(|| job.to_owned());
        if known == job {
            return Ok(());
        }
        Err(format!("slot {slot} of {} started Jobs {known} and {job}", account.name))
    }

    fn cron_job_changed(&mut self, cron_job: &Arc<CronJob>, walls: Walls) -> Checked {
        let Some(meta) = &cron_job.metadata else { return Err("a CronJob without metadata".to_owned()) };
        let key = ObjectKey::new(&meta.namespace, &meta.name);
        let latest = self.latest;
        let account = self.accounts.entry(meta.uid.clone()).or_default();
        let known = self.cron_jobs.get(&key).filter(|known| uid(known.metadata.as_ref()) == meta.uid);
        if let Some(known) = known {
            let written = |cron_job: &CronJob| {
                let meta = cron_job.metadata.clone().unwrap_or_default();
                (cron_job.spec.clone(), meta.labels, meta.annotations)
            };
            account.looked_up |=
                std::mem::take(&mut account.to_look_up) || written(known) != written(cron_job);
            if known.spec != cron_job.spec {
                // As on a cluster it is the text that counts: `@hourly` for `0 * * * *` only sets the timer, too.
                let timer = |cron_job: &CronJob| {
                    cron_job.spec.as_ref().map(|spec| (spec.schedule.clone(), spec.time_zone.clone()))
                };
                // More than one writer in one commit: what was between is not seen.
                let generation =
                    |cron_job: &CronJob| cron_job.metadata.as_ref().map_or(0, |meta| meta.generation);
                let between = generation(cron_job) > generation(known) + 1;
                account.keeps_more = between || timer(known) != timer(cron_job);
            }
            let (before, after) = (last_schedule(known), last_schedule(cron_job));
            if after < before {
                return Err(format!("CronJob {key}: lastScheduleTime went from {before:?} to {after:?}"));
            }
            if after > before && after.is_some_and(|at| at * 1000 > walls.latest) {
                return Err(format!("CronJob {key}: lastScheduleTime {after:?} is in the future"));
            }
        } else {
            account.open(cron_job, &self.zones, latest);
        }
        self.cron_jobs.insert(key, cron_job.clone());
        Ok(())
    }

    fn cron_job_gone(&mut self, cron_job: &CronJob) -> Checked {
        let meta = cron_job.metadata.clone().unwrap_or_default();
        let key = ObjectKey::new(&meta.namespace, &meta.name);
        self.cron_jobs.remove(&key);
        match self.asked.get(&key) {
            None => return Err(format!("CronJob {key} went, and nobody had asked for that")),
            Some(true) => drop(self.doomed.insert(meta.uid.clone())),
            Some(false) => {}
        }
        // What became of its slots is all that will ever be known.
        match self.accounts.get_mut(&meta.uid) {
            Some(account) => account.close().map_err(|why| format!("CronJob {key}, gone: {why}")),
            None => Ok(()),
        }
    }

    /// Takes note of a Job as it is; says its uid.
    fn job_seen(&mut self, job: &Arc<Job>) -> String {
        let job_uid = uid(job.metadata.as_ref()).to_owned();
        let account = self.jobs.entry(job_uid.clone()).or_default();
        if account.job.is_none() {
            account.owner =
                api::cron_job::cron_job_of(job).map(|(name, uid)| (name.to_owned(), uid.to_owned()));
            account.slot = api::cron_job::scheduled_slot(job).map(|slot| slot.as_second());
        } else if api::cron_job::cron_job_of(job).is_none() {
            account.owner = None; // It was left alone.
        }
        account.job = Some(job.clone());
        job_uid
    }

    fn job_is_new(&mut self, job: &Arc<Job>, ledger: &[LedgerEntry]) -> Checked {
        let job_uid = uid(job.metadata.as_ref());
        let about = |kind: &str| {
            ledger.iter().filter(|entry| entry.r#type == kind && entry.job_uid == job_uid).count()
        };
        let Some(account) = self.jobs.get(job_uid) else { return Ok(()) };
        let of_slot = account.slot.is_some() && account.owner.is_some();
        if about("Started") != usize::from(of_slot) {
            return Err(format!("Job {} is new, with {} Started entries", name(job), about("Started")));
        }
        // Its CronJob may have gone in the same commit, and left it alone.
        let annotations = job.metadata.as_ref().map(|meta| &meta.annotations);
        let by_hand = annotations.is_some_and(|all| all.contains_key(api::cron_job::INSTANTIATE));
        if about("Triggered") != usize::from(by_hand) {
            return Err(format!("Job {} is new, with {} Triggered entries", name(job), about("Triggered")));
        }
        let owner = account.owner.clone();
        let owners = self.cron_jobs.values().map(|cron_job| uid(cron_job.metadata.as_ref()));
        let stray = owner.as_ref().is_some_and(|(_, owner)| !owners.into_iter().any(|uid| uid == owner));
        let slot = account.slot;
        if let Some(account) = self.jobs.get_mut(job_uid) {
            account.stray = stray;
        }
        match (slot, owner) {
            (Some(slot), Some((_, cron_job))) => self.slot_started(&cron_job, slot, job_uid),
            _ => Ok(()),
        }
    }

    /// Whether a slot could start its Job in a commit, as its CronJob was before and is after it.
    fn may_start(
        &self,
        entry: &LedgerEntry,
        before: Option<&Arc<CronJob>>,
        running: bool,
        walls: Walls,
    ) -> Checked {
        let key = ObjectKey::new(&entry.namespace, &entry.cron_job);
        let after = self.cron_jobs.get(&key);
        let after = after.filter(|cron_job| uid(cron_job.metadata.as_ref()) == entry.cron_job_uid);
        let slot = entry.slot.as_ref().map_or(0, |slot| slot.seconds);
        let told = |what: &str| Err(format!("{} was started for {slot}, and {what}", entry.job));
        if slot * 1000 > walls.latest {
            return told("that is in the future");
        }
        if walls.latest < NOT_BEFORE_S * 1000 {
            return told("the clock is not set");
        }
        // Where the spec changes in the commit, it is not known which part came first.
        let (Some(before), Some(after)) = (before, after) else { return Ok(()) };
        let (Some(spec), true) = (&after.spec, before.spec == after.spec) else { return Ok(()) };
        if spec.suspend == Some(true) {
            return told("it is suspended");
        }
        let annotations =
            |cron_job: &CronJob| cron_job.metadata.as_ref().map(|meta| meta.annotations.clone());
        let late = walls.earliest - slot * 1000;
        let jitter = api::cron_job::jitter(after).0;
        if spec.starting_deadline_seconds.is_some_and(|deadline| late >= deadline * 1000 + jitter) {
            return told(&format!("that was {late} ms ago"));
        }
        let no_catch_up = annotations(after)
            .is_some_and(|all| all.get(api::cron_job::CATCH_UP).is_some_and(|what| what == "None"));
        if no_catch_up && annotations(before) == annotations(after) && late >= 11_000 + jitter {
            return told(&format!("nothing is caught up with, and that was {late} ms ago"));
        }
        let live = self.started_and_live(&entry.cron_job_uid).count();
        if spec.concurrency_policy != "Allow" && running && live > 1 {
            return told(&format!("{live} of its Jobs run; the policy is {}", spec.concurrency_policy));
        }
        Ok(())
    }

    fn started_and_live<'a>(&'a self, cron_job: &'a str) -> impl Iterator<Item = (&'a str, &'a JobAccount)> {
        let jobs = self.jobs.iter().filter(move |(_, job)| {
            let of_it = job.owner.as_ref().is_some_and(|(_, uid)| uid == cron_job);
            of_it && job.slot.is_some() && job.is_live()
        });
        jobs.map(|(uid, job)| (uid.as_str(), job))
    }

    /// Whether a Job says that it belongs to a CronJob that is not there, or that somebody asked to go.
    pub(crate) fn is_stray(&self, job: &Job) -> bool {
        api::cron_job::cron_job_of(job).is_some_and(|(_, owner)| {
            let mut there = self.cron_jobs.iter();
            !there.any(|(key, found)| uid(found.metadata.as_ref()) == owner && !self.asked.contains_key(key))
        })
    }

    /// Whether a Job may have gone for the sake of its CronJob.
    pub(crate) fn explains_end_of(&self, job: &Job) -> bool {
        let account = self.jobs.get(uid(job.metadata.as_ref()));
        let expires = job.spec.as_ref().is_some_and(|spec| spec.ttl_seconds_after_finished.is_some());
        if expires && account.is_some_and(|account| account.ended) {
            return true; // It finished and expired in one commit.
        }
        let Some((name, owner)) = api::cron_job::cron_job_of(job) else {
            // It was going when it was left alone.
            return job.metadata.as_ref().is_some_and(|meta| meta.deletion_timestamp.is_some());
        };
        if self.doomed.contains(owner) || account.is_some_and(|account| account.stray || account.ended) {
            return true;
        }
        let namespace = job.metadata.as_ref().map_or("", |meta| meta.namespace.as_str());
        let key = ObjectKey::new(namespace, name);
        let Some(cron_job) = self.cron_jobs.get(&key) else { return false };
        let of_it = uid(cron_job.metadata.as_ref()) == owner;
        let going = cron_job.metadata.as_ref().is_some_and(|meta| meta.deletion_timestamp.is_some());
        let replaces = cron_job.spec.as_ref().is_some_and(|spec| spec.concurrency_policy == "Replace");
        // Too many have finished; or another takes its place.
        of_it && (going && self.asked.get(&key) == Some(&true) || replaces)
    }

    /// When nothing is left to do at this time: statuses say what is there, and no more is kept than is asked for.
    pub(crate) fn at_rest(&self) -> Checked {
        for (key, cron_job) in &self.cron_jobs {
            let meta = cron_job.metadata.clone().unwrap_or_default();
            if !meta.finalizers.is_empty() && meta.deletion_timestamp.is_some() {
                continue;
            }
            let status = cron_job.status.clone().unwrap_or_default();
            let live: BTreeSet<&str> = self.started_and_live(&meta.uid).map(|(uid, _)| uid).collect();
            let active: BTreeSet<&str> = status.active.iter().map(|job| job.uid.as_str()).collect();
            if let Some(missing) = live.difference(&active).next() {
                return Err(format!(
                    "CronJob {key} does not say that it has Job {missing} active: {status:?}"
                ));
            }
            for surplus in active.difference(&live) {
                // One that somebody started by hand, under the name that a slot's would have had.
                let job = self.jobs.get(*surplus);
                let by_hand = job.is_some_and(|job| {
                    job.is_live()
                        && job.slot.is_none()
                        && job.owner.as_ref().is_some_and(|(_, of)| *of == meta.uid)
                });
                if !by_hand {
                    return Err(format!("CronJob {key} says that it has Job {surplus} active: {status:?}"));
                }
            }
            let spec = cron_job.spec.clone().unwrap_or_default();
            let finished = self.jobs.values().filter_map(|job| {
                let of_it = job.owner.as_ref().is_some_and(|(name, _)| *name == meta.name);
                job.job.as_ref().filter(|job| {
                    of_it
                        && api::job::is_finished(job)
                        && job.metadata.as_ref().is_some_and(|meta| meta.deletion_timestamp.is_none())
                })
            });
            let (complete, failed): (Vec<_>, Vec<_>) = finished.partition(|job| {
                job.status
                    .iter()
                    .flat_map(|status| &status.conditions)
                    .any(|condition| condition.r#type == "Complete")
            });
            if self.accounts.get(&meta.uid).is_some_and(|account| account.keeps_more) {
                continue;
            }
            let over = |kept: usize, limit: Option<i32>| {
                limit.is_some_and(|limit| kept > usize::try_from(limit).unwrap_or(0))
            };
            if over(complete.len(), spec.successful_jobs_history_limit)
                || over(failed.len(), spec.failed_jobs_history_limit)
            {
                let kept = (complete.len(), failed.len());
                return Err(format!("CronJob {key} keeps {kept:?} finished Jobs: {spec:?}"));
            }
        }
        Ok(())
    }

    /// Every slot is covered once; `records` are those of all CronJobs. `attentive` says that nothing kept them from being
    /// looked at.
    pub(crate) fn every_slot(&mut self, records: &[CronJobRecord], wall: i64, attentive: bool) -> Checked {
        let attentive = attentive && wall / 1000 >= self.latest.max(NOT_BEFORE_S);
        for record in records {
            let Some(cron_job) = &record.cron_job else { continue };
            let meta = cron_job.metadata.clone().unwrap_or_default();
            let Some(account) = self.accounts.get_mut(&meta.uid) else { continue };
            account.date(record, cron_job, &self.zones);
            let mut open = Vec::new();
            if let Some(run) = &record.open {
                let (first, last) = (run.first_seconds, run.last_seconds);
                open.push(Item { first, last, count: run.count, what: "open" });
            }
            if let Some(slot) = record.held_seconds {
                open.push(Item { first: slot, last: slot, count: 1, what: "held" });
            }
            let told = |why| format!("CronJob {}: {why}", meta.name);
            account.tile(&open, record.settled_seconds).map_err(told)?;
            let spec = cron_job.spec.clone().unwrap_or_default();
            let all = meta.annotations.get(api::cron_job::CATCH_UP).is_some_and(|what| what == "All");
            let going = meta.deletion_timestamp.is_some();
            if !attentive || all || going || spec.suspend == Some(true) {
                continue;
            }
            let by = (wall - api::cron_job::jitter(cron_job).0).div_euclid(1000);
            if let Some(slot) = account.first(record.settled_seconds, by, &self.zones) {
                return Err(told(format!("slot {slot} has come due, and nothing became of it")));
            }
        }
        Ok(())
    }

    /// After a start: goes on from what is there.
    pub(crate) fn reopened(&mut self, reader: &Reader, ledger: &[LedgerEntry], walls: Walls) -> Checked {
        for entry in ledger {
            self.enter(entry, walls.steady)?;
        }
        let before = std::mem::take(&mut self.cron_jobs);
        self.cron_jobs.clone_from(&before);
        let (cron_jobs, _) = reader.cron_jobs("");
        for cron_job in &cron_jobs {
            self.cron_job_changed(cron_job, walls)?;
        }
        let there: BTreeSet<&str> =
            cron_jobs.iter().map(|cron_job| uid(cron_job.metadata.as_ref())).collect();
        for cron_job in before.values().filter(|before| !there.contains(uid(before.metadata.as_ref()))) {
            self.cron_job_gone(cron_job)?;
        }
        self.cron_jobs =
            cron_jobs.iter().map(|cron_job| (cron_job_key(cron_job), cron_job.clone())).collect();
        self.latest = self.latest.max(walls.latest / 1000);
        let (jobs, _) = reader.jobs("");
        for account in self.jobs.values_mut() {
            account.job = None;
        }
        for job in &jobs {
            let job_uid = uid(job.metadata.as_ref()).to_owned();
            // One that was there before is known already, also by what it was when it had an owner.
            let account = self.jobs.entry(job_uid).or_default();
            if account.owner.is_none() && account.slot.is_none() {
                self.job_seen(job);
            } else {
                account.job = Some(job.clone());
                if api::cron_job::cron_job_of(job).is_none() {
                    account.owner = None;
                }
            }
        }
        self.every_end()
    }

    /// Every Job that is over or gone has its end told once, and no other has.
    pub(crate) fn every_end(&self) -> Checked {
        for (uid, account) in &self.jobs {
            if account.finished != u32::from(!account.is_live()) {
                let told = account.finished;
                return Err(format!(
                    "Job {uid} has {told} Finished entries, and lives: {}",
                    account.is_live()
                ));
            }
        }
        Ok(())
    }

    /// The next slot of a CronJob that nothing keeps from starting its Job, with the latest time at which it is to start.
    pub(crate) fn next_slot(
        &self,
        key: &ObjectKey,
        records: &[CronJobRecord],
        now: i64,
        until: i64,
    ) -> Option<(i64, i64)> {
        let cron_job = self.cron_jobs.get(key)?;
        let spec = cron_job.spec.clone()?;
        let zone = self.zones.data(spec.time_zone.as_deref())?;
        let account = self.accounts.get(uid(cron_job.metadata.as_ref()))?;
        let last = account.items.iter().map(|item| item.last).max().unwrap_or(i64::MIN);
        let record =
            records.iter().find(|record| record.cron_job.as_ref().map(cron_job_key).as_ref() == Some(key))?;
        let open = record.open.as_ref().map_or(i64::MIN, |run| run.last_seconds);
        let last = last.max(open).max(record.held_seconds.unwrap_or(i64::MIN));
        let last = last.max(last_schedule(cron_job).unwrap_or(i64::MIN));
        // A device that started with its clock behind what is on record believes it once it gets there.
        let last = last.max(self.latest);
        let last = last.max(record.since_seconds.unwrap_or(i64::MIN));
        // By a clock that was behind when it was made, only its record says when that was.
        let since = if account.lost { record.since_seconds } else { account.since };
        let anchor = last_schedule(cron_job).or(since)?;
        let from = if schedule_is_rhythm(&spec.schedule) { anchor } else { now.max(last) };
        let slot = Walk::new(&spec.schedule, zone, runs_once(cron_job), from)?.first(now.max(last), until)?;
        Some((slot, slot + api::cron_job::jitter(cron_job).0 / 1000 + 1))
    }

    /// Whether something keeps a slot from starting its Job: one that runs, or one of its name.
    pub(crate) fn is_held_back(&self, key: &ObjectKey, slot: i64) -> bool {
        let Some(cron_job) = self.cron_jobs.get(key) else { return true };
        let forbids = cron_job.spec.as_ref().is_some_and(|spec| spec.concurrency_policy == "Forbid");
        let wanted = format!("{}-{}", key.name, slot.div_euclid(60));
        let taken = self.jobs.values().any(|job| job.job.as_ref().is_some_and(|job| name(job) == wanted));
        forbids && self.has_live_jobs(key) || taken
    }

    /// Whether a slot was held back until its deadline had passed; so says the record.
    pub(crate) fn came_too_late(&self, key: &ObjectKey, slot: i64, records: &[CronJobRecord]) -> bool {
        let spec = self.cron_jobs.get(key).and_then(|cron_job| cron_job.spec.as_ref());
        let has_deadline = spec.is_some_and(|spec| spec.starting_deadline_seconds.is_some());
        let record =
            records.iter().find(|record| record.cron_job.as_ref().map(cron_job_key).as_ref() == Some(key));
        let forbidden = |record: &CronJobRecord| {
            record.held_seconds == Some(slot)
                && record.held_reason == sched::cron_job::Reason::Forbidden.name()
        };
        has_deadline && record.is_some_and(forbidden)
    }

    /// The Jobs that a CronJob waits for.
    pub(crate) fn has_live_jobs(&self, key: &ObjectKey) -> bool {
        let cron_job = self.cron_jobs.get(key);
        cron_job
            .is_some_and(|cron_job| cron_job.status.as_ref().is_some_and(|status| !status.active.is_empty()))
    }

    pub(crate) fn last_schedule(&self, key: &ObjectKey) -> Option<i64> {
        self.cron_jobs.get(key).and_then(|cron_job| last_schedule(cron_job))
    }

    fn count(&mut self, what: &'static str, times: u64) {
        *self.counts.entry(what).or_default() += times;
    }
}

fn schedule_is_rhythm(schedule: &str) -> bool {
    schedule.starts_with("@every")
}

fn runs_once(cron_job: &CronJob) -> bool {
    let annotations = cron_job.metadata.as_ref().map(|meta| &meta.annotations);
    annotations.is_some_and(|all| all.get(api::cron_job::DST).is_some_and(|what| what == "RunOnce"))
}

fn last_schedule(cron_job: &CronJob) -> Option<i64> {
    cron_job.status.as_ref()?.last_schedule_time.as_ref().map(|at| at.seconds)
}

fn cron_job_key(cron_job: &CronJob) -> ObjectKey {
    let meta = cron_job.metadata.clone().unwrap_or_default();
    ObjectKey::new(meta.namespace, meta.name)
}

fn uid(meta: Option<&ObjectMeta>) -> &str {
    meta.map_or("", |meta| &meta.uid)
}

fn name(job: &Job) -> &str {
    job.metadata.as_ref().map_or("", |meta| &meta.name)
}
