//! Kubernetes Events: what was done and why, for people.
//!
//! Best effort, as on a cluster: in memory only, the newest thousand, for an hour after they were last seen; they cost no
//! sync and are gone after a restart. Repeats of the same thing raise a count. The durable record of what happened is the
//! objects' own status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::pb::k8s::core::v1::{Event, EventSource, ObjectReference};
use api::pb::k8s::meta::v1::ObjectMeta;
use sched::{Millis, Now, Steady};

/// At most so many Events are remembered.
const MOST: usize = 1000;
/// For so long after an Event was last seen (kube-apiserver's default `--event-ttl`).
const KEPT_FOR: Millis = Millis::from_secs(3600);

/// So many Events about one object from one component pass at once, then one in [`REFILL`] (client-go's spam filter).
const BURST: u32 = 25;
const REFILL: Millis = Millis::from_secs(300);
/// The spam filter keeps an eye on so many objects.
const SPAM_MOST: usize = 4 * MOST;

/// From so many Events on that differ only in their message, each no longer than [`SIMILAR_WITHIN`] after the one before,
/// they become one (client-go's aggregator).
const SIMILAR: usize = 10;
const SIMILAR_WITHIN: Millis = Millis::from_secs(600);
const COMBINED: &str = "(combined from similar events): ";

/// What an Event says.
pub(crate) struct Note<'a> {
    pub(crate) about: ObjectReference,
    pub(crate) warning: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// `job-controller`, `kubelet` …: who would say it on a cluster.
    pub(crate) component: &'a str,
}

