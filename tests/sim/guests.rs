//! Guests: they end as they like, and what is told of it may come twice, late or never.

use std::collections::BTreeMap;

use engine::{Event, GuestId, StartGuest, Usage};
use fastrand::Rng;
use sched::Exit;

/// Guests that run, or ran and were not told of yet.
#[derive(Default)]
pub(crate) struct Guests {
    running: BTreeMap<GuestId, Guest>,
    /// What will be told, by when.
    news: BTreeMap<(i64, u64), (GuestId, Exit, Usage)>,
    told: u64,
}

struct Guest {
    start: StartGuest,
    /// When it was started.
    since: i64,
    /// When it ends by itself, and how; `None` if it runs for ever.
    ends: Option<(i64, Exit)>,
}

/// How guests are, in one world.
pub(crate) struct Temper {
    /// Of a hundred, so many fail.
    pub(crate) failing: u32,
    /// Of a hundred, so many never end.
    pub(crate) endless: u32,
    /// They run for so long at most, in milliseconds.
    pub(crate) longest: i64,
    /// What is told of them may come twice, late or never.
    pub(crate) unreliable: bool,
}

impl Guests {
    pub(crate) fn start(&mut self, start: StartGuest, now: i64, temper: &Temper, rng: &mut Rng) -> bool {
        let ends = (rng.u32(0..100) >= temper.endless).then(|| {
            let lasts = if rng.u8(0..4) == 0 { 0 } else { rng.i64(0..=temper.longest) };
            (now + lasts, exit(temper, rng))
        });
        self.running.insert(start.guest, Guest { start, since: now, ends }).is_none()
    }

    /// Asked to stop: some do, some come to an end of their own first, some do not.
    pub(crate) fn stop(&mut self, guest: GuestId, now: i64, rng: &mut Rng) {
        let Some(running) = self.running.get_mut(&guest) else { return };
        let (after, exit) = match rng.u8(0..8) {
            0..=4 => (0, Exit::Stopped),
            5 => (rng.i64(0..20_000), Exit::Code(143)),
            6 => (rng.i64(0..20_000), Exit::Code(0)),
            _ => return,
        };
        if running.ends.as_ref().is_none_or(|(at, _)| *at > now + after) {
            running.ends = Some((now + after, exit));
        }
    }

    pub(crate) fn kill(&mut self, guest: GuestId, now: i64) {
        if let Some(running) = self.running.get_mut(&guest) {
            running.ends = Some((now, Exit::Stopped));
        }
    }

    /// The power went: nobody runs any more, but what was on its way may still arrive.
    pub(crate) fn die(&mut self, rng: &mut Rng) {
        self.running.clear();
        self.news.retain(|_, _| rng.bool());
    }

    /// All that runs ends soon, and everything is told.
    pub(crate) fn mend(&mut self, now: i64) {
        for guest in self.running.values_mut() {
            guest.ends.get_or_insert((now, Exit::Code(0)));
        }
    }

    /// Those that run and are not about to be over, with their Pods' uids.
    pub(crate) fn at_work(&self, now: i64) -> BTreeMap<GuestId, String> {
        let at_work =
            self.running.iter().filter(|(_, guest)| guest.ends.as_ref().is_none_or(|(at, _)| *at > now));
        at_work.map(|(id, guest)| (*id, guest.start.pod_uid.clone())).collect()
    }

    /// When something happens here next.
    pub(crate) fn next(&self) -> Option<i64> {
        let ends = self.running.values().filter_map(|guest| guest.ends.as_ref().map(|(at, _)| *at)).min();
        let news = self.news.first_key_value().map(|((at, _), _)| *at);
        [ends, news].into_iter().flatten().min()
    }

    /// What is told now.
    pub(crate) fn news(&mut self, now: i64, temper: &Temper, rng: &mut Rng) -> Vec<Event> {
        let ended: Vec<_> = self
            .running
            .iter()
            .filter(|(_, guest)| guest.ends.as_ref().is_some_and(|(at, _)| *at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in ended {
            let Some(Guest { since, ends: Some((at, exit)), .. }) = self.running.remove(&id) else {
                continue;
            };
            let wall_us = u64::try_from(at - since).unwrap_or(0) * 1000;
            let told = (id, exit, Usage { wall_us, ..Usage::default() });
            match rng.u8(0..20) {
                0 if temper.unreliable => {} // Never.
                1 if temper.unreliable => self.tell(now + rng.i64(0..60_000), told),
                2 if temper.unreliable => {
                    self.tell(now, told.clone());
                    self.tell(now + rng.i64(0..60_000), told);
                }
                _ => self.tell(now, told),
            }
        }
        let mut events = Vec::new();
        while let Some(first) = self.news.first_entry().filter(|first| first.key().0 <= now) {
            let (guest, exit, usage) = first.remove();
            events.push(Event::GuestEnded { guest, exit, usage });
        }
        events
    }

    fn tell(&mut self, at: i64, told: (GuestId, Exit, Usage)) {
        self.told += 1;
        self.news.insert((at, self.told), told);
    }
}

fn exit(temper: &Temper, rng: &mut Rng) -> Exit {
    if rng.u32(0..100) >= temper.failing {
        return Exit::Code(0);
    }
    match rng.u8(0..8) {
        0 => Exit::Trap { message: "unreachable".into() },
        1 => Exit::OutOfMemory { message: "more than its limit".into() },
        2 => Exit::Refused { why: "no such import".into() },
        3 => Exit::OutOfFuel { message: "all of it".into() },
        4 => Exit::Code(42),
        _ => Exit::Code(rng.u8(1..=3)),
    }
}
