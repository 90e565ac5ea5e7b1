//! The private Postgres cluster: real servers, real kills.
//!
//! Requires the system's Postgres, or Node. Tests that need root (another user, folders that this user
//! can't enter) are skipped, with a notice, for other users. Running processes are read from `/proc`, so
//! the tests run on Linux only.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod account;
mod contract;
mod folder;
mod kill;
mod support;
mod temporary;
mod versions;
