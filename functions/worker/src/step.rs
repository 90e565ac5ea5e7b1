//! The step, as the worker calls it: the original's bytes go in as they come from storage, prints and
//! what is known of the photo come back in one answer.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use spin_sdk::wasip3::http::types::ErrorCode;
use spin_sdk::wasip3::http_compat::IncomingResponseBody;

use crate::answer::{Prints, bad, prints, storable};
use crate::original::{Original, Watch};
use crate::outcome::{Failure, Interruption};
use crate::parts;
use crate::settings::variable;

/// All prints of a photo together; four of the default sizes have a hundredth of it, and lossless ones
/// of the largest a quarter.
const MAX_ANSWER_BYTES: usize = 64 << 20;
const MAX_PROBLEM_BYTES: usize = 16 << 10;

/// Has prints made of a photo.
///
/// # Errors
/// A failure that the photo is to blame for, or a reason to try again later.
pub(crate) async fn photo(
    original: IncomingResponseBody,
    size_bytes: i64,
) -> Result<Prints, Interruption> {
    let (original, watch) = Original::new(original, size_bytes.unsigned_abs());
    judge(ask(original, size_bytes).await, &watch)
}

/// What a step makes of half a photo is not the photo's fault.
fn judge(made: Result<Prints, Interruption>, watch: &Watch) -> Result<Prints, Interruption> {
    match made {
        _ if watch.has_broken_off() => Err(Interruption::Postponed(
            "the original broke off on its way into the step".to_owned(),
        )),
        Err(Interruption::Failed(failure))
            if failure == Failure::too_slow() && !watch.is_through() =>
        {
            Err(Interruption::Postponed(
                "the original was still on its way when the step's time was over".to_owned(),
            ))
        }
        made => made,
    }
}

async fn ask(
    original: Original<IncomingResponseBody>,
    size_bytes: i64,
) -> Result<Prints, Interruption> {
    let uri = uri().await?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(CONTENT_LENGTH, size_bytes)
        .body(original)
        .map_err(|error| Interruption::Postponed(error.to_string()))?;
    let response = spin_sdk::http::send(request).await.map_err(interrupted)?;
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(refusal(head.status, body).await);
    }
    let content_type = head.headers.get(CONTENT_TYPE);
    let boundary = content_type
        .and_then(|value| value.to_str().ok())
        .and_then(parts::boundary)
        .ok_or_else(|| bad("it is not multipart/mixed"))?;
    let body = Limited::new(body, MAX_ANSWER_BYTES)
        .collect()
        .await
        .map_err(broken_off)?
        .to_bytes();
    let parts = parts::split(&body, &boundary).ok_or_else(|| bad("it is not whole"))?;
    prints(parts)
}

