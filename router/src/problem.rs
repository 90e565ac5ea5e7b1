//! Errors as clients see them: problem documents (RFC 9457). They name what the client can act on
//! and nothing of the inside; the request id links them to the log.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use tirage_host::{CallError, Response};

/// What precedes each problem's name in its `type`.
const TYPE_PREFIX: &str = "urn:tirage:problem:";

/// Seconds after which a client that was told to come back may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// An error of the router's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// No route leads there.
    NotFound,
    /// The request has no usable target.
    BadRequest,
    /// The body exceeds the component's limit.
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The component failed.
    ComponentFailed,
    /// The component's concurrency limit is reached.
    TooBusy,
    /// What the answer is made of can't be reached now.
    Unavailable,
    /// The component did not answer in time.
    Timeout,
    /// The component ran out of memory.
    OutOfMemory,
}

impl From<&CallError> for Problem {
    fn from(error: &CallError) -> Self {
        match error {
            CallError::TooBusy => Self::TooBusy,
            CallError::BodyTooLarge { limit } => Self::BodyTooLarge { limit: *limit },
            CallError::Trapped | CallError::Failed(_) => Self::ComponentFailed,
            CallError::DeadlineExceeded => Self::Timeout,
            CallError::OutOfMemory => Self::OutOfMemory,
            CallError::NoSuchComponent(_) => Self::NotFound,
        }
    }
}

impl Problem {
    /// The response, whose `instance` is the request's id.
    pub(crate) fn response(self, request_id: &str) -> Response {
        let (status, name, title) = self.kind();
        let mut document = serde_json::json!({
            "type": format!("{TYPE_PREFIX}{name}"),
            "title": title,
            "status": status.as_u16(),
            "instance": format!("urn:tirage:request:{request_id}"),
        });
        if let Some(detail) = self.detail() {
            document["detail"] = detail.into();
        }
        let body = Full::new(Bytes::from(document.to_string()))
            .map_err(|never| match never {})
            .boxed_unsync();
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(self, Self::TooBusy | Self::Unavailable) {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }

    fn kind(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "Bad request"),
            Self::BodyTooLarge { .. } => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "Body too large",
            ),
            Self::ComponentFailed => (
                StatusCode::BAD_GATEWAY,
                "component-failed",
                "The function failed",
            ),
            Self::TooBusy => (StatusCode::SERVICE_UNAVAILABLE, "too-busy", "Too busy"),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Not available now",
            ),
            Self::Timeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "timeout",
                "The function did not answer in time",
            ),
            Self::OutOfMemory => (
                StatusCode::INSUFFICIENT_STORAGE,
                "out-of-memory",
                "The function ran out of memory",
            ),
        }
    }

    fn detail(self) -> Option<String> {
        match self {
            Self::BodyTooLarge { limit } => {
                Some(format!("The request's body exceeds {limit} bytes."))
            }
            Self::TooBusy => Some("Too many requests are in flight; try again shortly.".to_owned()),
            _ => None,
        }
    }
}
