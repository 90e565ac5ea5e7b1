//! Descriptions as the database has them.

use tirage_problem::Problem;
use tirage_sqlhttp::{Error, Row, Statement};

use crate::database::{self, BUILT_IN_WORKSPACE, Database};
use crate::description::{Description, Limit, Text};
use crate::idempotency::IdempotencyKey;

/// Stores a new description; or finds the one that the same request stored before.
///
/// # Errors
/// 422 for an idempotency key that was used for another; 503 if the database can't be asked now, 500 for
/// anything else.
pub(crate) async fn add(
    database: &Database,
    text: &Text,
    key: Option<&IdempotencyKey>,
) -> Result<Description, Problem> {
    if let Some(known) = known(database, key).await? {
        return Ok(known);
    }
    let statement = Statement::new(
        "with made as (insert into description (workspace_id, text) values ($1, $2) \
           returning id, text, created_at), \
         kept as (insert into idempotency (workspace_id, subject, key, fingerprint) \
           select $1::uuid, id::text, $3::text, $4::text from made where $3::text is not null) \
         select id, text, created_at from made",
    )
    .bind(BUILT_IN_WORKSPACE)
    .bind(text.as_str());
    let statement = IdempotencyKey::bind(key, statement);
    match database.run_all([statement]).await {
        Ok([rows]) => rows
            .single()
            .and_then(|row| description(&row))
            .map_err(database::problem),
        // The same request, at the same moment.
        Err(error) if IdempotencyKey::is_taken(&error) => known(database, key)
            .await?
            .ok_or_else(|| database::problem(error)),
        Err(error) => Err(database::problem(error)),
    }
}

/// What the request with this key stored before.
async fn known(
    database: &Database,
    key: Option<&IdempotencyKey>,
) -> Result<Option<Description>, Problem> {
    let id: Option<i64> = match key {
        Some(key) => key.subject(database).await?,
        None => None,
    };
    let Some(id) = id else {
        return Ok(None);
    };
    let statement = Statement::new(
        "select id, text, created_at from description where workspace_id = $1 and id = $2",
    )
    .bind(BUILT_IN_WORKSPACE)
    .bind(id);
    let rows = database.run(statement).await?;
    let row = rows.first();
    row.map(|row| description(&row))
        .transpose()
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
