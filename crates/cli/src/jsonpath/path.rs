//! Paths into a JSON value, with filters.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::MAX_NESTING;

/// A way to some values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path {
    /// Begins at the root (`$`), and not at the value it is about.
    from_root: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    /// Every value of an object or a list.
    All,
    /// The value and everything in it.
    Descent,
    /// From, to, and every so many; negative ones count from the end.
    Slice(Option<i64>, Option<i64>, usize),
    Index(i64),
    /// What each of several ways finds.
    Union(Vec<Vec<Step>>),
    Filter(Box<Filter>),
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Operand,
    /// None: whether there is anything.
    comparison: Option<(Operator, Operand)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(Path),
    Literal(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// Longer ones first, so that `<=` is not read as `<`.
    const ALL: [(&'static str, Operator); 6] = [
        ("==", Operator::Equal),
        ("!=", Operator::Unequal),
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ];

    fn holds(self, left: &Value, right: &Value) -> bool {
        match self {
            Operator::Equal => compare(left, right) == Some(Ordering::Equal),
            Operator::Unequal => compare(left, right) != Some(Ordering::Equal),
            Operator::Less => compare(left, right) == Some(Ordering::Less),
            Operator::LessOrEqual => compare(left, right).is_some_and(Ordering::is_le),
            Operator::Greater => compare(left, right) == Some(Ordering::Greater),
            Operator::GreaterOrEqual => compare(left, right).is_some_and(Ordering::is_ge),
        }
    }
}

/// Which of two values is less; `None` if they are of different kinds, or of one without an order.
pub(crate) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        },
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (left, right) => (left == right).then_some(Ordering::Equal),
    }
}

impl Path {
    /// Reads a path, with or without braces and its first dot: `.metadata.name`, `{.metadata.name}`, `metadata.name`.
    pub(crate) fn parse(text: &str) -> Result<Path, String> {
        let trimmed = text.trim();
        let inner =
            trimmed.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(trimmed).trim();
        if inner.is_empty() {
            return Err("it is empty; `{.metadata.name}` is a template".to_owned());
        }
        let mut cursor = Cursor::new(inner);
        let path = Path::read(&mut cursor)?;
        match cursor.rest() {
            "" => Ok(path),
            rest => Err(format!("`{rest}` at character {} is not a part of a path", cursor.at())),
        }
    }

    /// Reads as much as is a path.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Path, String> {
        read(cursor, 0)
    }

    /// Every value the path leads to.
    pub(crate) fn find<'a>(&self, root: &'a Value, here: &'a Value) -> Vec<&'a Value> {
        walk(&self.steps, root, vec![if self.from_root { root } else { here }])
    }
}

fn walk<'a>(steps: &[Step], root: &'a Value, mut values: Vec<&'a Value>) -> Vec<&'a Value> {
    for step in steps {
        let mut next = Vec::new();
        for value in values {
            step_from(step, root, value, &mut next);
        }
        values = next;
    }
    values
}

fn step_from<'a>(step: &Step, root: &'a Value, value: &'a Value, next: &mut Vec<&'a Value>) {
    match step {
        Step::Key(key) => next.extend(value.get(key)),
        Step::All => children(value, next),
        Step::Descent => {
            next.push(value);
            let mut below = Vec::new();
            children(value, &mut below);
            for child in below {
                step_from(step, root, child, next);
            }
        }
        Step::Index(index) => {
            let Some(list) = value.as_array() else { return };
            next.extend(place(*index, list.len()).and_then(|at| list.get(at)));
        }
        Step::Slice(from, to, every) => {
            let Some(list) = value.as_array() else { return };
            // What lies before the beginning begins there; what lies behind the end ends there.
            let bound = |index: i64| place(index, list.len()).unwrap_or(0).min(list.len());
            let (from, to) = (from.map_or(0, bound), to.map_or(list.len(), bound));
            next.extend(list.iter().take(to).skip(from).step_by(*every));
        }
        Step::Union(ways) => {
            for way in ways {
                next.extend(walk(way, root, vec![value]));
            }
        }
        Step::Filter(filter) => {
            let mut below = Vec::new();
            match value {
                Value::Array(list) => below.extend(list),
                _ => below.push(value),
            }
            next.extend(below.into_iter().filter(|item| filter.holds(root, item)));
        }
    }
}

