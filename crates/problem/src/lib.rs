//! Problem documents (RFC 9457): the one form of error that clients of the router and of every function see.
//!
//! - A [`Kind`] is for programs: its `type` is stable, and its title and status never vary.
//! - The `detail` is for people and describes one occurrence; `errors` name the fields that are wrong.
//! - `instance` is the request's id, which leads to the log. The cause stays there: a [`Problem`] holds no
//!   error, so a response can't reveal one.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::Value;

/// A kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Last part of the `type`, `urn:tirage:problem:<name>`.
    pub name: &'static str,
    /// Short description, the same for every occurrence.
    pub title: &'static str,
    /// Status of the response.
    pub status: StatusCode,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $constant:ident $status:ident $name:literal $title:literal;)*) => {
        impl Kind {
            $(
                $(#[$doc])*
                pub const $constant: Self = Self {
                    name: $name,
                    title: $title,
                    status: StatusCode::$status,
                };
            )*
        }
    };
}

// Faults of the request.
kinds! {
    /// The request has no usable target.
    BAD_REQUEST BAD_REQUEST "bad-request" "Bad request";
    /// The body isn't JSON.
    MALFORMED_JSON BAD_REQUEST "malformed-json" "Malformed JSON";
    /// A value is readable but not acceptable.
    INVALID_INPUT BAD_REQUEST "invalid-input" "Invalid input";
    /// The caller lacks the right.
    FORBIDDEN FORBIDDEN "forbidden" "Forbidden";
    /// No route, or no such row.
    NOT_FOUND NOT_FOUND "not-found" "Not found";
    /// The route has no such method; `Allow` lists those that it has.
    METHOD_NOT_ALLOWED METHOD_NOT_ALLOWED "method-not-allowed" "Method not allowed";
    /// The operation is impossible in the current state.
    CONFLICT CONFLICT "conflict" "Conflict";
    /// The request lacks `Content-Length`.
    LENGTH_REQUIRED LENGTH_REQUIRED "length-required" "Length required";
    /// The body exceeds its limit.
    BODY_TOO_LARGE PAYLOAD_TOO_LARGE "body-too-large" "Body too large";
    /// The body's content type is not understood; `Accept` lists those that are.
    UNSUPPORTED_MEDIA_TYPE UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" "Unsupported media type";
    /// A value is longer than its limit.
    TOO_LONG UNPROCESSABLE_ENTITY "too-long" "Value too long";
    /// The idempotency key belongs to another request.
    IDEMPOTENCY_KEY_REUSED UNPROCESSABLE_ENTITY "idempotency-key-reused" "Idempotency key reused";
}

// Faults of a file.
kinds! {
    /// No step reads this format, or this variety of it.
    UNSUPPORTED_FORMAT UNSUPPORTED_MEDIA_TYPE "unsupported-format" "Unsupported format";
    /// The file is not an image.
    NOT_AN_IMAGE UNSUPPORTED_MEDIA_TYPE "not-an-image" "Not an image";
    /// The file is truncated or contradicts itself.
    BROKEN_FILE UNPROCESSABLE_ENTITY "broken-file" "Broken file";
    /// The image has more pixels than its limit.
    TOO_MANY_PIXELS UNPROCESSABLE_ENTITY "too-many-pixels" "Too many pixels";
    /// The estimated memory exceeds the limit; decoding was not started.
    TOO_MUCH_MEMORY INSUFFICIENT_STORAGE "too-much-memory" "Too much memory";
    /// The original disappeared from the object store.
    ORIGINAL_MISSING GONE "original-missing" "Original missing";
    /// The step exceeded its time limit on this file.
    STEP_TIMEOUT GATEWAY_TIMEOUT "step-timeout" "Took too long";
    /// The step broke off while it processed this file.
    STEP_CRASHED BAD_GATEWAY "step-crashed" "Could not be processed";
    /// The step's output is invalid.
    STEP_OUTPUT BAD_GATEWAY "step-answer" "Could not be processed";
    /// Too many workers claimed the task and disappeared.
    GAVE_UP INTERNAL_SERVER_ERROR "gave-up" "Gave up";
}

// Faults of the service.
kinds! {
    /// A fault of this function.
    INTERNAL INTERNAL_SERVER_ERROR "internal" "Internal error";
    /// The component trapped or returned an error.
    COMPONENT_FAILED BAD_GATEWAY "component-failed" "The function failed";
    /// The component's concurrency limit is reached; `Retry-After` says when to try again.
    TOO_BUSY SERVICE_UNAVAILABLE "too-busy" "Too busy";
    /// A dependency is down; `Retry-After` says when to try again.
    UNAVAILABLE SERVICE_UNAVAILABLE "unavailable" "Temporarily unavailable";
    /// The component exceeded its deadline.
    TIMEOUT GATEWAY_TIMEOUT "timeout" "The function did not answer in time";
    /// The component exceeded its memory limit.
    OUT_OF_MEMORY INSUFFICIENT_STORAGE "out-of-memory" "The function ran out of memory";
}

