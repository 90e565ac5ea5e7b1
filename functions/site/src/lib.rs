//! Serves the web app, where no website hosting does: the files that the manifest mounts at `/`.
//!
//! - A path names a file; a path that ends in `/` names the `index.html` there. A page of the app (a path
//!   without a file that doesn't look like a file name) gets the app's `index.html`. A missing file is a
//!   404.
//! - Files with a hash of the content in their name never change, so clients cache them forever. Clients
//!   revalidate all other files by their `ETag`, which is computed from the content.
//! - Clients that accept it get the compressed copy (`.br`, `.gz`) that the build put beside a file.
//!
//! Files are streams of WASI 0.3, whose bytes go from the host to the client without passing through this
//! component, whatever their size. Not supported: range requests.

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

/// Headers of every response. Scripts, styles and connections are limited to the site's own origin. If
/// media come from another origin, `img-src` and `media-src` must name it.
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
    match serve(&head).await {
        Ok(response) => response,
        Err(problem) => problem_response(problem, &head),
    }
}

async fn serve(head: &Parts) -> Result<Result<Response, ErrorCode>, Problem> {
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

    let tag = etag::tag(&found.file).await.map_err(|error| {
        eprintln!("cannot read {}: {error:?}", found.file.path());
        Problem::new(Kind::INTERNAL)
    })?;
    let is_unchanged = etag::matches(head.headers.get_all(IF_NONE_MATCH), &tag);
    let mut headers = found.headers(tag);
    Ok(if is_unchanged {
        empty(StatusCode::NOT_MODIFIED, headers)
    } else {
        headers.insert(CONTENT_LENGTH, found.file.size().into());
        headers.insert(CONTENT_TYPE, content_type::header(&found.path));
        if head.method == Method::HEAD {
            empty(StatusCode::OK, headers)
        } else {
            found.file.into_response(headers)
        }
    })
}

/// The file that is served for a path.
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
    /// Returns the headers of responses with status 200 and 304.
    fn headers(&self, tag: HeaderValue) -> HeaderMap {
        let mut headers = HeaderMap::from_iter(SECURITY_HEADERS);
        headers.insert(ETAG, tag);
        headers.insert(CACHE_CONTROL, caching::header(&self.path));
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

fn problem_response(problem: Problem, head: &Parts) -> Result<Response, ErrorCode> {
    let request_id = head.headers.get("x-request-id");
    let (mut response, body) = problem
        .into_response(request_id.and_then(|id| id.to_str().ok()))
        .into_parts();
    response.headers.extend(SECURITY_HEADERS);
    response.headers.insert(CONTENT_LENGTH, body.len().into());
    let body = if head.method == Method::HEAD {
        Bytes::new()
    } else {
        body
    };
    (response.status, response.headers, FullBody::new(body)).into_response()
}
