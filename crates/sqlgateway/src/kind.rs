//! Classifies statements by their first word.
//!
//! Functions and triggers can do more than the text shows, so the cleaning of a session depends on it
//! only for prepared statements.

/// `true` if the statement may begin or end a transaction.
pub(crate) fn controls_transactions(statement: &str) -> bool {
    begins_with_one_of(
        statement,
        &[
            "begin", "start", "commit", "end", "rollback", "abort", "prepare",
        ],
    )
}

/// `true` if the statement is a query: it reads or writes rows, may run in a transaction block, and
/// prepares no statements unless a function does.
pub(crate) fn reads_or_writes_rows(statement: &str) -> bool {
    begins_with_one_of(
        statement,
        &[
            "select", "insert", "update", "delete", "merge", "with", "values", "table",
        ],
    )
}

/// `true` if the statement only reads rows, unless a function in it writes.
pub(crate) fn only_reads_rows(statement: &str) -> bool {
    begins_with_one_of(statement, &["select", "values", "table"])
}

fn begins_with_one_of(statement: &str, words: &[&str]) -> bool {
    let text = skip_blanks(statement);
    let end = text.find(|character: char| !character.is_ascii_alphabetic());
    let first = end.map_or(text, |end| text.get(..end).unwrap_or_default());
    words.iter().any(|word| first.eq_ignore_ascii_case(word))
}

/// Skips white space, comments (which nest) and empty statements.
fn skip_blanks(statement: &str) -> &str {
    let mut rest = statement;
    loop {
        rest = rest
            .trim_start_matches(|character: char| character.is_whitespace() || character == ';');
        rest = if let Some(comment) = rest.strip_prefix("--") {
            comment
                .find(['\n', '\r'])
                .map_or("", |end| comment.get(end..).unwrap_or_default())
        } else if rest.starts_with("/*") {
            after_comment(rest)
        } else {
            return rest;
        };
    }
}

fn after_comment(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut rest = text;
    loop {
        if let Some(inside) = rest.strip_prefix("/*") {
            depth += 1;
            rest = inside;
        } else if let Some(outside) = rest.strip_prefix("*/") {
            depth -= 1;
            rest = outside;
            if depth == 0 {
                return rest;
            }
        } else {
            let mut characters = rest.chars();
            if characters.next().is_none() {
                return rest;
            }
            rest = characters.as_str();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_control_is_recognized_by_the_first_word() {
        for statement in [
            "commit",
            " ROLLBACK to savepoint a",
            "-- why\n;End",
            "/* a /* b */ c */ begin;",
            "start transaction",
            "\u{feff}\n; prepare transaction 'a'".trim_start_matches('\u{feff}'),
        ] {
            assert!(controls_transactions(statement), "{statement}");
        }
        for statement in [
            "",
            "--commit",
            "/* commit",
            "select 'commit'",
            "committed",
            "insert into t values (1)",
        ] {
            assert!(!controls_transactions(statement), "{statement}");
        }
    }
}
