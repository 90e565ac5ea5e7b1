//! Media items, as clients and the database see them.
//!
//! Lists and single items have the same JSON shape. The GPS position is a column of its own, and only
//! `GET /api/media/{id}?include=position` returns it.

mod announce;
mod announcement;
mod complete;
mod list;
mod read;
mod receive;
mod remove;
mod signature;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tirage_guest::Error;
use tirage_guest::database::{self, BUILT_IN_WORKSPACE, BUILT_IN_WORKSPACE_ID, Database};
use tirage_guest::store::ObjectStore;
use tirage_problem::{Kind, Problem};
use tirage_s3::Key;
use tirage_sqlhttp::{Error as DatabaseError, Json, Row, Statement};
use uuid::Uuid;

pub(crate) use announce::announce;
pub(crate) use complete::{complete, finish_upload};
pub(crate) use list::list;
pub(crate) use read::read;
pub(crate) use receive::receive;
pub(crate) use remove::remove;

use crate::tasks::Task;

/// A media item with its variants and tasks.
#[derive(Debug, Serialize)]
pub(crate) struct MediaItem {
    pub(crate) id: Uuid,
    pub(crate) state: State,
    kind: String,
    filename: String,
    content_type: String,
    /// In bytes.
    size: i64,
    /// In hexadecimal; `None` until known.
    sha256: Option<String>,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    /// Reason of the state `failed`: a problem document.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Value>,
    metadata: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Value>,
    variants: Vec<Variant>,
    tasks: Vec<Task>,
}

/// State of a media item. Items in the state `deleting` are invisible to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Its file is not stored yet.
    Uploading,
    /// Its file is stored, its variants are not.
    Processing,
    /// Its variants are stored.
    Ready,
    /// It will have no variants; `failure` says why.
    Failed,
}

impl State {
    /// Name in JSON and in the database.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Uploading => "uploading",
            Self::Processing => "processing",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }

    /// Parses a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Uploading, Self::Processing, Self::Ready, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}

/// A resized image.
#[derive(Debug, Serialize)]
struct Variant {
    name: String,
    /// Presigned URL, valid for [`VARIANT_URL_VALID_FOR`].
    url: String,
    content_type: String,
    /// In pixels.
    width: i32,
    height: i32,
    /// In bytes.
    size: i64,
    sha256: String,
}

/// Validity of the URL of a variant.
const VARIANT_URL_VALID_FOR: Duration = Duration::from_secs(60 * 60);

/// A row of the table `variant`.
#[derive(Deserialize)]
struct VariantRow {
    name: String,
    object: String,
    content_type: String,
    width: i32,
    height: i32,
    size_bytes: i64,
    sha256: String,
}

/// Columns of a [`MediaItem`]; `from media` must follow.
const COLUMNS: &str = "select id, state, kind, filename, content_type, size_bytes, sha256, created_at, \
     finished_at, failure, metadata, position, \
     coalesce((select jsonb_agg(v order by v.width, v.name) from variant v where v.media_id = media.id), \
       '[]') as variants, \
     coalesce((select jsonb_agg(t order by t.created_at) from task t where t.media_id = media.id), \
       '[]') as tasks ";

impl MediaItem {
    /// Finds a media item by id.
    ///
    /// # Errors
    /// 404 if it doesn't exist or is being deleted; the database's errors.
    pub(crate) async fn find(
        database: &Database,
        store: &ObjectStore,
        id: Uuid,
    ) -> Result<Self, Error> {
        let statement = Statement::new(format!(
            "{COLUMNS} from media where workspace_id = $1 and id = $2 and state <> 'deleting'"
        ))
        .bind(BUILT_IN_WORKSPACE)
        .bind(id.to_string());
        let rows = database.run(statement).await?;
        match rows.iter().next() {
            Some(row) => Self::from_row(&row, store),
            None => Err(Problem::new(Kind::NOT_FOUND)
                .detail("There is no such media item")
                .into()),
        }
    }

    /// Finds the newest media item with this content that has variants, or will have.
    async fn with_content(
        database: &Database,
        store: &ObjectStore,
        sha256: &str,
    ) -> Result<Option<Self>, Error> {
        let statement = Statement::new(format!(
            "{COLUMNS} from media where workspace_id = $1 and sha256 = $2 \
             and state in ('processing', 'ready') order by id desc limit 1"
        ))
        .bind(BUILT_IN_WORKSPACE)
        .bind(sha256);
        let rows = database.run(statement).await?;
        let row = rows.iter().next();
        row.map(|row| Self::from_row(&row, store)).transpose()
    }

    fn from_row(row: &Row<'_>, store: &ObjectStore) -> Result<Self, Error> {
        let Json::<Vec<VariantRow>>(variants) = row.get("variants")?;
        let Json(tasks) = row.get("tasks")?;
        let json = |column| -> Result<Option<Value>, DatabaseError> {
            let value: Option<Json<Value>> = row.get(column)?;
            Ok(value.map(|Json(value)| value))
        };
        let id = database::uuid(row, "id")?;
        let state: String = row.get("state")?;
        Ok(Self {
            id,
            state: State::parse(&state)
                .ok_or_else(|| Error::internal(format!("unknown media.state {state}")))?,
            kind: row.get("kind")?,
            filename: row.get("filename")?,
            content_type: row.get("content_type")?,
            size: row.get("size_bytes")?,
            sha256: row.get("sha256")?,
            created_at: row.get("created_at")?,
            finished_at: row.get("finished_at")?,
            failure: json("failure")?,
            metadata: json("metadata")?,
            position: json("position")?,
            variants: variants
                .into_iter()
                .map(|row| Variant::from_row(id, row, store))
                .collect::<Result<_, _>>()?,
            tasks,
        })
    }

    /// The task whose message is not sent yet.
    pub(crate) fn unsent_task(&self) -> Option<&Task> {
        self.tasks.iter().find(|task| task.is_unsent())
    }

    /// Removes the position, for every response that doesn't ask for it.
    pub(crate) fn without_position(self) -> Self {
        Self {
            position: None,
            ..self
        }
    }
}

impl Variant {
    fn from_row(media: Uuid, row: VariantRow, store: &ObjectStore) -> Result<Self, Error> {
        let name = row.object.parse().map_err(Error::internal)?;
        let key = Key::new(BUILT_IN_WORKSPACE_ID, media, name);
        Ok(Self {
            url: store.presign_get(&key, VARIANT_URL_VALID_FOR)?.url,
            name: row.name,
            content_type: row.content_type,
            width: row.width,
            height: row.height,
            size: row.size_bytes,
            sha256: row.sha256,
        })
    }
}

/// Key of the uploaded file of a media item.
fn original(media: Uuid) -> Key {
    Key::original(BUILT_IN_WORKSPACE_ID, media)
}
