//! What was put in line and is still to be answered, in order, and the statements that have names.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::statements::{Plan, Statements};
use crate::{Column, Routine, ServerError};

/// The line of one session.
pub(super) struct Line {
    pub(super) statements: Statements,
    expected: VecDeque<Expected>,
}

/// One thing in line.
enum Expected {
    /// A statement.
    Statement {
        /// How it was sent, if under a name.
        plan: Option<Plan>,
        /// Whether the server has parsed it, where it was asked to.
        parsed: bool,
        /// Whether the server has bound it: before, it can have had no effect.
        bound: bool,
    },
    /// A routine.
    Routine {
        routine: &'static Routine,
        /// Whether its statements were given names with it, which the server may not have come to.
        is_new: bool,
        /// How many of its statements are still to be answered.
        left: usize,
        /// Whether nobody waits for its end.
        trails: bool,
    },
    /// The end of a group, which is answered by ReadyForQuery.
    Sync,
}

/// What ends with the end of a statement.
pub(super) enum Completed {
    /// A part of a routine.
    Part,
    /// A statement.
    Statement,
    /// A routine that somebody waits for.
    Routine,
    /// A routine that nobody waits for.
    Trailing,
}

/// What the server does not do because of a failure.
pub(super) enum Failed {
    /// What was in front, whatever the reason.
    Statement,
    /// What was in front, for its name alone, so that without one it may do.
    Name,
    /// Everything that somebody waits for: what failed was in line before it.
    Trailing,
}

/// A name is taken: a pooler gave us a session that somebody else had.
const DUPLICATE_PREPARED_STATEMENT: &str = "42P05";

/// A name is gone: somebody deallocated it, or a pooler gave us another session.
const UNKNOWN_PREPARED_STATEMENT: &str = "26000";

impl Line {
    /// The line of a session whose startup is still to be answered.
    pub(super) fn after_startup() -> Self {
        Self {
            statements: Statements::default(),
            expected: VecDeque::from([Expected::Sync]),
        }
    }

    pub(super) fn push_statement(&mut self, plan: Option<Plan>) {
        let parsed = plan.as_ref().is_some_and(|plan| !plan.is_new);
        self.expected.push_back(Expected::Statement {
            plan,
            parsed,
            bound: false,
        });
    }

    pub(super) fn push_routine(&mut self, routine: &'static Routine, is_new: bool) {
        self.expected.push_back(Expected::Routine {
            routine,
            is_new,
            left: routine.statements.len(),
            trails: false,
        });
    }

    /// Nobody waits for the end of the routine that was put in line last.
    pub(super) fn trail(&mut self) {
        if let Some(Expected::Routine { trails, .. }) = self.expected.back_mut() {
            *trails = true;
        }
    }

    pub(super) fn push_sync(&mut self) {
        self.expected.push_back(Expected::Sync);
    }

    /// The server is ready: everything up to the next sync is answered.
    pub(super) fn synced(&mut self) {
        while let Some(Expected::Statement { .. } | Expected::Routine { .. }) =
            self.expected.pop_front()
        {}
    }

    /// Of the routine in front, how many statements are still to be answered; none if there is none in
    /// front.
    pub(super) fn routine_in_front(&mut self) -> Option<&mut usize> {
        match self.expected.front_mut()? {
            Expected::Routine { left, .. } => Some(left),
            Expected::Statement { .. } | Expected::Sync => None,
        }
    }

    pub(super) fn parsed(&mut self) {
        if let Some(Expected::Statement { parsed, .. }) = self.expected.front_mut() {
            *parsed = true;
        }
    }

    /// The statement in front is bound; its columns, if they needn't be asked.
    pub(super) fn bound(&mut self) -> Option<Arc<[Column]>> {
        match self.expected.front_mut()? {
            Expected::Statement { plan, bound, .. } => {
                *bound = true;
                plan.as_ref()?.columns.clone()
            }
            Expected::Routine { .. } | Expected::Sync => None,
        }
    }

    pub(super) fn described(&mut self, columns: &Arc<[Column]>) {
        if let Some(Expected::Statement {
            plan: Some(plan), ..
        }) = self.expected.front()
        {
            self.statements.describe(&plan.text, columns);
        }
    }

    /// A statement is done.
    pub(super) fn completed(&mut self) -> Completed {
        if let Some(left) = self.routine_in_front()
            && *left > 1
        {
            *left -= 1;
            return Completed::Part;
        }
        match self.pop() {
            Some(Expected::Routine { trails: true, .. }) => Completed::Trailing,
            Some(Expected::Routine { .. }) => Completed::Routine,
            Some(Expected::Statement { .. } | Expected::Sync) | None => Completed::Statement,
        }
    }

    /// Whether what is in front is a routine that nobody waits for.
    pub(super) fn is_trailing_in_front(&self) -> bool {
        matches!(
            self.expected.front(),
            Some(Expected::Routine { trails: true, .. })
        )
    }

    /// What is in front failed, and the server skips those behind it up to the next sync.
    pub(super) fn skip_failed(&mut self, error: &ServerError) -> Failed {
        let failed = match self.pop() {
            None | Some(Expected::Sync) => return Failed::Statement,
            Some(Expected::Routine {
                routine,
                is_new,
                trails,
                ..
            }) => {
                let is_outdated = !is_new && error.code == UNKNOWN_PREPARED_STATEMENT;
                if is_new || is_outdated {
                    self.statements.forget_routine(routine.name);
                }
                match (trails, is_outdated) {
                    (true, _) => Failed::Trailing,
                    (false, true) => Failed::Name,
                    (false, false) => Failed::Statement,
                }
            }
            Some(Expected::Statement {
                plan,
                parsed,
                bound,
            }) => {
                let is_outdated = plan.is_some()
                    && !bound
                    && (parsed || error.code == DUPLICATE_PREPARED_STATEMENT);
                if let Some(plan) = plan
                    && (is_outdated || !parsed)
                {
                    self.statements.forget(&plan.text);
                }
                match is_outdated {
                    true => Failed::Name,
                    false => Failed::Statement,
                }
            }
        };
        while let Some(skipped) = self.pop() {
            match skipped {
                Expected::Statement {
                    plan: Some(plan),
                    parsed: false,
                    ..
                } => self.statements.forget(&plan.text),
                Expected::Routine {
                    routine,
                    is_new: true,
                    ..
                } => self.statements.forget_routine(routine.name),
                _ => {}
            }
        }
        failed
    }

    /// What is in front, up to the next sync.
    fn pop(&mut self) -> Option<Expected> {
        self.expected
            .pop_front_if(|expected| !matches!(expected, Expected::Sync))
    }
}
