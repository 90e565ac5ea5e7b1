//! The lower layer's one half: what is put in line, without anything being sent yet.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend::{self, BindError};

use super::Connection;
use crate::statements::Plan;
use crate::{Error, Routine};

impl Connection {
    /// Puts one statement in line, all text in and out: Parse, Bind, Describe, Execute. It has no
    /// name with the server.
    ///
    /// If a statement fails, the server skips all that is in line up to the next sync.
    ///
    /// # Errors
    /// [`Error::Encode`], and then nothing is put in line.
    pub fn queue_statement<'a>(
        &mut self,
        statement: &str,
        parameters: impl IntoIterator<Item = Option<&'a str>>,
    ) -> Result<(), Error> {
        self.queue(statement, parameters, None)
    }

    /// As [`queue_statement`](Self::queue_statement), but a statement that comes again and again is
    /// parsed by the server only once ([`keep_statements`](Self::keep_statements)).
    ///
    /// # Errors
    /// [`Error::Encode`], and then nothing is put in line. Its answer may be [`Error::Outdated`].
    pub fn queue_repeated<'a>(
        &mut self,
        statement: &str,
        parameters: impl IntoIterator<Item = Option<&'a str>>,
    ) -> Result<(), Error> {
        let plan = self.line.statements.meet(statement);
        let text = plan.as_ref().map(|plan| Arc::clone(&plan.text));
        self.queue(statement, parameters, plan).inspect_err(|_| {
            if let Some(text) = text {
                self.line.statements.forget(&text);
            }
        })
    }

    /// Puts a routine in line. Its answer is one [`Event::Complete`](crate::Event::Complete) without a tag.
    ///
    /// # Errors
    /// As for [`queue_repeated`](Self::queue_repeated), and as there its answer may be
    /// [`Error::Outdated`].
    pub fn queue_routine(&mut self, routine: &'static Routine) -> Result<(), Error> {
        let run = self.line.statements.routine(routine.name).cloned();
        let is_new = run.is_none() && self.line.statements.are_kept();
        if let Some(run) = run {
            self.begin_exchange();
            self.outgoing.extend_from_slice(&run);
        } else if is_new {
            let mut run = BytesMut::new();
            routine.run(&mut run).map_err(Error::Encode)?;
            self.write(|buffer| {
                routine.parse(buffer)?;
                buffer.extend_from_slice(&run);
                Ok(())
            })?;
            self.line
                .statements
                .learn_routine(routine.name, run.freeze());
        } else {
            self.write(|buffer| routine.run_unnamed(buffer))?;
        }
        self.needs_sync = true;
        self.line.push_routine(routine, is_new);
        Ok(())
    }

    /// Puts routines in line behind everything, whose end nobody waits for: no sync follows them, and no
    /// event. The exchange before them is over with its own sync. The next one is the first to hear of a
    /// routine that failed ([`Error::Skipped`]).
    ///
    /// The server says nothing of them until then either, and takes the session for active; so where no
    /// exchange follows soon, call [`rest`](Self::rest). They must return no rows and leave no transaction
    /// open.
    ///
    /// # Errors
    /// [`Error::Encode`], and then those before it stay in line.
    pub fn queue_trailing(&mut self, routines: &[&'static Routine]) -> Result<(), Error> {
        for routine in routines {
            self.queue_routine(routine)?;
            self.line.trail();
        }
        self.trails = true;
        Ok(())
    }

    fn queue<'a>(
        &mut self,
        statement: &str,
        parameters: impl IntoIterator<Item = Option<&'a str>>,
        plan: Option<Plan>,
    ) -> Result<(), Error> {
        let name = plan.as_ref().map_or("", |plan| &plan.name);
        let must_parse = plan.as_ref().is_none_or(|plan| plan.is_new);
        let must_describe = plan.as_ref().is_none_or(|plan| plan.columns.is_none());
        let forgotten = self.line.statements.take_forgotten();
        self.write(|buffer| {
            let mut names = forgotten.iter();
            names.try_for_each(|name| frontend::close(b'S', name, buffer))
        })?;
        self.write(|buffer| {
            if must_parse {
                frontend::parse(name, statement, [], buffer)?;
            }
            frontend::bind(
                "",
                name,
                [],
                parameters,
                |parameter, buffer| match parameter {
                    Some(text) => {
                        buffer.extend_from_slice(text.as_bytes());
                        Ok(IsNull::No)
                    }
                    None => Ok(IsNull::Yes),
                },
                [],
                buffer,
            )
            .map_err(|error| match error {
                BindError::Serialization(error) => error,
                BindError::Conversion(error) => io::Error::other(error),
            })?;
            if must_describe {
                frontend::describe(b'P', "", buffer)?;
            }
            frontend::execute("", 0, buffer)
        })?;
        self.needs_sync = true;
        self.line.push_statement(plan);
        Ok(())
    }

    /// Puts the end of a group of statements in line; outside an open transaction it commits.
    pub fn queue_sync(&mut self) {
        self.begin_exchange();
        frontend::sync(&mut self.outgoing);
        self.needs_sync = false;
        self.expect_ready();
    }

    /// Puts a request in line to answer what came before it without waiting for a sync.
    pub fn queue_flush(&mut self) {
        self.begin_exchange();
        frontend::flush(&mut self.outgoing);
    }

    /// Puts statements of the simple protocol in line; a sync is part of it.
    ///
    /// # Errors
    /// [`Error::Encode`], and then nothing is put in line.
    pub fn queue_simple(&mut self, statements: &str) -> Result<(), Error> {
        if self.needs_sync {
            self.queue_sync();
        }
        self.write(|buffer| frontend::query(statements, buffer))?;
        self.expect_ready();
        Ok(())
    }

    /// Writes messages into the line, all of them or none.
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

    /// An exchange begins with the first request after everything was answered.
    fn begin_exchange(&mut self) {
        if !self.is_busy() {
            self.answered = false;
            self.sent = false;
        }
        self.trails = false;
    }

    fn expect_ready(&mut self) {
        self.awaiting_ready += 1;
        self.line.push_sync();
    }
}
