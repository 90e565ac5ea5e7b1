//! `POST /api/media` with the file as body, for clients that can't upload to the object store themselves.
//!
//! The body streams into the object store without being held: a file may be larger than this function's
//! memory. Its hash and format are computed on the way.

use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use spin_sdk::wasip3::http_compat::IncomingRequestBody;
use tirage_guest::body::{Watch, WatchedBody};
use tirage_guest::database::Database;
use tirage_guest::store::{self, ObjectStore};
use tirage_guest::{Error, settings};
use tirage_problem::{Kind, Place, Problem};
use uuid::Uuid;

use super::announcement::{self, Announcement, too_large};
use super::signature::{START_LENGTH, Signature};
use super::{MediaItem, State, announce, complete, original};
use crate::idempotency::IdempotencyKey;
use crate::workspace_database;

/// Responds 201 with the media item and its task as soon as the file is stored.
///
/// # Errors
/// 400 for an invalid name or a body that ends early, 411 without a length, 413 for a file that is too
/// large; 422 for an idempotency key of another request or other bytes; 503 and 500.
pub(crate) async fn receive(
    head: &Parts,
    body: IncomingRequestBody,
) -> Result<Response<Bytes>, Error> {
    let announcement = describe(head, settings::parsed("upload_max_bytes").await?)?;
    let database = workspace_database().await?;
    let store = ObjectStore::open().await?;
    let described = format!(
        "{}\0{}\0{}",
        announcement.filename, announcement.content_type, announcement.size
    );
    let idempotency = IdempotencyKey::of(head, described.as_bytes())?;
    let repeated = match &idempotency {
        Some(key) => key.subject(&database).await?,
        None => None,
    };
    let (id, received) = match repeated {
        Some(id) => {
            let received = store_repeated(&database, &store, id, &announcement, body).await?;
            (id, received)
        }
        None => {
            let id = announce::insert(&database, &announcement, idempotency.as_ref()).await?;
            (id, store_body(&store, id, &announcement, body).await?)
        }
    };
    complete::begin(&database, id, received.signature, Some(received.sha256)).await?;
    let item = MediaItem::find(&database, &store, id).await?;
    complete::publish(&database, &item).await;
    complete::respond(StatusCode::CREATED, item)
}

/// Receives the body of a repeated request. If the first request stored its file, the body is only
/// compared with it.
///
/// # Errors
/// 422 if the bytes differ from those of the first request.
async fn store_repeated(
    database: &Database,
    store: &ObjectStore,
    id: Uuid,
    announcement: &Announcement,
    body: IncomingRequestBody,
) -> Result<Received, Error> {
    announce::extend(database, id).await?;
    let item = MediaItem::find(database, store, id).await?;
    let key = original(id);
    if item.state == State::Uploading && store.head(&key).await?.is_none() {
        return store_body(store, id, announcement, body).await;
    }
    let received = read_body(announcement, body).await?;
    let first = match item.sha256 {
        Some(sha256) => Some(sha256),
        None => store.sha256(&key).await?.map(hex::encode),
    };
    match first {
        Some(first) if first == received.sha256 => Ok(received),
        Some(_) => Err(Problem::new(Kind::IDEMPOTENCY_KEY_REUSED).into()),
        None => Err(Error::internal(format!("{key} has disappeared"))),
    }
}

/// Describes the file by the headers of the request.
fn describe(head: &Parts, max_bytes: u64) -> Result<Announcement, Problem> {
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let size = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let size: u64 = size.ok_or_else(|| {
        Problem::new(Kind::LENGTH_REQUIRED).detail("The object store needs the Content-Length")
    })?;
    if size == 0 {
        return Err(Problem::new(Kind::INVALID_INPUT).detail("The body is empty"));
    }
    if size > max_bytes {
        return Err(too_large(max_bytes));
    }
    let content_type = text(CONTENT_TYPE).unwrap_or("application/octet-stream");
    let content_type = announcement::content_type(content_type).ok_or_else(|| {
        Problem::new(Kind::INVALID_INPUT).field(
            Place::Header("Content-Type"),
            "Content-Type must have the form type/subtype, such as image/jpeg",
        )
    })?;
    Ok(Announcement {
        filename: filename(head)?,
        content_type,
        size,
        sha256: None,
    })
}

/// Filename from `?filename=`, else from `Content-Disposition` (RFC 6266), else `upload`.
fn filename(head: &Parts) -> Result<String, Problem> {
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let parameter = form_urlencoded::parse(query)
        .find(|(name, _)| name == "filename")
        .map(|(_, name)| name.into_owned());
    let Some(name) = parameter.or_else(|| disposition_filename(&head.headers)) else {
        return Ok("upload".to_owned());
    };
    announcement::filename(&name).ok_or_else(|| {
        Problem::new(Kind::INVALID_INPUT).field(
            Place::Parameter("filename"),
            "Filename must have 1 to 255 characters and no control characters",
        )
    })
}

