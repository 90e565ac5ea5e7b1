//! JSON request bodies and responses.

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;
use tirage_problem::{Kind, Problem};

use crate::Error;

/// Upper bound on a body, in bytes: more than any valid body has, even with every character escaped.
pub const MAX_BODY_BYTES: usize = 128 << 10;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Reads a body that must be a JSON object of the shape `T`. Unknown fields are ignored, so that newer
/// clients can call older services.
///
/// # Errors
/// 415 for another content type, 413 beyond [`MAX_BODY_BYTES`], 400 for invalid JSON or another shape.
pub async fn read<T, B>(headers: &HeaderMap, body: B) -> Result<T, Problem>
where
    T: DeserializeOwned,
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if !is_json(headers) {
        return Err(Problem::new(Kind::UNSUPPORTED_MEDIA_TYPE)
            .detail("The body must be JSON, and its Content-Type application/json")
            .header(ACCEPT, JSON));
    }
    parse(&collect(body).await?)
}

/// Collects a body.
///
/// # Errors
/// 413 beyond [`MAX_BODY_BYTES`], 400 if the client disconnects.
pub async fn collect<B>(body: B) -> Result<Bytes, Problem>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let body = Limited::new(body, MAX_BODY_BYTES)
        .collect()
        .await
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                Problem::body_too_large(MAX_BODY_BYTES as u64)
            } else {
                Problem::new(Kind::MALFORMED_JSON).detail("The body ended too early")
            }
        })?;
    Ok(body.to_bytes())
}

/// A JSON response, which no cache may store.
///
/// # Errors
/// [`Error::Internal`] if the value doesn't serialize.
pub fn response(status: StatusCode, value: &impl Serialize) -> Result<Response<Bytes>, Error> {
    let body = serde_json::to_vec(value).map_err(Error::internal)?;
    let mut response = empty(status);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    *response.body_mut() = Bytes::from(body);
    Ok(response)
}

/// A response without a body, which no cache may store.
pub fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

/// `true` if the content type is `application/json`.
pub fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// Parses a JSON object of the shape `T`. Error messages describe only what the client sent.
///
/// # Errors
/// 400 for invalid JSON or another shape.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // Explicitly an object: serde would also accept a list of the fields in order.
    let object = serde_json::from_slice(body).map(Value::Object);
    object.and_then(serde_json::from_value).map_err(|error| {
        let kind = match error.classify() {
            Category::Data => Kind::INVALID_INPUT,
            Category::Syntax | Category::Eof | Category::Io => Kind::MALFORMED_JSON,
        };
        Problem::new(kind).detail(error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn only_application_json_is_json() {
        let is_json = |value: &'static str| {
            is_json(&HeaderMap::from_iter([(
                CONTENT_TYPE,
                HeaderValue::from_static(value),
            )]))
        };
        assert!(is_json("application/json"));
        assert!(is_json("Application/JSON; charset=utf-8"));
        for value in [
            "",
            "text/plain",
            "application/jsonx",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!is_json(value), "{value}");
        }
        assert!(!super::is_json(&HeaderMap::new()));
    }

    #[test]
    fn invalid_json_and_another_shape_are_different_problems() {
        let kind = |body: &[u8]| parse::<BTreeMap<String, String>>(body).unwrap_err().kind();
        assert_eq!(kind(b""), Kind::MALFORMED_JSON);
        assert_eq!(kind(b"{\"a\": "), Kind::MALFORMED_JSON);
        assert_eq!(kind(b"{\"a\": \"\xff\"}"), Kind::MALFORMED_JSON);
        assert_eq!(kind(b"{\"a\": \"\\ud800\"}"), Kind::MALFORMED_JSON);
        assert_eq!(kind(b"{\"a\": 1}"), Kind::INVALID_INPUT);
        assert_eq!(kind(b"[\"a\"]"), Kind::INVALID_INPUT);
        assert_eq!(kind(&b"[".repeat(100_000)), Kind::INVALID_INPUT);
    }
}
