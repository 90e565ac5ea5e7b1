//! The headers by which Spin tells a component how its request was routed.
//!
//! | header | for `https://a.test/x/42/b?c=d` on the route `/x/:user_id/...` |
//! |---|---|
//! | `spin-full-url` | `https://a.test/x/42/b?c=d` |
//! | `spin-path-info` | `/b`, what the wildcard captured, with its slashes |
//! | `spin-matched-route` | `/x/:user_id/...`, without a slash at the end: empty for `/` |
//! | `spin-component-route` | `/x/:user_id`, the route without its wildcard |
//! | `spin-raw-component-route` | `/x/:user_id/...`, the route as written |
//! | `spin-base-path` | `/`, always |
//! | `spin-client-addr` | `192.0.2.1:54321` |
//! | `spin-path-match-user-id` | `42`; in the name, `_` becomes `-` |
//!
//! Names and values are those of Spin 4 (`crates/trigger-http/src/headers.rs`). Spin adds them to
//! those that the client sent; a component that trusts them should not have to wonder which is
//! which, so [`strip_spin_headers`] takes the client's away first.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::routes::RouteMatch;

/// The headers that a request gets whatever its route is.
pub const SPIN_HEADERS: [HeaderName; 7] = [
    FULL_URL,
    PATH_INFO,
    MATCHED_ROUTE,
    COMPONENT_ROUTE,
    RAW_COMPONENT_ROUTE,
    BASE_PATH,
    CLIENT_ADDR,
];

/// What the name of the header of a route's parameter begins with.
pub const PATH_MATCH_PREFIX: &str = "spin-path-match-";

const FULL_URL: HeaderName = HeaderName::from_static("spin-full-url");
const PATH_INFO: HeaderName = HeaderName::from_static("spin-path-info");
const MATCHED_ROUTE: HeaderName = HeaderName::from_static("spin-matched-route");
const COMPONENT_ROUTE: HeaderName = HeaderName::from_static("spin-component-route");
const RAW_COMPONENT_ROUTE: HeaderName = HeaderName::from_static("spin-raw-component-route");
const BASE_PATH: HeaderName = HeaderName::from_static("spin-base-path");
const CLIENT_ADDR: HeaderName = HeaderName::from_static("spin-client-addr");

/// What is the same in all requests to a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteHeaders {
    matched: HeaderValue,
    raw: HeaderValue,
    component: HeaderValue,
    /// The header of each parameter, in the order of the route.
    parameters: Vec<HeaderName>,
}

impl<T> RouteMatch<'_, T> {
    /// The headers that the request gets.
    ///
    /// `full_url` is the request's URL with scheme, host, path and query. For a request from
    /// another component, `client` is `0.0.0.0:0`.
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
        // As in Spin, a value that cannot be sent is left out; no path that came by HTTP is one.
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// Takes away what only the host may say: the [`SPIN_HEADERS`] and all that begin with
/// [`PATH_MATCH_PREFIX`].
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

/// Whether the header is one that only the host may set.
pub fn is_spin_header(name: &HeaderName) -> bool {
    // Hardly any header of a client's gets further than this.
    name.as_str().starts_with("spin-")
        && (SPIN_HEADERS.contains(name) || name.as_str().starts_with(PATH_MATCH_PREFIX))
}

impl RouteHeaders {
    /// `based` is the absolute route without a slash at its end. `None` if a character of the
    /// route cannot stand in a header.
    pub(crate) fn new(written: &str, based: &str, parameters: Vec<HeaderName>) -> Option<Self> {
        Some(Self {
            matched: value(based)?,
            raw: value(written)?,
            component: value(written.strip_suffix("/...").unwrap_or(written))?,
            parameters,
        })
    }
}

/// The header that shows what the parameter of this name captured.
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
    fn a_request_is_told_how_it_was_routed() {
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
    fn the_matched_route_has_no_slash_at_its_end_and_the_raw_one_is_as_written() {
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
    fn a_client_cannot_forge_them() {
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
