//! The lower layer's other half: what the server answers, and what that says of the session.

use std::io;
use std::sync::Arc;

use postgres_protocol::message::backend::{Message, ReadyForQueryBody};

use super::Connection;
use super::line::{Completed, Failed};
use crate::{Column, Error, Row, ServerError};

/// What the server says in answer to what was queued.
#[derive(Debug)]
pub enum Event {
    /// A statement's result begins; no columns for a statement that returns no rows.
    Columns(Arc<[Column]>),
    /// One row of it.
    Row(Row),
    /// The statement is done; its command tag, such as `INSERT 0 1`. Empty for an empty statement and for
    /// a [`Routine`](crate::Routine).
    Complete(String),
    /// All up to one [`queue_sync`](Connection::queue_sync) or
    /// [`queue_simple`](Connection::queue_simple) is done.
    Ready(TransactionStatus),
}

/// Where a session stands between statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// In no transaction.
    Idle,
    /// In a transaction.
    Open,
    /// In a transaction that failed and takes nothing but its end.
    Failed,
}

impl Connection {
    /// Sends what is in line and waits for the next thing the server says. Losing this future loses
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Server`] when a statement failed: what follows up to the next sync was skipped.
    /// [`Error::Stale`] when the server turns out to have left before it saw any of this exchange, and
    /// [`Error::Skipped`] when it skips the exchange, because what trailed before it failed.
    /// [`Error::Outdated`] when a statement could not be bound by its name.
    pub async fn next_event(&mut self) -> Result<Event, Error> {
        loop {
            return match self.message().await? {
                Message::ParseComplete => {
                    self.line.parsed();
                    continue;
                }
                Message::BindComplete => match self.line.bound() {
                    Some(columns) => Ok(Event::Columns(columns)),
                    None => continue,
                },
                Message::RowDescription(body) => {
                    let columns: Arc<[Column]> = Column::read_all(&body)?.into();
                    self.line.described(&columns);
                    Ok(Event::Columns(columns))
                }
                Message::NoData => {
                    let none = Arc::default();
                    self.line.described(&none);
                    Ok(Event::Columns(none))
                }
                Message::DataRow(body) => Ok(Event::Row(Row::read(&body)?)),
                Message::CommandComplete(body) => match self.line.completed() {
                    Completed::Part => continue,
                    Completed::Trailing => {
                        // It was the end of the exchange before.
                        self.answered = false;
                        continue;
                    }
                    Completed::Routine => Ok(Event::Complete(String::new())),
                    Completed::Statement => {
                        Ok(Event::Complete(body.tag().map_err(malformed)?.to_owned()))
                    }
                },
                Message::EmptyQueryResponse => {
                    self.line.completed();
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

    /// The next message of any kind.
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
        self.line.synced();
        Ok(())
    }

    /// Sorts an error of the server's by what is left of the session.
    fn failed(&mut self, error: ServerError) -> Error {
        if !error.ends_session() {
            self.answered = true;
            return match self.line.skip_failed(&error) {
                Failed::Name => Error::Outdated(Box::new(error)),
                Failed::Statement => Error::Server(Box::new(error)),
                Failed::Trailing => Error::Skipped(Box::new(error)),
            };
        }
        self.broken = true;
        // Answers come in the order of the requests. So if the farewell is the first that is heard
        // since the exchange began, nothing of the exchange was looked at.
        let is_first = !self.answered || self.line.is_trailing_in_front();
        if is_first && error.is_unavailable() {
            return Error::Stale;
        }
        Error::Server(Box::new(error))
    }
}

pub(super) fn malformed(error: io::Error) -> Error {
    Error::Protocol(error.to_string())
}

/// Names a message that has no business here.
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
