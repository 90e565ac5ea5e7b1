//! The `spin-*` request headers, which tell a component how its request was routed.
//!
//! | header | for `https://a.test/x/42/b?c=d` on the route `/x/:user_id/...` |
//! |---|---|
//! | `spin-full-url` | `https://a.test/x/42/b?c=d` |
//! | `spin-path-info` | `/b`: the capture of the wildcard, with its slashes |
//! | `spin-matched-route` | `/x/:user_id/...`, without a trailing slash: empty for `/` |
//! | `spin-component-route` | `/x/:user_id`, the route without its wildcard |
//! | `spin-raw-component-route` | `/x/:user_id/...`, the route as written |
//! | `spin-base-path` | `/`, always |
//! | `spin-client-addr` | `192.0.2.1:54321` |
//! | `spin-path-match-user-id` | `42`; `_` in the parameter's name becomes `-` |
//!
//! Names and values are those of Spin 4 (`crates/trigger-http/src/headers.rs`). Spin keeps headers of
//! these names that the client sent; this host removes them first ([`strip_spin_headers`]), so that a
//! component can trust them.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::routes::RouteMatch;

/// Headers that every request has.
const SPIN_HEADERS: [HeaderName; 7] = [
    FULL_URL,
    PATH_INFO,
    MATCHED_ROUTE,
    COMPONENT_ROUTE,
    RAW_COMPONENT_ROUTE,
    BASE_PATH,
    CLIENT_ADDR,
];

/// Prefix of the headers of a route's parameters.
const PATH_MATCH_PREFIX: &str = "spin-path-match-";

const FULL_URL: HeaderName = HeaderName::from_static("spin-full-url");
const PATH_INFO: HeaderName = HeaderName::from_static("spin-path-info");
const MATCHED_ROUTE: HeaderName = HeaderName::from_static("spin-matched-route");
const COMPONENT_ROUTE: HeaderName = HeaderName::from_static("spin-component-route");
const RAW_COMPONENT_ROUTE: HeaderName = HeaderName::from_static("spin-raw-component-route");
const BASE_PATH: HeaderName = HeaderName::from_static("spin-base-path");
const CLIENT_ADDR: HeaderName = HeaderName::from_static("spin-client-addr");

/// The part of the headers that is the same for all requests to a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteHeaders {
    matched: HeaderValue,
    raw: HeaderValue,
    component: HeaderValue,
    /// Header name of each parameter, in the order of the route.
    parameters: Vec<HeaderName>,
}

impl<T> RouteMatch<'_, T> {
    /// Returns the headers of the matched request.
    ///
    /// `full_url` is the request's URL with scheme, host, path and query. For a request from another
    /// component, `client` is `0.0.0.0:0`.
    pub fn spin_headers(
        &self,
        full_url: &Uri,
        client: SocketAddr,
    ) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let headers = self.route().headers();
        let captures = headers.parameters.iter().cloned().zip(self.captures());
        [
            (FULL_URL, value(&full_url.to_string())),
            (PATH_INFO, value(&self.path_info())),
            (MATCHED_ROUTE, Some(headers.matched.clone())),
            (COMPONENT_ROUTE, Some(headers.component.clone())),
            (RAW_COMPONENT_ROUTE, Some(headers.raw.clone())),
            (BASE_PATH, Some(HeaderValue::from_static("/"))),
            (CLIENT_ADDR, value(&client.to_string())),
        ]
        .into_iter()
        .chain(captures.map(|(name, (_, captured))| (name, value(captured))))
        // As in Spin, an invalid header value is left out; a path received by HTTP is always valid.
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// Removes the headers that only the host may set: those of every request and those of a route's
/// parameters.
pub fn strip_spin_headers(headers: &mut HeaderMap) {
    let forged: Vec<_> = headers
        .keys()
        .filter(|name| is_spin_header(name))
        .cloned()
        .collect();
    for name in forged {
        headers.remove(name);
    }
}

/// `true` if only the host may set the header.
fn is_spin_header(name: &HeaderName) -> bool {
    // Rejects almost every header of a client with one comparison.
    name.as_str().starts_with("spin-")
        && (SPIN_HEADERS.contains(name) || name.as_str().starts_with(PATH_MATCH_PREFIX))
}

impl RouteHeaders {
    /// `absolute` is the route with a leading and without a trailing slash. Returns `None` if the
    /// route is not a valid header value.
    pub(crate) fn new(written: &str, absolute: &str, parameters: Vec<HeaderName>) -> Option<Self> {
        Some(Self {
            matched: value(absolute)?,
            raw: value(written)?,
            component: value(written.strip_suffix("/...").unwrap_or(written))?,
            parameters,
        })
    }
}

/// Returns the name of the header of a route's parameter.
pub(crate) fn path_match(parameter: &str) -> Option<HeaderName> {
    let name = parameter.replace('_', "-").to_ascii_lowercase();
    HeaderName::from_bytes(format!("{PATH_MATCH_PREFIX}{name}").as_bytes()).ok()
}

fn value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::Routes;

    fn spin_headers(route: &str, url: &str) -> Vec<String> {
        let url: Uri = url.parse().unwrap();
        let (routes, _) = Routes::build([(route.parse().unwrap(), ())]);
        let client = "192.0.2.1:54321".parse().unwrap();
        let found = routes.find(url.path()).unwrap();
        found
            .spin_headers(&url, client)
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect()
    }

    #[test]
    fn the_headers_describe_the_matched_route() {
        assert_eq!(
            spin_headers("/x/:user_id/...", "https://a.test/x/42/b?c=d"),
            [
                "spin-full-url: https://a.test/x/42/b?c=d",
                "spin-path-info: /b",
                "spin-matched-route: /x/:user_id/...",
                "spin-component-route: /x/:user_id",
                "spin-raw-component-route: /x/:user_id/...",
                "spin-base-path: /",
                "spin-client-addr: 192.0.2.1:54321",
                "spin-path-match-user-id: 42",
            ]
        );
    }

    #[test]
    fn only_the_raw_route_keeps_a_trailing_slash() {
        for (route, url, matched, component, raw, path_info) in [
            ("/", "http://a.test/", "", "/", "/", ""),
            ("/...", "http://a.test/b", "/...", "", "/...", "/b"),
            ("/a/", "http://a.test/a/", "/a", "/a/", "/a/", ""),
            ("a", "http://a.test/a", "/a", "a", "a", ""),
            ("/a/*", "http://a.test/a", "/a/*", "/a/*", "/a/*", ""),
        ] {
            let headers = spin_headers(route, url);
            for expected in [
                format!("spin-matched-route: {matched}"),
                format!("spin-component-route: {component}"),
                format!("spin-raw-component-route: {raw}"),
                format!("spin-path-info: {path_info}"),
            ] {
                assert!(
                    headers.contains(&expected),
                    "{route}: {expected} not in {headers:?}"
                );
            }
        }
    }

    #[test]
    fn spin_headers_of_a_client_are_removed() {
        let mut headers = HeaderMap::new();
        for name in SPIN_HEADERS {
            headers.append(name.clone(), HeaderValue::from_static("forged"));
            headers.append(name, HeaderValue::from_static("twice"));
        }
        headers.insert("spin-path-match-any", HeaderValue::from_static("forged"));
        headers.insert("accept", HeaderValue::from_static("*/*"));
        headers.insert(
            "spin-other",
            HeaderValue::from_static("the component's own"),
        );
        strip_spin_headers(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "spin-other"]);
    }
}
