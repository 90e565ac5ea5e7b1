//! The call of a step: the original streams in from the object store, the output comes back in one response.
//!
//! An error response fails the file only if it describes the file. Any other error releases the task: it may
//! come from a proxy, a setting, or a deployment in progress. The file isn't at fault either if its own
//! stream broke off or stalled on the way into the step.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use spin_sdk::wasip3::http::types::ErrorCode;
use spin_sdk::wasip3::http_compat::IncomingResponseBody;
use tirage_guest::body::{Watch, WatchedBody};
use tirage_guest::settings::variable;

use crate::error::{Error, Failure};
use crate::multipart;
use crate::output::{self, Output, storable};

/// Upper bound on the output of a step. The default variants need a hundredth of it, lossless ones of the
/// largest size a quarter.
const MAX_OUTPUT_BYTES: usize = 64 << 20;
const MAX_PROBLEM_BYTES: usize = 16 << 10;

/// Runs the step on an original of `size_bytes`.
///
/// # Errors
/// [`Error::Failed`] if the file is at fault, else a reason to release the task.
pub(crate) async fn run(original: IncomingResponseBody, size_bytes: i64) -> Result<Output, Error> {
    let (original, watch) = WatchedBody::new(original, size_bytes.unsigned_abs());
    unless_incomplete(call(original, size_bytes).await, &watch)
}

/// Replaces the result of a step that received only a part of the original: it says nothing about the file.
fn unless_incomplete(result: Result<Output, Error>, watch: &Watch) -> Result<Output, Error> {
    match result {
        _ if watch.has_broken_off() => Err(Error::step_unavailable(
            "the original broke off on its way into the step",
        )),
        Err(Error::Failed(failure)) if failure == Failure::timeout() && !watch.is_complete() => {
            Err(Error::step_unavailable(
                "the original was still on its way when the step timed out",
            ))
        }
        result => result,
    }
}

async fn call(
    original: WatchedBody<IncomingResponseBody>,
    size_bytes: i64,
) -> Result<Output, Error> {
    let uri = uri().await?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(CONTENT_LENGTH, size_bytes)
        .body(original)
        .map_err(Error::step_unavailable)?;
    let response = spin_sdk::http::send(request).await.map_err(call_failed)?;
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(read_error(head.status, body).await);
    }
    let content_type = head.headers.get(CONTENT_TYPE);
    let boundary = content_type
        .and_then(|value| value.to_str().ok())
        .and_then(multipart::boundary)
        .ok_or_else(|| Failure::invalid_output("not multipart/mixed"))?;
    let body = Limited::new(body, MAX_OUTPUT_BYTES)
        .collect()
        .await
        .map_err(body_failed)?
        .to_bytes();
    let parts = multipart::split(&body, &boundary)
        .ok_or_else(|| Failure::invalid_output("the closing boundary is missing"))?;
    Ok(output::parse(parts)?)
}

/// URL of the step, with the variants and limits of the settings.
async fn uri() -> Result<String, Error> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let variants = variable("photo_variants").await?;
    for variant in variants.split(',').map(str::trim).filter(|v| !v.is_empty()) {
        query.append_pair("variant", variant);
    }
    for (parameter, name) in [
        ("max_bytes", "upload_max_bytes"),
        ("max_pixels", "photo_max_pixels"),
        ("max_memory_bytes", "photo_max_memory_bytes"),
    ] {
        query.append_pair(parameter, &variable(name).await?);
    }
    let url = variable("photo_step_url").await?;
    Ok(format!("{}/?{}", url.trim_end_matches('/'), query.finish()))
}

/// Reads an error response.
async fn read_error(status: StatusCode, body: IncomingResponseBody) -> Error {
    let body = Limited::new(body, MAX_PROBLEM_BYTES).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    classify(status, parse_problem(&body))
}

/// Parses a problem document with a type, as steps and their host send it. `None` for the page of a proxy or
/// the error of another server.
fn parse_problem(body: &[u8]) -> Option<Value> {
    let document: Value = serde_json::from_slice(body).ok()?;
    document.get("type")?.as_str()?;
    Some(storable(document))
}

