//! Tables as kubectl prints them: no lines, three blanks between columns, one line a row.
//!
//! What goes to a pipe or a file is never cut: it is read by `awk`. On a terminal that is too narrow the columns that
//! may be long (images, messages, selectors) are cut, some of a CronJob's are left out, and then the lines themselves are
//! cut. A last column that is there to be read (messages, how something ended) is not cut to a few characters: it goes on
//! below itself, or below its row.

use std::borrow::Cow;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Width};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::screen::{Screen, status_word};

/// Blanks between the columns of a list.
const LIST: usize = 3;
/// Blanks between the columns of a table in a description.
const DETAIL: usize = 2;

/// The least width of a column of a list, its blanks included.
const LEAST: usize = 6;

/// The columns that may be cut, down to a width of [`CUT_TO`]. What is needed to name a thing is not among them.
const MAY_BE_CUT: [&str; 9] =
    ["IMAGES", "MESSAGE", "SELECTOR", "CONTAINERS", "LABELS", "SUBOBJECT", "SOURCE", "DIGEST", "TIMEZONE"];
/// A cut column still tells what is in it.
const CUT_TO: usize = 12;

/// What is left out of a list of CronJobs, one after the other, before its lines are cut: NEXT matters most, and says as
/// much as SUSPEND.
const MAY_BE_LEFT_OUT: [&str; 3] = ["SUSPEND", "AGE", "TIMEZONE"];
/// Only CronJobs have it.
const NEXT: &str = "NEXT";

/// A description's last column goes on below itself where it has room for some words; else it stands below its row.
const WRAP_FROM: usize = 24;
/// A list's messages are cut where so much is left of them; else they stand below their rows.
const CUT_MESSAGE_FROM: usize = 40;
/// How far what stands below its row is indented.
const FOLD_INDENT: usize = 4;

/// Rows of text below a header.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The header; every row has as many cells.
    pub(crate) columns: Vec<Cow<'static, str>>,
    /// Rows, from the top.
    pub(crate) rows: Vec<Vec<String>>,
}

