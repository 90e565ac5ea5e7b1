//! The devstack's parts, used with boto3, as most who know S3 and SQS use them: each script here runs
//! against a part that a test started for it.
//!
//! Needs a Python with boto3: `TIRAGE_PYTHON` (`cargo xtask test` sets it), else `python3`.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod python;
mod queue;
mod s3;
