//! Where each index of an Indexed Job stands. Kept, not recounted: a change takes the logarithm of what there is.

use std::collections::{BTreeMap, BTreeSet};

use crate::Steady;
use crate::backoff::{JOB_MAX, doubled};
use crate::job::{Indexed, Indexes, Live, SuccessRule};

/// With `backoffLimitPerIndex`, so many indexes may have failed and not be decided before no further index begins: what is
/// known of each is recorded with its Job.
pub const FAILING_MAX: usize = 10_000;

/// Where each index of an Indexed Job stands: succeeded, failed for good, with a Pod that has not finished, or open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexTable {
    completions: u32,
    /// Whether an index with a Pod that is being stopped waits for it.
    waits: bool,
    completed: Indexes,
    failed: Indexes,
    /// Neither of both, and without a Pod that keeps them from having another.
    open: Indexes,
    /// Indexes with Pods that have not finished.
    live: BTreeMap<u32, Held>,
    /// Active Pods in `live`.
    active: u32,
    /// Indexes with more active Pods than they should have.
    misplaced: BTreeSet<u32>,
    failing: BTreeMap<u32, Failing>,
    /// The sum over `failing`.
    delayed: u32,
    /// For each rule of the success policy, how many of its indexes have succeeded.
    met: Vec<u32>,
}

/// Pods of one index that have not finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    active: u32,
    terminating: u32,
}

/// An index that has failed but not for good (`backoffLimitPerIndex`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failing {
    /// Failures that count.
    pub failures: u32,
    /// Failures that a rule ignores.
    pub ignored: u32,
    /// Failures of both kinds that made the next wait longer.
    pub steps: u32,
    /// When the last of those was.
    pub last: Option<Steady>,
    /// Of `failures`, those that the Job's own count does not have yet: they are counted once a Pod replaces them.
    pub delayed: u32,
}

impl Failing {
    /// When the index may have its next Pod; `None` if at once.
    fn until(&self) -> Option<Steady> {
        Some(self.last? + doubled(self.steps.checked_sub(1)?, JOB_MAX))
    }
}

/// A Pod that is to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seed {
    /// Its index, in an Indexed Job.
    pub index: Option<u32>,
    /// Earlier failures of the index that count, and those a rule ignores; with `backoffLimitPerIndex`.
    pub failures: Option<(u32, u32)>,
}

/// What [`IndexTable::seeds`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seeds {
    pub(super) seeds: Vec<Seed>,
    /// When the first of those that wait may have its Pod.
    pub(super) wake: Option<Steady>,
    /// There is more than was asked for.
    pub(super) more: bool,
}

impl IndexTable {
    /// For a Job with these indexes done; none of its Pods are known yet.
    pub fn restore(completed: Indexes, failed: Indexes, failing: BTreeMap<u32, Failing>) -> IndexTable {
        let delayed = failing.values().map(|one| one.delayed).sum();
        IndexTable { completed, failed, failing, delayed, ..IndexTable::default() }
    }

    /// Those that have succeeded.
    pub fn completed(&self) -> &Indexes {
        &self.completed
    }

    /// Those that have failed for good.
    pub fn failed(&self) -> &Indexes {
        &self.failed
    }

    /// Those that have failed, but not for good.
    pub fn failing(&self) -> &BTreeMap<u32, Failing> {
        &self.failing
    }

    /// A Pod of `index` that had this share in its Job's sums now has that.
    pub fn shift(&mut self, index: u32, before: Live, after: Live) {
        let held = self.live.entry(index).or_default();
        held.active = held.active + after.active - before.active;
        held.terminating = held.terminating + after.terminating - before.terminating;
        self.active = self.active + after.active - before.active;
        let held = *held;
        if held == Held::default() {
            self.live.remove(&index);
        }
        self.place(index, held);
    }

    /// Takes up what changed in the spec. Costs the length of what is kept, so only then.
    pub(super) fn fit(&mut self, completions: u32, waits: bool, rules: &[SuccessRule]) {
        if (completions, waits, rules.len()) == (self.completions, self.waits, self.met.len()) {
            return;
        }
        (self.completions, self.waits) = (completions, waits);
        self.completed.cut(completions);
        self.failed.cut(completions);
        for (_, gone) in self.failing.split_off(&completions) {
            self.delayed -= gone.delayed;
        }
        self.open = Indexes::default();
        let mut from = 0;
        let mut done = self.completed.clone();
        for (first, last) in self.failed.runs() {
            done.insert_run(first, last + 1);
        }
        for (first, last) in done.runs() {
            self.open.insert_run(from, first);
            from = last + 1;
        }
        self.open.insert_run(from, completions);
        self.misplaced.clear();
        let live: Vec<_> = self.live.iter().map(|(index, held)| (*index, *held)).collect();
        for (index, held) in live {
            self.place(index, held);
        }
        self.met = rules.iter().map(|rule| self.meets(rule)).collect();
    }