/// How wide the columns have become, so that rows printed later stand below those printed before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Widths {
    widths: Vec<usize>,
    /// How many of [`MAY_BE_LEFT_OUT`] are, once that has been decided.
    left_out: Option<usize>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(columns: &[&'static str]) -> Table {
        Table { columns: columns.iter().map(|&name| name.into()).collect(), rows: Vec::new() }
    }

    /// Puts a column before the others; `cells` has one for each row.
    pub(crate) fn put_first(&mut self, column: &'static str, cells: impl IntoIterator<Item = String>) {
        self.put_at(0, column, cells);
    }

    /// Puts a column before the one that is `at` there now; `cells` has one for each row.
    pub(crate) fn put_at(
        &mut self,
        at: usize,
        column: &'static str,
        cells: impl IntoIterator<Item = String>,
    ) {
        self.columns.insert(at, column.into());
        for (row, cell) in self.rows.iter_mut().zip(cells) {
            row.insert(at, cell);
        }
    }

    /// Puts a column behind the others; `cells` has one for each row.
    pub(crate) fn put_last(
        &mut self,
        column: impl Into<Cow<'static, str>>,
        cells: impl IntoIterator<Item = String>,
    ) {
        self.columns.push(column.into());
        for (row, cell) in self.rows.iter_mut().zip(cells) {
            row.push(cell);
        }
    }

    /// The table for `screen`, with its header if asked for. `widths` are kept from one part of a growing table to the
    /// next.
    pub(crate) fn text(&self, header: bool, kept: &mut Widths, screen: Screen) -> String {
        let Some(most) = screen.width.filter(|_| self.columns.iter().any(|name| name == NEXT)) else {
            return self.lines(header, &mut kept.widths, screen);
        };
        let left_out = *kept.left_out.get_or_insert_with(|| {
            let fits = |count: &usize| self.without(&MAY_BE_LEFT_OUT[..*count]).least(header) <= most;
            (0..MAY_BE_LEFT_OUT.len()).find(fits).unwrap_or(MAY_BE_LEFT_OUT.len())
        });
        self.without(&MAY_BE_LEFT_OUT[..left_out]).lines(header, &mut kept.widths, screen)
    }

    /// The table without columns of these names.
    fn without(&self, columns: &[&str]) -> Table {
        let stays: Vec<bool> = self.columns.iter().map(|name| !columns.contains(&name.as_ref())).collect();
        let mut rest = self.clone();
        let mut stay = stays.iter();
        rest.columns.retain(|_| stay.next() != Some(&false));
        for row in &mut rest.rows {
            let mut stay = stays.iter();
            row.retain(|_| stay.next() != Some(&false));
        }
        rest
    }

    /// How narrow it can be made without cutting a line.
    fn least(&self, header: bool) -> usize {
        let rows = self.cells(header);
        let mut contents = contents(&rows, self.columns.len());
        let least = vec![LEAST; contents.len()];
        shrink(&mut contents, &least, 0, |at| MAY_BE_CUT.contains(&self.columns[at].as_ref()));
        let last = contents.pop().unwrap_or_default();
        contents.into_iter().map(|content| (content + LIST).max(LEAST)).sum::<usize>() + last
    }

    fn lines(&self, header: bool, kept: &mut Vec<usize>, screen: Screen) -> String {
        let mut rows = self.cells(header);
        if rows.is_empty() {
            return String::new();
        }
        kept.resize(self.columns.len(), LEAST);
        let mut contents = contents(&rows, self.columns.len());
        let mut folds = false;
        if let Some(most) = screen.width {
            let (last, before) = contents.split_last().unwrap_or((&0, &[]));
            let before = before.iter().zip(kept.iter()).map(|(content, kept)| (content + LIST).max(*kept));
            let before: usize = before.sum();
            let message = self.columns.last().is_some_and(|name| name == "MESSAGE" || name == "NOTE");
            folds = message && before + last > most && before + CUT_MESSAGE_FROM > most;
            let may_be_cut = |at: usize| MAY_BE_CUT.contains(&self.columns[at].as_ref());
            if !folds {
                shrink(&mut contents, kept, most, may_be_cut);
            }
        }
        for row in &mut rows {
            for (cell, width) in row.iter_mut().zip(&contents) {
                *cell = cut(cell, *width);
            }
        }
        for (kept, content) in kept.iter_mut().zip(&contents) {
            *kept = (*kept).max(content + LIST);
        }
        if let (true, Some((_, before))) = (folds, kept.split_last()) {
            return self.folded(&rows, usize::from(header), "", (before, LIST), screen);
        }
        let lines = layout(&rows, kept, LIST).into_iter().map(|line| match screen.width {
            Some(most) => cut(&line, most),
            None => line,
        });
        lines.map(|line| self.painted(line, kept, screen.colour) + "\n").collect()
    }

    /// A table within a description: its header is underlined, every line begins with `indent`.
    pub(crate) fn detail(&self, indent: &str, screen: Screen) -> String {
        let mut rows = self.cells(true);
        rows.insert(1, self.columns.iter().map(|name| "-".repeat(name.width())).collect());
        let mut widths: Vec<usize> =
            contents(&rows, self.columns.len()).into_iter().map(|width| width + DETAIL).collect();
        if let (Some(most), Some((last, before))) = (screen.width, widths.split_last_mut()) {
            let left = most.saturating_sub(indent.len() + before.iter().sum::<usize>());
            if *last > left + DETAIL && left < WRAP_FROM {
                return self.folded(&rows, 2, indent, (before, DETAIL), screen);
            }
            *last = (*last).min(left + DETAIL);
        }
        let lines = layout(&rows, &widths, DETAIL).into_iter();
        lines.map(|line| format!("{indent}{}\n", self.painted(line, &widths, screen.colour))).collect()
    }

    /// The table with its last column below its rows; the first `headers` rows are its header, and have none. The
    /// other columns have widths, and blanks within them.
    fn folded(
        &self,
        rows: &[Vec<String>],
        headers: usize,
        indent: &str,
        (widths, blanks): (&[usize], usize),
        screen: Screen,
    ) -> String {
        let most = screen.width.unwrap_or(usize::MAX).saturating_sub(indent.len());
        let before: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().take(widths.len()).cloned().collect()).collect();
        let mut text = String::new();
        for (at, (line, row)) in layout(&before, widths, blanks).into_iter().zip(rows).enumerate() {
            let mut lines = vec![self.painted(cut(&line, most), widths, screen.colour)];
            if let (true, Some(last)) = (at >= headers, row.last()) {
                let below = words_in(last, most.saturating_sub(FOLD_INDENT));
                lines.extend(below.into_iter().map(|line| format!("{:FOLD_INDENT$}{line}", "")));
            }
            text.extend(lines.into_iter().map(|line| format!("{indent}{line}\n")));
        }
        text
    }

    /// Every cell on one line, the header first if asked for.
    fn cells(&self, header: bool) -> Vec<Vec<String>> {
        let header = header.then(|| self.columns.iter().map(|name| one_line(name)).collect());
        let rows = self.rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect());
        header.into_iter().chain(rows).collect()
    }

    /// `line` with its status word in the word's colour.
    fn painted(&self, line: String, widths: &[usize], colour: bool) -> String {
        let is_status = |name: &Cow<'_, str>| name.eq_ignore_ascii_case("STATUS");
        let is_type = |name: &Cow<'_, str>| name.eq_ignore_ascii_case("TYPE");
        let column = self.columns.iter().position(is_status);
        let column = column.filter(|_| !self.columns.iter().any(is_type)).or_else(|| {
            // An Event's type is a warning or none; a condition's is a name, whatever its status is.
            self.columns.iter().position(is_type).filter(|at| *at < 2 && !self.columns.iter().any(is_status))
        });
        let Some(column) = column.filter(|at| colour && *at < widths.len()) else { return line };
        let from = at_width(&line, widths[..column].iter().sum());
        let (before, rest) = line.split_at(from);
        let (cell, after) = rest.split_at(at_width(rest, widths[column]));
        let word = cell.trim_end();
        format!("{before}{}{}{after}", status_word(word, true), &cell[word.len()..])
    }
}

