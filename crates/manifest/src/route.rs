//! The route of a trigger: a pattern of paths.
//!
//! | route | matches | doesn't match |
//! |---|---|---|
//! | `/a/b` | `/a/b`, `/a/b/` | `/a`, `/a/b/c` |
//! | `/a/:id` | `/a/1`; captures `id` | `/a`, `/a/1/2` |
//! | `/a/...` (or `/a/*`) | `/a`, `/a/`, `/a/1/2` | `/ab` |
//!
//! Leading and trailing slashes of a path are ignored, and so are repeated slashes of a route.
//! Repeated slashes within a path are not: `/a//b` has an empty segment, which `:id` captures. Paths
//! are compared without decoding: `%2F` is not a slash, `%61` is not `a`, and captures stay encoded.
//! Spin 4 does the same (`crates/routes` and the crate `routefinder`); the cases of their tests are in
//! `tests/routing`.
//!
//! Stricter than Spin: a parameter or a wildcard is a whole segment, a wildcard is the last segment,
//! and the names of parameters are valid in a header name and unique. Spin accepts some of these
//! routes and then never matches them, drops the header, or panics.

use std::{fmt, str::FromStr, sync::LazyLock};

use http::HeaderName;
use serde::Serialize;

use crate::headers::{self, RouteHeaders};

/// The route of a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    written: String,
    segments: Vec<Segment>,
    wildcard: bool,
    headers: RouteHeaders,
}

/// A segment of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Matches this text.
    Literal(Box<str>),
    /// `:name`: matches any one segment.
    Parameter(Box<str>),
}

/// An invalid route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid route {route:?}: {reason}")]
pub struct RouteError {
    route: String,
    reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("a path cannot contain {0:?}")]
    Character(char),
    #[error("not a valid header value")]
    Header,
    #[error("in `{0}`: a wildcard (`...` or `*`) must be the whole last segment")]
    Wildcard(String),
    #[error("in `{0}`: a parameter (`:name`) must be a whole segment")]
    PartialParameter(String),
    #[error("in `{0}`: the name of a parameter must have ASCII letters, digits, `-` and `_` only")]
    ParameterName(String),
    #[error("duplicate parameter `{0}` (names are case-insensitive; `_` equals `-`)")]
    DuplicateParameter(String),
}

impl Route {
    /// Returns the route `/...`, which matches every path.
    pub fn catch_all() -> &'static Self {
        #[expect(clippy::expect_used, reason = "the tests of this crate parse it")]
        static CATCH_ALL: LazyLock<Route> =
            LazyLock::new(|| "/...".parse().expect("`/...` is a route"));
        &CATCH_ALL
    }

    /// Returns the route as written in the manifest.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// `true` if the route ends with a wildcard.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// `true` if the route is under `/.well-known/spin/`, which the host serves itself.
    pub fn is_reserved(&self) -> bool {
        let path = self.written.trim_start_matches('/');
        path.starts_with(".well-known/spin/")
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) fn headers(&self) -> &RouteHeaders {
        &self.headers
    }

    /// Returns the name and capture of each parameter, in the order of the route. The route must match
    /// `path`.
    pub(crate) fn captures<'p>(&self, path: &'p str) -> impl Iterator<Item = (&str, &'p str)> {
        let steps = path.trim_matches('/').split('/');
        self.segments
            .iter()
            .zip(steps)
            .filter_map(|(segment, step)| match segment {
                Segment::Literal(_) => None,
                Segment::Parameter(name) => Some((&**name, step)),
            })
    }

    /// Returns the capture of the wildcard, without the slash before it. The route must match `path`.
    pub(crate) fn rest<'p>(&self, path: &'p str) -> &'p str {
        let path = path.trim_matches('/');
        match self.segments.len() {
            _ if !self.wildcard => "",
            0 => path,
            depth => path.splitn(depth + 1, '/').nth(depth).unwrap_or(""),
        }
    }
}

impl FromStr for Route {
    type Err = RouteError;

    fn from_str(written: &str) -> Result<Self, RouteError> {
        let error = |reason| RouteError {
            route: written.to_owned(),
            reason,
        };
        let is_invalid = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '?' | '#');
        if let Some(character) = written.chars().find(|c| is_invalid(*c)) {
            return Err(error(Reason::Character(character)));
        }
        let absolute = if written.starts_with('/') {
            written.to_owned()
        } else {
            format!("/{written}")
        };
        let path = absolute.strip_suffix('/').unwrap_or(&absolute);
        let prefix = path
            .strip_suffix("/...")
            .or_else(|| path.strip_suffix("/*"));
        let segments = prefix
            .unwrap_or(path)
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(Segment::parse)
            .collect::<Result<Vec<_>, _>>()
            .map_err(error)?;
        let parameters = parameter_headers(&segments).map_err(error)?;
        Ok(Self {
            headers: RouteHeaders::new(written, path, parameters)
                .ok_or_else(|| error(Reason::Header))?,
            written: written.to_owned(),
            segments,
            wildcard: prefix.is_some(),
        })
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, Reason> {
        match text.strip_prefix(':') {
            None if text == "..." || text.split('.').any(|piece| piece.starts_with('*')) => {
                Err(Reason::Wildcard(text.to_owned()))
            }
            None if text.contains(".:") => Err(Reason::PartialParameter(text.to_owned())),
            None => Ok(Self::Literal(text.into())),
            Some(name) if name.contains('.') => Err(Reason::PartialParameter(text.to_owned())),
            Some(name) => Ok(Self::Parameter(name.into())),
        }
    }
}

/// Returns the header name of each parameter.
fn parameter_headers(segments: &[Segment]) -> Result<Vec<HeaderName>, Reason> {
    let mut names: Vec<HeaderName> = Vec::new();
    for segment in segments {
        let Segment::Parameter(name) = segment else {
            continue;
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let header = headers::path_match(name)
            .filter(|_| !name.is_empty() && name.chars().all(allowed))
            .ok_or_else(|| Reason::ParameterName(format!(":{name}")))?;
        if names.contains(&header) {
            return Err(Reason::DuplicateParameter(name.to_string()));
        }
        names.push(header);
    }
    Ok(names)
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Serialize for Route {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_below_well_known_spin_are_reserved() {
        for (route, reserved) in [
            ("/.well-known/spin/...", true),
            ("/.well-known/spin/health", true),
            (".well-known/spin/info", true),
            ("/.well-known/spin", false),
            ("/.well-known/spindle/...", false),
            ("/.well-known/...", false),
        ] {
            assert_eq!(
                route.parse::<Route>().unwrap().is_reserved(),
                reserved,
                "{route}"
            );
        }
    }

    #[test]
    fn the_catch_all_route_matches_every_path() {
        let route = Route::catch_all();
        assert!(route.is_wildcard());
        assert_eq!(route.rest("/a/b"), "a/b");
    }
}
