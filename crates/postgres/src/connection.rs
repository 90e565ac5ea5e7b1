//! One session with the server.
//!
//! The lower layer is a pipeline: the `queue_*` methods put requests in line without sending
//! anything, and [`Connection::next_event`] sends what is in line while it waits for the next
//! answer. The upper layer ([`execute`](Connection::execute),
//! [`batch_execute`](Connection::batch_execute)) is what most callers need.
//!
//! The state that outlives a dropped future is all here: the bytes in each direction, and how many
//! ReadyForQuery messages are still to come. When that number is known to reach zero the session is
//! in a known state again; [`Connection::ready`] waits for it.

mod answers;
mod line;
mod queue;
mod wire;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;

pub(crate) use self::answers::unexpected;
pub use self::answers::{Event, TransactionStatus};
use self::line::Line;
use crate::socket::{self, Socket};
use crate::{CancelToken, Column, Config, Error, Row, authenticate};

/// A session with a Postgres server.
///
/// Dropping it closes the socket; the server rolls back what was not committed.
pub struct Connection {
    stream: Box<dyn Socket>,
    /// What binds the login to the stream; until then.
    binding: Option<Vec<u8>>,
    incoming: BytesMut,
    outgoing: BytesMut,
    must_flush: bool,
    /// Why writing is over; reading goes on, because the server may have said why it left.
    write_error: Option<io::Error>,
    /// ReadyForQuery messages that are still to come.
    awaiting_ready: usize,
    /// Whether statements are in line or on their way that no sync follows yet.
    needs_sync: bool,
    /// Whether what was put in line last is a routine that nobody waits for.
    trails: bool,
    /// Whether the server has answered anything since the last time nothing was awaited.
    answered: bool,
    /// Whether a byte was handed to the socket since the last time nothing was awaited.
    sent: bool,
    broken: bool,
    status: TransactionStatus,
    password_proved: bool,
    is_superuser: bool,
    longest_message: usize,
    line: Line,
    cancel_token: CancelToken,
}

/// What a statement returned.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The result's columns, empty for a statement that returns no rows.
    pub columns: Arc<[Column]>,
    /// The rows.
    pub rows: Vec<Row>,
    /// The command tag, such as `SELECT 3`.
    pub tag: String,
}