    /// Active Pods that must go: those beyond the first of an index, and those of no index that there is.
    pub(super) fn misplaced(&self, active: u32) -> u32 {
        let most = |index: &u32| u32::from(*index < self.completions);
        let held = |index: &u32| self.live.get(index).map_or(0, |held| held.active - most(index));
        active - self.active + self.misplaced.iter().map(held).sum::<u32>()
    }

    /// True if a Pod with this index belongs to the Job.
    pub(super) fn has(&self, index: u32) -> bool {
        index < self.completions
    }

    /// Records a success; false if `index` was decided before.
    pub(super) fn complete(&mut self, index: u32, rules: &[SuccessRule]) -> bool {
        if self.failed.contains(index) || !self.completed.insert(index) {
            return false;
        }
        self.open.remove(index);
        for (met, rule) in self.met.iter_mut().zip(rules) {
            *met += u32::from(rule.is_about(index));
        }
        true
    }

    /// Records a failure that counts or is ignored, and says whether the index has now failed for good.
    pub(super) fn fail(&mut self, index: u32, failure: IndexFailure, limit: u32) -> bool {
        if self.failed.contains(index) || self.completed.contains(index) {
            return false;
        }
        let one = self.failing.entry(index).or_default();
        if let Some(at) = failure.delays {
            one.steps = one.steps.saturating_add(1);
            one.last = one.last.max(Some(at));
        }
        if failure.ignored {
            one.ignored = one.ignored.saturating_add(1);
            return false;
        }
        if failure.for_good || one.failures >= limit {
            self.failed.insert(index);
            self.open.remove(index);
            return true;
        }
        one.failures += 1;
        one.delayed += 1;
        self.delayed += 1;
        false
    }

    /// Failures that the Job's own count does not have yet.
    pub(super) fn delayed(&self) -> u32 {
        self.delayed
    }

    /// Forgets how an index failed that is decided, and says how many of its failures were not counted yet.
    pub(super) fn settle(&mut self, index: u32) -> u32 {
        let delayed = self.failing.remove(&index).map_or(0, |one| one.delayed);
        self.delayed -= delayed;
        delayed
    }

    /// Likewise for all: the Job is over.
    pub(super) fn settle_all(&mut self) -> u32 {
        self.failing.clear();
        std::mem::take(&mut self.delayed)
    }

    /// The Pods to make for the `wanted` lowest open indexes, `most` of them now. An index that still waits after a failure
    /// holds its place: with room for one, none after it begins.
    pub(super) fn seeds(&self, indexed: &Indexed, wanted: u32, most: u32, now: Steady) -> Seeds {
        let mut found = Seeds::default();
        let mut next = self.open.next(0);
        for _ in 0..wanted {
            let Some(index) = next else { break };
            next = index.checked_add(1).and_then(|after| self.open.next(after));
            let failing = self.failing.get(&index).copied().unwrap_or_default();
            if indexed.backoff_limit.is_some()
                && let Some(until) = failing.until().filter(|until| *until > now)
            {
                found.wake = Some(found.wake.map_or(until, |wake| wake.min(until)));
                continue;
            }
            let new = indexed.backoff_limit.is_some() && !self.failing.contains_key(&index);
            if new && self.failing.len() >= FAILING_MAX {
                continue;
            }
            if found.seeds.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
                found.more = true;
                break;
            }
            let failures = indexed.backoff_limit.map(|_| (failing.failures, failing.ignored));
            found.seeds.push(Seed { index: Some(index), failures });
        }
        found
    }

    /// The failures that were waiting for this Pod to be made.
    pub(super) fn replaced(&mut self, index: u32) -> u32 {
        let Some(one) = self.failing.get_mut(&index) else { return 0 };
        let delayed = std::mem::take(&mut one.delayed);
        self.delayed -= delayed;
        delayed
    }

    /// The position of the first rule that is met.
    pub(super) fn met(&self, rules: &[SuccessRule]) -> Option<usize> {
        self.met.iter().zip(rules).position(|(succeeded, rule)| rule.is_met(*succeeded))
    }

    fn meets(&self, rule: &SuccessRule) -> u32 {
        rule.indexes.as_ref().map_or(self.completed.count(), |indexes| indexes.common(&self.completed))
    }

    /// Opens or closes an index by the Pods it has.
    fn place(&mut self, index: u32, held: Held) {
        let taken = held.active > 0 || self.waits && held.terminating > 0;
        let decided = self.completed.contains(index) || self.failed.contains(index);
        if taken || decided || index >= self.completions {
            self.open.remove(index);
        } else {
            self.open.insert(index);
        }
        if held.active > u32::from(index < self.completions) {
            self.misplaced.insert(index);
        } else {
            self.misplaced.remove(&index);
        }
    }
}

/// A failed Pod of an index.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexFailure {
    /// A rule ignores it.
    pub(super) ignored: bool,
    /// A rule fails the index for it.
    pub(super) for_good: bool,
    /// The next Pod waits, counted from then.
    pub(super) delays: Option<Steady>,
}
