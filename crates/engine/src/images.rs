//! Images: which names stand for which bytes. The bytes themselves lie in files that the agent keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::ImageRef;
use api::pb::wick::v1::{Image, ImageRecord};
use prost::Message;
use sched::job::Phase;

use crate::effect::{Effect, Milestone};
use crate::engine::Engine;
use crate::event::{Rejected, Reply};
use crate::transaction::Transaction;
use crate::view::digest;

/// The largest record of an image, in bytes: names of exports and imports are cut before they come here.
const RECORD_MAX: usize = 128 << 10;

/// What a record is found by: its name, or its digest if it has none.
pub(crate) fn stored_name(record: &ImageRecord) -> &str {
    match &record.image {
        Some(Image { name, digest, .. }) if name.is_empty() => digest,
        Some(image) => &image.name,
        None => "",
    }
}

/// Every image there is, by name and by digest.
#[derive(Default)]
pub(crate) struct Images {
    /// By what each record is stored as.
    by_name: BTreeMap<String, Arc<ImageRecord>>,
    /// The names of the same bytes.
    names: BTreeMap<String, BTreeSet<String>>,
}

impl Images {
    pub(crate) fn insert(&mut self, record: Arc<ImageRecord>) {
        let name = stored_name(&record).to_owned();
        self.remove(&name);
        self.names.entry(digest(&record).to_owned()).or_default().insert(name.clone());
        self.by_name.insert(name, record);
    }

    fn remove(&mut self, name: &str) -> Option<Arc<ImageRecord>> {
        let record = self.by_name.remove(name)?;
        if let Some(names) = self.names.get_mut(digest(&record)) {
            names.remove(name);
            if names.is_empty() {
                self.names.remove(digest(&record));
            }
        }
        Some(record)
    }

    fn len(&self) -> usize {
        self.by_name.len()
    }

    /// By a name in full form, or by digest.
    fn get(&self, reference: &str) -> Option<&Arc<ImageRecord>> {
        self.by_name.get(reference).or_else(|| self.by_name.get(self.names_of(reference)?.first()?))
    }

    fn names_of(&self, digest: &str) -> Option<&BTreeSet<String>> {
        self.names.get(digest)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Arc<ImageRecord>)> {
        self.by_name.iter()
    }

    pub(crate) fn digests(&self) -> BTreeSet<String> {
        self.names.keys().cloned().collect()
    }
}

impl Engine {
    /// The image a container's `image` means; `None` if the node does not have it.
    pub(crate) fn find_image(&self, image: &str) -> Option<&Arc<ImageRecord>> {
        let reference = ImageRef::parse(image).ok()?;
        match reference.digest() {
            Some(digest) => self.images.get(digest),
            None => self.images.get(&reference.full_name()),
        }
    }

    pub(crate) fn image_stored(&mut self, record: ImageRecord, tx: &mut Transaction) {
        let name = stored_name(&record).to_owned();
        let nameless = name == digest(&record);
        if nameless && self.images.names_of(&name).is_some() {
            return tx.reply(Ok(Reply::Done)); // The bytes have a name already, or are known without one.
        }
        let bytes = record.encoded_len();
        if bytes > RECORD_MAX {
            let message =
                format!("the image's record of {bytes} bytes is too large; the most is {RECORD_MAX}");
            return tx.reply(Err(Rejected::Limit(message)));
        }
        self.collect_displaced(tx);
        let before = self.images.by_name.get(&name).cloned();
        if before.is_none() && self.images.len() >= self.config.limits.images {
            let most = self.config.limits.images;
            let message = format!(
                "there are {most} images, the most this agent keeps; delete some: wick image rm NAME"
            );
            return tx.reply(Err(Rejected::Limit(message)));
        }
        if let Some(refusal) = self.refusal(record.encoded_len()) {
            return tx.reply(Err(refusal));
        }
        tx.milestones.push(Milestone::ImageStored {
            name: record.image.as_ref().map_or(String::new(), |image| image.name.clone()),
            digest: digest(&record).to_owned(),
            size_bytes: record.image.as_ref().map_or(0, |image| image.size_bytes),
        });
        if let Some(before) = before.filter(|before| digest(before) != digest(&record)) {
            self.let_go(&before, tx);
        }
        let new_digest = digest(&record).to_owned();
        let record = Arc::new(record);
        tx.image(name.clone(), Some(record.clone()));
        self.images.insert(record);
        // A name makes the record that stood for the bytes alone superfluous.
        if !nameless && self.images.remove(&new_digest).is_some() {
            tx.image(new_digest, None);
        }
        self.look_for_images_again();
        tx.reply(Ok(Reply::Done));
    }

