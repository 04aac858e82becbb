//! One line of a log file, to and from its form on disk.

use api::pb::wick::v1::{LogLine, LogStream};
use jiff::Timestamp;
use runtime::Stream;

/// The longest piece that is kept as one line; longer ones are cut, as container runtimes do.
pub(super) const PIECE_MAX: usize = 16 << 10;

/// Appends `text` (without a line's end) to `out` as one line on disk.
pub(super) fn write(out: &mut Vec<u8>, at: Timestamp, stream: Stream, partial: bool, text: &[u8]) {
    let stream = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    let tag = if partial { 'P' } else { 'F' };
    out.extend_from_slice(format!("{at:.9} {stream} {tag} ").as_bytes());
    out.extend_from_slice(text);
    out.push(b'\n');
}

/// Reads one line on disk, without its end; `None` if it is none of ours (cut off by a power cut).
pub(super) fn read(line: &[u8]) -> Option<LogLine> {
    let mut fields = line.splitn(4, |byte| *byte == b' ');
    let at: Timestamp = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let stream = match fields.next()? {
        b"stdout" => LogStream::Stdout,
        b"stderr" => LogStream::Stderr,
        _ => return None,
    };
    let partial = match fields.next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    let text = fields.next()?.to_vec().into();
    Some(LogLine { time: Some(api::time::exact(at)), stream: stream.into(), text, partial })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_as_it_was_written() {
        let at: Timestamp = "2026-11-20T09:00:00.000000123Z".parse().unwrap();
        let mut out = Vec::new();
        write(&mut out, at, Stream::Stderr, true, b"two  words \xff");
        assert_eq!(out, b"2026-11-20T09:00:00.000000123Z stderr P two  words \xff\n");
        let line = read(&out[..out.len() - 1]).unwrap();
        assert_eq!(line.text.as_ref(), b"two  words \xff");
        assert_eq!((line.stream(), line.partial), (LogStream::Stderr, true));
        assert_eq!(line.time, Some(api::time::exact(at)));
        assert_eq!(read(b"2026-11-20T09:00:00Z stdo"), None);
        assert_eq!(read(b""), None);
    }
}
