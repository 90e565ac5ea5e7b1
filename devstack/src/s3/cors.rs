//! What browsers ask before they send something across origins, and what they want to read after.
//!
//! <https://fetch.spec.whatwg.org/#http-cors-protocol>

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Request, Response, StatusCode};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, PUT, POST, DELETE");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "ETag, Content-Length, Content-Range, Accept-Ranges, Last-Modified, \
     x-amz-checksum-crc32, x-amz-checksum-crc32c, x-amz-checksum-crc64nvme, \
     x-amz-checksum-sha1, x-amz-checksum-sha256, x-amz-request-id, x-amz-version-id",
);
/// An hour: the rules don't change while the server runs.
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// From where browsers may come.
#[derive(Clone, Debug)]
pub(super) struct Cors {
    /// `*` is everywhere.
    allowed: Vec<String>,
}

impl Cors {
    pub(super) fn new(allowed: Vec<String>) -> Self {
        Self { allowed }
    }

    /// The answer to a preflight, if this is one.
    pub(super) fn preflight<B, R: Default>(&self, request: &Request<B>) -> Option<Response<R>> {
        let headers = request.headers();
        if request.method() != Method::OPTIONS
            || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        {
            return None;
        }
        let mut response = Response::new(R::default());
        let Some(origin) = self.origin(headers) else {
            *response.status_mut() = StatusCode::FORBIDDEN;
            return Some(response);
        };
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        if let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        self.vary(answer);
        Some(response)
    }

    /// Which origin may read the answer to a request with these headers.
    pub(super) fn origin(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(ORIGIN)?;
        if self.is_for_all() {
            return Some(ANY);
        }
        let known = |allowed: &String| origin.as_bytes() == allowed.as_bytes();
        self.allowed.iter().any(known).then(|| origin.clone())
    }

    /// Lets that origin read the answer.
    pub(super) fn expose(&self, origin: Option<HeaderValue>, answer: &mut HeaderMap) {
        if let Some(origin) = origin {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
        self.vary(answer);
    }

    fn vary(&self, answer: &mut HeaderMap) {
        if !self.is_for_all() {
            answer.append(VARY, HeaderValue::from_static("Origin"));
        }
    }

    fn is_for_all(&self) -> bool {
        self.allowed.iter().any(|allowed| allowed == "*")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_origins_are_let_in() {
        let cors = Cors::new(vec!["https://a.example".to_owned()]);
        for (origin, expected) in [
            ("https://a.example", StatusCode::NO_CONTENT),
            ("https://a.example.evil", StatusCode::FORBIDDEN),
            ("null", StatusCode::FORBIDDEN),
        ] {
            let request = Request::options("/tirage/key")
                .header(ORIGIN, origin)
                .header(ACCESS_CONTROL_REQUEST_METHOD, "PUT")
                .header(ACCESS_CONTROL_REQUEST_HEADERS, "content-type")
                .body(())
                .unwrap();
            let response: Response<()> = cors.preflight(&request).unwrap();
            assert_eq!(response.status(), expected, "{origin}");
            let allowed = response.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN);
            assert_eq!(allowed.is_some(), expected == StatusCode::NO_CONTENT);
        }
    }

    #[test]
    fn other_requests_are_no_preflights() {
        let cors = Cors::new(vec!["*".to_owned()]);
        let request = Request::options("/").header(ORIGIN, "https://a").body(());
        assert!(cors.preflight::<_, ()>(&request.unwrap()).is_none());
    }
}
