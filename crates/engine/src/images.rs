//! Images: which names stand for which bytes. The bytes themselves lie in files that the agent keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::ImageRef;
use api::pb::wick::v1::{Image, ImageRecord};

use crate::effect::Effect;
use crate::engine::Engine;
use crate::event::{Rejected, Reply};
use crate::transaction::Transaction;
use crate::view::digest;

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
        let before = self.images.by_name.get(&name).cloned();
        if before.is_none() && self.images.len() >= self.config.limits.images {
            let most = self.config.limits.images;
            let message = format!(
                "there are {most} images, the most this agent keeps; delete some: wick image rm NAME"
            );
            return tx.reply(Err(Rejected::Limit(message)));
        }
        if let Some(before) = before.filter(|before| digest(before) != digest(&record)) {
            self.keep_bytes_of(&before, tx);
        }
        let new_digest = digest(&record).to_owned();
        let record = Arc::new(record);
        tx.image(name.clone(), Some(record.clone()));
        self.images.insert(record);
        // A name makes the record that stood for the bytes alone superfluous.
        if name != new_digest && self.images.remove(&new_digest).is_some() {
            tx.image(new_digest, None);
        }
        self.look_for_images_again();
        tx.reply(Ok(Reply::Done));
    }

    /// The name is about to mean other bytes. Pods may be pinned to the old ones: they stay, found by digest alone.
    fn keep_bytes_of(&mut self, before: &Arc<ImageRecord>, tx: &mut Transaction) {
        if self.images.names_of(digest(before)).is_some_and(|names| names.len() > 1) {
            return;
        }
        let mut nameless = ImageRecord::clone(before);
        if let Some(image) = &mut nameless.image {
            image.name.clear();
        }
        let nameless = Arc::new(nameless);
        tx.image(stored_name(&nameless).to_owned(), Some(nameless.clone()));
        self.images.insert(nameless);
    }

    /// Pods that wait for an image are looked at again.
    fn look_for_images_again(&mut self) {
        for ordinal in std::mem::take(&mut self.waiting_for_image) {
            let Some(object) = self.pods.get(&ordinal).map(|pod| pod.object.clone()) else { continue };
            let containers = self.pods.get(&ordinal).map_or(0, |pod| pod.state.containers.len());
            for index in 0..containers {
                let present = self.find_image(api::pod::image(&object, index)).is_some();
                if let Some(pod) = self.pods.get_mut(&ordinal)
                    && let Some(container) = pod.state.containers.get_mut(index)
                {
                    container.image_present = present;
                    if !present {
                        self.waiting_for_image.insert(ordinal);
                    }
                }
            }
            self.dirty_pods.insert(ordinal);
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
        if !left {
            tx.effects.push(Effect::RemoveImage { digest: gone });
        }
        let names = names.into_iter().collect();
        tx.reply(Ok(Reply::ImageDeleted { names, bytes_removed: !left }));
    }
}
