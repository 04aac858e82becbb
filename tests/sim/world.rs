//! One world, from its seed to its rest.

mod ending;

use std::collections::VecDeque;
use std::sync::Arc;

use engine::store::{DiskRoom, Fault};
use engine::{Applied, Change, Effect, Event, Limits, Outcome, Propagation, Rejected, Reply};
use fastrand::Rng;
use sched::Millis;

use crate::checker::{self, Broken, Checker};
use crate::clients::Ask;
use crate::device::{BEGINNINGS, Device, PowerWent};
use crate::guests::{Guests, Temper};
use crate::jobs::{self, IMAGES, Taste};
use crate::lived::Lived;
use crate::zones::{self, WorldZones};

type Job = api::pb::k8s::batch::v1::Job;

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;
/// More commits at one instant are a loop.
const COMMITS_AT_ONCE: u32 = 500;

pub(crate) struct World {
    rng: Rng,
    device: Device,
    guests: Guests,
    checker: Checker,
    temper: Temper,
    taste: Taste,
    zones: WorldZones,
    /// What clients asked and were not answered.
    asked: VecDeque<Ask>,
    /// Faults happen.
    unwell: bool,
    lived: Lived,
    telling: bool,
}

impl World {
    /// Lives the world of this seed. An error tells which promise was broken, and what had happened.
    pub(crate) fn live(seed: u64, telling: bool) -> Result<Lived, String> {
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let limits = Limits {
            jobs: rng.usize(3..40),
            live_pods: rng.usize(2..40),
            terminated_pods: rng.usize(0..60),
            cron_jobs: rng.usize(1..6),
            ledger_bytes: [48 << 10, 64 << 20][rng.usize(0..2)],
            ledger_age: Millis([6, 30 * 24][rng.usize(0..2)] * HOUR),
            ..Limits::default()
        };
        let guests = rng.u32(3..30); // The largest Pod has three containers.
        let temper = Temper {
            failing: [0, 10, 50, 90][rng.usize(0..4)],
            endless: [0, 0, 5, 20][rng.usize(0..4)],
            longest: [1, 30, 600][rng.usize(0..3)] * SECOND,
            unreliable: rng.bool(),
        };
        let taste = Taste { plain: rng.bool(), largest: [2, 5, 20][rng.usize(0..3)], busy: rng.bool() };
        let zones = WorldZones::new(zones::place(&mut rng));
        let beginning = BEGINNINGS[rng.usize(0..BEGINNINGS.len())];
        let mut world = World {
            device: Device::new(limits, guests, beginning, zones.clone()),
            guests: Guests::default(),
            checker: Checker::new(zones.clone(), limits),
            zones,
            temper,
            taste,
            asked: VecDeque::new(),
            unwell: true,
            lived: Lived::default(),
            telling,
            rng,
        };
        match world.whole_life() {
            Ok(()) => {
                world.count("Pods ended", u64::try_from(world.checker.pods_ended()).unwrap_or(0));
                for (what, times) in std::mem::take(&mut world.checker.books.counts) {
                    world.count(what, times);
                }
                Ok(world.lived)
            }
            Err(broken) => {
                let story = world.lived.story.join("\n");
                Err(format!("{story}\nseed {seed}, {} s: {broken}", world.device.time / SECOND))
            }
        }
    }

    fn whole_life(&mut self) -> Result<(), Broken> {
        self.boot(false)?;
        for name in IMAGES {
            if self.rng.u8(0..4) > 0 {
                self.ask(Ask::PushImage { name })?;
            }
        }
        for _ in 0..self.rng.u32(20..200) {
            self.step()?;
        }
        self.end()
    }

