//! `Idempotency-Key`: a request that is repeated because its response was lost takes effect once.
//!
//! The key is committed in the same transaction as the effect. The response to a repeated request shows the
//! current state of what the first request created. Keys are kept for a day.
//! (draft-ietf-httpapi-idempotency-key-header)

use std::fmt::Display;
use std::str::FromStr;

use http::HeaderMap;
use http::request::Parts;
use sha2::{Digest, Sha256};
use tirage_guest::Error;
use tirage_guest::database::{BUILT_IN_WORKSPACE, Database};
use tirage_problem::{Kind, Place, Problem};
use tirage_sqlhttp::{Error as DatabaseError, Statement};
use uuid::Uuid;

/// Maximum length of a key, in bytes.
const MAX_KEY_BYTES: usize = 255;

/// A client's key for one request, with a fingerprint of that request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdempotencyKey {
    key: String,
    fingerprint: String,
}

impl IdempotencyKey {
    /// Reads the key of a request. `content` identifies the request together with method and path.
    ///
    /// # Errors
    /// 400 for a key that is empty, too long, or has invisible characters.
    pub(crate) fn of(head: &Parts, content: &[u8]) -> Result<Option<Self>, Problem> {
        let Some(key) = header(&head.headers)? else {
            return Ok(None);
        };
        let mut hash = Sha256::new();
        for part in [head.method.as_str(), head.uri.path()] {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(content);
        Ok(Some(Self {
            key,
            fingerprint: hex::encode(hash.finalize()),
        }))
    }

    /// Finds the id that the same request created before; `None` for a new request.
    ///
    /// # Errors
    /// 422 if another request used the key; the database's errors.
    pub(crate) async fn subject<T>(&self, database: &Database) -> Result<Option<T>, Error>
    where
        T: FromStr<Err: Display>,
    {
        let statement = Statement::new(
            "select subject, fingerprint = $3 as same from idempotency where workspace_id = $1 and key = $2",
        )
        .bind(BUILT_IN_WORKSPACE)
        .bind(self.key.as_str())
        .bind(self.fingerprint.as_str());
        let rows = database.run(statement).await?;
        let Some(row) = rows.iter().next() else {
            return Ok(None);
        };
        if !row.get::<bool>("same")? {
            return Err(Problem::new(Kind::IDEMPOTENCY_KEY_REUSED).into());
        }
        let subject: String = row.get("subject")?;
        subject.parse().map(Some).map_err(Error::internal)
    }

    /// Statement that records `subject` as created by this request, for the batch that creates it.
    pub(crate) fn insert(key: Option<&Self>, subject: Uuid) -> Statement {
        if key.is_none() {
            return Statement::new("select");
        }
        let statement = Statement::new(
            "insert into idempotency (workspace_id, subject, key, fingerprint) values ($1, $2, $3, $4)",
        )
        .bind(BUILT_IN_WORKSPACE)
        .bind(subject.to_string());
        Self::bind(key, statement)
    }

    /// Binds key and fingerprint to the next two parameters; NULL without a key.
    pub(crate) fn bind(key: Option<&Self>, statement: Statement) -> Statement {
        statement
            .bind(key.map(|key| key.key.as_str()))
            .bind(key.map(|key| key.fingerprint.as_str()))
    }

    /// `true` if a batch failed because two requests with the same key ran at the same moment.
    pub(crate) fn is_taken(error: &DatabaseError) -> bool {
        matches!(error, DatabaseError::UniqueViolation(error)
            if error.constraint.as_deref() == Some("idempotency_pkey"))
    }
}

fn header(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value.to_str().ok().filter(|key| {
        (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    });
    match key {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(Problem::new(Kind::INVALID_INPUT).field(
            Place::Header("Idempotency-Key"),
            "Idempotency-Key must be 1 to 255 visible ASCII characters",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(
        headers: &[(&'static str, &str)],
        content: &[u8],
    ) -> Result<Option<IdempotencyKey>, Problem> {
        let mut request = http::Request::post("/api/media");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        IdempotencyKey::of(&head, content)
    }

    #[test]
    fn the_fingerprint_identifies_the_request() {
        let of = |content| key(&[("idempotency-key", "a")], content).unwrap().unwrap();
        assert_eq!(of(b"1"), of(b"1"));
        assert_ne!(of(b"1").fingerprint, of(b"2").fingerprint);
        assert_eq!(of(b"1").fingerprint.len(), 64);
    }

    #[test]
    fn invalid_keys_are_refused() {
        assert_eq!(key(&[], b"").unwrap(), None);
        let long = "k".repeat(MAX_KEY_BYTES);
        assert!(key(&[("idempotency-key", &long)], b"").unwrap().is_some());
        for bad in ["", "a b", "é", &format!("{long}k")] {
            let problem = key(&[("idempotency-key", bad)], b"").unwrap_err();
            assert_eq!(problem.kind(), Kind::INVALID_INPUT, "{bad}");
        }
    }
}
