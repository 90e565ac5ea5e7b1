//! Postgres over HTTP.
//!
//! Every batch begins with its scope, local to its transaction; row-level security hides all rows outside
//! the scope. Until accounts exist, one built-in workspace owns everything.

use tirage_sqlhttp::{Client, Endpoint, Error, Row, Rows, Statement, Transaction, Wasi};
use uuid::Uuid;

use crate::settings;

/// Id of the workspace that the first migration creates.
pub const BUILT_IN_WORKSPACE: &str = "00000000-0000-7000-8000-000000000001";

/// [`BUILT_IN_WORKSPACE`] as a UUID.
pub const BUILT_IN_WORKSPACE_ID: Uuid = uuid::uuid!("00000000-0000-7000-8000-000000000001");

/// The database, limited to one scope.
pub struct Database {
    client: Client<Wasi>,
    scope: Statement,
}

/// Rows that a batch can see.
#[derive(Clone, Copy, Debug)]
pub enum Scope {
    /// Rows of one workspace.
    Workspace(Uuid),
    /// One task, its media item and variants.
    Task(Uuid),
    /// All workspaces, for the sweep.
    Sweep,
}

impl Scope {
    fn statement(self) -> Statement {
        match self {
            Self::Workspace(id) => {
                Statement::new("select set_config('tirage.workspace', $1, true)")
                    .bind(id.to_string())
            }
            Self::Task(id) => {
                Statement::new("select set_config('tirage.task', $1, true)").bind(id.to_string())
            }
            Self::Sweep => Statement::new("select set_config('tirage.sweep', 'on', true)"),
        }
    }
}

impl Database {
    /// The database that the component's variables name. Sends nothing yet.
    ///
    /// # Errors
    /// [`Internal`](crate::Error::Internal) if the variables are missing or invalid.
    pub async fn open(scope: Scope) -> Result<Self, crate::Error> {
        Ok(Self {
            client: Self::client().await?,
            scope: scope.statement(),
        })
    }

    /// A client without a scope, for callers that set the scope in each batch.
    ///
    /// # Errors
    /// [`Internal`](crate::Error::Internal) if the variables are missing or invalid.
    pub async fn client() -> Result<Client<Wasi>, crate::Error> {
        let url = settings::variable("database_http_url").await?;
        let connection_string = settings::variable("database_connection_string").await?;
        let endpoint = Endpoint::new(&url, &connection_string).map_err(crate::Error::internal)?;
        Ok(Client::new(Wasi::default(), endpoint))
    }

    /// Runs one statement in its own transaction.
    ///
    /// # Errors
    /// The client's.
    pub async fn run(&self, statement: Statement) -> Result<Rows, Error> {
        let [rows] = self.run_all([statement]).await?;
        Ok(rows)
    }

    /// Runs statements in one transaction.
    ///
    /// # Errors
    /// The client's.
    pub async fn run_all<const N: usize>(
        &self,
        statements: [Statement; N],
    ) -> Result<[Rows; N], Error> {
        let mut all = Vec::with_capacity(N + 1);
        all.push(self.scope.clone());
        all.extend(statements);
        let mut results = self
            .client
            .transaction(Transaction::default(), &all)
            .await?;
        results.drain(..results.len().min(1));
        results
            .try_into()
            .map_err(|rows: Vec<_>| Error::Protocol(format!("{} results for {N}", rows.len())))
    }
}

/// Reads a column of type `uuid`.
///
/// # Errors
/// [`Error::Column`] or [`Error::Protocol`] if the column is absent or not a UUID.
pub fn uuid(row: &Row<'_>, column: &str) -> Result<Uuid, Error> {
    let text: String = row.get(column)?;
    text.parse()
        .map_err(|_| Error::Protocol(format!("column {column}: expected a UUID")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_built_in_workspace_are_equal() {
        assert_eq!(BUILT_IN_WORKSPACE_ID.to_string(), BUILT_IN_WORKSPACE);
    }
}
