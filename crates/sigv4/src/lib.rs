//! AWS Signature Version 4, as S3, SQS and everything that imitates them ask for it.
//!
//! - [`Signer::sign`] adds a signature to a request's headers;
//! - [`Signer::presign`] makes a URL that carries its own, for somebody without the keys;
//! - [`verify`] checks the first of these, for a server.
//!
//! No I/O and no clock: time comes in, headers and URLs come out, on WebAssembly and natively. The
//! rules are those of AWS:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html> and,
//! for S3, <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html>.
//!
//! Not here: chunked signatures (`STREAMING-…`), asymmetric ones (SigV4A), and forms (POST policies).

mod canonical;
mod credentials;
mod scope;
mod signer;
mod verify;

pub use credentials::{Credentials, Secret};
pub use scope::Service;
pub use signer::{Error, MAX_EXPIRY, Payload, Signer};
pub use verify::{MAX_SKEW, Refusal, verify};
