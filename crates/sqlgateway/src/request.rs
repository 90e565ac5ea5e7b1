//! The headers and the JSON body of `POST /sql`.
//!
//! A header is true if its value is exactly `true`. The body is one query or `{"queries": [...]}`. As
//! with Neon, `query` takes precedence over `queries`, and unknown keys are ignored.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::parameter;

/// The headers that control the response and the batch's transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// `true` if every value is returned as Postgres' text.
    pub(crate) raw_text: bool,
    /// `true` if rows are arrays, unless the query overrides it.
    pub(crate) array_mode: bool,
    /// Options of a batch's transaction.
    pub(crate) transaction: TransactionOptions,
}

/// Options of a batch's transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TransactionOptions {
    isolation: Option<Isolation>,
    read_only: bool,
    deferrable: bool,
}

#[derive(Clone, Copy, Debug)]
enum Isolation {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl Options {
    /// Parses the headers.
    ///
    /// # Errors
    /// [`Failure::IsolationLevel`].
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Failure> {
        let is_true = |name: &str| {
            headers
                .get(name)
                .is_some_and(|value| value.as_bytes() == b"true")
        };
        let isolation = match headers
            .get("neon-batch-isolation-level")
            .map(HeaderValue::as_bytes)
        {
            None => None,
            Some(b"ReadUncommitted") => Some(Isolation::ReadUncommitted),
            Some(b"ReadCommitted") => Some(Isolation::ReadCommitted),
            Some(b"RepeatableRead") => Some(Isolation::RepeatableRead),
            Some(b"Serializable") => Some(Isolation::Serializable),
            Some(_) => return Err(Failure::IsolationLevel),
        };
        Ok(Self {
            raw_text: is_true("neon-raw-text-output"),
            array_mode: is_true("neon-array-mode"),
            transaction: TransactionOptions {
                isolation,
                read_only: is_true("neon-batch-read-only"),
                deferrable: is_true("neon-batch-deferrable"),
            },
        })
    }
}

impl TransactionOptions {
    /// `true` if Postgres refuses writes in the transaction.
    pub(crate) fn is_read_only(self) -> bool {
        self.read_only
    }

    /// Returns the statement that begins the transaction.
    pub(crate) fn begin(self) -> String {
        let mut statement = "BEGIN".to_owned();
        statement.push_str(match self.isolation {
            None => "",
            Some(Isolation::ReadUncommitted) => " ISOLATION LEVEL READ UNCOMMITTED",
            Some(Isolation::ReadCommitted) => " ISOLATION LEVEL READ COMMITTED",
            Some(Isolation::RepeatableRead) => " ISOLATION LEVEL REPEATABLE READ",
            Some(Isolation::Serializable) => " ISOLATION LEVEL SERIALIZABLE",
        });
        if self.read_only {
            statement.push_str(" READ ONLY");
        }
        if self.deferrable {
            statement.push_str(" DEFERRABLE");
        }
        statement
    }

