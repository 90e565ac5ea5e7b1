//! A client for Postgres over HTTP, in Neon's protocol: `POST /sql` with a statement or a batch in
//! JSON returns the rows in JSON.
//!
//! A component can't hold a connection, since its instance may end after the response. So one request
//! holds everything: a [`Statement`] is its own transaction and a batch is one transaction. There are
//! no sessions, no cursors and no transactions over several requests.
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
//! Components send requests through `wasi:http` (feature `spin`, `Wasi`). Other programs implement
//! [`Transport`].
//!
//! Guarantees:
//! - Values are transferred in Postgres' text format, so nothing is rounded, and are converted by the
//!   column's type. A type that doesn't fit is an error.
//! - A statement or batch that lost to another transaction (serialization failure, deadlock) is sent
//!   again, a bounded number of times and within the timeout, since Postgres reported that it didn't
//!   commit. Nothing else is sent again: without a response, it is unknown whether it committed.
//! - Dropping a call cancels its statement, and so does the timeout.
//! - Each kind of [`Error`] tells the caller what to do.
//!
//! Not supported: streaming of rows (the protocol has no such thing), and checks of column types at
//! compile time.
//!
//! The protocol is documented by its implementations alone: Neon's proxy
//! (<https://github.com/neondatabase/neon>, `proxy/src/serverless`) and driver
//! (<https://github.com/neondatabase/serverless>).

mod array;
mod client;
mod error;
mod from_sql;
mod parameter;
mod protocol;
mod rows;
#[cfg(feature = "spin")]
mod spin;
mod transport;
mod types;

pub use client::{Client, Endpoint, EndpointError, Isolation, Options, Transaction};
pub use error::{DatabaseError, Error};
pub use from_sql::{ConversionError, FromSql, Json, Value};
pub use parameter::{Parameter, Statement};
pub use rows::{Row, Rows};
#[cfg(feature = "spin")]
pub use spin::Wasi;
pub use transport::{Transport, TransportError};
pub use types::Type;
