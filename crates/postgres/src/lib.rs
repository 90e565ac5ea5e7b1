//! A Postgres connection for gateways.
//!
//! Tirage forwards statements that somebody else wrote: their parameters arrive as text, their
//! results leave as text, and nobody knows their types beforehand. Postgres has a protocol for
//! exactly that (unnamed statements, every parameter and result in text format), but the usual
//! client libraries hide it behind typed values and prepared statements. This crate speaks it
//! directly, in the frames of `postgres-protocol`.
//!
//! What it promises:
//! - **One request, one round trip.** [`Connection::execute`] sends Parse, Bind, Describe, Execute
//!   and Sync in one write. Text parameters need no description first, and the server reports the
//!   same errors in the same order as if it had been asked step by step. Statements that come again
//!   may be kept parsed ([`Connection::queue_repeated`]).
//! - **Nothing deadlocks.** Writing and reading go on at once, so a long pipeline whose answers
//!   fill the socket still moves.
//! - **Dropping a future is safe.** What was sent and what is still awaited lives in the
//!   [`Connection`], so [`Connection::ready`] brings it back to a known state. A connection that
//!   cannot be brought back says so ([`Connection::is_broken`]) and refuses further use.
//! - **The socket can be handed over.** A [`Session`] is one that is logged in, for whoever speaks the
//!   protocol's other parts.
//! - **Secrets stay secret.** Neither [`Config`] nor [`Password`] prints a password.
//!
//! What it leaves out: binary formats, COPY, LISTEN, replication, several
//! hosts in one address, GSS and client certificates.

mod authenticate;
mod cancel;
mod config;
mod connection;
mod error;
mod roles;
mod routine;
mod row;
mod server_error;
mod session;
mod socket;
mod statements;
mod tls;

pub use cancel::CancelToken;
pub use config::{ChannelBinding, Config, Host, ParseConfigError, Password, SslMode};
pub use connection::{Connection, Event, Outcome, Standing, TransactionStatus};
pub use error::Error;
pub use roles::{role_config, role_url_variable, scram_verifier};
pub use routine::Routine;
pub use row::{Column, Row};
pub use server_error::ServerError;
pub use session::Session;
