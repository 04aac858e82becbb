//! The kinds of things `wick` knows, by every word people have for them, and how arguments name them.
//!
//! kubectl's grammar: `KIND[,KIND] [NAME…]`, or `KIND/NAME…`.

use crate::failure::Failure;

/// A kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Job,
    Pod,
    Event,
    Image,
    Node,
}

/// A kind, and the names asked for; none means all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) names: Vec<String>,
}

impl Kind {
    const ALL: [Kind; 5] = [Kind::Job, Kind::Pod, Kind::Event, Kind::Image, Kind::Node];

    /// The words for it; the first two are singular and plural.
    fn words(self) -> &'static [&'static str] {
        match self {
            Kind::Job => &["job", "jobs", "job.batch", "jobs.batch", "job.v1.batch", "jobs.v1.batch"],
            Kind::Pod => &["pod", "pods", "po"],
            Kind::Event => &["event", "events", "ev"],
            Kind::Image => &["image", "images", "img"],
            Kind::Node => &["node", "nodes", "no"],
        }
    }

    /// The kind that `word` names.
    pub(crate) fn parse(word: &str) -> Result<Kind, Failure> {
        let lower = word.to_lowercase();
        let known = Kind::ALL.into_iter().find(|kind| kind.words().contains(&lower.as_str()));
        known.ok_or_else(|| {
            let plurals: Vec<_> = Kind::ALL.iter().map(|kind| kind.plural()).collect();
            Failure::not_asked(format!("`{word}` is not a kind of thing"))
                .hint(format!("the kinds are: {}", plurals.join(", ")))
        })
    }

    /// One of it: `job`.
    pub(crate) fn singular(self) -> &'static str {
        self.words()[0]
    }

    /// Several of it: `jobs`.
    pub(crate) fn plural(self) -> &'static str {
        self.words()[1]
    }

    /// As it stands before a name: `job.batch`.
    pub(crate) fn qualified(self) -> &'static str {
        match self {
            Kind::Job => "job.batch",
            Kind::Pod | Kind::Event | Kind::Image | Kind::Node => self.singular(),
        }
    }

    /// Whether each of it is in a namespace.
    pub(crate) fn has_namespace(self) -> bool {
        match self {
            Kind::Job | Kind::Pod | Kind::Event => true,
            Kind::Image | Kind::Node => false,
        }
    }
}

/// What the arguments `words` name.
pub(crate) fn targets(words: &[String]) -> Result<Vec<Target>, Failure> {
    let Some(first) = words.first() else {
        return Err(
            Failure::not_asked("no kind given").hint("for instance: wick get jobs, or wick get job/hello")
        );
    };
    // An image's own name may have slashes: only a kind before the first one makes it KIND/NAME.
    let slashed = |word: &String| word.split_once('/').is_some_and(|(kind, _)| Kind::parse(kind).is_ok());
    if slashed(first) || words.len() == 1 && first.contains('/') {
        return pairs(words);
    }
    let kinds: Vec<Kind> = first.split(',').map(Kind::parse).collect::<Result<_, _>>()?;
    let names = &words[1..];
    if let Some(name) = names.iter().find(|name| name.contains('/') && !kinds.contains(&Kind::Image)) {
        return Err(Failure::not_asked(format!("`{name}`: a name has no `/`"))
            .hint(format!("either `{first} NAME …` or `KIND/NAME …`, not both")));
    }
    if let Some(name) = names.iter().find(|name| name.is_empty()) {
        return Err(Failure::not_asked(format!("`{name}` is not a name")));
    }
    if kinds.len() > 1 && !names.is_empty() {
        return Err(
            Failure::not_asked("a name belongs to one kind").hint("several kinds: KIND/NAME KIND/NAME …")
        );
    }
    Ok(kinds.into_iter().map(|kind| Target { kind, names: names.to_vec() }).collect())
}

fn pairs(words: &[String]) -> Result<Vec<Target>, Failure> {
    let mut targets: Vec<Target> = Vec::new();
    for word in words {
        let (kind, name) = pair(word)?;
        match targets.iter_mut().find(|target| target.kind == kind) {
            Some(target) => target.names.push(name),
            None => targets.push(Target { kind, names: vec![name] }),
        }
    }
    Ok(targets)
}

/// The kind and the name of `KIND/NAME`.
pub(crate) fn pair(word: &str) -> Result<(Kind, String), Failure> {
    match word.split_once('/') {
        Some((kind, name)) if !name.is_empty() => Ok((Kind::parse(kind)?, name.to_owned())),
        _ => Err(Failure::not_asked(format!("`{word}` is not KIND/NAME")).hint("for instance: job/hello")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn a_kind_may_have_names() {
        check("jobs", expect!["job: all"]);
        check("job a b", expect!["job: a b"]);
        check("po a", expect!["pod: a"]);
        check("Jobs.batch a", expect!["job: a"]);
    }

    #[test]
    fn several_kinds_have_no_names() {
        check("jobs,pods", expect!["job: all, pod: all"]);
        check(
            "jobs,pods a",
            expect![[r#"
                error: a name belongs to one kind
                hint: several kinds: KIND/NAME KIND/NAME …"#]],
        );
    }

    #[test]
    fn a_kind_and_a_name_may_be_one_word() {
        check("job/a pod/b job/c", expect!["job: a c, pod: b"]);
        check(
            "job/a b",
            expect![[r#"
                error: `b` is not KIND/NAME
                hint: for instance: job/hello"#]],
        );
        check(
            "job a/b",
            expect![[r#"
                error: `a/b`: a name has no `/`
                hint: either `job NAME …` or `KIND/NAME …`, not both"#]],
        );
    }

    #[test]
    fn an_image_may_have_slashes_in_its_name() {
        check("image example/team/hello:1", expect!["image: example/team/hello:1"]);
        check("image/example/team/hello:1", expect!["image: example/team/hello:1"]);
    }

    #[test]
    fn an_unknown_word_is_told_the_known_ones() {
        check(
            "deployments",
            expect![[r#"
                error: `deployments` is not a kind of thing
                hint: the kinds are: jobs, pods, events, images, nodes"#]],
        );
        check(
            "",
            expect![[r#"
                error: no kind given
                hint: for instance: wick get jobs, or wick get job/hello"#]],
        );
    }

    fn check(words: &str, wanted: Expect) {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let said = match targets(&words) {
            Ok(targets) => targets.iter().map(said).collect::<Vec<_>>().join(", "),
            Err(Failure::NotAsked(words)) => words.to_string(),
            Err(failure) => format!("{failure:?}"),
        };
        wanted.assert_eq(&said);
    }

    fn said(target: &Target) -> String {
        let names = if target.names.is_empty() { "all".to_owned() } else { target.names.join(" ") };
        format!("{}: {names}", target.kind.singular())
    }
}
