//! The router's log, on standard error: readable lines for a person, or one JSON object a line.
//! `RUST_LOG` filters it (<https://docs.rs/tracing-subscriber> `EnvFilter`), default `info`.

use std::io::{BufWriter, IsTerminal as _};

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Bytes of log that are written at once, at the most.
const BATCH: usize = 64 << 10;

/// How the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one object a line.
    Json,
}

/// Writes out what is left of the log when dropped.
#[must_use = "the log ends with it"]
pub(crate) struct Log(#[expect(dead_code, reason = "it is there to be dropped")] WorkerGuard);

/// Begins logging; ends when the returned value is dropped. Called once.
///
/// Lines are written by a thread of their own, many at a time: a request waits for no log. Where the
/// reader of the log is slower than what is logged, lines are lost rather than requests held up.
pub(crate) fn start(format: LogFormat) -> Log {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    let (writer, guard) =
        NonBlockingBuilder::default().finish(BufWriter::with_capacity(BATCH, std::io::stderr()));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    match format {
        LogFormat::Text => log
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Log(guard)
}