/// How wide what stands in each column is.
fn contents(rows: &[Vec<String>], columns: usize) -> Vec<usize> {
    let mut contents = vec![0; columns];
    for row in rows {
        for (content, cell) in contents.iter_mut().zip(row) {
            *content = cell.width().max(*content);
        }
    }
    contents
}

/// Makes columns that may be cut narrower, the widest first, until all of them fit into `most` or none can give more.
fn shrink(contents: &mut [usize], kept: &[usize], most: usize, may_be_cut: impl Fn(usize) -> bool) {
    loop {
        let last = contents.len().saturating_sub(1);
        let width = |(at, content): (usize, &usize)| {
            if at == last { *content } else { (*content + LIST).max(kept[at]) }
        };
        let total: usize = contents.iter().enumerate().map(width).sum();
        let widest = (0..contents.len())
            .filter(|at| may_be_cut(*at) && contents[*at] > CUT_TO)
            .max_by_key(|at| contents[*at]);
        match widest {
            Some(widest) if total > most => contents[widest] -= 1,
            Some(_) | None => return,
        }
    }
}

/// Text of at most `width` columns of a terminal; what is cut off is marked.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let kept = text[..at_width(text, width.saturating_sub(1))].trim_end();
    format!("{}…", kept.trim_end_matches('…'))
}

