//! What can be wrong with a manifest, and where.
//!
//! Every problem is one value of [`Problem`], so that all messages can be read in one place; an
//! [`Error`] adds the file, line and column. Only the first problem is reported: a wrong key often
//! makes those after it meaningless.

use std::{fmt, io, path::PathBuf, sync::Arc};

use serde::Serialize;

use crate::{
    files::FilesError, hosts::HostError, id::IdError, route::RouteError, template::TemplateError,
    variables::Unresolved,
};

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read, or is not UTF-8.
    #[error("{}: {source}", path.display())]
    Read {
        /// The manifest's path, as it was given.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The text is not a manifest that this host can serve.
    #[error("{location}: {problem}")]
    Invalid {
        /// Where the offending text begins.
        location: Location,
        /// What is wrong with it.
        problem: Box<Problem>,
    },
}

/// A place in a manifest; displayed as `file:line:column`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file's name, as it was given.
    pub file: Arc<str>,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1 in characters.
    pub column: usize,
}

/// What is wrong at a [`Location`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text is not TOML.
    #[error("{0}")]
    Syntax(String),
    /// Not manifest version 2.
    #[error("this host reads spin_manifest_version = 2, not {0}")]
    Version(String),
    /// A key that neither Spin nor this host knows.
    #[error("unknown key `{key}` in {table}{}", Suggestion(suggestion))]
    UnknownKey {
        /// The key as written.
        key: String,
        /// The table that it stands in.
        table: String,
        /// The known key that is closest to it, if one is close.
        suggestion: Option<String>,
    },
    /// A key or value that Spin knows and this host does not serve.
    #[error("`{what}` is not supported by this host: {instead}")]
    Unsupported {
        /// The key, with its value if that is the point.
        what: String,
        /// What to do instead.
        instead: &'static str,
    },
    /// A required key is missing.
    #[error("{table} needs the key `{key}`")]
    MissingKey {
        /// The missing key.
        key: &'static str,
        /// The table that needs it.
        table: String,
    },
    /// A value of another TOML type than the key takes.
    #[error("`{key}` must be {expected}, not {found}")]
    WrongType {
        /// The key.
        key: String,
        /// What it takes.
        expected: &'static str,
        /// What was found.
        found: &'static str,
    },
    /// A number outside the limits of its key.
    #[error("`{key}` must be between 1 and {most}, not {found}")]
    OutOfRange {
        /// The key.
        key: String,
        /// The largest value that it takes.
        most: u64,
        /// What was found.
        found: String,
    },
    /// A string that is not one of those that the key takes.
    #[error(
        "`{key}` must be one of {}, not \"{found}\"{}",
        Choices(choices),
        Suggestion(suggestion)
    )]
    NotAChoice {
        /// The key.
        key: String,
        /// What it takes.
        choices: &'static [&'static str],
        /// What was found.
        found: String,
        /// The choice that is closest to it, if one is close.
        suggestion: Option<String>,
    },
    /// A string that the key cannot take, for the reason given.
    #[error("`{key}` cannot be {found:?}: {reason}")]
    InvalidValue {
        /// The key.
        key: String,
        /// What was found.
        found: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// A trigger or an allowed host names a component that the manifest does not define.
    #[error("there is no component `{id}`{}", Suggestion(suggestion))]
    UnknownComponent {
        /// The id as written.
        id: String,
        /// The component whose id is closest to it, if one is close.
        suggestion: Option<String>,
    },
    /// A template names a variable that `[variables]` does not define.
    #[error(
        "there is no variable `{name}` in [variables]{}",
        Suggestion(suggestion)
    )]
    UnknownVariable {
        /// The name as written.
        name: String,
        /// The variable whose name is closest to it, if one is close.
        suggestion: Option<String>,
    },
    /// A variable is neither required nor given a default, or both.
    #[error("variable `{0}` must have either `required = true` or a `default`")]
    RequiredOrDefault(String),
    /// A trigger has neither a component nor a static response, or both.
    #[error("a trigger must have either `component` or `static_response`")]
    ComponentOrStaticResponse,
    /// `route = { private = false }`.
    #[error("`route` must be a path or {{ private = true }}")]
    NotPrivate,
    /// Two triggers have the same id.
    #[error("trigger id `{0}` is taken by another trigger")]
    DuplicateTriggerId(String),
    /// An id or name breaks the rules of its kind.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A route cannot be matched.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// A template cannot be read.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// An entry of `allowed_outbound_hosts` cannot be read.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A template was filled in without all of its variables.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    /// An entry of `files` or `exclude_files` cannot be read.
    #[error(transparent)]
    Files(#[from] FilesError),
}

impl Location {
    /// The error of a problem here.
    pub(crate) fn error(self, problem: impl Into<Problem>) -> Error {
        Error::Invalid {
            location: self,
            problem: Box::new(problem.into()),
        }
    }
}

/// The one of `known` that `word` was probably meant to be.
pub(crate) fn near_miss<'k>(
    word: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<String> {
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

/// The end of a message that proposes a near miss, if there is one.
struct Suggestion<'a>(&'a Option<String>);

impl fmt::Display for Suggestion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

/// `"a", "b", "c"`.
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
    use super::near_miss;

    #[test]
    fn proposes_what_is_close_and_nothing_else() {
        let known = ["source", "files", "environment"];
        assert_eq!(near_miss("sorce", known).as_deref(), Some("source"));
        assert_eq!(
            near_miss("enviroment", known).as_deref(),
            Some("environment")
        );
        assert_eq!(near_miss("env", known).as_deref(), Some("environment"));
        assert_eq!(near_miss("colour", known), None);
    }
}
