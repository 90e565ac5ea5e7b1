//! SQL over HTTP: the gateway in process for components, on a socket for other programs, and migrations.
//!
//! In process, the manifest binds a component to its `database_role`. The credentials are those of
//! `DATABASE_URL_<ROLE>`, or derived from the password of `DATABASE_URL`; the guest never sees them.
//! Requests wait until the migrations are applied, so that no component sees an outdated schema.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Full};
use tirage_host::{InternalService, Request, Response};
use tirage_manifest::{ComponentId, DatabaseRole, Manifest, Resolved, Selection};
use tirage_migrations::Migration;
use tirage_postgres::{Config, Password, role_config, role_url_variable};
use tirage_sqlgateway::{Accounts, Gateway, Identity, Role, Settings, serve_on};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::environment::{Environment, folder_of};
use crate::logging::{self, LogFormat};
use crate::{runtime, shutdown};

/// Host name at which components reach the gateway in process.
pub(crate) const HOST_NAME: &str = "sql.tirage.internal";
/// Setting with the password of the gateway's callers. If it is not set, callers use Postgres passwords.
const GATEWAY_PASSWORD: &str = "SQL_GATEWAY_PASSWORD";
/// Longest time that a request waits for a connection; less than its client waits for the response.
const DATABASE_WAIT: Duration = Duration::from_secs(5);
/// Longest time that the start waits for an unavailable database; a paused one takes seconds to resume.
const DATABASE_START_TIMEOUT: Duration = Duration::from_secs(60);
const DATABASE_RETRY: Duration = Duration::from_millis(250);

/// The flags of `tirage migrate`.
#[derive(clap::Args)]
pub(crate) struct MigrateArguments {
    /// The manifest, which names the migrations and the database roles.
    #[arg(long, default_value = "spin.toml")]
    manifest: PathBuf,
}

/// The flags of `tirage sql-gateway`.
#[derive(clap::Args)]
pub(crate) struct GatewayArguments {
    /// The manifest, whose database roles may log in where SQL_GATEWAY_PASSWORD is set.
    #[arg(long, default_value = "spin.toml")]
    manifest: PathBuf,
    /// The address to listen on; keep it on this machine or a private network.
    #[arg(long, default_value = "127.0.0.1:4444")]
    listen: SocketAddr,
    /// Also shut down when standard input closes, for parent processes that may die.
    #[arg(long)]
    exit_with_stdin: bool,
}

/// The database behind the components of this process.
pub(crate) struct Database {
    roles: HashMap<String, Role>,
    pending: Option<PendingMigration>,
    gateway: Gateway,
    ready: watch::Sender<bool>,
}

/// Work to do before the first SQL request is answered.
struct PendingMigration {
    admin: Config,
    migrations: Vec<Migration>,
    roles: Vec<Config>,
}

impl Database {
    /// Binds each component that may call [`HOST_NAME`] to its role, and reads the migrations. Opens no
    /// connection.
    ///
    /// # Errors
    /// When a component needs the database and a setting is missing, or a migration can't be read.
    pub(crate) fn prepare(
        environment: &Environment,
        manifest: &Manifest,
        folder: &Path,
        selection: &Selection<'_>,
        resolved: &BTreeMap<&ComponentId, Resolved>,
    ) -> anyhow::Result<Self> {
        let gateway = Gateway::new(settings(environment)?);
        let mut roles = HashMap::new();
        let mut configs = BTreeMap::new();
        for (id, component) in selection.components() {
            let calls_gateway = resolved
                .get(*id)
                .is_some_and(|resolved| resolved.allowed_hosts.allows("http", HOST_NAME, None));
            if let Some(role) = &component.options.database_role
                && calls_gateway
            {
                let config = config_of(environment, role)
                    .with_context(|| format!("component \"{id}\" needs the database"))?;
                roles.insert(id.to_string(), gateway.role(config.clone()));
                configs.insert(role.as_str(), config);
            }
        }
        let migrate_on_start = environment.parse("MIGRATE_ON_START")?.unwrap_or(true);
        let pending = match configs.is_empty() || !migrate_on_start {
            true => None,
            false => Some(PendingMigration {
                admin: admin(environment)?,
                migrations: read_migrations(manifest, folder)?,
                roles: configs.into_values().collect(),
            }),
        };
        Ok(Self {
            roles,
            ready: watch::Sender::new(pending.is_none()),
            pending,
            gateway,
        })
    }

