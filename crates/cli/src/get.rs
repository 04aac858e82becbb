//! `wick get`: lists, and single things in full.

use api::pb::wick::v1::ObjectFilter;
use clap::Args;

use crate::clock::Clock;
use crate::columns::{self, Shown};
use crate::failure::{Failure, tell};
use crate::kind::{Kind, Target, targets};
use crate::objects::{self, Object};
use crate::output::{Form, in_full, print};
use crate::session::{Global, Session};
use crate::table::{LIST, Widths};
use crate::watch;

const EXAMPLES: &str = "\
Examples:
  wick get jobs                       Every Job of the namespace
  wick get jobs,pods -A               Jobs and Pods of all namespaces
  wick get job hello -o yaml          One Job in full
  wick get pods -l job-name=hello -w  A Job's Pods, and every change of them
  wick get events --field-selector involvedObject.name=hello";

/// Lists jobs, pods, events, images or the node
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Get {
    /// jobs, pods, events, images or nodes, with or without names; or KIND/NAME …
    #[arg(required = true, value_name = "KIND [NAME]")]
    what: Vec<String>,

    /// How to print it: wide, yaml, json or name
    #[arg(short, long, value_enum, value_name = "FORM", hide_possible_values = true)]
    output: Option<Form>,

    /// Go on, and print what changes
    #[arg(short, long)]
    watch: bool,

    /// Only what has these labels: a=b, c!=d, e in (f,g), h, !i
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,

    /// Only what has these fields: status.phase=Running, …
    #[arg(long, value_name = "FIELDS")]
    field_selector: Option<String>,

    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,

    /// Leave the header out
    #[arg(long)]
    no_headers: bool,
}

impl Get {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let targets = targets(&self.what)?;
        self.check(&targets)?;
        let session = global.connect().await?;
        match (self.watch, targets.as_slice()) {
            (true, [target]) => {
                watch::run(
                    &session,
                    target,
                    self.filter(&session),
                    self.shown(false),
                    self.output,
                    !self.no_headers,
                )
                .await
            }
            _ => self.list(&session, &targets).await,
        }
    }

    /// Refuses what cannot be meant, before anybody is asked.
    fn check(&self, targets: &[Target]) -> Result<(), Failure> {
        let named = targets.iter().any(|target| !target.names.is_empty());
        let selects = self.selector.is_some() || self.field_selector.is_some();
        if named && selects {
            return Err(Failure::not_asked("either names or a selector, not both"));
        }
        if named && self.all_namespaces {
            return Err(Failure::not_asked("a name is looked up in one namespace")
                .hint("leave -A out, or select: --field-selector metadata.name=NAME"));
        }
        if let Some(target) = targets.iter().find(|target| !target.kind.has_namespace()) {
            let plural = target.kind.plural();
            if selects {
                return Err(Failure::not_asked(format!("{plural} have no labels and fields to select by")));
            }
            if self.watch {
                return Err(Failure::not_asked(format!("{plural} cannot be watched")));
            }
        }
        if self.watch && (targets.len() > 1 || targets.iter().any(|target| target.names.len() > 1)) {
            return Err(Failure::not_asked("one kind, or one thing, can be watched at a time"));
        }
        Ok(())
    }

    fn filter(&self, session: &Session) -> ObjectFilter {
        ObjectFilter {
            namespace: if self.all_namespaces { String::new() } else { session.namespace.clone() },
            name: String::new(),
            label_selector: self.selector.clone().unwrap_or_default(),
            field_selector: self.field_selector.clone().unwrap_or_default(),
        }
    }

    fn shown(&self, kinds: bool) -> Shown {
        Shown { wide: self.output == Some(Form::Wide), namespaces: self.all_namespaces, kinds }
    }

    async fn list(&self, session: &Session, targets: &[Target]) -> Result<(), Failure> {
        let mut found: Vec<(Kind, Vec<Object>)> = Vec::new();
        let mut all_found = true;
        for target in targets {
            let mut objects = Vec::new();
            for name in &target.names {
                match objects::get(&session.agent, target.kind, &session.namespace, name).await {
                    Ok(object) => objects.push(object),
                    // What is missing does not keep the others from being shown.
                    Err(failure @ Failure::Refused(_)) => {
                        failure.tell();
                        all_found = false;
                    }
                    Err(failure) => return Err(failure),
                }
            }
            if target.names.is_empty() {
                objects = objects::list(&session.agent, target.kind, self.filter(session)).await?;
            }
            found.push((target.kind, objects));
        }
        let single = matches!(targets, [target] if target.names.len() == 1);
        self.show(session, &found, single, all_found)?;
        if all_found { Ok(()) } else { Err(Failure::Said) }
    }

    fn show(
        &self,
        session: &Session,
        found: &[(Kind, Vec<Object>)],
        single: bool,
        all_found: bool,
    ) -> Result<(), Failure> {
        let nothing = found.iter().all(|(_, objects)| objects.is_empty());
        match self.output {
            Some(Form::Json | Form::Yaml) if single && nothing => Ok(()),
            Some(form @ (Form::Json | Form::Yaml)) => {
                let objects: Vec<Object> = found.iter().flat_map(|(_, objects)| objects.clone()).collect();
                print(&in_full(&objects, single, form))
            }
            Some(Form::Name) => print(&names(found.iter().flat_map(|(_, objects)| objects))),
            Some(Form::Wide) | None if nothing => {
                if all_found {
                    tell(&nothing_found(session, found, self.all_namespaces));
                }
                Ok(())
            }
            Some(Form::Wide) | None => {
                let shown = self.shown(found.len() > 1);
                print(&tables(found, shown, !self.no_headers, &Clock::read()))
            }
        }
    }
}

