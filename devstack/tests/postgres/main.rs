//! The private Postgres cluster, tried with real servers and real kills.
//!
//! Needs what the cluster needs: a Postgres of the system, or Node. What only root can try (another
//! user, folders that this user cannot reach) is skipped, with a notice, for everybody else. Who
//! still runs is read from `/proc`, so this is for Linux.

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
