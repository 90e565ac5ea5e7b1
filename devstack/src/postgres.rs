//! A private Postgres cluster in a folder: found, set up, started, stopped, recovered.
//!
//! [`Cluster::start`] takes a folder and gives back a running server with the database `tirage`,
//! its owner `tirage_owner` (migrations run as it) and the plain role `tirage` (which may do
//! nothing but connect). The second start of the same folder finds the same data and the same
//! passwords, and the same port where it is still free.
//!
//! Promises:
//! - The server listens on 127.0.0.1 and on a Unix socket in a private folder, nowhere else, and
//!   asks for a password (SCRAM-SHA-256) on both.
//! - It never runs as root: started by root, it runs as `postgres`, or as `nobody`.
//! - Whatever is killed, and whenever, the next start works: a set-up that was cut short is begun
//!   again, a server that outlived its keeper is stopped first, and no two servers ever share data.
//! - When the process that holds the [`Cluster`] dies, the server is shut down soon after.
//!
//! Left out: upgrades from one major version to the next (a development cluster is cheaper to make
//! again), backups, and Windows.

mod account;
mod binaries;
mod cluster;
mod credentials;
mod error;
mod files;
mod folder;
mod guard;
mod home;
mod npm;
mod orphans;
mod server;
mod setup;
mod syncing;

pub use self::binaries::Source;
pub use self::cluster::{Cluster, Settings};
pub use self::error::Error;
