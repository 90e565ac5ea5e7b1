//! The subcommands that run in an async runtime, a file each.

mod cron;
mod queue;
mod s3;
mod trigger;

pub(crate) use self::cron::{CronArguments, cron};
pub(crate) use self::queue::{QueueArguments, queue};
pub(crate) use self::s3::{S3Arguments, s3};
pub(crate) use self::trigger::{TriggerArguments, trigger};

use std::io::Write;

use anyhow::Context;
use http::Uri;
use tokio::runtime::Runtime;

use crate::foreground::Foreground;

/// Tells whoever started us that the part is ready.
fn say_ready(line: &serde_json::Value) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("nobody reads our stdout")
}

fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the async runtime")
}

/// A target is a whole address, or nothing could be sent to it.
fn check_target(target: &Uri) -> anyhow::Result<()> {
    let whole = matches!(target.scheme_str(), Some("http" | "https")) && target.host().is_some();
    anyhow::ensure!(
        whole,
        "--target must be an address, as in http://127.0.0.1:3000/jobs/photo"
    );
    Ok(())
}

/// Ready when the part has to end.
async fn end_of(foreground: Foreground, part: &str) {
    let reason = foreground.end().await;
    tracing::info!("stopping the {part}: {reason}");
}
