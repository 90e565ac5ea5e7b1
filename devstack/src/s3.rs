//! An S3 server with one bucket over a folder, on 127.0.0.1.
//!
//! [`Server::open`] takes a folder and a port, [`Server::serve`] answers. The next start on the same
//! folder has the same objects, the same key and, if it is free, the same port.
//!
//! Guarantees:
//! - An object appears in one step, after its length and all checksums in the request
//!   (`x-amz-checksum-*`, `Content-MD5`, a signed `x-amz-content-sha256`) have been verified and after it
//!   is on disk. An interrupted upload leaves nothing. What was answered 200 survives `kill -9`.
//! - Every request needs a Signature Version 4 with the right key and region, in its headers or its
//!   URL. Clocks may differ by 15 minutes. Presigned URLs expire, and the headers that they sign (type,
//!   length, checksum) must be sent.
//! - The bucket is addressed in the path or as the host `<bucket>.localhost`.
//! - Browsers may send requests from every origin (CORS); they need a signature too.
//!
//! The crate s3s implements the protocol and the signatures. Objects are stored by this module, because
//! s3s's sample storage (s3s-fs) publishes an object before it compares checksums, keeps it in three
//! files, and syncs none of them (docs/decisions/0014).
//!
//! Supported: put, get (ranges, conditions, overridden response headers), head, delete, deletion of
//! many, list (both versions), multipart uploads. Not supported: other buckets, copies, versions, access
//! lists, policies, tags, lifecycles, websites, POST forms, and conditions other than
//! `If-None-Match: *` on uploads.

mod access;
mod buckets;
mod cors;
mod error;
mod host;
mod incoming;
mod listing;
mod object_file;
mod objects;
mod operations;
mod parts;
mod server;
mod storage;

pub use self::server::{BUCKET, REGION, Server, Settings};
