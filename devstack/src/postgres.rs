//! A private Postgres cluster in a folder.
//!
//! [`Cluster::start`] takes a folder and returns a running server with the database `tirage`, its
//! owner `tirage_owner` (used by migrations) and the unprivileged role `tirage` (which may only
//! connect). The next start on the same folder has the same data, the same passwords and, if it is
//! free, the same port.
//!
//! Guarantees:
//! - The server listens on 127.0.0.1 and on a Unix socket in a private folder, nowhere else, and
//!   requires a password (SCRAM-SHA-256) on both.
//! - It never runs as root: started by root, it runs as `postgres` or `nobody`.
//! - A start works after any kill: an interrupted set-up is repeated, a server that outlived its parent
//!   process is stopped first, and two servers never share data.
//! - When the process that holds the [`Cluster`] dies, the server shuts down soon after.
//!
//! Not supported: upgrades between major versions (recreating a development cluster is cheaper),
//! backups, Windows.

mod account;
mod binaries;
mod cluster;
mod credentials;
mod folder;
mod guard;
mod home;
mod npm;
mod orphans;
mod server;
mod setup;

pub(crate) use self::binaries::MINIMUM_MAJOR;
pub use self::binaries::Source;
pub use self::cluster::{Cluster, Settings};
pub use crate::error::Error;
