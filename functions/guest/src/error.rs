//! Errors of handlers, by what the client can do about them.

use std::fmt;

use tirage_problem::{Kind, Problem};

use crate::store;

/// Seconds after which a client may repeat a request that met an unavailable service.
const RETRY_AFTER: u64 = 5;

/// Error of a handler. The three variants are the three things that a client can do: correct the request,
/// repeat it later, or give up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is at fault. The response is the problem, nothing is logged.
    #[error("{0}")]
    Refused(Problem),
    /// A service that the function depends on is unavailable: 503 with `Retry-After`. The reason is
    /// logged.
    #[error("{service} is unavailable: {reason}")]
    Unavailable {
        /// The service.
        service: Service,
        /// Reason, for the log only.
        reason: String,
    },
    /// Any other fault: 500 without detail. The reason is logged.
    #[error("internal error: {0}")]
    Internal(String),
}

/// Service that a function depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Postgres.
    Database,
    /// The bucket.
    ObjectStore,
    /// The queue of job messages.
    Queue,
    /// The step that processes a file.
    Step,
}

impl Error {
    /// A fault of the function or its deployment.
    pub fn internal(reason: impl fmt::Display) -> Self {
        Self::Internal(reason.to_string())
    }

    /// A service that may be available again later.
    pub fn unavailable(service: Service, reason: impl fmt::Display) -> Self {
        Self::Unavailable {
            service,
            reason: reason.to_string(),
        }
    }

    /// Kind of the problem that refuses the request; `None` for other errors.
    pub fn refusal(&self) -> Option<Kind> {
        match self {
            Self::Refused(problem) => Some(problem.kind()),
            Self::Unavailable { .. } | Self::Internal(_) => None,
        }
    }

    /// The problem document for the client. Logs what the client must not see.
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Refused(problem) => problem,
            Self::Unavailable { service, .. } => {
                eprintln!("{self}");
                Problem::new(Kind::UNAVAILABLE)
                    .detail(service.detail())
                    .retry_after(RETRY_AFTER)
            }
            Self::Internal(_) => {
                eprintln!("{self}");
                Problem::new(Kind::INTERNAL)
            }
        }
    }
}

impl Service {
    fn detail(self) -> &'static str {
        match self {
            Self::Database => "The database cannot be reached at the moment",
            Self::ObjectStore => "The object store cannot be reached at the moment",
            Self::Queue => "The queue cannot be reached at the moment",
            Self::Step => "The step cannot be reached at the moment",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Database => "the database",
            Self::ObjectStore => "the object store",
            Self::Queue => "the queue",
            Self::Step => "the step",
        })
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<tirage_sqlhttp::Error> for Error {
    fn from(error: tirage_sqlhttp::Error) -> Self {
        use tirage_sqlhttp::Error as Database;
        match error {
            Database::Unavailable(_)
            | Database::Timeout
            | Database::Broken(_)
            | Database::Conflict(_) => Self::unavailable(Service::Database, error),
            error => Self::internal(error),
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Unavailable(reason) => Self::unavailable(Service::ObjectStore, reason),
            error => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::RETRY_AFTER;
    use tirage_sqlhttp::Error as DatabaseError;

    use super::*;

    #[test]
    fn an_unavailable_database_is_503_and_reveals_nothing() {
        for error in [
            DatabaseError::Unavailable("connection to 10.0.0.7 refused".to_owned()),
            DatabaseError::Timeout,
            DatabaseError::Broken("10.0.0.7".to_owned()),
        ] {
            let response = Error::from(error).into_problem().into_response(None);
            assert_eq!(response.status(), 503);
            assert!(response.headers().contains_key(RETRY_AFTER));
            assert!(!String::from_utf8_lossy(response.body()).contains("10.0.0.7"));
        }
    }

    #[test]
    fn other_database_errors_are_500_and_reveal_nothing() {
        let error = DatabaseError::Protocol("password postgres://u:p@h".to_owned());
        let response = Error::from(error).into_problem().into_response(None);
        assert_eq!(response.status(), 500);
        assert!(!String::from_utf8_lossy(response.body()).contains("postgres"));
    }
}
