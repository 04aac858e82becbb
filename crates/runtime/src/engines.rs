//! The two engines, and how much address space their pools reserve.
//!
//! Every guest runs with epochs; only guests with a fuel limit pay for counting fuel, which is another
//! compilation of the same image on another engine. Each engine has a pool that could hold all live guests; what
//! they share is the bound on live guests itself (`Runtime` counts slots of both together). The second pool costs
//! address space, not memory.
//!
//! Nothing here compiles: [`settings`] is also what the compiler child builds its engine from, so that what it
//! writes fits the engines here.

use std::hash::{Hash, Hasher};

use sha2::{Digest as _, Sha256};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, Linker, PoolingAllocationConfig};
use wasmtime_wasi::{I32Exit, p1, p2};

use crate::{
    net,
    run::State,
    runtime::{Allocatable, RuntimeError},
};

/// Which of the two engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Variant {
    /// Yields and stops at epochs.
    Epoch,
    /// That, and counts fuel.
    Fuel,
}

impl Variant {
    pub(crate) fn of(fuel: bool) -> Variant {
        if fuel { Variant::Fuel } else { Variant::Epoch }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Variant::Epoch => "epoch",
            Variant::Fuel => "fuel",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Variant> {
        [Variant::Epoch, Variant::Fuel].into_iter().find(|variant| variant.name() == name)
    }
}

/// The address space one linear memory has to itself: the most it can ever grow to. Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reservation(pub(crate) u64);

impl Reservation {
    /// With all of 4 GiB (and the guard) reserved, a 32-bit access needs no bounds check.
    pub(crate) const LARGEST: Reservation = Reservation(4 << 30);
    /// Below this, fewer guests are the better bargain…
    const COMFORTABLE: Reservation = Reservation(512 << 20);
    /// …and below this it is not worth running anything.
    const SMALLEST: Reservation = Reservation(64 << 20);

    /// The guard behind each memory; Wasmtime's 32 MiB, less where address space is scarce. Bytes.
    fn guard(self) -> u64 {
        (32 << 20).min(self.0 / 8)
    }
}

/// One guest's share of the pools. A guest that needs more than one slot has, holds several.
pub(crate) const TABLES_PER_SLOT: u32 = 4;
/// Core instances of a component; they are counted by the pool but cost no address space.
const INSTANCES_PER_SLOT: u32 = 64;
/// Linear memories one image may have.
pub(crate) const MEMORIES_PER_IMAGE: u32 = 8;
/// Tables one image may have.
pub(crate) const TABLES_PER_IMAGE: u32 = 16;
/// Entries a table may have. 8 bytes of address space each, per table of the pool.
pub(crate) const TABLE_ELEMENTS: usize = 1 << 16;
/// The pool's own record of an instance: 32 bytes for each function that can be called indirectly. Bytes.
const INSTANCE_RECORD_BYTES: usize = 4 << 20;
/// Tables and stacks that are kept resident when a slot is free. Bytes.
const SMALL_KEEP_RESIDENT_BYTES: usize = 64 << 10;
/// Free slots kept warm for modules other than the one that starts: what a slot keeps resident stays, so few.
const WARM_SLOTS: u32 = 16;

/// How many guests, and how much address space each memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) live_guests: u32,
    pub(crate) reservation: Reservation,
}

impl Layout {
    /// What to try, best first: halve the memories down to a comfortable size, then the guests, then both further.
    fn candidates(live_guests: u32) -> Vec<Layout> {
        const FEW_GUESTS: u32 = 128;
        const FEWEST_GUESTS: u32 = 8;
        let mut layout = Layout { live_guests, reservation: Reservation::LARGEST };
        let mut candidates = vec![layout];
        loop {
            if layout.reservation.0 > Reservation::COMFORTABLE.0 {
                layout.reservation.0 /= 2;
            } else if layout.live_guests > FEW_GUESTS {
                layout.live_guests = (layout.live_guests / 2).max(FEW_GUESTS);
            } else if layout.reservation.0 > Reservation::SMALLEST.0 {
                layout.reservation.0 /= 2;
            } else if layout.live_guests > FEWEST_GUESTS {
                layout.live_guests = (layout.live_guests / 2).max(FEWEST_GUESTS);
            } else {
                return candidates;
            }
            candidates.push(layout);
        }
    }
}

/// The settings that decide what compiled code looks like; the same in the daemon and in the compiler child.
pub(crate) fn settings(variant: Variant, reservation: Reservation) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .consume_fuel(variant == Variant::Fuel)
        .memory_init_cow(true)
        .memory_reservation(reservation.0)
        .memory_guard_size(reservation.guard())
        // Async components (WASI 0.3) are not linked; without this every store carries what they need.
        .concurrency_support(false);
    config
}

/// An engine with everything a guest can import linked to it.
pub(crate) struct LinkedEngine {
    pub(crate) engine: Engine,
    pub(crate) modules: Linker<State>,
    pub(crate) components: wasmtime::component::Linker<State>,
    /// Everything compiled code depends on besides the image: Wasmtime's version, the settings, the CPU's features.
    pub(crate) stamp: [u8; 32],
}

/// Both engines, in the largest layout this address space has room for.
pub(crate) struct Engines {
    pub(crate) epoch: LinkedEngine,
    pub(crate) fuel: LinkedEngine,
    pub(crate) layout: Layout,
}

