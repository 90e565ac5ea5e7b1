//! S3 server and queue with boto3, the most common client: a test starts the service, and runs a script of
//! this folder against it.
//!
//! Requires a Python with boto3: `TIRAGE_PYTHON` (`cargo xtask test` sets it), else `python3`.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod python;
mod service;