/// What makes two Events the same one seen again. No message: those that were combined.
type Sameness = (String, String, String, &'static str, Option<String>);

/// What makes two Events similar: all but the message. The last two are the component, and whether it is a warning.
type Likeness = (String, String, String, &'static str, String, bool);

/// Messages of similar Events.
struct Similar {
    messages: BTreeSet<String>,
    last: Steady,
}

#[derive(Default)]
pub(crate) struct Recorder {
    by_sameness: BTreeMap<Sameness, Remembered>,
    /// By when they were last seen, oldest first; the revision makes it unique.
    by_age: BTreeMap<(Steady, u64), Sameness>,
    /// By the object's uid and the component.
    spam: BTreeMap<(String, String), Spam>,
    similar: BTreeMap<Likeness, Similar>,
}

/// How many more Events about an object pass.
struct Spam {
    left: u32,
    refilled: Steady,
}

struct Remembered {
    event: Arc<Event>,
    age: (Steady, u64),
}

/// An Event after and, if it was seen before, before.
pub(crate) struct Recorded {
    pub(crate) after: Option<Arc<Event>>,
    pub(crate) before: Option<Arc<Event>>,
}

impl Recorder {
    /// Whether an Event passes the spam filter.
    pub(crate) fn allows(&mut self, note: &Note<'_>, now: Steady) -> bool {
        // Best effort, in bounded space and time: beyond so many objects everybody begins with a full burst again.
        if self.spam.len() >= SPAM_MOST {
            self.spam.clear();
        }
        let of = (note.about.uid.clone(), note.component.to_owned());
        let spam = self.spam.entry(of).or_insert(Spam { left: BURST, refilled: now });
        let refills = ((now - spam.refilled).0 / REFILL.0).clamp(0, i64::from(BURST));
        if refills > 0 {
            spam.left = (spam.left + u32::try_from(refills).unwrap_or(0)).min(BURST);
            spam.refilled = now;
        }
        let passes = spam.left > 0;
        spam.left = spam.left.saturating_sub(1);
        passes
    }

    /// Whether there were so many similar ones that this is shown as one with them.
    fn is_combined(&mut self, note: &Note<'_>, now: Steady) -> bool {
        if self.similar.len() >= SPAM_MOST {
            self.similar.clear();
        }
        let about = &note.about;
        let likeness = (
            about.uid.clone(),
            about.name.clone(),
            about.field_path.clone(),
            note.reason,
            note.component.to_owned(),
            note.warning,
        );
        let new = || Similar { messages: BTreeSet::new(), last: now };
        let similar = self.similar.entry(likeness).or_insert_with(new);
        if now - similar.last > SIMILAR_WITHIN {
            similar.messages.clear();
        }
        similar.last = now;
        similar.messages.insert(note.message.clone());
        if similar.messages.len() < SIMILAR {
            return false;
        }
        similar.messages.pop_first();
        true
    }

    /// Remembers a note as the Event of this revision.
    pub(crate) fn record(&mut self, note: Note<'_>, revision: u64, now: Now, host: &str) -> Recorded {
        let combined = self.is_combined(&note, now.steady);
        let Note { about, warning, reason, mut message, component } = note;
        if combined {
            message.insert_str(0, COMBINED);
        }
        let told = (!combined).then(|| message.clone());
        let sameness = (about.uid.clone(), about.name.clone(), about.field_path.clone(), reason, told);
        let age = (now.steady, revision);
        let at = Some(api::time::seconds(now.wall));
        let before = self.by_sameness.get(&sameness).map(|seen| {
            self.by_age.remove(&seen.age);
            seen.event.clone()
        });
        let mut event = before.as_deref().cloned().unwrap_or_else(|| Event {
            metadata: Some(ObjectMeta {
                // As client-go names them: the object's name and a number that does not come twice.
                name: format!("{}.{revision:016x}", about.name),
                // What is about the node itself is told where people look, as the kubelet does it.
                namespace: if about.namespace.is_empty() { "default" } else { &about.namespace }.to_owned(),
                uid: String::new(),
                creation_timestamp: at,
                ..ObjectMeta::default()
            }),
            involved_object: Some(about),
            reason: reason.to_owned(),
            source: Some(EventSource { component: component.to_owned(), host: host.to_owned() }),
            first_timestamp: at,
            r#type: if warning { "Warning" } else { "Normal" }.to_owned(),
            reporting_component: component.to_owned(),
            reporting_instance: host.to_owned(),
            ..Event::default()
        });
        // Of those that were combined, the last.
        event.message = message;
        event.last_timestamp = at;
        event.count += 1;
        if let Some(metadata) = &mut event.metadata {
            metadata.resource_version = revision.to_string();
        }
        let event = Arc::new(event);
        self.by_age.insert(age, sameness.clone());
        self.by_sameness.insert(sameness, Remembered { event: event.clone(), age });
        Recorded { after: Some(event), before }
    }

    /// Forgets what is too old or too much, and says what.
    pub(crate) fn forget(&mut self, now: Steady) -> Vec<Arc<Event>> {
        let mut forgotten = Vec::new();
        while let Some(oldest) = self.by_age.first_entry() {
            let (seen, _) = *oldest.key();
            if self.by_sameness.len() <= MOST && now - seen < KEPT_FOR {
                break;
            }
            let sameness = oldest.remove();
            forgotten.extend(self.by_sameness.remove(&sameness).map(|remembered| remembered.event));
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// These messages, at these seconds, become these Events.
    fn check(told: &[(i64, &str)], expected: Expect) {
        let mut recorder = Recorder::default();
        for (revision, (second, message)) in (1..).zip(told) {
            let about = ObjectReference { name: "job".into(), ..ObjectReference::default() };
            let note = Note {
                about,
                warning: false,
                reason: "SuccessfulCreate",
                message: (*message).to_owned(),
                component: "job-controller",
            };
            recorder.record(note, revision, Now::at(second * 1000), "edge-1");
        }
        let mut lines = String::new();
        for sameness in recorder.by_age.values() {
            let event = &recorder.by_sameness[sameness].event;
            lines.push_str(&format!("{}x {}\n", event.count, event.message));
        }
        expected.assert_eq(&lines);
    }

    #[test]
    fn the_tenth_similar_event_is_combined_with_those_after_it() {
        let messages: Vec<String> = (0..14).map(|pod| format!("Created pod: {pod}")).collect();
        let told: Vec<_> = messages.iter().map(|message| (0, message.as_str())).collect();
        check(
            &told,
            expect![[r#"
                1x Created pod: 0
                1x Created pod: 1
                1x Created pod: 2
                1x Created pod: 3
                1x Created pod: 4
                1x Created pod: 5
                1x Created pod: 6
                1x Created pod: 7
                1x Created pod: 8
                5x (combined from similar events): Created pod: 13
            "#]],
        );
    }

    #[test]
    fn after_ten_minutes_of_silence_similar_events_are_told_apart_again() {
        let messages: Vec<String> = (0..12).map(|pod| format!("{pod}")).collect();
        let mut told: Vec<_> = messages.iter().map(|message| (0, message.as_str())).collect();
        told.drain(..7);
        told.extend([(601, "a"), (602, "b"), (602, "a")]);
        check(
            &told,
            expect![[r#"
                1x 7
                1x 8
                1x 9
                1x 10
                1x 11
                1x b
                2x a
            "#]],
        );
    }
}
