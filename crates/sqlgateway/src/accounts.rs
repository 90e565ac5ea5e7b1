//! Whom the gateway believes on a socket.
//!
//! Two kinds: accounts of the gateway's own, with passwords that were made for it (a laptop's
//! services); or whoever Postgres lets in, with the password that Postgres knows (the gateway stands
//! in front of somebody's database). In the second kind, a login proves the password once, and for a
//! minute after that the same password is believed without asking; a changed one is asked about at
//! once. A Postgres that lets people in without asking (`trust`) proves nothing, and so nobody gets
//! in through the gateway.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use tirage_postgres::{Config, Connection, Error, Password, Session};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::caller::{Caller, connection_string};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::patience::patiently;
use crate::pool::Pool;

/// How long a password that Postgres accepted is believed.
const BELIEVED: Duration = Duration::from_secs(60);

/// Logins under way at once: each costs Postgres a process and thousands of hashes.
const LOGINS: usize = 8;

/// Whom the gateway believes on a socket.
#[derive(Debug)]
pub struct Accounts(Kind);

#[derive(Debug)]
enum Kind {
    Own(HashMap<String, (Password, Config)>),
    Postgres(Box<Logins>),
}

impl Accounts {
    /// Accounts of the gateway's own. Each is a password, and the role to be for whoever knows it;
    /// the account's name is the role's.
    pub fn own(accounts: impl IntoIterator<Item = (Password, Config)>) -> Self {
        let named =
            |(password, config): (Password, Config)| (config.user().to_owned(), (password, config));
        Self(Kind::Own(accounts.into_iter().map(named).collect()))
    }

    /// Whoever the Postgres at this address lets in; the address's own user and password are not
    /// used.
    pub fn of_postgres(upstream: Config) -> Self {
        Self(Kind::Postgres(Box::new(Logins {
            upstream,
            permits: Semaphore::new(LOGINS),
            proved: Mutex::default(),
            last: Mutex::default(),
        })))
    }

    /// The pool of whoever the connection string names, if the password is right.
    ///
    /// # Errors
    /// [`Failure::ConnectionString`], [`Failure::Password`], and [`Failure::Connect`] with what
    /// Postgres says.
    pub(crate) async fn pool(
        &self,
        gateway: &Gateway,
        headers: &HeaderMap,
    ) -> Result<Arc<Pool>, Failure> {
        match &self.0 {
            Kind::Own(accounts) => Ok(gateway.pool(own(accounts, Caller::read(headers)?)?)),
            Kind::Postgres(logins) => logins.pool(gateway, headers).await,
        }
    }

    /// A session that is the caller's alone and begins with `settings`, if the password is right. A
    /// Postgres that is away or full is waited for, for as long as `wait`.
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
                let config = logins.config(&caller.user, &caller.password, &caller.database);
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

/// Whom an account of the gateway's own makes the caller.
fn own(accounts: &HashMap<String, (Password, Config)>, caller: Caller) -> Result<Config, Failure> {
    match accounts.get(&caller.user) {
        Some((right, config)) if right.matches(caller.password.as_bytes()) => {
            Ok(config.with_database(caller.database))
        }
        _ => Err(Failure::Password(caller.user)),
    }
}

/// Logs in to a session that begins with `settings`; each attempt takes one of `permits`.
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
    patiently(Instant::now() + wait, wait, log_in)
        .await
        .map_err(|failure| match failure {
            // A value that a setting can't have; the settings are the caller's.
            Failure::Connect { error, .. } if is_data_exception(&error) && !settings.is_empty() => {
                Failure::Connect {
                    error,
                    by_caller: true,
                }
            }
            other => blame(other),
        })
}

fn is_data_exception(error: &Error) -> bool {
    let code = error.server().map_or("", |error| error.code.as_str());
    code.starts_with("22")
}

/// Passwords that Postgres itself was asked about.
#[derive(Debug)]
struct Logins {
    upstream: Config,
    permits: Semaphore,
    /// By user and database: what was right.
    proved: Mutex<HashMap<(String, String), Proved>>,
    /// Whoever was believed last, as the whole header says it: most often, that is the next one too.
    last: Mutex<Option<Last>>,
}

