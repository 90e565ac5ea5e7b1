//! `tirage-devstack postgres`

use std::time::{Duration, Instant};

use clap::Args;
use tirage_devstack::Error;
use tirage_devstack::postgres::{Cluster, Settings, Source};

use super::{ServiceArguments, print_ready};
use crate::foreground::Foreground;

/// A server that ends again within this time after a restart isn't restarted.
const MIN_RUN_TIME: Duration = Duration::from_secs(5);

/// Run a private Postgres cluster; prints {"admin_url":…,"url":…} when it is ready.
#[derive(Args)]
pub(crate) struct PostgresArguments {
    #[command(flatten)]
    service: ServiceArguments,

    /// Origin of Postgres: auto, npm, or a folder with `postgres` and `initdb`
    #[arg(long, env = "TIRAGE_POSTGRES", default_value_t)]
    source: Source,
}

pub(crate) fn postgres(arguments: PostgresArguments) -> anyhow::Result<()> {
    let foreground = Foreground::enter()?;
    let mut cluster = start(arguments)?;
    print_ready(&serde_json::json!({
        "admin_url": cluster.admin_url(),
        "url": cluster.url(),
    }))?;

    let mut last_failure: Option<Instant> = None;
    loop {
        if let Some(reason) = foreground.stopped_within(Duration::from_millis(200)) {
            tracing::info!("stopping Postgres: {reason}");
            return Ok(cluster.stop()?);
        }
        let Some(status) = cluster.ended()? else {
            continue;
        };
        if last_failure.is_some_and(|then| then.elapsed() < MIN_RUN_TIME) {
            anyhow::bail!("Postgres ended again ({status}) right after it was restarted");
        }
        tracing::warn!("Postgres ended ({status}): restarting it");
        last_failure = Some(Instant::now());
        cluster.restart()?;
    }
}

fn start(arguments: PostgresArguments) -> Result<Cluster, Error> {
    let Some(folder) = arguments.service.data else {
        return Cluster::start_temporary_from(&arguments.source);
    };
    let mut settings = Settings::new(folder);
    settings.port = arguments.service.port;
    settings.source = arguments.source;
    Cluster::start(&settings)
}
