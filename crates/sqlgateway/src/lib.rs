//! Any Postgres over HTTP, in the protocol of Neon: `POST /sql` with a statement or a batch in JSON,
//! rows back in JSON.
//!
//! Functions use it to keep state without holding a connection. Neon's clients can't tell this gateway
//! from Neon. The protocol is specified only by Neon's proxy (<https://github.com/neondatabase/neon>,
//! `proxy/src/serverless`).
//!
//! A [`Gateway`] serves two kinds of callers. In process, the host has bound a component to a [`Role`],
//! and the component's connection string is ignored. On a socket ([`serve_on`]), the connection string
//! names the user, and its password is checked against [`Accounts`]; `GET /v2` opens a WebSocket for an
//! interactive session there.
//!
//! Guarantees:
//! - **One request, one transaction.** A batch commits completely or not at all. No request sees what
//!   another did to its session (`SET`, `BEGIN`, temporary tables, locks, cursors).
//! - **No avoidable error.** A connection that Postgres has closed is replaced. A statement is sent
//!   again only if the server certainly never read it, or has rolled it back.
//! - **An abandoned request ends.** Dropping its future cancels its statement.
//! - **Every limit is a setting** ([`Settings`]) with a response of its own: 413, 507, 503.
//!
//! Limits: no JWT authentication, no startup parameters in the connection string.

mod accounts;
mod array;
mod caller;
mod cleaning;
mod connect;
mod execute;
mod failure;
mod gateway;
mod kind;
mod lease;
mod parameter;
mod pool;
mod relay;
mod request;
mod result;
mod server;
mod settings;
mod types;

pub use accounts::Accounts;
pub use gateway::{Gateway, Identity, Role};
pub use server::serve_on;
pub use settings::Settings;
