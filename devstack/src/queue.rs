//! A durable queue with the API of SQS, limited to what Scaleway's queues offer and a laptop needs.
//!
//! A [`Server`] serves one queue and its dead-letter queue (`<name>-dead`) on 127.0.0.1. The next
//! start on the same folder has the same messages, the same key and, if it is free, the same port.
//!
//! Guarantees:
//! - Every response is on disk first: an accepted message survives a kill, a deleted one doesn't come
//!   back, and the number of receives is kept.
//! - Messages are delivered at least once, roughly in the order in which they were sent. A received
//!   message is hidden for the visibility timeout, across restarts too.
//! - A message that was received `max_receives` times moves to the dead-letter queue at its next
//!   receive.
//! - A message is deleted four days after it was sent, SQS's default retention period.
//! - What Scaleway's queues don't have ([supported actions][scaleway]) is refused by name, so that
//!   nothing works on a laptop only. Where Scaleway's page is silent, Amazon's documentation applies.
//! - If the disk fails, the server ends.
//!
//! Not supported: the Query protocol (XML), FIFO queues, message attributes, batches, and actions that
//! create, configure or delete queues. The command line sets visibility timeout and dead letters.
//!
//! [scaleway]: https://www.scaleway.com/en/docs/queues/reference-content/queues-support/

mod actions;
mod error;
mod http;
mod message;
mod name;
mod server;
mod service;
mod store;

pub use self::name::{InvalidQueueName, QueueName};
pub use self::server::{REGION, Server, Settings};
