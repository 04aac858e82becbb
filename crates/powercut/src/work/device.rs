//! The real engine under its own work: a device whose clock is told the time and whose guests end when chance says so.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use api::pb::wick::v1::{Image, ImageRecord};
use api::{Grants, NewJob};
use engine::store::LookError;
use engine::{
    Applied, Config, Effect, Engine, Event, GuestId, Limits, ObjectKey, Propagation, StartGuest, Usage,
    WriteMode, stored_time,
};
use sched::cron_job::OnlyUtc;
use sched::node::Room;
use sched::{Exit, Now};

use crate::announce::Announcing;
use crate::random::Random;

/// When the first start was, in milliseconds on both axes.
const BEGINNING: i64 = 1_800_000_000_000;
/// How many names Jobs have.
const JOBS: usize = 12;
const IMAGES: usize = 5;

struct Device {
    engine: Engine,
    now: i64,
    running: BTreeMap<GuestId, StartGuest>,
    asked_to_stop: Vec<GuestId>,
}

/// Lives through `steps` of what happens on a device.
pub(super) fn run(
    open: &dyn Fn() -> Result<Announcing, LookError>,
    steps: usize,
    random: &mut Random,
) -> Result<()> {
    let mut device = Device::boot(open)?;
    for step in 0..steps {
        // From the first on there is something to do.
        match if step == 0 { 0 } else { random.below(100) } {
            0..12 => device.push_image(random)?,
            12..32 => device.create_jobs(random)?,
            32..66 => device.end_guests(random)?,
            66..76 => device.wait(random)?,
            76..84 => device.delete_job(random)?,
            84..90 => device.stop_asked()?,
            90..94 => device.delete_image(random)?,
            94..98 => device.refuse()?,
            _ => {
                device.engine.close()?;
                device = Device::boot(open)?;
            }
        }
    }
    if random.percent(50) {
        device.engine.close()?;
    } else {
        std::mem::forget(device);
    }
    Ok(())
}

impl Device {
    fn boot(open: &dyn Fn() -> Result<Announcing, LookError>) -> Result<Device> {
        let store = open()?;
        let now = stored_time(&store)?.map_or(BEGINNING, |time| time.steady_ms + 1000);
        let config = Config {
            node_name: "edge-1".into(),
            fresh_instance_id: "0123456789abcdef0123456789abcdef".into(),
            node_labels: BTreeMap::new(),
            allocatable: Room { pods: 40, guests: 40, cpu_millis: 4000, memory_bytes: 1 << 30 },
            limits: Limits { terminated_pods: 150, ..Limits::default() },
            zones: Arc::new(OnlyUtc),
            not_before: Now::at(0).wall,
        };
        let (engine, applied) = Engine::open(Box::new(store), config, Now::at(now))?;
        let mut device = Device { engine, now, running: BTreeMap::new(), asked_to_stop: Vec::new() };
        device.act(applied);
        device.apply(Vec::new())?;
        Ok(device)
    }

    fn apply(&mut self, events: Vec<Event>) -> Result<()> {
        let mut events = VecDeque::from(events);
        loop {
            let applied = self.engine.apply(&mut events, Now::at(self.now))?;
            let more = applied.more;
            self.act(applied);
            if !more {
                return Ok(());
            }
        }
    }

    fn act(&mut self, applied: Applied) {
        for effect in applied.effects {
            match effect {
                Effect::Start(start) => drop(self.running.insert(start.guest, *start)),
                Effect::Stop(guest) | Effect::Kill(guest) => self.asked_to_stop.push(guest),
                Effect::RemoveVolumes { .. } | Effect::RemovePod { .. } | Effect::RemoveImage { .. } => {}
            }
        }
    }

    fn create_jobs(&mut self, random: &mut Random) -> Result<()> {
        let jobs = random.between(1, 4);
        let jobs = (0..jobs).map(|_| {
            let job = Box::new(new_job(random)?);
            Ok(Event::CreateJob { job, mode: WriteMode::Apply, dry_run: false })
        });
        let jobs = jobs.collect::<Result<_>>()?;
        self.apply(jobs)
    }

