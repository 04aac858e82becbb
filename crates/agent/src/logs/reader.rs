//! Reads one run's output, also while it grows and its files are rotated.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use api::pb::wick::v1::LogLine;

use super::{FILES, line};
use crate::data::{Data, LogName};

/// Lines handed over at once: bounds what a slow client makes the agent hold.
const PORTION: usize = 256;
/// And so many bytes of text, about.
const PORTION_BYTES: usize = 256 << 10;
/// How often it is looked anew because files were renamed meanwhile; then the next reading goes on.
const RENAMES_MAX: usize = 100;

/// A place in one run's output.
pub(crate) struct LogReader {
    data: Data,
    name: LogName,
    file: Option<Open>,
    /// Reading ends here: in which file, and how far into it.
    end: Option<(u64, u64)>,
}

struct Open {
    reader: BufReader<File>,
    inode: u64,
    /// Bytes read of it.
    position: u64,
    /// The beginning of a line whose end is not written yet.
    begun: Vec<u8>,
    /// A later file is there, so nothing is written to this one any more.
    closed: bool,
}

impl LogReader {
    pub(super) fn new(data: Data, name: LogName) -> LogReader {
        LogReader { data, name, file: None, end: None }
    }

    /// Ends where the output ends now: a guest that writes faster than it is read is not followed.
    pub(crate) fn end_here(&mut self) -> io::Result<()> {
        self.end = match fs::metadata(self.path(0)) {
            Ok(metadata) => Some((metadata.ino(), metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// The next lines; none when there are no more for now. Blocks for the disk.
    pub(crate) fn read(&mut self) -> io::Result<Vec<LogLine>> {
        let mut lines = Vec::new();
        let mut bytes = 0;
        while lines.len() < PORTION && bytes < PORTION_BYTES {
            if self.file.is_none() {
                self.file = self.open_oldest()?;
            }
            let Some(open) = &mut self.file else { break };
            if self.end.is_some_and(|(inode, length)| inode == open.inode && open.position >= length) {
                break;
            }
            open.position += open.reader.read_until(b'\n', &mut open.begun)? as u64;
            if open.begun.last() == Some(&b'\n') {
                open.begun.pop();
                bytes += open.begun.len();
                lines.extend(line::read(&open.begun));
                open.begun.clear();
            } else {
                // The file's end. If it is no longer the one written to, the next one goes on.
                let (inode, closed) = (open.inode, open.closed);
                match self.open_after(inode)? {
                    Some(next) if closed => self.file = Some(next),
                    // It may have grown between its end and the beginning of the next one: once more to its end.
                    Some(_) => self.file.iter_mut().for_each(|open| open.closed = true),
                    None => break,
                }
            }
        }
        Ok(lines)
    }

    /// The last `count` lines of what there is; reading goes on after them. Blocks for the disk.
    pub(crate) fn tail(&mut self, count: u64) -> io::Result<VecDeque<LogLine>> {
        let mut last = VecDeque::new();
        let mut whole_lines = 0;
        loop {
            let lines = self.read()?;
            if lines.is_empty() {
                return Ok(last);
            }
            for line in lines {
                whole_lines += u64::from(!line.partial);
                last.push_back(line);
                while whole_lines > count {
                    let Some(dropped) = last.pop_front() else { break };
                    whole_lines -= u64::from(!dropped.partial);
                }
            }
        }
    }

    /// The `age`-th file before the one written to.
    fn path(&self, age: u64) -> PathBuf {
        self.data.log(&self.name, age)
    }

    fn open_oldest(&self) -> io::Result<Option<Open>> {
        for _ in 0..RENAMES_MAX {
            for age in (0..FILES).rev() {
                let Some(open) = open(self.path(age))? else { continue };
                if age + 1 < FILES && self.inode(age + 1)?.is_some() {
                    break; // They were renamed while we looked.
                }
                return Ok(Some(open));
            }
            if self.inode(0)?.is_none() {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// The file that was begun after the one with this inode.
    fn open_after(&self, inode: u64) -> io::Result<Option<Open>> {
        'again: for _ in 0..RENAMES_MAX {
            for age in 0..FILES {
                if self.inode(age)? != Some(inode) {
                    continue;
                }
                let Some(newer) = age.checked_sub(1) else { return Ok(None) };
                // Files are renamed by whoever writes: only if this one is still where it was is that one the next.
                match open(self.path(newer))? {
                    Some(next) if self.inode(age)? == Some(inode) => return Ok(Some(next)),
                    Some(_) | None => continue 'again,
                }
            }
            // It was rotated away, or went with its Pod: the oldest there is goes on.
            return self.open_oldest();
        }
        Ok(None)
    }

    fn inode(&self, age: u64) -> io::Result<Option<u64>> {
        match fs::metadata(self.path(age)) {
            Ok(metadata) => Ok(Some(metadata.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn open(path: PathBuf) -> io::Result<Option<Open>> {
    match File::open(path) {
        Ok(file) => {
            let inode = file.metadata()?.ino();
            Ok(Some(Open {
                reader: BufReader::new(file),
                inode,
                position: 0,
                begun: Vec::new(),
                closed: false,
            }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use runtime::{Output, Stream};

    use super::super::Logs;
    use super::*;
    use crate::clock::Clock;
    use crate::data::Data;
    use crate::live::Live;

    fn logs(dir: &Path, max_bytes: u64) -> Arc<Logs> {
        Arc::new(Logs::new(Data::at(dir).unwrap(), Clock::resume(None), Live::keeping(max_bytes)))
    }

    fn all(reader: &mut LogReader) -> String {
        let mut text = String::new();
        loop {
            let lines = reader.read().unwrap();
            if lines.is_empty() {
                return text;
            }
            for line in lines {
                text += &String::from_utf8_lossy(&line.text);
                text += if line.partial { "…" } else { "\n" };
            }
        }
    }

    #[test]
    fn what_was_written_is_read_while_it_grows() {
        let dir = tempfile::tempdir().unwrap();
        let logs = logs(dir.path(), 1 << 20);
        let writer = logs.writer("uid", "main", 0);
        let mut reader = logs.reader("uid", "main", 0);
        assert_eq!(all(&mut reader), "");
        writer.write(Stream::Stdout, b"one\ntw");
        assert_eq!(all(&mut reader), "one\ntw…");
        writer.write(Stream::Stderr, b"o\n");
        assert_eq!(all(&mut reader), "o\n");
        assert!(logs.growth("uid", "main", 0).is_some());
        drop(writer);
        assert!(logs.growth("uid", "main", 0).is_none());
        assert_eq!(all(&mut logs.reader("uid", "main", 0)), "one\ntw…o\n");
    }

    #[test]
    fn the_oldest_output_goes_when_there_is_too_much() {
        let dir = tempfile::tempdir().unwrap();
        let logs = logs(dir.path(), 40_000);
        let writer = logs.writer("uid", "main", 0);
        let mut follower = logs.reader("uid", "main", 0);
        let mut followed = String::new();
        for n in 0..2000 {
            writer.write(Stream::Stdout, format!("line {n}\n").as_bytes());
            followed += &all(&mut follower);
        }
        let whole: String = (0..2000).map(|n| format!("line {n}\n")).collect();
        assert_eq!(followed, whole, "a follower misses nothing over rotations");
        let kept = all(&mut logs.reader("uid", "main", 0));
        assert!(whole.ends_with(&kept) && kept.len() < whole.len(), "{} bytes kept", kept.len());
        let on_disk: u64 = fs::read_dir(dir.path().join("logs"))
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(on_disk <= 40_000, "{on_disk} bytes on disk");
    }

    #[test]
    fn a_follower_misses_nothing_while_files_are_renamed_under_it() {
        const LINES: usize = 5_000;
        let dir = tempfile::tempdir().unwrap();
        let logs = logs(dir.path(), 4_000);
        let mut follower = logs.reader("uid", "main", 0);
        // The writer is never so far ahead that what is still to be read is rotated away.
        let (ahead, read) = std::sync::mpsc::sync_channel(40);
        let writing = {
            let logs = logs.clone();
            std::thread::spawn(move || {
                let writer = logs.writer("uid", "main", 0);
                for n in 0..LINES {
                    ahead.send(()).unwrap();
                    writer.write(Stream::Stdout, format!("line {n}\n").as_bytes());
                }
            })
        };
        let mut text = String::new();
        let mut next = 0;
        while next < LINES {
            for line in follower.read().unwrap() {
                text += &String::from_utf8_lossy(&line.text);
                if !line.partial {
                    assert_eq!(std::mem::take(&mut text), format!("line {next}"));
                    next += 1;
                    read.recv().unwrap();
                }
            }
        }
        writing.join().unwrap();
    }

    #[test]
    fn the_tail_counts_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let logs = logs(dir.path(), 1 << 20);
        let writer = logs.writer("uid", "main", 0);
        writer.write(Stream::Stdout, b"one\ntwo\nthr");
        writer.write(Stream::Stdout, b"ee\n");
        let tail = |count| {
            let lines = logs.reader("uid", "main", 0).tail(count).unwrap();
            lines
                .iter()
                .map(|line| String::from_utf8_lossy(&line.text).into_owned())
                .collect::<Vec<_>>()
                .join("|")
        };
        assert_eq!(tail(0), "");
        assert_eq!(tail(1), "thr|ee");
        assert_eq!(tail(2), "two|thr|ee");
        assert_eq!(tail(9), "one|two|thr|ee");
    }

    #[test]
    fn without_following_reading_ends_where_the_output_ended() {
        let dir = tempfile::tempdir().unwrap();
        let logs = logs(dir.path(), 1 << 20);
        let writer = logs.writer("uid", "main", 0);
        writer.write(Stream::Stdout, b"before\n");
        let mut reader = logs.reader("uid", "main", 0);
        reader.end_here().unwrap();
        writer.write(Stream::Stdout, b"after\n");
        assert_eq!(all(&mut reader), "before\n");
    }

    #[test]
    fn runs_before_the_last_two_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let logs = logs(dir.path(), 1 << 20);
        for restarts in 0..4 {
            logs.writer("uid", "main", restarts)
                .write(Stream::Stdout, format!("run {restarts}\n").as_bytes());
        }
        let kept = [0, 1, 2, 3].map(|restarts| all(&mut logs.reader("uid", "main", restarts)));
        assert_eq!(kept, ["", "", "run 2\n", "run 3\n"]);
    }
}
