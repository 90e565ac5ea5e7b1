//! S3 client without I/O: settings to signed requests and URLs, responses to types.
//!
//! [`Bucket`] is read from the settings and makes signed request heads; the caller adds the body and sends
//! them. [`ObjectInfo`], [`Listing`] and [`Failure`] parse the responses.
//!
//! The crate has no clock either, so the same code runs in a component and natively. Every object is
//! addressed by a [`Key`], so no text from a client becomes part of a path. The requests are those of
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/>.
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
pub use key::{Key, ObjectName, ParseKeyError, VariantName};
pub use listing::{Listed, Listing};
pub use object::ObjectInfo;
pub use presigned::{Presigned, PresignedGet};
pub use requests::{List, Put, Range, RequestError};
pub use xml::ResponseError;
