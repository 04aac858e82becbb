//! What a person sees: headings, lines, and one line that is redrawn.
//!
//! On a terminal that line moves; into a pipe or a file it is written again only when it says something new.
//! A reader that went away is not an error here: the work goes on without it.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Standard output.
pub(crate) struct Screen {
    terminal: bool,
    colour: bool,
    /// The text on the moving line, until it is finished.
    moving: RefCell<Option<String>>,
}

impl Screen {
    pub(crate) fn stdout() -> Screen {
        let terminal =
            io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Screen { terminal, colour, moving: RefCell::new(None) }
    }

    pub(crate) fn heading(&self, text: &str) {
        self.put(&format!("\n{}\n", self.styled("1", &format!("==> {text}"))));
    }

    pub(crate) fn line(&self, text: &str) {
        self.put(&format!("    {text}\n"));
    }

    /// A command as one would type it.
    pub(crate) fn command(&self, text: &str) {
        self.put(&format!("    {}\n", self.styled("36", &format!("$ {text}"))));
    }

    /// Text of several lines, as a program printed it.
    pub(crate) fn quote(&self, text: &str) {
        for line in text.lines() {
            self.line(line.trim_end());
        }
    }

    /// Replaces the moving line. `key` is what makes it new to a reader that keeps every line.
    pub(crate) fn progress(&self, key: &str, extra: &str) {
        let known = self.moving.replace(Some(key.to_owned())).is_some_and(|before| before == key);
        if self.terminal {
            let text = format!("\r\x1b[K    {key}{extra}");
            put(&text);
        } else if !known {
            put(&format!("    {key}\n"));
        }
    }

    fn put(&self, text: &str) {
        if self.moving.take().is_some() && self.terminal {
            put("\n");
        }
        put(text);
    }

    fn styled(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `12.3 s`.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn put(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
