//! How objects are printed: what `-o` understands.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use serde_json::Value;

use crate::columns::NONE;
use crate::jsonpath::{Path, Template, said};
use crate::table::Table;

/// How objects are printed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Form {
    /// More columns
    Wide,
    /// Everything, as YAML
    Yaml,
    /// Everything, as JSON
    Json,
    /// KIND/NAME only
    Name,
    /// What a template says of it
    Template(Template),
    /// A table of one's own
    Columns(Columns),
}

/// A header for each column, and the path to what stands below it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Columns(Vec<(String, Path)>);

impl Form {
    fn parse(text: &str) -> Result<Form, String> {
        match text.split_once('=').unwrap_or((text, "")) {
            ("wide", "") => Ok(Form::Wide),
            ("yaml", "") => Ok(Form::Yaml),
            ("json", "") => Ok(Form::Json),
            ("name", "") => Ok(Form::Name),
            ("jsonpath", template) => Template::parse(template).map(Form::Template),
            ("custom-columns", columns) => Columns::parse(columns).map(Form::Columns),
            _ => {
                Err("it is none of wide, yaml, json, name, jsonpath=TEMPLATE and custom-columns=NAME:PATH,…"
                    .to_owned())
            }
        }
    }
}

impl Columns {
    /// Reads `NAME:.metadata.name,DONE:.status.succeeded`.
    fn parse(text: &str) -> Result<Columns, String> {
        let columns = text.split(',').map(|column| match column.split_once(':') {
            Some((header, path)) if !header.is_empty() => Ok((header.to_owned(), Path::parse(path)?)),
            _ => Err(format!("`{column}` is not HEADER:PATH, such as NAME:.metadata.name")),
        });
        columns.collect::<Result<_, _>>().map(Columns)
    }

    /// A row for each of `objects`.
    pub(crate) fn table(&self, objects: &[Value]) -> Table {
        let mut table = Table::new(&[]);
        table.rows = vec![Vec::new(); objects.len()];
        for (header, path) in &self.0 {
            let cells = objects.iter().map(|object| {
                let found: Vec<String> = path.find(object, object).into_iter().map(said).collect();
                if found.is_empty() { NONE.to_owned() } else { found.join(",") }
            });
            table.put_last(header.clone(), cells);
        }
        table
    }
}

/// Reads `-o`; shells are told the forms that take no more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FormParser;

impl TypedValueParser for FormParser {
    type Value = Form;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Form, clap::Error> {
        TypedValueParser::parse_ref(&Form::parse, command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue>>> {
        Some(Box::new(["wide", "yaml", "json", "name"].into_iter().map(PossibleValue::new)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::Screen;
    use crate::table::Widths;
    use expect_test::{Expect, expect};
    use serde_json::json;

    #[test]
    fn columns_of_ones_own_have_ones_own_headers() {
        check(
            "custom-columns=NAME:.metadata.name,DONE:status.succeeded,ARGS:{.args[*]}",
            expect![[r#"
                NAME   DONE     ARGS
                a      3        x,y
                b      <none>   <none>
            "#]],
        );
    }

    #[test]
    fn what_is_no_form_is_told_the_forms() {
        let forms = "it is none of wide, yaml, json, name, jsonpath=TEMPLATE and custom-columns=NAME:PATH,…";
        for wrong in ["", "yml", "wide=3", "template={{.a}}"] {
            assert_eq!(Form::parse(wrong), Err(forms.to_owned()), "{wrong}");
        }
        check("custom-columns=NAME", expect!["`NAME` is not HEADER:PATH, such as NAME:.metadata.name"]);
        check("custom-columns=NAME:.a[", expect!["`[` at character 3 has no `]`"]);
        check("jsonpath={.a", expect!["a `{` has no `}`"]);
    }

    fn check(form: &str, wanted: Expect) {
        let objects = [
            json!({"metadata": {"name": "a"}, "status": {"succeeded": 3}, "args": ["x", "y"]}),
            json!({"metadata": {"name": "b"}}),
        ];
        let said = match Form::parse(form) {
            Ok(Form::Columns(columns)) => {
                columns.table(&objects).text(true, &mut Widths::default(), Screen::PLAIN)
            }
            Ok(form) => format!("{form:?}"),
            Err(error) => error,
        };
        wanted.assert_eq(&said);
    }
}
