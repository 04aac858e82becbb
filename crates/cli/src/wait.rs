//! `wick wait`: until a Job, a CronJob or a Pod is as it should be.
//!
//! Unlike kubectl's it does not wait for what cannot come any more: a Job that has failed will not complete.

use api::pb::k8s::batch::v1::Job;
use clap::Args;
use jiff::SignedDuration;
use tokio::time::timeout;

use crate::chosen::{Chosen, Named};
use crate::failure::{Failure, tell};
use crate::jsonpath::{Path, said};
use crate::kind::{Kind, targets};
use crate::logs::{duration, wait_of};
use crate::objects::{Change, Object, missing, only};
use crate::output::{print, value};
use crate::patience::{begin, begin_again, went_away};
use crate::session::{Global, Session};
use crate::status::job_condition;

const EXAMPLES: &str = "\
Examples:
  wick wait --for=condition=complete job/hello
  wick wait --for=condition=failed job/hello --timeout 2m
  wick wait --for=delete job/hello
  wick wait --for=jsonpath='{.status.lastSuccessfulTime}' cronjob/nightly --timeout 25h";

/// What a negative time limit means, as in kubectl.
const A_WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Waits until jobs, cronjobs or pods are as they should be
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Wait {
    /// job/NAME …, pod/NAME …, or a kind with names, -l or --all
    #[arg(required = true, value_name = "KIND/NAME")]
    what: Vec<String>,

    /// condition=TYPE (complete, failed, ready, …), condition=TYPE=false, jsonpath=PATH, jsonpath=PATH=VALUE, create or
    /// delete
    #[arg(long = "for", value_name = "WHAT", value_parser = goal)]
    goal: Goal,

    /// How long; 0 looks once, a negative one means a week
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, allow_hyphen_values = true)]
    timeout: SignedDuration,

    #[command(flatten)]
    chosen: Chosen,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq)]
enum Goal {
    Condition {
        kind: String,
        status: String,
    },
    /// What a path leads to is this; or is there at all.
    Value {
        path: Path,
        wanted: Option<String>,
    },
    Create,
    Delete,
}

fn goal(text: &str) -> Result<Goal, String> {
    let wrong =
        || format!("`{text}` is not condition=TYPE, condition=TYPE=STATUS, jsonpath=PATH, create or delete");
    if let Some(text) = text.strip_prefix("jsonpath=") {
        // A path in braces may hold a `=` of its own.
        let braced = text.find("}=").filter(|_| text.starts_with('{')).map(|at| at + 1);
        let end = braced.or_else(|| text.find('=').filter(|_| !text.starts_with('{')));
        let (path, wanted) = match end {
            Some(end) => (&text[..end], Some(text[end + 1..].to_owned())),
            None => (text, None),
        };
        return Path::parse(path).map(|path| Goal::Value { path, wanted });
    }
    match text.split('=').collect::<Vec<_>>().as_slice() {
        ["create"] => Ok(Goal::Create),
        ["delete"] => Ok(Goal::Delete),
        ["condition", kind] if !kind.is_empty() => {
            Ok(Goal::Condition { kind: (*kind).to_owned(), status: "true".to_owned() })
        }
        ["condition", kind, status] if !kind.is_empty() && !status.is_empty() => {
            Ok(Goal::Condition { kind: (*kind).to_owned(), status: (*status).to_owned() })
        }
        _ => Err(wrong()),
    }
}

