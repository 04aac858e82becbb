//! What some tests need that not every machine has.

use std::io::Write;

/// `there`; where it is not, that is told, with the reason, and the test is skipped. CI installs what is needed, so there it
/// is a failure.
pub(crate) fn or_skip(there: bool, why: &str) -> bool {
    if !there {
        assert!(std::env::var_os("CI").is_none(), "{why}");
        told_skipped(why);
    }
    there
}

/// Tells why a test is skipped that even CI may have to skip.
pub(crate) fn told_skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not `eprintln`, which only failing tests are heard with; in one piece, as other tests speak too.
    let _ = std::io::stderr().write_all(format!("{test}: skipped: {why}\n").as_bytes());
}
