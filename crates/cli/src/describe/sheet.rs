//! A page of `label: value` lines, values below each other, with tables and deeper levels in it.

use unicode_width::UnicodeWidthStr;

use crate::columns::NONE;
use crate::screen::{Screen, status_word};
use crate::table::{Table, tame, words_in};

/// Blanks of one level.
const INDENT: usize = 2;

/// A page being written. Lines of one level are aligned over the whole page.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    /// A label and its value's lines.
    Pair { level: usize, label: String, value: Vec<String> },
    /// A line of its own.
    Head { level: usize, text: String },
    /// A table.
    Table { level: usize, table: Table },
}

impl Sheet {
    /// `label: value`; a value of several lines stands below itself.
    pub(crate) fn pair(&mut self, level: usize, label: &str, value: impl Into<String>) {
        let value = tame(&value.into()).lines().map(|line| line.trim_end().to_owned()).collect();
        self.lines.push(Line::Pair { level, label: label.to_owned(), value });
    }

    /// As [`Sheet::pair`], left out where there is no value.
    pub(crate) fn some(&mut self, level: usize, label: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.pair(level, label, value);
        }
    }

    /// A label and a value for each line, `<none>` if there are none.
    pub(crate) fn list(&mut self, level: usize, label: &str, values: Vec<String>) {
        match values.is_empty() {
            true => self.pair(level, label, NONE),
            false => self.pair(level, label, values.join("\n")),
        }
    }

    /// A label above a deeper level.
    pub(crate) fn head(&mut self, level: usize, label: &str) {
        self.lines.push(Line::Head { level, text: format!("{}:", tame(label)) });
    }

    /// A label above lines of text; `<none>` beside it if there are none.
    pub(crate) fn text(&mut self, level: usize, label: &str, lines: &[String]) {
        if lines.is_empty() {
            return self.pair(level, label, NONE);
        }
        self.head(level, label);
        for line in lines {
            for line in tame(line).lines() {
                self.lines.push(Line::Head { level: level + 1, text: line.trim_end().to_owned() });
            }
        }
    }

    /// A label above a table; `<none>` beside it if the table has no rows.
    pub(crate) fn table(&mut self, level: usize, label: &str, table: &Table) {
        if table.rows.is_empty() {
            return self.pair(level, label, NONE);
        }
        self.head(level, label);
        self.lines.push(Line::Table { level: level + 1, table: table.clone() });
    }

    /// The page, for `screen`.
    pub(crate) fn page(&self, screen: Screen) -> String {
        let width = |wanted: usize| {
            let labels = self.lines.iter().filter_map(|line| match line {
                Line::Pair { level, label, .. } if *level == wanted => Some(label.chars().count()),
                Line::Pair { .. } | Line::Head { .. } | Line::Table { .. } => None,
            });
            labels.max().unwrap_or_default() + 3 // The colon, and two blanks.
        };
        let mut page = String::new();
        for line in &self.lines {
            match line {
                Line::Pair { level, label, value } => {
                    let indent = " ".repeat(INDENT * level);
                    let width = width(*level);
                    // Text goes on below itself between words; a name that is too long is left whole, to be copied.
                    let left = screen.width.map(|most| most.saturating_sub(indent.len() + width));
                    let wrapped = |line: &String| match left {
                        Some(left) if line.width() > left => words_in(line, left),
                        Some(_) | None => vec![line.clone()],
                    };
                    let mut lines = value.iter().flat_map(wrapped);
                    let first = format!("{label}:");
                    let value = lines.next().unwrap_or_default();
                    let colour = screen.colour && matches!(label.as_str(), "Status" | "Reason");
                    let text = format!("{indent}{first:<width$}{}", status_word(&value, colour));
                    page += text.trim_end();
                    page.push('\n');
                    for line in lines {
                        page += format!("{indent}{:width$}{line}", "").trim_end();
                        page.push('\n');
                    }
                }
                Line::Head { level, text } => {
                    page += &format!("{}{text}\n", " ".repeat(INDENT * level));
                }
                Line::Table { level, table } => {
                    page += &table.detail(&" ".repeat(INDENT * level), screen);
                }
            }
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn values_of_a_level_stand_below_each_other() {
        let mut sheet = Sheet::default();
        sheet.pair(0, "Name", "hello");
        sheet.list(0, "Labels", vec!["a=b".to_owned(), "c=d".to_owned()]);
        sheet.list(0, "Annotations", Vec::new());
        sheet.some(0, "Left Out", None::<String>);
        sheet.head(0, "Containers");
        sheet.head(1, "a");
        sheet.pair(2, "Image", "hello:1");
        sheet.pair(2, "Ready", "");
        sheet.text(2, "Args", &["--quick".to_owned(), "two\nlines\u{7}".to_owned()]);
        let mut table = Table::new(&["Type", "Status"]);
        sheet.table(0, "Volumes", &table);
        table.rows.push(vec!["Ready".to_owned(), "True".to_owned()]);
        sheet.table(0, "Conditions", &table);
        expect![[r#"
            Name:         hello
            Labels:       a=b
                          c=d
            Annotations:  <none>
            Containers:
              a:
                Image:  hello:1
                Ready:
                Args:
                  --quick
                  two
                  lines\u{7}
            Volumes:      <none>
            Conditions:
              Type   Status
              ----   ------
              Ready  True
        "#]]
        .assert_eq(&sheet.page(Screen::PLAIN));
    }
}
