//! `cargo xtask demo`: uploads the files of a folder to the running application and prints the results.
//!
//! It is an ordinary client: it announces each file, uploads it to storage, completes it, and polls until
//! it is processed. A file that fails processing (it is no photo, it is too large) is a result like
//! others; one that can't be uploaded makes the command fail.

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

/// Number of parallel uploads.
const PARALLEL_UPLOADS: usize = 4;

/// The flags of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder with the files to upload, without hidden files and subfolders
    folder: PathBuf,
    /// The application's URL
    #[arg(long, default_value = "http://127.0.0.1:3000")]
    url: String,
}

/// Uploads the files and prints a table of the results.
///
/// # Errors
/// When there are no files, the application can't be reached, or a file couldn't be uploaded.
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

/// Returns the files of a folder, sorted by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let cannot_read = || format!("cannot read the folder {}", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot_read)? {
        let entry = entry.with_context(cannot_read)?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // `is_file` follows links.
        if !is_hidden && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    if files.is_empty() {
        bail!(
            "{} has no files (hidden files and subfolders don't count)",
            folder.display()
        );
    }
    files.sort();
    Ok(files)
}

/// Uploads the files in parallel. The rows are in the order of the files.
fn upload(client: &Client, files: &[PathBuf]) -> Result<Vec<Row>> {
    let bars = Bars::new(files.len())?;
    let next = AtomicUsize::new(0);
    let upload_next_files = || {
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
        let threads: Vec<_> = (0..PARALLEL_UPLOADS)
            .map(|_| scope.spawn(upload_next_files))
            .collect();
        let done = threads.into_iter().map(thread::ScopedJoinHandle::join);
        done.flat_map(|rows| rows.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    rows.sort_by_key(|(index, _)| *index);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// A progress bar for each upload, and one for all files. Hidden if stderr is no terminal.
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
        // Without this, the bar is drawn only after the first file.
        total.tick();
        Ok(Self {
            all,
            total,
            // As wide as the longest message, so that names are aligned.
            style: ProgressStyle::with_template("{bar:24} {msg:13} {prefix}")?,
        })
    }

    fn begin(&self, name: &str) -> ProgressBar {
        // The length is unknown yet; 0 would show a full bar.
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
    fn hidden_files_and_subfolders_are_skipped() {
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
