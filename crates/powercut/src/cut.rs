//! What a disk may look like when the power goes.
//!
//! A file holds what a completed sync covered and, for each sector separately, some prefix of the later writes to that
//! sector: the page cache merges within a sector, and writes sectors in any order. How long the file is, is chosen
//! separately. Names are their directory's contents: [`Rules`] says when they last.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::disk::Image;
use crate::random::Random;
use crate::story::{Change, Op, Story, Target};

/// When names last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rules {
    /// When their directory was synced; before that, any of them may and any may not.
    Strict,
    /// As on ext4: in order, and with the next sync of anything.
    Lenient,
}

/// Which of what was not synced reached the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    OnlySynced,
    Everything,
    RandomSectors,
    RandomWrites,
    /// In order up to one, of which only some sectors.
    InOrderTorn,
    OneWriteMissing,
    OneSectorMissing,
    NewestOnly,
    OneWriteOnly,
    OneSectorOnly,
}

const WAYS: [Way; 10] = [
    Way::OnlySynced,
    Way::Everything,
    Way::RandomSectors,
    Way::RandomWrites,
    Way::InOrderTorn,
    Way::OneWriteMissing,
    Way::OneSectorMissing,
    Way::NewestOnly,
    Way::OneWriteOnly,
    Way::OneSectorOnly,
];

const SECTORS: [usize; 2] = [512, 4096];

/// A cut of the power: after `at` of the story's events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) at: usize,
    pub(crate) rules: Rules,
    pub(crate) way: Way,
    pub(crate) sector: usize,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cut { at, rules, way, sector } = self;
        write!(f, "after event {at}, {rules:?} names, {way:?}, sectors of {sector} bytes")
    }
}

impl Cut {
    /// Some cut at this point.
    pub(crate) fn any(at: usize, rules: Rules, random: &mut Random) -> Cut {
        let way = random.pick(&WAYS).copied().unwrap_or(Way::OnlySynced);
        let sector = random.pick(&SECTORS).copied().unwrap_or(512);
        Cut { at, rules, way, sector }
    }

    /// What is on the disk then.
    pub(crate) fn image(&self, story: &Story, random: &mut Random) -> Image {
        let ops = &story.ops[..self.at];
        let covered = Covered::by_syncs(ops, story.files());
        let mut names = story.start.clone();
        let pending: Vec<usize> = (0..ops.len())
            .filter(|n| matches!(&ops[*n], Op::Names(_)) && !covered.names(self.rules, &ops[*n], *n))
            .collect();
        let kept = self.names(&pending, random);
        for (n, op) in ops.iter().enumerate() {
            if let Op::Names(namings) = op
                && (kept.contains(&n) || covered.names(self.rules, op, n))
            {
                namings.iter().for_each(|naming| names.apply(naming));
            }
        }
        let contents = self.contents(story, &covered, random);
        names.image(&mut |file| contents[file].clone())
    }

    /// Which of the names that need not be there are.
    fn names(&self, pending: &[usize], random: &mut Random) -> BTreeSet<usize> {
        let prefix = match self.way {
            Way::OnlySynced => 0,
            Way::Everything => pending.len(),
            _ => random.between(0, pending.len()),
        };
        let any = self.rules == Rules::Strict && !matches!(self.way, Way::OnlySynced | Way::Everything);
        if any && random.percent(50) {
            pending.iter().copied().filter(|_| random.percent(50)).collect()
        } else {
            pending[..prefix].iter().copied().collect()
        }
    }

    fn contents(&self, story: &Story, covered: &Covered, random: &mut Random) -> Vec<Arc<Vec<u8>>> {
        let mut contents = story.contents.clone();
        let mut pending: Vec<(usize, &Change)> = Vec::new();
        for (n, op) in story.ops[..self.at].iter().enumerate() {
            if let Op::Data { file, change } = op {
                if n < covered.files[*file] {
                    story.change(change, Arc::make_mut(&mut contents[*file]));
                } else {
                    pending.push((*file, change));
                }
            }
        }
        let chosen = Chosen::choose(self.way, self.sector, story, &pending, random);
        let mut by_file: BTreeMap<usize, Vec<(usize, &Change)>> = BTreeMap::new();
        for (n, (file, change)) in pending.into_iter().enumerate() {
            by_file.entry(file).or_default().push((n, change));
        }
        for (file, changes) in by_file {
            self.file(file, Arc::make_mut(&mut contents[file]), &changes, story, &chosen, random);
        }
        contents
    }

