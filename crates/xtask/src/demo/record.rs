//! What is on record about the Job at one moment, and whether a later record still holds it.

use std::fmt;

/// A Job and its Pods.
pub(crate) struct Record {
    pub(crate) job: Job,
    pub(crate) pods: Vec<Pod>,
}

pub(crate) struct Job {
    pub(crate) completions: u32,
    pub(crate) succeeded: u32,
    pub(crate) active: u32,
    /// None while it has not finished.
    pub(crate) verdict: Option<Verdict>,
}

/// How a Job ended.
#[derive(Debug)]
pub(crate) enum Verdict {
    Complete,
    Failed { reason: String, message: String },
}

pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) phase: String,
    pub(crate) restarts: u32,
}

impl Record {
    pub(crate) fn in_phase(&self, phase: &str) -> usize {
        self.pods.iter().filter(|pod| pod.phase == phase).count()
    }

    pub(crate) fn restarts(&self) -> u32 {
        self.pods.iter().map(|pod| pod.restarts).sum()
    }
}

/// What `before` held and `after` does not, a sentence each.
///
/// A Pod may have moved on from Pending or Running: its guest may have ended after the last answer. One that had
/// succeeded has to stay so.
pub(crate) fn lost(before: &Record, after: &Record) -> Vec<String> {
    let mut lost = Vec::new();
    if after.job.succeeded < before.job.succeeded {
        let (was, is) = (before.job.succeeded, after.job.succeeded);
        lost.push(format!("{was} completions had been acknowledged, {is} are on record"));
    }
    for pod in &before.pods {
        match after.pods.iter().find(|other| other.uid == pod.uid) {
            None => lost.push(format!("Pod `{}` is gone", pod.name)),
            Some(now) if pod.phase == "Succeeded" && now.phase != "Succeeded" => {
                lost.push(format!("Pod `{}` had succeeded and is {} now", pod.name, now.phase));
            }
            Some(now) if now.restarts < pod.restarts => {
                let (was, is) = (pod.restarts, now.restarts);
                lost.push(format!("Pod `{}` had been restarted {was} times and now {is} times", pod.name));
            }
            Some(_) => {}
        }
    }
    lost
}

/// The Pods of both, side by side; those of `before` first.
pub(crate) struct SideBySide<'a>(pub(crate) &'a Record, pub(crate) &'a Record);

impl fmt::Display for SideBySide<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SideBySide(before, after) = self;
        writeln!(f, "{:<16} {:<16} AFTER THE RESTART", "POD", "BEFORE THE KILL")?;
        for pod in &before.pods {
            let now = after.pods.iter().find(|other| other.uid == pod.uid);
            let (phase, note) = match now {
                None => ("gone", ""),
                Some(now) if now.restarts > pod.restarts => (now.phase.as_str(), ", restarted in place"),
                Some(now) => (now.phase.as_str(), ""),
            };
            writeln!(f, "{:<16} {:<16} {phase}{note}", pod.name, pod.phase)?;
        }
        for pod in &after.pods {
            if before.pods.iter().all(|other| other.uid != pod.uid) {
                writeln!(f, "{:<16} {:<16} {}", pod.name, "-", pod.phase)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn going_on_loses_nothing() {
        check(
            (1, "a Succeeded 0, b Running 0, c Pending 0"),
            (2, "a Succeeded 0, b Running 1, c Succeeded 0, d Pending 0"),
            expect![[r#"
                POD              BEFORE THE KILL  AFTER THE RESTART
                a                Succeeded        Succeeded
                b                Running          Running, restarted in place
                c                Pending          Succeeded
                d                -                Pending
            "#]],
        );
    }

    #[test]
    fn everything_lost_is_named() {
        check(
            (2, "a Succeeded 0, b Succeeded 0, c Running 2"),
            (1, "b Running 0, c Running 1"),
            expect![[r#"
                POD              BEFORE THE KILL  AFTER THE RESTART
                a                Succeeded        gone
                b                Succeeded        Running
                c                Running          Running
                lost: 2 completions had been acknowledged, 1 are on record
                lost: Pod `a` is gone
                lost: Pod `b` had succeeded and is Running now
                lost: Pod `c` had been restarted 2 times and now 1 times
            "#]],
        );
    }

    #[test]
    fn a_pod_of_the_same_name_is_another_pod() {
        let before = record(1, "a Succeeded 0");
        let mut after = record(1, "a Succeeded 0");
        after.pods[0].uid = "another".into();
        assert_eq!(lost(&before, &after), ["Pod `a` is gone"]);
    }

    fn check(before: (u32, &str), after: (u32, &str), wanted: Expect) {
        let (before, after) = (record(before.0, before.1), record(after.0, after.1));
        let mut text = SideBySide(&before, &after).to_string();
        for lost in lost(&before, &after) {
            text += &format!("lost: {lost}\n");
        }
        wanted.assert_eq(&text);
    }

    /// From `name phase restarts, …`; the name is the uid too.
    fn record(succeeded: u32, pods: &str) -> Record {
        let job = Job { completions: 10, succeeded, active: 0, verdict: None };
        let pods = pods.split(", ").map(|pod| {
            let fields: Vec<&str> = pod.split(' ').collect();
            let [name, phase, restarts] = fields[..] else {
                panic!("{pod}: not a name, a phase and a number")
            };
            let (name, phase) = (name.to_owned(), phase.to_owned());
            Pod { uid: name.clone(), name, phase, restarts: restarts.parse().unwrap() }
        });
        Record { job, pods: pods.collect() }
    }
}
