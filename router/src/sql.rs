//! SQL: the gateway that components reach without a socket, the same gateway on a socket for others,
//! and the migrations.
//!
//! In process, the manifest decides as whom a component speaks: its `database_role`. The credentials
//! are `DATABASE_URL_<ROLE>`'s, or derived from `DATABASE_URL`'s password; the guest never sees any.
//! Requests wait until the migrations are through, so no component meets a schema that is too old.

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
use tirage_postgres::{Config, Password, role_config, role_url_variable};
use tirage_sqlgateway::{Accounts, Gateway, Identity, Role, Settings, serve_on};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::environment::{Environment, folder_of};
use crate::logging::{self, LogFormat};
use crate::{runtime, stop};

/// Where components find the gateway, without a socket.
pub(crate) const HOST_NAME: &str = "sql.tirage.internal";
/// What the socket gateway's callers have to know; without it, a password that Postgres knows.
const GATEWAY_PASSWORD: &str = "SQL_GATEWAY_PASSWORD";
/// How long a request waits for a connection: less than its client waits for the answer.
const DATABASE_WAIT: Duration = Duration::from_secs(5);
/// How long the start waits for a database that isn't there yet: one that sleeps takes seconds.
const DATABASE_PATIENCE: Duration = Duration::from_secs(60);
const DATABASE_RETRY: Duration = Duration::from_millis(250);

/// The flags of `tirage migrate`.
#[derive(clap::Args)]
pub(crate) struct MigrateArguments {
    /// The manifest, whose database roles are made.
    #[arg(long, default_value = "spin.toml")]
    manifest: PathBuf,
}

/// The flags of `tirage sql-gateway`.
#[derive(clap::Args)]
pub(crate) struct GatewayArguments {
    /// The manifest, whose database roles may log in where SQL_GATEWAY_PASSWORD is set.
    #[arg(long, default_value = "spin.toml")]
    manifest: PathBuf,
    /// The address to listen on. Meant for this machine or a private network.
    #[arg(long, default_value = "127.0.0.1:4444")]
    listen: SocketAddr,
    /// Also stop when standard input closes, for parents that may die.
    #[arg(long)]
    exit_with_stdin: bool,
}

/// The database behind the components of this process.
pub(crate) struct Database {
    roles: HashMap<String, Role>,
    migration: Option<Migration>,
    gateway: Gateway,
    ready: watch::Sender<bool>,
}

/// What has to be done before SQL is answered.
struct Migration {
    admin: Config,
    roles: Vec<Config>,
}

impl Database {
    /// Binds each component that may call [`HOST_NAME`] to its role. Connects to nothing yet.
    ///
    /// # Errors
    /// When a component needs the database and no setting says where it is.
    pub(crate) fn prepare(
        environment: &Environment,
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
            if let Some(role) = &component.settings.database_role
                && calls_gateway
            {
                let config = config_of(environment, role)
                    .with_context(|| format!("component \"{id}\" needs the database"))?;
                roles.insert(id.to_string(), gateway.role(config.clone()));
                configs.insert(role.as_str(), config);
            }
        }
        let wanted = environment.parse("MIGRATE_ON_START")?.unwrap_or(true);
        let migration = match configs.is_empty() || !wanted {
            true => None,
            false => Some(Migration {
                admin: admin(environment)?,
                roles: configs.into_values().collect(),
            }),
        };
        Ok(Self {
            roles,
            ready: watch::Sender::new(migration.is_none()),
            migration,
            gateway,
        })
    }

    /// What answers components at [`HOST_NAME`].
    pub(crate) fn service(&self) -> Arc<dyn InternalService> {
        Arc::new(InProcess {
            gateway: self.gateway.clone(),
            roles: self.roles.clone(),
            ready: self.ready.subscribe(),
        })
    }

    /// Applies the migrations that are missing, then lets requests through. Waits for a database
    /// that is about to start.
    ///
    /// # Errors
    /// When the database stays away, or a migration can't or must not be applied.
    pub(crate) async fn bring_up_to_date(self) -> anyhow::Result<()> {
        if let Some(Migration { admin, roles }) = self.migration {
            let begin = Instant::now();
            loop {
                match tirage_migrations::migrate(&admin, &roles).await {
                    Ok(report) => break tracing::info!("{report}"),
                    Err(error) if error.is_unavailable() && begin.elapsed() < DATABASE_PATIENCE => {
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

/// `tirage migrate`: applies what is missing, and makes the manifest's roles.
///
/// # Errors
/// When a setting is missing or a migration can't or must not be applied.
pub(crate) fn migrate(arguments: MigrateArguments) -> anyhow::Result<()> {
    let environment = Environment::read(folder_of(&arguments.manifest))?;
    let _log = logging::start(LogFormat::default()).context("cannot log")?;
    let roles = roles(&arguments.manifest, &environment)?;
    let admin = admin(&environment)?;
    runtime::run(async {
        let report = tirage_migrations::migrate(&admin, &roles).await?;
        println!("{report}");
        Ok(())
    })
}

/// `tirage sql-gateway`: Postgres over HTTP on a socket of its own. With a password of the gateway's
/// own its callers are the manifest's roles; without one they are whoever Postgres lets in.
///
/// # Errors
/// When a setting is missing or the address can't be used.
pub(crate) fn serve_gateway(arguments: GatewayArguments) -> anyhow::Result<()> {
    let environment = Environment::read(folder_of(&arguments.manifest))?;
    let _log = logging::start(LogFormat::default()).context("cannot log")?;
    let accounts = match environment.get(GATEWAY_PASSWORD) {
        Some(password) => Accounts::own(
            roles(&arguments.manifest, &environment)?
                .into_iter()
                .map(|role| (Password::new(password.as_bytes()), role)),
        ),
        None => Accounts::of_postgres(database_url(&environment)?),
    };
    let gateway = Gateway::new(settings(&environment)?);
    runtime::run(async {
        let stop = stop::requested(arguments.exit_with_stdin)?;
        let listener = TcpListener::bind(arguments.listen)
            .await
            .with_context(|| format!("cannot listen on {}", arguments.listen))?;
        println!("listening on http://{}", listener.local_addr()?);
        serve_on(listener, gateway, accounts, stop).await?;
        Ok(())
    })
}

/// How to log in as each role that the manifest binds a component to.
fn roles(manifest: &Path, environment: &Environment) -> anyhow::Result<Vec<Config>> {
    let manifest = Manifest::read(manifest)?;
    let roles: BTreeSet<_> = manifest
        .components
        .values()
        .filter_map(|component| component.settings.database_role.as_ref())
        .collect();
    roles
        .into_iter()
        .map(|role| config_of(environment, role))
        .collect()
}

/// How to log in as `role`.
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
