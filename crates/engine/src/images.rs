//! Images: which names stand for which bytes. The bytes themselves lie in files that the agent keeps.

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

impl Engine {
    /// The image a container's `image` means; `None` if the node does not have it.
    pub(crate) fn find_image(&self, image: &str) -> Option<&Arc<ImageRecord>> {
        let reference = ImageRef::parse(image).ok()?;
        match reference.digest() {
            Some(wanted) => self.images.values().find(|record| digest(record) == wanted),
            None => self.images.get(&reference.full_name()),
        }
    }

    pub(crate) fn image_stored(&mut self, record: ImageRecord, tx: &mut Transaction) {
        let name = stored_name(&record).to_owned();
        if !self.images.contains_key(&name) && self.images.len() >= self.config.limits.images {
            let most = self.config.limits.images;
            let message = format!(
                "there are {most} images, the most this agent keeps; delete some: wick image rm NAME"
            );
            return tx.reply(Err(Rejected::Limit(message)));
        }
        if let Some(before) = self.images.get(&name).cloned()
            && digest(&before) != digest(&record)
        {
            self.keep_bytes_of(&before, tx);
        }
        let new_digest = digest(&record).to_owned();
        let record = Arc::new(record);
        tx.image(name.clone(), Some(record.clone()));
        self.images.insert(name.clone(), record);
        // A name makes the record that stood for the bytes alone superfluous.
        if name != new_digest && self.images.remove(&new_digest).is_some() {
            tx.image(new_digest, None);
        }
        self.look_for_images_again();
        tx.reply(Ok(Reply::Done));
    }

    /// The name is about to mean other bytes. Pods may be pinned to the old ones: they stay, found by digest alone.
    fn keep_bytes_of(&mut self, before: &Arc<ImageRecord>, tx: &mut Transaction) {
        let same_bytes = self.images.values().filter(|record| digest(record) == digest(before));
        if same_bytes.count() > 1 {
            return;
        }
        let mut nameless = ImageRecord::clone(before);
        if let Some(image) = &mut nameless.image {
            image.name.clear();
        }
        let nameless = Arc::new(nameless);
        let name = stored_name(&nameless).to_owned();
        tx.image(name.clone(), Some(nameless.clone()));
        self.images.insert(name, nameless);
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
        let names: Vec<String> = match self.images.get(reference) {
            Some(_) => vec![reference.to_owned()],
            None => {
                let same = self.images.iter().filter(|(_, record)| digest(record) == reference);
                same.map(|(name, _)| name.clone()).collect()
            }
        };
        let Some(record) = names.first().and_then(|name| self.images.get(name)).cloned() else {
            return tx.reply(Err(Rejected::NotFound { kind: "image", name: reference.to_owned() }));
        };
        let gone = digest(&record).to_owned();
        let left = self.images.iter().any(|(name, other)| digest(other) == gone && !names.contains(name));
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
        tx.reply(Ok(Reply::ImageDeleted { names, bytes_removed: !left }));
    }
}
