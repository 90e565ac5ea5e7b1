//! Replacements for cloud services on a laptop.
//!
//! Each service is a module here and a subcommand of the binary `tirage-devstack`. Each runs as its
//! own process, so that a test can kill one and observe the others. Nothing here is linked into the
//! router: in production a cloud provider runs these services.
//!
//! - [`postgres`]: a private Postgres cluster in a folder.
//! - [`s3`]: an S3 server over a folder.
//! - [`queue`]: a queue with the API of SQS.
//! - [`trigger`]: delivers the queue's messages to the application.
//! - [`cron`]: calls the application at a fixed interval.

mod access_key;
pub mod cron;
mod data_folder;
mod error;
mod files;
mod http_client;
mod loopback;
pub mod postgres;
pub mod queue;
pub mod s3;
pub mod trigger;

pub use self::access_key::AccessKey;
pub use self::error::Error;
