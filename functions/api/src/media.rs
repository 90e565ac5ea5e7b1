//! Media as clients see them, and as the database has them.
//!
//! One shape everywhere: a list has what a single one has. Where a photo was taken is in none of them;
//! only `GET /api/media/{id}?include=position` tells.

mod complete;
mod direct;
mod list;
mod new;
mod remove;
mod signature;
mod upload;

use http::{Response, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tirage_problem::{Kind, Problem};
use tirage_s3::Key;
use tirage_sqlhttp::{Error, Json, Row, Statement};
use uuid::Uuid;

pub(crate) use complete::{complete, finish_upload};
pub(crate) use direct::receive;
pub(crate) use list::list;
pub(crate) use new::hexadecimal;
pub(crate) use remove::remove;
pub(crate) use upload::announce;

use crate::database::{self, BUILT_IN_WORKSPACE, BUILT_IN_WORKSPACE_ID, Database};
use crate::settings;
use crate::storage::Storage;
use crate::tasks::Task;

/// A media, with its prints and tasks.
#[derive(Debug, Serialize)]
pub(crate) struct Media {
    pub(crate) id: Uuid,
    pub(crate) state: State,
    kind: String,
    filename: String,
    content_type: String,
    /// In bytes.
    size: i64,
    /// In hexadecimal; null until it is known.
    sha256: Option<String>,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    /// Why it failed: a problem document.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Value>,
    metadata: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Value>,
    variants: Vec<Variant>,
    tasks: Vec<Task>,
}

/// Where a media is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Its bytes are awaited.
    Uploading,
    /// They are there, and its prints are being made.
    Processing,
    /// All its prints are there.
    Ready,
    /// There will be no prints, for a reason that is told.
    Failed,
}

impl State {
    /// The name, as JSON and the database have it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Uploading => "uploading",
            Self::Processing => "processing",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }

    /// The state of this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Uploading, Self::Processing, Self::Ready, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}

/// A print.
#[derive(Debug, Serialize)]
struct Variant {
    name: String,
    /// Where it can be had, for an hour.
    url: String,
    content_type: String,
    /// In pixels.
    width: i32,
    height: i32,
    /// In bytes.
    size: i64,
    sha256: String,
}

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

/// The columns of `media` with what belongs to it; `from media` must follow.
const COLUMNS: &str = "select id, state, kind, filename, content_type, size_bytes, sha256, created_at, \
     finished_at, failure, metadata, position, \
     coalesce((select jsonb_agg(v order by v.width, v.name) from variant v where v.media_id = media.id), \
       '[]') as variants, \
     coalesce((select jsonb_agg(t order by t.created_at) from task t where t.media_id = media.id), \
       '[]') as tasks ";

impl Media {
    /// The media of this id, unless it is going or gone.
    ///
    /// # Errors
    /// 404, 503 and 500.
    pub(crate) async fn find(
        database: &Database,
        storage: &Storage,
        id: Uuid,
    ) -> Result<Self, Problem> {
        let statement = Statement::new(format!(
            "{COLUMNS} from media where workspace_id = $1 and id = $2 and state <> 'deleting'"
        ))
        .bind(BUILT_IN_WORKSPACE)
        .bind(id.to_string());
        let rows = database.run(statement).await?;
        match rows.iter().next() {
            Some(row) => Self::read(&row, storage),
            None => Err(Problem::new(Kind::NOT_FOUND).detail("There is no such media")),
        }
    }

    /// The newest media with these bytes that has prints, or will have.
    async fn with_content(
        database: &Database,
        storage: &Storage,
        sha256: &str,
    ) -> Result<Option<Self>, Problem> {
        let statement = Statement::new(format!(
            "{COLUMNS} from media where workspace_id = $1 and sha256 = $2 \
             and state in ('processing', 'ready') order by id desc limit 1"
        ))
        .bind(BUILT_IN_WORKSPACE)
        .bind(sha256);
        let rows = database.run(statement).await?;
        let row = rows.iter().next();
        row.map(|row| Self::read(&row, storage)).transpose()
    }

    fn read(row: &Row<'_>, storage: &Storage) -> Result<Self, Problem> {
        let read = || -> Result<(Self, Vec<VariantRow>), Error> {
            let Json(variants) = row.get("variants")?;
            let Json(tasks) = row.get("tasks")?;
            let json = |name| -> Result<Option<Value>, Error> {
                Ok(row
                    .get::<Option<Json<Value>>>(name)?
                    .map(|Json(value)| value))
            };
            let media = Self {
                id: row
                    .get::<String>("id")?
                    .parse()
                    .map_err(|_| not_as_stored("id"))?,
                state: State::parse(&row.get::<String>("state")?)
                    .ok_or_else(|| not_as_stored("state"))?,
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
                variants: Vec::new(),
                tasks,
            };
            Ok((media, variants))
        };
        let (mut media, variants) = read().map_err(database::problem)?;
        media.variants = variants
            .into_iter()
            .map(|row| Variant::of(media.id, row, storage))
            .collect::<Result<_, _>>()?;
        Ok(media)
    }

    /// A task that nobody has been told of.
    pub(crate) fn unsent_task(&self) -> Option<&Task> {
        self.tasks.iter().find(|task| task.is_unsent())
    }

    /// Without what is nobody's business.
    pub(crate) fn without_position(self) -> Self {
        Self {
            position: None,
            ..self
        }
    }
}

impl Variant {
    fn of(media: Uuid, row: VariantRow, storage: &Storage) -> Result<Self, Problem> {
        let key = key(media, &row.object)?;
        Ok(Self {
            url: storage.readable(&key)?,
            name: row.name,
            content_type: row.content_type,
            width: row.width,
            height: row.height,
            size: row.size_bytes,
            sha256: row.sha256,
        })
    }
}

fn not_as_stored(column: &str) -> Error {
    Error::Protocol(format!("media.{column} holds something unknown"))
}

/// The key of an object that belongs to a media.
///
/// # Errors
/// 500 if `object` can't be the last part of a key.
pub(crate) fn key(media: Uuid, object: &str) -> Result<Key, Problem> {
    let name = object.parse().map_err(settings::internal)?;
    Ok(Key::new(BUILT_IN_WORKSPACE_ID, media, name))
}

/// What a client sent, in storage.
pub(crate) const ORIGINAL: &str = "original";

/// `GET /api/media/{id}`.
///
/// # Errors
/// 404, 503 and 500.
pub(crate) async fn read(id: Uuid, query: Option<&str>) -> Result<Response<bytes::Bytes>, Problem> {
    let wants_position = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .any(|(name, value)| name == "include" && value == "position");
    let database = Database::of_workspace(BUILT_IN_WORKSPACE).await?;
    let media = Media::find(&database, &Storage::open().await?, id).await?;
    let media = match wants_position {
        true => media,
        false => media.without_position(),
    };
    crate::json::answer(StatusCode::OK, &media)
}
