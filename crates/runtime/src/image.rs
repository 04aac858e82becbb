//! What an image is, or why it can never run, read from its bytes alone.
//!
//! This is what a push asks before anything is stored: the bytes are validated as the compiler would validate
//! them, and the exports and imports are held against what this node links. Nothing is compiled here.

use std::{borrow::Cow, collections::BTreeSet, fmt, path::PathBuf, str::FromStr, sync::LazyLock};

use sha2::{Digest as _, Sha256};
use wasmparser::{
    ComponentExternalKind, Encoding, ExternalKind, Parser, Payload, TypeRef, ValidPayload, Validator,
    WasmFeatures,
};
use wasmtime::Engine;

use crate::engines::{self, MEMORIES_PER_IMAGE, TABLE_ELEMENTS, TABLES_PER_IMAGE};

/// The name of an image: the SHA-256 of its bytes. Written `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The 64 digits without `sha256:`.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is not a [`Digest`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest; it is `sha256:` and 64 lower-case hexadecimal digits")]
pub struct BadDigest(String);

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Digest, BadDigest> {
        let bad = || BadDigest(text.chars().take(80).collect());
        let digits = text.strip_prefix("sha256:").ok_or_else(bad)?.as_bytes();
        if digits.len() != 64 {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let nibble = |digit: u8| match digit {
                b'0'..=b'9' => Ok(digit - b'0'),
                b'a'..=b'f' => Ok(digit - b'a' + 10),
                _ => Err(bad()),
            };
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Digest(bytes))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A stored image: its name, and the file its bytes are in.
///
/// The file is read only when the image is compiled, and has to match the digest then.
#[derive(Clone, Debug)]
pub struct Image {
    /// Names the bytes.
    pub digest: Digest,
    /// Where the wasm is.
    pub path: PathBuf,
}

/// Why something is not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The image can never run here; asking again changes nothing.
    #[error("{0}")]
    Image(String),
    /// Compiling it went over a limit of this node.
    #[error("{0}")]
    Limit(String),
    /// What was asked for besides the image cannot be given: a mount, a grant, more memory than a slot has.
    #[error("{0}")]
    Spec(String),
    /// This node could not, for a reason of its own (disk, processes); another time it may.
    #[error("{0}")]
    Host(String),
}

/// What an image turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// Module or component.
    pub kind: ImageKind,
    /// The names it exports, as it writes them.
    pub exports: Vec<String>,
    /// What it imports: the interfaces of a component; `module.name` of a module.
    pub imports: Vec<String>,
}

/// The two forms of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// A core module for WASI preview 1 (`wasm32-wasip1`).
    Module,
    /// A component for WASI 0.2 (`wasm32-wasip2`).
    Component,
}

impl fmt::Display for ImageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ImageKind::Module => "module",
            ImageKind::Component => "component",
        })
    }
}

/// The one core module whose functions a module may import.
const P1: &str = "wasi_snapshot_preview1";

/// The functions of preview 1, all of which are linked.
const P1_FUNCTIONS: [&str; 46] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// The packages of WASI 0.2 that are linked, each whole.
const P2_PACKAGES: [&str; 6] =
    ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random", "wasi:sockets"];

/// What `bytes` are, or why they can never run. The caller has capped their size.
pub fn inspect(bytes: &[u8]) -> Result<ImageInfo, Refused> {
    match kind_of(bytes)? {
        ImageKind::Module => inspect_module(bytes),
        ImageKind::Component => inspect_component(bytes),
    }
}

fn kind_of(bytes: &[u8]) -> Result<ImageKind, Refused> {
    if Parser::is_core_wasm(bytes) {
        Ok(ImageKind::Module)
    } else if Parser::is_component(bytes) {
        Ok(ImageKind::Component)
    } else {
        Err(image(
            "not WebAssembly; an image is a wasm32-wasip1 module, a wasm32-wasip2 component, or either as .wat text",
        ))
    }
}