/// A header that was believed.
#[derive(Debug)]
struct Last {
    connection_string: Password,
    until: Instant,
    pool: Weak<Pool>,
}

/// A password that Postgres accepted.
#[derive(Debug)]
struct Proved {
    password: Password,
    at: Instant,
    /// What it leads to, for as long as that is used.
    pool: Weak<Pool>,
}

impl Logins {
    async fn pool(&self, gateway: &Gateway, headers: &HeaderMap) -> Result<Arc<Pool>, Failure> {
        if let Some(pool) = self.same_as_last(headers) {
            return Ok(pool);
        }
        let Caller {
            user,
            password,
            database,
        } = Caller::read(headers)?;
        let key = (user, database);
        let whole = connection_string(headers)?;
        if let Some(pool) = self.believed(&key, &password, whole) {
            return Ok(pool);
        }
        let _permit = self.permits.acquire().await;
        // Whoever waited behind somebody with the same password needn't ask again.
        if let Some(pool) = self.believed(&key, &password, whole) {
            return Ok(pool);
        }
        let (user, database) = &key;
        let config = self.config(user, &password, database);
        // In a box, because few requests need the room that it takes.
        let connection = Box::pin(log_in(&config, gateway.settings.wait)).await?;
        let pool = gateway.pool(config);
        pool.adopt(connection);
        let proved = Proved {
            password,
            at: Instant::now(),
            pool: Arc::downgrade(&pool),
        };
        let mut all = self.proved();
        all.retain(|_, proved| proved.at.elapsed() < BELIEVED);
        all.insert(key, proved);
        // It may have been the same caller with a password that isn't right any more.
        *self.last() = None;
        Ok(pool)
    }

    /// The pool that a password leads to, if it is believed; then so is the `whole` header that it is from.
    fn believed(
        &self,
        key: &(String, String),
        password: &Password,
        whole: &HeaderValue,
    ) -> Option<Arc<Pool>> {
        // Held to the end, so that what another proof made wrong is not remembered after it.
        let all = self.proved();
        let proved = all.get(key).filter(|proved| {
            proved.at.elapsed() < BELIEVED && proved.password.matches(password.as_bytes())
        })?;
        let pool = proved.pool.upgrade()?;
        *self.last() = Some(Last {
            connection_string: Password::new(whole.as_bytes()),
            until: proved.at + BELIEVED,
            pool: Weak::clone(&proved.pool),
        });
        Some(pool)
    }

    /// The pool that the same header led to the last time, while it is believed.
    fn same_as_last(&self, headers: &HeaderMap) -> Option<Arc<Pool>> {
        let connection_string = connection_string(headers).ok()?;
        let last = self.last();
        let last = last.as_ref().filter(|last| {
            !headers.contains_key(AUTHORIZATION)
                && Instant::now() < last.until
                && last.connection_string.matches(connection_string.as_bytes())
        });
        last?.pool.upgrade()
    }

    fn config(&self, user: &str, password: &Password, database: &str) -> Config {
        self.upstream
            .with_user(user, Some(password.clone()))
            .with_database(database)
    }

    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        // Replaced whole.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn proved(&self) -> MutexGuard<'_, HashMap<(String, String), Proved>> {
        // A map is right after every single change.
        self.proved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets Postgres look at a password.
async fn log_in(config: &Config, wait: Duration) -> Result<Connection, Failure> {
    let connection = patiently(Instant::now() + wait, wait, || Connection::connect(config))
        .await
        .map_err(blame)?;
    match connection.password_proved_by_login() {
        true => Ok(connection),
        false => Err(Failure::Password(config.user().to_owned())),
    }
}

fn blame(failure: Failure) -> Failure {
    match failure {
        Failure::Connect { error, .. } => caused_by_caller(error),
        other => other,
    }
}

/// What Postgres says when it refuses somebody is theirs to know: credentials (class 28), a database
/// that isn't there (3D) or isn't open to them (42). That it is away or full is not their doing.
pub(crate) fn caused_by_caller(error: Error) -> Failure {
    let by_caller = error.server().is_some_and(|error| {
        ["28", "3D", "42"]
            .iter()
            .any(|class| error.code.starts_with(class))
    });
    Failure::Connect { error, by_caller }
}
