//! The manifests that `-f` names: files, directories, or what comes in through stdin.
//!
//! All of them are read before anything is asked for: a file that is not there changes nothing.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A manifest as it was written.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its path, or `stdin`.
    pub(crate) name: String,
    /// What it says.
    pub(crate) text: String,
    /// Where its relative paths begin.
    pub(crate) dir: PathBuf,
}

/// What `paths` name, in the order they are given; of a directory its .yaml, .yml and .json files by name.
pub(crate) fn sources(paths: &[PathBuf], recursive: bool) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            io::stdin()
                .lock()
                .read_to_end(&mut bytes)
                .map_err(|error| Failure::file(Path::new("stdin"), &error))?;
            sources.push(source("stdin".to_owned(), bytes, PathBuf::new())?);
            continue;
        }
        let mut files = Vec::new();
        if path.is_dir() {
            in_directory(path, recursive, &mut files)?;
            if files.is_empty() {
                return Err(Failure::not_asked(format!(
                    "{}: no .yaml, .yml or .json file in it",
                    path.display()
                ))
                .hint("-R looks into the directories in it too"));
            }
        } else {
            files.push(path.clone());
        }
        for file in files {
            let bytes = fs::read(&file).map_err(|error| Failure::file(&file, &error))?;
            let dir = file.parent().unwrap_or(Path::new("")).to_owned();
            sources.push(source(file.display().to_string(), bytes, dir)?);
        }
    }
    Ok(sources)
}

fn source(name: String, bytes: Vec<u8>, dir: PathBuf) -> Result<Source, Failure> {
    match String::from_utf8(bytes) {
        // A byte order mark says nothing, and places in a text are counted without it.
        Ok(text) => Ok(Source { name, text: text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned(), dir }),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            Err(Failure::not_asked(format!("{name}: byte {at} is not text in UTF-8")))
        }
    }
}

fn in_directory(dir: &Path, recursive: bool, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::file(dir, &error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    for path in paths {
        let kind = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            if recursive {
                in_directory(&path, recursive, files)?;
            }
        } else if matches!(kind, Some("yaml" | "yml" | "json")) {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn a_directory_is_read_by_name_and_not_deeper() {
        check(
            &["b.yml", "a.yaml", "c.json", "notes.txt", "deep/d.yaml"],
            &["."],
            false,
            expect!["a.yaml b.yml c.json"],
        );
        check(&["b.yml", "deep/a.yaml"], &["."], true, expect!["b.yml deep/a.yaml"]);
    }

    #[test]
    fn files_are_read_in_the_order_given() {
        check(&["a.yaml", "b.txt"], &["b.txt", "a.yaml"], false, expect!["b.txt a.yaml"]);
    }

    #[test]
    fn what_is_not_there_is_said() {
        check(&["a.yaml"], &["a.yaml", "b.yaml"], false, expect!["error: b.yaml: no such file or directory"]);
        check(
            &["deep/a.yaml"],
            &["."],
            false,
            expect![[r#"
                error: .: no .yaml, .yml or .json file in it
                hint: -R looks into the directories in it too"#]],
        );
    }

    fn check(files: &[&str], paths: &[&str], recursive: bool, wanted: Expect) {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "kind: Job\n").unwrap();
        }
        let paths: Vec<PathBuf> = paths.iter().map(|path| dir.path().join(path)).collect();
        let said = match sources(&paths, recursive) {
            Ok(sources) => sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>().join(" "),
            Err(Failure::NotAsked(words)) => words.to_string(),
            Err(failure) => format!("{failure:?}"),
        };
        let root = dir.path().display().to_string();
        wanted.assert_eq(&said.replace(&format!("{root}/./"), "").replace(&format!("{root}/"), ""));
    }
}
