//! Postgres over HTTP, in the protocol that Neon made: `POST /sql`, a statement or a batch of them
//! in JSON, rows back in JSON.
//!
//! A component can hold no connection: its instance may be gone after the answer. So it says
//! everything in one request. A [`Statement`] is its own transaction, a batch is one transaction, and
//! there is nothing in between: no session, no cursor, no transaction held open while the
//! component thinks.
//!
//! ```ignore
//! let client = Client::new(Wasi::default(), Endpoint::new(url, &connection_string)?);
//! let [_, rows] = client
//!     .batch([
//!         Statement::new("select set_config('tirage.workspace', $1, true)").bind(workspace),
//!         Statement::new("insert into description (text) values ($1) returning id").bind(text),
//!     ])
//!     .await?;
//! let id: i64 = rows.single()?.get("id")?;
//! ```
//!
//! In a component, requests go through `wasi:http` (feature `spin`, `Wasi`); in any other program,
//! through hyper on Tokio (feature `native`, `Native`). `tests/sql-cases` shows that both do the same.
//!
//! What it promises:
//! - Values cross as Postgres writes them in text, so nothing is rounded on the way, and are
//!   converted by the column's type; a type that doesn't fit is an error, never a guess.
//! - A batch that lost to another transaction (serialization failure, deadlock) is sent again, a
//!   bounded number of times and within the timeout: Postgres has said that it didn't commit. Nothing else is sent again,
//!   because without an answer nobody knows whether it did.
//! - A call that is dropped, or that waited for too long, ends its statement too.
//! - Each error is of a kind that callers can act on ([`Error`]).
//!
//! What it leaves out: streaming of rows (the protocol has none), and checks of column types at
//! compile time.
//!
//! The protocol is documented by its implementations alone: Neon's proxy
//! (<https://github.com/neondatabase/neon>, `proxy/src/serverless`) and driver
//! (<https://github.com/neondatabase/serverless>).

mod array;
mod client;
mod error;
mod from_sql;
#[cfg(feature = "native")]
mod native;
mod parameter;
mod protocol;
mod rows;
#[cfg(feature = "spin")]
mod spin;
mod transport;
mod types;

pub use client::{Client, Endpoint, EndpointError, Isolation, Settings, Transaction};
pub use error::{DatabaseError, Error};
pub use from_sql::{ConversionError, FromSql, Json, Value};
#[cfg(feature = "native")]
pub use native::{Authorities, AuthoritiesError, Native, NativeSettings};
pub use parameter::{Parameter, Statement};
pub use rows::{Row, Rows};
#[cfg(feature = "spin")]
pub use spin::Wasi;
pub use transport::{Transport, TransportError};
pub use types::Type;
