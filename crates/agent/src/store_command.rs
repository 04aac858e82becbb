//! `wickd store …`: looks at the store of a data directory that no wickd uses, writes it out for people, and moves it.
//!
//! An export is lines of JSON: a head, then one line for each record with its key, the Kubernetes object as kubectl would
//! show it, and what only decisions need. What lies beside the store (images' bytes, logs, volumes) is not in it.

mod json_lines;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use engine::StoredRecord;
use engine::store::{Batch, DataDir, SledOptions, SledStore, Store, StoreCopy, set_aside};
use runtime::Digest;

use crate::data::Data;
use json_lines::Head;

#[derive(clap::Subcommand)]
pub(crate) enum StoreCommand {
    /// Read all of a store, from a copy, and tell what is wrong with it; changes nothing. Exit 1 if anything is
    Check {
        /// The data directory
        dir: PathBuf,
    },
    /// Write all records as lines of JSON, from a copy; changes nothing
    Export {
        /// The data directory
        dir: PathBuf,
        /// Where to; a file that is there is replaced when all is written [default: standard output]
        file: Option<PathBuf>,
    },
    /// Make a data directory from an export. Images' bytes and logs are not in it: copy images/, logs/ and volumes/ as well
    Import {
        /// The data directory to make; nothing may be there, or an empty directory
        dir: PathBuf,
        /// The export
        file: PathBuf,
    },
    /// Move a store away, with images, logs and volumes, into a directory of its own in the data directory. The next start
    /// begins empty
    SetAside {
        /// The data directory
        dir: PathBuf,
        /// Do it; without, only tell what would be done
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) fn run(command: StoreCommand) -> anyhow::Result<ExitCode> {
    match command {
        StoreCommand::Check { dir } => check(&dir),
        StoreCommand::Export { dir, file } => export(&dir, file.as_deref()),
        StoreCommand::Import { dir, file } => import(&dir, &file),
        StoreCommand::SetAside { dir, yes } => move_away(&dir, yes),
    }
}

/// A copy of a store, and where it is.
struct Copy {
    store: StoreCopy,
    /// Goes after the store.
    _scratch: tempfile::TempDir,
}

fn copy(dir: &Path) -> anyhow::Result<Copy> {
    let scratch = tempfile::tempdir().context("cannot make a temporary directory for a copy of the store")?;
    Ok(Copy { store: StoreCopy::open(dir, scratch.path())?, _scratch: scratch })
}

/// Shows each record; those that cannot be read, or lie where they do not belong, are told as problems.
fn each_record(
    store: &StoreCopy,
    problems: &mut Vec<String>,
    mut visit: impl FnMut(StoredRecord) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut failed = None;
    store.load(b"", &mut |key, bytes| {
        let shown = engine::shown_key(key);
        match StoredRecord::decode(key, bytes) {
            Err(error) => problems.push(error.to_string()),
            Ok(record) => {
                if record.key() != key {
                    let names = record.key();
                    let names = engine::shown_key(&names);
                    problems.push(format!("record `{shown}` says that it is `{names}`"));
                }
                if let Err(error) = visit(record) {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    })?;
    failed.map_or(Ok(()), Err)
}

fn check(dir: &Path) -> anyhow::Result<ExitCode> {
    let Copy { store, _scratch } = copy(dir)?;
    let mut problems = Vec::new();
    let mut counts: BTreeMap<&str, usize> =
        ["Jobs", "CronJobs", "Pods", "entries", "images"].map(|kind| (kind, 0)).into();
    let (mut uids, mut digests) = (BTreeSet::new(), BTreeMap::new());
    let (mut twice, mut meta) = (Vec::new(), false);
    each_record(&store, &mut problems, |record| {
        let object = match record {
            StoredRecord::Meta(_) => {
                meta = true;
                return Ok(());
            }
            StoredRecord::Job(record) => ("Jobs", record.job.and_then(|job| job.metadata)),
            StoredRecord::CronJob(record) => {
                ("CronJobs", record.cron_job.and_then(|cron_job| cron_job.metadata))
            }
            StoredRecord::Pod(record) => ("Pods", record.pod.and_then(|pod| pod.metadata)),
            StoredRecord::Image(record) => {
                *counts.entry("images").or_default() += 1;
                let image = record.image.unwrap_or_default();
                digests.insert(image.digest, image.name);
                return Ok(());
            }
            StoredRecord::Ledger(_) => {
                *counts.entry("entries").or_default() += 1;
                return Ok(());
            }
        };
        let (kind, metadata) = object;
        *counts.entry(kind).or_default() += 1;
        let metadata = metadata.unwrap_or_default();
        if !uids.insert(metadata.uid.clone()) {
            twice.push(format!("{kind}: uid {} of `{}` is another's too", metadata.uid, metadata.name));
        }
        Ok(())
    })?;
    problems.append(&mut twice);
    if !meta && store.revision() > 0 {
        problems.push("the store's own record is missing".to_owned());
    }
    problems.extend(digests.iter().filter_map(|(digest, name)| check_image(dir, digest, name)));

    let watermark = store.watermark().map_or("there is none".to_owned(), |revision| revision.to_string());
    let stop = if store.clean() { "clean" } else { "not clean: the next start recovers" };
    println!("revision    {}\nwatermark   {watermark}\nlast stop   {stop}", store.revision());
    println!("on disk     {} bytes", store.bytes());
    for (kind, count) in counts {
        println!("{kind:<11} {count}");
    }
    for problem in &problems {
        println!("problem: {problem}");
    }
    println!("problems    {}", problems.len());
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong with an image's bytes, if anything is.
fn check_image(dir: &Path, digest: &str, name: &str) -> Option<String> {
    let path = Data::image_below(dir, digest);
    let what = match fs::read(&path) {
        Ok(bytes) if Digest::of(&bytes).to_string() == digest => return None,
        Ok(_) => "do not have its digest".to_owned(),
        Err(error) => format!("cannot be read: {error}"),
    };
    Some(format!("image `{name}`: the bytes at {} {what}", path.display()))
}

fn export(dir: &Path, file: Option<&Path>) -> anyhow::Result<ExitCode> {
    let Copy { store, _scratch } = copy(dir)?;
    let Some(path) = file else {
        return write_export(&store, &mut io::stdout().lock());
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut beside = tempfile::NamedTempFile::new_in(parent)
        .with_context(|| format!("cannot write to {}", parent.display()))?;
    let code = write_export(&store, &mut beside)?;
    beside.as_file().sync_all().with_context(|| format!("cannot write {}", path.display()))?;
    beside.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(code)
}

/// Fails if there is anything that would not come back as it is.
fn write_export(store: &StoreCopy, to: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut problems = Vec::new();
    let mut records = 0;
    each_record(store, &mut problems, |_| {
        records += 1;
        Ok(())
    })?;
    problems.clear();
    let mut to = BufWriter::new(to);
    let head = Head { revision: store.revision(), records };
    writeln!(to, "{}", head.line()).context("cannot write the export")?;
    each_record(store, &mut problems, |record| {
        let line = json_lines::write(&record);
        // Whoever reads this file relies on it, perhaps when nothing else is left.
        let again = json_lines::read(&line)?;
        ensure!(again == record, "record `{}` would not come back as it is", shown_key(&record));
        writeln!(to, "{line}").context("cannot write the export")
    })?;
    to.flush().context("cannot write the export")?;
    for problem in &problems {
        eprintln!("problem: {problem}");
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn import(dir: &Path, file: &Path) -> anyhow::Result<ExitCode> {
    let empty = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(error).with_context(|| format!("cannot look at {}", dir.display())),
    };
    ensure!(empty, "{} is not empty: name a directory that is, or where none is yet", dir.display());
    // Made beside, so that what is cut short is never taken for a data directory.
    let mut name = dir.file_name().context("name a directory")?.to_owned();
    name.push(".importing");
    let beside = dir.with_file_name(name);
    let filled = fill(&beside, file);
    if filled.is_err() {
        let _ = fs::remove_dir_all(&beside);
    }
    let (records, images) = filled?;
    fs::rename(&beside, dir).with_context(|| format!("cannot rename {}", beside.display()))?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).context("cannot sync the directory")?;
    println!("{} has {records} records now", dir.display());
    if images > 0 {
        eprintln!(
            "note: the bytes of {images} images are not in an export: copy images/ from the old data directory before \
             wickd starts, or push them again"
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a data directory with a store at `dir`; how many records it has, and how many are of images.
fn fill(dir: &Path, file: &Path) -> anyhow::Result<(u64, u64)> {
    let mut lines =
        BufReader::new(File::open(file).with_context(|| format!("cannot read {}", file.display()))?).lines();
    let place = |line: u64| format!("{}:{line}", file.display());
    let first = lines.next().transpose().with_context(|| place(1))?.unwrap_or_default();
    let head = Head::parse(&first).with_context(|| place(1))?;

    ensure!(!dir.exists(), "{} is there, from an import cut short: remove it", dir.display());
    let data_dir = DataDir::lock(dir)?;
    let mut store = SledStore::open(&data_dir, SledOptions::default())?;
    let mut batch = Batch::new(head.revision, 0);
    let (mut records, mut images) = (0, 0);
    for (line, number) in lines.zip(2..) {
        let line = line.with_context(|| place(number))?;
        let record = json_lines::read(&line).with_context(|| place(number))?;
        records += 1;
        images += u64::from(matches!(record, StoredRecord::Image(_)));
        let (key, bytes) = (record.key(), record.encode());
        if !batch.would_fit(key.len(), bytes.len()) {
            store.commit(&std::mem::replace(&mut batch, Batch::new(head.revision, 0)))?;
        }
        batch.put(key, bytes);
    }
    if records != head.records {
        bail!("{} has {records} of {} records: it was cut short", file.display(), head.records);
    }
    store.commit(&batch)?;
    store.close()?;
    Ok((records, images))
}

fn move_away(dir: &Path, yes: bool) -> anyhow::Result<ExitCode> {
    let beside = Data::OF_RECORDS;
    ensure!(dir.join("format").exists(), "{} is no data directory", dir.display());
    if !yes {
        eprintln!(
            "this would move the store in {} and what belongs to it ({}) into a directory set-aside-r… in there, so that \
             the next start begins empty; say --yes to do it",
            dir.display(),
            beside.join(", ")
        );
        return Ok(ExitCode::FAILURE);
    }
    let data_dir = DataDir::lock(dir)?;
    match set_aside(&data_dir, &beside)? {
        Some(aside) => println!("the store is in {} now", aside.display()),
        None => bail!("{} has no store", dir.display()),
    }
    Ok(ExitCode::SUCCESS)
}

fn shown_key(record: &StoredRecord) -> String {
    engine::shown_key(&record.key())
}

#[cfg(test)]
mod tests;
