//! Proves that flaws are found, before anything is said of a store in which none is.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{Keep, toy};
use crate::cut::Rules;
use crate::report::Table;
use crate::toy::Flaw;

/// How many states of each toy are looked at by each of the rules.
const STATES: usize = 60;

/// Whether a flaw can be seen, by the strict rules and by the lenient ones.
const SEEN: [(Flaw, [bool; 2]); 4] = [
    (Flaw::None, [false, false]),
    (Flaw::AcknowledgesEarly, [true, true]),
    // On ext4 names last with the next sync of anything.
    (Flaw::NoDirectorySync, [true, false]),
    (Flaw::NoChecksum, [true, true]),
];

/// The same for every seed: what is to be proved does not depend on luck.
pub(super) fn run(scratch: &Path, keep: &Keep) -> Result<()> {
    let mut table = Table::default();
    let quiet = Keep::nowhere();
    for (flaw, seen) in SEEN {
        for (rules, seen) in [Rules::Strict, Rules::Lenient].into_iter().zip(seen) {
            let toy = toy(flaw, rules, STATES, scratch, if seen { &quiet } else { keep })?;
            let found = toy.of(&format!("{flaw:?}"), rules).bad() > 0;
            table.merge(toy);
            ensure!(
                found == seen,
                "{}\n{flaw:?} by {rules:?} rules: a flaw was {}found, and should {}have been; until this is mended, \
                 nothing that is found or not found in the store means anything",
                table.render(),
                if found { "" } else { "not " },
                if seen { "" } else { "not " }
            );
        }
    }
    print!("{}", table.render());
    Ok(())
}