    /// Something happens.
    fn step(&mut self) -> Result<(), Broken> {
        match self.rng.u8(0..46) {
            0..=14 => {
                let read = self.checker.any_job(&mut self.rng);
                let ask = Ask::any(&self.checker, self.taste, &mut self.rng);
                self.ask(ask)?;
                // Somebody read a Job before that, and writes it now.
                match read.filter(|_| self.rng.u8(0..4) == 0) {
                    Some(job) => {
                        let job = Box::new(jobs::edit(&job, &mut self.rng));
                        self.ask(Ask::Replace { job, dry_run: false })
                    }
                    None => Ok(()),
                }
            }
            15..=30 => {
                // Time passes until something happens, or a while.
                let while_ = self.rng.i64(0..120 * SECOND);
                let soon = self.device.time + 26 * HOUR; // A clock that nobody sets is waited for much longer.
                let next = self.next_happening().filter(|at| *at < soon);
                let next = next.unwrap_or(self.device.time + while_);
                let at = if self.rng.bool() { next } else { next.min(self.device.time + while_) };
                self.pass_until(at.max(self.device.time))
            }
            31 | 32 => {
                let until = self.device.time + self.rng.i64(0..2 * HOUR);
                while let Some(at) = self.next_happening().filter(|at| *at <= until) {
                    self.pass_until(at)?;
                }
                self.pass_until(until)
            }
            33 => self.power_cut(),
            34 => {
                let fault = if self.rng.bool() { Fault::Lost } else { Fault::Unanswered };
                let commits = self.rng.u64(0..6);
                self.tell(|| format!("the power will go in a commit, {fault:?}"));
                self.device.power_goes_in(commits, fault);
                Ok(())
            }
            35 => self.clean_stop(),
            36 => {
                let by = self.rng.i64(-48 * HOUR..48 * HOUR);
                self.tell(|| format!("the wall clock steps by {} s", by / SECOND));
                self.count("clock steps", 1);
                self.device.step_wall_clock(by);
                self.settle()
            }
            37 => {
                self.device.set_wall_clock_right();
                self.settle()
            }
            38 => {
                let room = match self.rng.u8(0..3) {
                    0 => DiskRoom::Little,
                    1 => DiskRoom::Full { reserve: self.rng.u32(0..3) },
                    _ => DiskRoom::Plenty,
                };
                self.tell(|| format!("the disk has {room:?}"));
                if room != DiskRoom::Plenty {
                    self.count("disk full", 1);
                }
                self.device.set_room(room);
                self.settle()
            }
            39 => {
                self.device.set_room(DiskRoom::Plenty);
                self.settle()
            }
            40 | 41 => {
                let by = self.rng.i64(-5 * HOUR..5 * HOUR);
                self.tell(|| {
                    format!("the wall clock is set by {} s, and looked at a while later", by / SECOND)
                });
                self.count("clock steps", 1);
                self.device.step_wall_clock(by);
                self.device.time += self.rng.i64(0..60 * SECOND);
                self.settle()
            }
            42 | 43 => {
                let length = [10 * 60 * SECOND, 3 * HOUR, 50 * HOUR][self.rng.usize(0..3)];
                let length = self.rng.i64(0..length);
                self.tell(|| format!("the device sleeps for {} s", length / SECOND));
                self.count("sleeps", 1);
                self.device.time += length;
                self.pass_until(self.device.time)
            }
            _ => self.zones_change(),
        }
    }

    /// What the device knows of time zones changes; it may notice only at its next start.
    fn zones_change(&mut self) -> Result<(), Broken> {
        let what = self.zones.change(&mut self.rng);
        self.tell(|| what);
        self.count("zones changed", 1);
        // While a commit is held, an event may be taken or not.
        let holds = |device: &Device| device.engine().is_some_and(engine::Engine::holds);
        if self.rng.u8(0..4) > 0 && !holds(&self.device) {
            self.checker.books.zones_noticed(true);
            self.apply([Event::ZonesChanged].into(), &mut VecDeque::new())?;
            if !holds(&self.device) {
                self.checker.books.zones_noticed(false);
            }
        }
        Ok(())
    }

    /// When something happens next without anybody asking.
    fn next_happening(&self) -> Option<i64> {
        let now = self.device.now().steady.0;
        let wake = self.device.engine().and_then(|engine| engine.next_wake(self.device.now()));
        let wake = wake.map(|at| self.device.time + (at.0 - now).max(0));
        [wake, self.guests.next()].into_iter().flatten().min().map(|at| at.max(self.device.time))
    }

    /// Time passes, and what happens then happens.
    fn pass_until(&mut self, at: i64) -> Result<(), Broken> {
        self.device.time = at.max(self.device.time);
        let events = self.guests.news(self.device.time, &self.temper, &mut self.rng);
        self.count("guests ended", events.len() as u64);
        self.apply(events.into(), &mut VecDeque::new())
    }

    fn settle(&mut self) -> Result<(), Broken> {
        self.apply(VecDeque::new(), &mut VecDeque::new())
    }

