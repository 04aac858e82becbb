//! What is in a directory: read, written, compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

/// Blocks of zeros of this many bytes are not written but left out, as the files that are kept full of nothing were.
const HOLE_BYTES: usize = 64 << 10;

/// A directory's contents, by path from there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) dirs: BTreeSet<String>,
    pub(crate) files: BTreeMap<String, Arc<Vec<u8>>>,
}

impl Image {
    pub(crate) fn read(dir: &Path) -> Result<Image> {
        let mut image = Image::default();
        let mut pending = vec![(dir.to_owned(), String::new())];
        while let Some((dir, prefix)) = pending.pop() {
            for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
                let entry = entry?;
                let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                if entry.file_type()?.is_dir() {
                    pending.push((entry.path(), format!("{name}/")));
                    image.dirs.insert(name);
                } else {
                    image.files.insert(name, Arc::new(fs::read(entry.path())?));
                }
            }
        }
        Ok(image)
    }

    /// Makes `dir`, where nothing is, look like this.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        fs::create_dir(dir).with_context(|| dir.display().to_string())?;
        // In order, a directory comes before what is in it.
        for name in &self.dirs {
            fs::create_dir(dir.join(name)).with_context(|| name.clone())?;
        }
        for (name, bytes) in &self.files {
            let path = dir.join(name);
            let write = || {
                let file = File::create(&path)?;
                file.set_len(bytes.len() as u64)?;
                for (n, block) in bytes.chunks(HOLE_BYTES).enumerate() {
                    if block.iter().any(|byte| *byte != 0) {
                        file.write_all_at(block, (n * HOLE_BYTES) as u64)?;
                    }
                }
                std::io::Result::Ok(())
            };
            write().with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// The first difference, as a sentence.
    pub(crate) fn difference(&self, other: &Image) -> Option<String> {
        if let Some(name) = self.dirs.symmetric_difference(&other.dirs).next() {
            return Some(format!("only one of them has the directory `{name}`"));
        }
        let names: BTreeSet<_> = self.files.keys().chain(other.files.keys()).collect();
        for name in names {
            let (Some(one), Some(two)) = (self.files.get(name), other.files.get(name)) else {
                return Some(format!("only one of them has the file `{name}`"));
            };
            if one.len() != two.len() {
                return Some(format!("`{name}` has {} bytes in one, {} in the other", one.len(), two.len()));
            }
            if let Some(at) = one.iter().zip(two.iter()).position(|(one, two)| one != two) {
                return Some(format!("`{name}` differs from byte {at} on"));
            }
        }
        None
    }
}
