//! `tirage-devstack s3`

use clap::Args;
use tirage_devstack::s3::{BUCKET, REGION, Server, Settings};

use super::{ServiceArguments, print_ready, runtime, stopped};
use crate::foreground::Foreground;

/// Run an S3 server over a folder; prints {"endpoint":…,"region":…,"bucket":…,"access_key_id":…,
/// "secret_access_key":…} when it is ready.
#[derive(Args)]
pub(crate) struct S3Arguments {
    #[command(flatten)]
    service: ServiceArguments,
}

pub(crate) fn s3(S3Arguments { service }: S3Arguments) -> anyhow::Result<()> {
    let foreground = Foreground::enter()?;
    let server = Server::open(&Settings {
        folder: service.data,
        port: service.port,
    })?;
    let access_key = server.access_key();
    print_ready(&serde_json::json!({
        "endpoint": server.endpoint(),
        "region": REGION,
        "bucket": BUCKET,
        "access_key_id": access_key.access_key_id,
        "secret_access_key": access_key.secret_access_key,
    }))?;
    runtime()?.block_on(server.serve(stopped(foreground, "S3 server")))?;
    Ok(())
}
