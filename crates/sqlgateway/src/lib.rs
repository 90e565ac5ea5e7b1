//! Any Postgres over HTTP, in the protocol that Neon made: `POST /sql`, a statement or a batch in
//! JSON, rows back in JSON.
//!
//! That is how functions keep state without holding a connection. Neon's own clients can't tell this
//! gateway from Neon; the protocol has no other specification than Neon's proxy
//! (<https://github.com/neondatabase/neon>, `proxy/src/serverless`).
//!
//! A [`Gateway`] is asked in two ways. In process, the host has bound a component to a [`Role`],
//! and whatever connection string the guest sends is ignored. On a socket ([`serve_on`]), the
//! connection string says who asks, and its password is checked against [`Accounts`]. Only there,
//! `GET /v2` is a WebSocket for interactive sessions.
//!
//! What it promises:
//! - **One request, one transaction.** A statement is its own; a batch commits whole or not at all.
//!   Nothing that a request did to its session (`SET`, `BEGIN`, temporary tables, locks, cursors)
//!   is seen by the next.
//! - **Nobody waits for the cleaning**, except where a pooler is between: the server does it behind the
//!   answer, and before whatever comes next.
//! - **No error that could have been avoided.** A connection that Postgres had closed is replaced;
//!   a statement is sent again only if the server certainly never saw it, or has undone it.
//! - **Who leaves is cleaned up after.** Dropping a request's future cancels its statement.
//! - **Every limit is a setting** ([`Settings`]) with an answer of its own: 413, 507, 503.
//!
//! What it leaves out: JWT authentication, and startup parameters in the connection string.

mod accounts;
mod answer;
mod array;
mod burst;
mod caller;
mod cleaning;
mod execute;
mod failure;
mod gateway;
mod idle;
mod kind;
mod lanes;
mod lease;
mod parameter;
mod patience;
mod pool;
mod relay;
mod request;
mod server;
mod settings;
mod types;

pub use accounts::Accounts;
pub use gateway::{Gateway, Identity, Role};
pub use server::serve_on;
pub use settings::Settings;
