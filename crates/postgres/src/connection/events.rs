//! Replies: what the server sends back for queued requests, and what it says about the session.

use std::io;
use std::sync::Arc;

use postgres_protocol::message::backend::{Message, ReadyForQueryBody};

use super::Connection;
use crate::{Column, Error, Row, ServerError};

/// A reply to a queued request.
#[derive(Debug)]
pub enum Event {
    /// A statement's result begins. Empty for a statement that returns no rows.
    Columns(Arc<[Column]>),
    /// One row of the result.
    Row(Row),
    /// The end of a statement: its command tag, such as `INSERT 0 1`. Empty for an empty statement.
    Complete(String),
    /// The end of everything up to one [`queue_sync`](Connection::queue_sync) or
    /// [`queue_simple`](Connection::queue_simple).
    Ready(TransactionStatus),
}

/// Transaction state of a session between statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// No transaction is open.
    Idle,
    /// A transaction is open.
    Open,
    /// A transaction has failed; it accepts only its end.
    Failed,
}

impl Connection {
    /// Sends what is queued and waits for the next reply. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Server`] if a statement failed; the server skips everything up to the next sync.
    /// [`Error::Stale`] if the server had closed the session before it read any of this exchange.
    /// [`Error::Outdated`] if a prepared statement could not be bound.
    pub async fn next_event(&mut self) -> Result<Event, Error> {
        loop {
            return match self.message().await? {
                Message::ParseComplete => {
                    self.pipeline.parsed();
                    continue;
                }
                Message::BindComplete => match self.pipeline.bound() {
                    Some(columns) => Ok(Event::Columns(columns)),
                    None => continue,
                },
                Message::RowDescription(body) => {
                    let columns: Arc<[Column]> = Column::read_all(&body)?.into();
                    self.pipeline.described(&columns);
                    Ok(Event::Columns(columns))
                }
                Message::NoData => {
                    let none = Arc::default();
                    self.pipeline.described(&none);
                    Ok(Event::Columns(none))
                }
                Message::DataRow(body) => Ok(Event::Row(Row::read(&body)?)),
                Message::CommandComplete(body) => {
                    self.pipeline.completed();
                    Ok(Event::Complete(body.tag().map_err(malformed)?.to_owned()))
                }
                Message::EmptyQueryResponse => {
                    self.pipeline.completed();
                    Ok(Event::Complete(String::new()))
                }
                Message::ReadyForQuery(body) => {
                    self.became_ready(&body)?;
                    Ok(Event::Ready(self.status))
                }
                Message::ErrorResponse(body) => Err(self.failed(ServerError::read(body.fields()))),
                Message::NoticeResponse(body) => {
                    let notice = ServerError::read(body.fields());
                    tracing::debug!(severity = notice.severity, %notice, "notice from Postgres");
                    continue;
                }
                Message::CopyInResponse(_) | Message::CopyOutResponse(_) => {
                    self.broken = true;
                    Err(Error::Copy)
                }
                Message::CloseComplete
                | Message::ParameterDescription(_)
                | Message::ParameterStatus(_)
                | Message::NotificationResponse(_)
                | Message::PortalSuspended => continue,
                other => {
                    self.broken = true;
                    Err(unexpected(&other))
                }
            };
        }
    }

    /// Waits for the next message of any kind.
    pub(crate) async fn message(&mut self) -> Result<Message, Error> {
        if self.broken {
            return Err(Error::Broken);
        }
        std::future::poll_fn(|context| self.poll_message(context))
            .await
            .inspect_err(|_error| {
                self.broken = true;
            })
    }

    pub(crate) fn became_ready(&mut self, body: &ReadyForQueryBody) -> Result<(), Error> {
        self.status = match body.status() {
            b'I' => TransactionStatus::Idle,
            b'T' => TransactionStatus::Open,
            b'E' => TransactionStatus::Failed,
            other => {
                self.broken = true;
                return Err(Error::Protocol(format!("transaction status {other}")));
            }
        };
        self.awaiting_ready = self.awaiting_ready.saturating_sub(1);
        self.pipeline.synced();
        Ok(())
    }

    /// Classifies an error of the server by what it means for the request and the session.
    fn failed(&mut self, error: ServerError) -> Error {
        let is_first = !self.answered;
        self.answered = true;
        if !error.ends_session() {
            return match self.pipeline.failed(&error) {
                true => Error::Outdated(Box::new(error)),
                false => Error::Server(Box::new(error)),
            };
        }
        self.broken = true;
        // Replies come in the order of the requests. If the first reply of the exchange is the end of
        // the session, the server has read nothing of the exchange.
        if is_first && error.is_unavailable() {
            return Error::Stale;
        }
        Error::Server(Box::new(error))
    }
}

pub(super) fn malformed(error: io::Error) -> Error {
    Error::Protocol(error.to_string())
}

/// Returns the error for a message that the protocol doesn't allow here.
pub(crate) fn unexpected(message: &Message) -> Error {
    Error::Protocol(
        match message {
            Message::CopyData(_) | Message::CopyDone => "copy data",
            Message::BackendKeyData(_) => "a cancel key",
            Message::ReadyForQuery(_) => "ready for query",
            Message::RowDescription(_) | Message::DataRow(_) => "rows",
            _ => "a message of another phase",
        }
        .to_owned(),
    )
}
