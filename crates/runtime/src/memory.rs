//! The limit over all memories and tables of one guest together.
//!
//! Growing past it ends the guest (`OutOfMemory`) instead of letting `memory.grow` answer -1: most programs turn
//! the -1 into a panic of their own, and what people then see is a trap, not that the guest wanted too much.
//! Growing past the maximum a module declares for itself is answered with -1, as WebAssembly says.

use std::sync::{Arc, atomic::Ordering};

use wasmtime::ResourceLimiter;

use crate::{
    engines::{MEMORIES_PER_IMAGE, TABLES_PER_IMAGE},
    guest::Control,
};

/// Bytes a table's entry counts for.
const TABLE_ENTRY_BYTES: usize = size_of::<usize>();

/// What 32 bits can address.
const ADDRESSABLE_BYTES: usize = 4 << 30;

/// The guest wanted more than it may have.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("over the memory limit of {limit_bytes} bytes")]
pub(crate) struct OverMemory {
    pub(crate) limit_bytes: u64,
}

/// What one guest has, and may have.
pub(crate) struct Account {
    used_bytes: u64,
    limit_bytes: u64,
    control: Arc<Control>,
}

impl Account {
    pub(crate) fn new(limit_bytes: u64, control: Arc<Control>) -> Account {
        Account { used_bytes: 0, limit_bytes, control }
    }

    fn grow(&mut self, from: usize, to: usize) -> wasmtime::Result<bool> {
        let more = u64::try_from(to.saturating_sub(from)).unwrap_or(u64::MAX);
        let used_bytes = self.used_bytes.saturating_add(more);
        if used_bytes > self.limit_bytes {
            return Err(self.over());
        }
        self.used_bytes = used_bytes;
        // Memories never shrink, so the latest is the peak.
        self.control.peak_memory_bytes.store(used_bytes, Ordering::Relaxed);
        Ok(true)
    }

    fn over(&self) -> wasmtime::Error {
        OverMemory { limit_bytes: self.limit_bytes }.into()
    }
}

impl ResourceLimiter for Account {
    fn memory_growing(&mut self, from: usize, to: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // Of a memory that declares none, the maximum is what 32 bits can address: that is ours to enforce.
        if maximum.is_some_and(|maximum| to > maximum && maximum < ADDRESSABLE_BYTES) {
            return Ok(false);
        }
        self.grow(from, to)
    }

    // Past what 32 bits can address, or the kernel has no more. (The limit is never above a slot's size.)
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        tracing::debug!(error = %error, "a memory could not grow");
        Err(self.over())
    }

    fn table_growing(&mut self, from: usize, to: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| to > maximum) {
            return Ok(false);
        }
        self.grow(from.saturating_mul(TABLE_ENTRY_BYTES), to.saturating_mul(TABLE_ENTRY_BYTES))
    }

    fn memories(&self) -> usize {
        MEMORIES_PER_IMAGE as usize
    }

    fn tables(&self) -> usize {
        TABLES_PER_IMAGE as usize
    }
}
