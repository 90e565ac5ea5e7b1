//! The router's log, on standard error: readable lines for a person, or one JSON object a line.
//! `RUST_LOG` filters it (<https://docs.rs/tracing-subscriber> `EnvFilter`), default `info`.

use std::io::{IsTerminal as _, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::access_log::AccessLog;

/// How long a line waits at the most before it is written.
const WRITE_INTERVAL: Duration = Duration::from_millis(20);
/// Bytes that may wait; beyond, whoever logs writes them out.
const MAX_WAITING: usize = 256 << 10;

/// How the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one object a line.
    Json,
}

/// Begins logging; what is left is written when the returned value is dropped. Called once.
///
/// # Errors
/// When the system gives us no thread.
pub(crate) fn start(format: LogFormat) -> std::io::Result<Log> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    let lines = Lines::default();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(lines.clone());
    match format {
        LogFormat::Text => log
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    std::thread::Builder::new().name("log".into()).spawn({
        let lines = lines.clone();
        move || loop {
            std::thread::sleep(WRITE_INTERVAL);
            lines.write_out();
        }
    })?;
    Ok(Log { lines, format })
}

/// The log while it lasts.
#[must_use = "what is left of the log is written when this is dropped"]
pub(crate) struct Log {
    lines: Lines,
    format: LogFormat,
}

impl Log {
    /// The part of the log that has a line for each request.
    pub(crate) fn access_log(&self) -> AccessLog {
        AccessLog {
            lines: self.lines.clone(),
            format: self.format,
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines.write_out();
    }
}

/// Lines that wait to be written. Requests only add to them: neither a system call nor the wake of
/// another thread stands in a request's way.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Adds whole lines.
    pub(crate) fn add(&self, lines: &[u8]) {
        let mut waiting = self.waiting();
        waiting.extend_from_slice(lines);
        let is_full = waiting.len() >= MAX_WAITING;
        drop(waiting);
        if is_full {
            self.write_out();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_out(&self) {
        let lines = std::mem::take(&mut *self.waiting());
        if !lines.is_empty() {
            // Where the log can't be written, there is nobody to tell.
            let _ = std::io::stderr().write_all(&lines);
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
