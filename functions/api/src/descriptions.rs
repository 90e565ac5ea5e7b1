//! Rows of the table `description`.

use tirage_guest::Error;
use tirage_guest::database::{BUILT_IN_WORKSPACE, Database};
use tirage_sqlhttp::{Error as DatabaseError, Row, Statement};

use crate::description::{Description, Limit, Text};
use crate::idempotency::IdempotencyKey;

/// Inserts a description. Returns the one that the same request inserted before, if any.
///
/// # Errors
/// 422 for an idempotency key of another request; the database's errors.
pub(crate) async fn add(
    database: &Database,
    text: &Text,
    key: Option<&IdempotencyKey>,
) -> Result<Description, Error> {
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
            .map_err(Error::from),
        // The same request arrived twice at the same moment.
        Err(error) if IdempotencyKey::is_taken(&error) => {
            known(database, key).await?.ok_or_else(|| error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Finds the description that the request with this key inserted before.
async fn known(
    database: &Database,
    key: Option<&IdempotencyKey>,
) -> Result<Option<Description>, Error> {
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
    Ok(row.map(|row| description(&row)).transpose()?)
}

/// Selects the newest descriptions, newest first.
///
/// # Errors
/// The database's.
pub(crate) async fn newest(database: &Database, limit: Limit) -> Result<Vec<Description>, Error> {
    let statement = Statement::new(
        "select id, text, created_at from description where workspace_id = $1 order by id desc limit $2",
    )
    .bind(BUILT_IN_WORKSPACE)
    .bind(limit.get());
    let rows = database.run(statement).await?;
    Ok(rows
        .iter()
        .map(|row| description(&row))
        .collect::<Result<_, _>>()?)
}

fn description(row: &Row<'_>) -> Result<Description, DatabaseError> {
    Ok(Description {
        id: row.get("id")?,
        text: row.get("text")?,
        created_at: row.get("created_at")?,
    })
}
