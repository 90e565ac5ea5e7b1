//! `tirage-devstack queue`

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use tirage_devstack::queue::{QueueName, REGION, Server, Settings};

use super::{end_of, runtime, say_ready};
use crate::foreground::Foreground;

/// Run a queue with the API of SQS, as far as Scaleway has it; prints
/// {"endpoint":…,"queue_url":…,…} when it is ready.
#[derive(Args)]
pub(crate) struct QueueArguments {
    /// The folder of messages and keys, made if it isn't there
    #[arg(long, required_unless_present = "temporary")]
    data: Option<PathBuf>,

    /// Have a new queue, which goes away with this process
    #[arg(long, conflicts_with = "data")]
    temporary: bool,

    /// The port on 127.0.0.1 [default: that of the last run, or a free one]
    #[arg(long)]
    port: Option<u16>,

    /// The queue that is there from the start; its dead-letter queue is called <name>-dead.
    /// With .fifo at the end it keeps messages in order, and the other is <name>-dead.fifo
    #[arg(long, default_value = "tirage-jobs")]
    queue_name: QueueName,

    /// How long a message that was received is hidden
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(0..=43_200))]
    visibility_seconds: u32,

    /// How often a message is received before it goes to the dead-letter queue
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_receives: u32,

    /// Go on when stdin closes
    #[arg(long)]
    detached_stdin: bool,
}

pub(crate) fn queue(arguments: QueueArguments) -> anyhow::Result<()> {
    let foreground = Foreground::enter(arguments.detached_stdin)?;
    // Kept until the end: it goes away with the value.
    let temporary = arguments
        .temporary
        .then(|| tempfile::Builder::new().prefix("tirage-queue-").tempdir())
        .transpose()
        .context("cannot make a temporary folder")?;
    let folder = match &temporary {
        Some(folder) => Some(folder.path().to_owned()),
        None => arguments.data,
    };
    let server = Server::open(&Settings {
        folder: folder.context("either --data or --temporary is needed")?,
        port: arguments.port,
        queue: arguments.queue_name.clone(),
        visibility_seconds: arguments.visibility_seconds,
        max_receives: arguments.max_receives,
    })?;
    let keys = server.keys();
    say_ready(&serde_json::json!({
        "endpoint": server.endpoint(),
        "region": REGION,
        "queue_name": arguments.queue_name,
        "queue_url": server.queue_url(),
        "access_key_id": keys.access_key_id,
        "secret_access_key": keys.secret_access_key,
    }))?;
    runtime()?.block_on(server.serve(end_of(foreground, "queue")))?;
    Ok(())
}
