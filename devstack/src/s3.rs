//! An S3 server over a folder: one bucket made at start, random keys, nothing but loopback.
//!
//! [`Server::open`] takes a folder and a port, [`Server::serve`] answers. The next server on the same
//! folder has the same objects and keys, and the same port where it is still free.
//!
//! Promises:
//! - An object is there whole or not at all. It appears in one step, after its length and all checksums
//!   that came with it (`x-amz-checksum-*`, `Content-MD5`, a signed `x-amz-content-sha256`) are found right
//!   and after it is on disk; an upload that is cut off leaves nothing. What was answered 200 survives
//!   `kill -9`, at any time.
//! - Every request needs a Signature Version 4 of the right keys and region, in its headers or in its
//!   URL. Clocks may be 15 minutes apart. Presigned URLs expire, and what they sign (type, length,
//!   checksum) must be sent.
//! - A bucket is addressed in the path, or as the host `<bucket>.localhost`.
//! - Browsers may ask (CORS), by default from everywhere: without a signature they get nothing.
//!
//! Protocol and signatures are those of the crate s3s; how objects are stored is ours, since its sample
//! storage (s3s-fs) makes an object visible before it compares checksums, keeps it in three files, and
//! forces none of them to disk (docs/decisions/0014).
//!
//! There are: put, get (ranges, conditions, overridden response headers), head, delete, delete of many,
//! list (both versions), uploads in parts, and buckets. There are not: copies, versions, access lists,
//! policies, tags, lifecycles, websites and POST forms.

mod access;
mod buckets;
mod cors;
mod credentials;
mod error;
mod folder;
mod host;
mod incoming;
mod listing;
mod object_file;
mod objects;
mod operations;
mod parts;
mod server;
mod storage;

pub use self::credentials::Credentials;
pub use self::error::Error;
pub use self::server::{BUCKET, REGION, Server, Settings};
