//! Where state is kept: Postgres, over HTTP.
//!
//! Every batch says first, for its own transaction, whose rows it is about; the database shows it no
//! others (row-level security). Before accounts exist, one built-in workspace owns everything.

use http::HeaderValue;
use http::header::RETRY_AFTER;
use tirage_problem::{Kind, Problem};
use tirage_sqlhttp::{Client, Endpoint, Error, Rows, Statement, Transaction, Wasi};
use uuid::Uuid;

use crate::settings;

/// The workspace that is there from the first migration on.
pub(crate) const BUILT_IN_WORKSPACE: &str = "00000000-0000-7000-8000-000000000001";

/// The same, as a UUID.
pub(crate) const BUILT_IN_WORKSPACE_ID: Uuid = uuid::uuid!("00000000-0000-7000-8000-000000000001");

/// The database, as whoever the scope says.
pub(crate) struct Database {
    client: Client<Wasi>,
    scope: Statement,
}

impl Database {
    /// The rows of one workspace, in the database that the component's variables name. Nothing is sent
    /// yet.
    ///
    /// # Errors
    /// 500 if the variables are missing or name nothing usable.
    pub(crate) async fn of_workspace(workspace: &str) -> Result<Self, Problem> {
        let scope = Statement::new("select set_config('tirage.workspace', $1, true)");
        Self::open(scope.bind(workspace)).await
    }

    /// The rows of all workspaces, for looking after them.
    ///
    /// # Errors
    /// As for [`Self::of_workspace`].
    pub(crate) async fn of_all() -> Result<Self, Problem> {
        Self::open(Statement::new(
            "select set_config('tirage.sweep', 'on', true)",
        ))
        .await
    }

    async fn open(scope: Statement) -> Result<Self, Problem> {
        Ok(Self {
            client: Self::client().await?,
            scope,
        })
    }

    /// The database without a scope: whoever uses it says in each batch what it is about.
    ///
    /// # Errors
    /// 500 if the variables are missing or name nothing usable.
    pub(crate) async fn client() -> Result<Client<Wasi>, Problem> {
        let url = settings::required("database_http_url").await?;
        let connection_string = settings::required("database_connection_string").await?;
        let endpoint = Endpoint::new(&url, &connection_string).map_err(settings::internal)?;
        Ok(Client::new(Wasi::default(), endpoint))
    }

    /// Runs one statement in a transaction of its own.
    ///
    /// # Errors
    /// 503 if the database can't be asked now, 500 for anything else.
    pub(crate) async fn run(&self, statement: Statement) -> Result<Rows, Problem> {
        let [rows] = self.run_all([statement]).await.map_err(problem)?;
        Ok(rows)
    }

    /// Runs statements in one transaction.
    ///
    /// # Errors
    /// The database's own, for callers that can tell what some of them mean; [`problem`] is for the
    /// rest.
    pub(crate) async fn run_all<const N: usize>(
        &self,
        statements: [Statement; N],
    ) -> Result<[Rows; N], Error> {
        let mut all = Vec::with_capacity(N + 1);
        all.push(self.scope.clone());
        all.extend(statements);
        let mut rows = self
            .client
            .transaction(Transaction::default(), &all)
            .await?
            .into_iter();
        rows.next();
        let rows: Vec<_> = rows.collect();
        rows.try_into()
            .map_err(|rows: Vec<_>| Error::Protocol(format!("{} results for {N}", rows.len())))
    }
}

/// What a client may know of a database error: whether another try helps. The log has the rest.
pub(crate) fn problem(error: Error) -> Problem {
    match error {
        Error::Unavailable(_) | Error::Timeout | Error::Broken(_) | Error::Conflict(_) => {
            eprintln!("database unavailable: {error}");
            Problem::new(Kind::UNAVAILABLE)
                .detail("The database cannot be reached at the moment")
                .header(RETRY_AFTER, HeaderValue::from_static("5"))
        }
        error => settings::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_workspace_has_one_id() {
        assert_eq!(BUILT_IN_WORKSPACE_ID.to_string(), BUILT_IN_WORKSPACE);
    }

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
