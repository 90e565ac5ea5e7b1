//! Deletion of objects that no row points at: those of deleted media items and of expired leases.
//!
//! The objects are listed before the rows are read, so an object whose row is committed in between is kept.
//! Variants of a running lease are kept too, since their rows are yet to be committed.

use std::collections::HashSet;

use tirage_guest::Error;
use tirage_guest::database::{self, BUILT_IN_WORKSPACE_ID, Database};
use tirage_guest::store::ObjectStore;
use tirage_s3::ObjectName;
use tirage_sqlhttp::{Row, Statement};
use uuid::Uuid;

/// A media item that may have objects without rows.
#[derive(Clone, Debug)]
pub(crate) struct Remains {
    workspace: Uuid,
    media: Uuid,
    is_deleted: bool,
}

impl Remains {
    /// Columns for [`Self::from_row`].
    pub(crate) const COLUMNS: &str = "id, workspace_id, state = 'deleting' as is_deleted";

    /// Remains of a media item that was just deleted.
    pub(crate) fn of_deleted(media: Uuid) -> Self {
        Self {
            workspace: BUILT_IN_WORKSPACE_ID,
            media,
            is_deleted: true,
        }
    }

    /// Reads a row with [`Self::COLUMNS`].
    ///
    /// # Errors
    /// 500 if a column is absent.
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, Error> {
        Ok(Self {
            workspace: database::uuid(row, "workspace_id")?,
            media: database::uuid(row, "id")?,
            is_deleted: row.get("is_deleted")?,
        })
    }
}

/// Deletes the objects that no row needs. Also deletes the row of a deleted media item, once no more
/// objects can arrive.
///
/// # Errors
/// 503 and 500; the next call deletes the rest.
pub(crate) async fn clean(
    database: &Database,
    store: &ObjectStore,
    remains: &Remains,
) -> Result<(), Error> {
    let stored = store.list(remains.workspace, remains.media).await?;
    let needed = match remains.is_deleted {
        true => Needed::default(),
        false => Needed::read(database, remains.media).await?,
    };
    for key in stored {
        if !needed.contains(key.name()) {
            store.remove(&key).await?;
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
        .await?;
    Ok(())
}

/// Objects of a media item that must be kept.
#[derive(Debug, Default)]
struct Needed {
    objects: HashSet<ObjectName>,
    running_lease: Option<i32>,
}

impl Needed {
    async fn read(database: &Database, media: Uuid) -> Result<Self, Error> {
        let on_media = |text: &str| Statement::new(text).bind(media.to_string());
        let [objects, leases] = database
            .run_all([
                on_media(
                    "select 'original' as object from media where id = $1 and state <> 'deleting' \
                     union all select object from variant where media_id = $1",
                ),
                on_media("select lease from task where media_id = $1 and state = 'running'"),
            ])
            .await?;
        let parse = |row: Row<'_>| -> Result<ObjectName, Error> {
            let object: String = row.get("object")?;
            object.parse().map_err(Error::internal)
        };
        Ok(Self {
            objects: objects.iter().map(parse).collect::<Result<_, _>>()?,
            running_lease: leases.first().map(|row| row.get("lease")).transpose()?,
        })
    }

    fn contains(&self, object: &ObjectName) -> bool {
        let is_of_running_lease = match object {
            ObjectName::Original => false,
            ObjectName::Variant { lease, .. } => Some(*lease) == self.running_lease,
        };
        is_of_running_lease || self.objects.contains(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_rows_and_of_the_running_lease_are_needed() {
        let parse = |name: &str| name.parse::<ObjectName>().unwrap();
        let needed = Needed {
            objects: HashSet::from(["original", "thumb.1"].map(parse)),
            running_lease: Some(12),
        };
        for object in ["original", "thumb.1", "thumb.12"] {
            assert!(needed.contains(&parse(object)), "{object}");
        }
        for object in ["thumb.2", "thumb.112", "small.1", "original.1"] {
            assert!(!needed.contains(&parse(object)), "{object}");
        }
    }
}