/// How an idle connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing speaks against using it.
    Fine,
    /// What [trails](Connection::queue_trailing) has failed: nothing behind it is done until
    /// [`ready`](Connection::ready).
    TrailingFailed,
    /// The server has left.
    Closed,
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// Everything but [`Error::Stale`], [`Error::Encode`] and [`Error::Copy`].
    pub async fn connect(config: &Config) -> Result<Self, Error> {
        let (connection, _parameters) = Self::connect_with(config, &[]).await?;
        Ok(connection)
    }

    /// Connects and logs in to a session that begins with `settings`; also gives what the server
    /// reports of the session.
    pub(crate) async fn connect_with(
        config: &Config,
        settings: &[(String, String)],
    ) -> Result<(Self, Vec<(String, String)>), Error> {
        let connect = Self::connect_without_limit(config, settings);
        match config.connect_timeout() {
            None => connect.await,
            Some(limit) => tokio::time::timeout(limit, connect)
                .await
                .unwrap_or(Err(Error::ConnectTimeout(limit))),
        }
    }

    async fn connect_without_limit(
        config: &Config,
        settings: &[(String, String)],
    ) -> Result<(Self, Vec<(String, String)>), Error> {
        let opened = socket::open(config).await?;
        let mut connection = Self {
            stream: opened.stream,
            binding: opened.binding,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            must_flush: false,
            write_error: None,
            awaiting_ready: 1,
            needs_sync: false,
            trails: false,
            answered: false,
            sent: false,
            broken: false,
            status: TransactionStatus::Idle,
            password_proved: false,
            is_superuser: false,
            longest_message: usize::MAX,
            line: Line::after_startup(),
            cancel_token: CancelToken {
                config: Arc::new(config.clone()),
                process_id: 0,
                secret_key: 0,
            },
        };
        let parameters = authenticate::start(&mut connection, config, settings).await?;
        connection.is_superuser = parameters
            .iter()
            .any(|(name, value)| name == "is_superuser" && value == "on");
        Ok((connection, parameters))
    }

    /// Runs one statement, in a transaction of its own unless one is open, with every parameter and
    /// every result as text.
    ///
    /// # Errors
    /// [`Error::Server`] leaves the connection usable unless the server ended the session.
    pub async fn execute(
        &mut self,
        statement: &str,
        parameters: &[Option<&str>],
    ) -> Result<Outcome, Error> {
        self.queue_statement(statement, parameters.iter().copied())?;
        self.queue_sync();
        let mut outcome = Outcome {
            columns: Arc::default(),
            rows: Vec::new(),
            tag: String::new(),
        };
        loop {
            match self.next_event().await {
                Ok(Event::Columns(columns)) => outcome.columns = columns,
                Ok(Event::Row(row)) => outcome.rows.push(row),
                Ok(Event::Complete(tag)) => outcome.tag = tag,
                Ok(Event::Ready(_)) => return Ok(outcome),
                Err(error) => return Err(self.after(error).await),
            }
        }
    }

    /// Runs any number of statements, separated by semicolons, and ignores their rows. Unless they
    /// say otherwise they are one transaction.
    ///
    /// # Errors
    /// As for [`execute`](Self::execute).
    pub async fn batch_execute(&mut self, statements: &str) -> Result<(), Error> {
        self.queue_simple(statements)?;
        loop {
            match self.next_event().await {
                Ok(Event::Ready(_)) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(self.after(error).await),
            }
        }
    }

    /// Waits until every answer has come, whatever it says, and tells how the session stands.
    /// Statements without a sync get one first.
    ///
    /// # Errors
    /// Only those after which the connection is broken.
    pub async fn ready(&mut self) -> Result<TransactionStatus, Error> {
        if self.broken {
            return Err(Error::Broken);
        }
        if self.needs_sync {
            self.queue_sync();
        }
        while self.awaiting_ready > 0 {
            match self.next_event().await {
                Err(error) if self.broken => return Err(error),
                _ => {}
            }
        }
        Ok(self.status)
    }

    /// The right to cancel what this connection is doing.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel_token.clone()
    }

    /// The process that serves this session, as it was named at the login. A pooler names another one than
    /// the `pg_backend_pid()` behind it.
    pub fn process_id(&self) -> i32 {
        self.cancel_token.process_id
    }

    /// Whether the connection can no longer be used.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether answers are still to come that somebody waits for.
    pub fn is_busy(&self) -> bool {
        self.awaiting_ready > 0 || self.needs_sync && !self.trails || !self.outgoing.is_empty()
    }

    /// Whether [something trails](Self::queue_trailing) whose end isn't known yet.
    pub fn trails(&self) -> bool {
        self.trails
    }

    /// Waits for the end of what [trails](Self::queue_trailing), if anything does, and asks the server for a
    /// sign of life.
    ///
    /// # Errors
    /// [`Error::Skipped`] if what trails has failed; the connection is in order then. Others when it isn't.
    pub async fn rest(&mut self) -> Result<(), Error> {
        self.queue_sync();
        loop {
            match self.next_event().await {
                Ok(Event::Ready(_)) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(self.after(error).await),
            }
        }
    }

    /// How the session stood when the server was last ready.
    pub fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    /// Whether the server wanted the password to let us in, so that being in proves that it is
    /// right (`trust` and `peer` prove nothing).
    pub fn password_proved_by_login(&self) -> bool {
        self.password_proved
    }

    /// Whether the role that logged in is a superuser.
    pub fn is_superuser(&self) -> bool {
        self.is_superuser
    }

    /// Refuses messages longer than this many bytes, before they are read into memory.
    pub fn limit_messages(&mut self, bytes: usize) {
        self.longest_message = bytes;
    }

    /// Lets the server keep this many statements that come again parsed, for
    /// [`queue_repeated`](Self::queue_repeated). None at first: what a pooler between us and the
    /// server hands from one server to another can't keep any.
    pub fn keep_statements(&mut self, capacity: usize) {
        self.line.statements.set_capacity(capacity);
    }

    /// Whether a statement has come again so often that the server keeps it parsed.
    pub fn keeps_statement(&self, statement: &str) -> bool {
        self.line.statements.have_named(statement)
    }

    /// Learns that the server has forgotten all statements (`DEALLOCATE ALL`, `DISCARD ALL`).
    pub fn statements_are_gone(&mut self) {
        self.line.statements.clear();
    }

    /// Looks, without waiting, how a connection stands that isn't [busy](Self::is_busy).
    pub fn look(&mut self) -> Standing {
        if self.broken {
            return Standing::Closed;
        }
        // A changed setting or a notice may come at any time, and is no event.
        let event = pin!(self.next_event()).poll(&mut Context::from_waker(Waker::noop()));
        match event {
            Poll::Pending => Standing::Fine,
            Poll::Ready(Err(Error::Skipped(_))) => Standing::TrailingFailed,
            Poll::Ready(_) => {
                self.broken = true;
                Standing::Closed
            }
        }
    }

    /// Gives the stream away, with what was received and not looked at yet. For a connection with
    /// nothing in line.
    pub(crate) fn into_stream(self) -> (Box<dyn Socket>, BytesMut) {
        (self.stream, self.incoming)
    }

    pub(crate) fn set_cancel_key(&mut self, process_id: i32, secret_key: i32) {
        self.cancel_token.process_id = process_id;
        self.cancel_token.secret_key = secret_key;
    }

    pub(crate) fn take_binding(&mut self) -> Option<Vec<u8>> {
        self.binding.take()
    }

    pub(crate) fn proved_password(&mut self) {
        self.password_proved = true;
    }

    /// Reads on to the end of a failed exchange.
    async fn after(&mut self, error: Error) -> Error {
        match self.ready().await {
            // The statement's own error says more than that the connection broke afterwards.
            Ok(_) | Err(_) => error,
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("to", &self.cancel_token.config)
            .field("status", &self.status)
            .field("awaiting_ready", &self.awaiting_ready)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}
