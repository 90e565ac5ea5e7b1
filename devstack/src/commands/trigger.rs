//! `tirage-devstack trigger`

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use http::Uri;
use tirage_devstack::trigger::{self, Queue, Settings};
use tirage_sigv4::Credentials;

use super::{end_of, runtime, say_ready};
use crate::foreground::Foreground;

/// POST a queue's messages to the application; prints {"target":…} when it is ready. The
/// environment has to hold `SQS_SECRET_ACCESS_KEY`.
#[derive(Args)]
pub(crate) struct TriggerArguments {
    /// What is POSTed to, as in http://127.0.0.1:3000/jobs/photo
    #[arg(long)]
    target: Uri,

    /// The address of the queue's API
    #[arg(long, env = "QUEUE_ENDPOINT")]
    queue_endpoint: Uri,

    /// The queue's name
    #[arg(long, env = "QUEUE_NAME", default_value = "tirage-jobs")]
    queue_name: String,

    /// The region that requests to the queue are signed for
    #[arg(long, env = "S3_REGION", default_value = "fr-par")]
    region: String,

    /// The public half of the key that requests to the queue are signed with
    #[arg(long, env = "SQS_ACCESS_KEY_ID")]
    access_key_id: String,

    /// How long the application may take for one answer; 300 is what Scaleway's containers have by
    /// default
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout_seconds: u64,

    /// Go on when stdin closes
    #[arg(long)]
    detached_stdin: bool,
}

pub(crate) fn trigger(arguments: TriggerArguments) -> anyhow::Result<()> {
    let foreground = Foreground::enter(arguments.detached_stdin)?;
    super::check_target(&arguments.target)?;
    let secret = std::env::var("SQS_SECRET_ACCESS_KEY")
        .context("SQS_SECRET_ACCESS_KEY is not in the environment")?;
    let settings = Settings {
        queue: Queue {
            endpoint: arguments.queue_endpoint,
            region: arguments.region,
            name: arguments.queue_name,
            credentials: Credentials::new(arguments.access_key_id, secret),
        },
        patience: Duration::from_secs(arguments.timeout_seconds),
        target: arguments.target.clone(),
    };
    say_ready(&serde_json::json!({ "target": arguments.target.to_string() }))?;
    runtime()?.block_on(trigger::run(settings, end_of(foreground, "trigger")));
    Ok(())
}