/// `bytes` as binary wasm: translated where they are the text format, as they are otherwise.
///
/// Anything that does not begin as the binary format does and is text is taken for `.wat`.
pub fn wat_to_wasm(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Refused> {
    if bytes.starts_with(b"\0asm") {
        return Ok(Cow::Borrowed(bytes));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return kind_of(bytes).map(|_| Cow::Borrowed(bytes));
    };
    match wat::parse_str(text) {
        Ok(wasm) => Ok(Cow::Owned(wasm)),
        Err(error) => Err(image(wat_error(&error))),
    }
}

/// The reason, line and column of a text that is not `.wat`, in one line.
fn wat_error(error: &wat::Error) -> String {
    // Its display is `reason\n     --> <anon>:3:9\n      |\n …`, a picture for a terminal.
    let shown = error.to_string();
    let mut lines = shown.lines();
    let reason = lines.next().unwrap_or_default().trim();
    let place = lines.find_map(|line| line.trim().strip_prefix("-->")).map(|place| place.trim());
    let mut at = place.unwrap_or_default().rsplit(':');
    match (at.next(), at.next()) {
        (Some(column), Some(line)) => format!("not the text format: line {line}, column {column}: {reason}"),
        _ => format!("not the text format: {reason}"),
    }
}

fn inspect_module(bytes: &[u8]) -> Result<ImageInfo, Refused> {
    let mut info = ImageInfo { kind: ImageKind::Module, exports: Vec::new(), imports: Vec::new() };
    let mut faults = BTreeSet::new();
    let (mut start, mut memory) = (None, false);
    let mut counts = Counts::default();
    let mut validator = Validator::new_with_features(*FEATURES);
    let mut allocations = wasmparser::FuncValidatorAllocations::default();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(invalid)?;
        match validator.payload(&payload).map_err(invalid)? {
            ValidPayload::Func(function, body) => {
                let mut function = function.into_validator(allocations);
                function.validate(&body).map_err(invalid)?;
                allocations = function.into_allocations();
            }
            ValidPayload::End(types) => {
                let types = types.as_ref();
                if let Some(index) = start {
                    let ty = types[types.core_function_at(index)].unwrap_func();
                    if !ty.params().is_empty() || !ty.results().is_empty() {
                        faults.insert(
                            "its `_start` takes or returns values; a command's takes none".to_owned(),
                        );
                    }
                }
            }
            ValidPayload::Ok | ValidPayload::Parser(_) => {}
        }
        counts.add(&payload)?;
        match payload {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.map_err(invalid)?;
                    info.imports.push(format!("{}.{}", import.module, import.name));
                    faults.extend(module_import_fault(import.module, import.name, import.ty));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.map_err(invalid)?;
                    info.exports.push(export.name.to_owned());
                    match (export.name, export.kind) {
                        ("_start", ExternalKind::Func) => start = Some(export.index),
                        ("memory", ExternalKind::Memory) => memory = true,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    counts.judge(&mut faults);
    if start.is_none() {
        faults.insert("not a WASI command (it exports no `_start`)".to_owned());
    } else if !memory && !info.imports.is_empty() && faults.is_empty() {
        faults.insert("it exports no `memory`, which WASI's functions read and write".to_owned());
    }
    finish(info, faults)
}

fn module_import_fault(module: &str, name: &str, ty: TypeRef) -> Option<String> {
    match module {
        P1 if !matches!(ty, TypeRef::Func(_) | TypeRef::FuncExact(_)) => {
            Some(format!("imports `{module}.{name}`, which is a function there and something else here"))
        }
        P1 if P1_FUNCTIONS.contains(&name) => None,
        P1 => Some(format!("imports `{module}.{name}`, which WASI preview 1 does not have")),
        "wasi_unstable" => Some(
            "imports `wasi_unstable` (WASI preview 0), which is not linked; build it for wasm32-wasip1 or later".to_owned(),
        ),
        _ => Some(format!("imports `{module}.{name}`; a module may import from `{P1}` only")),
    }
}

fn inspect_component(bytes: &[u8]) -> Result<ImageInfo, Refused> {
    Validator::new_with_features(*FEATURES).validate_all(bytes).map_err(invalid)?;
    let mut info = ImageInfo { kind: ImageKind::Component, exports: Vec::new(), imports: Vec::new() };
    let mut faults = BTreeSet::new();
    let (mut run, mut depth) = (false, 0);
    let mut counts = Counts::default();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(invalid)?;
        counts.add(&payload)?;
        match payload {
            Payload::Version { encoding: Encoding::Component | Encoding::Module, .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            // What the parts inside import is given to them by the whole.
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let name = import.map_err(invalid)?.name.name;
                    info.imports.push(name.to_owned());
                    faults.extend(component_import_fault(name));
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    let export = export.map_err(invalid)?;
                    let name = export.name.name;
                    info.exports.push(name.to_owned());
                    run |= export.kind == ComponentExternalKind::Instance
                        && name.starts_with("wasi:cli/run@0.2.");
                }
            }
            _ => {}
        }
    }
    counts.judge(&mut faults);
    if !run {
        faults.insert("not a WASI command (it exports no `wasi:cli/run@0.2`)".to_owned());
    }
    finish(info, faults)
}

fn component_import_fault(name: &str) -> Option<String> {
    let allowed = || P2_PACKAGES.map(|package| format!("`{package}`")).join(", ");
    let Some((interface, version)) = name.split_once('@') else {
        return Some(format!(
            "imports `{name}`; a component may import from {} at version 0.2 only",
            allowed()
        ));
    };
    let package = interface.split_once('/').map_or(interface, |(package, _)| package);
    if !P2_PACKAGES.contains(&package) {
        return Some(format!("imports `{name}`; a component may import from {} only", allowed()));
    }
    (!version.starts_with("0.2.")).then(|| format!("imports `{name}`; of `{package}`, version 0.2 is linked"))
}

/// What an image takes of a slot. In a component, what its core modules define, each counted once; one that
/// instantiates a module twice is found out when it is loaded.
#[derive(Default)]
struct Counts {
    memories: u32,
    tables: u32,
    largest_table: u64,
}

impl Counts {
    fn add(&mut self, payload: &Payload<'_>) -> Result<(), Refused> {
        match payload {
            Payload::MemorySection(section) => self.memories = self.memories.saturating_add(section.count()),
            Payload::TableSection(section) => {
                self.tables = self.tables.saturating_add(section.count());
                for table in section.clone() {
                    self.largest_table = self.largest_table.max(table.map_err(invalid)?.ty.initial);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn judge(&self, faults: &mut BTreeSet<String>) {
        if self.memories > MEMORIES_PER_IMAGE {
            faults.insert(format!("it has {} memories; the most is {MEMORIES_PER_IMAGE}", self.memories));
        }
        if self.tables > TABLES_PER_IMAGE {
            faults.insert(format!("it has {} tables; the most is {TABLES_PER_IMAGE}", self.tables));
        }
        if self.largest_table > TABLE_ELEMENTS as u64 {
            let entries = self.largest_table;
            faults.insert(format!("it has a table of {entries} entries; the most is {TABLE_ELEMENTS}"));
        }
    }
}

fn finish(info: ImageInfo, faults: BTreeSet<String>) -> Result<ImageInfo, Refused> {
    if faults.is_empty() {
        return Ok(info);
    }
    Err(image(Vec::from_iter(faults).join("; ")))
}

fn image(why: impl Into<String>) -> Refused {
    Refused::Image(why.into())
}

fn invalid(error: wasmparser::BinaryReaderError) -> Refused {
    image(format!("not valid WebAssembly: {} (at byte {})", error.message(), error.offset()))
}

/// What the engines accept, so that a push says no before the compiler would.
static FEATURES: LazyLock<WasmFeatures> = LazyLock::new(|| {
    let settings = engines::settings(engines::Variant::Epoch, engines::Reservation::LARGEST);
    // An engine that cannot be made refuses everything later, with its reason.
    Engine::new(&settings).map_or(WasmFeatures::WASM3, |engine| engine.get_wasm_features())
});

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(wat: &str, expected: Expect) {
        let said = match wat_to_wasm(wat.as_bytes()).and_then(|wasm| inspect(&wasm)) {
            Ok(info) => format!("{} exports {:?} imports {:?}", info.kind, info.exports, info.imports),
            Err(refused) => format!("refused: {refused}"),
        };
        expected.assert_eq(&said);
    }

    #[test]
    fn a_command_is_a_module_with_start() {
        check(
            r#"(module
                (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
                (memory (export "memory") 1)
                (func (export "_start")))"#,
            expect![[r#"module exports ["memory", "_start"] imports ["wasi_snapshot_preview1.proc_exit"]"#]],
        );
    }

    #[test]
    fn a_library_is_refused() {
        check(
            "(module (func (export \"add\")))",
            expect!["refused: not a WASI command (it exports no `_start`)"],
        );
    }

    #[test]
    fn every_import_at_fault_is_named() {
        check(
            r#"(module
                (import "wasi_unstable" "proc_exit" (func (param i32)))
                (import "env" "emscripten_memcpy" (func))
                (import "wasi_snapshot_preview1" "fork" (func))
                (memory (export "memory") 1)
                (func (export "_start")))"#,
            expect![
                "refused: imports `env.emscripten_memcpy`; a module may import from `wasi_snapshot_preview1` only; imports `wasi_snapshot_preview1.fork`, which WASI preview 1 does not have; imports `wasi_unstable` (WASI preview 0), which is not linked; build it for wasm32-wasip1 or later"
            ],
        );
    }

    #[test]
    fn a_start_with_parameters_is_refused() {
        check(
            "(module (func (export \"_start\") (param i32)))",
            expect!["refused: its `_start` takes or returns values; a command's takes none"],
        );
    }

    #[test]
    fn a_component_without_run_and_with_a_strange_import_is_refused() {
        check(
            r#"(component
                (import "wasi:http/types@0.2.0" (instance))
                (import "wasi:io/poll@0.3.0" (instance)))"#,
            expect![
                "refused: imports `wasi:http/types@0.2.0`; a component may import from `wasi:cli`, `wasi:clocks`, `wasi:filesystem`, `wasi:io`, `wasi:random`, `wasi:sockets` only; imports `wasi:io/poll@0.3.0`; of `wasi:io`, version 0.2 is linked; not a WASI command (it exports no `wasi:cli/run@0.2`)"
            ],
        );
    }

    #[test]
    fn errors_in_text_have_a_line_and_a_column() {
        check(
            "(module\n  (func $f (flop))\n)",
            expect!["refused: not the text format: line 2, column 13: unknown operator or unexpected token"],
        );
    }

    #[test]
    fn code_that_does_not_type_check_is_refused_with_its_place() {
        check(
            "(module (func (export \"_start\") i32.add drop))",
            expect![
                "refused: not valid WebAssembly: type mismatch: expected i32 but nothing on stack (at byte 35)"
            ],
        );
    }

    #[test]
    fn garbage_is_refused() {
        let garbage = inspect(b"\x7fELF\x02\x01").unwrap_err();
        expect!["not WebAssembly; an image is a wasm32-wasip1 module, a wasm32-wasip2 component, or either as .wat text"].assert_eq(&garbage.to_string());
        let cut = inspect(b"\0asm\x01\0\0\0\x05").unwrap_err();
        expect!["not valid WebAssembly: unexpected end-of-file (at byte 9)"].assert_eq(&cut.to_string());
    }

    #[test]
    fn a_digest_reads_as_it_writes() {
        let digest = Digest::of(b"x");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for bad in ["", "sha256:", "md5:00", &digest.to_string().to_uppercase(), &format!("{digest}0")] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
