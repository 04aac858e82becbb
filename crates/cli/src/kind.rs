//! The kinds of things `wick` knows, by every word people have for them, and how arguments name them.
//!
//! kubectl's grammar: `KIND[,KIND] [NAME…]`, or `KIND/NAME…`.

use api::kind;

use crate::failure::Failure;

/// A kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Job,
    CronJob,
    Pod,
    Event,
    Image,
    Node,
}

/// Programs that were pushed. Kubernetes has no such objects.
const IMAGE: kind::Kind = kind::Kind {
    group: "wick.dev",
    version: "v1",
    kind: "Image",
    plural: "images",
    singular: "image",
    short: &["img"],
    message: "wick.v1.Image",
};

/// The device. Kubernetes' Nodes have other fields.
const NODE: kind::Kind = kind::Kind {
    group: "wick.dev",
    version: "v1",
    kind: "Node",
    plural: "nodes",
    singular: "node",
    short: &["no"],
    message: "wick.v1.Node",
};

/// What people call everything that runs or will run, as for kubectl.
const ALL: &str = "all";

/// A kind, and the names asked for; none means all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) names: Vec<String>,
}

impl Kind {
    const ALL: [Kind; 6] = [Kind::Job, Kind::CronJob, Kind::Pod, Kind::Event, Kind::Image, Kind::Node];

    /// Its names.
    fn names(self) -> &'static kind::Kind {
        match self {
            Kind::Job => &kind::JOB,
            Kind::CronJob => &kind::CRON_JOB,
            Kind::Pod => &kind::POD,
            Kind::Event => &kind::EVENT,
            Kind::Image => &IMAGE,
            Kind::Node => &NODE,
        }
    }

    /// The kind that `word` names.
    pub(crate) fn parse(word: &str) -> Result<Kind, Failure> {
        Kind::ALL.into_iter().find(|kind| kind.names().is_called(word)).ok_or_else(|| {
            Failure::not_asked(format!("`{word}` is not a kind of thing"))
                .hint(format!("the kinds are: {}", Kind::ALL.map(Kind::plural).join(", ")))
        })
    }

    /// The kind of that name in manifests and references: `CronJob`.
    pub(crate) fn of_manifest(text: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.in_manifests() == text)
    }

    /// Its name in manifests and references: `CronJob`.
    pub(crate) fn in_manifests(self) -> &'static str {
        self.names().kind
    }

    /// What it belongs to, as manifests say it: `batch/v1`.
    pub(crate) fn api_version(self) -> String {
        self.names().api_version()
    }

    /// One of it: `job`.
    pub(crate) fn singular(self) -> &'static str {
        self.names().singular
    }

    /// Several of it: `jobs`.
    pub(crate) fn plural(self) -> &'static str {
        self.names().plural
    }

    /// As it stands before a name: `job.batch`.
    pub(crate) fn qualified(self) -> String {
        match self {
            Kind::Job | Kind::CronJob => format!("{}.{}", self.singular(), self.names().group),
            Kind::Pod | Kind::Event | Kind::Image | Kind::Node => self.singular().to_owned(),
        }
    }

    /// Whether each of it is in a namespace.
    pub(crate) fn has_namespace(self) -> bool {
        match self {
            Kind::Job | Kind::CronJob | Kind::Pod | Kind::Event => true,
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
    let kinds: Vec<Kind> = match first.as_str() {
        ALL => vec![Kind::Pod, Kind::CronJob, Kind::Job],
        first => first.split(',').map(Kind::parse).collect::<Result<_, _>>()?,
    };
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
        check("cj a", expect!["cronjob: a"]);
        check("cronjobs.v1.batch", expect!["cronjob: all"]);
    }

    #[test]
    fn several_kinds_have_no_names() {
        check("all", expect!["pod: all, cronjob: all, job: all"]);
        check("cj,jobs,pods", expect!["cronjob: all, job: all, pod: all"]);
        check(
            "jobs,pods a",
            expect![[r#"
                error: a name belongs to one kind
                hint: several kinds: KIND/NAME KIND/NAME …"#]],
        );
    }

    #[test]
    fn a_kind_and_a_name_may_be_one_word() {
        check("job/a cronjob/b job/c", expect!["job: a c, cronjob: b"]);
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
                hint: the kinds are: jobs, cronjobs, pods, events, images, nodes"#]],
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