    /// A client asks, some of them twice.
    fn ask(&mut self, ask: Ask) -> Result<(), Broken> {
        let mut asks = VecDeque::from([ask]);
        if self.unwell && self.rng.u8(0..10) == 0 {
            asks.extend(asks.front().cloned());
            self.count("repeated", 1);
        }
        if self.unwell && self.rng.u8(0..5) == 0 {
            asks.push_back(Ask::any(&self.checker, self.taste, &mut self.rng));
        }
        let mut events = VecDeque::new();
        asks.retain(|ask| ask.event(&self.zones).map(|event| events.push_back(event)).is_some());
        for ask in &asks {
            if let Ask::DeleteCronJob { key, propagation } = ask {
                self.checker.books.asked_to_go(key, *propagation != Propagation::Orphan);
            }
            // Whoever writes an owner that has gone has the Job go too.
            if let Ask::Replace { job, .. } = ask
                && let Some(meta) = job.metadata.as_ref().filter(|_| self.checker.books.is_stray(job))
            {
                self.checker.doomed.insert(meta.uid.clone());
            }
            if let Ask::DeleteJob { key, .. } = ask
                && let Some(job) = self.checker.job(key)
            {
                let uid = job.metadata.as_ref().map_or(String::new(), |meta| meta.uid.clone());
                self.checker.doomed.insert(uid);
            }
        }
        self.apply(events, &mut asks)
    }

    /// Commits until there is nothing to do at this time; all of it is checked.
    fn apply(&mut self, mut events: VecDeque<Event>, asks: &mut VecDeque<Ask>) -> Result<(), Broken> {
        for round in 0.. {
            if round > COMMITS_AT_ONCE {
                return Err("it commits and commits, and does not come to rest".to_owned());
            }
            let before: Vec<_> =
                asks.iter().map(|ask| ask.job().and_then(|key| self.checker.job(&key).cloned())).collect();
            match self.device.apply(&mut events) {
                Ok(applied) => {
                    let more = applied.more;
                    self.committed(&applied)?;
                    self.answered(&applied, asks, &before)?;
                    self.act(applied)?;
                    if !more {
                        break;
                    }
                }
                Err(PowerWent) => {
                    self.count("power cuts in a commit", 1);
                    self.tell(|| "the power went in a commit".to_owned());
                    self.guests.die(&mut self.rng);
                    // A client that got no answer asks again, or gives up.
                    asks.retain(|_| self.rng.bool());
                    self.asked.append(asks);
                    self.off()?;
                    return self.boot(true);
                }
            }
        }
        let Some(engine) = self.device.engine() else { return Ok(()) };
        if engine.holds() {
            return Ok(());
        }
        if engine.next_wake(self.device.now()).is_some_and(|wake| wake <= self.device.now().steady) {
            return Err("there is nothing to do, and a timer that is due".to_owned());
        }
        self.checker.at_rest(&self.guests.at_work(self.device.time))?;
        if self.rng.u8(0..8) > 0 {
            return Ok(());
        }
        let (wall, attentive) = (self.device.wall(), self.device.has_plenty());
        self.checker.books.every_slot(&self.device.cron_jobs(), wall, attentive)
    }

    fn committed(&mut self, applied: &Applied) -> Result<(), Broken> {
        self.count("commits", 1);
        self.tell_changes(&applied.changes);
        self.tell_ledger(applied);
        self.checker.commit(applied, self.device.walls())?;
        let cron_job = |change: &Change| matches!(change.after, Some(engine::Object::CronJob(_)));
        match applied.changes.iter().any(cron_job) {
            true => self.checker.books.follow(&self.device.cron_jobs(), self.device.walls()),
            false => Ok(()),
        }
    }

