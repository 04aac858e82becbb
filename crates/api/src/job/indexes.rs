//! Lists of indexes as users write them, such as `0,2-5`.

/// The intervals of a list, each with its first and last index, ascending. The error says what would be right, to be put
/// after the list.
pub(super) fn intervals(list: &str, completions: i32) -> Result<Vec<(i32, i32)>, String> {
    let mut intervals = Vec::new();
    if list.is_empty() {
        return Ok(intervals);
    }
    let mut before = -1;
    for interval in list.split(',') {
        let mut first = None;
        for (position, text) in interval.split('-').enumerate() {
            if position == 2 {
                return Err(format!("must have at most one hyphen in each interval, unlike `{interval}`"));
            }
            let Some(index) = text.parse::<i32>().ok().filter(|index| *index >= 0) else {
                return Err("must be indexes and intervals, as in `0,2-5`".to_owned());
            };
            if index >= completions {
                return Err(format!("must be below the completions, {completions}, unlike {index}"));
            }
            if index <= before {
                return Err(format!("must have each index once, in ascending order, unlike {index}"));
            }
            first.get_or_insert(index);
            before = index;
        }
        intervals.extend(first.map(|first| (first, before)));
    }
    Ok(intervals)
}

/// How many indexes are in them.
pub(super) fn count(intervals: &[(i32, i32)]) -> i32 {
    intervals.iter().map(|(first, last)| last - first + 1).sum()
}

/// An index that is in both.
pub(super) fn common(one: &[(i32, i32)], other: &[(i32, i32)]) -> Option<i32> {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    while let (Some((first, last)), Some((other_first, other_last))) = (one.peek(), other.peek()) {
        let begin = *first.max(other_first);
        if begin <= *last.min(other_last) {
            return Some(begin);
        }
        if last < other_last {
            one.next();
        } else {
            other.next();
        }
    }
    None
}
