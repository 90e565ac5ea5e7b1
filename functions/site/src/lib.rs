//! The web app, where no website hosting serves it: the files that the manifest mounts at `/`.
//!
//! - A path names a file; one that ends in `/` the `index.html` there. A page of the app (no file, and
//!   no name of one either) gets the app's `index.html`; a missing file is a 404.
//! - Files whose names hold a hash of their content never change, so they are cached for ever;
//!   everything else is asked for again each time, and answered 304 while it is the same: each answer
//!   has an `ETag` made of the content.
//! - Where the build put a compressed copy (`.br`, `.gz`) beside a file, clients that take it get it.
//!
//! Files are streams of WASI 0.3: their bytes go from the host to the client without passing through
//! here, so their size does not matter. Ranges are not served: the web app has nothing worth seeking in.

mod caching;
mod content_type;
mod encoding;
mod etag;
mod files;
mod path;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use spin_sdk::http::{FullBody, IntoResponse, Request};
use spin_sdk::http_service;
use spin_sdk::wasip3::http::types::{ErrorCode, Response};
use tirage_problem::{Kind, Problem};

use crate::encoding::Encoding;
use crate::files::{File, Folder};
use crate::path::FilePath;

/// Sent with everything. Scripts, styles and connections are the site's own; when media are shown
/// from another origin, `img-src` and `media-src` must name it.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 4] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; \
             form-action 'self'; frame-ancestors 'none'",
        ),
    ),
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

#[http_service]
async fn handle(request: Request) -> Result<Response, ErrorCode> {
    let (head, _) = request.into_parts();
    match answer(&head).await {
        Ok(response) => response,
        Err(problem) => refusal(problem, &head),
    }
}

async fn answer(head: &Parts) -> Result<Result<Response, ErrorCode>, Problem> {
    if head.method != Method::GET && head.method != Method::HEAD {
        return Err(Problem::new(Kind::METHOD_NOT_ALLOWED)
            .header(ALLOW, HeaderValue::from_static("GET, HEAD")));
    }
    let not_found = || Problem::new(Kind::NOT_FOUND);
    let folder = Folder::mounted().ok_or_else(not_found)?;
    let path = FilePath::parse(head.uri.path()).ok_or_else(not_found)?;
    let accepted = Encoding::accepted(head.headers.get(ACCEPT_ENCODING));
    let found = match find(&folder, &path, &accepted).await {
        None if path.is_page(head.headers.get(ACCEPT)) => {
            find(&folder, &FilePath::index(), &accepted).await
        }
        found => found,
    };
    let found = found.ok_or_else(not_found)?;

    let tag = etag::of(&found.file).await.map_err(|error| {
        eprintln!("cannot read {}: {error:?}", found.file.path());
        Problem::new(Kind::INTERNAL)
    })?;
    let is_unchanged = etag::matches(head.headers.get_all(IF_NONE_MATCH), &tag);
    let mut headers = found.headers(tag);
    Ok(if is_unchanged {
        empty(StatusCode::NOT_MODIFIED, headers)
    } else {
        headers.insert(CONTENT_LENGTH, found.file.size().into());
        headers.insert(CONTENT_TYPE, content_type::of(&found.path));
        if head.method == Method::HEAD {
            empty(StatusCode::OK, headers)
        } else {
            found.file.into_response(headers)
        }
    })
}

/// A file that answers for a path, maybe compressed.
struct Found {
    path: FilePath,
    file: File,
    encoding: Option<Encoding>,
}

async fn find(folder: &Folder, path: &FilePath, accepted: &[Encoding]) -> Option<Found> {
    for &encoding in accepted {
        if let Some(file) = folder.open(&format!("{path}{}", encoding.suffix())).await {
            return Some(Found {
                path: path.clone(),
                file,
                encoding: Some(encoding),
            });
        }
    }
    let file = folder.open(path.as_str()).await?;
    Some(Found {
        path: path.clone(),
        file,
        encoding: None,
    })
}

impl Found {
    /// Those that go with 200 and with 304.
    fn headers(&self, tag: HeaderValue) -> HeaderMap {
        let mut headers = HeaderMap::from_iter(SECURITY_HEADERS);
        headers.insert(ETAG, tag);
        headers.insert(CACHE_CONTROL, caching::of(&self.path));
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        if let Some(encoding) = self.encoding {
            headers.insert(CONTENT_ENCODING, encoding.name());
        }
        headers
    }
}

fn empty(status: StatusCode, headers: HeaderMap) -> Result<Response, ErrorCode> {
    (status, headers, FullBody::new(Bytes::new())).into_response()
}

fn refusal(problem: Problem, head: &Parts) -> Result<Response, ErrorCode> {
    let request_id = head.headers.get("x-request-id");
    let (mut answer, body) = problem
        .into_response(request_id.and_then(|id| id.to_str().ok()))
        .into_parts();
    answer.headers.extend(SECURITY_HEADERS);
    answer.headers.insert(CONTENT_LENGTH, body.len().into());
    let body = if head.method == Method::HEAD {
        Bytes::new()
    } else {
        body
    };
    (answer.status, answer.headers, FullBody::new(body)).into_response()
}
