//! Errors that clients receive.

use std::fmt::Display;

use s3s::{S3Error, S3ErrorCode};

/// A bare 500 for the client. The log has the reason.
pub(super) fn internal(error: impl Display) -> S3Error {
    tracing::error!("{error}");
    S3Error::new(S3ErrorCode::InternalError)
}

/// A 400 with a code that s3s has no status for.
pub(super) fn bad_request(code: &'static str, message: &'static str) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(http::StatusCode::BAD_REQUEST);
    error
}