/// Parses `attachment; filename="a.jpg"`. The extended form `filename*` (RFC 8187) takes precedence.
fn disposition_filename(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_DISPOSITION)?.to_str().ok()?;
    let parameter = |wanted: &str| {
        value.split(';').skip(1).find_map(|part| {
            let (name, value) = part.split_once('=')?;
            (name.trim().eq_ignore_ascii_case(wanted)).then(|| value.trim())
        })
    };
    if let Some(extended) = parameter("filename*")
        && let Some(encoded) = extended
            .get(..7)
            .filter(|start| start.eq_ignore_ascii_case("utf-8''"))
    {
        let encoded = extended.get(encoded.len()..)?;
        let decoded = percent_encoding::percent_decode_str(encoded)
            .decode_utf8()
            .ok()?;
        return Some(decoded.into_owned());
    }
    Some(parameter("filename")?.trim_matches('"').to_owned())
}

/// Properties of the received bytes.
struct Received {
    /// In hexadecimal.
    sha256: String,
    signature: Signature,
}

impl Received {
    fn from(watch: &Watch) -> Result<Self, Error> {
        let content = watch
            .content()
            .ok_or_else(|| Error::internal("the body was not hashed"))?;
        Ok(Self {
            sha256: hex::encode(content.sha256()),
            signature: Signature::of(content.start()),
        })
    }
}

/// Streams the body into the object store.
async fn store_body(
    store: &ObjectStore,
    id: Uuid,
    announcement: &Announcement,
    body: IncomingRequestBody,
) -> Result<Received, Error> {
    let (body, watch) = WatchedBody::hashed(body, announcement.size, START_LENGTH.into());
    let stored = store
        .put_stream(
            &original(id),
            &announcement.content_type,
            announcement.size,
            body,
        )
        .await;
    match stored {
        Ok(()) => Received::from(&watch),
        // The client is at fault only if its body broke off. The store may also have stopped reading.
        Err(_) if watch.has_broken_off() => Err(ended_early().into()),
        // Only the same request, received at the same moment, uses this key. It is answered first.
        Err(store::Error::Exists) => Err(Problem::new(Kind::UNAVAILABLE)
            .detail("The same request is being processed at the moment")
            .retry_after(5)
            .into()),
        Err(error) => Err(error.into()),
    }
}

/// Reads the body without storing it.
async fn read_body(
    announcement: &Announcement,
    body: IncomingRequestBody,
) -> Result<Received, Error> {
    let (mut body, watch) = WatchedBody::hashed(body, announcement.size, START_LENGTH.into());
    while let Some(Ok(_)) = body.frame().await {}
    match watch.has_broken_off() {
        true => Err(ended_early().into()),
        false => Received::from(&watch),
    }
}

fn ended_early() -> Problem {
    Problem::new(Kind::INVALID_INPUT).detail("The body ended before its Content-Length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(uri: &str, headers: &[(http::HeaderName, &str)]) -> Parts {
        let mut request = http::Request::post(uri);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_filename_comes_from_the_query_or_the_disposition() {
        for (uri, disposition, expected) in [
            ("/api/media?filename=a%20b.jpg", None, "a b.jpg"),
            (
                "/api/media",
                Some("attachment; filename=\"c d.jpg\""),
                "c d.jpg",
            ),
            (
                "/api/media",
                Some("attachment; filename=\"e.jpg\"; filename*=UTF-8''%C3%A9.jpg"),
                "é.jpg",
            ),
            ("/api/media", None, "upload"),
        ] {
            let headers: Vec<_> = disposition
                .map(|value| (CONTENT_DISPOSITION, value))
                .into_iter()
                .collect();
            assert_eq!(filename(&head(uri, &headers)).unwrap(), expected);
        }
        assert!(filename(&head("/api/media?filename=", &[])).is_err());
    }

    #[test]
    fn the_length_is_required_and_bounded() {
        let kind = |length: &str| {
            let head = head("/api/media", &[(CONTENT_LENGTH, length)]);
            describe(&head, 10).map_err(|problem| problem.kind())
        };
        assert_eq!(kind("0").unwrap_err(), Kind::INVALID_INPUT);
        assert_eq!(kind("11").unwrap_err(), Kind::BODY_TOO_LARGE);
        assert_eq!(kind("x").unwrap_err(), Kind::LENGTH_REQUIRED);
        let new = kind("10").unwrap();
        assert_eq!(
            (new.size, new.content_type.as_str()),
            (10, "application/octet-stream")
        );
        let missing = describe(&head("/api/media", &[]), 10).unwrap_err();
        assert_eq!(missing.kind(), Kind::LENGTH_REQUIRED);
    }
}
