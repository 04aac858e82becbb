//! `wick get`: lists, and single things in full.

use std::cmp::Ordering;

use api::pb::wick::v1::ObjectFilter;
use clap::Args;
use serde_json::Value;

use crate::clock::Clock;
use crate::columns::{self, Shown};
use crate::failure::{Failure, tell};
use crate::form::{Form, FormParser};
use crate::jsonpath::{Path, compare};
use crate::kind::{Kind, Target, targets};
use crate::objects::{self, Object};
use crate::output::{in_full, print, value, written};
use crate::screen::Screen;
use crate::session::{Global, Session};
use crate::table::Widths;
use crate::watch::{self, Style};

const EXAMPLES: &str = "\
Examples:
  wick get jobs                       Every Job of the namespace
  wick get jobs,pods -A               Jobs and Pods of all namespaces
  wick get cronjobs                   With when each is due next
  wick get all                        Pods, CronJobs and Jobs
  wick get job hello -o yaml          One Job in full
  wick get pods -l job-name=hello -w  A Job's Pods, and every change of them
  wick get events --field-selector involvedObject.name=hello
  wick get jobs --sort-by .status.startTime -L app
  wick get job hello -o jsonpath='{.status.succeeded}'
  wick get pods -o jsonpath='{range .items[*]}{.metadata.name}{\"\\n\"}{end}'";

/// Lists jobs, cronjobs, pods, events, images or the node
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Get {
    /// jobs, cronjobs, pods, events, images or nodes, with or without names; all; or KIND/NAME …
    #[arg(required = true, value_name = "KIND [NAME]")]
    what: Vec<String>,

    /// How to print it: wide, yaml, json, name, jsonpath=TEMPLATE or custom-columns=HEADER:PATH,…
    #[arg(short, long, value_parser = FormParser, value_name = "FORM", hide_possible_values = true)]
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

    /// In the order of what a path leads to: .metadata.creationTimestamp, .status.succeeded, …
    #[arg(long, value_name = "PATH", value_parser = Path::parse)]
    sort_by: Option<Path>,

    /// With a column for each of these labels
    #[arg(short = 'L', long, value_name = "LABEL", value_delimiter = ',')]
    label_columns: Vec<String>,

    /// With all labels in a last column
    #[arg(long)]
    show_labels: bool,
}

impl Get {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let targets = targets(&self.what)?;
        self.check(&targets)?;
        let session = global.connect().await?;
        match (self.watch, targets.as_slice()) {
            (true, [target]) => {
                let style = Style {
                    shown: self.shown(false),
                    form: self.output.as_ref(),
                    header: !self.no_headers,
                    screen: Screen::stdout(),
                };
                watch::run(&session, target, self.filter(&session), style).await
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
        if self.watch && self.sort_by.is_some() {
            return Err(Failure::not_asked("what changes comes as it changes: -w has no order to sort by"));
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

    fn shown(&self, kinds: bool) -> Shown<'_> {
        Shown {
            wide: self.output == Some(Form::Wide),
            namespaces: self.all_namespaces,
            kinds,
            label_columns: &self.label_columns,
            labels: self.show_labels,
        }
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
            if let Some(path) = &self.sort_by {
                sort(&mut objects, path);
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
        let all = || found.iter().flat_map(|(_, objects)| objects);
        match &self.output {
            // One thing that is not there has been told; an empty List would be another answer.
            Some(Form::Json | Form::Yaml | Form::Template(_)) if single && nothing => Ok(()),
            Some(form @ (Form::Json | Form::Yaml | Form::Template(_))) => {
                let whole = in_full(&all().cloned().collect::<Vec<_>>(), single);
                print(&written(&whole, form).unwrap_or_default())
            }
            Some(Form::Name) => print(&names(all())),
            Some(Form::Wide | Form::Columns(_)) | None if nothing => {
                if all_found {
                    tell(&nothing_found(session, found, self.all_namespaces));
                }
                Ok(())
            }
            Some(Form::Columns(columns)) => {
                let values: Vec<Value> = all().map(value).collect();
                let table = columns.table(&values);
                print(&table.text(!self.no_headers, &mut Widths::default(), Screen::stdout()))
            }
            Some(Form::Wide) | None => {
                let shown = self.shown(found.len() > 1);
                print(&tables(found, shown, !self.no_headers, &Clock::read(), Screen::stdout()))
            }
        }
    }
}

/// By what `path` leads to: what has nothing there comes first, as in kubectl.
fn sort(objects: &mut [Object], path: &Path) {
    let key = |object: &Object| {
        let value = value(object);
        path.find(&value, &value).first().map(|found| (*found).clone())
    };
    let mut keyed: Vec<(Option<Value>, Object)> =
        objects.iter().map(|object| (key(object), object.clone())).collect();
    keyed.sort_by(|(left, _), (right, _)| match (left, right) {
        (Some(left), Some(right)) => compare(left, right).unwrap_or(Ordering::Equal),
        (left, right) => left.is_some().cmp(&right.is_some()),
    });
    for (place, (_, object)) in objects.iter_mut().zip(keyed) {
        *place = object;
    }
}

/// A table for each kind there is something of.
fn tables(
    found: &[(Kind, Vec<Object>)],
    shown: Shown<'_>,
    header: bool,
    clock: &Clock,
    screen: Screen,
) -> String {
    let parts = found.iter().filter(|(_, objects)| !objects.is_empty()).map(|(kind, objects)| {
        columns::table(*kind, objects, shown, clock.now).text(header, &mut Widths::default(), screen)
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
        .assert_eq(&tables(&found, shown, true, &noon(), Screen::PLAIN));
        expect![[r#"
            hello   Running   0/5   100s   2m

            hello-x7k2p   1/1   Running   0     2m
        "#]]
        .assert_eq(&tables(&found, Shown::default(), false, &noon(), Screen::PLAIN));
    }

    #[test]
    fn things_come_in_the_order_of_what_a_path_leads_to() {
        let mut jobs: Vec<Object> = ["c", "a", "b"]
            .into_iter()
            .map(|name| {
                let mut job = samples::job(name);
                let status = job.status.as_mut().unwrap();
                status.succeeded = match name {
                    "a" => 10,
                    "b" => 9,
                    _ => 0,
                };
                Object::Job(Box::new(job))
            })
            .collect();
        let mut sorted = |path| {
            sort(&mut jobs, &Path::parse(path).unwrap());
            jobs.iter().map(Object::name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(sorted(".metadata.name"), "a b c");
        assert_eq!(sorted("{.status.succeeded}"), "c b a");
    }

    #[test]
    fn a_name_alone_has_its_kind() {
        let objects = [Object::Job(Box::new(samples::job("hello")))];
        assert_eq!(names(objects.iter()), "job.batch/hello\n");
    }
}
