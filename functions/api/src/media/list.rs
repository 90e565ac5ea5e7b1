//! `GET /api/media`: a page of media items, newest first.
//!
//! A page ends with an opaque cursor for the next one. It holds the last id, which begins with a time
//! (UUIDv7): pages are cheap, and stay stable while other clients upload.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use http::header::LINK;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use tirage_guest::database::BUILT_IN_WORKSPACE;
use tirage_guest::store::ObjectStore;
use tirage_guest::{Error, json};
use tirage_problem::{Kind, Place, Problem};
use tirage_sqlhttp::Statement;
use uuid::Uuid;

use super::signature::MediaKind;
use super::{COLUMNS, MediaItem, State};
use crate::workspace_database;

/// Responds with a page, for `?limit=&cursor=&kind=&state=`.
///
/// # Errors
/// 400 for an invalid parameter; 503 and 500.
pub(crate) async fn list(query: Option<&str>) -> Result<Response<Bytes>, Error> {
    let page = Page::parse(query)?;
    let database = workspace_database().await?;
    let store = ObjectStore::open().await?;
    let rows = database.run(page.statement()).await?;
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let media = rows
        .iter()
        .take(limit)
        .map(|row| MediaItem::from_row(&row, &store).map(MediaItem::without_position))
        .collect::<Result<Vec<_>, _>>()?;
    let next = media
        .last()
        .filter(|_| rows.len() > limit)
        .map(|last| BASE64.encode(last.id.as_bytes()));
    let link = next.as_deref().map(|cursor| page.link(cursor));
    let mut response = json::response(StatusCode::OK, &Listed { media, next })?;
    if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

#[derive(Serialize)]
struct Listed {
    media: Vec<MediaItem>,
    /// Cursor of the next page; null on the last page.
    next: Option<String>,
}

/// Parameters of a page.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    limit: i64,
    after: Option<Uuid>,
    kind: Option<MediaKind>,
    state: Option<State>,
}

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;

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
                        invalid("cursor", "Cursor must be the `next` of the previous page")
                    })?);
                }
                "kind" => {
                    let kind = MediaKind::ALL
                        .into_iter()
                        .find(|kind| kind.as_str() == value);
                    page.kind = Some(kind.ok_or_else(|| {
                        invalid("kind", "Kind must be one of photo, document, video, other")
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

    /// The query, with conditions only for the given parameters: a condition on a parameter that may be
    /// null keeps Postgres from using the index.
    fn statement(&self) -> Statement {
        let mut text =
            format!("{COLUMNS} from media where workspace_id = $1 and state <> 'deleting'");
        let mut parameters = Vec::new();
        let mut parameter = |value: String| {
            parameters.push(value);
            // $1 is the workspace.
            parameters.len() + 1
        };
        if let Some(id) = self.after {
            let number = parameter(id.to_string());
            text.push_str(&format!(" and id < ${number}"));
        }
        if let Some(kind) = self.kind {
            let number = parameter(kind.as_str().to_owned());
            text.push_str(&format!(" and kind = ${number}"));
        }
        if let Some(state) = self.state {
            let number = parameter(state.as_str().to_owned());
            text.push_str(&format!(" and state = ${number}"));
        }
        // One more row shows that there is a next page.
        let number = parameter((self.limit + 1).to_string());
        text.push_str(&format!(" order by id desc limit ${number}"));
        parameters.into_iter().fold(
            Statement::new(text).bind(BUILT_IN_WORKSPACE),
            Statement::bind,
        )
    }

    /// Header `Link` to the next page (RFC 8288).
    fn link(&self, cursor: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &self.limit.to_string());
        if let Some(kind) = self.kind {
            query.append_pair("kind", kind.as_str());
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
    fn a_cursor_parses_back_to_itself() {
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
    fn invalid_parameters_are_refused() {
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
