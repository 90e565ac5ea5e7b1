//! Authentication on a socket.
//!
//! Either the gateway has accounts of its own, with passwords that were made for it (services on a
//! laptop), or Postgres checks the passwords of its roles (a gateway in front of an existing database).
//! In the second case, the gateway logs in with the client's password and caches a success for one
//! minute; another password is checked immediately. A login for which Postgres asks for no password
//! (`trust`) proves nothing, so the gateway refuses it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use tirage_postgres::{Config, Connection, Error, Password, Session};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::caller::Caller;
use crate::connect::connect_with_retries;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::pool::Pool;

/// Lifetime of a cached login: Postgres checks the same password again after it.
const CACHED: Duration = Duration::from_secs(60);

/// Maximum number of concurrent logins. Each costs Postgres a process and thousands of hashes.
const MAX_LOGINS: usize = 8;

/// The accounts that may use the gateway on a socket.
#[derive(Debug)]
pub struct Accounts(Kind);

#[derive(Debug)]
enum Kind {
    Own(HashMap<String, (Password, Config)>),
    Postgres(Box<Logins>),
}

impl Accounts {
    /// Accounts of the gateway's own: each is a password and the role that it gives. The account has the
    /// role's name.
    pub fn own(accounts: impl IntoIterator<Item = (Password, Config)>) -> Self {
        let named =
            |(password, config): (Password, Config)| (config.user().to_owned(), (password, config));
        Self(Kind::Own(accounts.into_iter().map(named).collect()))
    }

    /// The roles of the Postgres at this address, whose passwords Postgres checks. The address's own user
    /// and password are not used.
    pub fn of_postgres(upstream: Config) -> Self {
        Self(Kind::Postgres(Box::new(Logins {
            upstream,
            permits: Semaphore::new(MAX_LOGINS),
            accepted: Mutex::default(),
        })))
    }

    /// Returns the pool of the user in the connection string, if the password is right.
    ///
    /// # Errors
    /// [`Failure::ConnectionString`], [`Failure::Password`], and [`Failure::Connect`] with what
    /// Postgres says.
    pub(crate) async fn pool(
        &self,
        gateway: &Gateway,
        headers: &HeaderMap,
    ) -> Result<Arc<Pool>, Failure> {
        let caller = Caller::read(headers)?;
        match &self.0 {
            Kind::Own(accounts) => Ok(gateway.pool(own(accounts, caller)?)),
            Kind::Postgres(logins) => logins.pool(gateway, caller).await,
        }
    }

    /// Opens a session for one client that begins with `settings`, if the password is right. Retries for
    /// `wait` while Postgres is unavailable or at its connection limit.
    ///
    /// # Errors
    /// [`Failure::Password`], [`Failure::Full`], and [`Failure::Connect`] with what Postgres says.
    pub(crate) async fn session(
        &self,
        caller: Caller,
        settings: &[(String, String)],
        wait: Duration,
    ) -> Result<Session, Failure> {
        match &self.0 {
            Kind::Own(accounts) => {
                open_session(&own(accounts, caller)?, settings, None, wait).await
            }
            Kind::Postgres(logins) => {
                let config = logins.config(&caller);
                let permits = Some(&logins.permits);
                let session = open_session(&config, settings, permits, wait).await?;
                if session.password_proved_by_login() {
                    Ok(session)
                } else {
                    Err(Failure::Password(caller.user))
                }
            }
        }
    }
}

/// Returns the role that an account of the gateway gives, in the caller's database.
fn own(accounts: &HashMap<String, (Password, Config)>, caller: Caller) -> Result<Config, Failure> {
    match accounts.get(&caller.user) {
        Some((right, config)) if right.matches(caller.password.as_bytes()) => {
            Ok(config.with_database(caller.database))
        }
        _ => Err(Failure::Password(caller.user)),
    }
}

/// Logs in to a session that begins with `settings`. Each attempt takes one of `permits`.
async fn open_session(
    config: &Config,
    settings: &[(String, String)],
    permits: Option<&Semaphore>,
    wait: Duration,
) -> Result<Session, Failure> {
    let log_in = || async move {
        let _permit = match permits {
            Some(permits) => permits.acquire().await.ok(),
            None => None,
        };
        Session::log_in(config, settings).await
    };
    connect_with_retries(Instant::now() + wait, wait, log_in)
        .await
        .map_err(|failure| match failure {
            // An invalid value of a setting, which the client has chosen.
            Failure::Connect { error, .. } if is_data_exception(&error) && !settings.is_empty() => {
                Failure::Connect {
                    error,
                    by_caller: true,
                }
            }
            other => classify(other),
        })
}

fn is_data_exception(error: &Error) -> bool {
    let code = error.server().map_or("", |error| error.code.as_str());
    code.starts_with("22")
}

/// Logins that Postgres checks.
#[derive(Debug)]
struct Logins {
    upstream: Config,
    permits: Semaphore,
    /// The accepted password of each user and database, and when Postgres accepted it.
    accepted: Mutex<HashMap<(String, String), (Password, Instant)>>,
}

impl Logins {
    async fn pool(&self, gateway: &Gateway, caller: Caller) -> Result<Arc<Pool>, Failure> {
        let config = self.config(&caller);
        let key = (caller.user, caller.database);
        if self.is_accepted(&key, &caller.password) {
            return Ok(gateway.pool(config));
        }
        let _permit = self.permits.acquire().await;
        // Another request may have logged in while this one waited.
        if self.is_accepted(&key, &caller.password) {
            return Ok(gateway.pool(config));
        }
        // Boxed, because its future is large and few requests need it.
        let connection = Box::pin(log_in(&config, gateway.settings.wait)).await?;
        let pool = gateway.pool(config);
        pool.adopt(connection);
        let mut accepted = self.accepted();
        accepted.retain(|_, (_, at)| at.elapsed() < CACHED);
        accepted.insert(key, (caller.password, Instant::now()));
        Ok(pool)
    }

    /// `true` if Postgres has accepted the password lately.
    fn is_accepted(&self, key: &(String, String), password: &Password) -> bool {
        self.accepted().get(key).is_some_and(|(accepted, at)| {
            at.elapsed() < CACHED && accepted.matches(password.as_bytes())
        })
    }

    fn config(&self, caller: &Caller) -> Config {
        self.upstream
            .with_user(&caller.user, Some(caller.password.clone()))
            .with_database(&caller.database)
    }

    fn accepted(&self) -> MutexGuard<'_, HashMap<(String, String), (Password, Instant)>> {
        // Every single change leaves the map valid.
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has Postgres check a password.
async fn log_in(config: &Config, wait: Duration) -> Result<Connection, Failure> {
    let connection =
        connect_with_retries(Instant::now() + wait, wait, || Connection::connect(config))
            .await
            .map_err(classify)?;
    match connection.password_proved_by_login() {
        true => Ok(connection),
        false => Err(Failure::Password(config.user().to_owned())),
    }
}

fn classify(failure: Failure) -> Failure {
    match failure {
        Failure::Connect { error, .. } => classify_refusal(error),
        other => other,
    }
}

/// Classifies a refused login. The client may know that its credentials are invalid (class 28), that
/// the database doesn't exist (3D) or that it may not connect (42). Other errors are not its fault.
pub(crate) fn classify_refusal(error: Error) -> Failure {
    let by_caller = error.server().is_some_and(|error| {
        ["28", "3D", "42"]
            .iter()
            .any(|class| error.code.starts_with(class))
    });
    Failure::Connect { error, by_caller }
}
