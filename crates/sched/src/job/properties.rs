//! What holds in every history of every Job: worlds of Pods that end as chance has it, recounted naively beside.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::Unstructured;
use arbtest::arbtest;

use super::*;

/// A Pod as whoever holds the Pods sees it.
#[derive(Clone, Debug, PartialEq)]
struct Pod {
    index: Option<u32>,
    alive: bool,
    deleted: bool,
    counted: bool,
    restarts: u32,
    /// Code it ended with, and when.
    end: Option<(u8, Steady)>,
}

impl Pod {
    fn share(&self) -> Live {
        let active = self.alive && !self.deleted;
        Live {
            active: active.into(),
            ready: active.into(),
            terminating: (self.alive && self.deleted).into(),
            restarts: if self.alive { self.restarts } else { 0 },
        }
    }
}

#[derive(Clone, Debug)]
struct World {
    job: Job,
    pods: Vec<Pod>,
    now: Now,
    /// Pods that were counted as failed, in whatever way.
    failures: u32,
    successes: u32,
    completed: BTreeSet<u32>,
    portion: Portion,
    finished: Option<Verdict>,
    interim: Option<Verdict>,
    starts: u32,
}

const RULES: [(i32, FailureAction); 4] = [
    (2, FailureAction::Ignore),
    (3, FailureAction::FailIndex),
    (4, FailureAction::FailJob),
    (5, FailureAction::Count),
];

fn any_spec(u: &mut Unstructured<'_>) -> arbitrary::Result<Spec> {
    let indexed = u.arbitrary()?;
    let completions = if indexed || u.arbitrary()? { Some(u.int_in_range(0..=12)?) } else { None };
    let per_index = if indexed && u.arbitrary()? { Some(u.int_in_range(0..=2)?) } else { None };
    let rules = RULES.into_iter().filter(|(_, action)| {
        (per_index.is_some() || *action != FailureAction::FailIndex) && *action != FailureAction::FailJob
    });
    let rules: Vec<_> = if u.ratio(1, 4)? { RULES[2..].to_vec() } else { rules.collect() };
    let policy = FailurePolicy {
        rules: rules
            .into_iter()
            .map(|(code, action)| FailureRule {
                action,
                on: On::ExitCodes { container: None, within: true, values: vec![code] },
            })
            .collect(),
    };
    let failure_policy = u.arbitrary::<bool>()?.then_some(policy);
    let failed_only = failure_policy.is_some() || u.arbitrary()?;
    let rule = SuccessRule {
        indexes: u.arbitrary::<bool>()?.then(|| Indexes::parse("0,2-4", completions.unwrap_or(0))),
        count: Some(2),
    };
    let indexed = Indexed {
        backoff_limit: per_index,
        max_failed: if per_index.is_some() && u.arbitrary()? { Some(u.int_in_range(0..=3)?) } else { None },
        success_policy: if u.ratio(1, 4)? { vec![rule] } else { Vec::new() },
    };
    Ok(Spec {
        parallelism: u.int_in_range(0..=6)?,
        completions,
        backoff_limit: if u.arbitrary()? { u.int_in_range(0..=6)? } else { 1000 },
        active_deadline: if u.ratio(1, 4)? { Some(Millis(u.int_in_range(0..=3_000_000)?)) } else { None },
        restart_policy: if u.ratio(1, 4)? { RestartPolicy::OnFailure } else { RestartPolicy::Never },
        suspend: u.ratio(1, 6)?,
        replacement: if failed_only { Replacement::Failed } else { Replacement::TerminatingOrFailed },
        failure_policy,
        indexed: completions.filter(|_| indexed != Indexed::default() || u.arbitrary() == Ok(true)).and(
            // Only a Job with completions has indexes.
            (per_index.is_some() || !indexed.success_policy.is_empty() || u.arbitrary()?).then_some(indexed),
        ),
        ttl: if u.ratio(1, 4)? { Some(Millis(u.int_in_range(0..=50_000)?)) } else { None },
        managed_elsewhere: false,
    })
}

