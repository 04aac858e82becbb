//! Makes Rust of the `.proto` files, without `protoc`.

use std::error::Error;

const PROTO: &str = "../../../proto";
const SERVICES: [&str; 3] =
    ["wick/v1/image_service.proto", "wick/v1/job_service.proto", "wick/v1/pod_service.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO}");
    let files = protox::compile(SERVICES, [PROTO])?;
    tonic_prost_build::configure().build_server(false).include_file("packages.rs").compile_fds(files)?;
    Ok(())
}
