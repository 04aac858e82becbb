//! The device and its images in full.

use api::pb::wick::v1::{ImageServiceInspectResponse, Node};

use super::sheet::Sheet;
use crate::age::age;
use crate::clock::{Clock, time};
use crate::columns::{cores, image_kind};
use crate::table::size;

/// The page about the node.
pub(crate) fn page(node: &Node, clock: &Clock) -> Sheet {
    let mut sheet = Sheet::default();
    sheet.pair(0, "Name", &node.name);
    sheet.pair(0, "Architecture", &node.architecture);
    sheet.pair(0, "Version", &node.version);
    sheet.pair(0, "Runtime", &node.runtime_version);
    sheet.pair(0, "Instance", &node.instance_id);
    if let Some(started) = time(node.started_at.as_ref()) {
        sheet.pair(0, "Started", format!("{} ({} ago)", clock.date(started), age(Some(started), clock.now)));
    }
    sheet.pair(0, "Revision", node.revision.to_string());
    if !node.time_zone.is_empty() {
        let version =
            if node.time_zone_version.is_empty() { "version unknown" } else { &node.time_zone_version };
        sheet.pair(0, "Time Zone", format!("{} ({}, {version})", node.time_zone, node.time_zone_source));
    }
    // An agent that tells of no zone tells nothing of its clock either.
    if !node.time_zone.is_empty() && !node.clock_plausible {
        sheet.pair(0, "Clock", "not plausible: no slot starts a Job until it is set");
    }
    sheet.pair(0, "Guests", format!("{} of {} run", node.guests_running, node.guest_slots));
    sheet.pair(0, "Pods Waiting", node.pods_waiting.to_string());
    sheet.head(0, "Allocatable");
    sheet.pair(1, "cpu", cores(node.allocatable_cpu_millis));
    sheet.pair(1, "memory", size(node.allocatable_memory_bytes));
    sheet.pair(0, "Largest Image", size(node.max_image_bytes));
    sheet
}

/// The page about an image.
pub(crate) fn image(inspected: &ImageServiceInspectResponse, clock: &Clock) -> Sheet {
    let mut sheet = Sheet::default();
    let image = inspected.image.clone().unwrap_or_default();
    sheet.pair(0, "Name", &image.name);
    sheet.list(0, "Names", inspected.names.clone());
    sheet.pair(0, "Digest", &image.digest);
    sheet.pair(0, "Kind", image_kind(&image));
    sheet.pair(0, "Size", format!("{} ({} bytes)", size(image.size_bytes), image.size_bytes));
    if let Some(pushed) = time(image.pushed_at.as_ref()) {
        sheet.pair(0, "Pushed", format!("{} ({} ago)", clock.date(pushed), age(Some(pushed), clock.now)));
    }
    sheet.text(0, "Exports", &inspected.exports);
    sheet.text(0, "Imports", &inspected.imports);
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ago, noon};
    use crate::screen::Screen;
    use api::pb::wick::v1::{Image, ImageKind};
    use expect_test::expect;

    #[test]
    fn a_node_says_what_it_has_and_does() {
        let node = Node {
            name: "gate".to_owned(),
            version: "0.1.0".to_owned(),
            runtime_version: "wasmtime 48.0.8".to_owned(),
            instance_id: "0123456789abcdef0123456789abcdef".to_owned(),
            started_at: ago(90_000),
            revision: 17,
            guest_slots: 1000,
            guests_running: 4,
            pods_waiting: 2,
            allocatable_cpu_millis: 2000,
            allocatable_memory_bytes: 1 << 30,
            max_image_bytes: 256 << 20,
            architecture: "x86_64".to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            time_zone_source: "/usr/share/zoneinfo".to_owned(),
            time_zone_version: "2026b".to_owned(),
            clock_plausible: true,
        };
        expect![[r#"
            Name:           gate
            Architecture:   x86_64
            Version:        0.1.0
            Runtime:        wasmtime 48.0.8
            Instance:       0123456789abcdef0123456789abcdef
            Started:        Thu, 19 Nov 2026 14:00:00 +0000 (25h ago)
            Revision:       17
            Time Zone:      Europe/Berlin (/usr/share/zoneinfo, 2026b)
            Guests:         4 of 1000 run
            Pods Waiting:   2
            Allocatable:
              cpu:     2
              memory:  1.0GiB
            Largest Image:  256MiB
        "#]]
        .assert_eq(&page(&node, &noon()).page(Screen::PLAIN));
    }

    #[test]
    fn an_image_says_what_it_needs() {
        let inspected = ImageServiceInspectResponse {
            image: Some(Image {
                name: "hello:latest".to_owned(),
                digest: "sha256:0123".to_owned(),
                size_bytes: 69_632,
                kind: ImageKind::Module.into(),
                pushed_at: ago(4000),
            }),
            names: vec!["hello:1".to_owned(), "hello:latest".to_owned()],
            exports: vec!["_start".to_owned(), "memory".to_owned()],
            imports: vec!["wasi_snapshot_preview1.fd_write".to_owned()],
        };
        expect![[r#"
            Name:    hello:latest
            Names:   hello:1
                     hello:latest
            Digest:  sha256:0123
            Kind:    module
            Size:    68KiB (69632 bytes)
            Pushed:  Fri, 20 Nov 2026 13:53:20 +0000 (66m ago)
            Exports:
              _start
              memory
            Imports:
              wasi_snapshot_preview1.fd_write
        "#]]
        .assert_eq(&image(&inspected, &noon()).page(Screen::PLAIN));
    }
}