/// Classifies an error response: failure of the file, or reason to release the task.
fn classify(status: StatusCode, problem: Option<Value>) -> Error {
    match (status, problem) {
        (
            StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::INSUFFICIENT_STORAGE,
            Some(problem),
        ) => Failure::reported(problem).into(),
        // From a proxy in front of the step, whose limit is the same next time.
        (StatusCode::PAYLOAD_TOO_LARGE, None) => Failure::too_large().into(),
        (StatusCode::GATEWAY_TIMEOUT, _) => Failure::timeout().into(),
        // The step crashed on the file. Spin answers a bare 500; the router's 502 has a document, which
        // distinguishes it from the 502 of a proxy that finds no step.
        (StatusCode::INTERNAL_SERVER_ERROR, _) | (StatusCode::BAD_GATEWAY, Some(_)) => {
            eprintln!("the step answered {status}");
            Failure::crashed().into()
        }
        (_, problem) => Error::step_unavailable(format!(
            "the step answered {status}: {}",
            problem.unwrap_or_default()
        )),
    }
}

/// Classifies a call without a response.
fn call_failed(code: ErrorCode) -> Error {
    match code {
        ErrorCode::HttpResponseTimeout => Failure::timeout().into(),
        ErrorCode::HttpRequestBodySize(_) => Failure::too_large().into(),
        ErrorCode::HttpResponseBodySize(_) => Failure::invalid_output("too long").into(),
        ErrorCode::InternalError(reason) => {
            eprintln!("the step broke off: {}", reason.unwrap_or_default());
            Failure::crashed().into()
        }
        code => Error::step_unavailable(format!("{code:?}")),
    }
}

/// Classifies a response body that broke off: the step crashed or timed out after it began to respond.
fn body_failed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    if error.is::<LengthLimitError>() {
        return Failure::invalid_output("too long").into();
    }
    match error.downcast::<ErrorCode>().map(|code| *code) {
        Ok(ErrorCode::HttpResponseIncomplete) => {
            eprintln!("the step broke off in the middle of its output");
            Failure::crashed().into()
        }
        Ok(code) => call_failed(code),
        Err(error) => {
            eprintln!("the step broke off: {error}");
            Failure::crashed().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_an_error_about_the_file_fails_it() {
        let document = json!({"type": "urn:tirage:problem:test", "title": "Test"});
        for (status, failure) in [
            (413, Failure::reported(document.clone())),
            (415, Failure::reported(document.clone())),
            (422, Failure::reported(document.clone())),
            (507, Failure::reported(document.clone())),
            (500, Failure::crashed()),
            (502, Failure::crashed()),
            (504, Failure::timeout()),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            match classify(status, Some(document.clone())) {
                Error::Failed(actual) => assert_eq!(actual, failure, "{status}"),
                other => panic!("{status}: {other:?}"),
            }
        }
        for status in [204, 302, 400, 401, 403, 404, 405, 408, 429, 503] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = classify(status, Some(document.clone()));
            assert!(matches!(error, Error::Other(_)), "{status}");
        }
    }

    #[test]
    fn a_response_of_another_server_does_not_fail_the_file() {
        for page in [
            &b"<h1>Bad gateway</h1>"[..],
            b"",
            b"[]",
            br#"{"message": "no"}"#,
            br#"{"type": 1}"#,
        ] {
            assert_eq!(parse_problem(page), None);
        }
        assert!(parse_problem(br#"{"type": "about:blank"}"#).is_some());
        for status in [400, 404, 415, 422, 502, 507] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = classify(status, None);
            assert!(matches!(error, Error::Other(_)), "{status}");
        }
    }

    #[test]
    fn a_timeout_on_an_incomplete_original_does_not_fail_the_file() {
        let (_original, watch) = WatchedBody::new((), 5);
        let result = |failure| unless_incomplete(Err(Error::Failed(failure)), &watch);
        assert!(matches!(result(Failure::timeout()), Err(Error::Other(_))));
        // A step may refuse a file without reading it.
        assert!(matches!(
            result(Failure::too_large()),
            Err(Error::Failed(_))
        ));
        let (_original, watch) = WatchedBody::new((), 0);
        let result = unless_incomplete(Err(Error::Failed(Failure::timeout())), &watch);
        assert!(matches!(result, Err(Error::Failed(_))));
    }
}
