//! `tirage-devstack trigger`

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use http::Uri;
use tirage_devstack::trigger::{self, Queue, Settings};
use tirage_sigv4::Credentials;

use super::{Target, print_ready, runtime, stopped};
use crate::foreground::Foreground;

/// POST a queue's messages to the application; prints {"target":…} when it is ready. The
/// environment variable `SQS_SECRET_ACCESS_KEY` is required.
#[derive(Args)]
pub(crate) struct TriggerArguments {
    /// Address for the POSTs, such as http://127.0.0.1:3000/jobs/photo
    #[arg(long)]
    target: Target,

    /// Address of the queue's API
    #[arg(long, env = "QUEUE_ENDPOINT")]
    queue_endpoint: Uri,

    /// Name of the queue
    #[arg(long, env = "QUEUE_NAME", default_value = "tirage-jobs")]
    queue_name: String,

    /// Region that requests to the queue are signed for
    #[arg(long, env = "S3_REGION", default_value = "fr-par")]
    region: String,

    /// Access key id that requests to the queue are signed with
    #[arg(long, env = "SQS_ACCESS_KEY_ID")]
    access_key_id: String,

    /// Timeout of a POST; 300 is the default of Scaleway's containers
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout_seconds: u64,
}

pub(crate) fn trigger(arguments: TriggerArguments) -> anyhow::Result<()> {
    let foreground = Foreground::enter()?;
    let secret = std::env::var("SQS_SECRET_ACCESS_KEY")
        .context("SQS_SECRET_ACCESS_KEY is not in the environment")?;
    let Target(target) = arguments.target;
    let settings = Settings {
        queue: Queue {
            endpoint: arguments.queue_endpoint,
            region: arguments.region,
            name: arguments.queue_name,
            credentials: Credentials::new(arguments.access_key_id, secret),
        },
        timeout: Duration::from_secs(arguments.timeout_seconds),
        target: target.clone(),
    };
    print_ready(&serde_json::json!({ "target": target.to_string() }))?;
    runtime()?.block_on(trigger::run(settings, stopped(foreground, "trigger")));
    Ok(())
}
