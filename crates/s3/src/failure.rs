//! Error responses, classified by what the caller can do about them.

use std::fmt;

use http::StatusCode;

use crate::xml;

/// Error response of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Classification.
    pub kind: FailureKind,
    /// Status of the response.
    pub status: StatusCode,
    /// Error code of S3, such as `NoSuchKey`. A response to HEAD has no body, so no code.
    pub code: Option<String>,
    /// Message of S3.
    pub message: Option<String>,
}

/// Class of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The object doesn't exist, or a 404 without an S3 document suggests it; see
    /// [`Failure::is_no_such_key`]. A missing bucket is [`Other`](Self::Other), because it doesn't mean that
    /// the objects are gone.
    NotFound,
    /// The object exists already, or is another version.
    PreconditionFailed,
    /// The credentials are wrong or lack a permission, or the clocks differ.
    Denied,
    /// The body doesn't match the announced length or checksum.
    BadBody,
    /// A temporary fault of the service: the same request may succeed later.
    Unavailable,
    /// Any other failure: a retry gives the same result.
    Other,
}

impl Failure {
    /// Classifies a response; `None` if its status is 2xx. `body` may be truncated.
    pub fn of(status: StatusCode, body: &[u8]) -> Option<Self> {
        if status.is_success() {
            return None;
        }
        let (mut code, mut message) = (None, None);
        // Without an S3 document (a proxy's page), only the status counts.
        let _ = xml::read(body, |path, text| {
            match path {
                ["Error", "Code"] => code = Some(text.to_owned()),
                ["Error", "Message"] => message = Some(text.to_owned()),
                _ => {}
            }
            Ok(())
        });
        Some(Self {
            kind: kind(status, code.as_deref()),
            status,
            code,
            message,
        })
    }

    /// `true` if S3 itself reports that the object doesn't exist. A 404 without an S3 document may come from
    /// a load balancer; a response to HEAD never has a document.
    pub fn is_no_such_key(&self) -> bool {
        self.code.as_deref() == Some("NoSuchKey")
    }

    /// `true` if the same request may succeed later.
    pub fn is_worth_retrying(&self) -> bool {
        self.kind == FailureKind::Unavailable
    }
}

/// Classifies by the codes of <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.
fn kind(status: StatusCode, code: Option<&str>) -> FailureKind {
    match (status.as_u16(), code) {
        (_, Some("NoSuchKey")) => FailureKind::NotFound,
        (
            _,
            Some(
                "SlowDown"
                | "RequestTimeout"
                | "InternalError"
                | "ServiceUnavailable"
                | "OperationAborted"
                | "ConditionalRequestConflict",
            ),
        ) => FailureKind::Unavailable,
        (
            _,
            Some(
                "BadDigest"
                | "InvalidDigest"
                | "IncompleteBody"
                | "XAmzContentSHA256Mismatch"
                | "XAmzContentChecksumMismatch"
                | "EntityTooLarge",
            ),
        ) => FailureKind::BadBody,
        (404, None) => FailureKind::NotFound,
        (412, _) => FailureKind::PreconditionFailed,
        (401 | 403, _) => FailureKind::Denied,
        (408 | 429 | 500 | 502 | 503 | 504, _) => FailureKind::Unavailable,
        _ => FailureKind::Other,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the object store answered {}", self.status.as_u16())?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, code: &str) -> Failure {
        let body = format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>a &lt;b&gt;</Message></Error>"
        );
        Failure::of(StatusCode::from_u16(status).unwrap(), body.as_bytes()).unwrap()
    }

    #[test]
    fn failures_are_classified_by_code() {
        for (status, code, expected) in [
            (404, "NoSuchKey", FailureKind::NotFound),
            (404, "NoSuchBucket", FailureKind::Other),
            (412, "PreconditionFailed", FailureKind::PreconditionFailed),
            (403, "SignatureDoesNotMatch", FailureKind::Denied),
            (400, "BadDigest", FailureKind::BadBody),
            (400, "RequestTimeout", FailureKind::Unavailable),
            (409, "ConditionalRequestConflict", FailureKind::Unavailable),
            (503, "SlowDown", FailureKind::Unavailable),
            (501, "NotImplemented", FailureKind::Other),
            (416, "InvalidRange", FailureKind::Other),
        ] {
            let failure = failure(status, code);
            assert_eq!(failure.kind, expected, "{code}");
            assert_eq!(
                failure.is_worth_retrying(),
                expected == FailureKind::Unavailable
            );
            assert_eq!(
                failure.to_string(),
                format!("the object store answered {status} {code}: a <b>")
            );
        }
    }

    #[test]
    fn only_an_s3_document_proves_that_a_key_does_not_exist() {
        assert!(failure(404, "NoSuchKey").is_no_such_key());
        assert!(!failure(404, "NoSuchBucket").is_no_such_key());
        let page = Failure::of(StatusCode::NOT_FOUND, b"<html></html>").unwrap();
        assert!(!page.is_no_such_key());
    }

    #[test]
    fn without_a_document_the_status_counts() {
        for (status, expected) in [
            (404, FailureKind::NotFound),
            (403, FailureKind::Denied),
            (502, FailureKind::Unavailable),
            (301, FailureKind::Other),
        ] {
            for body in [&b""[..], b"<html><br></html>", b"\xff<Error>", b"<Error>"] {
                let failure = Failure::of(StatusCode::from_u16(status).unwrap(), body).unwrap();
                assert_eq!((failure.kind, failure.code), (expected, None), "{body:?}");
            }
        }
        assert_eq!(Failure::of(StatusCode::NO_CONTENT, b""), None);
    }
}
