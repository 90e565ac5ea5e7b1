//! One session with the server.
//!
//! The lower layer is a pipeline: the `queue_*` methods append requests without sending anything, and
//! [`Connection::next_event`] sends them while it waits for the next reply. The upper layer
//! ([`execute`](Connection::execute), [`batch_execute`](Connection::batch_execute)) is enough for most
//! callers.
//!
//! All state that outlives a dropped future is in [`Connection`]: the bytes in each direction, and the
//! number of pending ReadyForQuery messages. When that number is zero, the session is in a known state
//! again; [`Connection::ready`] waits for it.

mod events;
mod pipeline;
mod requests;
mod wire;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::BytesMut;

pub(crate) use self::events::unexpected;
pub use self::events::{Event, TransactionStatus};
use self::pipeline::Pipeline;
use crate::socket::{self, Socket};
use crate::{CancelToken, Column, Config, Error, Row, authenticate};

/// A session with a Postgres server.
///
/// Dropping it closes the socket; the server rolls back what was not committed.
pub struct Connection {
    stream: Box<dyn Socket>,
    /// Channel binding data of the TLS connection, until the login has used it.
    binding: Option<Vec<u8>>,
    incoming: BytesMut,
    outgoing: BytesMut,
    must_flush: bool,
    /// Error of writing. Reading continues, because the server may have sent a reason.
    write_error: Option<io::Error>,
    /// Number of pending ReadyForQuery messages.
    awaiting_ready: usize,
    /// `true` if statements are queued or sent that no sync follows yet.
    needs_sync: bool,
    /// `true` if the server has sent a reply in this exchange.
    answered: bool,
    /// `true` if the socket has taken a byte of this exchange.
    sent: bool,
    broken: bool,
    status: TransactionStatus,
    password_proved: bool,
    max_message: usize,
    pipeline: Pipeline,
    cancel_token: CancelToken,
}

/// The result of a statement.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The result's columns, empty for a statement that returns no rows.
    pub columns: Arc<[Column]>,
    /// The rows.
    pub rows: Vec<Row>,
    /// The command tag, such as `SELECT 3`.
    pub tag: String,
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

    /// Connects and logs in to a session that begins with `settings`. Also returns the parameters that
    /// the server reports.
    pub(crate) async fn connect_with(
        config: &Config,
        settings: &[(String, String)],
    ) -> Result<(Self, Vec<(String, String)>), Error> {
        let connect = Self::connect_without_limit(config, settings);
        match config.connect_timeout {
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
            answered: false,
            sent: false,
            broken: false,
            status: TransactionStatus::Idle,
            password_proved: false,
            max_message: usize::MAX,
            pipeline: Pipeline::after_startup(),
            cancel_token: CancelToken {
                config: Arc::new(config.clone()),
                process_id: 0,
                secret_key: 0,
            },
        };
        let parameters = authenticate::start(&mut connection, config, settings).await?;
        Ok((connection, parameters))
    }

    /// Executes one statement with parameters and results as text, in a transaction of its own unless
    /// one is open.
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

    /// Executes statements that are separated by semicolons, and ignores their rows. They are one
    /// transaction unless they contain transaction control.
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

    /// Waits until no reply is pending, ignoring replies and errors of statements. Statements without
    /// a sync get one first.
    ///
    /// # Errors
    /// Only errors that leave the connection broken.
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

    /// Returns a token that cancels the current statement.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel_token.clone()
    }

    /// `true` if the connection can no longer be used.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// `true` if a reply is pending or something is queued.
    pub fn is_busy(&self) -> bool {
        self.awaiting_ready > 0 || self.needs_sync || !self.outgoing.is_empty()
    }

    /// Transaction state when the server was last ready.
    pub fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    /// `true` if the server asked for the password, so that the login proves that it is right (`trust`
    /// and `peer` prove nothing).
    pub fn password_proved_by_login(&self) -> bool {
        self.password_proved
    }

    /// Sets the maximum length of a message in bytes. A longer one is refused before it is read into
    /// memory.
    pub fn limit_messages(&mut self, bytes: usize) {
        self.max_message = bytes;
    }

    /// Sets the number of statements that [`queue_cached`](Self::queue_cached) keeps; 0, the default,
    /// disables the cache. Behind a transaction pooler it must be 0.
    pub fn set_statement_cache(&mut self, capacity: usize) {
        self.pipeline.cache.set_capacity(capacity);
    }

    /// Empties the statement cache after the server has deallocated all prepared statements
    /// (`DEALLOCATE ALL`, `DISCARD ALL`).
    pub fn clear_statement_cache(&mut self) {
        self.pipeline.cache.clear();
    }

    /// Checks without waiting whether the server has closed an idle connection. Such a connection is
    /// broken from then on.
    pub fn is_closed(&mut self) -> bool {
        // The server may send notices and changed parameters at any time; they are no events.
        let event = pin!(self.next_event()).poll(&mut Context::from_waker(Waker::noop()));
        self.broken |= event.is_ready();
        self.broken
    }

    /// Returns the stream and the bytes that were received but not parsed. The connection must be idle.
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

    /// Reads the rest of a failed exchange.
    async fn after(&mut self, error: Error) -> Error {
        match self.ready().await {
            // The statement's error says more than that the connection broke afterwards.
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
