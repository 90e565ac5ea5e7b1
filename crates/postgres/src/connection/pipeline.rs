//! The pending replies of one session, in the order of the requests, and its statement cache.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::statement_cache::{Prepared, StatementCache};
use crate::{Column, ServerError};

/// The requests of one session that the server hasn't answered yet.
pub(super) struct Pipeline {
    pub(super) cache: StatementCache,
    pending: VecDeque<Pending>,
}

/// A request whose reply is still to come.
enum Pending {
    /// A statement.
    Statement {
        /// The prepared statement that it executes; `None` for an unnamed one.
        prepared: Option<Prepared>,
        /// `true` if the server has parsed the prepared statement.
        parsed: bool,
        /// `true` if the server has bound it. Before that it can't have had an effect.
        bound: bool,
    },
    /// The end of a group, which the server answers with ReadyForQuery.
    Sync,
}

/// SQLSTATE duplicate_prepared_statement: a transaction pooler has switched to a server process on
/// which another client prepared a statement of this name.
const DUPLICATE_PREPARED_STATEMENT: &str = "42P05";

/// SQLSTATE invalid_sql_statement_name: the server has deallocated its prepared statements, or a pooler
/// has switched to another server process.
const INVALID_STATEMENT_NAME: &str = "26000";

impl Pipeline {
    /// Returns the pipeline of a session whose startup is still to be answered.
    pub(super) fn after_startup() -> Self {
        Self {
            cache: StatementCache::default(),
            pending: VecDeque::from([Pending::Sync]),
        }
    }

    pub(super) fn push_statement(&mut self, prepared: Option<Prepared>) {
        let parsed = prepared.as_ref().is_some_and(|prepared| !prepared.is_new);
        self.pending.push_back(Pending::Statement {
            prepared,
            parsed,
            bound: false,
        });
    }

    pub(super) fn push_sync(&mut self) {
        self.pending.push_back(Pending::Sync);
    }

    /// Handles ReadyForQuery: removes everything up to the next sync.
    pub(super) fn synced(&mut self) {
        while let Some(Pending::Statement { .. }) = self.pending.pop_front() {}
    }

    /// Handles ParseComplete.
    pub(super) fn parsed(&mut self) {
        if let Some(Pending::Statement { parsed, .. }) = self.pending.front_mut() {
            *parsed = true;
        }
    }

    /// Handles BindComplete. Returns the statement's columns if the cache knows them, in which case
    /// the server wasn't asked for them.
    pub(super) fn bound(&mut self) -> Option<Arc<[Column]>> {
        match self.pending.front_mut()? {
            Pending::Statement {
                prepared, bound, ..
            } => {
                *bound = true;
                prepared.as_ref()?.columns.clone()
            }
            Pending::Sync => None,
        }
    }

    /// Handles RowDescription and NoData.
    pub(super) fn described(&mut self, columns: &Arc<[Column]>) {
        if let Some(Pending::Statement {
            prepared: Some(prepared),
            ..
        }) = self.pending.front()
        {
            self.cache.set_columns(&prepared.text, columns);
        }
    }

    /// Handles the end of a statement.
    pub(super) fn completed(&mut self) {
        self.pop();
    }

    /// Handles an error of the first pending statement: the server skips everything up to the next
    /// sync. Returns `true` if the prepared statement is outdated, so that the same statement may
    /// work when it is parsed anew.
    pub(super) fn failed(&mut self, error: &ServerError) -> bool {
        let mut is_outdated = false;
        if let Some(Pending::Statement {
            prepared: Some(prepared),
            parsed,
            bound,
        }) = self.pop()
        {
            is_outdated = !bound && (parsed || error.code == DUPLICATE_PREPARED_STATEMENT);
            if is_outdated || !parsed {
                self.cache.remove(&prepared.text);
            }
        }
        while let Some(skipped) = self.pop() {
            if let Pending::Statement {
                prepared: Some(prepared),
                parsed: false,
                ..
            } = skipped
            {
                self.cache.remove(&prepared.text);
            }
        }
        if is_outdated && error.code == INVALID_STATEMENT_NAME {
            self.cache.clear();
        }
        is_outdated
    }

    /// Removes the first pending statement, unless a sync comes first.
    fn pop(&mut self) -> Option<Pending> {
        self.pending
            .pop_front_if(|pending| !matches!(pending, Pending::Sync))
    }
}
