//! `wick get -w`: a list, and a line for everything that changes in it.
//!
//! One stream tells both. If this program falls too far behind, or the agent is started anew, the stream begins anew, and
//! only what differs from what was printed is printed.

use std::collections::BTreeMap;

use api::pb::wick::v1::ObjectFilter;
use tonic::Code;

use crate::clock::Clock;
use crate::columns::{self, Shown};
use crate::failure::{Failure, tell};
use crate::form::Form;
use crate::get::names;
use crate::kind::Target;
use crate::objects::{Change, Object, Watch, missing};
use crate::output::{print, value, written};
use crate::patience::{begin_again, went_away};
use crate::screen::Screen;
use crate::session::Session;
use crate::table::Widths;

/// How changes are printed.
#[derive(Clone, Copy)]
pub(crate) struct Style<'a> {
    /// How much of everything is shown in a table.
    pub(crate) shown: Shown<'a>,
    /// What is printed instead of a table.
    pub(crate) form: Option<&'a Form>,
    /// Whether a table begins with its header.
    pub(crate) header: bool,
    /// What it is printed for.
    pub(crate) screen: Screen,
}

/// Prints until the agent or the reader goes away.
pub(crate) async fn run(
    session: &Session,
    target: &Target,
    mut filter: ObjectFilter,
    style: Style<'_>,
) -> Result<(), Failure> {
    let name = target.names.first();
    filter.name = name.cloned().unwrap_or_default();
    let mut printer =
        Printer { target, style, header: style.header, widths: Widths::default(), printed: BTreeMap::new() };
    let mut begun = false;
    let mut away = false;
    loop {
        let mut watch = match std::mem::take(&mut away) {
            true => begin_again(&session.agent, target.kind, &filter).await?,
            false => Watch::begin(&session.agent, target.kind, filter.clone()).await?,
        };
        let mut first = Some(Vec::new());
        loop {
            let told = watch.next().await;
            if went_away(&told) {
                away = true;
                break;
            }
            match (told, &mut first) {
                (Ok(Some(Change::Added(object) | Change::Modified(object))), Some(list)) => list.push(object),
                (Ok(Some(Change::Added(object) | Change::Modified(object))), None) => {
                    printer.show(&[object])?
                }
                (Ok(Some(Change::Deleted(object))), _) => printer.show_gone(object)?,
                (Ok(Some(Change::Caught)), list) => {
                    let list = list.take().unwrap_or_default();
                    if let (true, false, Some(name)) = (list.is_empty(), begun, name) {
                        return Err(missing(&session.agent, target.kind, &session.namespace, name).await);
                    }
                    if list.is_empty() && !begun {
                        tell("Nothing yet.");
                    }
                    printer.show(&list)?;
                    begun = true;
                }
                (Ok(None), _) => break,
                (Err(status), _) if status.code() == Code::OutOfRange => break,
                (Err(status), _) => return Err(status.into()),
            }
        }
    }
}

struct Printer<'a> {
    target: &'a Target,
    style: Style<'a>,
    /// Whether the header is still to be printed.
    header: bool,
    widths: Widths,
    /// What was printed of each object: its version.
    printed: BTreeMap<String, String>,
}

impl Printer<'_> {
    fn show(&mut self, objects: &[Object]) -> Result<(), Failure> {
        let text = self.text(objects, &Clock::read());
        if text.is_empty() { Ok(()) } else { print(&text) }
    }

    fn show_gone(&mut self, object: Object) -> Result<(), Failure> {
        let known = self.printed.remove(key(&object).as_str());
        let text = self.text(std::slice::from_ref(&object), &Clock::read());
        self.printed.remove(key(&object).as_str());
        // An object that came and went while we were behind was never shown, and need not be shown going.
        if known.is_some() && !text.is_empty() { print(&text) } else { Ok(()) }
    }

    /// Those of `objects` that differ from what was printed last.
    fn text(&mut self, objects: &[Object], clock: &Clock) -> String {
        let mut new = Vec::new();
        for object in objects {
            let version = object.meta().map(|meta| meta.resource_version.clone()).unwrap_or_default();
            let before = self.printed.insert(key(object), version.clone());
            if version.is_empty() || before.as_ref() != Some(&version) {
                new.push(object.clone());
            }
        }
        if new.is_empty() {
            return String::new();
        }
        match self.style.form {
            Some(Form::Name) => names(new.iter()),
            Some(form @ (Form::Json | Form::Yaml | Form::Template(_))) => {
                let start = if *form == Form::Yaml { "---\n" } else { "" };
                let pages = new.iter().map(|object| written(&value(object), form).unwrap_or_default());
                pages.map(|page| format!("{start}{page}")).collect()
            }
            Some(Form::Columns(columns)) => {
                let values: Vec<_> = new.iter().map(value).collect();
                let header = std::mem::take(&mut self.header);
                columns.table(&values).text(header, &mut self.widths, self.style.screen)
            }
            Some(Form::Wide) | None => {
                let table = columns::table(self.target.kind, &new, self.style.shown, clock.now);
                let header = std::mem::take(&mut self.header);
                table.text(header, &mut self.widths, self.style.screen)
            }
        }
    }
}

/// What tells objects apart.
fn key(object: &Object) -> String {
    match object.meta() {
        Some(meta) if !meta.uid.is_empty() => meta.uid.clone(),
        _ => format!("{}/{}", object.namespace(), object.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::noon;
    use crate::kind::Kind;
    use crate::samples;
    use expect_test::expect;

    #[test]
    fn rows_that_come_later_have_no_header_and_what_did_not_change_no_row() {
        let target = Target { kind: Kind::Pod, names: Vec::new() };
        let style = Style { shown: Shown::default(), form: None, header: true, screen: Screen::PLAIN };
        let mut printer = Printer {
            target: &target,
            style,
            header: style.header,
            widths: Widths::default(),
            printed: BTreeMap::new(),
        };
        let pod = |name: &str, version: &str, containers: &str| {
            let mut pod = samples::pod(name, "Running", containers);
            pod.metadata.as_mut().unwrap().resource_version = version.to_owned();
            Object::Pod(Box::new(pod))
        };
        let mut text = printer
            .text(&[pod("hello-a", "1", "run"), pod("hello-b", "2", "wait:ContainerCreating")], &noon());
        text += &printer.text(&[pod("hello-b", "3", "run")], &noon());
        text += &printer.text(&[pod("hello-a", "1", "run"), pod("hello-c", "4", "run")], &noon());
        expect![[r#"
            NAME      READY   STATUS              RESTARTS   AGE
            hello-a   1/1     Running             0          2m
            hello-b   0/1     ContainerCreating   0          2m
            hello-b   1/1     Running             0          2m
            hello-c   1/1     Running             0          2m
        "#]]
        .assert_eq(&text);
    }
}
