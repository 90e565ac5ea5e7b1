//! Objects that no row points at: what deleted media leave, and leases that were given up.
//!
//! What is stored is listed first, and what is meant to be there is read after that: an object whose row
//! comes in between is kept. The prints of a lease that is running are kept as well, since their rows
//! are still to come.

use std::collections::HashSet;

use tirage_problem::Problem;
use tirage_sqlhttp::{Error, Row, Statement};
use uuid::Uuid;

use crate::database::{self, BUILT_IN_WORKSPACE_ID, Database};
use crate::settings;
use crate::storage::Storage;

/// A media that may have more objects than rows.
#[derive(Clone, Debug)]
pub(crate) struct Remains {
    workspace: Uuid,
    media: Uuid,
    is_deleted: bool,
}

impl Remains {
    /// The columns that [`Self::read`] takes.
    pub(crate) const COLUMNS: &str = "id, workspace_id, state = 'deleting' as is_deleted";

    /// What a media has left that was just deleted.
    pub(crate) fn of_deleted(media: Uuid) -> Self {
        Self {
            workspace: BUILT_IN_WORKSPACE_ID,
            media,
            is_deleted: true,
        }
    }

    /// From a row with [`Self::COLUMNS`].
    ///
    /// # Errors
    /// 500 if it has others.
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, Problem> {
        let uuid = |name| -> Result<Uuid, Problem> {
            let text: String = row.get(name).map_err(database::problem)?;
            text.parse().map_err(settings::internal)
        };
        Ok(Self {
            workspace: uuid("workspace_id")?,
            media: uuid("id")?,
            is_deleted: row.get("is_deleted").map_err(database::problem)?,
        })
    }
}

/// Removes the objects that nobody needs, and then, of a media that is deleted, the row: but not before
/// nothing can arrive any more.
///
/// # Errors
/// 503 when something can't be removed now; the rest is removed when this is done again.
pub(crate) async fn clean(
    database: &Database,
    storage: &Storage,
    remains: &Remains,
) -> Result<(), Problem> {
    let stored = storage.list(remains.workspace, remains.media).await?;
    let needed = match remains.is_deleted {
        true => Needed::default(),
        false => Needed::read(database, remains.media).await?,
    };
    for key in stored {
        if !needed.contains(key.name().as_str()) {
            storage.remove(&key).await?;
        }
    }
    let on_media = |text: &str| Statement::new(text).bind(remains.media.to_string());
    database
        .run_all([
            on_media(
                "delete from media where id = $1 and state = 'deleting' and cleanup_until < now()",
            ),
            on_media(
                "update media set cleanup_due_at = case state when 'deleting' then cleanup_until end \
                 where id = $1 and cleanup_due_at <= now() and not exists \
                   (select from task where media_id = media.id and task.state = 'running')",
            ),
        ])
        .await
        .map(drop)
        .map_err(database::problem)
}

/// The objects of a media that are meant to be there.
#[derive(Debug, Default)]
struct Needed {
    objects: HashSet<String>,
    running_lease: Option<i32>,
}

impl Needed {
    async fn read(database: &Database, media: Uuid) -> Result<Self, Problem> {
        let on_media = |text: &str| Statement::new(text).bind(media.to_string());
        let [objects, leases] = database
            .run_all([
                on_media(
                    "select 'original' as object from media where id = $1 and state <> 'deleting' \
                     union all select object from variant where media_id = $1",
                ),
                on_media("select lease from task where media_id = $1 and state = 'running'"),
            ])
            .await
            .map_err(database::problem)?;
        let read = || -> Result<Self, Error> {
            Ok(Self {
                objects: objects
                    .iter()
                    .map(|row| row.get("object"))
                    .collect::<Result<_, _>>()?,
                running_lease: leases.first().map(|row| row.get("lease")).transpose()?,
            })
        };
        read().map_err(database::problem)
    }

    fn contains(&self, object: &str) -> bool {
        // As the worker names them.
        let is_of_running_lease = self
            .running_lease
            .is_some_and(|lease| object.ends_with(&format!(".{lease}")));
        is_of_running_lease || self.objects.contains(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rows_point_at_and_what_is_being_made_is_needed() {
        let needed = Needed {
            objects: HashSet::from(["original".to_owned(), "thumb.1".to_owned()]),
            running_lease: Some(12),
        };
        for object in ["original", "thumb.1", "thumb.12"] {
            assert!(needed.contains(object), "{object}");
        }
        for object in ["thumb.2", "thumb.112", "small.1", "thumb"] {
            assert!(!needed.contains(object), "{object}");
        }
    }
}
