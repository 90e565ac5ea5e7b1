//! The S3 server as a process: real sockets, real kills, and `tirage-s3` as the client, which the
//! functions use.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod contract;
mod cors;
mod kill;
mod objects;
mod presigned;
mod support;
mod uploads;
mod virtual_host;