    /// Sets the response headers that repeat the options.
    pub(crate) fn echo(self, headers: &mut HeaderMap) {
        if self.read_only {
            headers.insert("neon-batch-read-only", HeaderValue::from_static("true"));
        }
        if self.deferrable {
            headers.insert("neon-batch-deferrable", HeaderValue::from_static("true"));
        }
        if let Some(isolation) = self.isolation {
            let name = match isolation {
                Isolation::ReadUncommitted => "ReadUncommitted",
                Isolation::ReadCommitted => "ReadCommitted",
                Isolation::RepeatableRead => "RepeatableRead",
                Isolation::Serializable => "Serializable",
            };
            headers.insert("neon-batch-isolation-level", HeaderValue::from_static(name));
        }
    }
}

/// A parsed body.
#[derive(Debug)]
pub(crate) enum Payload<'a> {
    /// One statement in a transaction of its own.
    Single(Query<'a>),
    /// Statements in one transaction.
    Batch(Vec<Query<'a>>),
}

/// One statement.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    /// SQL text.
    pub(crate) statement: Cow<'a, str>,
    /// Parameters as text; `None` is NULL.
    pub(crate) parameters: Vec<Option<String>>,
    /// `Some(true)` if its rows are arrays; `None` if the header decides.
    pub(crate) array_mode: Option<bool>,
}

impl<'a> Payload<'a> {
    /// Parses the body.
    ///
    /// # Errors
    /// [`Failure::Body`] if it isn't valid JSON of the expected form.
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Failure> {
        let document: Document<'a> = serde_json::from_slice(body).map_err(Failure::body)?;
        if let Some(statement) = document.query {
            return Ok(Self::Single(Query::new(
                statement,
                &document.params,
                document.array_mode,
            )?));
        }
        let queries = document
            .queries
            .ok_or_else(|| Failure::Body("neither `query` nor `queries` is set".to_owned()))?;
        queries
            .into_iter()
            .map(|query| Query::new(query.query, &query.params, query.array_mode))
            .collect::<Result<_, _>>()
            .map(Self::Batch)
    }
}

impl<'a> Query<'a> {
    fn new(
        statement: Text<'a>,
        parameters: &[&'a RawValue],
        array_mode: Option<bool>,
    ) -> Result<Self, Failure> {
        // Refuses what no message to Postgres can contain, before anything is sent.
        if statement.0.contains('\0') {
            return Err(Failure::Body(
                "a statement cannot contain a NUL character".to_owned(),
            ));
        }
        if parameters.len() > usize::from(u16::MAX) {
            return Err(Failure::Body(format!("more than {} parameters", u16::MAX)));
        }
        Ok(Self {
            statement: statement.0,
            parameters: parameters
                .iter()
                .map(|value| parameter::to_text(value))
                .collect::<Result<_, _>>()
                .map_err(Failure::body)?,
            array_mode,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(borrow)]
    query: Option<Text<'a>>,
    #[serde(borrow, default)]
    params: Vec<&'a RawValue>,
    array_mode: Option<bool>,
    #[serde(borrow)]
    queries: Option<Vec<BatchQuery<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchQuery<'a> {
    #[serde(borrow)]
    query: Text<'a>,
    #[serde(borrow, default)]
    params: Vec<&'a RawValue>,
    array_mode: Option<bool>,
}

/// A string that borrows from the body if it has no escapes. serde borrows a `Cow` only in a field of
/// its own.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &[u8]) -> String {
        Payload::read(body).unwrap_err().to_string()
    }

    #[test]
    fn one_query() {
        let Payload::Single(query) =
            Payload::read(br#"{"query":"select $1","params":[1,null],"arrayMode":true,"x":{}}"#)
                .unwrap()
        else {
            panic!("a single query");
        };
        assert!(matches!(query.statement, Cow::Borrowed("select $1")));
        assert_eq!(query.parameters, [Some("1".to_owned()), None]);
        assert_eq!(query.array_mode, Some(true));
    }

    #[test]
    fn a_batch() {
        let Payload::Batch(queries) =
            Payload::read(br#"{"queries":[{"query":"a\nb"},{"query":"c","arrayMode":false}]}"#)
                .unwrap()
        else {
            panic!("a batch");
        };
        assert_eq!(queries[0].statement, "a\nb");
        assert_eq!(
            (queries[0].array_mode, queries[1].array_mode),
            (None, Some(false))
        );
        let Payload::Batch(queries) = Payload::read(br#"{"queries":[]}"#).unwrap() else {
            panic!("a batch");
        };
        assert!(queries.is_empty());
    }

    #[test]
    fn query_takes_precedence_over_queries() {
        let payload = Payload::read(br#"{"queries":[],"query":"select 1"}"#).unwrap();
        assert!(matches!(payload, Payload::Single(_)));
    }

    #[test]
    fn an_invalid_body_is_refused_with_a_reason() {
        for (body, expected) in [
            (&b"{}"[..], "neither `query` nor `queries`"),
            (b"", "EOF while parsing"),
            (b"[]", "invalid"),
            (b"{\"query\":1}", "invalid type: integer"),
            (b"{\"query\":\"a\",\"params\":{}}", "invalid type: map"),
            (b"{\"query\":\"\xff\"}", "invalid unicode"),
            (b"{\"query\":\"\\ud800\"}", "hex escape"),
            (b"{\"queries\":[{}]}", "missing field `query`"),
            (b"{\"query\":\"\\u0000\"}", "NUL"),
        ] {
            let message = message(body);
            assert!(message.contains(expected), "{message}");
            assert!(
                message.starts_with("could not parse the HTTP request body: "),
                "{message}"
            );
        }
    }

    #[test]
    fn headers_determine_the_transaction() {
        let mut headers = HeaderMap::new();
        assert_eq!(
            Options::read(&headers).unwrap().transaction.begin(),
            "BEGIN"
        );
        headers.insert(
            "neon-batch-isolation-level",
            HeaderValue::from_static("Serializable"),
        );
        headers.insert("neon-batch-read-only", HeaderValue::from_static("true"));
        headers.insert("neon-batch-deferrable", HeaderValue::from_static("TRUE"));
        let transaction = Options::read(&headers).unwrap().transaction;
        assert_eq!(
            transaction.begin(),
            "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY"
        );
        let mut echoed = HeaderMap::new();
        transaction.echo(&mut echoed);
        assert_eq!(echoed.len(), 2);
        headers.insert(
            "neon-batch-isolation-level",
            HeaderValue::from_static("serializable"),
        );
        assert!(matches!(
            Options::read(&headers),
            Err(Failure::IsolationLevel)
        ));
    }
}
