//! Why the server can't start, and what is said of failures inside it.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use s3s::{S3Error, S3ErrorCode};

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something that the operating system didn't do: what.
    #[error("cannot {doing}: {error}")]
    System {
        /// What was tried.
        doing: String,
        /// What it said.
        error: io::Error,
    },
    /// Another process serves this folder.
    #[error("{} is in use by another process", .0.display())]
    Busy(PathBuf),
    /// The keys can't be read.
    #[error("{} is damaged: {why}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

pub(super) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| Error::System {
            doing: what(),
            error,
        })
    }
}

/// For the client 500 and no more; the log has the reason.
pub(super) fn internal(error: impl Display) -> S3Error {
    tracing::error!("{error}");
    S3Error::new(S3ErrorCode::InternalError)
}

/// An answer of a code that s3s has no status for.
pub(super) fn bad_request(code: &'static str, message: &'static str) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(http::StatusCode::BAD_REQUEST);
    error
}
