//! Lists in portions: every client can take an answer, however many objects there are.
//!
//! A token is the key after which a list goes on, so that nothing is kept between two answers. What is made or goes
//! meanwhile is seen or not, but whatever is there all the time is seen once.

use std::sync::Arc;

use api::pb::k8s::meta::v1::ObjectMeta;
use engine::{ObjectKey, Page};
use prost::Message;
use tonic::Status;

use super::select::Selectable;
use super::status;

/// The objects of one answer take at most so many bytes: clients take 4 MiB if they are told nothing else.
pub(super) const BYTES: usize = 3 << 20;

/// What part of a list is asked for.
pub(super) fn parse(limit: u32, token: &str) -> Result<Page, Status> {
    let after = match token {
        "" => None,
        token => match token.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                Some(ObjectKey::new(namespace, name))
            }
            _ => {
                return Err(status::field(
                    "continue_token",
                    "not one of this agent's; take it from the answer before, or leave it out to begin",
                ));
            }
        },
    };
    let most = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
    Ok(Page { after, most, bytes: BYTES })
}

/// What the next part is asked for with.
pub(super) fn token(next: Option<ObjectKey>) -> String {
    next.map_or(String::new(), |key| key.to_string())
}

/// That part of a list in order; and after which object the next begins, if there is one. With each object goes something
/// of so many bytes.
pub(super) fn cut<T: Selectable + Message + Clone>(
    objects: Vec<Arc<T>>,
    page: &Page,
    beside: usize,
) -> (Vec<T>, Option<ObjectKey>) {
    let mut part: Vec<T> = Vec::new();
    let (mut bytes, mut last) = (0, None);
    for object in objects {
        let key = key(object.metadata());
        if page.after.as_ref().is_some_and(|after| key <= *after) {
            continue;
        }
        bytes += object.encoded_len() + beside;
        if part.len() >= page.most || !part.is_empty() && bytes > page.bytes {
            return (part, last);
        }
        part.push(Arc::unwrap_or_clone(object));
        last = Some(key);
    }
    (part, None)
}

fn key(meta: Option<&ObjectMeta>) -> ObjectKey {
    meta.map_or_else(|| ObjectKey::new("", ""), |meta| ObjectKey::new(&meta.namespace, &meta.name))
}

#[cfg(test)]
mod tests {
    use api::pb::k8s::batch::v1::Job;

    use super::*;

    fn job(name: &str, bytes: usize) -> Arc<Job> {
        let annotations = [("a".to_owned(), "x".repeat(bytes))].into();
        let metadata =
            ObjectMeta { name: name.into(), namespace: "n".into(), annotations, ..ObjectMeta::default() };
        Arc::new(Job { metadata: Some(metadata), ..Job::default() })
    }

    /// The names in each answer, asked for until there is no token.
    fn check(limit: u32, objects: &[Arc<Job>], expected: &[&[&str]]) {
        let (mut answers, mut next) = (Vec::new(), String::new());
        loop {
            let page = parse(limit, &next).expect("our own token");
            let (part, more) = cut(objects.to_vec(), &page, 0);
            answers
                .push(part.into_iter().map(|job| job.metadata.unwrap_or_default().name).collect::<Vec<_>>());
            next = token(more);
            if next.is_empty() {
                break;
            }
        }
        assert_eq!(answers, expected);
    }

    #[test]
    fn an_answer_holds_what_fits_and_at_least_one() {
        let objects = [job("a", 2 << 20), job("b", 4 << 20), job("c", 1 << 20), job("d", 1 << 20)];
        check(0, &objects, &[&["a"], &["b"], &["c", "d"]]);
        check(1, &objects, &[&["a"], &["b"], &["c"], &["d"]]);
        check(2, &[job("a", 1), job("b", 1), job("c", 1)], &[&["a", "b"], &["c"]]);
        check(3, &[job("a", 1), job("b", 1), job("c", 1)], &[&["a", "b", "c"]]);
        check(0, &[], &[&[]]);
    }

    #[test]
    fn a_token_of_somebody_else_is_refused() {
        for token in ["x", "/", "a/", "/b"] {
            assert!(parse(0, token).is_err(), "{token}");
        }
    }
}
