//! The canonical form of a request, which client and server must compute identically.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request>

use std::borrow::Cow;

use http::header::{HOST, HeaderName};
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

use crate::Service;

/// All characters but the unreserved ones of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const ESCAPED_IN_PATHS: &AsciiSet = &ESCAPED.remove(b'/');

/// Headers that proxies change or that HTTP clients add by themselves.
const UNSIGNED: [&str; 11] = [
    "authorization",
    "connection",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amzn-trace-id",
];

/// Returns the sorted names of the headers to sign: `host`, and those in `head` that aren't in
/// [`UNSIGNED`].
pub(crate) fn headers_to_sign(head: &Parts) -> Vec<HeaderName> {
    let mut names: Vec<_> = head
        .headers
        .keys()
        .filter(|name| !UNSIGNED.contains(&name.as_str()))
        .cloned()
        .chain([HOST])
        .collect();
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    names
}

/// Joins names to the form `host;x-amz-date`.
pub(crate) fn list(names: &[HeaderName]) -> String {
    let names: Vec<_> = names.iter().map(HeaderName::as_str).collect();
    names.join(";")
}

/// Returns the canonical request, or `None` if neither a header nor the URI of `head` names the host.
///
/// The result is bytes, since a header's value need not be UTF-8.
pub(crate) fn request(
    head: &Parts,
    query: &str,
    signed: &[HeaderName],
    payload: &str,
    service: &Service,
) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut line = |parts: &[&[u8]]| {
        parts.iter().for_each(|part| text.extend_from_slice(part));
        text.push(b'\n');
    };
    line(&[head.method.as_str().as_bytes()]);
    line(&[path(head.uri.path(), service).as_bytes()]);
    line(&[canonical_query(query).as_bytes()]);
    for name in signed {
        let value = match name {
            &HOST => host(head)?,
            _ => header(head, name),
        };
        line(&[name.as_str().as_bytes(), b":", &value]);
    }
    line(&[]);
    line(&[list(signed).as_bytes()]);
    text.extend_from_slice(payload.as_bytes());
    Some(text)
}

/// Percent-encodes a name or value of a query.
pub(crate) fn escape(text: &str) -> String {
    percent_encode(text.as_bytes(), ESCAPED).to_string()
}

fn path(path: &str, service: &Service) -> String {
    match service {
        // The key is the same whichever characters the client escaped.
        Service::S3 => {
            let key: Cow<'_, [u8]> = percent_decode(path.as_bytes()).into();
            percent_encode(&key, ESCAPED_IN_PATHS).to_string()
        }
        Service::Other(_) => {
            percent_encode(normalize(path).as_bytes(), ESCAPED_IN_PATHS).to_string()
        }
    }
}

/// Removes dot segments and doubled slashes (RFC 3986, 6.2.2.3).
fn normalize(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    match segments.as_slice() {
        [] => "/".to_owned(),
        _ if folder => format!("/{}/", segments.join("/")),
        _ => format!("/{}", segments.join("/")),
    }
}

/// Sorts the parameters and escapes each name and value canonically. A plus stays a plus (RFC 3986).
fn canonical_query(query: &str) -> String {
    let escape = |text: &str| {
        let text: Cow<'_, [u8]> = percent_decode(text.as_bytes()).into();
        percent_encode(&text, ESCAPED).to_string()
    };
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (escape(name), escape(value)))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// Returns the host as the client will send it: from the header, or else from the URI, without the
/// scheme's default port.
fn host(head: &Parts) -> Option<Vec<u8>> {
    if let Some(host) = head.headers.get(HOST) {
        return Some(host.as_bytes().to_vec());
    }
    let host = head.uri.host()?;
    let port = match (head.uri.scheme_str(), head.uri.port_u16()) {
        (Some("http"), Some(80)) | (Some("https"), Some(443)) | (_, None) => None,
        (_, port) => port,
    };
    Some(match port {
        Some(port) => format!("{host}:{port}").into_bytes(),
        None => host.as_bytes().to_vec(),
    })
}

/// Joins all values of a header in their order, each with insignificant spaces removed.
fn header(head: &Parts, name: &HeaderName) -> Vec<u8> {
    let values: Vec<_> = head
        .headers
        .get_all(name)
        .iter()
        .map(|value| {
            let words: Vec<_> = value
                .as_bytes()
                .split(|byte| *byte == b' ' || *byte == b'\t')
                .filter(|word| !word.is_empty())
                .collect();
            words.join(&b' ')
        })
        .collect();
    values.join(&b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths of AWS's test suite, including those that no URI can hold.
    #[test]
    fn paths_of_other_services_are_normalised_and_escaped_again() {
        for (given, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/example/..", "/"),
            ("/example1/example2/../..", "/"),
            ("/./example", "/example"),
            ("//example//", "/example/"),
            ("/example space/", "/example%20space/"),
            ("/example%20space/", "/example%2520space/"),
            ("/ሴ", "/%E1%88%B4"),
            ("/a/b/.", "/a/b/"),
            ("/a/b/..", "/a/"),
        ] {
            assert_eq!(path(given, &Service::SQS), expected, "{given}");
        }
    }

    #[test]
    fn paths_of_s3_are_not_normalised() {
        for (given, expected) in [
            ("/", "/"),
            ("//a/../b/./", "//a/../b/./"),
            ("/a%20b%2Bc", "/a%20b%2Bc"),
            ("/a+b", "/a%2Bb"),
            ("/%7euser", "/~user"),
            ("/test%24file.text", "/test%24file.text"),
            ("/test$file.text", "/test%24file.text"),
        ] {
            assert_eq!(path(given, &Service::S3), expected, "{given}");
        }
    }

    #[test]
    fn queries_are_sorted_in_their_encoded_form() {
        for (given, expected) in [
            ("", ""),
            ("&&", ""),
            ("lifecycle", "lifecycle="),
            ("b=2&a=2&a=1", "a=1&a=2&b=2"),
            ("a-b=1&a=2", "a=2&a-b=1"),
            ("a=b=c", "a=b%3Dc"),
            ("a=x+y&b=x%20y", "a=x%2By&b=x%20y"),
            ("p=%2f", "p=%2F"),
        ] {
            assert_eq!(canonical_query(given), expected, "{given}");
        }
    }

    #[test]
    fn host_comes_from_the_header_or_the_uri() {
        let host_of = |uri: &str, header: Option<&str>| {
            let mut request = http::Request::get(uri);
            if let Some(header) = header {
                request = request.header(HOST, header);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            host(&head).map(|host| String::from_utf8(host).unwrap())
        };
        assert_eq!(host_of("http://a:80/", None).as_deref(), Some("a"));
        assert_eq!(host_of("https://a:443/", None).as_deref(), Some("a"));
        assert_eq!(host_of("http://a:443/", None).as_deref(), Some("a:443"));
        assert_eq!(host_of("http://[::1]:9/", None).as_deref(), Some("[::1]:9"));
        assert_eq!(host_of("http://a/", Some("b:1")).as_deref(), Some("b:1"));
        assert_eq!(host_of("/", None), None);
    }
}
