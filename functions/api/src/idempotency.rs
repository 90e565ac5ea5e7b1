//! `Idempotency-Key`: a request that comes again, because its answer got lost, has its effect once.
//!
//! The key is stored in the transaction that has the effect, so there is no moment in which one is known
//! and the other not. A request that finds its key taken is answered with what the first one made, as
//! it is now. Keys are kept for a day. (draft-ietf-httpapi-idempotency-key-header)

use std::fmt::Display;
use std::str::FromStr;

use http::HeaderMap;
use http::request::Parts;
use sha2::{Digest, Sha256};
use tirage_problem::{Kind, Place, Problem};
use tirage_sqlhttp::{Error, Statement};
use uuid::Uuid;

use crate::database::{self, BUILT_IN_WORKSPACE, Database};
use crate::settings;

/// The longest key, in bytes.
const MAX_KEY_BYTES: usize = 255;

/// A client's key for one request, and what that request was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdempotencyKey {
    key: String,
    fingerprint: String,
}

impl IdempotencyKey {
    /// The key of this request, if it has one. `content` is what makes it this request and no other,
    /// besides method and path.
    ///
    /// # Errors
    /// 400 for a key that is empty, too long, or not of visible characters.
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
        let fingerprint = hash.finalize();
        Ok(Some(Self {
            key,
            fingerprint: fingerprint
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        }))
    }

    /// The id of what the same request made before, if it came before.
    ///
    /// # Errors
    /// 422 if the key was used for another request; 503 and 500 as for any query.
    pub(crate) async fn subject<T>(&self, database: &Database) -> Result<Option<T>, Problem>
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
        if !row.get::<bool>("same").map_err(database::problem)? {
            return Err(Problem::new(Kind::IDEMPOTENCY_KEY_REUSED));
        }
        let subject: String = row.get("subject").map_err(database::problem)?;
        subject.parse().map(Some).map_err(settings::internal)
    }

    /// Stores that this request made `subject`; one of a batch with what makes it.
    pub(crate) fn store(key: Option<&Self>, subject: Uuid) -> Statement {
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

    /// Binds key and fingerprint, both NULL without a key, to the next two parameters.
    pub(crate) fn bind(key: Option<&Self>, statement: Statement) -> Statement {
        statement
            .bind(key.map(|key| key.key.as_str()))
            .bind(key.map(|key| key.fingerprint.as_str()))
    }

    /// Whether a batch failed because the same key came twice at the same moment.
    pub(crate) fn is_taken(error: &Error) -> bool {
        matches!(error, Error::UniqueViolation(error)
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
    fn the_same_request_has_the_same_fingerprint_and_another_has_not() {
        let of = |content| key(&[("idempotency-key", "a")], content).unwrap().unwrap();
        assert_eq!(of(b"1"), of(b"1"));
        assert_ne!(of(b"1").fingerprint, of(b"2").fingerprint);
        assert_eq!(of(b"1").fingerprint.len(), 64);
    }

    #[test]
    fn keys_are_visible_and_short() {
        assert_eq!(key(&[], b"").unwrap(), None);
        let long = "k".repeat(MAX_KEY_BYTES);
        assert!(key(&[("idempotency-key", &long)], b"").unwrap().is_some());
        for bad in ["", "a b", "é", &format!("{long}k")] {
            let problem = key(&[("idempotency-key", bad)], b"").unwrap_err();
            assert_eq!(problem.kind(), Kind::INVALID_INPUT, "{bad}");
        }
    }
}