impl World {
    fn any(u: &mut Unstructured<'_>) -> arbitrary::Result<World> {
        let portion = Portion { make: u.int_in_range(1..=4)?, stop: u.int_in_range(1..=4)? };
        Ok(World {
            job: Job { spec: any_spec(u)?, ..Job::default() },
            pods: Vec::new(),
            now: Now::at(1_000_000),
            failures: 0,
            successes: 0,
            completed: BTreeSet::new(),
            portion,
            finished: None,
            interim: None,
            starts: 0,
        })
    }

    fn live(&self) -> Live {
        self.pods.iter().fold(Live::default(), |sum, pod| sum.plus(pod.share()))
    }

    fn change(&mut self, at: usize, how: impl FnOnce(&mut Pod)) {
        let before = self.pods[at].share();
        how(&mut self.pods[at]);
        let after = self.pods[at].share();
        if let Some((table, index)) = self.job.indexes.as_mut().zip(self.pods[at].index) {
            table.shift(index, before, after);
        }
    }

    fn to_count(&self) -> Vec<usize> {
        let at_once = self.job.spec.replacement == Replacement::TerminatingOrFailed;
        let counts = |pod: &Pod| !pod.counted && (!pod.alive || pod.deleted && at_once);
        (0..self.pods.len()).filter(|at| counts(&self.pods[*at])).collect()
    }

    fn exit(&self, at: usize) -> PodExit {
        let pod = &self.pods[at];
        let (code, ended) = pod.end.unwrap_or((137, self.now.steady));
        let succeeded = pod.end.is_some() && code == 0;
        let failed = Failed { exit_codes: vec![("main".into(), code.into())], ..Failed::default() };
        PodExit {
            succeeded,
            interrupted: code == 137 && !pod.deleted,
            deleted: pod.deleted,
            at: ended,
            index: pod.index,
            failed: (!succeeded && self.job.spec.failure_policy.is_some()).then(|| Box::new(failed)),
        }
    }

    /// Asks once and does what the plan says.
    fn step(&mut self) -> JobPlan {
        let live = self.live();
        let to_count = self.to_count();
        let exits: Vec<_> = to_count.iter().map(|at| self.exit(*at)).collect();
        let active = matches!(self.job.phase, Phase::Active);
        let succeeding = matches!(self.job.phase, Phase::Finishing(Verdict::Complete(_)));
        for (at, exit) in to_count.iter().zip(&exits) {
            self.pods[*at].counted = true;
            let placed = self.job.spec.indexed.is_none()
                || exit.index.is_some_and(|index| Some(index) < self.job.spec.completions);
            if succeeding || !placed {
                continue;
            }
            let policy = self.job.spec.failure_policy.as_ref().zip(exit.failed.as_ref());
            let judged = policy.map(|(policy, failed)| policy.judge(failed).0);
            if exit.succeeded && (active || !exit.deleted) {
                self.successes += 1;
                self.completed.extend(exit.index);
            } else if judged != Some(FailureAction::Ignore) {
                self.failures += 1;
            }
        }
        let job = std::mem::take(&mut self.job);
        let plan = reconcile(job, live, &exits, self.portion, self.now);
        self.job = plan.next.clone();
        self.check(&plan, live);
        for seed in &plan.create {
            self.starts += 1;
            let pod = Pod {
                index: seed.index,
                alive: false,
                deleted: false,
                counted: false,
                restarts: 0,
                end: None,
            };
            self.pods.push(pod);
            self.change(self.pods.len() - 1, |pod| pod.alive = true);
        }
        // Newest first, those of an index that has another already before.
        for _ in 0..plan.stop {
            let active: Vec<_> =
                (0..self.pods.len()).rev().filter(|at| self.pods[*at].share().active > 0).collect();
            let completions = self.job.spec.completions.unwrap_or(0);
            let indexed = self.job.spec.indexed.is_some();
            let misplaced = active.iter().find(|at| {
                let index = self.pods[**at].index;
                indexed
                    && (index.is_none_or(|index| index >= completions)
                        || active.iter().any(|other| other != *at && self.pods[*other].index == index))
            });
            let at = *misplaced.or(active.first()).unwrap();
            if matches!(self.job.phase, Phase::Finishing(Verdict::Failed(_))) {
                self.failures += 1;
            }
            self.change(at, |pod| (pod.deleted, pod.counted) = (true, true));
        }
        plan
    }