impl Wait {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let targets = targets(&self.what)?;
        if let Some(target) =
            targets.iter().find(|target| !matches!(target.kind, Kind::Job | Kind::CronJob | Kind::Pod))
        {
            return Err(Failure::not_asked(format!("{} cannot be waited for", target.kind.plural()))
                .hint("jobs, cronjobs and pods can: wick wait --for=condition=complete job/hello"));
        }
        self.chosen.check(&targets)?;
        let session = global.connect().await?;
        let names = self.chosen.find(&session, targets).await?;
        if names.is_empty() {
            return match self.goal {
                Goal::Delete => Ok(()),
                Goal::Condition { .. } | Goal::Value { .. } | Goal::Create => {
                    Err(Failure::refused("no matching resources found"))
                }
            };
        }
        self.all_of(&session, names).await
    }

    async fn all_of(&self, session: &Session, names: Vec<Named>) -> Result<(), Failure> {
        let limit = if self.timeout.is_negative() { A_WEEK } else { self.timeout };
        let once = limit.is_zero();
        let end = tokio::time::Instant::now() + wait_of(limit);
        let mut all_met = true;
        for Named { kind, name, .. } in names {
            // The time limit is everybody's together; a look that was asked for is not cut short by it.
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            let met = async {
                match once {
                    true => self.one(session, kind, &name, true).await,
                    false => match timeout(left, self.one(session, kind, &name, false)).await {
                        Ok(met) => met,
                        Err(_) => Ok(false),
                    },
                }
            };
            match met.await {
                Ok(true) => print(&format!("{}/{name} condition met\n", kind.qualified()))?,
                Ok(false) => {
                    tell(&format!("error: timed out waiting for the condition on {}/{name}", kind.plural()));
                    all_met = false;
                }
                Err(failure @ Failure::Refused(_)) => {
                    failure.tell();
                    all_met = false;
                }
                Err(failure) => return Err(failure),
            }
        }
        if all_met { Ok(()) } else { Err(Failure::Said) }
    }

    /// Waits for one thing; with `once` only looks.
    async fn one(&self, session: &Session, kind: Kind, name: &str, once: bool) -> Result<bool, Failure> {
        let filter = only(&session.namespace, name);
        let mut watch = begin(&session.agent, kind, &filter).await?;
        let mut exists = false;
        loop {
            let seen = watch.next().await;
            if went_away(&seen) {
                watch = begin_again(&session.agent, kind, &filter).await?;
                exists = false;
                continue;
            }
            let object = match seen? {
                Some(Change::Added(object) | Change::Modified(object)) => object,
                Some(Change::Deleted(_)) => match self.goal {
                    Goal::Delete => return Ok(true),
                    Goal::Create => {
                        exists = false;
                        continue;
                    }
                    Goal::Condition { .. } | Goal::Value { .. } => {
                        return Err(Failure::refused(format!("{} `{name}` was deleted", kind.singular())));
                    }
                },
                Some(Change::Caught) if exists && !once => continue,
                Some(Change::Caught) if exists => return Ok(false),
                Some(Change::Caught) => match self.goal {
                    Goal::Delete => return Ok(true),
                    Goal::Create if once => return Ok(false),
                    Goal::Create => continue,
                    Goal::Condition { .. } | Goal::Value { .. } => {
                        return Err(missing(&session.agent, kind, &session.namespace, name).await);
                    }
                },
                None => return Err(Failure::not_asked("the agent ended the watch")),
            };
            exists = true;
            match look(&self.goal, &object) {
                Look::Met => return Ok(true),
                Look::Never(why) => {
                    return Err(
                        Failure::refused(why).hint(format!("wick describe {} {name}", kind.singular()))
                    );
                }
                Look::NotYet => {}
            }
        }
    }
}

/// What can be said about a goal.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Met,
    NotYet,
    /// It cannot come any more, and why.
    Never(String),
}

