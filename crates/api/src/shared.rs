//! A message that many objects have in common, and that few change.
//!
//! A spec hardly ever changes, and goes with every change of a status into a record and to everybody who watches. What a Pod
//! is to run lies in its CronJob, in every Job of it and in every Pod of those. As a [`Shared`] it is there once: a copy is
//! another reference, and its bytes are made once and copied from then on. Where nobody looks into it, it can be its bytes
//! alone ([`Shared::pack`]).

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use prost::bytes::{Buf, BufMut, Bytes};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};

/// A message behind a reference; see the module.
pub struct Shared<M>(Arc<Forms<M>>);

/// At least one is there.
struct Forms<M> {
    message: OnceLock<Box<M>>,
    bytes: OnceLock<Bytes>,
}

impl<M: Message + Default + Clone> Shared<M> {
    /// Shares a message.
    pub fn new(message: M) -> Shared<M> {
        Shared(Arc::new(Forms { message: Box::new(message).into(), bytes: OnceLock::new() }))
    }

    /// The message, to be changed. It is another one from now on than its copies.
    pub fn make_mut(&mut self) -> &mut M {
        if Arc::get_mut(&mut self.0).is_none() || self.0.message.get().is_none() {
            *self = Shared::new(M::clone(self));
        }
        let message = Arc::get_mut(&mut self.0).and_then(|forms| {
            forms.bytes.take();
            forms.message.get_mut()
        });
        #[expect(clippy::expect_used, reason = "it was looked at just before")]
        message.expect("nobody shares it, and the message is there")
    }

    /// Changes the message. If nothing changes by it, it is still the one its copies are.
    pub fn update(&mut self, change: impl FnOnce(&mut M))
    where
        M: PartialEq,
    {
        if Arc::get_mut(&mut self.0).is_some() {
            return change(self.make_mut());
        }
        let mut changed = M::clone(self);
        change(&mut changed);
        if changed != **self {
            *self = Shared::new(changed);
        }
    }

    /// Keeps the bytes alone; whoever looks into it makes it a message again, for all its copies.
    pub fn pack(&mut self) {
        if self.0.message.get().is_none() {
            return;
        }
        let bytes = self.bytes().clone();
        *self = Shared(Arc::new(Forms { message: OnceLock::new(), bytes: bytes.into() }));
    }

    /// Looks into it without making it a message for longer than that.
    pub fn glance<R>(&self, look: impl FnOnce(&M) -> R) -> R {
        match (self.0.message.get(), self.0.bytes.get()) {
            (None, Some(bytes)) => look(&decoded(bytes.clone())),
            (Some(_), _) | (None, None) => look(self),
        }
    }

    fn bytes(&self) -> &Bytes {
        self.0.bytes.get_or_init(|| {
            let message = self.0.message.get().map(|message| message.encode_to_vec());
            message.unwrap_or_default().into()
        })
    }
}

impl<M: Message + Default> Deref for Shared<M> {
    type Target = M;

    fn deref(&self) -> &M {
        self.0.message.get_or_init(|| Box::new(decoded(self.0.bytes.get().cloned().unwrap_or_default())))
    }
}

/// The bytes are always those that a message was encoded to.
#[expect(clippy::expect_used, reason = "what was encoded can be decoded")]
fn decoded<M: Message + Default>(bytes: Bytes) -> M {
    M::decode(bytes).expect("a message was encoded to what is no message")
}

impl<M> Clone for Shared<M> {
    fn clone(&self) -> Shared<M> {
        Shared(self.0.clone())
    }
}

impl<M: Message + Default + Clone> Default for Shared<M> {
    fn default() -> Shared<M> {
        Shared::new(M::default())
    }
}

impl<M: Message + Default + Clone> From<M> for Shared<M> {
    fn from(message: M) -> Shared<M> {
        Shared::new(message)
    }
}

