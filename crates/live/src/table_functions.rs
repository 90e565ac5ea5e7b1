//! The two table functions of the database that a feed is read with.
//!
//! | function | arguments | columns of its result |
//! |---|---|---|
//! | frontier | feed id | `last bigint`, `oldest bigint`: one row |
//! | changes | feed id, number to begin after, most rows | `sequence bigint`, `data json` or `jsonb`: in ascending order |
//!
//! A feed id is text that the application chooses. The functions apply the application's own access rules
//! (row-level security, for example): each call is a transaction of its own, which sets nothing else.

use tirage_sqlhttp::{Client, Error, Statement, Transport};

use crate::cursor::Frontier;
use crate::event::Change;

/// Upper bound on the changes that one call reads.
const MAX_CHANGES: i64 = 500;

/// The queries that read a feed.
#[derive(Clone, Debug)]
pub struct TableFunctions {
    frontier: String,
    changes: String,
}

impl TableFunctions {
    /// The functions of these names, each `name` or `schema.name`. Names are quoted, so they are
    /// case-sensitive.
    pub fn new(frontier: &str, changes: &str) -> Self {
        let [frontier, changes] = [frontier, changes].map(quoted);
        Self {
            frontier: format!("select last, oldest from {frontier}($1)"),
            changes: format!(
                "select sequence, data::text as data from {changes}($1, $2::bigint, $3::bigint)"
            ),
        }
    }

    /// Reads the range of a feed's changes.
    ///
    /// # Errors
    /// The database's, or that the function returned another number of rows than one.
    pub async fn frontier<T: Transport>(
        &self,
        client: &Client<T>,
        feed: &str,
    ) -> Result<Frontier, Error> {
        let rows = client
            .query(Statement::new(&*self.frontier).bind(feed))
            .await?;
        let row = rows.single()?;
        Ok(Frontier {
            last: number(row.get("last")?),
            oldest: row.get::<Option<i64>>("oldest")?.map(number),
        })
    }

    /// Reads the changes of a feed after `after`, in ascending order, at most 500.
    ///
    /// # Errors
    /// The database's.
    pub async fn changes<T: Transport>(
        &self,
        client: &Client<T>,
        feed: &str,
        after: u64,
    ) -> Result<Vec<Change>, Error> {
        let statement = Statement::new(&*self.changes)
            .bind(feed)
            .bind(after.to_string())
            .bind(MAX_CHANGES);
        let rows = client.query(statement).await?;
        rows.iter()
            .map(|row| {
                Ok::<_, Error>(Change {
                    sequence: number(row.get("sequence")?),
                    data: row.get("data")?,
                })
            })
            .collect()
    }
}

fn number(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// `schema.name` as `"schema"."name"`.
fn quoted(name: &str) -> String {
    let parts: Vec<_> = name
        .split('.')
        .map(|part| format!("\"{}\"", part.replace('"', "\"\"")))
        .collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        let functions = TableFunctions::new("feed.frontier", "a\"b");
        assert!(
            functions
                .frontier
                .contains("from \"feed\".\"frontier\"($1)")
        );
        assert!(functions.changes.contains("from \"a\"\"b\"($1"));
    }
}
