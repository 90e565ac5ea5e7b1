//! `GET /api/media`: the newest first, a page at a time.
//!
//! A page ends with a cursor, which says where the next one begins. It means nothing to clients; that it
//! holds the last id, which is a time (UUIDv7), is what makes pages cheap and steady while others upload.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use http::header::LINK;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use tirage_problem::{Kind, Place, Problem};
use tirage_sqlhttp::Statement;
use uuid::Uuid;

use super::{COLUMNS, Media, State};
use crate::database::{BUILT_IN_WORKSPACE, Database};
use crate::json;
use crate::storage::Storage;

/// `GET /api/media?limit=&cursor=&kind=&state=`.
///
/// # Errors
/// 400 for a bad parameter; 503 and 500.
pub(crate) async fn list(query: Option<&str>) -> Result<Response<Bytes>, Problem> {
    let page = Page::parse(query)?;
    let database = Database::of_workspace(BUILT_IN_WORKSPACE).await?;
    let storage = Storage::open().await?;
    let statement = page.statement();
    let rows = database.run(statement).await?;
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let media = rows
        .iter()
        .take(limit)
        .map(|row| Media::read(&row, &storage).map(Media::without_position))
        .collect::<Result<Vec<_>, _>>()?;
    let next = media
        .last()
        .filter(|_| rows.len() > limit)
        .map(|last| BASE64.encode(last.id.as_bytes()));
    let link = next.as_deref().map(|cursor| page.link(cursor));
    let mut response = json::answer(StatusCode::OK, &Listed { media, next })?;
    if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

#[derive(Serialize)]
struct Listed {
    media: Vec<Media>,
    /// The cursor of the next page; null on the last one.
    next: Option<String>,
}

/// Which part of the list.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    limit: i64,
    after: Option<Uuid>,
    kind: Option<&'static str>,
    state: Option<State>,
}

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;
const KINDS: [&str; 4] = ["photo", "document", "video", "other"];

impl Page {
    fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut page = Self {
            limit: DEFAULT_LIMIT,
            after: None,
            kind: None,
            state: None,
        };
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "limit" => {
                    let limit = value.parse().ok();
                    page.limit = limit
                        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
                        .ok_or_else(|| {
                            invalid(
                                "limit",
                                format!("Limit must be a number from 1 to {MAX_LIMIT}"),
                            )
                        })?;
                }
                "cursor" => {
                    let bytes = BASE64.decode(&*value).ok();
                    let id = bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok());
                    page.after = Some(id.ok_or_else(|| {
                        invalid("cursor", "Cursor must be the `next` of a page before")
                    })?);
                }
                "kind" => {
                    let kind = KINDS.into_iter().find(|kind| *kind == value);
                    page.kind = Some(kind.ok_or_else(|| {
                        invalid("kind", format!("Kind must be one of {}", KINDS.join(", ")))
                    })?);
                }
                "state" => {
                    page.state = Some(State::parse(&value).ok_or_else(|| {
                        invalid(
                            "state",
                            "State must be one of uploading, processing, ready, failed",
                        )
                    })?);
                }
                _ => {}
            }
        }
        Ok(page)
    }

    /// With the conditions that were asked for and no others: one that may be null keeps Postgres from
    /// the index that fits.
    fn statement(&self) -> Statement {
        let mut text =
            format!("{COLUMNS} from media where workspace_id = $1 and state <> 'deleting'");
        let mut parameters = Vec::new();
        let mut parameter = |value: String| {
            parameters.push(value);
            // After the workspace.
            parameters.len() + 1
        };
        if let Some(id) = self.after {
            let number = parameter(id.to_string());
            text.push_str(&format!(" and id < ${number}"));
        }
        if let Some(kind) = self.kind {
            let number = parameter(kind.to_owned());
            text.push_str(&format!(" and kind = ${number}"));
        }
        if let Some(state) = self.state {
            let number = parameter(state.as_str().to_owned());
            text.push_str(&format!(" and state = ${number}"));
        }
        // One more tells whether there is a next page.
        let number = parameter((self.limit + 1).to_string());
        text.push_str(&format!(" order by id desc limit ${number}"));
        parameters.into_iter().fold(
            Statement::new(text).bind(BUILT_IN_WORKSPACE),
            Statement::bind,
        )
    }

    /// Where the next page is (RFC 8288).
    fn link(&self, cursor: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &self.limit.to_string());
        if let Some(kind) = self.kind {
            query.append_pair("kind", kind);
        }
        if let Some(state) = self.state {
            query.append_pair("state", state.as_str());
        }
        query.append_pair("cursor", cursor);
        format!("</api/media?{}>; rel=\"next\"", query.finish())
    }
}

fn invalid(parameter: &'static str, detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Kind::INVALID_INPUT).field(Place::Parameter(parameter), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let id = Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001);
        let cursor = BASE64.encode(id.as_bytes());
        let page = Page::parse(Some(&format!("cursor={cursor}&state=ready&kind=photo"))).unwrap();
        assert_eq!(page.after, Some(id));
        assert_eq!(
            page.link(&cursor),
            format!("</api/media?limit=50&kind=photo&state=ready&cursor={cursor}>; rel=\"next\"")
        );
    }

    #[test]
    fn parameters_have_bounds() {
        assert_eq!(Page::parse(None).unwrap().limit, DEFAULT_LIMIT);
        for query in [
            "limit=0",
            "limit=201",
            "limit=x",
            "cursor=",
            "cursor=AAAA",
            "cursor=%00",
            "kind=photos",
            "state=deleting",
            "state=",
        ] {
            let problem = Page::parse(Some(query)).unwrap_err();
            assert_eq!(problem.kind(), Kind::INVALID_INPUT, "{query}");
        }
    }
}
