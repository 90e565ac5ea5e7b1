//! What was put in line and is still to be answered, in order, and the statements that have names.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::statements::{Plan, Statements};
use crate::{Column, ServerError};

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
    /// The end of a group, which is answered by ReadyForQuery.
    Sync,
}

/// A name is taken: a pooler gave us a session that somebody else had.
const DUPLICATE_PREPARED_STATEMENT: &str = "42P05";

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

    pub(super) fn push_sync(&mut self) {
        self.expected.push_back(Expected::Sync);
    }

    /// The server is ready: everything up to the next sync is answered.
    pub(super) fn synced(&mut self) {
        while let Some(Expected::Statement { .. }) = self.expected.pop_front() {}
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
            Expected::Sync => None,
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

    pub(super) fn completed(&mut self) {
        self.pop_statement();
    }

    /// The statement in front failed, and the server skips those behind it up to the next sync.
    /// Whether it failed for its name alone, so that without one it may do.
    pub(super) fn skip_failed(&mut self, error: &ServerError) -> bool {
        let Some((plan, parsed, bound)) = self.pop_statement() else {
            return false;
        };
        let is_outdated =
            plan.is_some() && !bound && (parsed || error.code == DUPLICATE_PREPARED_STATEMENT);
        if let Some(plan) = plan
            && (is_outdated || !parsed)
        {
            self.statements.forget(&plan.text);
        }
        while let Some((plan, parsed, _)) = self.pop_statement() {
            if let Some(plan) = plan
                && !parsed
            {
                self.statements.forget(&plan.text);
            }
        }
        is_outdated
    }

    fn pop_statement(&mut self) -> Option<(Option<Plan>, bool, bool)> {
        match self.expected.pop_front()? {
            Expected::Statement {
                plan,
                parsed,
                bound,
            } => Some((plan, parsed, bound)),
            Expected::Sync => {
                self.expected.push_front(Expected::Sync);
                None
            }
        }
    }
}
