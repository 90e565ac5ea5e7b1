//! Answers that are failures, by what can be done about them.

use std::fmt;

use http::StatusCode;

use crate::xml;

/// Why the service refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What to make of it.
    pub kind: FailureKind,
    /// The answer's status.
    pub status: StatusCode,
    /// S3's name for it, as in `NoSuchKey`. Answers to HEAD have none.
    pub code: Option<String>,
    /// What it says to people.
    pub message: Option<String>,
}

/// What to make of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// There is no such object, or so a 404 without a document says; see [`Failure::is_no_such_key`]. (That
    /// there is no such bucket is [`Other`](Self::Other), where the answer says so: nobody should take it that
    /// every object is gone.)
    NotFound,
    /// Something is there already, or is another version.
    PreconditionFailed,
    /// The keys are wrong, may not do that, or the clocks differ.
    Denied,
    /// The body isn't what was announced: length or checksum differ.
    BadBody,
    /// The service can't now; worth trying again.
    Unavailable,
    /// Anything else: trying again gives the same.
    Other,
}

impl Failure {
    /// Reads an answer; `None` if it is a success (2xx).
    ///
    /// `body` is what was sent with it, or as much of it as was worth reading.
    pub fn of(status: StatusCode, body: &[u8]) -> Option<Self> {
        if status.is_success() {
            return None;
        }
        let (mut code, mut message) = (None, None);
        // What isn't S3's own document (a proxy's page) is told by its status alone.
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

    /// Whether the service itself says that there is no such object. Without its own document a 404 may be
    /// anybody's, such as a load balancer's; answers to HEAD never have one.
    pub fn is_no_such_key(&self) -> bool {
        self.code.as_deref() == Some("NoSuchKey")
    }

    /// Whether the same request may succeed later.
    pub fn is_worth_retrying(&self) -> bool {
        self.kind == FailureKind::Unavailable
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
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
    fn failures_are_told_apart_by_what_can_be_done() {
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
    fn only_the_service_knows_that_there_is_no_such_key() {
        assert!(failure(404, "NoSuchKey").is_no_such_key());
        assert!(!failure(404, "NoSuchBucket").is_no_such_key());
        let page = Failure::of(StatusCode::NOT_FOUND, b"<html></html>").unwrap();
        assert!(!page.is_no_such_key());
    }

    #[test]
    fn without_a_document_the_status_speaks() {
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
