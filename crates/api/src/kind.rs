//! The kinds of objects there are, by every name people and manifests have for them.

use prost::Name;

use crate::pb::k8s::meta::v1::ObjectMeta;
use crate::pb::k8s::{batch, core};

/// A kind of object, by all of its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The group, as in `batch`; empty for the core group.
    pub group: &'static str,
    /// The version, as in `v1`.
    pub version: &'static str,
    /// The kind, as in `Job`.
    pub kind: &'static str,
    /// The name of its collection, as in `jobs`.
    pub plural: &'static str,
    /// The name for one, as in `job`.
    pub singular: &'static str,
    /// Shorter names people type, as in `cj`.
    pub short: &'static [&'static str],
    /// The full name of its message, as in `k8s.batch.v1.Job`.
    pub message: &'static str,
}

/// A run to completion.
pub const JOB: Kind = Kind {
    group: "batch",
    version: "v1",
    kind: "Job",
    plural: "jobs",
    singular: "job",
    short: &[],
    message: "k8s.batch.v1.Job",
};

/// Jobs on a schedule.
pub const CRON_JOB: Kind = Kind {
    group: "batch",
    version: "v1",
    kind: "CronJob",
    plural: "cronjobs",
    singular: "cronjob",
    short: &["cj"],
    message: "k8s.batch.v1.CronJob",
};

/// Containers that run together.
pub const POD: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    short: &["po"],
    message: "k8s.core.v1.Pod",
};

/// Something that happened.
pub const EVENT: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Event",
    plural: "events",
    singular: "event",
    short: &["ev"],
    message: "k8s.core.v1.Event",
};

/// Every kind there is.
pub const KINDS: [Kind; 4] = [JOB, CRON_JOB, POD, EVENT];

impl Kind {
    /// Group and version as a manifest has them, as in `batch/v1` or `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The kind a message is of, by the message's full name.
    pub fn of_message(full_name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.message == full_name)
    }

    /// The kind people mean by `job`, `jobs`, `Job`, `cj` or `jobs.batch`.
    pub fn named(text: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.is_called(text))
    }

    /// Whether people mean this kind by `text`.
    pub fn is_called(&self, text: &str) -> bool {
        let lower = text.to_ascii_lowercase();
        let (name, group) =
            lower.split_once('.').map_or((&lower[..], None), |(name, group)| (name, Some(group)));
        let group_fits = group.is_none_or(|group| {
            group == self.group || group.strip_prefix(self.version) == Some(&format!(".{}", self.group))
        });
        group_fits && (name == self.singular || name == self.plural || self.short.contains(&name))
    }
}

/// A message type that is an object of its own, with the kind it is.
pub trait Object: prost::Message + Name + Default {
    /// The kind.
    const KIND: &'static Kind;

    /// Its metadata, if it has any.
    fn metadata(&self) -> Option<&ObjectMeta>;

    /// Its metadata, made if it had none.
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
}

impl Object for batch::v1::Job {
    const KIND: &'static Kind = &JOB;

    fn metadata(&self) -> Option<&ObjectMeta> {
        self.metadata.as_ref()
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        self.metadata.get_or_insert_default()
    }
}

impl Object for batch::v1::CronJob {
    const KIND: &'static Kind = &CRON_JOB;

    fn metadata(&self) -> Option<&ObjectMeta> {
        self.metadata.as_ref()
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        self.metadata.get_or_insert_default()
    }
}

impl Object for core::v1::Pod {
    const KIND: &'static Kind = &POD;

    fn metadata(&self) -> Option<&ObjectMeta> {
        self.metadata.as_ref()
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        self.metadata.get_or_insert_default()
    }
}

impl Object for core::v1::Event {
    const KIND: &'static Kind = &EVENT;

    fn metadata(&self) -> Option<&ObjectMeta> {
        self.metadata.as_ref()
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        self.metadata.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::Shape;

    #[test]
    fn knows_kinds_by_what_people_type() {
        for (text, kind) in [
            ("job", Some("Job")),
            ("Jobs", Some("Job")),
            ("jobs.batch", Some("Job")),
            ("jobs.v1.batch", Some("Job")),
            ("cj", Some("CronJob")),
            ("po", Some("Pod")),
            ("pods.batch", None),
            ("deploy", None),
        ] {
            assert_eq!(Kind::named(text).map(|kind| kind.kind), kind, "`{text}`");
        }
        assert_eq!(JOB.api_version(), "batch/v1");
        assert_eq!(POD.api_version(), "v1");
        for kind in KINDS {
            assert!(Shape::named(kind.message).is_some(), "{}", kind.message);
            assert_eq!(Kind::of_message(kind.message), Some(&kind));
        }
    }
}
