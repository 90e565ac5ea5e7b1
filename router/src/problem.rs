//! The router's own errors as problem documents (RFC 9457).

use http::{HeaderValue, header};
use http_body_util::{BodyExt as _, Full};
use tirage_host::{CallError, Response};
use tirage_problem::{Kind, Problem as Document};

/// Seconds after which a client may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// An error of the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// No route matches the path.
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
    /// The database can't be reached at the moment.
    Unavailable,
    /// The component exceeded its deadline.
    Timeout,
    /// The component exceeded its memory limit.
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
    /// Returns the response, whose `instance` is the request's id.
    pub(crate) fn response(self, request_id: &str) -> Response {
        let document = Document::new(self.kind());
        let document = match self {
            Self::BodyTooLarge { limit } => Document::body_too_large(limit),
            Self::TooBusy => document
                .detail("Too many requests are in flight; try again shortly.")
                .header(header::RETRY_AFTER, RETRY_AFTER),
            Self::Unavailable => document.header(header::RETRY_AFTER, RETRY_AFTER),
            _ => document,
        };
        document.into_response(Some(request_id)).map(|body| {
            Full::new(body)
                .map_err(|never| match never {})
                .boxed_unsync()
        })
    }

    fn kind(self) -> Kind {
        match self {
            Self::NotFound => Kind::NOT_FOUND,
            Self::BadRequest => Kind::BAD_REQUEST,
            Self::BodyTooLarge { .. } => Kind::BODY_TOO_LARGE,
            Self::ComponentFailed => Kind::COMPONENT_FAILED,
            Self::TooBusy => Kind::TOO_BUSY,
            Self::Unavailable => Kind::UNAVAILABLE,
            Self::Timeout => Kind::TIMEOUT,
            Self::OutOfMemory => Kind::OUT_OF_MEMORY,
        }
    }
}
