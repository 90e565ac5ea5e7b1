//! The queue, its trigger and cron as processes: real sockets, real kills.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod client;
mod contract;
mod cron;
mod durability;
mod messages;
mod part;
mod refusals;
mod signatures;
mod target;
mod trigger;
