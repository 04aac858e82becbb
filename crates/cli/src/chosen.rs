//! Which things a verb is about: those with names, or those that selectors choose.

use api::pb::wick::v1::ObjectFilter;
use clap::Args;

use crate::failure::Failure;
use crate::kind::{Kind, Target};
use crate::objects;
use crate::session::Session;

/// Flags that choose among things without names.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub(crate) struct Chosen {
    /// All of the namespace
    #[arg(long, conflicts_with_all = ["selector", "field_selector"])]
    all: bool,

    /// Those with these labels: a=b, c!=d, e in (f,g), h, !i
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,

    /// Those with these fields: status.successful=1, status.phase=Failed, …
    #[arg(long, value_name = "FIELDS")]
    field_selector: Option<String>,
}

/// One thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Named {
    /// As people write it: `job.batch/hello`.
    pub(crate) fn qualified(&self) -> String {
        format!("{}/{}", self.kind.qualified(), self.name)
    }
}

impl Chosen {
    /// Whether there is anything to choose by.
    pub(crate) fn chooses(&self) -> bool {
        self.all || self.selector.is_some() || self.field_selector.is_some()
    }

    /// Refuses what cannot be meant, before anybody is asked.
    pub(crate) fn check(&self, targets: &[Target]) -> Result<(), Failure> {
        let selects = self.selector.is_some() || self.field_selector.is_some();
        for target in targets {
            match (target.names.is_empty(), self.chooses()) {
                (true, false) => {
                    return Err(Failure::not_asked("nothing is named")
                        .hint("name it, or give -l, --field-selector or --all"));
                }
                (false, true) => return Err(Failure::not_asked("either names or a selector, not both")),
                (true, true) if selects && !target.kind.has_namespace() => {
                    let plural = target.kind.plural();
                    return Err(Failure::not_asked(format!(
                        "{plural} have no labels and fields to select by"
                    )));
                }
                (true, true) | (false, false) => {}
            }
        }
        Ok(())
    }

    /// What is meant; empty if nothing is selected.
    pub(crate) async fn find(&self, session: &Session, targets: Vec<Target>) -> Result<Vec<Named>, Failure> {
        let mut found = Vec::new();
        for Target { kind, names } in targets {
            if !names.is_empty() {
                found.extend(names.into_iter().map(|name| Named {
                    kind,
                    namespace: session.namespace.clone(),
                    name,
                }));
                continue;
            }
            let filter = ObjectFilter {
                namespace: session.namespace.clone(),
                label_selector: self.selector.clone().unwrap_or_default(),
                field_selector: self.field_selector.clone().unwrap_or_default(),
                ..ObjectFilter::default()
            };
            let listed = objects::list(&session.agent, kind, filter).await?;
            found.extend(listed.iter().map(|object| Named {
                kind,
                namespace: object.namespace().to_owned(),
                name: object.name().to_owned(),
            }));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::targets;
    use expect_test::{Expect, expect};

    #[test]
    fn names_or_selectors_but_not_both_and_not_neither() {
        let labels = Chosen { selector: Some("a=b".to_owned()), ..Chosen::default() };
        let all = Chosen { all: true, ..Chosen::default() };
        check(&Chosen::default(), "job a", expect!["well"]);
        check(&labels, "jobs", expect!["well"]);
        check(&all, "images", expect!["well"]);
        check(&labels, "job a", expect!["error: either names or a selector, not both"]);
        check(&all, "job a", expect!["error: either names or a selector, not both"]);
        check(&labels, "jobs,images", expect!["error: images have no labels and fields to select by"]);
        check(
            &Chosen::default(),
            "jobs",
            expect![[r#"
                error: nothing is named
                hint: name it, or give -l, --field-selector or --all"#]],
        );
    }

    fn check(chosen: &Chosen, words: &str, wanted: Expect) {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let said = match chosen.check(&targets(&words).unwrap()) {
            Ok(()) => "well".to_owned(),
            Err(Failure::NotAsked(words)) => words.to_string(),
            Err(failure) => format!("{failure:?}"),
        };
        wanted.assert_eq(&said);
    }
}