/// Lines of words, each at most `width` wide; a word that is wider has a line of its own, and is left whole to be copied.
pub(crate) fn words_in(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The byte at which `text` has become `width` columns wide.
fn at_width(text: &str, width: usize) -> usize {
    let mut sum = 0;
    for (at, char) in text.char_indices() {
        sum += char.width().unwrap_or_default();
        if sum > width {
            return at;
        }
    }
    text.len()
}

/// Lines of columns of those widths, their blanks included; a cell that is wider goes on below itself.
fn layout(rows: &[Vec<String>], widths: &[usize], blanks: usize) -> Vec<String> {
    let width = |width: usize| u16::try_from(width).unwrap_or(u16::MAX);
    let mut table = comfy_table::Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for row in rows {
        table.add_row(row);
    }
    for (column, kept) in table.column_iter_mut().zip(widths) {
        column.set_padding((0, width(blanks))).set_cell_alignment(CellAlignment::Left);
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width(*kept))));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
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
        let part =
            |rows: &[&[&str]], header, widths: &mut Widths| table(rows).text(header, widths, Screen::PLAIN);
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
        let text = table(&[&["a", "Complete", "1s"]]).detail("  ", Screen::PLAIN);
        expect![[r#"
            Pods:
              NAME  STATUS    AGE
              ----  ------    ---
              a     Complete  1s
        "#]]
        .assert_eq(&format!("Pods:\n{text}"));
    }

    #[test]
    fn on_a_narrow_terminal_long_columns_are_cut_and_then_lines() {
        let mut wide = Table::new(&["NAME", "IMAGES", "SELECTOR"]);
        let digest = format!("hello@sha256:{}", "0123456789abcdef".repeat(4));
        wide.rows.push(vec!["hello".to_owned(), digest, "app=hello".to_owned()]);
        check_narrow(
            &wide,
            50,
            expect![[r#"
                NAME    IMAGES                           SELECTOR
                hello   hello@sha256:0123456789abcdef…   app=hello
            "#]],
        );
        check_narrow(
            &wide,
            20,
            expect![[r#"
                NAME    IMAGES…
                hello   hello@sha25…
            "#]],
        );
    }

    #[test]
    fn when_a_cronjob_is_due_is_told_before_all_else() {
        let mut jobs = Table::new(&["NAME", "TIMEZONE", "SUSPEND", "NEXT", "AGE"]);
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        jobs.rows.push(row(&["nightly", "America/New_York", "True", "suspended", "2m"]));
        check_narrow(
            &jobs,
            52,
            expect![[r#"
            NAME      TIMEZONE         SUSPEND   NEXT        AGE
            nightly   America/New_Y…   True      suspended   2m
        "#]],
        );
        check_narrow(
            &jobs,
            48,
            expect![[r#"
            NAME      TIMEZONE           NEXT        AGE
            nightly   America/New_York   suspended   2m
        "#]],
        );
        check_narrow(
            &jobs,
            47,
            expect![[r#"
            NAME      TIMEZONE           NEXT        AGE
            nightly   America/New_York   suspended   2m
        "#]],
        );
        check_narrow(
            &jobs,
            36,
            expect![[r#"
                NAME      TIMEZONE         NEXT
                nightly   America/New_Y…   suspended
            "#]],
        );
        // What comes later stands below it, also if it is shorter.
        let (mut kept, narrow) = (Widths::default(), Screen { width: Some(47), colour: false });
        let mut text = jobs.text(true, &mut kept, narrow);
        jobs.rows[0] = row(&["a", "UTC", "False", "now", "1s"]);
        text += &jobs.text(false, &mut kept, narrow);
        expect![[r#"
            NAME      TIMEZONE           NEXT        AGE
            nightly   America/New_York   suspended   2m
            a         UTC                now         1s
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn a_descriptions_last_column_goes_on_below_itself() {
        let mut events = Table::new(&["Type", "Message"]);
        let message = "the image exports no `_start`: it is a library, and not a command";
        events.rows.push(vec!["Warning".to_owned(), message.to_owned()]);
        let page = |width| {
            let screen = Screen { width: Some(width), colour: false };
            format!("Events:\n{}", events.detail("  ", screen))
        };
        expect![[r#"
            Events:
              Type     Message
              ----     -------
              Warning  the image exports no `_start`: it
                       is a library, and not a command
        "#]]
        .assert_eq(&page(44));
        expect![[r#"
            Events:
              Type
              ----
              Warning
                  the image exports no
                  `_start`: it is a
                  library, and not a
                  command
        "#]]
        .assert_eq(&page(30));
    }

    #[test]
    fn messages_of_a_list_stand_below_their_rows_where_little_would_be_left() {
        let mut events = Table::new(&["LAST SEEN", "REASON", "OBJECT", "MESSAGE"]);
        let row = ["5s", "BackoffLimitExceeded", "job/hello", "Job has reached the specified backoff limit"];
        events.rows.push(row.map(str::to_owned).to_vec());
        check_narrow(
            &events,
            60,
            expect![[r#"
            LAST SEEN   REASON                 OBJECT
            5s          BackoffLimitExceeded   job/hello
                Job has reached the specified backoff limit
        "#]],
        );
        check_narrow(
            &events,
            95,
            expect![[r#"
            LAST SEEN   REASON                 OBJECT      MESSAGE
            5s          BackoffLimitExceeded   job/hello   Job has reached the specified backoff limit
        "#]],
        );
    }

    #[test]
    fn a_status_has_its_colour_and_its_place() {
        let screen = Screen { width: Some(80), colour: true };
        let rows: &[&[&str]] = &[&["hello", "Complete", "5s"], &["größe", "Running", "3h"]];
        let text = table(rows).text(true, &mut Widths::default(), screen);
        expect![[r#"
            NAME    STATUS     AGE
            hello   ^[32mComplete^[0m   5s
            größe   Running    3h
        "#]]
        .assert_eq(&text.replace('\u{1b}', "^"));
        let mut conditions = Table::new(&["Type", "Status"]);
        conditions.rows.push(vec!["Failed".to_owned(), "False".to_owned()]);
        assert!(!conditions.detail("", screen).contains('\u{1b}'));
        let mut events = Table::new(&["LAST SEEN", "TYPE"]);
        events.rows.push(vec!["5s".to_owned(), "Warning".to_owned()]);
        assert!(events.text(true, &mut Widths::default(), screen).contains("\u{1b}[33mWarning\u{1b}[0m"));
    }

    fn check_narrow(table: &Table, width: usize, wanted: Expect) {
        let screen = Screen { width: Some(width), colour: false };
        let text = table.text(true, &mut Widths::default(), screen);
        assert!(text.lines().all(|line| line.width() <= width), "{text}");
        wanted.assert_eq(&text);
    }

    #[test]
    fn sizes_have_one_decimal_below_ten() {
        let sizes = [0, 1023, 1024, 1536, 10_240, 1_048_575, 1_048_576, u64::MAX];
        expect!["0B 1023B 1.0KiB 1.5KiB 10KiB 1023KiB 1.0MiB 15EiB"].assert_eq(&sizes.map(size).join(" "));
    }

    fn check(rows: &[&[&str]], wanted: Expect) {
        wanted.assert_eq(&table(rows).text(true, &mut Widths::default(), Screen::PLAIN));
    }

    fn table(rows: &[&[&str]]) -> Table {
        let mut table = Table::new(&["NAME", "STATUS", "AGE"]);
        table.rows = rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        table
    }
}
