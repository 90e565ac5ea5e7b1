//! The whole system from outside: real binaries, real sockets, a real Postgres.
//!
//! `cargo xtask test` builds what these tests need: the binaries beside the test's own, the
//! functions in `build/`, the misbehaving guests in `build/guests/`.

mod application;
mod harness;
mod manifest;
mod restarts;
mod router;
