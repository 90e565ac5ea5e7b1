//! Converts a JSON parameter to the text that Postgres reads.
//!
//! null becomes NULL, a string stays as it is, a number, a boolean and an object become their JSON, and
//! an array becomes a Postgres array literal (<https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>), so
//! that `[1,2]` is a valid `int[]`. An array for a `jsonb` column must be sent as a string.
//!
//! As with Neon, with two differences: numbers keep every digit that was sent, and control
//! characters in an array's strings arrive as they are (Neon turns a line feed into an `n`).

use serde_json::Deserializer;
use serde_json::value::RawValue;

/// Returns the parameter's text, or `None` for NULL.
///
/// # Errors
/// For an unpaired surrogate, which JSON allows and UTF-8 doesn't.
pub(crate) fn to_text(value: &RawValue) -> serde_json::Result<Option<String>> {
    let json = value.get();
    Ok(match json.as_bytes().first() {
        Some(b'n') => None,
        Some(b'"') => Some(serde_json::from_str(json)?),
        Some(b'[') => Some(array_literal(json)?),
        _ => Some(json.to_owned()),
    })
}

/// Converts a valid JSON array without recursion, so deep nesting can't overflow the stack. Postgres
/// itself refuses more than six dimensions.
fn array_literal(json: &str) -> serde_json::Result<String> {
    let mut literal = String::with_capacity(json.len() + 8);
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '[' | ']' | ',' => {
                literal.push(match first {
                    '[' => '{',
                    ']' => '}',
                    other => other,
                });
                1
            }
            ' ' | '\t' | '\r' | '\n' => 1,
            _ => {
                let mut values = Deserializer::from_str(rest).into_iter::<&RawValue>();
                match values.next().transpose()?.map_or("", RawValue::get) {
                    "null" => literal.push_str("NULL"),
                    string if first == '"' => {
                        push_quoted(&mut literal, &serde_json::from_str::<String>(string)?);
                    }
                    object if first == '{' => push_quoted(&mut literal, object),
                    other => literal.push_str(other),
                }
                values.byte_offset()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(literal)
}

fn push_quoted(literal: &mut String, text: &str) {
    literal.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            literal.push('\\');
        }
        literal.push(character);
    }
    literal.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> Option<String> {
        to_text(serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn scalars() {
        assert_eq!(text("null"), None);
        for (json, expected) in [
            ("true", "true"),
            ("42", "42"),
            ("-1.50", "-1.50"),
            (
                "123456789012345678901234567890.1",
                "123456789012345678901234567890.1",
            ),
            (r#""a \"b\"\nü""#, "a \"b\"\nü"),
            (r#"{"b": 1, "a": [2]}"#, r#"{"b": 1, "a": [2]}"#),
        ] {
            assert_eq!(text(json).as_deref(), Some(expected));
        }
    }

    #[test]
    fn arrays() {
        for (json, expected) in [
            ("[]", "{}"),
            ("[ 1, 2.50 ,null , true]", "{1,2.50,NULL,true}"),
            (
                r#"["NULL", "", "a,b", "{x}"]"#,
                r#"{"NULL","","a,b","{x}"}"#,
            ),
            (
                r#"["q\"b\\", "line\nfeed"]"#,
                "{\"q\\\"b\\\\\",\"line\nfeed\"}",
            ),
            ("[[1,2],[3,null]]", "{{1,2},{3,NULL}}"),
            (
                r#"[{"foo":1},{"b":"}\""}]"#,
                r#"{"{\"foo\":1}","{\"b\":\"}\\\"\"}"}"#,
            ),
            (r#"[{"a":{"b":{}}},1]"#, r#"{"{\"a\":{\"b\":{}}}",1}"#),
        ] {
            assert_eq!(text(json).as_deref(), Some(expected), "{json}");
        }
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let depth = 1_000_000;
        let json = "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(array_literal(&json).unwrap().len(), 2 * depth);
        let json = "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
        let literal = array_literal(&format!("[{json}]")).unwrap();
        assert_eq!(literal.len(), json.len() + 2 * depth + 4);
    }

    #[test]
    fn an_unpaired_surrogate_is_refused() {
        assert!(to_text(serde_json::from_str(r#""\ud800""#).unwrap()).is_err());
        assert!(to_text(serde_json::from_str(r#"["\ud800"]"#).unwrap()).is_err());
    }
}
