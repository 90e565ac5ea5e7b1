//! S3 as functions need it: settings to signed requests and URLs, answers to types.
//!
//! [`Bucket`] is read from the settings and makes the heads of requests, signed and ready to send; who
//! sends them adds the body. [`ObjectInfo`], [`Listing`] and [`Failure`] read what comes back.
//!
//! No I/O and no clock: the same code runs in a component, which sends through its host, and
//! natively. Only keys of this system's own layout ([`Key`]) are asked for, so that no name from outside
//! ends up in a path. Requests are those of <https://docs.aws.amazon.com/AmazonS3/latest/API/>.
//!
//! ```
//! use tirage_s3::{Bucket, Key};
//!
//! let setting = |name: &str| {
//!     let value = match name {
//!         "S3_ENDPOINT" => "https://s3.fr-par.scw.cloud",
//!         "S3_REGION" => "fr-par",
//!         "S3_BUCKET" => "prints",
//!         "S3_ACCESS_KEY_ID" => "an id",
//!         "S3_SECRET_ACCESS_KEY" => "a secret",
//!         _ => return None,
//!     };
//!     Some(value.to_owned())
//! };
//! let bucket = Bucket::from_settings(setting)?;
//! let key: Key = "0190b3a0-0000-7000-8000-000000000001/0190b3a0-0000-7000-8000-000000000002/original".parse()?;
//! let request = bucket.head(&key, jiff::Timestamp::now())?;
//! assert_eq!(request.uri().host(), Some("prints.s3.fr-par.scw.cloud"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bucket;
mod endpoint;
mod failure;
mod key;
mod listing;
mod object;
mod presigned;
mod requests;
mod xml;

pub use bucket::{Bucket, SettingsError};
pub use endpoint::{Addressing, EndpointError};
pub use failure::{Failure, FailureKind};
pub use key::{Key, Name, ParseKeyError};
pub use listing::{Listed, Listing};
pub use object::ObjectInfo;
pub use presigned::{Presigned, PresignedGet};
pub use requests::{List, Put, Range, RequestError};
pub use xml::AnswerError;
