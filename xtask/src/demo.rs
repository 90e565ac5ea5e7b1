//! `cargo xtask demo`: the files of a folder through the running application, and what became of each.
//!
//! They go the way of any client's: announced, put straight into storage, completed, and asked for until
//! they are done. That one has failed for a reason (it is no photo, it is too large) is a result like
//! others; that one could not be uploaded at all makes the command fail.

mod client;
mod table;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::progress;
use client::Client;
use table::Row;

/// How many files are on their way at the same time.
const AT_ONCE: usize = 4;

/// The flags of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Whose files to upload; hidden ones and folders in it are left out
    folder: PathBuf,
    /// Where the application is
    #[arg(long, default_value = "http://127.0.0.1:3000")]
    url: String,
}

/// Uploads the files and prints a table of what became of them.
///
/// # Errors
/// When there are no files, nothing answers, or a file could not be uploaded.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let files = files(&arguments.folder)?;
    let client = Client::connect(&arguments.url)?;
    let began = Instant::now();
    let rows = upload(&client, &files)?;
    std::io::stdout().write_all(table::render(&rows).as_bytes())?;
    progress::status(
        "Done",
        format!(
            "{} after {:.1} s",
            table::summary(&rows),
            began.elapsed().as_secs_f32()
        ),
    );
    let failures = rows.iter().filter(|row| row.outcome.is_err()).count();
    if failures > 0 {
        bail!("{failures} of {} files could not be uploaded", rows.len());
    }
    Ok(())
}

/// The files of a folder by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let cannot_read = || format!("cannot read the folder {}", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot_read)? {
        let entry = entry.with_context(cannot_read)?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // A link counts as what it leads to.
        if !is_hidden && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    if files.is_empty() {
        bail!(
            "{} has no files (hidden ones don't count, nor do folders in it)",
            folder.display()
        );
    }
    files.sort();
    Ok(files)
}

/// A few at a time; the rows are in the order of the files.
fn upload(client: &Client, files: &[PathBuf]) -> Result<Vec<Row>> {
    let bars = Bars::new(files.len())?;
    let next = AtomicUsize::new(0);
    let upload_some = || {
        let mut rows = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(index) else {
                return rows;
            };
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let bar = bars.begin(&name);
            let outcome = client.upload(file, &bar);
            bars.end(&bar);
            rows.push((index, Row::new(&name, outcome)));
        }
    };
    let mut rows: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(upload_some)).collect();
        let done = threads.into_iter().map(thread::ScopedJoinHandle::join);
        done.flat_map(|rows| rows.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    rows.sort_by_key(|(index, _)| *index);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// A bar for each file on its way, and one for all. Nothing is shown where stderr is no terminal.
struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    style: ProgressStyle,
}

impl Bars {
    fn new(files: usize) -> Result<Self> {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new(files as u64));
        total.set_style(ProgressStyle::with_template(
            "{bar:24} {pos} of {len} files",
        )?);
        // Else it is drawn when the first file is done.
        total.tick();
        Ok(Self {
            all,
            total,
            // As wide as the longest message, so that names stand below each other.
            style: ProgressStyle::with_template("{bar:24} {msg:13} {prefix}")?,
        })
    }

    fn begin(&self, name: &str) -> ProgressBar {
        // Of an unknown length, which is set later: none would be shown as reached.
        let bar = ProgressBar::new(1).with_style(self.style.clone());
        let bar = self.all.insert_before(&self.total, bar);
        bar.set_prefix(table::short(name));
        bar
    }

    fn end(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        self.total.inc(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_those_of_the_folder_itself() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("more")).unwrap();
        fs::write(at("more/c.jpg"), "c").unwrap();
        fs::write(at(".hidden"), "h").unwrap();
        let error = files(folder.path()).unwrap_err().to_string();
        assert!(error.contains("has no files"), "{error}");
        for name in ["b.jpg", "a.png"] {
            fs::write(at(name), "x").unwrap();
        }
        assert_eq!(files(folder.path()).unwrap(), [at("a.png"), at("b.jpg")]);
        let error = files(&at("nowhere")).unwrap_err().to_string();
        assert!(error.contains("nowhere"), "{error}");
    }
}
