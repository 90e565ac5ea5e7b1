//! What a laptop needs in place of the cloud.
//!
//! Each part is a module here and a subcommand of the binary `tirage-devstack`, and each runs as a
//! process of its own, so that a test can kill one and watch what the others do. Nothing here is
//! linked into the router: in production these are services that somebody else runs.
//!
//! - [`postgres`]: a private Postgres cluster in a folder.
//! - [`s3`]: an S3 server over a folder.
//! - [`queue`]: a queue with the API of SQS.
//! - [`trigger`]: takes the queue's messages to the application.
//! - [`cron`]: calls the application every so often.

pub mod cron;
mod hexadecimal;
mod http_client;
pub mod postgres;
pub mod queue;
pub mod s3;
pub mod trigger;
