//! The subcommands, and what they share.

mod cron;
mod postgres;
mod queue;
mod s3;
mod trigger;

pub(crate) use self::cron::{CronArguments, cron};
pub(crate) use self::postgres::{PostgresArguments, postgres};
pub(crate) use self::queue::{QueueArguments, queue};
pub(crate) use self::s3::{S3Arguments, s3};
pub(crate) use self::trigger::{TriggerArguments, trigger};

use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use clap::Args;
use http::Uri;
use tokio::runtime::Runtime;

use crate::foreground::Foreground;

/// Arguments of services that have data and a port.
#[derive(Args)]
pub(crate) struct ServiceArguments {
    /// Data folder, created if absent
    #[arg(long, required_unless_present = "temporary")]
    data: Option<PathBuf>,

    /// Use a new data folder and remove it at the end
    #[arg(long, conflicts_with = "data")]
    temporary: bool,

    /// Port on 127.0.0.1 [default: that of the last run, or a free one]
    #[arg(long)]
    port: Option<u16>,
}

/// An absolute HTTP address.
#[derive(Clone)]
pub(crate) struct Target(Uri);

impl FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .ok()
            .filter(|uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")))
            .filter(|uri| uri.host().is_some())
            .map(Self)
            .ok_or("expected an address such as http://127.0.0.1:3000/jobs/photo")
    }
}

/// Prints the line that tells the parent process that the service is ready.
fn print_ready(line: &serde_json::Value) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("cannot write to stdout")
}

fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the async runtime")
}

/// Waits until the service has to stop.
async fn stopped(foreground: Foreground, service: &str) {
    let reason = foreground.stopped().await;
    tracing::info!("stopping the {service}: {reason}");
}