    fn check(&mut self, plan: &JobPlan, live: Live) {
        let job = &plan.next;
        if !plan.create.is_empty() {
            let there = u32::try_from(plan.create.len()).unwrap() + live.active;
            let held = if job.spec.replacement == Replacement::Failed { live.terminating } else { 0 };
            assert!(there + held <= job.spec.parallelism, "{plan:?}");
            assert_eq!(job.phase, Phase::Active, "nothing begins once its fate is known");
            assert!(!job.spec.suspend && !job.deleting && plan.stop == 0);
        }
        let waits = job.spec.replacement == Replacement::Failed;
        let takes = |pod: &&Pod| pod.alive && (!pod.deleted || waits);
        let taken: BTreeSet<_> = self.pods.iter().filter(takes).filter_map(|pod| pod.index).collect();
        let mut made = BTreeSet::new();
        for index in plan.create.iter().filter_map(|seed| seed.index) {
            assert!(!taken.contains(&index) && made.insert(index), "one Pod at a time for {index}");
            assert!(!self.completed.contains(&index), "{index} has succeeded");
            let failed = |below| job.indexes.as_ref().is_some_and(|table| table.failed().contains(below));
            assert!(!failed(index), "{index} has failed for good");
            let first =
                |below: &u32| taken.contains(below) || self.completed.contains(below) || failed(*below);
            let each_waits = job.spec.indexed.as_ref().is_some_and(|indexed| indexed.backoff_limit.is_some());
            assert!(
                each_waits || (0..index).all(|below| first(&below) || made.contains(&below)),
                "lowest first"
            );
        }
        match job.phase {
            Phase::Active => assert!(self.interim.is_none() && self.finished.is_none()),
            Phase::Finishing(verdict) => {
                assert_eq!(*self.interim.get_or_insert(verdict), verdict);
                assert!(self.finished.is_none(), "more time never un-finishes a Job");
            }
            Phase::Finished(verdict) => {
                assert_eq!(*self.interim.get_or_insert(verdict), verdict, "the same verdict to the end");
                assert_eq!(*self.finished.get_or_insert(verdict), verdict);
                assert_eq!((live.active, live.terminating), (0, 0));
                assert!(job.finished.is_some());
            }
        }
        let Some(table) = &job.indexes else { return };
        assert_eq!(table.completed().common(table.failed()), 0);
        assert!(table.completed().runs().chain(table.failed().runs()).all(|(_, last)| table.has(last)));
    }

    /// Until there is nothing more to do at this time.
    fn settle(&mut self) {
        let stopped = loop {
            let plan = self.step();
            if !plan.more {
                break plan.stop > 0;
            }
            assert!(plan.stop > 0 || !plan.create.is_empty(), "it goes on: {plan:?}");
        };
        let before = (self.job.clone(), self.pods.clone());
        let again = self.step();
        // What a finished Pod's absence or a new Pod's presence leads to is seen when it is asked again, and then no more. As
        // on a cluster, nothing is made in the same look that stops Pods.
        let further = if again.changed || again.stop > 0 || stopped { self.step() } else { again };
        assert!(
            further.create.is_empty() && further.stop == 0 && !further.changed,
            "{before:?}\n{further:?}"
        );
    }

    /// Every index has at most one active Pod, and none is of an index that there is not.
    fn is_tidy(&self) -> bool {
        let active = self.pods.iter().filter(|pod| pod.share().active > 0);
        let mut seen = BTreeSet::new();
        self.job.spec.indexed.is_none()
            || active.into_iter().all(|pod| {
                pod.index.is_some_and(|index| Some(index) < self.job.spec.completions && seen.insert(index))
            })
    }