    /// What is refused changes nothing; what is acknowledged is there.
    fn answered(
        &mut self,
        applied: &Applied,
        asks: &mut VecDeque<Ask>,
        before: &[Option<Arc<Job>>],
    ) -> Result<(), Broken> {
        for (index, reply) in applied.replies.iter().enumerate() {
            let Some(ask) = asks.pop_front() else { break };
            self.tell(|| format!("{ask:?} -> {}", said(reply)));
            let key = ask.job();
            let now = key.as_ref().and_then(|key| self.checker.job(key)).cloned();
            match (&ask, reply) {
                (_, Err(_)) => {
                    self.count("refused", 1);
                    let others = asks.iter().any(|other| other.job() == key) || index > 0;
                    let spec = |job: Option<&Arc<Job>>| job.map(|job| job.spec.clone());
                    if !others
                        && let Some(was) = before.get(index)
                        && was.is_some()
                        && spec(was.as_ref()) != spec(now.as_ref())
                        && now.is_some()
                    {
                        return Err(format!("{ask:?} was refused, and changed something"));
                    }
                }
                (Ask::Create { dry_run: false, .. }, Ok(Reply::Job { job, .. })) => {
                    let uid = |job: &Job| job.metadata.as_ref().map(|meta| meta.uid.clone());
                    let there = now.is_some_and(|now| uid(&now) == uid(job));
                    let doomed = uid(job).is_some_and(|uid| self.checker.doomed.contains(&uid));
                    let expires =
                        job.spec.as_ref().is_some_and(|spec| spec.ttl_seconds_after_finished.is_some());
                    self.count("jobs created", 1);
                    if !there && !doomed && !expires {
                        return Err(format!("{ask:?} was acknowledged, and is not there"));
                    }
                }
                (
                    Ask::Replace { dry_run: false, job: wanted },
                    Ok(Reply::Job { outcome: Outcome::Configured, .. }),
                ) => {
                    self.count("jobs changed", 1);
                    let version = |job: &Job| job.metadata.as_ref().map(|meta| meta.resource_version.clone());
                    let given = version(wanted).unwrap_or_default();
                    let was = before.get(index).and_then(Option::as_ref).and_then(|job| version(job));
                    if !given.is_empty() && was.is_some_and(|was| was != given) {
                        return Err(format!(
                            "{ask:?} was taken, and somebody else had changed the Job since"
                        ));
                    }
                    let parallelism = |job: &Job| job.spec.as_ref().and_then(|spec| spec.parallelism);
                    if asks.is_empty() && now.is_some_and(|now| parallelism(&now) != parallelism(wanted)) {
                        return Err(format!("{ask:?} was acknowledged, and is not what is there"));
                    }
                }
                (Ask::DeletePod { .. }, Ok(_)) => self.count("Pods deleted", 1),
                (Ask::DeleteJob { propagation: Propagation::Foreground, .. }, Ok(_)) => {}
                (Ask::DeleteJob { .. }, Ok(_)) => {
                    self.count("jobs deleted", 1);
                    // The next slot of a CronJob may have made another of its name.
                    let uid = |job: &Arc<Job>| job.metadata.as_ref().map(|meta| meta.uid.clone());
                    let was = before.get(index).and_then(Option::as_ref).and_then(uid);
                    if asks.is_empty() && now.is_some_and(|now| uid(&now) == was) {
                        return Err(format!("{ask:?} was acknowledged, and it is still there"));
                    }
                }
                (Ask::DeleteImage { .. }, Ok(_)) => self.count("images deleted", 1),
                _ => self.answered_about_cron_job(&ask, reply, asks.is_empty())?,
            }
        }
        Ok(())
    }