    /// Does to the file, sector by sector, what was chosen of its changes.
    fn file(
        &self,
        file: usize,
        bytes: &mut Vec<u8>,
        changes: &[(usize, &Change)],
        story: &Story,
        chosen: &Chosen,
        random: &mut Random,
    ) {
        let mut lengths = vec![bytes.len()];
        let mut by_sector: BTreeMap<usize, Vec<(usize, &Change)>> = BTreeMap::new();
        for (n, change) in changes {
            let last = lengths.last().copied().unwrap_or(0);
            lengths.push(match change {
                Change::Write { at, bytes } => last.max(at + bytes.len()),
                Change::Length { to, .. } => *to,
            });
            for sector in sectors(change, self.sector) {
                by_sector.entry(sector).or_default().push((*n, change));
            }
        }
        bytes.resize(lengths.iter().copied().max().unwrap_or(0), 0);
        let mut reached = lengths[0];
        for (sector, changes) in by_sector {
            let numbers: Vec<usize> = changes.iter().map(|(n, _)| *n).collect();
            let keep = chosen.of(file, sector, &numbers, random);
            let (begin, end) = (sector * self.sector, ((sector + 1) * self.sector).min(bytes.len()));
            for (_, change) in &changes[..keep] {
                match change {
                    Change::Write { at, bytes: written } => {
                        let (from, to) = (begin.max(*at), end.min(at + written.len()));
                        let written = &story.bytes(written)[from - at..to - at];
                        bytes[from..to].copy_from_slice(written);
                        reached = reached.max(to);
                    }
                    Change::Length { to, .. } => bytes[begin.max(*to).min(end)..end].fill(0),
                }
            }
        }
        let last = lengths.last().copied().unwrap_or(0);
        let any = random.pick(&lengths).copied().unwrap_or(last);
        let length = match (self.way, random.below(4)) {
            (Way::OnlySynced, 0..=2) => lengths[0],
            (Way::Everything, 0..=2) | (_, 0) => last,
            (_, 1) => reached.min(bytes.len()),
            _ => any,
        };
        bytes.resize(length, 0);
    }
}

/// The sectors that a change changes.
fn sectors(change: &Change, sector: usize) -> std::ops::Range<usize> {
    match change {
        Change::Write { at, bytes } => at / sector..(at + bytes.len()).div_ceil(sector),
        Change::Length { from, to } => to / sector..from.div_ceil(sector).max(to / sector),
    }
}

/// Up to which event each file and directory is synced.
struct Covered {
    files: Vec<usize>,
    dirs: BTreeMap<usize, usize>,
    anything: usize,
}

impl Covered {
    fn by_syncs(ops: &[Op], files: usize) -> Covered {
        let mut covered = Covered { files: vec![0; files], dirs: BTreeMap::new(), anything: 0 };
        let mut begun = BTreeMap::new();
        for (n, op) in ops.iter().enumerate() {
            match op {
                Op::SyncBegin { sync, of } => {
                    begun.insert(*sync, (n, *of));
                }
                Op::SyncEnd { sync, succeeded: true } => {
                    let Some((begin, of)) = begun.remove(sync) else { continue };
                    let upto = match of {
                        Target::File(file) => &mut covered.files[file],
                        Target::Dir(dir) => covered.dirs.entry(dir).or_default(),
                    };
                    *upto = (*upto).max(begin);
                    covered.anything = covered.anything.max(begin);
                }
                _ => {}
            }
        }
        covered
    }

    /// Whether these names last for certain.
    fn names(&self, rules: Rules, op: &Op, n: usize) -> bool {
        let Op::Names(namings) = op else { return false };
        match rules {
            Rules::Lenient => n < self.anything,
            Rules::Strict => {
                namings.iter().all(|naming| self.dirs.get(&naming.dir).is_some_and(|upto| n < *upto))
            }
        }
    }
}

/// Which changes reach the disk, of those that need not.
enum Chosen {
    All,
    None,
    Sectors,
    Writes(Vec<bool>),
    /// All before this one, and this one in some sectors.
    Before(usize),
    /// All but this one and what came later to its sectors.
    But(usize),
    ButSector(usize, usize),
    From(usize),
    Only(usize),
    OnlySector(usize, usize),
}

impl Chosen {
    fn choose(
        way: Way,
        size: usize,
        story: &Story,
        pending: &[(usize, &Change)],
        random: &mut Random,
    ) -> Chosen {
        let one = random.below(pending.len());
        let sector = pending.get(one).map_or((0, 0), |(file, change)| {
            let sectors = sectors(change, size);
            (*file, sectors.start + random.below(sectors.len()))
        });
        debug_assert!(sector.0 < story.files().max(1));
        match way {
            Way::OnlySynced => Chosen::None,
            Way::Everything => Chosen::All,
            Way::RandomSectors => Chosen::Sectors,
            Way::RandomWrites => Chosen::Writes(pending.iter().map(|_| random.percent(50)).collect()),
            Way::InOrderTorn => Chosen::Before(one),
            Way::OneWriteMissing => Chosen::But(one),
            Way::OneSectorMissing => Chosen::ButSector(sector.0, sector.1),
            Way::NewestOnly => Chosen::From(one),
            Way::OneWriteOnly => Chosen::Only(one),
            Way::OneSectorOnly => Chosen::OnlySector(sector.0, sector.1),
        }
    }

