//! What kind of statement a text is, judged by its first word.
//!
//! Functions and triggers can do what the text does not say, so no cleaning of a session depends on it but
//! the question whether there are prepared statements to forget.

/// Whether the statement may begin or end a transaction, judged by its first word.
pub(crate) fn controls_transactions(statement: &str) -> bool {
    begins_with_one_of(
        statement,
        &[
            "begin", "start", "commit", "end", "rollback", "abort", "prepare",
        ],
    )
}

/// Whether the statement can make no prepared statements, unless by way of a function that somebody
/// wrote for that.
pub(crate) fn only_reads_or_writes_rows(statement: &str) -> bool {
    begins_with_one_of(
        statement,
        &[
            "select", "insert", "update", "delete", "merge", "with", "values", "table",
        ],
    )
}

/// Whether the statement only reads rows, unless a function in it does more.
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
    fn statements_that_control_transactions_are_told_by_their_first_word() {
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
