//! `tirage-devstack s3`

use std::path::PathBuf;

use clap::Args;
use tirage_devstack::s3::{BUCKET, REGION, Server, Settings};

use super::{end_of, runtime, say_ready};
use crate::foreground::Foreground;

/// Run an S3 server over a folder; prints {"endpoint":…,"region":…,"bucket":…,"access_key_id":…,
/// "secret_access_key":…} when it is ready.
#[derive(Args)]
pub(crate) struct S3Arguments {
    /// The folder of objects and keys, made if it isn't there
    #[arg(long, required_unless_present = "temporary")]
    data: Option<PathBuf>,

    /// Begin empty, and leave nothing behind
    #[arg(long, conflicts_with_all = ["data", "port"])]
    temporary: bool,

    /// The port on 127.0.0.1 [default: that of the last run, or a free one]
    #[arg(long)]
    port: Option<u16>,

    /// An origin whose pages may use it (`*` for all); can be repeated
    #[arg(long, default_value = "*")]
    allowed_origin: Vec<String>,

    /// The largest object that is taken, in bytes
    #[arg(long, default_value_t = Settings::MAX_OBJECT_SIZE)]
    max_object_size: u64,

    /// Go on when stdin closes
    #[arg(long)]
    detached_stdin: bool,
}

pub(crate) fn s3(arguments: S3Arguments) -> anyhow::Result<()> {
    let foreground = Foreground::enter(arguments.detached_stdin)?;
    let server = Server::open(&Settings {
        folder: arguments.data,
        port: arguments.port,
        allowed_origins: arguments.allowed_origin,
        max_object_size: arguments.max_object_size,
    })?;
    say_ready(&serde_json::json!({
        "endpoint": server.endpoint(),
        "region": REGION,
        "bucket": BUCKET,
        "access_key_id": server.credentials().access_key_id,
        "secret_access_key": server.credentials().secret_access_key,
    }))?;
    runtime()?.block_on(server.serve(end_of(foreground, "S3 server")))?;
    Ok(())
}