fn look(goal: &Goal, object: &Object) -> Look {
    let (kind, wanted) = match goal {
        Goal::Create => return Look::Met,
        Goal::Delete => return Look::NotYet,
        Goal::Value { path, wanted } => {
            let object = value(object);
            let found: Vec<String> = path.find(&object, &object).into_iter().map(said).collect();
            let met = match wanted {
                Some(wanted) => found.contains(wanted),
                None => found.iter().any(|found| !found.is_empty()),
            };
            return if met { Look::Met } else { Look::NotYet };
        }
        Goal::Condition { kind, status } => (kind, status),
    };
    let conditions: Vec<(&str, &str)> = match object {
        Object::Job(job) => {
            let status = job.status.as_ref();
            let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
            conditions
                .iter()
                .map(|condition| (condition.r#type.as_str(), condition.status.as_str()))
                .collect()
        }
        Object::Pod(pod) => {
            let status = pod.status.as_ref();
            let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
            conditions
                .iter()
                .map(|condition| (condition.r#type.as_str(), condition.status.as_str()))
                .collect()
        }
        Object::CronJob(_) | Object::Event(_) | Object::Image(_) | Object::Node(_) => Vec::new(),
    };
    let is =
        |(of, status): &&(&str, &str)| of.eq_ignore_ascii_case(kind) && status.eq_ignore_ascii_case(wanted);
    if conditions.iter().any(|condition| is(&condition)) {
        return Look::Met;
    }
    match (object, wanted.eq_ignore_ascii_case("true")) {
        (Object::Job(job), true) => never(job, kind),
        _ => Look::NotYet,
    }
}

/// Whether a Job that is finished will never have the condition `kind`.
fn never(job: &Job, kind: &str) -> Look {
    let name = job.metadata.as_ref().map_or("", |meta| &meta.name);
    if let Some(failed) = job_condition(job, "Failed") {
        let message = match (failed.reason.as_str(), failed.message.trim()) {
            ("", "") => String::new(),
            (reason, "") => format!(": {reason}"),
            ("", message) => format!(": {message}"),
            (reason, message) => format!(": {reason}: {message}"),
        };
        return Look::Never(format!("job `{name}` has failed{message}"));
    }
    match job_condition(job, "Complete") {
        Some(_) => Look::Never(format!("job `{name}` is complete, and will not be `{kind}` any more")),
        None => Look::NotYet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use expect_test::{Expect, expect};

    #[test]
    fn a_condition_is_met_whatever_its_letters() {
        check("condition=complete", "Complete=True", expect!["Met"]);
        check("condition=Complete", "Complete=True", expect!["Met"]);
        check("condition=suspended=false", "Suspended=False", expect!["Met"]);
        check("condition=complete", "Complete=False", expect!["NotYet"]);
        check("condition=complete", "SuccessCriteriaMet=True", expect!["NotYet"]);
        check("create", "", expect!["Met"]);
        check("jsonpath={.status.conditions[*].type}", "", expect!["NotYet"]);
        check("jsonpath={.status.conditions[*].type}", "Complete=True", expect!["Met"]);
        check("jsonpath=.status.conditions[0].status=True", "Complete=True", expect!["Met"]);
        check("jsonpath={.status.conditions[0].status}=False", "Complete=True", expect!["NotYet"]);
        check(
            r#"jsonpath={.status.conditions[?(@.type=="Failed")].status}=True"#,
            "Failed=True",
            expect!["Met"],
        );
        check("delete", "Complete=True", expect!["NotYet"]);
    }

    #[test]
    fn what_cannot_come_any_more_is_said_with_why() {
        check("condition=complete", "FailureTarget=True", expect!["NotYet"]);
        check(
            "condition=complete",
            "FailureTarget=True Failed=True",
            expect![[r#"Never("job `hello` has failed: BackoffLimitExceeded: too many failures")"#]],
        );
        check(
            "condition=failed",
            "Complete=True",
            expect![[r#"Never("job `hello` is complete, and will not be `failed` any more")"#]],
        );
        check("condition=complete=false", "Failed=True", expect!["NotYet"]);
    }

    #[test]
    fn a_goal_is_a_condition_or_an_end() {
        for wrong in ["", "complete", "condition", "condition=", "condition=a=", "condition=a=b=c", "deleted"]
        {
            let said = goal(wrong).unwrap_err();
            assert_eq!(
                said,
                format!(
                    "`{wrong}` is not condition=TYPE, condition=TYPE=STATUS, jsonpath=PATH, create or delete"
                )
            );
        }
    }

    fn check(wanted: &str, conditions: &str, expected: Expect) {
        let mut job = samples::job("hello");
        for condition in conditions.split_whitespace() {
            let (kind, status) = condition.split_once('=').unwrap();
            samples::add_condition(&mut job, kind, status, "BackoffLimitExceeded", "too many failures");
        }
        expected.assert_eq(&format!("{:?}", look(&goal(wanted).unwrap(), &Object::Job(Box::new(job)))));
    }
}
