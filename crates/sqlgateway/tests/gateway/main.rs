//! Tests of the gateway with a real Postgres. One binary, so that it is linked once and its tests share a
//! server. A test that stops its server has one of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod cleaning;
mod concurrent;
mod failures;
mod interactive;
mod leaks;
mod pool;
mod relay;
mod round_trips;
mod sessions;
mod socket;
mod statements;
mod support;
mod values;
