//! A Postgres connection for gateways.
//!
//! The SQL gateway forwards statements of clients: their parameters arrive as text, their results
//! leave as text, and the gateway doesn't know their types. Postgres' protocol supports exactly that
//! (unnamed statements, parameters and results in text format), but the usual client libraries hide
//! it behind typed values and prepared statements. This crate speaks it directly, in the frames of
//! `postgres-protocol`.
//!
//! Guarantees:
//! - **Pipelines.** [`Connection::execute`] sends Parse, Bind, Describe, Execute and Sync in one
//!   write, and any number of statements can be queued before the first reply. The server reports the
//!   same errors in the same order as if it had been asked step by step.
//! - **No deadlock.** Writing and reading go on concurrently, so a long pipeline whose replies fill
//!   the socket makes progress.
//! - **Dropping a future is safe.** All state is in the [`Connection`], and [`Connection::ready`]
//!   brings it back to a known state. A connection for which that is impossible says so
//!   ([`Connection::is_broken`]) and refuses further use.
//! - **The socket can be handed over.** A [`Session`] is logged in, and gives its socket to code that
//!   speaks the rest of the protocol.
//! - **Secrets stay secret.** Neither [`Config`] nor [`Password`] prints a password.
//!
//! Limits: no binary formats, COPY, LISTEN, replication, several hosts in one address, GSS or client
//! certificates.

mod authenticate;
mod cancel;
mod config;
mod connection;
mod error;
mod roles;
mod row;
mod server_error;
mod session;
mod socket;
mod statement_cache;
mod tls;

pub use cancel::CancelToken;
pub use config::{Config, Host, ParseConfigError, Password};
pub use connection::{Connection, Event, Outcome, TransactionStatus};
pub use error::Error;
pub use roles::{role_config, role_url_variable, scram_verifier};
pub use row::{Column, Row};
pub use server_error::ServerError;
pub use session::Session;