    /// The sums, counted again from all that ever was.
    fn recount(&self) {
        let delayed = self.job.indexes.as_ref().map_or(0, |table| table.delayed());
        assert_eq!(self.job.failed + delayed, self.failures, "{self:?}");
        let Some(table) = &self.job.indexes else {
            assert_eq!(self.job.succeeded, self.successes);
            return;
        };
        // What is over is not fitted to its spec any more.
        if matches!(self.job.phase, Phase::Finished(_)) {
            return;
        }
        let kept: BTreeSet<u32> = table.completed().runs().flat_map(|(first, last)| first..=last).collect();
        assert!(kept.is_subset(&self.completed));
        assert_eq!(usize::try_from(self.job.succeeded), Ok(kept.len()));
        // What is kept is what would be worked out anew after a start.
        let failing: BTreeMap<_, _> = table.failing().clone();
        let mut anew = IndexTable::restore(table.completed().clone(), table.failed().clone(), failing);
        for pod in &self.pods {
            if let Some(index) = pod.index.filter(|_| pod.alive) {
                anew.shift(index, Live::default(), pod.share());
            }
        }
        let rules = self.job.spec.indexed.as_ref().map(|indexed| indexed.success_policy.as_slice());
        let waits = self.job.spec.replacement == Replacement::Failed;
        anew.fit(self.job.spec.completions.unwrap_or(0), waits, rules.unwrap_or_default());
        assert_eq!(anew, **table);
    }

    fn happen(&mut self, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let alive: Vec<_> = (0..self.pods.len()).filter(|at| self.pods[*at].alive).collect();
        match u.int_in_range(0..=11)? {
            0..=5 if !alive.is_empty() => {
                let at = *u.choose(&alive)?;
                let code = *u.choose(&[0, 0, 0, 1, 1, 2, 3, 4, 5, 137])?;
                let end = Some((code, self.now.steady));
                self.change(at, |pod| (pod.alive, pod.end) = (false, end));
            }
            6 if !alive.is_empty() => {
                let at = *u.choose(&alive)?;
                self.change(at, |pod| pod.deleted = true);
            }
            7 if !alive.is_empty() => {
                let at = *u.choose(&alive)?;
                self.change(at, |pod| pod.restarts += 1);
            }
            8 => self.job.spec.parallelism = u.int_in_range(0..=6)?,
            9 => self.job.spec.suspend = !self.job.spec.suspend,
            _ => self.now = Now::at(self.now.steady.0 + u.int_in_range(0..=700_000)?),
        }
        Ok(())
    }
}

#[test]
fn every_history_keeps_the_promises_and_the_tally() {
    arbtest(|u| {
        let mut world = World::any(u)?;
        world.settle();
        while !u.is_empty() {
            world.happen(u)?;
            world.settle();
            assert!(world.is_tidy(), "{world:?}");
            world.recount();
            let active = world.live().active;
            assert!(active <= world.job.spec.parallelism || world.job.spec.completions.is_none(), "at rest");
        }
        Ok(())
    })
    .budget_ms(3_000);
}

#[test]
fn every_job_comes_to_its_end_when_its_pods_succeed() {
    arbtest(|u| {
        let mut world = World::any(u)?;
        world.settle();
        for _ in 0..u.int_in_range(0..=20)? {
            world.happen(u)?;
            world.settle();
        }
        world.job.spec.suspend = false;
        world.job.spec.parallelism = world.job.spec.parallelism.max(1);
        for _ in 0..60 {
            world.now = Now::at(world.now.steady.0 + 600_000);
            let end = Some((0, world.now.steady));
            for at in 0..world.pods.len() {
                if world.pods[at].alive {
                    world.change(at, |pod| (pod.alive, pod.end) = (false, end));
                }
            }
            world.settle();
        }
        assert!(world.finished.is_some(), "{world:?}");
        Ok(())
    })
    .budget_ms(2_000);
}

#[test]
fn a_changed_number_of_indexes_leaves_what_is_known_of_the_others() {
    arbtest(|u| {
        let mut world = World::any(u)?;
        let rules = Vec::new();
        world.job.spec.indexed = Some(Indexed { success_policy: rules, ..Indexed::default() });
        world.job.spec.completions.get_or_insert(4);
        world.settle();
        while !u.is_empty() {
            if u.ratio(1, 5)? {
                let both = u.int_in_range(0..=9)?;
                (world.job.spec.completions, world.job.spec.parallelism) = (Some(both), both);
                world.completed.retain(|index| *index < both);
            } else {
                world.happen(u)?;
            }
            world.settle();
            assert!(world.is_tidy(), "{world:?}");
            world.recount();
        }
        Ok(())
    })
    .budget_ms(2_000);
}