    /// `last` says that nobody asked for anything after it.
    fn answered_about_cron_job(
        &mut self,
        ask: &Ask,
        reply: &Result<Reply, Rejected>,
        last: bool,
    ) -> Result<(), Broken> {
        let Some(key) = ask.cron_job(&self.zones) else { return Ok(()) };
        let now = self.checker.books.get(&key).cloned();
        match (ask, reply) {
            (Ask::WriteCronJob { dry_run: false, .. }, Ok(Reply::CronJob { outcome, .. })) => {
                self.count(
                    if *outcome == Outcome::Created { "CronJobs created" } else { "CronJobs changed" },
                    1,
                );
                if now.is_none() && !self.checker.books.may_go(&key) {
                    return Err(format!("{ask:?} was acknowledged, and is not there"));
                }
            }
            (Ask::ReplaceCronJob { dry_run: false, cron_job: wanted, .. }, Ok(_)) => {
                self.count("CronJobs changed", 1);
                if last && now.is_some_and(|now| now.spec != wanted.spec) {
                    return Err(format!("{ask:?} was acknowledged, and is not what is there"));
                }
            }
            (Ask::DeleteCronJob { propagation, .. }, Ok(_)) => {
                self.count("CronJobs deleted", 1);
                if *propagation == Propagation::Background && last && now.is_some() {
                    return Err(format!("{ask:?} was acknowledged, and it is still there"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn act(&mut self, applied: Applied) -> Result<(), Broken> {
        let now = self.device.time;
        for effect in applied.effects {
            match effect {
                Effect::Start(start) => {
                    self.count("guests started", 1);
                    self.tell(|| format!("starts {} of {}", start.container, start.pod));
                    if !self.guests.start(*start, now, &self.temper, &mut self.rng) {
                        return Err("a guest was started that runs".to_owned());
                    }
                }
                Effect::Stop(guest) => self.guests.stop(guest, now, &mut self.rng),
                Effect::Kill(guest) => self.guests.kill(guest, now),
                _ => {}
            }
        }
        Ok(())
    }

    fn power_cut(&mut self) -> Result<(), Broken> {
        self.tell(|| "the power goes".to_owned());
        self.count("power cuts", 1);
        self.device.crash();
        self.guests.die(&mut self.rng);
        self.off()?;
        self.boot(false)
    }

    fn clean_stop(&mut self) -> Result<(), Broken> {
        self.tell(|| "the agent stops".to_owned());
        self.count("clean stops", 1);
        self.device.drain();
        if self.rng.bool() {
            let ends = self.guests.news(self.device.time + 30 * SECOND, &self.temper, &mut self.rng);
            self.apply(ends.into(), &mut VecDeque::new())?;
        }
        self.device.stop()?;
        self.guests.die(&mut self.rng);
        self.off()?;
        // A commit that was held is tried once more when it closes: it may be on record although nobody was told.
        self.boot(true)
    }

    /// The device is off for a while.
    fn off(&mut self) -> Result<(), Broken> {
        let off = [0, SECOND, 60 * SECOND, 24 * HOUR][self.rng.usize(0..4)];
        self.device.time += off;
        if self.unwell && self.rng.u8(0..6) == 0 {
            self.count("boots in 1970", 1);
            self.device.lose_wall_clock();
        } else if self.rng.bool() {
            self.device.set_wall_clock_right();
        }
        Ok(())
    }

    fn boot(&mut self, in_flight: bool) -> Result<(), Broken> {
        let steady = self.device.now().steady.0;
        self.checker.books.found(&self.device.ledger(), in_flight, steady)?;
        self.checker.books.starts_with(&self.device.cron_jobs(), in_flight);
        let Ok(applied) = self.device.boot()? else {
            self.count("power cuts in a commit", 1);
            self.tell(|| "the power went while the agent started".to_owned());
            self.off()?;
            return self.boot(true);
        };
        self.tell(|| "the agent starts".to_owned());
        self.tell_changes(&applied.changes);
        self.tell_ledger(&applied);
        if let Some(engine) = self.device.engine() {
            self.checker.reopened(&engine.reader(), in_flight, &applied, self.device.walls())?;
        }
        self.checker.books.follow(&self.device.cron_jobs(), self.device.walls())?;
        self.act(applied)?;
        let again = std::mem::take(&mut self.asked);
        self.settle()?;
        again.into_iter().try_for_each(|ask| self.ask(ask))
    }

    fn count(&mut self, what: &'static str, times: u64) {
        if times > 0 {
            *self.lived.counts.entry(what).or_default() += times;
        }
    }

    fn tell_changes(&mut self, changes: &[Change]) {
        for line in changes.iter().filter(|_| self.telling).filter_map(checker::told) {
            self.lived.story.push(format!("{:>9} s    {line}", self.device.time / SECOND));
        }
    }

    fn tell_ledger(&mut self, applied: &Applied) {
        for entry in applied.ledger.iter().filter(|_| self.telling) {
            let at = |at: &Option<prost_types::Timestamp>| at.as_ref().map_or(0, |at| at.seconds);
            let line = match entry.r#type.as_str() {
                "Started" => format!("slot {} started {}", at(&entry.slot), entry.job),
                "Missed" => {
                    let (first, last) = (at(&entry.first), at(&entry.last));
                    format!(
                        "{} missed {} from {first} to {last}: {}",
                        entry.cron_job, entry.count, entry.reason
                    )
                }
                other => format!("{other} {}", entry.job),
            };
            self.lived.story.push(format!(
                "{:>9} s    ledger {}: {line}",
                self.device.time / SECOND,
                entry.id
            ));
        }
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.telling {
            let line = format!("{:>9} s  {}", self.device.time / SECOND, what());
            self.lived.story.push(line);
        }
    }
}

fn said(reply: &Result<Reply, Rejected>) -> String {
    match reply {
        Ok(Reply::Job { outcome, .. } | Reply::CronJob { outcome, .. }) => format!("{outcome:?}"),
        Ok(_) => "done".to_owned(),
        Err(rejected) => format!("refused: {rejected}"),
    }
}
