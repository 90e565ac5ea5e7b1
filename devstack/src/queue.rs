//! A queue with the API of SQS, as far as Scaleway has it, that keeps what it accepted.
//!
//! [`Server::start`] takes a folder and gives back a running server on 127.0.0.1 with one queue and
//! its dead-letter queue. The second start of the same folder finds the same messages, the same
//! keys and, where it is still free, the same port.
//!
//! Promises:
//! - What was answered is on disk: a message that was accepted survives a kill right after, one
//!   that was deleted doesn't come back, and how often a message was received is not forgotten.
//! - Messages come at least once, and (but for FIFO queues) roughly in the order in which they were sent. A message that
//!   was received is hidden for the queue's visibility timeout, across restarts too.
//! - A message that was received as often as the redrive policy allows goes to the dead-letter
//!   queue instead of being received once more.
//! - In a FIFO queue (its name ends with `.fifo`) messages come in order, and one that was received holds
//!   back all others until it is deleted. One that is sent again within five minutes is not taken again.
//! - A message that nobody deletes is dropped when its queue's retention period is over: four days,
//!   unless the queue is set otherwise.
//! - What Scaleway's queues don't have is refused ([supported actions][scaleway]), so that nothing
//!   works on a laptop only. Where Scaleway's page is silent, Amazon's documentation counts.
//! - When the disk fails, the server ends. It doesn't go on with what it can't keep.
//!
//! Left out: paging of lists, tags, permissions by key (the one key may do everything).
//!
//! [scaleway]: https://www.scaleway.com/en/docs/queues/reference-content/queues-support/

mod answer;
mod attributes;
mod batch;
mod fault;
mod fifo;
mod folder;
mod message;
mod messages;
mod operations;
mod query;
mod queues;
mod server;
mod service;
mod store;

pub use self::answer::REGION;
pub use self::attributes::{InvalidQueueName, QueueName};
pub use self::folder::Keys;
pub use self::server::{Server, Settings};

/// What can keep the queue from starting or going on, each in a line that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process has the folder.
    #[error("the queue in {} is in use by another process", .0.display())]
    Busy(std::path::PathBuf),

    /// The port that was asked for is taken.
    #[error("port {0} on 127.0.0.1 is taken by another program")]
    PortTaken(u16),

    /// A file that this module wrote does not read back.
    #[error("{} is damaged ({why}): remove the folder to begin afresh", file.display())]
    Damaged {
        /// Which file.
        file: std::path::PathBuf,
        /// What is wrong with it.
        why: String,
    },

    /// The queue's name leaves no room for its dead-letter queue's.
    #[error("with -dead after the name: {0}")]
    Name(#[from] InvalidQueueName),

    /// A write failed while the server ran; the log has the reason.
    #[error("messages cannot be written any more")]
    Unwritable,

    /// The file of messages cannot be opened, read or written.
    #[error("the file of messages: {0}")]
    Store(#[from] redb::Error),

    /// The operating system refused something.
    #[error("cannot {doing}: {error}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// What the system said.
        error: std::io::Error,
    },
}
