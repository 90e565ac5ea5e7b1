//! The table of results.

use std::collections::BTreeMap;

use anyhow::Result;
use indicatif::DecimalBytes;

use super::client::Uploaded;

/// The result of a file.
pub(super) struct Row {
    file: String,
    /// The error is the reason why the file couldn't be uploaded.
    pub(super) outcome: Result<Uploaded>,
}

impl Row {
    pub(super) fn new(file: &str, outcome: Result<Uploaded>) -> Self {
        Self {
            file: short(file),
            outcome,
        }
    }

    fn cells(&self) -> [String; COLUMNS] {
        let uploaded = match &self.outcome {
            Ok(uploaded) => uploaded,
            Err(error) => {
                let none = || "-".to_owned();
                let state = NOT_UPLOADED.to_owned();
                return [
                    self.file.clone(),
                    state,
                    none(),
                    none(),
                    none(),
                    format!("{error:#}"),
                ];
            }
        };
        [
            self.file.clone(),
            uploaded.state.clone(),
            format!("{:.2} s", uploaded.time.as_secs_f32()),
            uploaded.variants.to_string(),
            format!(
                "{} -> {}",
                DecimalBytes(uploaded.bytes),
                DecimalBytes(uploaded.variant_bytes)
            ),
            uploaded.note.clone().unwrap_or_default(),
        ]
    }
}

const NOT_UPLOADED: &str = "not uploaded";
const COLUMNS: usize = 6;
const HEAD: [&str; COLUMNS] = ["file", "state", "time", "variants", "bytes", ""];

/// Formats the rows as a table with a header and aligned columns.
pub(super) fn render(rows: &[Row]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| row.cells().map(|cell| plain(&cell))));
    let mut widths = [0; COLUMNS];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(widths);
        let padded: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Counts the files by state.
pub(super) fn summary(rows: &[Row]) -> String {
    let mut counts = BTreeMap::new();
    for row in rows {
        let state = row.outcome.as_ref().map(|uploaded| &*uploaded.state);
        *counts.entry(state.unwrap_or(NOT_UPLOADED)).or_insert(0) += 1;
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    counts.join(", ")
}

/// Longest name, in characters, that leaves room for the other columns.
const LONGEST: usize = 32;

/// Shortens a long file name in the middle, which keeps the extension visible.
pub(super) fn short(name: &str) -> String {
    let letters: Vec<_> = plain(name).chars().collect();
    if letters.len() <= LONGEST {
        return letters.into_iter().collect();
    }
    let (begin, end) = (LONGEST / 2, letters.len() - (LONGEST / 2 - 1));
    let text = |letters: &[char]| letters.iter().collect::<String>();
    format!("{}…{}", text(&letters[..begin]), text(&letters[end..]))
}

/// Replaces control characters, so that file names can't send commands to the terminal.
pub(super) fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::anyhow;

    use super::*;

    #[test]
    fn long_names_are_shortened_in_the_middle() {
        assert_eq!(short("beach\x07.jpg"), "beach\u{fffd}.jpg");
        let whole = "0123456789abcdef0123456789a.jpeg";
        assert_eq!(short(whole), whole);
        let long = short("0123456789ABCDEFGH0123456789ä.jpeg");
        assert_eq!(long, "0123456789ABCDEF…123456789ä.jpeg");
        assert_eq!(long.chars().count(), LONGEST);
    }

    #[test]
    fn columns_are_aligned() {
        let uploaded = |state: &str, variants, variant_bytes, note: Option<&str>| Uploaded {
            state: state.to_owned(),
            time: Duration::from_millis(1234),
            variants,
            bytes: 5_250_000,
            variant_bytes,
            note: note.map(str::to_owned),
        };
        let rows = [
            Row::new("Käse\x1b[2J.jpg", Ok(uploaded("ready", 4, 310_000, None))),
            Row::new("b.txt", Ok(uploaded("failed", 0, 0, Some("Not an image")))),
            Row::new("c.jpg", Err(anyhow!("refused").context("cannot be put"))),
        ];
        let expected = "\
file          state         time    variants  bytes
Käse\u{fffd}[2J.jpg  ready         1.23 s  4         5.25 MB -> 310.00 kB
b.txt         failed        1.23 s  0         5.25 MB -> 0 B        Not an image
c.jpg         not uploaded  -       -         -                     cannot be put: refused
";
        assert_eq!(render(&rows), expected);
        assert_eq!(summary(&rows), "1 failed, 1 not uploaded, 1 ready");
    }
}