    /// The name is about to mean other bytes. The old ones stay as long as somebody is pinned to them.
    fn let_go(&mut self, before: &ImageRecord, tx: &mut Transaction) {
        if self.images.names_of(digest(before)).is_some_and(|names| names.len() > 1) {
            return;
        }
        let mut displaced = ImageRecord { displaced: true, ..before.clone() };
        if let Some(image) = &mut displaced.image {
            image.name.clear();
        }
        let displaced = Arc::new(displaced);
        tx.image(stored_name(&displaced).to_owned(), Some(displaced.clone()));
        self.images.insert(displaced);
    }

    /// Bytes that lost their name to others go when nothing that runs, or is yet to be started, is pinned to them.
    fn collect_displaced(&mut self, tx: &mut Transaction) {
        let displaced: BTreeSet<String> = self
            .images
            .iter()
            .filter(|(_, record)| record.displaced)
            .map(|(_, record)| digest(record).to_owned())
            .collect();
        if displaced.is_empty() {
            return;
        }
        let unfinished = self.jobs.values().filter(|job| !matches!(job.state.phase, Phase::Finished(_)));
        let pinned: BTreeSet<String> = unfinished
            .flat_map(|job| api::job::images(&job.object))
            .chain(self.pods.values().flat_map(|pod| api::pod::images(&pod.object)))
            .map(str::to_owned)
            .chain(self.cron_jobs.values().flat_map(|cron_job| api::cron_job::images(cron_job.current())))
            .filter_map(|image| Some(ImageRef::parse(&image).ok()?.digest()?.to_owned()))
            .collect();
        for digest in displaced.difference(&pinned) {
            self.images.remove(digest);
            tx.image(digest.clone(), None);
            if self.images.names_of(digest).is_none() {
                tx.effects.push(Effect::RemoveImage { digest: digest.clone() });
            }
        }
    }

    /// Pods that wait for an image are looked at again; those that have all theirs now take their place on the node.
    fn look_for_images_again(&mut self) {
        for ordinal in std::mem::take(&mut self.waiting_for_image) {
            let Some(object) = self.pods.get(&ordinal).map(|pod| pod.object.clone()) else { continue };
            let present: Vec<bool> =
                api::pod::images(&object).map(|image| self.find_image(image).is_some()).collect();
            let Some(pod) = self.pods.get_mut(&ordinal) else { continue };
            let mut changed = false;
            for (container, present) in pod.state.containers.iter_mut().zip(present) {
                changed |= std::mem::replace(&mut container.image_present, present) != present;
            }
            if pod.state.containers.iter().any(|container| !container.image_present) {
                self.waiting_for_image.insert(ordinal);
            }
            if pod.state.started.is_some() && pod.state.can_start() {
                self.used = self.used.plus(pod.take_place());
            }
            if changed {
                self.dirty_pods.insert(ordinal);
            }
        }
    }

    pub(crate) fn delete_image(&mut self, reference: &str, tx: &mut Transaction) {
        let names: BTreeSet<String> = match self.images.by_name.get(reference) {
            Some(_) => [reference.to_owned()].into(),
            None => self.images.names_of(reference).cloned().unwrap_or_default(),
        };
        let Some(record) = names.first().and_then(|name| self.images.get(name)).cloned() else {
            return tx.reply(Err(Rejected::NotFound { kind: "image", name: reference.to_owned() }));
        };
        let gone = digest(&record).to_owned();
        let left = self.images.names_of(&gone).is_some_and(|all| all.len() > names.len());
        let user = self.pods.values().find(|pod| {
            let unfinished = !pod.state.is_finished();
            unfinished
                && (0..pod.state.containers.len()).any(|index| {
                    let image = self.find_image(api::pod::image(&pod.object, index));
                    image.is_some_and(|image| {
                        names.iter().any(|name| name == stored_name(image))
                            || (!left && digest(image) == gone)
                    })
                })
        });
        if let Some(user) = user {
            let message =
                format!("image `{reference}` is used by Pod `{}`; delete its Job first", user.key.name);
            return tx.reply(Err(Rejected::Precondition(message)));
        }
        for name in &names {
            self.images.remove(name);
            tx.image(name.clone(), None);
        }
        let names: Vec<String> = names.into_iter().collect();
        tx.milestones.push(Milestone::ImageDeleted { names: names.clone(), digest: gone.clone() });
        if !left {
            tx.effects.push(Effect::RemoveImage { digest: gone });
        }
        tx.reply(Ok(Reply::ImageDeleted { names, bytes_removed: !left }));
    }
}
