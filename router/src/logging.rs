//! The log, on standard error: readable lines, or one JSON object per line.
//! `RUST_LOG` filters it (<https://docs.rs/tracing-subscriber> `EnvFilter`), default `info`.

use std::io::{IsTerminal as _, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::access_log::AccessLog;

/// Longest time that a line is buffered.
const WRITE_INTERVAL: Duration = Duration::from_millis(20);
/// Upper bound on buffered bytes. The thread that exceeds it writes the buffer out.
const MAX_BUFFERED: usize = 256 << 10;

/// Format of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Readable lines.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts the log. Dropping the returned value writes what is buffered. Call it once.
///
/// # Errors
/// When the system refuses to start a thread.
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

/// Guard of the log.
#[must_use = "dropping it writes what is buffered"]
pub(crate) struct Log {
    lines: Lines,
    format: LogFormat,
}

impl Log {
    /// Returns the access log.
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

/// Buffered lines. A request only appends to them, without a system call and without waking a thread.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Appends whole lines.
    pub(crate) fn add(&self, lines: &[u8]) {
        let mut buffer = self.buffer();
        buffer.extend_from_slice(lines);
        let is_full = buffer.len() >= MAX_BUFFERED;
        drop(buffer);
        if is_full {
            self.write_out();
        }
    }

    fn buffer(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_out(&self) {
        let lines = std::mem::take(&mut *self.buffer());
        if !lines.is_empty() {
            // An error of the log has nowhere to go.
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