impl<M: Message + Default + PartialEq> PartialEq for Shared<M> {
    fn eq(&self, other: &Shared<M>) -> bool {
        if Arc::ptr_eq(&self.0, &other.0) {
            return true;
        }
        match (self.0.bytes.get(), other.0.bytes.get()) {
            // Maps are in order, so a message has one encoding.
            (Some(one), Some(other)) => one == other,
            _ => **self == **other,
        }
    }
}

impl<M: Message + Default + fmt::Debug> fmt::Debug for Shared<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// As the message itself: in bytes nobody can tell them apart.
impl<M: Message + Default + Clone> Message for Shared<M> {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(self.bytes());
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        self.make_mut().merge_field(tag, wire_type, buf, ctx)
    }

    fn encoded_len(&self) -> usize {
        self.bytes().len()
    }

    fn clear(&mut self) {
        *self = Shared::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::k8s::batch::v1::{CronJob, Job};
    use crate::pb::k8s::core::v1::{Container, Pod, PodSpec, PodTemplateSpec};

    fn spec(image: &str) -> PodSpec {
        let container = Container { name: "main".into(), image: image.into(), ..Container::default() };
        PodSpec { containers: vec![container], ..PodSpec::default() }
    }

    #[test]
    fn a_copy_that_is_changed_leaves_the_others_as_they_were() {
        let first = Shared::new(spec("hello"));
        let length = first.encoded_len();
        let mut second = first.clone();
        second.make_mut().containers[0].image = "other".into();
        assert_eq!((&first.containers[0].image[..], &second.containers[0].image[..]), ("hello", "other"));
        assert_eq!((first.encoded_len(), second.encoded_len()), (length, length));
        assert_ne!(first, second);
        second.make_mut().containers[0].image = "hello".into();
        assert_eq!(first, second);

        let mut third = first.clone();
        third.update(|spec| spec.containers[0].image = "hello".into());
        assert!(Arc::ptr_eq(&first.0, &third.0));
        third.update(|spec| spec.containers.clear());
        assert_eq!((first.containers.len(), third.containers.len()), (1, 0));
    }

    #[test]
    fn its_bytes_are_those_of_the_message() {
        let template = PodTemplateSpec { spec: Some(spec("hello").into()), metadata: None };
        let bytes = template.encode_to_vec();
        let mut plain = vec![0x12, u8::try_from(spec("hello").encoded_len()).unwrap()];
        plain.extend(spec("hello").encode_to_vec());
        assert_eq!(bytes, plain);
        assert_eq!(PodTemplateSpec::decode(&bytes[..]).unwrap(), template);
    }

    #[test]
    fn packed_it_is_the_same() {
        let message = Shared::new(spec("hello"));
        let mut packed = message.clone();
        packed.pack();
        assert_eq!(packed.glance(|spec| spec.containers.len()), 1);
        assert!(packed.0.message.get().is_none());
        assert_eq!(packed, message);
        assert_eq!(packed.encode_to_vec(), message.encode_to_vec());
        assert_eq!(packed.containers[0].image, "hello");
        packed.pack();
        packed.make_mut().containers.clear();
        assert_eq!(packed.encoded_len(), 0);
    }

    #[test]
    fn what_is_large_and_rare_takes_no_place_where_it_is_not() {
        // Thousands lie in memory, and each is copied when its status changes.
        assert!(size_of::<Container>() < 512 && size_of::<PodSpec>() < 1024);
        assert!(size_of::<CronJob>() < 512 && size_of::<Job>() < 768 && size_of::<Pod>() < 768);
    }

    #[test]
    fn what_comes_in_parts_is_put_together() {
        let mut bytes = spec("hello").encode_to_vec();
        bytes.extend(PodSpec { restart_policy: "Never".into(), ..PodSpec::default() }.encode_to_vec());
        let shared = Shared::<PodSpec>::decode(&bytes[..]).unwrap();
        assert_eq!((shared.containers.len(), &shared.restart_policy[..]), (1, "Never"));
    }
}
