//! From an image to something that starts in microseconds, each step done once however many ask for it.
//!
//! A loaded image is its code in memory with its imports already resolved (`InstancePre`), one for each engine that
//! needs it. The last few used are kept. What is not loaded is read from the cache of compiled code; what is not
//! there is compiled.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::OnceCell;
use wasmtime::{InstancePre, Module, ModuleExport, Precompiled, ResourcesRequired, component::Component};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::{
    CompileLimits, Compiler, Digest, Image, Refused,
    cache::{Cache, CodeName},
    compile,
    engines::{Engines, TABLES_PER_SLOT, Variant},
    run::State,
};

/// An image ready to start.
pub(crate) struct Loaded {
    pub(crate) program: Program,
    /// Slots of the pools one guest of it takes.
    pub(crate) slots: u32,
}

pub(crate) enum Program {
    Module { pre: InstancePre<State>, start: ModuleExport },
    Component { pre: CommandPre<State> },
}

type Cell = Arc<OnceCell<Result<Arc<Loaded>, Refused>>>;
type Key = (Digest, Variant);

pub(crate) struct Loader {
    pub(crate) engines: Engines,
    cache: Cache,
    compiler: Compiler,
    limits: CompileLimits,
    /// At most this many are kept loaded.
    capacity: usize,
    kept: Mutex<Kept>,
    /// One compilation at a time: a device has memory for one.
    compiling: tokio::sync::Mutex<()>,
    compiled: AtomicU64,
}

#[derive(Default)]
struct Kept {
    cells: HashMap<Key, (Cell, u64)>,
    /// Counts uses; the least recently used is the first to go.
    uses: u64,
}

impl Loader {
    pub(crate) fn new(
        engines: Engines,
        cache: Cache,
        compiler: Compiler,
        limits: CompileLimits,
        capacity: usize,
    ) -> Loader {
        let capacity = capacity.max(1);
        let (kept, compiling, compiled) = (Mutex::default(), tokio::sync::Mutex::new(()), AtomicU64::new(0));
        Loader { engines, cache, compiler, limits, capacity, kept, compiling, compiled }
    }

    /// The image, loaded. Whoever asks first starts the work; the others wait for it, and get the same answer.
    pub(crate) async fn get(
        self: &Arc<Loader>,
        image: &Image,
        variant: Variant,
    ) -> Result<Arc<Loaded>, Refused> {
        let key = (image.digest, variant);
        let cell = self.cell(key);
        let answer = match cell.get() {
            Some(answer) => answer,
            None => cell.get_or_init(|| async { self.load(image, variant).await.map(Arc::new) }).await,
        };
        if answer.is_err() {
            // Whoever comes later tries again: the reason may have been this node's.
            self.drop_cell(&key, &cell);
        }
        answer.clone()
    }

    /// Drops what is known of an image that was deleted. Guests of it that run are left alone.
    pub(crate) fn forget(&self, digest: &Digest) -> std::io::Result<()> {
        self.kept().cells.retain(|(kept, _), _| kept != digest);
        self.cache.forget(digest)
    }

    /// How many images were compiled since the start.
    pub(crate) fn compiled(&self) -> u64 {
        self.compiled.load(Ordering::Relaxed)
    }

    fn cell(&self, key: Key) -> Cell {
        let mut kept = self.kept();
        kept.uses += 1;
        let now = kept.uses;
        if let Some((cell, used)) = kept.cells.get_mut(&key) {
            *used = now;
            return Arc::clone(cell);
        }
        if kept.cells.len() >= self.capacity
            && let Some((&oldest, _)) = kept.cells.iter().min_by_key(|(_, (_, used))| *used)
        {
            kept.cells.remove(&oldest);
        }
        let cell = Cell::default();
        kept.cells.insert(key, (Arc::clone(&cell), now));
        cell
    }

