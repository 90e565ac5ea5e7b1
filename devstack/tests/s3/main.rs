//! The S3 server, tried from outside: as a process, over sockets, with real kills, and through
//! `tirage-s3`, as the functions speak to it.

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