    /// Some guests end, often many at once.
    fn end_guests(&mut self, random: &mut Random) -> Result<()> {
        let most = random.between(1, 12);
        let some: Vec<GuestId> = self.running.keys().copied().take(most).collect();
        let ends = some.into_iter().map(|guest| {
            self.running.remove(&guest);
            let exit = if random.percent(85) { Exit::Code(0) } else { Exit::Code(3) };
            Event::GuestEnded { guest, exit, usage: Usage::default() }
        });
        let ends = ends.collect();
        self.now += random.below(300) as i64;
        self.apply(ends)
    }

    fn stop_asked(&mut self) -> Result<()> {
        let asked = std::mem::take(&mut self.asked_to_stop);
        let ends = asked.into_iter().filter(|guest| self.running.remove(guest).is_some());
        let ends: Vec<_> = ends
            .map(|guest| Event::GuestEnded { guest, exit: Exit::Stopped, usage: Usage::default() })
            .collect();
        self.apply(ends)
    }

    /// The time passes, timers included.
    fn wait(&mut self, random: &mut Random) -> Result<()> {
        let until = self.now + random.between(10, 40_000) as i64;
        while let Some(at) = self.engine.next_wake(Now::at(self.now)).filter(|at| at.0 <= until) {
            self.now = self.now.max(at.0);
            self.apply(Vec::new())?;
        }
        self.now = until;
        Ok(())
    }

    fn delete_job(&mut self, random: &mut Random) -> Result<()> {
        let key = ObjectKey::new("default", job_name(random));
        let ways = [Propagation::Background, Propagation::Foreground, Propagation::Orphan];
        let propagation = ways[random.below(ways.len())];
        self.apply(vec![Event::DeleteJob { key, uid: String::new(), propagation }])
    }

    fn push_image(&mut self, random: &mut Random) -> Result<()> {
        let name = image_name(random);
        let digest = format!("sha256:{:064x}", random.next());
        let image = Image { name: format!("{name}:latest"), digest, ..Image::default() };
        self.apply(vec![Event::ImageStored(ImageRecord { image: Some(image), ..ImageRecord::default() })])
    }

    fn delete_image(&mut self, random: &mut Random) -> Result<()> {
        self.apply(vec![Event::DeleteImage { reference: format!("{}:latest", image_name(random)) }])
    }

    /// What is refused changes nothing.
    fn refuse(&mut self) -> Result<()> {
        self.apply(vec![Event::DeleteJob {
            key: ObjectKey::new("default", "never-was"),
            uid: String::new(),
            propagation: Propagation::Background,
        }])
    }
}

fn job_name(random: &mut Random) -> String {
    format!("job-{}", random.below(JOBS))
}

fn image_name(random: &mut Random) -> String {
    format!("image-{}", random.below(IMAGES))
}

fn new_job(random: &mut Random) -> Result<NewJob> {
    // A record of a Job lies in pieces when it is long.
    let note = if random.percent(15) { random.between(4000, 120_000) } else { random.between(1, 300) };
    let note = format!("{:016x}", random.next()).repeat(note.div_ceil(16));
    let manifest = format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {}, annotations: {{note: '{note}'}}}}, spec: \
         {{completions: {}, parallelism: {}, backoffLimit: {}, template: {{spec: {{restartPolicy: {}, \
         containers: [{{name: main, image: {}}}]}}}}}}}}",
        job_name(random),
        random.between(1, 40),
        random.between(1, 15),
        random.below(8),
        if random.percent(50) { "Never" } else { "OnFailure" },
        image_name(random),
    );
    let document = api::manifest::parse(&manifest)?.pop().context("no document")?;
    match document.object? {
        api::manifest::Object::Job(job) => Ok(NewJob::check(*job, &Grants::default())?),
        api::manifest::Object::CronJob(_) => bail!("a CronJob"),
    }
}
