//! `POST /api/media` with the bytes as body, for clients that can't put them into storage themselves.
//!
//! The bytes pass through as they come and are never held: a file may be larger than this function's
//! memory. What they hash to, and what they are, is found out on the way.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use spin_sdk::wasip3::http_compat::IncomingRequestBody;
use tirage_objects::Error;
use tirage_problem::{Kind, Place, Problem};
use uuid::Uuid;

use super::new::{self, NewMedia, hexadecimal, too_large};
use super::signature::{LOOKED_AT, Signature};
use super::{Media, ORIGINAL, State, complete, key, upload};
use crate::database::{BUILT_IN_WORKSPACE, Database};
use crate::idempotency::IdempotencyKey;
use crate::settings;
use crate::storage::{self, Storage};
use crate::tasks;

/// 201 with the media and its tasks, as soon as the bytes are stored.
///
/// # Errors
/// 400 for a bad name or a body that ends too early, 411 without a length, 413 for too many bytes; 422
/// for an idempotency key that was used, for other bytes too; 503 and 500.
pub(crate) async fn receive(
    head: &Parts,
    body: IncomingRequestBody,
) -> Result<Response<Bytes>, Problem> {
    let new = describe(head, settings::parsed("upload_max_bytes").await?)?;
    let database = Database::of_workspace(BUILT_IN_WORKSPACE).await?;
    let storage = Storage::open().await?;
    let described = format!("{}\0{}\0{}", new.filename, new.content_type, new.size);
    let idempotency = IdempotencyKey::of(head, described.as_bytes())?;
    let again = match &idempotency {
        Some(key) => key.subject(&database).await?,
        None => None,
    };
    let id = match again {
        Some(id) => id,
        None => upload::store(&database, &new, idempotency.as_ref()).await?,
    };
    let seen = match again {
        Some(_) => store_again(&database, &storage, id, &new, body).await?,
        None => store(&storage, id, &new, body).await?,
    };
    complete::begin(&database, id, seen.signature, Some(seen.sha256)).await?;
    let media = Media::find(&database, &storage, id).await?;
    if let Some(task) = media.unsent_task() {
        tasks::tell(&database, task).await;
    }
    complete::answer(StatusCode::CREATED, media)
}

/// The same for a request that comes again. The first may have been cut off while its bytes were on
/// their way, or after they were stored: then these are looked at, but not stored.
///
/// # Errors
/// 422 if they are other bytes than the first request's.
async fn store_again(
    database: &Database,
    storage: &Storage,
    id: Uuid,
    new: &NewMedia,
    body: IncomingRequestBody,
) -> Result<Seen, Problem> {
    upload::extend(database, id).await?;
    let media = Media::find(database, storage, id).await?;
    let original = key(id, ORIGINAL)?;
    if media.state == State::Uploading && storage.look(&original).await?.is_none() {
        return store(storage, id, new, body).await;
    }
    let seen = look_at(new, body).await?;
    let first = match media.sha256 {
        Some(sha256) => Some(sha256),
        None => storage.sha256(&original).await?,
    };
    match first {
        Some(first) if first == seen.sha256 => Ok(seen),
        Some(_) => Err(Problem::new(Kind::IDEMPOTENCY_KEY_REUSED)),
        None => Err(settings::internal(format!(
            "{original} was there, and is gone"
        ))),
    }
}

/// What the headers say of the file.
fn describe(head: &Parts, max_bytes: u64) -> Result<NewMedia, Problem> {
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let size = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let size: u64 = size.ok_or_else(|| {
        Problem::new(Kind::LENGTH_REQUIRED).detail("Storage must know the length in advance")
    })?;
    if size == 0 {
        return Err(Problem::new(Kind::INVALID_INPUT).detail("The body is empty"));
    }
    if size > max_bytes {
        return Err(too_large(max_bytes));
    }
    let content_type = text(CONTENT_TYPE).unwrap_or("application/octet-stream");
    let content_type = new::content_type(content_type).ok_or_else(|| {
        Problem::new(Kind::INVALID_INPUT).field(
            Place::Header("Content-Type"),
            "Content-Type must be like image/jpeg",
        )
    })?;
    Ok(NewMedia {
        filename: filename(head)?,
        content_type,
        size,
        sha256: None,
    })
}