/// A table for each kind there is something of.
fn tables(found: &[(Kind, Vec<Object>)], shown: Shown, header: bool, clock: &Clock) -> String {
    let parts = found.iter().filter(|(_, objects)| !objects.is_empty()).map(|(kind, objects)| {
        columns::table(*kind, objects, shown, clock.now).text(header, LIST, &mut Widths::default())
    });
    parts.collect::<Vec<_>>().join("\n")
}

/// A line for each object.
pub(crate) fn names<'a>(objects: impl Iterator<Item = &'a Object>) -> String {
    objects.map(|object| format!("{}\n", object.qualified_name())).collect()
}

fn nothing_found(session: &Session, found: &[(Kind, Vec<Object>)], all_namespaces: bool) -> String {
    if all_namespaces || !found.iter().any(|(kind, _)| kind.has_namespace()) {
        return "No resources found".to_owned();
    }
    format!("No resources found in {} namespace.", session.namespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::noon;
    use crate::samples;
    use expect_test::expect;

    #[test]
    fn several_kinds_are_several_tables_with_kinds_before_names() {
        let found = [
            (Kind::Job, vec![Object::Job(Box::new(samples::job("hello")))]),
            (Kind::Image, Vec::new()),
            (Kind::Pod, vec![Object::Pod(Box::new(samples::pod("hello-x7k2p", "Running", "run")))]),
        ];
        let shown = Shown { kinds: true, ..Shown::default() };
        expect![[r#"
            NAME              STATUS    COMPLETIONS   DURATION   AGE
            job.batch/hello   Running   0/5           100s       2m

            NAME              READY   STATUS    RESTARTS   AGE
            pod/hello-x7k2p   1/1     Running   0          2m
        "#]]
        .assert_eq(&tables(&found, shown, true, &noon()));
        expect![[r#"
            hello   Running   0/5   100s   2m

            hello-x7k2p   1/1   Running   0     2m
        "#]]
        .assert_eq(&tables(&found, Shown::default(), false, &noon()));
    }

    #[test]
    fn a_name_alone_has_its_kind() {
        let objects = [Object::Job(Box::new(samples::job("hello")))];
        assert_eq!(names(objects.iter()), "job.batch/hello\n");
    }
}