    /// How many of the changes to a sector, by their numbers, in order, reach it.
    fn of(&self, file: usize, sector: usize, changes: &[usize], random: &mut Random) -> usize {
        let all = changes.len();
        let place = |wanted: usize| changes.iter().position(|n| *n == wanted);
        match self {
            Chosen::All => all,
            Chosen::None => 0,
            Chosen::Sectors => match random.below(4) {
                0 => 0,
                1 => all,
                _ => random.between(0, all),
            },
            Chosen::Writes(chosen) => changes.iter().rposition(|n| chosen[*n]).map_or(0, |last| last + 1),
            Chosen::Before(torn) => {
                let before = changes.partition_point(|n| n < torn);
                before + usize::from(changes.get(before) == Some(torn) && random.percent(50))
            }
            Chosen::But(missing) => place(*missing).unwrap_or(all),
            Chosen::ButSector(other, missing) => {
                if (file, sector) == (*other, *missing) {
                    random.below(all)
                } else {
                    all
                }
            }
            Chosen::From(oldest) => {
                if changes.last() >= Some(oldest) {
                    all
                } else {
                    0
                }
            }
            Chosen::Only(one) => place(*one).map_or(0, |place| place + 1),
            Chosen::OnlySector(other, one) => {
                if (file, sector) == (*other, *one) {
                    random.between(1, all)
                } else {
                    0
                }
            }
        }
    }
}

/// What to aim at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Aim {
    /// Just after something was acknowledged.
    Acknowledged,
    /// Within a sync, and most often where it is all but done.
    Sync,
    /// Where much waits to be synced.
    Pending,
    /// While the store is opened.
    Opening,
    /// Just after a name came, changed or went.
    Names,
    Anywhere,
}

const AIMS: [Aim; 6] = [Aim::Acknowledged, Aim::Sync, Aim::Pending, Aim::Opening, Aim::Names, Aim::Anywhere];

/// The points worth aiming at.
pub(crate) struct Points {
    acknowledged: Vec<usize>,
    syncs: Vec<(usize, usize)>,
    pending: Vec<usize>,
    openings: Vec<(usize, usize)>,
    names: Vec<usize>,
    end: usize,
}

impl Points {
    pub(crate) fn of(story: &Story) -> Points {
        let end = story.ops.len();
        let mut points = Points {
            acknowledged: vec![],
            syncs: vec![],
            pending: vec![],
            openings: vec![],
            names: vec![],
            end,
        };
        let mut begun = BTreeMap::new();
        let mut opening = None;
        let mut waiting = vec![0_usize; story.files()];
        let mut levels = Vec::with_capacity(end);
        let mut level = 0;
        for (n, op) in story.ops.iter().enumerate() {
            match op {
                Op::Announced(text) => match story.bytes(text) {
                    text if text.starts_with(b"acknowledged") => points.acknowledged.push(n + 1),
                    text if text.starts_with(b"opening") => opening = Some(n + 1),
                    text if text.starts_with(b"opened") => {
                        points.openings.extend(opening.take().map(|begin| (begin, n + 1)));
                    }
                    _ => {}
                },
                Op::SyncBegin { sync, of } => {
                    begun.insert(*sync, (n, *of));
                }
                Op::SyncEnd { sync, .. } => {
                    if let Some((begin, of)) = begun.remove(sync) {
                        points.syncs.push((begin + 1, n));
                        if let Target::File(file) = of {
                            level -= std::mem::take(&mut waiting[file]);
                        }
                    }
                }
                Op::Data { file, change } => {
                    let bytes = match change {
                        Change::Write { bytes, .. } => bytes.len(),
                        Change::Length { .. } => 1,
                    };
                    waiting[*file] += bytes;
                    level += bytes;
                }
                Op::Names(_) => points.names.push(n + 1),
            }
            levels.push(level);
        }
        points.openings.extend(opening.map(|begin| (begin, end)));
        let mut most: Vec<usize> = (0..levels.len()).collect();
        most.sort_by_key(|n| std::cmp::Reverse(levels[*n]));
        most.truncate(end.div_ceil(10));
        points.pending = most.into_iter().map(|n| n + 1).collect();
        points
    }

