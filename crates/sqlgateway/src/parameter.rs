//! A JSON parameter as the text that Postgres reads.
//!
//! null is NULL; a string is itself; a number, a boolean and an object are their JSON; an array is
//! a Postgres array literal (<https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>), so
//! that `[1,2]` suits an `int[]`. An array meant for a `jsonb` column must be sent as a string.
//!
//! As with Neon, with two differences: numbers keep every digit that was sent, and control
//! characters in an array's strings arrive as they are (Neon turns a line feed into an `n`).

use serde_json::value::RawValue;

/// The parameter's text, or nothing for NULL.
///
/// # Errors
/// A string that JSON allows and UTF-8 doesn't: half of a surrogate pair.
pub(crate) fn to_text(value: &RawValue) -> serde_json::Result<Option<String>> {
    let json = value.get();
    Ok(match json.as_bytes().first() {
        Some(b'n') => None,
        Some(b'"') => Some(serde_json::from_str(json)?),
        Some(b'[') => Some(array_literal(json)?),
        _ => Some(json.to_owned()),
    })
}

/// One pass over JSON that is known to be valid, without recursion: however deep arrays nest, this
/// takes no stack. Postgres allows six dimensions and says so itself.
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
            '"' => {
                let length = string_length(rest);
                let text: String = serde_json::from_str(head(rest, length))?;
                push_quoted(&mut literal, &text);
                length
            }
            '{' => {
                let length = object_length(rest);
                push_quoted(&mut literal, head(rest, length));
                length
            }
            ' ' | '\t' | '\r' | '\n' => 1,
            _ => {
                let length = rest
                    .find([',', ']', ' ', '\t', '\r', '\n'])
                    .unwrap_or(rest.len());
                literal.push_str(match head(rest, length) {
                    "null" => "NULL",
                    other => other,
                });
                length
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(literal)
}

fn head(text: &str, length: usize) -> &str {
    text.get(..length).unwrap_or(text)
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

/// The length of the string that the text begins with, with both quotes.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the object that the text begins with.
fn object_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut index = 0;
    while let Some(byte) = text.as_bytes().get(index) {
        match byte {
            b'"' => {
                index += text.get(index..).map_or(1, string_length);
                continue;
            }
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return index + 1;
                }
            }
            _ => {}
        }
        index += 1;
    }
    text.len()
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
    fn depth_takes_no_stack() {
        let depth = 1_000_000;
        let json = "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(array_literal(&json).unwrap().len(), 2 * depth);
        let json = "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
        assert_eq!(object_length(&json), json.len());
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        assert!(to_text(serde_json::from_str(r#""\ud800""#).unwrap()).is_err());
        assert!(to_text(serde_json::from_str(r#"["\ud800"]"#).unwrap()).is_err());
    }
}
