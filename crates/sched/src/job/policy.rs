//! What a Job's policies say of its failures and successes.

use crate::job::Indexes;
use crate::job::pods::Failed;

/// What the failure of a Pod means; the first rule that matches decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailurePolicy {
    /// In order.
    pub rules: Vec<FailureRule>,
}

/// One rule of a [`FailurePolicy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRule {
    /// What is done.
    pub action: FailureAction,
    /// About which failures.
    pub on: On,
}

/// What a [`FailureRule`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureAction {
    /// The Job fails at once.
    FailJob,
    /// The Pod's index fails for good.
    FailIndex,
    /// It does not count towards any limit.
    Ignore,
    /// It counts, as without a policy.
    Count,
}

/// Which failures a [`FailureRule`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum On {
    /// Those where a container ended so. Exit code 0 never matches.
    ExitCodes {
        /// Only the container of this name.
        container: Option<String>,
        /// `In` the values, or `NotIn`.
        within: bool,
        /// Ascending.
        values: Vec<i32>,
    },
    /// Those of a Pod with one of these conditions: type and status.
    Conditions(Vec<(String, String)>),
}

impl FailurePolicy {
    /// What `failed` means, and for `FailJob` why, for people.
    pub fn judge(&self, failed: &Failed) -> (FailureAction, String) {
        for (position, rule) in self.rules.iter().enumerate() {
            let why = match &rule.on {
                On::ExitCodes { container, within, values } => {
                    let matching = failed.exit_codes.iter().find(|(name, code)| {
                        *code != 0
                            && container.as_ref().is_none_or(|wanted| wanted == name)
                            && values.contains(code) == *within
                    });
                    matching.map(|(name, code)| {
                        format!("Container {name} for pod {} failed with exit code {code}", failed.pod)
                    })
                }
                On::Conditions(patterns) => {
                    let matching = failed.conditions.iter().find(|condition| patterns.contains(condition));
                    matching.map(|(kind, _)| format!("Pod {} has condition {kind}", failed.pod))
                }
            };
            if let Some(why) = why {
                let word = match rule.action {
                    FailureAction::FailJob => "FailJob",
                    FailureAction::FailIndex => "FailIndex",
                    FailureAction::Ignore => "Ignore",
                    FailureAction::Count => "Count",
                };
                return (rule.action, format!("{why} matching {word} rule at index {position}"));
            }
        }
        (FailureAction::Count, String::new())
    }
}

/// One rule of when an Indexed Job has succeeded although not all of its indexes have. Any rule suffices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuccessRule {
    /// The indexes that count; all if not given.
    pub indexes: Option<Indexes>,
    /// So many of them; all of `indexes` if not given.
    pub count: Option<u32>,
}

impl SuccessRule {
    /// True once so many of the indexes it is about have succeeded.
    pub(super) fn is_met(&self, succeeded: u32) -> bool {
        let needed = match &self.indexes {
            // An empty list is met by nothing.
            Some(indexes) if indexes.is_empty() => return false,
            Some(indexes) => self.count.unwrap_or(indexes.count()),
            None => self.count.unwrap_or(u32::MAX),
        };
        // Nothing is met before the first success.
        succeeded >= needed.max(1)
    }

    /// True if the success of `index` brings it nearer.
    pub(super) fn is_about(&self, index: u32) -> bool {
        self.indexes.as_ref().is_none_or(|indexes| indexes.contains(index))
    }
}
