//! Errors of a manifest, with their locations.
//!
//! Every problem is a variant of [`Problem`], so that all messages are in one place. [`Error`] adds
//! file, line and column. Only the first problem is reported, because a wrong key often causes those
//! after it.

use std::{fmt, io, path::PathBuf, sync::Arc};

use serde::Serialize;

use crate::{
    files::FilesError, hosts::HostError, id::IdError, route::RouteError, template::TemplateError,
    variables::Unresolved,
};

/// An error of reading a manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file can't be read, or isn't UTF-8.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Path of the manifest.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The text is not a manifest that this host can serve.
    #[error("{location}: {problem}")]
    Invalid {
        /// Start of the text that is in error.
        location: Location,
        /// The problem.
        problem: Box<Problem>,
    },
}

/// A position in a manifest, displayed as `file:line:column`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Name of the file, as passed by the caller.
    pub file: Arc<str>,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
}

/// A problem at a [`Location`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Invalid TOML.
    #[error("{0}")]
    Syntax(String),
    /// A manifest version other than 2.
    #[error("unsupported spin_manifest_version {0}: expected 2")]
    Version(String),
    /// A key that neither Spin nor this host knows.
    #[error("unknown key `{key}` in {table}{}", Suggestion(suggestion))]
    UnknownKey {
        /// The key.
        key: String,
        /// The table that contains it.
        table: String,
        /// The most similar known key, if one is similar.
        suggestion: Option<String>,
    },
    /// A key or value that Spin supports and this host doesn't.
    #[error("`{what}` is not supported by this host: {instead}")]
    Unsupported {
        /// The key, and its value if only the value is unsupported.
        what: String,
        /// An alternative.
        instead: &'static str,
    },
    /// A required key is missing.
    #[error("missing key `{key}` in {table}")]
    MissingKey {
        /// The missing key.
        key: &'static str,
        /// The table that requires it.
        table: String,
    },
    /// A value of the wrong TOML type.
    #[error("`{key}` must be {expected}, not {found}")]
    WrongType {
        /// The key.
        key: String,
        /// The expected type.
        expected: &'static str,
        /// The type of the value.
        found: &'static str,
    },
    /// A number outside the range of its key.
    #[error("`{key}` must be between 1 and {maximum}, not {found}")]
    OutOfRange {
        /// The key.
        key: String,
        /// The largest accepted value.
        maximum: u64,
        /// The value.
        found: String,
    },
    /// A string that isn't one of the key's values.
    #[error(
        "`{key}` must be one of {}, not \"{found}\"{}",
        Choices(choices),
        Suggestion(suggestion)
    )]
    NotAChoice {
        /// The key.
        key: String,
        /// The values that the key accepts.
        choices: &'static [&'static str],
        /// The value.
        found: String,
        /// The most similar choice, if one is similar.
        suggestion: Option<String>,
    },
    /// A string that the key doesn't accept.
    #[error("invalid `{key}` {found:?}: {reason}")]
    InvalidValue {
        /// The key.
        key: String,
        /// The value.
        found: String,
        /// The reason.
        reason: &'static str,
    },
    /// A trigger or an allowed host names a component that the manifest doesn't define.
    #[error("unknown component `{id}`{}", Suggestion(suggestion))]
    UnknownComponent {
        /// The id.
        id: String,
        /// The most similar component id, if one is similar.
        suggestion: Option<String>,
    },
    /// A template names a variable that `[variables]` doesn't define.
    #[error(
        "unknown variable `{name}`: [variables] does not define it{}",
        Suggestion(suggestion)
    )]
    UnknownVariable {
        /// The name.
        name: String,
        /// The most similar variable name, if one is similar.
        suggestion: Option<String>,
    },
    /// A variable has neither `required = true` nor a default, or both.
    #[error("variable `{0}` must have either `required = true` or a `default`")]
    RequiredOrDefault(String),
    /// A trigger has neither a component nor a static response, or both.
    #[error("a trigger must have either `component` or `static_response`")]
    ComponentOrStaticResponse,
    /// `route = { private = false }`.
    #[error("`route` must be a path or {{ private = true }}")]
    NotPrivate,
    /// Two triggers have the same id.
    #[error("duplicate trigger id `{0}`")]
    DuplicateTriggerId(String),
    /// Invalid id or name.
    #[error(transparent)]
    Id(#[from] IdError),
    /// Invalid route.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// Invalid template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Invalid entry of `allowed_outbound_hosts`.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A template was rendered without all of its variables.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    /// Invalid entry of `files` or `exclude_files`.
    #[error(transparent)]
    Files(#[from] FilesError),
}

impl Location {
    /// Returns the error of a problem at this location.
    pub(crate) fn error(self, problem: impl Into<Problem>) -> Error {
        Error::Invalid {
            location: self,
            problem: Box::new(problem.into()),
        }
    }
}

/// Returns the entry of `known` that is most similar to `word`, if one is similar enough to be meant.
pub(crate) fn suggest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let distance = |candidate: &str| match candidate.strip_prefix(word) {
        Some(_) if word.len() > 2 => 1,
        _ => strsim::damerau_levenshtein(word, candidate),
    };
    known
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3).min(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Serialize for Location {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}:{}", self.line, self.column))
    }
}

/// Formats a suggestion as the end of a message; empty without one.
struct Suggestion<'a>(&'a Option<String>);

impl fmt::Display for Suggestion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

/// Formats choices as `"a", "b", "c"`.
struct Choices<'a>(&'a [&'a str]);

impl fmt::Display for Choices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, choice) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}\"{choice}\"")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[test]
    fn only_similar_words_are_suggested() {
        let known = ["source", "files", "environment"];
        assert_eq!(suggest("sorce", known).as_deref(), Some("source"));
        assert_eq!(suggest("enviroment", known).as_deref(), Some("environment"));
        assert_eq!(suggest("env", known).as_deref(), Some("environment"));
        assert_eq!(suggest("colour", known), None);
    }
}
