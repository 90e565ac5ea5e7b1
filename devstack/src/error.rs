//! The error of every service: each message is one line that names the value and says what to do.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::postgres::MINIMUM_MAJOR;
use crate::queue::InvalidQueueName;

/// Reason why a service didn't start or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process uses the data folder.
    #[error("{} is in use by process {holder}", folder.display())]
    Busy {
        /// The data folder.
        folder: PathBuf,
        /// Id of the process that holds its lock.
        holder: String,
    },

    /// The requested port is taken.
    #[error("port {0} on 127.0.0.1 is taken by another program")]
    PortTaken(u16),

    /// A system call failed.
    #[error("cannot {action}: {error}")]
    Io {
        /// The attempted action, with the path.
        action: String,
        /// The system's error.
        error: io::Error,
    },

    /// A file of this crate can't be parsed.
    #[error("{} is damaged ({why}): restore it, or delete its folder to start afresh", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The parser's error.
        why: String,
    },

    /// The queue's name leaves no room for the suffix of its dead-letter queue.
    #[error("cannot name the dead-letter queue: {0}")]
    QueueName(#[from] InvalidQueueName),

    /// The queue's messages can't be opened.
    #[error("cannot open {}: {error}", file.display())]
    MessageStore {
        /// The file of messages.
        file: PathBuf,
        /// The store's error.
        error: Box<redb::Error>,
    },

    /// A write failed while the queue was running; the log has the reason.
    #[error("cannot write messages")]
    Unwritable,

    /// Neither the system nor npm has a usable Postgres.
    #[error(
        "no Postgres {MINIMUM_MAJOR} or newer found; get it with `apt-get install postgresql`, \
         `brew install postgresql` or `dnf install postgresql-server`, or install Node so that npm \
         can fetch it ({why})"
    )]
    NoBinaries {
        /// The attempts and their errors.
        why: String,
    },

    /// The folder of binaries named in the settings is unusable.
    #[error("no usable Postgres in {}: {why}", folder.display())]
    BadBinaries {
        /// The folder of binaries.
        folder: PathBuf,
        /// The reason.
        why: String,
    },

    /// The data were created by another major version of Postgres.
    #[error(
        "the data in {} were made by Postgres {data}, but the binaries in {} are Postgres \
         {binaries}: install Postgres {data}, or delete the cluster's folder",
        folder.display(), binaries_folder.display()
    )]
    VersionSkew {
        /// The data directory.
        folder: PathBuf,
        /// Major version of the data.
        data: u32,
        /// The folder of binaries.
        binaries_folder: PathBuf,
        /// Major version of the binaries.
        binaries: u32,
    },

    /// The data belong to a user that this process can't become.
    #[error(
        "the data in {} belong to user id {owner}: run as that user or as root, or delete them",
        folder.display()
    )]
    ForeignData {
        /// The data directory.
        folder: PathBuf,
        /// User id of the owner.
        owner: u32,
    },

    /// There are data, but the file with the passwords is missing.
    #[error(
        "{} is missing, and without it the data in {} cannot be opened: restore it, or delete the \
         cluster's folder",
        credentials.display(), data.display()
    )]
    CredentialsLost {
        /// The missing file.
        credentials: PathBuf,
        /// The data directory.
        data: PathBuf,
    },

    /// A program of Postgres failed.
    #[error("{program} failed ({status}): {output}")]
    Failed {
        /// The program.
        program: String,
        /// Its exit status.
        status: ExitStatus,
        /// Its standard error.
        output: String,
    },

    /// The Postgres server ended, or hung, before it was ready.
    #[error("Postgres did not start ({how}): {log}")]
    NotReady {
        /// Exit status or timeout.
        how: String,
        /// Last lines of its log.
        log: String,
    },
}

/// Adds the attempted action to a system error.
pub(crate) trait IoContext<T> {
    /// Turns the error into [`Error::Io`].
    fn with_action(self, action: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn with_action(self, action: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| Error::Io {
            action: action(),
            error,
        })
    }
}

impl<T> IoContext<T> for nix::Result<T> {
    fn with_action(self, action: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(io::Error::from).with_action(action)
    }
}
