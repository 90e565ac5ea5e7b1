//! The gateway against a real Postgres. One binary, so that it is linked once and its tests share a
//! server; a test that harms its server has one of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod behind;
mod bursts;
mod failures;
mod interactive;
mod leaks;
mod pool;
mod relay;
mod sessions;
mod socket;
mod statements;
mod support;
mod values;