    /// A point, as a number of events that have happened, and what was aimed at: `aim`, or anything.
    pub(crate) fn any(&self, aim: Option<Aim>, random: &mut Random) -> (usize, Aim) {
        let aim = aim.or_else(|| random.pick(&AIMS).copied()).unwrap_or(Aim::Anywhere);
        let within = |range: Option<&(usize, usize)>, random: &mut Random| {
            range.map(|(begin, end)| if random.percent(50) { *end } else { random.between(*begin, *end) })
        };
        let at = match aim {
            Aim::Acknowledged => random.pick(&self.acknowledged).copied(),
            Aim::Sync => within(random.pick(&self.syncs), random),
            Aim::Pending => random.pick(&self.pending).copied(),
            Aim::Opening => random.pick(&self.openings).map(|(begin, end)| random.between(*begin, *end)),
            Aim::Names => random.pick(&self.names).copied(),
            Aim::Anywhere => None,
        };
        match at {
            Some(at) => (at.min(self.end), aim),
            None => (random.between(0, self.end), Aim::Anywhere),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::script::Script;

    /// All that `cuts` cuts at the end of a story leave on the disk, with sectors of four bytes.
    fn check(script: Script, rules: Rules, ways: &[Way], expected: Expect) {
        let story = script.story();
        let mut seen = BTreeSet::new();
        for way in ways {
            let mut random = Random::new(7);
            let cut = Cut { at: story.ops.len(), rules, way: *way, sector: 4 };
            for _ in 0..300 {
                let image = cut.image(&story, &mut random);
                let files = image.files.iter();
                let files = files.map(|(name, bytes)| format!("{name}={}", bytes.escape_ascii()));
                seen.insert(files.collect::<Vec<_>>().join(" "));
            }
        }
        expected.assert_eq(&seen.into_iter().collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn what_was_synced_is_there_and_a_write_that_raced_with_the_sync_need_not_be() {
        let script = Script::default().create(3, "a").write(3, 0, b"1111").sync_begins(3, 4);
        let script = script.write(3, 0, b"2222").sync_ends().open(4, "").sync(4, 0);
        check(
            script,
            Rules::Strict,
            &WAYS,
            expect![[r#"
                a=1111
                a=2222"#]],
        );
    }

    #[test]
    fn sectors_are_torn_apart_but_each_has_a_prefix_of_its_writes() {
        let script =
            Script::default().create(3, "a").write(3, 0, b"........").open(4, "").sync(3, 8).sync(4, 0);
        let script = script.write(3, 0, b"1111AAAA").write(3, 4, b"BBBB");
        check(
            script,
            Rules::Strict,
            &[Way::RandomSectors],
            expect![[r#"
                a=........
                a=....AAAA
                a=....BBBB
                a=1111....
                a=1111AAAA
                a=1111BBBB"#]],
        );
    }

    #[test]
    fn a_length_need_not_be_that_of_what_was_written() {
        let script = Script::default().create(3, "a").open(4, "").sync(3, 0).sync(4, 0).write(3, 0, b"1111");
        check(
            script,
            Rules::Lenient,
            &[Way::RandomSectors],
            expect![[r#"
                a=
                a=1111
                a=\x00\x00\x00\x00"#]],
        );
    }

    #[test]
    fn by_strict_rules_only_the_directory_makes_names_last_in_any_order() {
        let script = Script::default().open(4, "").create(3, "a").write(3, 0, b"old").sync(3, 3).sync(4, 0);
        let script = script.create(5, "new").sync(5, 0).rename("a", "b");
        check(
            script,
            Rules::Strict,
            &[Way::RandomWrites],
            expect![[r#"
                a=old
                a=old new=
                b=old
                b=old new="#]],
        );
    }

    #[test]
    fn by_lenient_rules_names_last_in_order_with_any_sync() {
        let script =
            Script::default().create(3, "a").create(4, "b").sync(3, 0).create(5, "c").rename("c", "d");
        check(
            script,
            Rules::Lenient,
            &WAYS,
            expect![[r#"
                a= b=
                a= b= c=
                a= b= d="#]],
        );
    }

    #[test]
    fn one_seed_gives_one_state() {
        let script = || Script::default().create(3, "a").write(3, 0, &[1; 9000]).write(3, 100, &[2; 9000]);
        let images: BTreeSet<Vec<u8>> = (0..2)
            .map(|_| {
                let (story, mut random) = (script().story(), Random::new(5));
                let cut = Cut { at: 3, rules: Rules::Lenient, way: Way::RandomSectors, sector: 512 };
                cut.image(&story, &mut random).files.into_values().flat_map(|bytes| bytes.to_vec()).collect()
            })
            .collect();
        assert_eq!(images.len(), 1);
    }
}
