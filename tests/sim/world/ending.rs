//! How a world ends: what is broken is mended, each CronJob starts a slot, and all comes to rest.

use api::pb::k8s::batch::v1::CronJob;
use engine::ObjectKey;
use engine::store::DiskRoom;

use super::{HOUR, Job, SECOND, World};
use crate::checker::Broken;
use crate::clients::Ask;
use crate::guests::Temper;
use crate::jobs::IMAGES;

/// A world that is well again comes to rest within this; the longest delay of a Job is ten minutes, and it may take many.
const REST_WITHIN: i64 = 60 * 24 * HOUR;
/// A CronJob whose next slot is further off is not waited for.
const SLOT_WITHIN: i64 = 60 * 3600;
/// So many slots of a CronJob are waited for, if others are held back by its own Jobs.
const SLOTS: u32 = 6;

/// A CronJob whose next slot is waited for.
struct Waiting {
    key: ObjectKey,
    /// The slot it had started last.
    last: Option<i64>,
    /// So many slots were held back.
    times: u32,
}

impl World {
    pub(super) fn end(&mut self) -> Result<(), Broken> {
        self.mend()?;
        self.let_slots_come()?;
        self.rest()?;
        self.checker.all_done()?;
        // Whoever starts again finds nothing to do.
        let before = self.checker.all_jobs().count();
        self.device.crash();
        self.boot(false)?;
        if self.checker.all_jobs().count() > before {
            return Err("there are more Jobs after a start than before".to_owned());
        }
        self.checker.all_done()?;
        let wall = self.device.wall();
        self.checker.books.every_slot(&self.device.cron_jobs(), wall, true)
    }

    fn rest(&mut self) -> Result<(), Broken> {
        let until = self.device.time + REST_WITHIN;
        while let Some(at) = self.next_happening().filter(|at| *at <= until) {
            self.pass_until(at)?;
        }
        Ok(())
    }

    /// Each CronJob that is not suspended starts a slot, and is then suspended: the next one that nothing keeps from it at the
    /// latest.
    fn let_slots_come(&mut self) -> Result<(), Broken> {
        let mut waiting: Vec<Waiting> = Vec::new();
        let keys: Vec<ObjectKey> = self.checker.books.all().map(|(key, _)| key.clone()).collect();
        for key in keys {
            let last = self.checker.books.last_schedule(&key);
            waiting.push(Waiting { key: key.clone(), last, times: 0 });
            if self.rng.bool() {
                self.suspend(&key, false)?;
            }
        }
        self.let_those_go_that_started(&mut waiting)?;
        loop {
            let now = self.device.wall().div_euclid(1000);
            let records = self.device.cron_jobs();
            let mut next: Option<(i64, i64, ObjectKey)> = None;
            for Waiting { key, times, .. } in std::mem::take(&mut waiting) {
                let slot = self.checker.books.next_slot(&key, &records, now, now + SLOT_WITHIN);
                let Some((slot, by)) = slot.filter(|_| times < SLOTS && self.is_to_start(&key)) else {
                    self.suspend(&key, true)?;
                    continue;
                };
                let last = self.checker.books.last_schedule(&key);
                waiting.push(Waiting { key: key.clone(), last, times });
                next = next.into_iter().chain([(by, slot, key)]).min();
            }
            let Some((by, slot, key)) = next else { return Ok(()) };
            // What the record says of a slot counts only where a Job was seen to be in its way.
            let in_its_way = self.checker.books.is_held_back(&key, slot);
            self.pass_until_started((by - now).max(0) * SECOND, &mut waiting)?;
            let Some(late) = waiting.iter_mut().find(|waits| waits.key == key) else { continue };
            let books = &self.checker.books;
            let was_kept = books.is_held_back(&key, slot)
                || in_its_way && books.came_too_late(&key, slot, &self.device.cron_jobs());
            if !was_kept && self.device.wall() / 1000 >= by {
                return Err(format!(
                    "CronJob {key} did not start slot {slot}, and nothing kept it from that"
                ));
            }
            // Once its Job is over, it starts the latest slot, or that is too late by then and it starts the next.
            late.times += 1;
            let until = self.device.time + 48 * HOUR;
            while self.checker.books.has_live_jobs(&key)
                && let Some(at) = self.next_happening().filter(|at| *at <= until)
            {
                self.pass_until(at)?;
                self.let_those_go_that_started(&mut waiting)?;
            }
        }
    }

