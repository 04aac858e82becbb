//! Bytes, on the wire and on disk, to our types and back.
//!
//! An object comes in one of three ways, and is one message afterwards: as protobuf (gRPC, and the disk), as Kubernetes' JSON,
//! and as a manifest in YAML. The `.proto` files are the only list of fields; [`descriptor`] reads them, [`json`] and
//! [`support`] walk them. Clocks, files and sockets are left to others.

mod asked;
pub mod container;
pub mod cron_job;
pub mod descriptor;
mod environment;
pub mod field_error;
mod field_path;
pub mod image_ref;
pub mod job;
pub mod json;
pub mod kind;
pub mod label_selector;
pub mod manifest;
pub mod metadata;
pub mod names;
pub mod node;
pub mod patch;
pub mod pb;
pub mod pod;
mod pod_template;
pub mod quantity;
#[cfg(test)]
mod rules;
mod shared;
pub mod support;
pub mod time;
pub mod yaml;

pub use asked::Asked;
pub use container::{ContainerPlan, Mount, MountSource, Node, container_plan};
pub use cron_job::NewCronJob;
pub use field_error::{FieldError, FieldErrors, FieldPath};
pub use image_ref::ImageRef;
pub use job::{Grants, NewJob};
pub use shared::Shared;
