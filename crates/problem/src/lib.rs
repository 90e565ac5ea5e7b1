//! Errors as clients see them: problem documents (RFC 9457).
//!
//! A [`Kind`] is what a program tells apart: its `type` is stable, and status and title go with it.
//! The `detail` is for the person who sees this one occurrence, and `errors` name the fields that
//! are to blame. Nothing here can hold the error that caused it: what happened inside goes to the
//! log, and the request's id, as `instance`, links the two.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

/// A kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name: the `type` is `urn:tirage:problem:<name>`.
    pub name: &'static str,
    /// What it is in a few words, the same for every occurrence.
    pub title: &'static str,
    /// The status of the answer.
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

kinds! {
    /// The body isn't JSON, or not of the expected shape.
    MALFORMED_JSON BAD_REQUEST "malformed-json" "Malformed JSON";
    /// What was sent can be read but not accepted.
    INVALID_INPUT BAD_REQUEST "invalid-input" "Invalid input";
    /// Whoever asks may not do that.
    FORBIDDEN FORBIDDEN "forbidden" "Forbidden";
    /// There is nothing of that name.
    NOT_FOUND NOT_FOUND "not-found" "Not found";
    /// There is, but not for this method; `Allow` has those that there are.
    METHOD_NOT_ALLOWED METHOD_NOT_ALLOWED "method-not-allowed" "Method not allowed";
    /// It can be done, but not in the state that things are in.
    CONFLICT CONFLICT "conflict" "Conflict";
    /// The length has to be known in advance.
    LENGTH_REQUIRED LENGTH_REQUIRED "length-required" "Length required";
    /// The body has more bytes than are read.
    BODY_TOO_LARGE PAYLOAD_TOO_LARGE "body-too-large" "Body too large";
    /// The body is of a type that isn't understood; `Accept` has what is.
    UNSUPPORTED_MEDIA_TYPE UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" "Unsupported media type";
    /// The file is of a format, or a form of it, that isn't read.
    UNSUPPORTED_FORMAT UNSUPPORTED_MEDIA_TYPE "unsupported-format" "Unsupported format";
    /// The file is no picture.
    NOT_AN_IMAGE UNSUPPORTED_MEDIA_TYPE "not-an-image" "Not an image";
    /// The file ends too early or contradicts itself.
    BROKEN_FILE UNPROCESSABLE_ENTITY "broken-file" "Broken file";
    /// The picture has more pixels than its limit.
    TOO_MANY_PIXELS UNPROCESSABLE_ENTITY "too-many-pixels" "Too many pixels";
    /// The work would take more memory than its limit, so that it wasn't begun.
    TOO_MUCH_MEMORY INSUFFICIENT_STORAGE "too-much-memory" "Too much memory";
    /// A value is longer than its limit.
    TOO_LONG UNPROCESSABLE_ENTITY "too-long" "Value too long";
    /// The idempotency key belongs to another request.
    IDEMPOTENCY_KEY_REUSED UNPROCESSABLE_ENTITY "idempotency-key-reused" "Idempotency key reused";
    /// A fault that isn't the client's.
    INTERNAL INTERNAL_SERVER_ERROR "internal" "Internal error";
    /// Something that this depends on is down; `Retry-After` says when to try again.
    UNAVAILABLE SERVICE_UNAVAILABLE "unavailable" "Temporarily unavailable";
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
    /// A problem about which there is no more to say yet.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            detail: None,
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What is wrong this time, in a sentence for people.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// A field that is to blame. Without a detail yet, that of the field is the problem's.
    #[must_use]
    pub fn field(mut self, place: Place, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        self.detail.get_or_insert_with(|| detail.clone());
        self.errors.push(FieldError { place, detail });
        self
    }

    /// A header of the answer, such as `Allow` or `Retry-After`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The answer, which no cache may keep. `request_id` is what the log calls the request; one that
    /// can't stand in a URN is left out, because not every host looks at what a client calls its
    /// request.
    pub fn into_response(self, request_id: Option<&str>) -> Response<Bytes> {
        let document = Document {
            kind: format!("urn:tirage:problem:{}", self.kind.name),
            title: self.kind.title,
            status: self.kind.status.as_u16(),
            detail: self.detail.as_deref(),
            instance: request_id
                .filter(|id| is_urn_part(id))
                .map(|id| format!("urn:tirage:request:{id}")),
            errors: &self.errors,
        };
        #[expect(
            clippy::expect_used,
            reason = "strings and numbers always have a form in JSON"
        )]
        let body = serde_json::to_vec(&document).expect("a problem document can be written");
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
}

/// For the log.
impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind.name)?;
        match &self.detail {
            Some(detail) => write!(formatter, ": {detail}"),
            None => Ok(()),
        }
    }
}

/// Longest request id that is repeated to the client, in bytes; as long as the router takes them.
const REQUEST_ID_MAX: usize = 128;

/// Whether a URN can end in this, as it is (RFC 8141, 2).
fn is_urn_part(id: &str) -> bool {
    (1..=REQUEST_ID_MAX).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte))
}

/// Where a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In the body: a JSON pointer as a URI fragment (RFC 6901, 6), such as `#/text`.
    Pointer(&'static str),
    /// A parameter of the query.
    Parameter(&'static str),
    /// A header.
    Header(&'static str),
}

#[derive(Clone, Debug, Serialize)]
struct FieldError {
    #[serde(flatten)]
    place: Place,
    detail: Cow<'static, str>,
}

/// RFC 9457, section 3; `errors` is the extension of its example.
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
    use http::header::RETRY_AFTER;
    use serde_json::{Value, json};

    use super::*;

    fn document(response: &Response<Bytes>) -> Value {
        serde_json::from_slice(response.body()).unwrap()
    }

    #[test]
    fn a_problem_says_what_is_known_and_no_more() {
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
    fn fields_are_named_where_they_are() {
        let response = Problem::new(Kind::INVALID_INPUT)
            .field(Place::Pointer("#/text"), "Text is missing")
            .field(Place::Parameter("limit"), "Limit is no number")
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
                    {"parameter": "limit", "detail": "Limit is no number"},
                ],
            })
        );
    }

    #[test]
    fn an_id_that_no_urn_can_hold_is_left_out() {
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
    fn headers_of_the_problem_are_kept() {
        let response = Problem::new(Kind::UNAVAILABLE)
            .header(RETRY_AFTER, HeaderValue::from_static("5"))
            .into_response(None);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "5");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }
}
