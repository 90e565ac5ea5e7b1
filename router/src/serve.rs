//! `tirage serve`: reads the settings, loads the application, serves it, and shuts down gracefully.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tirage_host::Allocator;
use tirage_manifest::Manifest;
use tirage_net::listen::{self, Options};
use tokio::net::TcpListener;

use crate::access_log::AccessLog;
use crate::application::{self, Dependencies};
use crate::environment::{Environment, folder_of};
use crate::logging::{self, LogFormat};
use crate::metrics::{self, Metrics};
use crate::{runtime, shutdown, sql};

/// Default address: this machine only.
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3000);
const DEFAULT_MAX_CONNECTIONS: usize = 4096;
const DEFAULT_MAX_STREAMS: usize = 1024;
/// Scaleway and Kubernetes wait 30 s after SIGTERM before they kill.
const DEFAULT_DRAIN_SECONDS: u64 = 25;

/// Flags, each with a setting of the same meaning.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The application's manifest.
    #[arg(long, default_value = "spin.toml")]
    manifest: PathBuf,
    /// The address to listen on [setting: HTTP_ADDR, or PORT for all interfaces].
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// The address that answers GET /metrics; none by default [setting: METRICS_ADDR].
    #[arg(long)]
    metrics: Option<SocketAddr>,
    /// The mode, which selects components [setting: APP_MODE, default all].
    #[arg(long)]
    mode: Option<String>,
    /// Format of the log [setting: LOG_FORMAT, default text].
    #[arg(long)]
    log_format: Option<LogFormat>,
    /// Allocation of instances [setting: WASM_ALLOCATOR, default auto].
    #[arg(long)]
    allocator: Option<AllocatorName>,
    /// Also shut down when standard input closes, for parent processes that may die.
    #[arg(long)]
    exit_with_stdin: bool,
}

/// Names of [`Allocator`]'s variants.
#[derive(Clone, Copy, clap::ValueEnum)]
enum AllocatorName {
    Auto,
    Pooling,
    OnDemand,
}

impl From<AllocatorName> for Allocator {
    fn from(name: AllocatorName) -> Self {
        match name {
            AllocatorName::Auto => Self::Auto,
            AllocatorName::Pooling => Self::Pooling,
            AllocatorName::OnDemand => Self::OnDemand,
        }
    }
}

/// Serves until the process is asked to shut down.
///
/// # Errors
/// When a setting, the manifest, a component, a migration or the address can't be used.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let folder = folder_of(&arguments.manifest).to_owned();
    let environment = Environment::read(&folder)?;
    let log_format = match arguments.log_format {
        Some(format) => format,
        None => choice(&environment, "LOG_FORMAT")?.unwrap_or_default(),
    };
    let log = logging::start(log_format).context("cannot start the log")?;
    let manifest = Manifest::read(&arguments.manifest)?;
    runtime::run(serve(
        arguments,
        environment,
        manifest,
        folder,
        log.access_log(),
    ))
}

async fn serve(
    arguments: Arguments,
    environment: Environment,
    manifest: Manifest,
    folder: PathBuf,
    access_log: AccessLog,
) -> anyhow::Result<()> {
    let stop = shutdown::requested(arguments.exit_with_stdin)?;
    let mode = arguments.mode.as_deref().or(environment.get("APP_MODE"));
    let selection = manifest.select(mode.unwrap_or("all"))?;
    let metrics = Arc::new(Metrics::new());
    let allocator = match arguments.allocator {
        Some(allocator) => Some(allocator),
        None => choice(&environment, "WASM_ALLOCATOR")?,
    };

    let resolved = selection.resolve(|name| environment.get(name).map(str::to_owned))?;
    let database = sql::Database::prepare(&environment, &manifest, &folder, &selection, &resolved)?;
    let application = application::load(
        &manifest,
        &selection,
        resolved,
        &folder,
        Dependencies {
            allocator: allocator.map(Allocator::from).unwrap_or_default(),
            metrics: Arc::clone(&metrics),
            access_log,
            sql: database.service(),
            max_streams: environment
                .parse("LIVE_MAX_STREAMS")?
                .unwrap_or(DEFAULT_MAX_STREAMS),
        },
    )?;
    if let Some(address) = address(arguments.metrics, &environment, "METRICS_ADDR")? {
        let listener = bind(address).await?;
        tracing::info!("metrics on http://{}/metrics", listener.local_addr()?);
        tokio::spawn(metrics::serve(listener, metrics));
    }
    let listener = bind(listen_address(&arguments, &environment)?).await?;
    let options = Options {
        max_connections: environment
            .parse("MAX_CONNECTIONS")?
            .unwrap_or(DEFAULT_MAX_CONNECTIONS),
        drain_timeout: Duration::from_secs(
            environment
                .parse("DRAIN_SECONDS")?
                .unwrap_or(DEFAULT_DRAIN_SECONDS),
        ),
        ..Options::default()
    };
    println!("listening on http://{}", listener.local_addr()?);

    // Requests that need no database are answered while it is migrated.
    let migration = tokio::spawn(database.migrate());
    let failed = async {
        match migration.await {
            Ok(Ok(())) => std::future::pending().await,
            Ok(Err(error)) => error,
            Err(panicked) => panicked.into(),
        }
    };
    let stop = {
        let application = Arc::clone(&application);
        async move {
            stop.await;
            tracing::info!("shutting down");
            if let Some(live) = &application.live {
                live.close();
            }
        }
    };
    let handler = move |client, request: http::Request<Incoming>| {
        let application = Arc::clone(&application);
        async move {
            let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
            Ok::<_, Infallible>(application.respond(client, request).await)
        }
    };
    let serving = listen::serve(listener, options, handler, stop);
    tokio::select! {
        () = serving => Ok(()),
        error = failed => Err(error.context("cannot migrate the database")),
    }
}

fn listen_address(arguments: &Arguments, environment: &Environment) -> anyhow::Result<SocketAddr> {
    if let Some(address) = address(arguments.listen, environment, "HTTP_ADDR")? {
        return Ok(address);
    }
    Ok(match environment.parse("PORT")? {
        Some(port) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
        None => DEFAULT_ADDRESS,
    })
}

fn address(
    flag: Option<SocketAddr>,
    environment: &Environment,
    name: &str,
) -> anyhow::Result<Option<SocketAddr>> {
    match flag {
        Some(address) => Ok(Some(address)),
        None => environment.parse(name),
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

/// Parses a setting that has the values of a flag.
fn choice<T: clap::ValueEnum>(environment: &Environment, name: &str) -> anyhow::Result<Option<T>> {
    environment
        .get(name)
        .map(|value| T::from_str(value, true).map_err(|reason| anyhow::anyhow!("{name}: {reason}")))
        .transpose()
}
