//! `tirage-devstack cron`

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use http::Uri;
use tirage_devstack::cron::{self, Settings};

use super::{end_of, runtime, say_ready};
use crate::foreground::Foreground;

/// Call the application every so often; prints {"target":…} when it is ready. The environment has
/// to hold `JOB_SECRET`.
#[derive(Args)]
pub(crate) struct CronArguments {
    /// What is POSTed to, as in http://127.0.0.1:3000/jobs/sweep
    #[arg(long)]
    target: Uri,

    /// Seconds from one call to the next; the first comes after one period
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,

    /// How long the application may take for one answer
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout_seconds: u64,

    /// Go on when stdin closes
    #[arg(long)]
    detached_stdin: bool,
}

pub(crate) fn cron(arguments: CronArguments) -> anyhow::Result<()> {
    let foreground = Foreground::enter(arguments.detached_stdin)?;
    super::check_target(&arguments.target)?;
    let settings = Settings {
        every: Duration::from_secs(arguments.every),
        patience: Duration::from_secs(arguments.timeout_seconds),
        secret: std::env::var("JOB_SECRET").context("JOB_SECRET is not in the environment")?,
        target: arguments.target,
    };
    anyhow::ensure!(!settings.secret.is_empty(), "JOB_SECRET is empty");
    say_ready(&serde_json::json!({ "target": settings.target.to_string() }))?;
    runtime()?.block_on(cron::run(&settings, end_of(foreground, "cron")));
    Ok(())
}
