//! The router's log, on standard error: readable lines for a person, or one JSON object a line.
//! `RUST_LOG` filters it (<https://docs.rs/tracing-subscriber> `EnvFilter`), default `info`.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// How the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one object a line.
    Json,
}

/// Begins logging. Called once.
pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
