//! What came of a campaign, as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::cut::{Aim, Rules};
use crate::oracle::Kind;

/// States, and those of them that were bad.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) states: usize,
    /// Of these, in a store that had been cut off before.
    later_generations: usize,
    /// Of these, cut while it was opened.
    openings: usize,
    bad: BTreeMap<Kind, usize>,
}

/// Tallies, by what was done and by whose rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    rows: BTreeMap<(String, Rules), Tally>,
    /// How often a program was recorded.
    pub(crate) recordings: usize,
    /// How often `sync_file_range` reached the kernel in them.
    pub(crate) range_syncs: usize,
}

impl Tally {
    pub(crate) fn bad(&self) -> usize {
        self.bad.values().sum()
    }
}

impl Table {
    pub(crate) fn add(&mut self, row: &str, rules: Rules, generation: usize, aim: Aim, bad: Option<Kind>) {
        let tally = self.rows.entry((row.to_owned(), rules)).or_default();
        tally.states += 1;
        tally.later_generations += usize::from(generation > 1);
        tally.openings += usize::from(aim == Aim::Opening);
        if let Some(kind) = bad {
            *tally.bad.entry(kind).or_default() += 1;
        }
    }

    /// A state that seemed good, and was not.
    pub(crate) fn turns_bad(&mut self, row: &str, rules: Rules, kind: Kind) {
        let tally = self.rows.entry((row.to_owned(), rules)).or_default();
        *tally.bad.entry(kind).or_default() += 1;
    }

    pub(crate) fn merge(&mut self, other: Table) {
        self.recordings += other.recordings;
        self.range_syncs += other.range_syncs;
        for (row, other) in other.rows {
            let tally = self.rows.entry(row).or_default();
            tally.states += other.states;
            tally.later_generations += other.later_generations;
            tally.openings += other.openings;
            for (kind, count) in other.bad {
                *tally.bad.entry(kind).or_default() += count;
            }
        }
    }

    pub(crate) fn of(&self, row: &str, rules: Rules) -> Tally {
        self.rows.get(&(row.to_owned(), rules)).cloned().unwrap_or_default()
    }

    pub(crate) fn states(&self) -> usize {
        self.rows.values().map(|tally| tally.states).sum()
    }

    pub(crate) fn bad(&self) -> usize {
        self.rows.values().map(Tally::bad).sum()
    }

    pub(crate) fn render(&self) -> String {
        let heads =
            ["", "names", "states", "2nd and 3rd", "while opening", "bad", "kinds"].map(str::to_owned);
        let mut lines = vec![heads];
        for ((row, rules), tally) in &self.rows {
            let kinds = tally.bad.iter().map(|(kind, count)| format!("{} {count}", kind.name()));
            let kinds = kinds.collect::<Vec<_>>().join(", ");
            lines.push([
                row.clone(),
                match rules {
                    Rules::Strict => "strict".into(),
                    Rules::Lenient => "lenient".into(),
                },
                tally.states.to_string(),
                tally.later_generations.to_string(),
                tally.openings.to_string(),
                tally.bad().to_string(),
                if kinds.is_empty() { "-".into() } else { kinds },
            ]);
        }
        let widths: Vec<usize> =
            (0..7).map(|at| lines.iter().map(|line| line[at].len()).max().unwrap_or(0)).collect();
        let mut text = String::new();
        for line in lines {
            let mut shown = String::new();
            for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
                // Words to the left, numbers to the right.
                let _ = match at {
                    0 | 1 | 6 => write!(shown, "{cell:<width$}  "),
                    _ => write!(shown, "{cell:>width$}  "),
                };
            }
            text += shown.trim_end();
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_table_has_a_row_for_each_work_and_rule() {
        let mut table = Table::default();
        table.add("engine", Rules::Strict, 1, Aim::Anywhere, None);
        table.add("engine", Rules::Strict, 2, Aim::Opening, Some(Kind::DoesNotOpen));
        table.turns_bad("engine", Rules::Strict, Kind::FailedLater);
        let mut other = Table::default();
        other.add("engine", Rules::Lenient, 3, Aim::Sync, None);
        table.merge(other);
        assert_eq!((table.states(), table.bad()), (3, 2));
        expect![[r#"
                    names    states  2nd and 3rd  while opening  bad  kinds
            engine  strict        2            1              1    2  does not open 1, failed later 1
            engine  lenient       1            1              0    0  -
        "#]]
        .assert_eq(&table.render());
    }
}
