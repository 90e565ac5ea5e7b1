//! Converts a Postgres array from text to JSON.
//!
//! In text (<https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>), an array is braces
//! around items, nested once per dimension. An item is quoted if necessary, with backslash escapes; an
//! unquoted `NULL` is null. Bounds (`[2:3]={...}`) are dropped, because JSON can't express them. One
//! pass, no recursion.

use crate::result::{Malformed, write_scalar};
use crate::types::Scalar;

/// Appends the array to the JSON.
///
/// # Errors
/// [`Malformed`]; the JSON is invalid then.
pub(crate) fn write_array(
    json: &mut Vec<u8>,
    text: &str,
    delimiter: u8,
    element: Scalar,
) -> Result<(), Malformed> {
    let mut rest = match text.strip_prefix('[') {
        Some(bounds) => bounds.split_once('=').ok_or(Malformed)?.1,
        None => text,
    };
    let mut depth = 0_usize;
    let mut item = String::new();
    loop {
        rest = rest.trim_start();
        let first = *rest.as_bytes().first().ok_or(Malformed)?;
        let length = match first {
            b'{' => {
                depth += 1;
                json.push(b'[');
                1
            }
            b'}' => {
                depth = depth.checked_sub(1).ok_or(Malformed)?;
                json.push(b']');
                if depth == 0 {
                    return if rest.len() == 1 {
                        Ok(())
                    } else {
                        Err(Malformed)
                    };
                }
                1
            }
            _ if depth == 0 => return Err(Malformed),
            _ if first == delimiter => {
                json.push(b',');
                1
            }
            b'"' => {
                let length = unquote(rest, &mut item).ok_or(Malformed)?;
                write_scalar(json, &item, element)?;
                length
            }
            _ => {
                let length = rest
                    .bytes()
                    .position(|byte| byte == delimiter || byte == b'}')
                    .ok_or(Malformed)?;
                match rest.get(..length).unwrap_or_default().trim_end() {
                    "NULL" => json.extend_from_slice(b"null"),
                    value => write_scalar(json, value, element)?,
                }
                length
            }
        };
        // Each length ends at an ASCII character or after one.
        rest = rest.get(length..).ok_or(Malformed)?;
    }
}

/// Reads the quoted item at the start of the text into `item`. Returns its length in the text,
/// including both quotes.
fn unquote(text: &str, item: &mut String) -> Option<usize> {
    item.clear();
    let mut characters = text.char_indices().skip(1);
    loop {
        match characters.next()? {
            (index, '"') => return Some(index + 1),
            (_, '\\') => item.push(characters.next()?.1),
            (_, other) => item.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str, element: Scalar) -> Option<String> {
        let mut json = Vec::new();
        write_array(&mut json, text, b',', element).ok()?;
        Some(String::from_utf8(json).unwrap())
    }

    #[test]
    fn text_items() {
        for (text, expected) in [
            ("{}", "[]"),
            ("{{},{}}", "[[],[]]"),
            (
                r#"{"aa\"\\\,a",cha,"bbbb"}"#,
                r#"["aa\"\\,a","cha","bbbb"]"#,
            ),
            (
                r#"{{{"foo",NULL,"NULL","",bup}}}"#,
                r#"[[["foo",null,"NULL","","bup"]]]"#,
            ),
            ("{ü, é ,\"{}\"}", r#"["ü","é","{}"]"#),
            ("[1:1][-2:-1]={{x,y}}", r#"[["x","y"]]"#),
        ] {
            assert_eq!(
                json(text, Scalar::Text).as_deref(),
                Some(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn typed_items() {
        for (text, element, expected) in [
            ("{t,f,NULL}", Scalar::Bool, "[true,false,null]"),
            (
                "[1:1][-2:-1][3:5]={{{1,2,3},{4,5,6}}}",
                Scalar::Integer,
                "[[[1,2,3],[4,5,6]]]",
            ),
            (
                "{1,1.5,NaN,-Infinity}",
                Scalar::Float,
                r#"[1.0,1.5,"NaN","-Infinity"]"#,
            ),
            (
                r#"{"{\"foo\": 1}",null,"[]"}"#,
                Scalar::Json,
                r#"[{"foo": 1},null,[]]"#,
            ),
        ] {
            assert_eq!(json(text, element).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn the_delimiter_of_boxes_is_a_semicolon() {
        let mut json = Vec::new();
        write_array(&mut json, "{(1,1),(0,0);(2,2),(1,1)}", b';', Scalar::Text).unwrap();
        assert_eq!(json, br#"["(1,1),(0,0)","(2,2),(1,1)"]"#);
    }

    #[test]
    fn malformed_arrays_are_refused() {
        for text in [
            "", "1", "{", "{1", "{1}}", "{1}x", "}", "{\"a}", "{\"a\\", "[1:1]", "[=", ",",
        ] {
            assert_eq!(json(text, Scalar::Text), None, "{text}");
        }
        assert_eq!(json("{x}", Scalar::Integer), None);
    }
}