impl Engines {
    pub(crate) fn new(live_guests: u32, keep_resident_bytes: usize) -> Result<Engines, RuntimeError> {
        let build = |layout| {
            let engine = |variant| Engine::new(&pooled(variant, layout, keep_resident_bytes));
            Ok::<_, wasmtime::Error>((engine(Variant::Epoch)?, engine(Variant::Fuel)?))
        };
        let mut candidates = Layout::candidates(live_guests).into_iter().peekable();
        let mut scarce = false;
        while let Some(mut layout) = candidates.next() {
            let mut engines = build(layout);
            if engines.is_err() && candidates.peek().is_some() {
                scarce = true;
                continue;
            }
            if let (true, Ok(_), Some(smaller)) = (scarce, &engines, candidates.next()) {
                // What just fits leaves no room for compiled code, files and threads; half of it does.
                drop(engines);
                layout = smaller;
                engines = build(layout);
            }
            if scarce {
                tracing::warn!(
                    live_guests = layout.live_guests,
                    memory_bytes = layout.reservation.0,
                    "the address space is small: fewer guests or smaller memories than configured"
                );
            }
            let (epoch, fuel) = engines.map_err(RuntimeError::Engine)?;
            let epoch = link(epoch).map_err(RuntimeError::Engine)?;
            let fuel = link(fuel).map_err(RuntimeError::Engine)?;
            return Ok(Engines { epoch, fuel, layout });
        }
        // There is always a first candidate, and the last one returns above.
        Err(RuntimeError::Engine(wasmtime::Error::msg("no layout to try")))
    }

    pub(crate) fn get(&self, variant: Variant) -> &LinkedEngine {
        match variant {
            Variant::Epoch => &self.epoch,
            Variant::Fuel => &self.fuel,
        }
    }

    pub(crate) fn allocatable(&self) -> Allocatable {
        Allocatable { guests: self.layout.live_guests, memory_bytes: self.layout.reservation.0 }
    }
}

fn pooled(variant: Variant, layout: Layout, keep_resident_bytes: usize) -> Config {
    let Layout { live_guests, reservation } = layout;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_memories(live_guests)
        .total_stacks(live_guests)
        .total_component_instances(live_guests)
        .total_tables(live_guests.saturating_mul(TABLES_PER_SLOT))
        .total_core_instances(live_guests.saturating_mul(INSTANCES_PER_SLOT))
        .max_memories_per_module(MEMORIES_PER_IMAGE)
        .max_memories_per_component(MEMORIES_PER_IMAGE)
        .max_tables_per_module(TABLES_PER_IMAGE)
        .max_tables_per_component(TABLES_PER_IMAGE)
        .max_core_instances_per_component(INSTANCES_PER_SLOT)
        .max_memory_size(usize::try_from(reservation.0).unwrap_or(usize::MAX))
        .max_core_instance_size(INSTANCE_RECORD_BYTES)
        .max_component_instance_size(INSTANCE_RECORD_BYTES)
        .table_elements(TABLE_ELEMENTS)
        .max_unused_warm_slots(WARM_SLOTS)
        .linear_memory_keep_resident(keep_resident_bytes)
        .table_keep_resident(SMALL_KEEP_RESIDENT_BYTES)
        .async_stack_keep_resident(SMALL_KEEP_RESIDENT_BYTES)
        .pagemap_scan(Enabled::Auto);
    let mut config = settings(variant, reservation);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

fn link(engine: Engine) -> wasmtime::Result<LinkedEngine> {
    let mut modules = Linker::new(&engine);
    p1::add_to_linker_async(&mut modules, |state: &mut State| &mut state.wasi)?;
    // Wasmtime's own takes codes of 126 and more for an error.
    modules.allow_shadowing(true);
    modules
        .func_wrap("wasi_snapshot_preview1", "proc_exit", |code: i32| Err::<(), _>(I32Exit(code).into()))?;
    modules.allow_shadowing(false);
    let mut components = wasmtime::component::Linker::new(&engine);
    p2::add_to_linker_async(&mut components)?;
    net::guard_name_lookup(&mut components)?;
    let stamp = stamp(&engine);
    Ok(LinkedEngine { engine, modules, components, stamp })
}

fn stamp(engine: &Engine) -> [u8; 32] {
    /// std's `Hash` into SHA-256: the same in every process, which `DefaultHasher` does not promise.
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0 // Asked by nobody; the whole hash is taken below.
        }
    }
    let mut sha = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut sha);
    sha.0.finalize().into()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn scarce_address_space_costs_memory_first_and_guests_next() {
        let tried: Vec<String> = Layout::candidates(1000)
            .into_iter()
            .map(|layout| format!("{}×{}M", layout.live_guests, layout.reservation.0 >> 20))
            .collect();
        expect!["1000×4096M 1000×2048M 1000×1024M 1000×512M 500×512M 250×512M 128×512M 128×256M 128×128M 128×64M 64×64M 32×64M 16×64M 8×64M"].assert_eq(&tried.join(" "));
    }

    #[test]
    fn the_two_engines_never_share_compiled_code() {
        let stamp = |variant| super::stamp(&Engine::new(&settings(variant, Reservation::LARGEST)).unwrap());
        assert_ne!(stamp(Variant::Epoch), stamp(Variant::Fuel));
        assert_eq!(stamp(Variant::Fuel), stamp(Variant::Fuel));
    }
}
