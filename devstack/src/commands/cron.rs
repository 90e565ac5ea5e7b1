//! `tirage-devstack cron`

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tirage_devstack::cron::{self, Settings};
use tirage_jobs::Secret;

use super::{Target, print_ready, runtime, stopped};
use crate::foreground::Foreground;

/// Call the application at a fixed interval; prints {"target":…} when it is ready. The environment
/// variable `JOB_SECRET` is required.
#[derive(Args)]
pub(crate) struct CronArguments {
    /// Address for the POSTs, such as http://127.0.0.1:3000/jobs/sweep
    #[arg(long)]
    target: Target,

    /// Interval between two calls; the first comes after one interval
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,

    /// Timeout of a call
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout_seconds: u64,
}

pub(crate) fn cron(arguments: CronArguments) -> anyhow::Result<()> {
    let foreground = Foreground::enter()?;
    let secret = std::env::var("JOB_SECRET").context("JOB_SECRET is not in the environment")?;
    let Target(target) = arguments.target;
    let settings = Settings {
        interval: Duration::from_secs(arguments.every),
        timeout: Duration::from_secs(arguments.timeout_seconds),
        secret: Secret::new(&secret)?,
        target,
    };
    print_ready(&serde_json::json!({ "target": settings.target.to_string() }))?;
    runtime()?.block_on(cron::run(&settings, stopped(foreground, "cron")));
    Ok(())
}