/// One occurrence of a problem.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem without detail.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            detail: None,
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// 413 that names the limit.
    pub fn body_too_large(limit_bytes: u64) -> Self {
        Self::new(Kind::BODY_TOO_LARGE)
            .detail(format!("The request's body exceeds {limit_bytes} bytes."))
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Sets the detail: one sentence, for people.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a field that is wrong. The first field's detail becomes the problem's, unless it has one.
    #[must_use]
    pub fn field(mut self, place: Place, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        self.detail.get_or_insert_with(|| detail.clone());
        self.errors.push(FieldError { place, detail });
        self
    }

    /// Adds a header to the response, such as `Allow`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds `Retry-After`.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(RETRY_AFTER, seconds.into())
    }

    /// The document without `instance`, to be stored with what failed.
    pub fn to_document(&self) -> Value {
        #[expect(
            clippy::expect_used,
            reason = "strings and numbers always serialize to JSON"
        )]
        serde_json::to_value(self.document(None)).expect("a problem document serializes")
    }

    /// The response, which no cache may store. `instance` is the request id; an id with characters that a
    /// URN can't hold is left out, since not every host validates the ids that clients send.
    pub fn into_response(self, request_id: Option<&str>) -> Response<Bytes> {
        #[expect(
            clippy::expect_used,
            reason = "strings and numbers always serialize to JSON"
        )]
        let body =
            serde_json::to_vec(&self.document(request_id)).expect("a problem document serializes");
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.kind.status;
        let headers = response.headers_mut();
        headers.extend(self.headers);
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    fn document(&self, request_id: Option<&str>) -> Document<'_> {
        Document {
            kind: format!("urn:tirage:problem:{}", self.kind.name),
            title: self.kind.title,
            status: self.kind.status.as_u16(),
            detail: self.detail.as_deref(),
            instance: request_id
                .filter(|id| is_urn_part(id))
                .map(|id| format!("urn:tirage:request:{id}")),
            errors: &self.errors,
        }
    }
}

/// Name and detail, for the log.
impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind.name)?;
        match &self.detail {
            Some(detail) => write!(formatter, ": {detail}"),
            None => Ok(()),
        }
    }
}

/// Longest request id that `instance` repeats, in bytes; the router accepts no longer one.
const REQUEST_ID_MAX: usize = 128;

/// `true` if the id needs no escaping at the end of a URN (RFC 8141, section 2).
fn is_urn_part(id: &str) -> bool {
    (1..=REQUEST_ID_MAX).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte))
}

/// Position of a field in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// JSON pointer into the body, as a URI fragment (RFC 6901, section 6): `#/text`.
    Pointer(&'static str),
    /// Query parameter.
    Parameter(&'static str),
    /// Header.
    Header(&'static str),
}

#[derive(Clone, Debug, Serialize)]
struct FieldError {
    #[serde(flatten)]
    place: Place,
    detail: Cow<'static, str>,
}

/// RFC 9457, section 3; `errors` is the extension in its own example.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document(response: &Response<Bytes>) -> Value {
        serde_json::from_slice(response.body()).unwrap()
    }

    #[test]
    fn absent_parts_are_omitted() {
        let response = Problem::new(Kind::NOT_FOUND).into_response(None);
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(
            document(&response),
            json!({"type": "urn:tirage:problem:not-found", "title": "Not found", "status": 404})
        );
    }

    #[test]
    fn each_wrong_field_is_located() {
        let response = Problem::new(Kind::INVALID_INPUT)
            .field(Place::Pointer("#/text"), "Text is missing")
            .field(Place::Parameter("limit"), "Limit must be a number")
            .into_response(Some("42"));
        assert_eq!(
            document(&response),
            json!({
                "type": "urn:tirage:problem:invalid-input",
                "title": "Invalid input",
                "status": 400,
                "detail": "Text is missing",
                "instance": "urn:tirage:request:42",
                "errors": [
                    {"pointer": "#/text", "detail": "Text is missing"},
                    {"parameter": "limit", "detail": "Limit must be a number"},
                ],
            })
        );
    }

    #[test]
    fn a_request_id_that_needs_escaping_is_left_out() {
        let instance = |id: &str| {
            let response = Problem::new(Kind::NOT_FOUND).into_response(Some(id));
            document(&response).get("instance").cloned()
        };
        assert_eq!(
            instance("a-1_b.c:d/e+f="),
            Some(json!("urn:tirage:request:a-1_b.c:d/e+f="))
        );
        for id in ["", "a b", "<script>", "é", "a#b", "a?b", "50%"] {
            assert_eq!(instance(id), None, "{id}");
        }
        assert!(instance(&"x".repeat(REQUEST_ID_MAX)).is_some());
        assert_eq!(instance(&"x".repeat(REQUEST_ID_MAX + 1)), None);
    }

    #[test]
    fn the_response_has_the_problem_s_headers() {
        let response = Problem::new(Kind::UNAVAILABLE)
            .retry_after(5)
            .into_response(None);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "5");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn a_document_to_store_has_no_instance() {
        assert_eq!(
            Problem::body_too_large(1000).to_document(),
            json!({
                "type": "urn:tirage:problem:body-too-large",
                "title": "Body too large",
                "status": 413,
                "detail": "The request's body exceeds 1000 bytes.",
            })
        );
    }
}
