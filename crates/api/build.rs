//! Compiles every `.proto` below `proto/` with protox, so that nobody has to install `protoc`.
//!
//! One run of the compiler gives both: the Rust types with their clients and servers, and the descriptor set that
//! reflection serves and the transcoder walks. The latter is encoded by protox itself, because `prost_types` would
//! drop our options.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::Label;
use protox::Compiler;

/// What few objects have, and what would take its place in all of them: thousands lie in memory, and each is copied at every
/// change. Boxed, a container takes a quarter.
const BOXED: [&str; 18] = [
    "k8s.core.v1.Affinity",
    "k8s.core.v1.CSIVolumeSource",
    "k8s.core.v1.ConfigMapVolumeSource",
    "k8s.core.v1.ContainerStateTerminated",
    "k8s.core.v1.DownwardAPIVolumeSource",
    "k8s.core.v1.EnvVarSource",
    "k8s.core.v1.EventSeries",
    "k8s.core.v1.ImageVolumeSource",
    "k8s.core.v1.Lifecycle",
    "k8s.core.v1.NFSVolumeSource",
    "k8s.core.v1.PersistentVolumeClaimVolumeSource",
    "k8s.core.v1.PodDNSConfig",
    "k8s.core.v1.PodFailurePolicyOnExitCodesRequirement",
    "k8s.core.v1.PodSecurityContext",
    "k8s.core.v1.Probe",
    "k8s.core.v1.ProjectedVolumeSource",
    "k8s.core.v1.SecretVolumeSource",
    "k8s.core.v1.SecurityContext",
];

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
    let descriptors = compiler.file_descriptor_set();
    for path in boxed_fields(&descriptors) {
        prost.boxed(path);
    }
    tonic_prost_build::configure()
        .build_transport(false) // The crate serves and calls nothing itself; whoever does brings a channel.
        .btree_map(".") // One order of keys, so that equal objects have equal bytes.
        .bytes(".wick.v1") // Image chunks and log lines are passed on without a copy.
        .include_file("packages.rs")
        .emit_rerun_if_changed(false)
        .compile_fds_with_config(descriptors, prost)?;
    share(&out, "k8s.core.v1", "PodSpec", 2)?;
    share(&out, "k8s.batch.v1", "JobSpec", 2)?;
    share(&out, "k8s.batch.v1", "CronJobSpec", 1)
}

/// Makes a spec a `Shared` in the so many messages of its package that have it: prost cannot be told of it.
#[expect(clippy::disallowed_methods, reason = "as above")]
fn share(out: &Path, package: &str, spec: &str, messages: usize) -> Result<(), Box<dyn Error>> {
    let generated = out.join(format!("{package}.rs"));
    let code = fs::read_to_string(&generated)?;
    let field = format!("pub spec: ::core::option::Option<{spec}>,");
    let found = code.matches(&field).count();
    if found != messages {
        return Err(format!("{package}: {found} messages have a {spec}, and not {messages}").into());
    }
    let shared = format!("pub spec: ::core::option::Option<crate::Shared<{spec}>>,");
    Ok(fs::write(generated, code.replace(&field, &shared))?)
}

/// The fields of the types in [`BOXED`].
fn boxed_fields(descriptors: &FileDescriptorSet) -> Vec<String> {
    let mut boxed = Vec::new();
    for file in &descriptors.file {
        for message in &file.message_type {
            for field in &message.field {
                let kind = field.type_name().trim_start_matches('.');
                if BOXED.contains(&kind) && field.label() != Label::Repeated {
                    boxed.push(format!(".{}.{}.{}", file.package(), message.name(), field.name()));
                }
            }
        }
    }
    boxed
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
