//! The JSON of requests and responses.
//!
//! Requests always set `Neon-Raw-Text-Output` and `Neon-Array-Mode`: each row is an array of strings and
//! nulls, which this client converts without loss.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::parameter::Statement;
use crate::rows::Rows;
use crate::types::Type;

/// Encodes the request for one statement.
pub(crate) fn encode_query(statement: &Statement) -> Result<Bytes, Error> {
    encode(statement)
}

/// Encodes the request for a batch.
pub(crate) fn encode_batch(queries: &[Statement]) -> Result<Bytes, Error> {
    encode(&BatchRequest { queries })
}

/// Decodes the response to one statement.
pub(crate) fn decode_query(body: &[u8]) -> Result<Rows, Error> {
    decode::<QueryResult>(body)?.rows()
}

/// Decodes the response to a batch, as the rows of each statement.
pub(crate) fn decode_batch(body: &[u8]) -> Result<Vec<Rows>, Error> {
    decode::<BatchResponse>(body)?
        .results
        .into_iter()
        .map(QueryResult::rows)
        .collect()
}

#[derive(Serialize)]
struct BatchRequest<'a> {
    queries: &'a [Statement],
}

#[derive(Deserialize)]
struct BatchResponse {
    results: Vec<QueryResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryResult {
    fields: Vec<Field>,
    rows: Vec<Vec<Option<String>>>,
    row_count: Option<u64>,
}

/// A column of a result, reduced to the fields that the conversion needs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Field {
    pub(crate) name: String,
    #[serde(rename = "dataTypeID")]
    pub(crate) data_type: Type,
}

impl QueryResult {
    fn rows(self) -> Result<Rows, Error> {
        if self.rows.iter().any(|row| row.len() != self.fields.len()) {
            return Err(Error::Protocol(
                "a row has another number of values than there are fields".to_owned(),
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
    fn a_statement_is_encoded_with_its_parameters() {
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
    fn a_batch_is_encoded_as_a_list_of_statements() {
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

    /// A response of Neon's proxy in raw text and array mode.
    const RESPONSE: &str = r#"{"command":"SELECT","rowCount":2,"rows":[["1","one"],["2",null]],"rowAsArray":true,
        "fields":[
          {"name":"id","dataTypeID":20,"tableID":0,"columnID":0,"dataTypeSize":8,"dataTypeModifier":-1,"format":"text"},
          {"name":"word","dataTypeID":25,"tableID":0,"columnID":0,"dataTypeSize":-1,"dataTypeModifier":-1,"format":"text"}]}"#;

    #[test]
    fn a_response_becomes_typed_rows() {
        let rows = decode_query(RESPONSE.as_bytes()).unwrap();
        let words: Vec<(i64, Option<String>)> = rows
            .iter()
            .map(|row| Ok((row.get("id")?, row.get("word")?)))
            .collect::<Result<_, Error>>()
            .unwrap();
        assert_eq!(words, [(1, Some("one".to_owned())), (2, None)]);
        assert_eq!(rows.affected(), Some(2));
    }

    #[test]
    fn a_batch_response_is_a_list_of_results() {
        let body = format!(
            r#"{{"results":[{RESPONSE},{{"command":"CREATE","rowCount":null,"rows":[],"fields":[]}}]}}"#
        );
        let results = decode_batch(body.as_bytes()).unwrap();
        assert_eq!(results.iter().map(Rows::len).collect::<Vec<_>>(), [2, 0]);
        assert_eq!(results[1].affected(), None);
    }

    #[test]
    fn other_bodies_are_protocol_errors() {
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
