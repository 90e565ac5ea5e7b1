//! The feed as it stands in the database, read over HTTP.

use tirage_sqlhttp::{Client, Error, Json, Rows, Statement, Transport};

use crate::cursor::Frontier;
use crate::event::Change;

/// The most changes that are read at once.
const AT_ONCE: i64 = 500;

/// What the feed of a workspace holds now.
///
/// # Errors
/// The database's.
pub async fn frontier<T: Transport>(
    client: &Client<T>,
    workspace: &str,
) -> Result<Frontier, Error> {
    let statement = Statement::new(
        "select last_change, (select min(sequence) from change where workspace_id = $1) as oldest \
         from workspace where id = $1",
    )
    .bind(workspace);
    let rows = read(client, workspace, statement).await?;
    let row = rows.single()?;
    let number = |number: i64| u64::try_from(number).unwrap_or_default();
    Ok(Frontier {
        last: number(row.get("last_change")?),
        oldest: row.get::<Option<i64>>("oldest")?.map(number),
    })
}

/// The changes of a workspace after this one, in their order, at most 500.
///
/// # Errors
/// The database's.
pub async fn changes<T: Transport>(
    client: &Client<T>,
    workspace: &str,
    after: u64,
) -> Result<Vec<Change>, Error> {
    let statement = Statement::new(
        "select to_jsonb(change) as change from change \
         where workspace_id = $1 and sequence > $2::bigint order by sequence limit $3",
    )
    .bind(workspace)
    .bind(after.to_string())
    .bind(AT_ONCE);
    let rows = read(client, workspace, statement).await?;
    rows.iter()
        .map(|row| row.get::<Json<Change>>("change").map(|Json(change)| change))
        .collect()
}

async fn read<T: Transport>(
    client: &Client<T>,
    workspace: &str,
    statement: Statement,
) -> Result<Rows, Error> {
    let scope = Statement::new("select set_config('tirage.workspace', $1, true)").bind(workspace);
    let [_, rows] = client.batch([scope, statement]).await?;
    Ok(rows)
}