/// The step's address, with what is wanted of it.
async fn uri() -> Result<String, Interruption> {
    let setting = async |name| {
        let value = variable(name).await;
        value.map_err(|problem| Interruption::Postponed(problem.to_string()))
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    let variants = setting("photo_variants").await?;
    for variant in variants.split(',').map(str::trim).filter(|v| !v.is_empty()) {
        query.append_pair("variant", variant);
    }
    for (parameter, name) in [
        ("max_bytes", "upload_max_bytes"),
        ("max_pixels", "photo_max_pixels"),
        ("max_memory_bytes", "photo_max_memory_bytes"),
    ] {
        query.append_pair(parameter, &setting(name).await?);
    }
    let url = setting("photo_step_url").await?;
    Ok(format!("{}/?{}", url.trim_end_matches('/'), query.finish()))
}

/// What an answer means that is no success.
async fn refusal(status: StatusCode, body: IncomingResponseBody) -> Interruption {
    let body = Limited::new(body, MAX_PROBLEM_BYTES).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    meaning(status, problem(&body))
}

/// A problem document (RFC 9457), as steps and their host write them: one with a type. A proxy's page, or
/// what another server says, is none.
fn problem(body: &[u8]) -> Option<Value> {
    let document: Value = serde_json::from_slice(body).ok()?;
    document.get("type")?.as_str()?;
    Some(storable(document))
}

/// A step that says what is wrong with the file is believed, in its own words. Whatever may come of a
/// setting, or of a deployment that is being changed, isn't the photo's fault.
fn meaning(status: StatusCode, problem: Option<Value>) -> Interruption {
    match (status, problem) {
        (
            StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::INSUFFICIENT_STORAGE,
            Some(problem),
        ) => Interruption::Failed(Failure::told(problem)),
        // Whoever stands before the step says the same each time.
        (StatusCode::PAYLOAD_TOO_LARGE, None) => Interruption::Failed(Failure::too_large()),
        (StatusCode::GATEWAY_TIMEOUT, _) => Interruption::Failed(Failure::too_slow()),
        // It died of the file: Spin says so with a bare 500, and the router with a document that tells its
        // 502 from that of a proxy that finds no step.
        (StatusCode::INTERNAL_SERVER_ERROR, _) | (StatusCode::BAD_GATEWAY, Some(_)) => {
            eprintln!("the step answered {status}");
            Interruption::Failed(Failure::crashed())
        }
        (_, problem) => Interruption::Postponed(format!(
            "the step answered {status}: {}",
            problem.unwrap_or_default()
        )),
    }
}

/// What it means that there was no answer.
fn interrupted(code: ErrorCode) -> Interruption {
    match code {
        ErrorCode::HttpResponseTimeout => Interruption::Failed(Failure::too_slow()),
        ErrorCode::HttpRequestBodySize(_) => Interruption::Failed(Failure::too_large()),
        ErrorCode::HttpResponseBodySize(_) => bad("it is too long"),
        ErrorCode::InternalError(reason) => {
            eprintln!("the step broke off: {}", reason.unwrap_or_default());
            Interruption::Failed(Failure::crashed())
        }
        code => Interruption::Postponed(format!("the step can't be reached: {code:?}")),
    }
}

/// A body that broke off: the step died, or took too long, after it had begun to answer.
fn broken_off(error: Box<dyn std::error::Error + Send + Sync>) -> Interruption {
    if error.is::<LengthLimitError>() {
        return bad("it is too long");
    }
    match error.downcast::<ErrorCode>().map(|code| *code) {
        Ok(ErrorCode::HttpResponseIncomplete) => {
            eprintln!("the step broke off in the middle of its answer");
            Interruption::Failed(Failure::crashed())
        }
        Ok(code) => interrupted(code),
        Err(error) => {
            eprintln!("the step broke off: {error}");
            Interruption::Failed(Failure::crashed())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_said_of_the_file_fails_the_photo() {
        let document = json!({"type": "urn:tirage:problem:test", "title": "Test"});
        for (status, failure) in [
            (413, Failure::told(document.clone())),
            (415, Failure::told(document.clone())),
            (422, Failure::told(document.clone())),
            (507, Failure::told(document.clone())),
            (500, Failure::crashed()),
            (502, Failure::crashed()),
            (504, Failure::too_slow()),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            match meaning(status, Some(document.clone())) {
                Interruption::Failed(meant) => assert_eq!(meant, failure, "{status}"),
                postponed => panic!("{status}: {postponed:?}"),
            }
        }
        for status in [204, 302, 400, 401, 403, 404, 405, 408, 429, 503] {
            let status = StatusCode::from_u16(status).unwrap();
            let meant = meaning(status, Some(document.clone()));
            assert!(matches!(meant, Interruption::Postponed(_)), "{status}");
        }
    }

    #[test]
    fn what_others_say_on_the_way_is_no_word_of_the_step() {
        for page in [
            &b"<h1>Bad gateway</h1>"[..],
            b"",
            b"[]",
            br#"{"message": "no"}"#,
            br#"{"type": 1}"#,
        ] {
            assert_eq!(problem(page), None);
        }
        assert!(problem(br#"{"type": "about:blank"}"#).is_some());
        for status in [400, 404, 415, 422, 502, 507] {
            let status = StatusCode::from_u16(status).unwrap();
            let meant = meaning(status, None);
            assert!(matches!(meant, Interruption::Postponed(_)), "{status}");
        }
    }

    #[test]
    fn a_step_that_lacked_a_part_of_the_photo_says_nothing_about_it() {
        let (_original, watch) = Original::new((), 5);
        let judged = |failure| judge(Err(Interruption::Failed(failure)), &watch);
        assert!(matches!(
            judged(Failure::too_slow()),
            Err(Interruption::Postponed(_))
        ));
        // It needn't read what it refuses.
        assert!(matches!(
            judged(Failure::too_large()),
            Err(Interruption::Failed(_))
        ));
        let (_original, watch) = Original::new((), 0);
        let judged = judge(Err(Interruption::Failed(Failure::too_slow())), &watch);
        assert!(matches!(judged, Err(Interruption::Failed(_))));
    }
}
