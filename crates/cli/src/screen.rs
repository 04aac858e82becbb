//! What output is written for: a pipe or file, or a terminal of some width, with or without colours.
//!
//! What is read by programs is never cut and never coloured. Output makes sense without colour; `NO_COLOR`,
//! `CLICOLOR` and `CLICOLOR_FORCE` are honoured as everywhere.

use std::borrow::Cow;
use std::io;

use anstream::ColorChoice;

/// What a terminal does with text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Screen {
    /// How many columns it has; `None`: lines may be as long as they are.
    pub(crate) width: Option<usize>,
    /// Whether it is to show colours.
    pub(crate) colour: bool,
}

impl Screen {
    /// A pipe, or a file.
    #[cfg(test)]
    pub(crate) const PLAIN: Screen = Screen { width: None, colour: false };

    /// What stdout is.
    pub(crate) fn stdout() -> Screen {
        let stream = io::stdout();
        Screen {
            width: width(terminal_size::terminal_size_of(&stream)),
            colour: anstream::AutoStream::choice(&stream) != ColorChoice::Never,
        }
    }

    /// What stderr is.
    pub(crate) fn stderr() -> Screen {
        let stream = io::stderr();
        Screen {
            width: width(terminal_size::terminal_size_of(&stream)),
            colour: anstream::AutoStream::choice(&stream) != ColorChoice::Never,
        }
    }
}

/// Some terminals do not know their size and say 0.
fn width(size: Option<(terminal_size::Width, terminal_size::Height)>) -> Option<usize> {
    size.map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0)
}

/// What a word means to whoever looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    /// It went well: green.
    Good,
    /// It went wrong: red.
    Bad,
    /// It waits, or somebody should look: yellow.
    Waiting,
}

fn tone(word: &str) -> Option<Tone> {
    match word.strip_prefix("Init:").unwrap_or(word) {
        "Complete" | "Completed" | "Succeeded" | "SuccessCriteriaMet" => Some(Tone::Good),
        "Failed"
        | "FailureTarget"
        | "OOMKilled"
        | "Trap"
        | "OutOfFuel"
        | "DeadlineExceeded"
        | "Evicted"
        | "ContainerStatusUnknown"
        | "InvalidImageName"
        | "Refused"
        | "ErrImagePull"
        | "ErrImageNeverPull" => Some(Tone::Bad),
        "Pending" | "Suspended" | "Terminating" | "NotReady" | "ContainerCreating" | "PodInitializing"
        | "Warning" => Some(Tone::Waiting),
        word if word.ends_with("BackOff") => Some(Tone::Waiting),
        word if word.ends_with("Error") => Some(Tone::Bad),
        word if word.starts_with("ExitCode:") || word.starts_with("Signal:") => Some(Tone::Bad),
        _ => None,
    }
}

/// A status word in its colour, where `colour` is asked for.
pub(crate) fn status_word(word: &str, colour: bool) -> Cow<'_, str> {
    let code = match tone(word) {
        Some(Tone::Good) => 32,
        Some(Tone::Bad) => 31,
        Some(Tone::Waiting) => 33,
        None => return word.into(),
    };
    if colour { format!("\u{1b}[{code}m{word}\u{1b}[0m").into() } else { word.into() }
}

/// A label of something that is said (`error:`, `hint:`) in bold and in its colour, where `colour` is asked for.
pub(crate) fn label(text: &str, colour: bool) -> String {
    match (colour, text) {
        (false, _) => text.to_owned(),
        (true, "error:") => format!("\u{1b}[1;31m{text}\u{1b}[0m"),
        (true, "warning:") => format!("\u{1b}[1;33m{text}\u{1b}[0m"),
        (true, _) => format!("\u{1b}[1;36m{text}\u{1b}[0m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn words_have_the_colour_of_what_they_mean() {
        check(
            "Complete Completed Failed Error OOMKilled ExitCode:3 Pending CrashLoopBackOff Running Normal True",
            expect![
                "32:Complete 32:Completed 31:Failed 31:Error 31:OOMKilled 31:ExitCode:3 33:Pending 33:CrashLoopBackOff Running Normal True"
            ],
        );
        check(
            "Init:0/1 Init:Error Init:CrashLoopBackOff Warning",
            expect!["Init:0/1 31:Init:Error 33:Init:CrashLoopBackOff 33:Warning"],
        );
    }

    #[test]
    fn without_colour_a_word_is_itself() {
        assert_eq!(status_word("Failed", false), "Failed");
        assert_eq!(label("error:", false), "error:");
    }

    fn check(words: &str, wanted: Expect) {
        let said = words.split(' ').map(|word| status_word(word, true).into_owned()).collect::<Vec<_>>();
        let mut said = said.join(" ").replace("\u{1b}[0m", "");
        for code in ["31", "32", "33"] {
            said = said.replace(&format!("\u{1b}[{code}m"), &format!("{code}:"));
        }
        wanted.assert_eq(&said);
    }
}