    fn drop_cell(&self, key: &Key, cell: &Cell) {
        let mut kept = self.kept();
        if kept.cells.get(key).is_some_and(|(kept, _)| Arc::ptr_eq(kept, cell)) {
            kept.cells.remove(key);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn load(self: &Arc<Loader>, image: &Image, variant: Variant) -> Result<Loaded, Refused> {
        let name = CodeName { digest: image.digest, stamp: self.engines.get(variant).stamp };
        if let Some(loaded) = self.aside(move |loader| loader.load_cached(variant, &name)).await? {
            return Ok(loaded);
        }
        // Waiting here takes no thread from guests that read and write files.
        let _turn = self.compiling.lock().await;
        let image = image.clone();
        self.aside(move |loader| loader.compile(&image, variant, &name)).await?
    }

    /// Does `work` on a thread that may block.
    async fn aside<T: Send + 'static>(
        self: &Arc<Loader>,
        work: impl FnOnce(&Loader) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let loader = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&loader)).await;
        done.map_err(|error| Refused::Host(format!("loading it was cut off: {error}")))
    }

    fn compile(&self, image: &Image, variant: Variant, name: &CodeName) -> Result<Loaded, Refused> {
        let reservation = self.engines.layout.reservation;
        let code = compile::compile(&self.compiler, &self.limits, image, variant, reservation)?;
        let loaded = self.link(variant, &code)?;
        self.compiled.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.cache.write(name, &code) {
            // A full disk costs a compilation each time it is loaded, not the guest.
            tracing::warn!(image = %image.digest, %error, "compiled code could not be kept");
        }
        Ok(loaded)
    }

    /// From the cache. What is ours there, but does not load (any more), is of no use.
    fn load_cached(&self, variant: Variant, name: &CodeName) -> Option<Loaded> {
        let code = self.cache.read(name)?;
        match self.link(variant, &code) {
            Ok(loaded) => Some(loaded),
            Err(refused) => {
                tracing::warn!(image = %name.digest, %refused, "compiled code cannot be loaded; compiling again");
                self.cache.discard(name);
                None
            }
        }
    }

    fn link(&self, variant: Variant, code: &[u8]) -> Result<Loaded, Refused> {
        let engine = self.engines.get(variant);
        let unloadable =
            |error: wasmtime::Error| Refused::Image(format!("its compiled code cannot be loaded: {error:#}"));
        let unlinkable = |error: wasmtime::Error| {
            Refused::Image(format!("what it imports is not what is here: {error:#}"))
        };
        match wasmtime::Engine::detect_precompiled(code) {
            Some(Precompiled::Module) => {
                #[expect(
                    unsafe_code,
                    reason = "code from our own compiler, from its pipe or from under our own MAC"
                )]
                let module = unsafe { Module::deserialize(&engine.engine, code) }.map_err(unloadable)?;
                let slots = self.slots(Some(module.resources_required()))?;
                let start = module.get_export_index("_start");
                let start = start.ok_or_else(|| {
                    Refused::Image("not a WASI command (it exports no `_start`)".to_owned())
                })?;
                let pre = engine.modules.instantiate_pre(&module).map_err(unlinkable)?;
                Ok(Loaded { program: Program::Module { pre, start }, slots })
            }
            Some(Precompiled::Component) => {
                #[expect(
                    unsafe_code,
                    reason = "code from our own compiler, from its pipe or from under our own MAC"
                )]
                let component =
                    unsafe { Component::deserialize(&engine.engine, code) }.map_err(unloadable)?;
                let slots = self.slots(component.resources_required())?;
                let pre = engine.components.instantiate_pre(&component).map_err(unlinkable)?;
                let pre = CommandPre::new(pre).map_err(|error| {
                    Refused::Image(format!(
                        "not a WASI command (it exports no `wasi:cli/run@0.2`): {error:#}"
                    ))
                })?;
                Ok(Loaded { program: Program::Component { pre }, slots })
            }
            None => Err(Refused::Host("the compiler wrote something that is not compiled code".to_owned())),
        }
    }

    /// What one guest takes of the pools; more than they have in all can never start.
    fn slots(&self, required: Option<ResourcesRequired>) -> Result<u32, Refused> {
        // A component that imports modules does not say; it is refused at its imports.
        let Some(required) = required else { return Ok(1) };
        let slots = required.num_memories.max(required.num_tables.div_ceil(TABLES_PER_SLOT)).max(1);
        let all = self.engines.layout.live_guests;
        if slots > all {
            return Err(Refused::Image(format!(
                "it needs {slots} slots ({} memories, {} tables); this node has {all}",
                required.num_memories, required.num_tables
            )));
        }
        Ok(slots)
    }
}
