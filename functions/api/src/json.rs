//! JSON in and out.

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;
use tirage_problem::{Kind, Problem};

use crate::settings;

/// How much of a body is read, in bytes: more than any valid one has, however it is escaped.
pub(crate) const MAX_BODY_BYTES: usize = 128 << 10;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Reads a body that must be a JSON object of the shape `T`. Fields that `T` doesn't have are ignored, so
/// that a newer client can speak to an older service.
///
/// # Errors
/// 415 for another content type, 413 beyond [`MAX_BODY_BYTES`], 400 for what can't be read.
pub(crate) async fn read<T, B>(headers: &HeaderMap, body: B) -> Result<T, Problem>
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

/// A body as it is.
///
/// # Errors
/// 413 beyond [`MAX_BODY_BYTES`], 400 for one that ends too early.
pub(crate) async fn collect<B>(body: B) -> Result<Bytes, Problem>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let body = Limited::new(body, MAX_BODY_BYTES)
        .collect()
        .await
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                Problem::new(Kind::BODY_TOO_LARGE)
                    .detail(format!("The body exceeds {MAX_BODY_BYTES} bytes"))
            } else {
                Problem::new(Kind::MALFORMED_JSON).detail("The body ended too early")
            }
        })?;
    Ok(body.to_bytes())
}

/// An answer in JSON.
///
/// # Errors
/// 500 if the value has no form in JSON.
pub(crate) fn answer(
    status: StatusCode,
    value: &impl Serialize,
) -> Result<Response<Bytes>, Problem> {
    let body = serde_json::to_vec(value).map_err(settings::internal)?;
    let mut response = empty(status);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    *response.body_mut() = Bytes::from(body);
    Ok(response)
}

/// An answer without a body, which no cache may keep.
pub(crate) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

/// Whether the body says that it is JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// A JSON object of the shape `T`. The messages are about what the client sent, and name nothing else.
///
/// # Errors
/// 400 for what can't be read.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // An object, said in so many words: serde would take a list for the fields in order.
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
    fn json_is_told_by_its_content_type() {
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
    fn what_is_no_json_and_what_is_of_another_shape_differ() {
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