    /// Returns the service that answers components at [`HOST_NAME`].
    pub(crate) fn service(&self) -> Arc<dyn InternalService> {
        Arc::new(InProcess {
            gateway: self.gateway.clone(),
            roles: self.roles.clone(),
            ready: self.ready.subscribe(),
        })
    }

    /// Applies missing migrations, then lets requests pass. Waits for a database that is starting.
    ///
    /// # Errors
    /// When the database stays unavailable, or a migration can't or must not be applied.
    pub(crate) async fn migrate(self) -> anyhow::Result<()> {
        if let Some(pending) = self.pending {
            let PendingMigration {
                admin,
                migrations,
                roles,
            } = pending;
            let begin = Instant::now();
            loop {
                match tirage_migrations::migrate(&admin, &migrations, &roles).await {
                    Ok(report) => break tracing::info!("{report}"),
                    Err(error)
                        if error.is_unavailable() && begin.elapsed() < DATABASE_START_TIMEOUT =>
                    {
                        tracing::info!("waiting for the database: {error}");
                        tokio::time::sleep(DATABASE_RETRY).await;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        self.ready.send_replace(true);
        Ok(())
    }
}

/// The gateway for components of this process.
struct InProcess {
    gateway: Gateway,
    roles: HashMap<String, Role>,
    ready: watch::Receiver<bool>,
}

impl InternalService for InProcess {
    fn call(
        &self,
        caller: &str,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Response> + Send>> {
        let gateway = self.gateway.clone();
        let role = self.roles.get(caller).cloned();
        let mut ready = self.ready.clone();
        Box::pin(async move {
            let Some(role) = role else {
                return refusal(StatusCode::FORBIDDEN, "this component has no database_role");
            };
            if ready.wait_for(|ready| *ready).await.is_err() {
                return refusal(StatusCode::SERVICE_UNAVAILABLE, "the database is not ready");
            }
            gateway
                .serve(Identity::Role(&role), request)
                .await
                .map(boxed)
        })
    }
}

fn refusal(status: StatusCode, message: &str) -> Response {
    let body = serde_json::json!({ "message": message }).to_string();
    let mut response = Response::new(boxed(Full::from(body)));
    *response.status_mut() = status;
    response
}

fn boxed(body: Full<Bytes>) -> tirage_host::Body {
    body.map_err(|never| match never {}).boxed_unsync()
}

/// `tirage migrate`: applies missing migrations, and makes sure that the manifest's roles can log in.
///
/// # Errors
/// When a setting is missing, or a migration can't be read or applied.
pub(crate) fn migrate(arguments: MigrateArguments) -> anyhow::Result<()> {
    let environment = Environment::read(folder_of(&arguments.manifest))?;
    let _log = logging::start(LogFormat::default()).context("cannot start the log")?;
    let manifest = Manifest::read(&arguments.manifest)?;
    let migrations = read_migrations(&manifest, folder_of(&arguments.manifest))?;
    let roles = roles(&manifest, &environment)?;
    let admin = admin(&environment)?;
    runtime::run(async {
        let report = tirage_migrations::migrate(&admin, &migrations, &roles).await?;
        println!("{report}");
        Ok(())
    })
}

/// `tirage sql-gateway`: Postgres over HTTP on a socket of its own. With [`GATEWAY_PASSWORD`] its callers
/// are the manifest's roles; without it Postgres authenticates them.
///
/// # Errors
/// When a setting is missing or the address can't be used.
pub(crate) fn serve_gateway(arguments: GatewayArguments) -> anyhow::Result<()> {
    let environment = Environment::read(folder_of(&arguments.manifest))?;
    let _log = logging::start(LogFormat::default()).context("cannot start the log")?;
    let accounts = match environment.get(GATEWAY_PASSWORD) {
        Some(password) => Accounts::own(
            roles(&Manifest::read(&arguments.manifest)?, &environment)?
                .into_iter()
                .map(|role| (Password::new(password.as_bytes()), role)),
        ),
        None => Accounts::of_postgres(database_url(&environment)?),
    };
    let gateway = Gateway::new(settings(&environment)?);
    runtime::run(async {
        let stop = shutdown::requested(arguments.exit_with_stdin)?;
        let listener = TcpListener::bind(arguments.listen)
            .await
            .with_context(|| format!("cannot listen on {}", arguments.listen))?;
        println!("listening on http://{}", listener.local_addr()?);
        serve_on(listener, gateway, accounts, stop).await;
        Ok(())
    })
}

/// Reads the folder of migrations that the manifest names; an application without the key has none.
fn read_migrations(manifest: &Manifest, folder: &Path) -> anyhow::Result<Vec<Migration>> {
    match &manifest.application.options.migrations {
        Some(migrations) => Ok(tirage_migrations::read(&folder.join(migrations))?),
        None => Ok(Vec::new()),
    }
}

/// Returns the login of each role that the manifest binds a component to.
fn roles(manifest: &Manifest, environment: &Environment) -> anyhow::Result<Vec<Config>> {
    let roles: BTreeSet<_> = manifest
        .components
        .values()
        .filter_map(|component| component.options.database_role.as_ref())
        .collect();
    roles
        .into_iter()
        .map(|role| config_of(environment, role))
        .collect()
}

/// Returns the login of `role`.
fn config_of(environment: &Environment, role: &DatabaseRole) -> anyhow::Result<Config> {
    match environment.parse(&role_url_variable(role.as_str()))? {
        Some(own) => Ok(own),
        None => Ok(role_config(&database_url(environment)?, role.as_str())),
    }
}

fn admin(environment: &Environment) -> anyhow::Result<Config> {
    match environment.parse("DATABASE_ADMIN_URL")? {
        Some(admin) => Ok(admin),
        None => database_url(environment),
    }
}

fn database_url(environment: &Environment) -> anyhow::Result<Config> {
    environment
        .parse("DATABASE_URL")?
        .context("DATABASE_URL is not set (`cargo xtask up` starts a database of its own)")
}

fn settings(environment: &Environment) -> anyhow::Result<Settings> {
    let defaults = Settings::default();
    let number = |name, default| anyhow::Ok(environment.parse(name)?.unwrap_or(default));
    let seconds = |name, default| {
        anyhow::Ok(
            environment
                .parse(name)?
                .map_or(default, Duration::from_secs),
        )
    };
    Ok(Settings {
        max_request_bytes: number("SQL_MAX_REQUEST_BYTES", defaults.max_request_bytes)?,
        max_response_bytes: number("SQL_MAX_RESPONSE_BYTES", defaults.max_response_bytes)?,
        max_connections: number("DATABASE_POOL_SIZE", defaults.max_connections)?,
        wait: seconds("DATABASE_WAIT_SECONDS", DATABASE_WAIT)?,
        idle: seconds("DATABASE_IDLE_SECONDS", defaults.idle)?,
        statements: number("DATABASE_STATEMENTS", defaults.statements)?,
        max_sessions: number("SQL_GATEWAY_MAX_SESSIONS", defaults.max_sessions)?,
        session_idle: seconds("SQL_GATEWAY_SESSION_IDLE_SECONDS", defaults.session_idle)?,
        ..defaults
    })
}