/// From `?filename=`, else from `Content-Disposition` (RFC 6266), else one that says nothing.
fn filename(head: &Parts) -> Result<String, Problem> {
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let parameter = form_urlencoded::parse(query)
        .find(|(name, _)| name == "filename")
        .map(|(_, name)| name.into_owned());
    let Some(name) = parameter.or_else(|| disposed(&head.headers)) else {
        return Ok("upload".to_owned());
    };
    new::filename(&name).ok_or_else(|| {
        Problem::new(Kind::INVALID_INPUT).field(
            Place::Parameter("filename"),
            "Filename must have 1 to 255 characters, none of them a control character",
        )
    })
}

/// `attachment; filename="a.jpg"`, and its form for other alphabets (RFC 8187), which counts more.
fn disposed(headers: &HeaderMap) -> Option<String> {
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

/// What was seen of the bytes as they went by.
struct Seen {
    sha256: String,
    signature: Signature,
}

async fn store(
    storage: &Storage,
    id: Uuid,
    new: &NewMedia,
    body: IncomingRequestBody,
) -> Result<Seen, Problem> {
    let (watched, watch) = Watched::new(body);
    let stored = storage
        .put_stream(&key(id, ORIGINAL)?, &new.content_type, new.size, watched)
        .await;
    let watch = watch.borrow();
    match stored {
        Ok(()) => Ok(watch.seen()),
        Err(_) if watch.is_short_of(new.size) => Err(ended_early()),
        // Nobody else knows this name but the same request, at the same moment. It is answered first.
        Err(Error::Exists) => Err(Problem::new(Kind::UNAVAILABLE)
            .detail("The same request is being answered at the moment")
            .header(RETRY_AFTER, HeaderValue::from_static("5"))),
        Err(error) => Err(storage::problem(error)),
    }
}

/// Takes the bytes, and stores nothing.
async fn look_at(new: &NewMedia, body: IncomingRequestBody) -> Result<Seen, Problem> {
    let (mut watched, watch) = Watched::new(body);
    while let Some(Ok(_)) = watched.frame().await {}
    let watch = watch.borrow();
    match watch.is_short_of(new.size) {
        true => Err(ended_early()),
        false => Ok(watch.seen()),
    }
}

fn ended_early() -> Problem {
    Problem::new(Kind::INVALID_INPUT).detail("The body ended before its Content-Length")
}

#[derive(Default)]
struct Watch {
    hash: Sha256,
    start: Vec<u8>,
    length: u64,
    has_failed: bool,
    has_ended: bool,
}

impl Watch {
    fn see(&mut self, data: &[u8]) {
        self.hash.update(data);
        self.length += data.len() as u64;
        let missing = usize::from(LOOKED_AT).saturating_sub(self.start.len());
        self.start.extend(data.iter().take(missing));
    }

    fn seen(&self) -> Seen {
        Seen {
            sha256: hexadecimal(&self.hash.clone().finalize()),
            signature: Signature::of(&self.start),
        }
    }

    /// Whether the client is to blame for what is missing. A body that nobody wanted to read on, since
    /// storage had refused, hasn't ended.
    fn is_short_of(&self, size: u64) -> bool {
        self.has_failed || (self.has_ended && self.length != size)
    }
}

/// A body that is watched as it goes by.
struct Watched {
    body: IncomingRequestBody,
    watch: Rc<RefCell<Watch>>,
}

impl Watched {
    fn new(body: IncomingRequestBody) -> (Self, Rc<RefCell<Watch>>) {
        let watch = Rc::new(RefCell::new(Watch::default()));
        let watched = Self {
            body,
            watch: Rc::clone(&watch),
        };
        (watched, watch)
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = <IncomingRequestBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.watch.borrow_mut().see(data);
                }
            }
            Some(Err(_)) => self.watch.borrow_mut().has_failed = true,
            None => self.watch.borrow_mut().has_ended = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
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
    fn names_come_from_where_clients_put_them() {
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
    fn a_body_that_is_not_read_to_its_end_is_not_the_clients_fault() {
        let watch = |length, has_failed, has_ended| Watch {
            length,
            has_failed,
            has_ended,
            ..Watch::default()
        };
        assert!(!watch(3, false, false).is_short_of(10));
        assert!(!watch(10, false, true).is_short_of(10));
        assert!(watch(3, false, true).is_short_of(10));
        assert!(watch(3, true, false).is_short_of(10));
    }

    #[test]
    fn the_length_is_known_before_and_bounded() {
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