    /// Time passes, and whoever starts a slot waits no longer.
    fn pass_until_started(&mut self, length: i64, waiting: &mut Vec<Waiting>) -> Result<(), Broken> {
        let until = self.device.time + length;
        while let Some(at) = self.next_happening().filter(|at| *at <= until) {
            self.pass_until(at)?;
            self.let_those_go_that_started(waiting)?;
        }
        self.pass_until(until)?;
        self.let_those_go_that_started(waiting)
    }

    fn let_those_go_that_started(&mut self, waiting: &mut Vec<Waiting>) -> Result<(), Broken> {
        for Waiting { key, last, times } in std::mem::take(waiting) {
            if self.checker.books.last_schedule(&key) > last {
                self.count("next slots after all was mended", 1);
                self.suspend(&key, true)?;
            } else {
                waiting.push(Waiting { key, last, times });
            }
        }
        Ok(())
    }

    /// It is there, not suspended, and its slots have some time to start.
    fn is_to_start(&self, key: &ObjectKey) -> bool {
        self.checker.books.get(key).is_some_and(|cron_job| {
            let going = cron_job.metadata.as_ref().is_some_and(|meta| meta.deletion_timestamp.is_some());
            let spec = cron_job.spec.as_ref();
            !going
                && spec.is_some_and(|spec| {
                    spec.suspend != Some(true) && spec.starting_deadline_seconds != Some(0)
                })
        })
    }

    fn suspend(&mut self, key: &ObjectKey, suspend: bool) -> Result<(), Broken> {
        let Some(cron_job) = self.checker.books.get(key) else { return Ok(()) };
        let mut cron_job = CronJob::clone(cron_job);
        if let Some(spec) = &mut cron_job.spec {
            spec.make_mut().suspend = Some(suspend);
        }
        if let Some(meta) = &mut cron_job.metadata {
            meta.resource_version = String::new();
        }
        self.ask(Ask::ReplaceCronJob { cron_job: Box::new(cron_job), read: None, dry_run: false })
    }

    /// Everything that is broken is mended, and what waits is let go.
    fn mend(&mut self) -> Result<(), Broken> {
        self.tell(|| "all is mended".to_owned());
        self.unwell = false;
        self.device.set_room(DiskRoom::Plenty);
        self.device.power_stays();
        self.device.set_wall_clock_right();
        self.device.enlarge();
        self.zones.mend();
        self.temper = Temper { failing: self.temper.failing, endless: 0, longest: SECOND, unreliable: false };
        // Guests whose ends were never told are found by a start.
        self.device.crash();
        self.guests.die(&mut self.rng);
        self.boot(true)?;
        self.guests.mend(self.device.time);
        for name in IMAGES {
            self.ask(Ask::PushImage { name })?;
        }
        let waiting: Vec<_> = self
            .checker
            .all_jobs()
            .filter_map(|job| {
                let mut job = Job::clone(job);
                let spec = job.spec.as_mut()?.make_mut();
                let waits = spec.suspend == Some(true) || spec.parallelism == Some(0);
                spec.suspend = Some(false);
                let elastic = spec.completion_mode.as_deref() == Some("Indexed");
                if spec.parallelism == Some(0) && !(elastic && spec.completions == Some(0)) {
                    spec.parallelism = Some(1);
                }
                job.metadata.as_mut()?.resource_version = String::new();
                waits.then_some(Ask::Replace { job: Box::new(job), dry_run: false })
            })
            .collect();
        waiting.into_iter().try_for_each(|ask| self.ask(ask))
    }
}
