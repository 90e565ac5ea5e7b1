//! The route of a trigger: which paths it answers.
//!
//! | written | answers | but not |
//! |---|---|---|
//! | `/a/b` | `/a/b`, `/a/b/` | `/a`, `/a/b/c` |
//! | `/a/:id` | `/a/1`, and captures `id` | `/a`, `/a/1/2` |
//! | `/a/...` (or `/a/*`) | `/a`, `/a/`, `/a/1/2` | `/ab` |
//!
//! Slashes at both ends of a path do not count, nor do repeated slashes in a route; repeated
//! slashes inside a path do: `/a//b` has an empty segment, which `:id` captures. Paths are compared
//! as they come: `%2F` is no slash, `%61` is not `a`, and captures are not decoded. This is what
//! Spin 4 does (`crates/routes` and the crate `routefinder`); the cases of their tests are in
//! `tests/routing`.
//!
//! Stricter than in Spin: a parameter or a wildcard is a whole segment, a wildcard is the last,
//! and parameters have names that can stand in a header, none twice. Spin lets some of these
//! through and then never matches, drops the header, or panics.

use std::{fmt, str::FromStr, sync::LazyLock};

use http::HeaderName;
use serde::Serialize;

use crate::headers::{self, RouteHeaders};

/// A route as a trigger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    written: String,
    segments: Vec<Segment>,
    wildcard: bool,
    headers: RouteHeaders,
}

/// A piece of a route between slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Itself.
    Literal(Box<str>),
    /// `:name`: any one segment.
    Parameter(Box<str>),
}

/// Why a route was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{route:?} is not a route: {reason}")]
pub struct RouteError {
    route: String,
    reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("the path of a request never has {0:?}")]
    Character(char),
    #[error("it cannot stand in a header")]
    Header,
    #[error("`{0}`: a wildcard (`...` or `*`) can only be the whole last segment")]
    Wildcard(String),
    #[error("`{0}`: a parameter (`:name`) can only be a whole segment")]
    PartialParameter(String),
    #[error("`{0}`: a parameter has a name of ASCII letters, digits, `-` and `_`")]
    ParameterName(String),
    #[error("there are two parameters `{0}` (case does not count)")]
    DuplicateParameter(String),
}

impl Route {
    /// The route `/...`, which answers every path.
    pub fn everything() -> &'static Self {
        #[expect(clippy::expect_used, reason = "the tests of this crate parse it")]
        static EVERYTHING: LazyLock<Route> =
            LazyLock::new(|| "/...".parse().expect("`/...` is a route"));
        &EVERYTHING
    }

    /// The route as the manifest has it.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether the route answers everything below it.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// Whether the route is under `/.well-known/spin/`, which the host answers itself.
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

    /// What each parameter captures of a path that this route answers, in the order of the route.
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

    /// What the wildcard captures of a path that this route answers, without the slash before it.
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
        let refuse = |reason| RouteError {
            route: written.to_owned(),
            reason,
        };
        let impossible = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '?' | '#');
        if let Some(character) = written.chars().find(|c| impossible(*c)) {
            return Err(refuse(Reason::Character(character)));
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
            .map_err(refuse)?;
        let parameters = parameter_headers(&segments).map_err(refuse)?;
        Ok(Self {
            headers: RouteHeaders::new(written, path, parameters)
                .ok_or_else(|| refuse(Reason::Header))?,
            written: written.to_owned(),
            segments,
            wildcard: prefix.is_some(),
        })
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, Reason> {
        let wrong = || text.to_owned();
        match text.strip_prefix(':') {
            None if text == "..." || text.split('.').any(|piece| piece.starts_with('*')) => {
                Err(Reason::Wildcard(wrong()))
            }
            None if text.contains(".:") => Err(Reason::PartialParameter(wrong())),
            None => Ok(Self::Literal(text.into())),
            Some(name) if name.contains('.') => Err(Reason::PartialParameter(wrong())),
            Some(name) => Ok(Self::Parameter(name.into())),
        }
    }
}

/// The header of each parameter.
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
    fn what_the_host_answers_itself_is_reserved() {
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
    fn the_route_of_chained_requests_answers_everything() {
        let everything = Route::everything();
        assert!(everything.is_wildcard());
        assert_eq!(everything.rest("/a/b"), "a/b");
    }
}
