//! Statements of our own that every request is sent along with.
//!
//! They take no parameters, and nobody reads what they return. So a session encodes them once, and
//! their answers are only counted.

use std::io;

use bytes::BytesMut;
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend::{self, BindError};

/// Statements that are always sent together, and never anything else under the same name.
#[derive(Debug)]
pub struct Routine {
    /// What no other routine is called. The server knows its statements by it
    /// (`pg_prepared_statements`).
    pub name: &'static str,
    /// The statements, at least one, without parameters.
    pub statements: &'static [&'static str],
}

impl Routine {
    /// Writes what gives the statements their names. Whether they had them already makes no difference.
    pub(crate) fn parse(&self, buffer: &mut BytesMut) -> io::Result<()> {
        for (number, statement) in self.statements.iter().enumerate() {
            let name = self.statement_name(number);
            frontend::close(b'S', &name, buffer)?;
            frontend::parse(&name, statement, [], buffer)?;
        }
        Ok(())
    }

    /// Writes what runs the statements by their names.
    pub(crate) fn run(&self, buffer: &mut BytesMut) -> io::Result<()> {
        (0..self.statements.len()).try_for_each(|number| run(&self.statement_name(number), buffer))
    }

    /// Writes what runs the statements without names.
    pub(crate) fn run_unnamed(&self, buffer: &mut BytesMut) -> io::Result<()> {
        self.statements.iter().try_for_each(|statement| {
            frontend::parse("", statement, [], buffer)?;
            run("", buffer)
        })
    }

    fn statement_name(&self, number: usize) -> String {
        format!("tirage_{}_{number}", self.name)
    }
}

fn run(name: &str, buffer: &mut BytesMut) -> io::Result<()> {
    let none = std::iter::empty::<()>();
    frontend::bind("", name, [], none, |(), _| Ok(IsNull::Yes), [], buffer).map_err(|error| {
        match error {
            BindError::Serialization(error) => error,
            BindError::Conversion(error) => io::Error::other(error),
        }
    })?;
    frontend::execute("", 0, buffer)
}