fn children<'a>(value: &'a Value, next: &mut Vec<&'a Value>) {
    match value {
        Value::Array(list) => next.extend(list),
        Value::Object(fields) => next.extend(fields.values()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Where an index is in a list of that length; `None` before its beginning.
fn place(index: i64, length: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

impl Filter {
    fn holds(&self, root: &Value, here: &Value) -> bool {
        let left = self.left.find(root, here);
        match &self.comparison {
            None => !left.is_empty(),
            Some((operator, right)) => match (left.first(), right.find(root, here).first()) {
                (Some(left), Some(right)) => operator.holds(left, right),
                (None, _) | (_, None) => false,
            },
        }
    }
}

impl Operand {
    fn find<'a>(&'a self, root: &'a Value, here: &'a Value) -> Vec<&'a Value> {
        match self {
            Operand::Path(path) => path.find(root, here),
            Operand::Literal(value) => vec![value],
        }
    }
}

fn read(cursor: &mut Cursor<'_>, depth: usize) -> Result<Path, String> {
    let start = cursor.at();
    let from_root = cursor.takes("$");
    if !from_root {
        cursor.takes("@");
    }
    let mut steps = Vec::new();
    loop {
        if cursor.takes("..") {
            steps.push(Step::Descent);
            if cursor.peek() != Some('[') {
                steps.push(key(cursor)?);
            }
        } else if cursor.takes(".") {
            // `.` alone is the value itself.
            if cursor.peek().is_some_and(|char| !ends_key(char)) {
                steps.push(key(cursor)?);
            }
        } else if cursor.peek() == Some('[') {
            steps.push(brackets(cursor, depth)?);
        } else if cursor.at() == start && cursor.peek().is_some_and(|char| !ends_key(char)) {
            steps.push(key(cursor)?); // `metadata.name`
        } else if cursor.at() == start {
            return Err(format!("`{}` at character {start} is not a path", cursor.rest()));
        } else {
            return Ok(Path { from_root, steps });
        }
    }
}

/// What cannot be in a key without being escaped.
fn ends_key(char: char) -> bool {
    char.is_whitespace()
        || matches!(
            char,
            '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}' | '(' | ')' | '=' | '!' | '<' | '>' | '"' | '\''
        )
}

fn key(cursor: &mut Cursor<'_>) -> Result<Step, String> {
    if cursor.takes("*") {
        return Ok(Step::All);
    }
    let at = cursor.at();
    let mut key = String::new();
    while let Some(char) = cursor.peek() {
        if char == '\\' {
            cursor.next();
            key.extend(cursor.next());
        } else if ends_key(char) {
            break;
        } else {
            key.extend(cursor.next());
        }
    }
    match key.as_str() {
        "" => Err(format!("a key is missing at character {at}")),
        _ => Ok(Step::Key(key)),
    }
}

/// What stands in brackets: `[0]`, `[1:3]`, `['a','b']`, `[*]`, `[?(@.a==1)]`.
fn brackets(cursor: &mut Cursor<'_>, depth: usize) -> Result<Step, String> {
    let opened = cursor.at();
    cursor.takes("[");
    cursor.skip_blanks();
    if cursor.takes("?(") {
        if depth == MAX_NESTING {
            return Err(format!("more than {MAX_NESTING} filters in each other"));
        }
        let filter = filter(cursor, depth + 1)?;
        cursor.skip_blanks();
        return match cursor.takes(")]") {
            true => Ok(Step::Filter(Box::new(filter))),
            false => Err(format!("`[` at character {opened} has no `)]`")),
        };
    }
    let mut ways = Vec::new();
    loop {
        cursor.skip_blanks();
        ways.push(match cursor.peek() {
            Some('"' | '\'') => keys(&cursor.quoted_key()?)?,
            Some(_) => vec![numbers(cursor)?],
            None => return Err(format!("`[` at character {opened} has no `]`")),
        });
        cursor.skip_blanks();
        if cursor.takes("]") {
            break;
        }
        if !cursor.takes(",") {
            return Err(format!("`[` at character {opened} has no `]`"));
        }
    }
    Ok(match ways.as_mut_slice() {
        [way] if way.len() == 1 => way.remove(0),
        _ => Step::Union(ways),
    })
}

/// A quoted key is a path of its own, as in kubectl: `['metadata.name']`.
fn keys(text: &str) -> Result<Vec<Step>, String> {
    let mut cursor = Cursor::new(text);
    let mut steps = vec![key(&mut cursor)?];
    while cursor.takes(".") {
        steps.push(key(&mut cursor)?);
    }
    match cursor.rest() {
        "" => Ok(steps),
        rest => Err(format!("`{rest}` is not a part of the key '{text}'")),
    }
}

/// An index, a slice or `*`.
fn numbers(cursor: &mut Cursor<'_>) -> Result<Step, String> {
    let at = cursor.at();
    let text = cursor.until(|char| matches!(char, ',' | ']' | '}')).trim().to_owned();
    if cursor.peek().is_none() || cursor.peek() == Some('}') {
        return Err(format!("`[` at character {} has no `]`", at - 1));
    }
    let wrong = || format!("`{text}` at character {at} is not an index, a slice, a quoted key or a filter");
    let number = |part: &str| match part.trim() {
        "" => Ok(None),
        part => part.parse::<i64>().map(Some).map_err(|_| wrong()),
    };
    match text.split(':').collect::<Vec<_>>().as_slice() {
        ["*"] => Ok(Step::All),
        [index] => number(index)?.map(Step::Index).ok_or_else(wrong),
        [from, to] => Ok(Step::Slice(number(from)?, number(to)?, 1)),
        [from, to, every] => match number(every)?.map_or(Ok(1), usize::try_from) {
            Ok(every @ 1..) => Ok(Step::Slice(number(from)?, number(to)?, every)),
            Ok(0) | Err(_) => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

fn filter(cursor: &mut Cursor<'_>, depth: usize) -> Result<Filter, String> {
    let left = operand(cursor, depth)?;
    cursor.skip_blanks();
    if cursor.peek() == Some(')') {
        return Ok(Filter { left, comparison: None });
    }
    let Some((_, operator)) = Operator::ALL.into_iter().find(|(sign, _)| cursor.takes(sign)) else {
        let (rest, at) = (cursor.rest(), cursor.at());
        return Err(format!("`{rest}` at character {at} is not one of == != < <= > >="));
    };
    Ok(Filter { left, comparison: Some((operator, operand(cursor, depth)?)) })
}

fn operand(cursor: &mut Cursor<'_>, depth: usize) -> Result<Operand, String> {
    cursor.skip_blanks();
    match cursor.peek() {
        Some('@' | '$' | '.') => Ok(Operand::Path(read(cursor, depth)?)),
        Some('"' | '\'') => Ok(Operand::Literal(Value::String(cursor.quoted()?))),
        _ => {
            let at = cursor.at();
            let word =
                cursor.until(|char| char.is_whitespace() || matches!(char, ')' | '=' | '!' | '<' | '>'));
            let number = || word.parse::<i64>().ok().map(Number::from);
            let real = || word.parse::<f64>().ok().and_then(Number::from_f64);
            match word {
                "true" | "false" => Ok(Operand::Literal(Value::Bool(word == "true"))),
                "null" => Ok(Operand::Literal(Value::Null)),
                _ => match number().or_else(real) {
                    Some(number) => Ok(Operand::Literal(Value::Number(number))),
                    None => Err(format!(
                        "`{word}` at character {at} is not a path, a number, a quoted text, true, false or null"
                    )),
                },
            }
        }
    }
}

/// A place in a text.
pub(super) struct Cursor<'a> {
    rest: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Cursor<'a> {
        Cursor { rest: text, at: 1 }
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    /// The next character's number, from 1.
    fn at(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.rest = &self.rest[char.len_utf8()..];
        self.at += 1;
        Some(char)
    }

    /// Reads `text` if it comes next.
    fn takes(&mut self, text: &str) -> bool {
        let comes = self.rest.starts_with(text);
        if comes {
            for _ in text.chars() {
                self.next();
            }
        }
        comes
    }

    /// Reads a word if it comes next and ends there.
    pub(super) fn takes_word(&mut self, word: &str) -> bool {
        let ends = |rest: &str| rest.starts_with(|char: char| char.is_whitespace() || char == '}');
        self.rest.strip_prefix(word).is_some_and(ends) && self.takes(word)
    }

    pub(super) fn skip_blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
    }

    /// Reads the closing brace.
    pub(super) fn closes(&mut self) -> Result<(), String> {
        self.skip_blanks();
        match (self.takes("}"), self.rest) {
            (true, _) => Ok(()),
            (false, "") => Err("a `{` has no `}`".to_owned()),
            (false, rest) => Err(format!("`{rest}` where a `}}` is expected")),
        }
    }

    fn until(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let text = self.rest;
        while self.peek().is_some_and(|char| !ends(char)) {
            self.next();
        }
        &text[..text.len() - self.rest.len()]
    }

    /// Text in quotes, its escapes replaced.
    pub(super) fn quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut chars = self.in_quotes()?.chars();
        while let Some(char) = chars.next() {
            text.push(match (char, char == '\\') {
                (_, true) => match chars.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some(other) => other,
                    None => '\\',
                },
                (char, false) => char,
            });
        }
        Ok(text)
    }

    /// Text in quotes, its escapes left as they are: they belong to the keys in it.
    fn quoted_key(&mut self) -> Result<String, String> {
        self.in_quotes().map(str::to_owned)
    }

    fn in_quotes(&mut self) -> Result<&'a str, String> {
        let Some(quote) = self.next() else { return Err("a quoted text is missing".to_owned()) };
        let text = self.rest;
        loop {
            let here = text.len() - self.rest.len();
            match self.next() {
                None => return Err(format!("a `{quote}` has no other one")),
                Some('\\') => drop(self.next()),
                Some(char) if char == quote => return Ok(&text[..here]),
                Some(_) => {}
            }
        }
    }
}
