//! Descriptions as the database has them.

use tirage_problem::Problem;
use tirage_sqlhttp::{Error, Row, Statement};

use crate::database::{self, BUILT_IN_WORKSPACE, Database};
use crate::description::{Description, Limit, Text};

/// Stores a new description.
///
/// # Errors
/// 503 if the database can't be asked now, 500 for anything else.
pub(crate) async fn add(database: &Database, text: &Text) -> Result<Description, Problem> {
    let statement = Statement::new(
        "insert into description (workspace_id, text) values ($1, $2) returning id, text, created_at",
    )
    .bind(BUILT_IN_WORKSPACE)
    .bind(text.as_str());
    let rows = database.run(statement).await?;
    rows.single()
        .and_then(|row| description(&row))
        .map_err(database::problem)
}

/// The newest descriptions, newest first.
///
/// # Errors
/// As for [`add`].
pub(crate) async fn newest(database: &Database, limit: Limit) -> Result<Vec<Description>, Problem> {
    let statement = Statement::new(
        "select id, text, created_at from description where workspace_id = $1 order by id desc limit $2",
    )
    .bind(BUILT_IN_WORKSPACE)
    .bind(limit.get());
    let rows = database.run(statement).await?;
    rows.iter()
        .map(|row| description(&row))
        .collect::<Result<_, _>>()
        .map_err(database::problem)
}

fn description(row: &Row<'_>) -> Result<Description, Error> {
    Ok(Description {
        id: row.get("id")?,
        text: row.get("text")?,
        created_at: row.get("created_at")?,
    })
}
