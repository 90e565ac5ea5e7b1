//! AWS Signature Version 4, as S3, SQS and compatible services require it.
//!
//! - [`Signer::sign`] adds a signature to a request's headers;
//! - [`Signer::presign`] returns a presigned URL, for clients that don't have the keys;
//! - [`verify`] checks, in a server, the signature in a request's headers.
//!
//! No I/O and no clock: the caller passes the time. Builds for WebAssembly and natively. The rules are
//! those of AWS:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html> and,
//! for S3, <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html>.
//!
//! Not supported: session tokens (AWS STS), chunked signatures (`STREAMING-…`), asymmetric ones (SigV4A),
//! and POST policies.

mod canonical;
mod credentials;
mod scope;
mod signer;
mod verify;

pub use credentials::{Credentials, Secret};
pub use scope::Service;
pub use signer::{Error, MAX_EXPIRY, Payload, Signer};
pub use verify::{MAX_SKEW, Refusal, verify};
