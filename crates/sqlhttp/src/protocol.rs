//! The JSON of the protocol: what is asked, what is answered.
//!
//! Always with `Neon-Raw-Text-Output` and `Neon-Array-Mode`: each row is an array of texts and nulls,
//! which leaves the conversion to the client and loses nothing.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::parameter::Statement;
use crate::rows::Rows;
use crate::types::Type;

/// The body that asks for one statement.
pub(crate) fn encode_query(statement: &Statement) -> Result<Bytes, Error> {
    encode(statement)
}

/// The body that asks for several as one transaction.
pub(crate) fn encode_batch(queries: &[Statement]) -> Result<Bytes, Error> {
    encode(&BatchRequest { queries })
}

/// The rows of a single statement's answer.
pub(crate) fn decode_query(body: &[u8]) -> Result<Rows, Error> {
    decode::<QueryAnswer>(body)?.rows()
}

/// The rows of a batch's answer, statement by statement.
pub(crate) fn decode_batch(body: &[u8]) -> Result<Vec<Rows>, Error> {
    decode::<BatchAnswer>(body)?
        .results
        .into_iter()
        .map(QueryAnswer::rows)
        .collect()
}

#[derive(Serialize)]
struct BatchRequest<'a> {
    queries: &'a [Statement],
}

#[derive(Deserialize)]
struct BatchAnswer {
    results: Vec<QueryAnswer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryAnswer {
    fields: Vec<Field>,
    rows: Vec<Vec<Option<String>>>,
    row_count: Option<u64>,
}

/// A column of an answer. The protocol says more of it; this is what conversion needs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Field {
    pub(crate) name: String,
    #[serde(rename = "dataTypeID")]
    pub(crate) data_type: Type,
}

impl QueryAnswer {
    fn rows(self) -> Result<Rows, Error> {
        if self.rows.iter().any(|row| row.len() != self.fields.len()) {
            return Err(Error::Protocol(
                "a row and its fields differ in number".to_owned(),
            ));
        }
        Ok(Rows::new(self.fields, self.rows, self.row_count))
    }
}

fn encode(body: &impl Serialize) -> Result<Bytes, Error> {
    serde_json::to_vec(body)
        .map(Bytes::from)
        .map_err(|error| Error::Protocol(error.to_string()))
}

fn decode<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Protocol(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_its_text_and_its_parameters() {
        let statement = Statement::new("select $1::int8, $2::text, $3::bool")
            .bind(9_007_199_254_740_993_i64)
            .bind("a \"b\"\n\\")
            .bind(None::<bool>);
        assert_eq!(
            encode_query(&statement).unwrap(),
            r#"{"query":"select $1::int8, $2::text, $3::bool","params":["9007199254740993","a \"b\"\n\\",null]}"#
        );
    }

    #[test]
    fn a_batch_wraps_its_statements() {
        let statements = [
            Statement::new("select 1"),
            Statement::new("select $1").bind(true),
        ];
        assert_eq!(
            encode_batch(&statements).unwrap(),
            r#"{"queries":[{"query":"select 1","params":[]},{"query":"select $1","params":["true"]}]}"#
        );
        assert_eq!(encode_batch(&[]).unwrap(), r#"{"queries":[]}"#);
    }

    /// As Neon's proxy answers in raw text and array mode.
    const ANSWER: &str = r#"{"command":"SELECT","rowCount":2,"rows":[["1","one"],["2",null]],"rowAsArray":true,
        "fields":[
          {"name":"id","dataTypeID":20,"tableID":0,"columnID":0,"dataTypeSize":8,"dataTypeModifier":-1,"format":"text"},
          {"name":"word","dataTypeID":25,"tableID":0,"columnID":0,"dataTypeSize":-1,"dataTypeModifier":-1,"format":"text"}]}"#;

    #[test]
    fn an_answer_becomes_typed_rows() {
        let rows = decode_query(ANSWER.as_bytes()).unwrap();
        let words: Vec<(i64, Option<String>)> = rows
            .iter()
            .map(|row| Ok((row.get("id")?, row.get("word")?)))
            .collect::<Result<_, Error>>()
            .unwrap();
        assert_eq!(words, [(1, Some("one".to_owned())), (2, None)]);
        assert_eq!(rows.affected(), Some(2));
    }

    #[test]
    fn a_batch_answer_is_a_list_of_answers() {
        let body = format!(
            r#"{{"results":[{ANSWER},{{"command":"CREATE","rowCount":null,"rows":[],"fields":[]}}]}}"#
        );
        let results = decode_batch(body.as_bytes()).unwrap();
        assert_eq!(results.iter().map(Rows::len).collect::<Vec<_>>(), [2, 0]);
        assert_eq!(results[1].affected(), None);
    }

    #[test]
    fn what_is_not_the_protocol_is_said_to_be_so() {
        let ragged =
            r#"{"fields":[{"name":"id","dataTypeID":20}],"rows":[["1","2"]],"rowCount":1}"#;
        for body in ["", "<html>", "{}", "[]", ragged] {
            assert!(
                matches!(decode_query(body.as_bytes()), Err(Error::Protocol(_))),
                "{body}"
            );
        }
    }
}
