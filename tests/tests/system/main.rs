//! The whole system from outside: real binaries, real sockets, a real Postgres.
//!
//! `cargo xtask test` builds what these tests need: the binaries in the folder of the test's own binary,
//! the functions in `build/`, the guests in `build/guests/`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod application;
mod guestbook;
mod harness;
mod manifest;
mod outgoing;
mod restarts;
mod router;
mod sql;
