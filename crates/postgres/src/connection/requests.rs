//! Requests: the `queue_*` methods append messages to the outgoing buffer without sending them.

use std::io;

use bytes::BytesMut;
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend::{self, BindError};

use super::Connection;
use crate::Error;
use crate::statement_cache::Prepared;

impl Connection {
    /// Queues one unnamed statement, with parameters and results as text: Parse, Bind, Describe,
    /// Execute.
    ///
    /// If a statement fails, the server skips everything that is queued up to the next sync.
    ///
    /// # Errors
    /// [`Error::Encode`]; nothing is queued then.
    pub fn queue_statement<'a>(
        &mut self,
        statement: &str,
        parameters: impl IntoIterator<Item = Option<&'a str>>,
    ) -> Result<(), Error> {
        self.queue(statement, parameters, None)
    }

    /// Queues one statement like [`queue_statement`](Self::queue_statement), but prepares it if it is sent
    /// repeatedly ([`set_statement_cache`](Self::set_statement_cache)).
    ///
    /// # Errors
    /// [`Error::Encode`]; nothing is queued then. The reply may be [`Error::Outdated`].
    pub fn queue_cached<'a>(
        &mut self,
        statement: &str,
        parameters: impl IntoIterator<Item = Option<&'a str>>,
    ) -> Result<(), Error> {
        let prepared = self.pipeline.cache.get(statement);
        self.queue(statement, parameters, prepared)
            .inspect_err(|_| self.pipeline.cache.remove(statement))
    }

    fn queue<'a>(
        &mut self,
        statement: &str,
        parameters: impl IntoIterator<Item = Option<&'a str>>,
        prepared: Option<Prepared>,
    ) -> Result<(), Error> {
        let known = prepared.as_ref();
        let name = known.map_or("", |prepared| &prepared.name);
        let must_parse = known.is_none_or(|prepared| prepared.is_new);
        let must_describe = known.is_none_or(|prepared| prepared.columns.is_none());
        let evicted = self.pipeline.cache.take_evicted();
        self.write(|buffer| {
            let mut names = evicted.iter();
            names.try_for_each(|name| frontend::close(b'S', name, buffer))
        })?;
        self.write(|buffer| {
            if must_parse {
                frontend::parse(name, statement, [], buffer)?;
            }
            bind(name, parameters, buffer)?;
            if must_describe {
                frontend::describe(b'P', "", buffer)?;
            }
            frontend::execute("", 0, buffer)
        })?;
        self.needs_sync = true;
        self.pipeline.push_statement(prepared);
        Ok(())
    }

    /// Queues the end of a group of statements. Outside an explicit transaction it commits.
    pub fn queue_sync(&mut self) {
        self.begin_exchange();
        frontend::sync(&mut self.outgoing);
        self.needs_sync = false;
        self.expect_ready();
    }

    /// Queues statements in the simple protocol, separated by semicolons. A sync is part of it.
    ///
    /// # Errors
    /// [`Error::Encode`]; nothing is queued then.
    pub fn queue_simple(&mut self, statements: &str) -> Result<(), Error> {
        if self.needs_sync {
            self.queue_sync();
        }
        self.write(|buffer| frontend::query(statements, buffer))?;
        self.expect_ready();
        Ok(())
    }

    /// Writes messages to the outgoing buffer, all of them or none.
    pub(crate) fn write(
        &mut self,
        messages: impl FnOnce(&mut BytesMut) -> io::Result<()>,
    ) -> Result<(), Error> {
        self.begin_exchange();
        let before = self.outgoing.len();
        messages(&mut self.outgoing).map_err(|error| {
            self.outgoing.truncate(before);
            Error::Encode(error)
        })
    }

    /// Starts a new exchange if no reply is pending.
    fn begin_exchange(&mut self) {
        if !self.is_busy() {
            self.answered = false;
            self.sent = false;
        }
    }

    fn expect_ready(&mut self) {
        self.awaiting_ready += 1;
        self.pipeline.push_sync();
    }
}

/// Writes a Bind of the unnamed portal, with parameters and results as text.
fn bind<'a>(
    name: &str,
    parameters: impl IntoIterator<Item = Option<&'a str>>,
    buffer: &mut BytesMut,
) -> io::Result<()> {
    let write = |parameter: Option<&str>, buffer: &mut BytesMut| match parameter {
        Some(text) => {
            buffer.extend_from_slice(text.as_bytes());
            Ok(IsNull::No)
        }
        None => Ok(IsNull::Yes),
    };
    frontend::bind("", name, [], parameters, write, [], buffer).map_err(|error| match error {
        BindError::Serialization(error) => error,
        BindError::Conversion(error) => io::Error::other(error),
    })
}
