//! `tirage-devstack queue`

use clap::Args;
use tirage_devstack::queue::{QueueName, REGION, Server, Settings};

use super::{ServiceArguments, print_ready, runtime, stopped};
use crate::foreground::Foreground;

/// Run a queue with the API of SQS, as far as Scaleway has it; prints
/// {"endpoint":…,"queue_url":…,…} when it is ready.
#[derive(Args)]
pub(crate) struct QueueArguments {
    #[command(flatten)]
    service: ServiceArguments,

    /// Name of the queue; its dead-letter queue is called <name>-dead
    #[arg(long, default_value = "tirage-jobs")]
    queue_name: QueueName,

    /// Time for which a received message is hidden
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(0..=43_200))]
    visibility_seconds: u32,

    /// Number of receives after which a message moves to the dead-letter queue
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_receives: u32,
}

pub(crate) fn queue(arguments: QueueArguments) -> anyhow::Result<()> {
    let foreground = Foreground::enter()?;
    let server = Server::open(&Settings {
        folder: arguments.service.data,
        port: arguments.service.port,
        queue: arguments.queue_name.clone(),
        visibility_seconds: arguments.visibility_seconds,
        max_receives: arguments.max_receives,
    })?;
    let access_key = server.access_key();
    print_ready(&serde_json::json!({
        "endpoint": server.endpoint(),
        "region": REGION,
        "queue_name": arguments.queue_name.as_str(),
        "queue_url": server.queue_url(),
        "access_key_id": access_key.access_key_id,
        "secret_access_key": access_key.secret_access_key,
    }))?;
    runtime()?.block_on(server.serve(stopped(foreground, "queue")))?;
    Ok(())
}
