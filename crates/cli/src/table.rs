//! Tables as kubectl prints them: no lines, no colours, three blanks between columns, one line a row.
//!
//! Rows are never wrapped or cut to the terminal: what is printed is also read by `awk`.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Width};

/// Blanks between the columns of a list.
pub(crate) const LIST: u16 = 3;
/// Blanks between the columns of a table in a description.
pub(crate) const DETAIL: u16 = 2;

/// The least width of a column of a list, its blanks included.
const LEAST: u16 = 6;

/// Rows of text below a header.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The header; every row has as many cells.
    pub(crate) columns: Vec<&'static str>,
    /// Rows, from the top.
    pub(crate) rows: Vec<Vec<String>>,
}

/// How wide the columns have become, so that rows printed later stand below those printed before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Widths(Vec<u16>);

impl Table {
    /// A table without rows.
    pub(crate) fn new(columns: &[&'static str]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Puts a column before the others; `cells` has one for each row.
    pub(crate) fn put_first(&mut self, column: &'static str, cells: impl IntoIterator<Item = String>) {
        self.columns.insert(0, column);
        for (row, cell) in self.rows.iter_mut().zip(cells) {
            row.insert(0, cell);
        }
    }

    /// The table with a blank area of `blanks` between columns, and its header if asked for. `widths` are kept from one
    /// part of a growing table to the next.
    pub(crate) fn text(&self, header: bool, blanks: u16, widths: &mut Widths) -> String {
        let header: Vec<Vec<String>> = if header {
            vec![self.columns.iter().map(|&name| name.to_owned()).collect()]
        } else {
            Vec::new()
        };
        layout(header.iter().chain(&self.rows), blanks, widths)
    }

    /// A table within a description: its header is underlined, every line begins with `indent`.
    pub(crate) fn detail(&self, indent: &str) -> String {
        let header: Vec<String> = self.columns.iter().map(|&name| name.to_owned()).collect();
        let line = self.columns.iter().map(|name| "-".repeat(name.len())).collect();
        let lines = [header, line];
        let text = layout(lines.iter().chain(&self.rows), DETAIL, &mut Widths::default());
        text.lines().map(|line| format!("{indent}{line}\n")).collect()
    }
}

fn layout<'a>(rows: impl Iterator<Item = &'a Vec<String>>, blanks: u16, widths: &mut Widths) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for row in rows {
        table.add_row(row.iter().map(|cell| one_line(cell)).collect::<Vec<_>>());
    }
    if table.is_empty() {
        return String::new();
    }
    let last = table.column_count().saturating_sub(1);
    widths.0.resize(last + 1, if blanks == LIST { LEAST } else { 0 });
    let contents = table.column_max_content_widths();
    for (column, (kept, content)) in table.column_iter_mut().zip(widths.0.iter_mut().zip(contents)) {
        *kept = (*kept).max(content.saturating_add(blanks));
        column.set_padding((0, blanks)).set_cell_alignment(CellAlignment::Left);
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(*kept)));
    }
    table.trim_fmt() + "\n"
}

/// Text that stays on its line and cannot command a terminal: cut at the first line's end, control characters escaped.
pub(crate) fn one_line(text: &str) -> String {
    let (line, more) = match text.split_once(['\n', '\r']) {
        Some((line, _)) => (line, "..."),
        None => (text, ""),
    };
    tame(line) + more
}

/// Text in which control characters other than the line's end are written as escapes.
pub(crate) fn tame(text: &str) -> String {
    let mut tamed = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' => tamed.push(char),
            '\t' => tamed.push(' '),
            char if char.is_control() => tamed.extend(char.escape_default()),
            char => tamed.push(char),
        }
    }
    tamed
}

/// A size for people: whole bytes, else the largest unit with one decimal below ten.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    // Tenths of the unit, in integers: no size is shown a little wrong.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = larger;
    }
    if tenths < 100 {
        format!("{}.{}{unit}", tenths / 10, tenths % 10)
    } else {
        format!("{}{unit}", tenths / 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn columns_are_three_blanks_apart_and_lines_end_where_their_text_ends() {
        check(
            &[&["hello", "Complete", "5s"], &["a-longer-name", "", "3h"]],
            expect![[r#"
                NAME            STATUS     AGE
                hello           Complete   5s
                a-longer-name              3h
            "#]],
        );
    }

    #[test]
    fn a_table_without_rows_is_its_header() {
        check(
            &[],
            expect![[r#"
            NAME   STATUS   AGE
        "#]],
        );
    }

    #[test]
    fn a_cell_is_one_line_and_cannot_command_the_terminal() {
        check(
            &[&["a\u{1b}[31mb", "first\nsecond", "tab\tbed"]],
            expect![[r#"
                NAME           STATUS     AGE
                a\u{1b}[31mb   first...   tab bed
            "#]],
        );
    }

    #[test]
    fn wide_characters_keep_columns_below_each_other() {
        check(
            &[&["größe", "日本", "1s"], &["x", "y", "2s"]],
            expect![[r#"
                NAME    STATUS   AGE
                größe   日本     1s
                x       y        2s
            "#]],
        );
    }

    #[test]
    fn rows_that_come_later_stand_below_the_first_ones() {
        let mut widths = Widths::default();
        let part = |rows: &[&[&str]], header, widths: &mut Widths| table(rows).text(header, LIST, widths);
        let mut text = part(&[&["a-long-name", "Running", "1s"]], true, &mut widths);
        text += &part(&[&["short", "Complete", "2s"]], false, &mut widths);
        text += &part(&[&["x", "y", "3s"]], false, &mut widths);
        expect![[r#"
            NAME          STATUS    AGE
            a-long-name   Running   1s
            short         Complete   2s
            x             y          3s
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn a_table_in_a_description_is_indented_and_underlined() {
        let text = table(&[&["a", "Complete", "1s"]]).detail("  ");
        expect![[r#"
            Pods:
              NAME  STATUS    AGE
              ----  ------    ---
              a     Complete  1s
        "#]]
        .assert_eq(&format!("Pods:\n{text}"));
    }

    #[test]
    fn sizes_have_one_decimal_below_ten() {
        let sizes = [0, 1023, 1024, 1536, 10_240, 1_048_575, 1_048_576, u64::MAX];
        expect!["0B 1023B 1.0KiB 1.5KiB 10KiB 1023KiB 1.0MiB 15EiB"].assert_eq(&sizes.map(size).join(" "));
    }

    fn check(rows: &[&[&str]], wanted: Expect) {
        wanted.assert_eq(&table(rows).text(true, LIST, &mut Widths::default()));
    }

    fn table(rows: &[&[&str]]) -> Table {
        let mut table = Table::new(&["NAME", "STATUS", "AGE"]);
        table.rows = rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        table
    }
}
