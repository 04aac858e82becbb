//! Compiles every `.proto` below `proto/` with protox, so that nobody has to install `protoc`.
//!
//! One run of the compiler gives both: the Rust types with their clients and servers, and the descriptor set that
//! reflection serves and the transcoder walks. The latter is encoded by protox itself, because `prost_types` would
//! drop our options.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use protox::Compiler;

#[expect(clippy::disallowed_methods, reason = "the library has no files; its build script writes some")]
fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed=build.rs");

    let mut files = Vec::new();
    protos(&root, &mut files)?;
    files.sort(); // One order on every machine gives one output.

    let mut compiler = Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true);
    for file in &files {
        // The error's `Debug` names file, line and column; its `Display` only says what is wrong.
        compiler.open_file(file).map_err(|error| format!("{error:?}"))?;
    }
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;

    let mut prost = prost_build::Config::new();
    prost.enable_type_names();
    tonic_prost_build::configure()
        .build_transport(false) // The crate serves and calls nothing itself; whoever does brings a channel.
        .btree_map(".") // One order of keys, so that equal objects have equal bytes.
        .bytes(".wick.v1") // Image chunks and log lines are passed on without a copy.
        .include_file("packages.rs")
        .emit_rerun_if_changed(false)
        .compile_fds_with_config(compiler.file_descriptor_set(), prost)?;
    Ok(())
}

/// Adds the `.proto` files below `dir`, and has cargo watch every directory for new ones.
fn protos(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", dir.display());
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            protos(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            println!("cargo::rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    Ok(())
}
