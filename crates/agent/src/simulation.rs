//! Time travel: the real `sched` and `engine` on a clock of their own, with guests that only pretend.
//!
//! A [`scenario`] says what is in the world, how its guests behave and what is done to it; [`world`] goes from one thing that
//! happens to the next, [`actions`] does what the scenario asks for, [`guests`] knows when each guest ends. What happens is
//! told entry by entry, in the order of the commits. No clock is read, nothing is executed, and nothing of the agent's own
//! state is touched: the store is memory, and goes with the simulation.

mod actions;
mod current;
mod guests;
mod reading;
mod refusal;
mod scenario;
mod summary;
mod world;
mod zones;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use api::pb::wick::v1::SimulationEntry;
use api::{FieldErrors, FieldPath, Grants, ImageRef};
use engine::OpenError;
use engine::store::StoreError;
use jiff::Timestamp;

pub(crate) use self::current::Current;
pub(crate) use self::scenario::NodeSpec;
use self::scenario::{Deed, Manifest, Scenario};
pub(crate) use self::world::Bounds;
use self::world::{Given, World};
use self::zones::WorldZones;

/// Takes what happened; breaks when nobody listens any more.
pub(crate) type Told<'a> = dyn FnMut(SimulationEntry) -> ControlFlow<()> + 'a;

/// A simulation to be made.
pub(crate) struct Simulation {
    /// The scenario's text.
    pub(crate) scenario: String,
    /// When it starts, if it does not say so.
    pub(crate) now: Timestamp,
    /// The namespace of what names none.
    pub(crate) namespace: String,
    /// What to begin with, instead of the scenario's objects.
    pub(crate) current: Option<Current>,
    /// What guests may be granted.
    pub(crate) grants: Arc<Grants>,
    /// Objects are left out of what is told.
    pub(crate) brief: bool,
    /// How far it may go.
    pub(crate) bounds: Bounds,
}

/// Why a simulation came to no end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The scenario is wrong, at these places.
    #[error("the scenario is wrong: {0}")]
    Scenario(FieldErrors),
    /// It goes too far.
    #[error("{0}")]
    Limit(String),
    /// Nobody listens any more.
    #[error("nobody listens any more")]
    Gone,
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] OpenError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        Trouble::Engine(OpenError::Store(error))
    }
}

/// Makes a simulation, and tells what happens in it. What is told ends with a `final`, or with trouble.
pub(crate) fn run(simulation: Simulation, tell: &mut Told<'_>) -> Result<(), Trouble> {
    let Simulation { scenario, now, namespace, current, grants, brief, bounds } = simulation;
    let mut scenario = Scenario::read(&scenario, now, current.as_ref()).map_err(Trouble::Scenario)?;
    let zones = Arc::new(world_zones(&scenario.node.time_zone)?);
    let current = current.unwrap_or_default();
    let images = existing_images(&scenario, &current);
    let objects = std::mem::take(&mut scenario.objects);
    let mut world = World::new(&mut scenario, Given { grants, zones, namespace, brief, bounds }, tell);
    world.boot()?;
    world.add_images(&images)?;
    world.apply_first(&objects)?;
    world.begin_with(current)?;
    world.begin_telling()?;
    world.live()?;
    world.finish()
}

fn world_zones(local: &str) -> Result<WorldZones, Trouble> {
    WorldZones::new(local).ok_or_else(|| {
        let mut errors = FieldErrors::new();
        let place = FieldPath::root().field("node").field("timeZone");
        errors.not_found(place, local, "no time zone of this name is known; names are as in `Europe/Berlin`");
        Trouble::Scenario(errors)
    })
}

/// Those the scenario names, or all that its manifests name.
fn existing_images(scenario: &Scenario, current: &Current) -> Vec<ImageRef> {
    if let Some(images) = &scenario.images {
        return images.clone();
    }
    let applied = scenario.actions.iter().filter_map(|action| match &action.deed {
        Deed::Apply { manifest, .. } => Some(manifest),
        _ => None,
    });
    let manifests = scenario.objects.iter().chain(applied).collect::<Vec<&Manifest>>();
    let mut names: BTreeSet<String> = actions::images(manifests.into_iter());
    names.extend(current.jobs.iter().flat_map(api::job::images).map(str::to_owned));
    names.extend(current.cron_jobs.iter().flat_map(api::cron_job::images));
    names.iter().filter_map(|name| ImageRef::parse(name).ok()).collect()
}

#[cfg(test)]
mod tests;
