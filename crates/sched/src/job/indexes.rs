//! Sets of completion indexes, kept as runs: a Job of 100,000 indexes that are done in order takes a handful.

use std::collections::BTreeMap;
use std::fmt;

/// A set of completion indexes. What is asked of it takes the logarithm of its runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indexes {
    /// First → last; no two runs touch.
    runs: BTreeMap<u32, u32>,
    count: u32,
}

impl Indexes {
    /// All below `end`.
    pub fn below(end: u32) -> Indexes {
        let mut all = Indexes::default();
        all.insert_run(0, end);
        all
    }

    /// What a status or a policy has: `1,3-5,7`. Damage is tolerated as Kubernetes does: what cannot be read is skipped, and
    /// what is not below `end` is cut off.
    pub fn parse(text: &str, end: u32) -> Indexes {
        let mut indexes = Indexes::default();
        for interval in text.split(',') {
            let (first, last) = interval.split_once('-').unwrap_or((interval, interval));
            if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
                indexes.insert_run(first, last.saturating_add(1).min(end));
            }
        }
        indexes
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// True if `index` is one of them.
    pub fn contains(&self, index: u32) -> bool {
        self.run_at(index).is_some()
    }

    /// The lowest that is not below `from`.
    pub fn next(&self, from: u32) -> Option<u32> {
        if self.contains(from) {
            return Some(from);
        }
        self.runs.range(from..).next().map(|(first, _)| *first)
    }

    /// Adds one; false if it was there.
    pub fn insert(&mut self, index: u32) -> bool {
        if self.contains(index) {
            return false;
        }
        let mut run = (index, index);
        if let Some(below) = index.checked_sub(1)
            && let Some((first, _)) = self.run_at(below)
        {
            run.0 = first;
        }
        if let Some(above) = index.checked_add(1)
            && let Some(last) = self.runs.remove(&above)
        {
            run.1 = last;
        }
        self.runs.insert(run.0, run.1);
        self.count += 1;
        true
    }

    /// Takes one away; false if it was not there.
    pub fn remove(&mut self, index: u32) -> bool {
        let Some((first, last)) = self.run_at(index) else { return false };
        if first == index {
            self.runs.remove(&first);
        } else {
            self.runs.insert(first, index - 1);
        }
        if index < last {
            self.runs.insert(index + 1, last);
        }
        self.count -= 1;
        true
    }

    /// Adds all from `first` on that are below `end`.
    pub fn insert_run(&mut self, first: u32, end: u32) {
        let Some(mut last) = end.checked_sub(1).filter(|last| *last >= first) else { return };
        let mut start = first;
        if let Some(below) = first.checked_sub(1)
            && let Some((reaches_down_to, reaches_up_to)) = self.run_at(below)
        {
            start = reaches_down_to;
            last = last.max(reaches_up_to);
        }
        while let Some((run, reaches_up_to)) = self.runs.range(start..=end).next().map(|(a, b)| (*a, *b)) {
            self.runs.remove(&run);
            self.count -= reaches_up_to - run + 1;
            last = last.max(reaches_up_to);
        }
        self.runs.insert(start, last);
        self.count += last - start + 1;
    }

    /// Takes away all that are not below `end`.
    pub fn cut(&mut self, end: u32) {
        for (first, last) in self.runs.split_off(&end) {
            self.count -= last - first + 1;
        }
        if let Some((_, last)) = self.runs.iter_mut().next_back()
            && *last >= end
        {
            self.count -= *last + 1 - end;
            *last = end - 1;
        }
    }

    /// Its runs, each from its first to its last.
    pub fn runs(&self) -> impl Iterator<Item = (u32, u32)> {
        self.runs.iter().map(|(first, last)| (*first, *last))
    }

    /// How many are in both.
    pub fn common(&self, other: &Indexes) -> u32 {
        let within = |(first, last): (u32, u32)| {
            let from = other.run_at(first).map_or(first, |(start, _)| start);
            let overlaps = other.runs.range(from..=last);
            overlaps.map(|(a, b)| last.min(*b) + 1 - first.max(*a)).sum::<u32>()
        };
        self.runs().map(within).sum()
    }

    fn run_at(&self, index: u32) -> Option<(u32, u32)> {
        let (first, last) = self.runs.range(..=index).next_back()?;
        (index <= *last).then_some((*first, *last))
    }
}

/// As Kubernetes writes them: `0,2-4`; a run of two is `4,5`.
impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (first, last) in self.runs() {
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arbtest::arbtest;
    use expect_test::{Expect, expect};

    use super::*;

    fn check(indexes: &[u32], expected: Expect) {
        let mut set = Indexes::default();
        for index in indexes {
            set.insert(*index);
        }
        expected.assert_eq(&set.to_string());
    }

    #[test]
    fn runs_of_three_or_more_are_written_with_a_hyphen() {
        check(&[], expect![""]);
        check(&[1, 0], expect!["0,1"]);
        check(&[7, 3, 1, 5, 4], expect!["1,3-5,7"]);
        check(&[2, 4, 5, 7, 8, 9], expect!["2,4,5,7-9"]);
    }

    #[test]
    fn damaged_text_gives_what_can_be_read_below_the_end() {
        let check = |text, expected: Expect| expected.assert_eq(&Indexes::parse(text, 8).to_string());
        check("1,3-5,7", expect!["1,3-5,7"]);
        check("", expect![""]);
        check("x,2,-3,4-y,1-2-3,5-", expect!["2"]);
        check("5-100,9,200-300", expect!["5-7"]);
        check("4-2,3,3,2-4", expect!["2-4"]);
        check("0-4294967295,4294967295", expect!["0-7"]);
    }

    #[test]
    fn it_is_a_set() {
        arbtest(|u| {
            let mut set = Indexes::default();
            let mut plain = BTreeSet::new();
            for _ in 0..u.int_in_range(0..=40)? {
                let index = u.int_in_range(0..=20)?;
                match u.int_in_range(0..=9)? {
                    0..=4 => assert_eq!(set.insert(index), plain.insert(index)),
                    5..=6 => assert_eq!(set.remove(index), plain.remove(&index)),
                    7..=8 => {
                        let end = u.int_in_range(0..=22)?;
                        set.insert_run(index, end);
                        plain.extend(index..end);
                    }
                    _ => {
                        set.cut(index);
                        plain.retain(|one| *one < index);
                    }
                }
                assert_eq!(set.runs().flat_map(|(a, b)| a..=b).collect::<BTreeSet<_>>(), plain);
                assert_eq!(usize::try_from(set.count()).unwrap(), plain.len());
                assert_eq!(set.is_empty(), plain.is_empty());
                assert_eq!(Indexes::parse(&set.to_string(), 100), set);
                for probe in 0..23 {
                    assert_eq!(set.contains(probe), plain.contains(&probe));
                    assert_eq!(set.next(probe), plain.range(probe..).next().copied());
                }
                let mut other = Indexes::default();
                other.insert_run(u.int_in_range(0..=10)?, u.int_in_range(0..=20)?);
                other.insert(u.int_in_range(0..=22)?);
                let common = plain.iter().filter(|one| other.contains(**one)).count();
                assert_eq!((set.common(&other), other.common(&set)), (common as u32, common as u32));
            }
            Ok(())
        });
    }
}
