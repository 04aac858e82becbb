//! When a container that ended starts again.

use super::{Container, Ended, State, Waiting};
use crate::backoff::{RESTART_RESET, before_restart};
use crate::{Exit, Steady};

/// What happens when a container ends: the first rule that fits, else the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// In order.
    pub rules: Vec<Rule>,
    /// Where no rule fits.
    pub policy: Policy,
}

/// What happens when a container ends, for one exit code as for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It stays as it is.
    Never,
    /// It is started again unless it exited 0.
    OnFailure,
    /// It is started again.
    Always,
}

/// What happens on some exit codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// On which.
    pub codes: ExitCodes,
    /// What.
    pub action: Action,
}

/// A set of exit codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitCodes {
    /// These.
    In(Vec<i32>),
    /// All but these.
    NotIn(Vec<i32>),
}

/// What is done about a container that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Leave,
    /// It is started again.
    Restart,
    /// All containers of its Pod are killed and start again, those that had ended included.
    RestartAll,
}

impl Restart {
    /// By this policy, without rules.
    pub fn by(policy: Policy) -> Restart {
        Restart { rules: Vec::new(), policy }
    }

    /// What is done about a container that ended so.
    pub fn after(&self, exit: &Exit) -> Action {
        if let Some(rule) = self.rules.iter().find(|rule| rule.codes.contains(exit.code())) {
            return rule.action;
        }
        match self.policy {
            Policy::Always => Action::Restart,
            Policy::OnFailure if !exit.succeeded() => Action::Restart,
            Policy::OnFailure | Policy::Never => Action::Leave,
        }
    }
}

impl ExitCodes {
    fn contains(&self, code: u8) -> bool {
        match self {
            ExitCodes::In(codes) => codes.contains(&i32::from(code)),
            ExitCodes::NotIn(codes) => !codes.contains(&i32::from(code)),
        }
    }
}

/// When a container that ended may start again; `None` if at once.
pub(super) fn restart_at(container: &Container, ended: &Ended) -> Option<Steady> {
    // An interruption says nothing about the guest: it neither waits nor makes the next wait longer.
    if ended.exit == Exit::Interrupted {
        return None;
    }
    Some(ended.at.steady + before_restart(steps_before(container, ended)))
}

/// How many restarts stand behind the delay that follows the run that `ended`: none if it was a long one.
fn steps_before(container: &Container, ended: &Ended) -> u32 {
    let ran_long = ended.since.is_some_and(|since| ended.at.steady - since.steady > RESTART_RESET);
    if ran_long { 0 } else { container.backoff_steps }
}

/// Turns an ended container into one that waits for its next start.
pub(super) fn again(container: &mut Container, waiting: Waiting) {
    let State::Ended(ended) = std::mem::replace(&mut container.state, State::Waiting(waiting)) else {
        return;
    };
    if ended.exit != Exit::Interrupted {
        container.backoff_steps = steps_before(container, &ended).saturating_add(1);
    }
    container.last = Some(ended);
}
