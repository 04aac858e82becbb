//! `wick label` and `wick annotate`: what is written on a thing.

use std::collections::BTreeMap;

use api::pb::k8s::meta::v1::ObjectMeta;
use api::pb::wick::v1::PatchType;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::change::{self, CHANGEABLE, Subjects, each, say};
use crate::chosen::{Chosen, Named};
use crate::failure::Failure;
use crate::session::{Global, Session};

const LABEL_EXAMPLES: &str = "\
Examples:
  wick label job hello tier=edge
  wick label job hello tier=core --overwrite
  wick label jobs --all old-
  wick label cronjob nightly tier=edge";

const ANNOTATE_EXAMPLES: &str = "\
Examples:
  wick annotate job hello note='ask Kim first'
  wick annotate job hello note-
  wick annotate cronjob nightly wick.dev/jitter=30s";

/// Sets and removes labels of jobs and cronjobs: KEY=VALUE sets, KEY- removes
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = LABEL_EXAMPLES)]
pub(crate) struct Label {
    #[command(flatten)]
    marks: Marks,
}

/// Sets and removes annotations of jobs and cronjobs: KEY=VALUE sets, KEY- removes
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = ANNOTATE_EXAMPLES)]
pub(crate) struct Annotate {
    #[command(flatten)]
    marks: Marks,
}

#[derive(Args, Debug)]
#[group(skip)]
struct Marks {
    /// job or cronjob with names, or KIND/NAME …; then KEY=VALUE … and KEY- …
    #[arg(required = true, value_name = "KIND [NAME] KEY=VALUE|KEY-")]
    words: Vec<String>,

    #[command(flatten)]
    chosen: Chosen,

    /// Also where the key has another value already
    #[arg(long)]
    overwrite: bool,

    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What is to be on a thing; `None` takes it away.
type Values = BTreeMap<String, Option<String>>;

impl Label {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        self.marks.run(global, "labels", "labeled", |meta| &meta.labels).await
    }
}

impl Annotate {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        self.marks.run(global, "annotations", "annotated", |meta| &meta.annotations).await
    }
}

impl Marks {
    async fn run(
        self,
        global: &Global,
        field: &str,
        word: &str,
        of: fn(&ObjectMeta) -> &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        let (what, marks) = split(&self.words)?;
        let subjects = Subjects { what, chosen: self.chosen.clone() };
        let (session, found) = subjects.find(global, &CHANGEABLE, word).await?;
        let change = async |named: &Named| self.one(&session, named, &marks, field, word, of).await;
        each(&found, change).await
    }

    async fn one(
        &self,
        session: &Session,
        named: &Named,
        marks: &Values,
        field: &str,
        word: &str,
        of: fn(&ObjectMeta) -> &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        if !self.overwrite {
            let object = change::read(session, named).await?;
            let known = object.meta().map(of).cloned().unwrap_or_default();
            if let Some(failure) = overwritten(&named.qualified(), marks, &known) {
                return Err(failure);
            }
        }
        let values = marks.iter().map(|(key, value)| (key.clone(), json!(value)));
        let text = json!({"metadata": {field: Value::Object(values.collect::<Map<_, _>>())}}).to_string();
        let patched = change::patch(session, named, PatchType::Merge, text, self.dry_run).await?;
        let word = if self.dry_run { format!("{word} (server dry run)") } else { word.to_owned() };
        say(named, &word, patched.changed)
    }
}

/// What says which things, and what says what is to be on them.
fn split(words: &[String]) -> Result<(Vec<String>, Values), Failure> {
    let (mut what, mut marks) = (Vec::new(), BTreeMap::new());
    for word in words {
        let (key, value) = match (word.split_once('='), word.strip_suffix('-')) {
            (Some((key, value)), _) => (key, Some(value.to_owned())),
            (None, Some(key)) => (key, None),
            (None, None) if marks.is_empty() => {
                what.push(word.clone());
                continue;
            }
            (None, None) => {
                return Err(Failure::not_asked(format!("`{word}` is neither KEY=VALUE nor KEY-")));
            }
        };
        if key.is_empty() {
            return Err(Failure::not_asked(format!("`{word}` has no key; it is KEY=VALUE or KEY-")));
        }
        if marks.insert(key.to_owned(), value).is_some() {
            return Err(Failure::not_asked(format!("`{key}` is given twice")));
        }
    }
    match marks.is_empty() {
        true => Err(Failure::not_asked("nothing to set or remove").hint("KEY=VALUE sets, KEY- removes")),
        false => Ok((what, marks)),
    }
}

/// That a value would be lost, if one would be.
fn overwritten(who: &str, marks: &Values, known: &BTreeMap<String, String>) -> Option<Failure> {
    marks.iter().find_map(|(key, value)| {
        let (value, old) = (value.as_ref()?, known.get(key)?);
        (value != old).then(|| {
            Failure::refused(format!("{who}: `{key}` is `{old}` already")).hint("--overwrite changes it")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn names_come_first_and_then_what_is_set_and_removed() {
        check("job a b=c d- e=", expect![[r#"["job", "a"] {"b": Some("c"), "d": None, "e": Some("")}"#]]);
        check("job/a x/y=b=c", expect![[r#"["job/a"] {"x/y": Some("b=c")}"#]]);
        check(
            "job a",
            expect![[r#"
            error: nothing to set or remove
            hint: KEY=VALUE sets, KEY- removes"#]],
        );
        check("job a b=c d", expect!["error: `d` is neither KEY=VALUE nor KEY-"]);
        check("job a =c", expect!["error: `=c` has no key; it is KEY=VALUE or KEY-"]);
        check("job a b=c b-", expect!["error: `b` is given twice"]);
    }

    #[test]
    fn a_value_is_not_lost_unasked() {
        let known = [("tier".to_owned(), "edge".to_owned())].into();
        let lost = |value: Option<&str>| {
            let marks = [("tier".to_owned(), value.map(str::to_owned))].into();
            overwritten("job.batch/hello", &marks, &known).is_some()
        };
        assert_eq!((lost(Some("core")), lost(Some("edge")), lost(None)), (true, false, false));
    }

    fn check(words: &str, wanted: Expect) {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let said = match split(&words) {
            Ok((what, marks)) => format!("{what:?} {marks:?}"),
            Err(Failure::NotAsked(words)) => words.to_string(),
            Err(failure) => format!("{failure:?}"),
        };
        wanted.assert_eq(&said);
    }
}
