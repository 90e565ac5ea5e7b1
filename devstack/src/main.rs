//! `tirage-devstack`: the services of the development stack, each a process in the foreground.
//!
//! All subcommands behave alike: one line of JSON on stdout when the service is ready, the log on
//! stderr, and a graceful shutdown on SIGINT, on SIGTERM, and when stdin is closed, so that no service
//! outlives the program that started it.

mod commands;
mod foreground;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Services that replace the cloud on a laptop.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    service: Service,
}

#[derive(Subcommand)]
enum Service {
    Postgres(commands::PostgresArguments),
    S3(commands::S3Arguments),
    Queue(commands::QueueArguments),
    Trigger(commands::TriggerArguments),
    Cron(commands::CronArguments),
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        // The reader of stderr may have exited, and reporting that would panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter())
        .init();
    let result = match Arguments::parse().service {
        Service::Postgres(arguments) => commands::postgres(arguments),
        Service::S3(arguments) => commands::s3(arguments),
        Service::Queue(arguments) => commands::queue(arguments),
        Service::Trigger(arguments) => commands::trigger(arguments),
        Service::Cron(arguments) => commands::cron(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // One line, even with RUST_BACKTRACE: these errors are about the machine, not the code.
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
    // s3s logs each 404 as an error, and signatures at finer levels.
    match "s3s=off".parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    }
}
