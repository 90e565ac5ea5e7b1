//! Where descriptions are kept: Postgres, over HTTP.
//!
//! Every batch says first, for its own transaction, whose rows it is about; the database shows it no
//! others (row-level security). Before accounts exist, one built-in workspace owns everything.

use http::HeaderValue;
use http::header::RETRY_AFTER;
use spin_sdk::variables;
use tirage_problem::{Kind, Problem};
use tirage_sqlhttp::{Client, Endpoint, Error, Row, Rows, Statement, Wasi};

use crate::description::{Description, Limit, Text};

/// The workspace that is there from the first migration on.
const BUILT_IN_WORKSPACE: &str = "00000000-0000-7000-8000-000000000001";

/// The descriptions of the built-in workspace.
pub(crate) struct Store(Client<Wasi>);

impl Store {
    /// The store that the component's variables name. Nothing is sent yet.
    ///
    /// # Errors
    /// 500 if the variables are missing or name nothing usable.
    pub(crate) async fn open() -> Result<Self, Problem> {
        let url = variable("database_http_url").await?;
        let connection_string = variable("database_connection_string").await?;
        let endpoint = Endpoint::new(&url, &connection_string).map_err(internal)?;
        Ok(Self(Client::new(Wasi::default(), endpoint)))
    }

    /// Stores a new description.
    ///
    /// # Errors
    /// 503 if the database can't be asked now, 500 for anything else.
    pub(crate) async fn add(&self, text: &Text) -> Result<Description, Problem> {
        let statement = Statement::new(
            "insert into description (workspace_id, text) values ($1, $2) returning id, text, created_at",
        )
        .bind(BUILT_IN_WORKSPACE)
        .bind(text.as_str());
        let rows = self.run(statement).await?;
        rows.single()
            .and_then(|row| description(&row))
            .map_err(problem)
    }

    /// The newest descriptions, newest first.
    ///
    /// # Errors
    /// As for [`Self::add`].
    pub(crate) async fn newest(&self, limit: Limit) -> Result<Vec<Description>, Problem> {
        let statement = Statement::new(
            "select id, text, created_at from description where workspace_id = $1 order by id desc limit $2",
        )
        .bind(BUILT_IN_WORKSPACE)
        .bind(limit.get());
        let rows = self.run(statement).await?;
        rows.iter()
            .map(|row| description(&row))
            .collect::<Result<_, _>>()
            .map_err(problem)
    }

    async fn run(&self, statement: Statement) -> Result<Rows, Problem> {
        let scope = Statement::new("select set_config('tirage.workspace', $1, true)")
            .bind(BUILT_IN_WORKSPACE);
        let [_, rows] = self.0.batch([scope, statement]).await.map_err(problem)?;
        Ok(rows)
    }
}

fn description(row: &Row<'_>) -> Result<Description, Error> {
    Ok(Description {
        id: row.get("id")?,
        text: row.get("text")?,
        created_at: row.get("created_at")?,
    })
}

async fn variable(name: &str) -> Result<String, Problem> {
    variables::get(name).await.map_err(internal)
}

/// What a client may know of a database error: whether another try helps. The log has the rest.
fn problem(error: Error) -> Problem {
    match error {
        Error::Unavailable(_) | Error::Timeout | Error::Broken(_) | Error::Conflict(_) => {
            eprintln!("database unavailable: {error}");
            Problem::new(Kind::UNAVAILABLE)
                .detail("The database cannot be reached at the moment")
                .header(RETRY_AFTER, HeaderValue::from_static("5"))
        }
        error => internal(error),
    }
}

fn internal(error: impl std::fmt::Display) -> Problem {
    eprintln!("internal error: {error}");
    Problem::new(Kind::INTERNAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_down_is_worth_another_try_and_says_nothing_of_the_inside() {
        for error in [
            Error::Unavailable("connection to 10.0.0.7 refused".to_owned()),
            Error::Timeout,
            Error::Broken("10.0.0.7".to_owned()),
        ] {
            let response = problem(error).into_response(None);
            assert_eq!(response.status(), 503);
            assert!(response.headers().contains_key(RETRY_AFTER));
            assert!(!String::from_utf8_lossy(response.body()).contains("10.0.0.7"));
        }
    }

    #[test]
    fn other_errors_are_internal_and_say_nothing_at_all() {
        let response =
            problem(Error::Protocol("password postgres://u:p@h".to_owned())).into_response(None);
        assert_eq!(response.status(), 500);
        assert!(!String::from_utf8_lossy(response.body()).contains("postgres"));
    }
}
