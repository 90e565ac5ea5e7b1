//! One-dimensional arrays in text, as Postgres writes and reads them
//! (<https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>).

/// Writes an array of elements in text form. `None` is NULL.
pub(crate) fn write(elements: impl Iterator<Item = Option<String>>) -> String {
    let mut text = String::from("{");
    for (index, element) in elements.enumerate() {
        if index > 0 {
            text.push(',');
        }
        match element {
            None => text.push_str("NULL"),
            Some(element) => write_quoted(&mut text, &element),
        }
    }
    text.push('}');
    text
}

/// Writes an element in quotes. Quoting every element avoids special cases such as the word NULL.
fn write_quoted(text: &mut String, element: &str) {
    text.push('"');
    for character in element.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
}

/// Reads the elements of an array. Returns `None` if the text is not a one-dimensional array.
pub(crate) fn read(text: &str) -> Option<Vec<Option<String>>> {
    let inner = without_bounds(text).strip_prefix('{')?.strip_suffix('}')?;
    let mut elements = Vec::new();
    let mut rest = inner;
    while !rest.is_empty() {
        let (element, after) = match rest.strip_prefix('"') {
            Some(quoted) => read_quoted(quoted).map(|(element, after)| (Some(element), after))?,
            None => read_bare(rest)?,
        };
        elements.push(element);
        rest = match after.strip_prefix(',') {
            Some("") => return None,
            Some(next) => next,
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(elements)
}

/// Removes the bounds that Postgres writes if subscripts don't begin at 1: `[0:1]={a,b}`.
fn without_bounds(text: &str) -> &str {
    match text.split_once("]={") {
        Some((bounds, _)) if text.starts_with('[') => &text[bounds.len() + 2..],
        _ => text,
    }
}

/// Splits at the closing quote: returns the element, and the text after it.
fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut element = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((element, &text[index + 1..])),
            '\\' => element.push(characters.next()?.1),
            other => element.push(other),
        }
    }
    None
}

fn read_bare(text: &str) -> Option<(Option<String>, &str)> {
    let (element, after) = text.split_at(text.find(',').unwrap_or(text.len()));
    match element {
        "NULL" => Some((None, after)),
        "" => None,
        nested if nested.contains(['{', '}', '"', '\\']) => None,
        element => Some((Some(element.to_owned()), after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(texts: &[&str]) -> Vec<Option<String>> {
        texts.iter().map(|&text| Some(text.to_owned())).collect()
    }

    #[test]
    fn written_arrays_are_read_back() {
        let mut elements = some(&[
            "", "NULL", "null", "a b", r#"a"b\c"#, "{}", "a,b", "é\n", " x ",
        ]);
        elements.push(None);
        assert_eq!(read(&write(elements.iter().cloned())), Some(elements));
    }

    #[test]
    fn reads_arrays_as_postgres_writes_them() {
        assert_eq!(read("{}"), Some(vec![]));
        assert_eq!(read("{1,2,3}"), Some(some(&["1", "2", "3"])));
        assert_eq!(read(r#"{a,NULL,"NULL","",b c}"#).unwrap()[1], None);
        assert_eq!(read(r#"[0:1]={"]={",b}"#), Some(some(&["]={", "b"])));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "{",
            "}",
            "1,2",
            "{1,}",
            "{,1}",
            "{{1},{2}}",
            r#"{"a}"#,
            r#"{"a"b}"#,
            r#"{"a\"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
