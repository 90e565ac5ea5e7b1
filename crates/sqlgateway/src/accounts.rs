//! Whom the gateway believes on a socket.
//!
//! Two kinds: accounts of the gateway's own, with passwords that were made for it (a laptop's
//! services); or whoever Postgres lets in, with the password that Postgres knows (the gateway stands
//! in front of somebody's database). In the second kind, a login proves the password once, and for a
//! minute after that the same password is believed without asking; a changed one is asked about at
//! once. A Postgres that lets people in without asking (`trust`) proves nothing, and so nobody gets
//! in through the gateway.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tirage_postgres::{Config, Connection, Error, Password};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::connection_string::ConnectionString;
use crate::failure::Failure;
use crate::gateway::Gateway;
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
        })))
    }

    /// The pool of whoever the connection string names, if the password is right.
    ///
    /// # Errors
    /// [`Failure::Password`], and [`Failure::Connect`] with what Postgres says.
    pub(crate) async fn pool(
        &self,
        gateway: &Gateway,
        caller: ConnectionString,
    ) -> Result<Arc<Pool>, Failure> {
        match &self.0 {
            Kind::Own(accounts) => match accounts.get(&caller.user) {
                Some((right, config)) if right.matches(caller.password.as_bytes()) => {
                    Ok(gateway.pool(config.with_database(caller.database)))
                }
                _ => Err(Failure::Password(caller.user)),
            },
            Kind::Postgres(logins) => logins.pool(gateway, caller).await,
        }
    }
}

/// Passwords that Postgres itself was asked about.
#[derive(Debug)]
struct Logins {
    upstream: Config,
    permits: Semaphore,
    /// By user and database: the password that was right, and when.
    proved: Mutex<HashMap<(String, String), (Password, Instant)>>,
}

impl Logins {
    async fn pool(
        &self,
        gateway: &Gateway,
        caller: ConnectionString,
    ) -> Result<Arc<Pool>, Failure> {
        let ConnectionString {
            user,
            password,
            database,
        } = caller;
        let config = self
            .upstream
            .with_user(&*user, Some(password.clone()))
            .with_database(&*database);
        let key = (user, database);
        let is_believed = self.proved().get(&key).is_some_and(|(right, at)| {
            at.elapsed() < BELIEVED && right.matches(password.as_bytes())
        });
        if is_believed {
            return Ok(gateway.pool(config));
        }
        let connection = self.log_in(&config).await?;
        let pool = gateway.pool(config);
        pool.adopt(connection);
        let mut proved = self.proved();
        proved.retain(|_, (_, at)| at.elapsed() < BELIEVED);
        proved.insert(key, (password, Instant::now()));
        Ok(pool)
    }

    async fn log_in(&self, config: &Config) -> Result<Connection, Failure> {
        let _permit = self.permits.acquire().await;
        match Connection::connect(config).await {
            Ok(connection) if connection.password_proved_by_login() => Ok(connection),
            Ok(_) => Err(Failure::Password(config.user().to_owned())),
            Err(error) => Err(caused_by_caller(error)),
        }
    }

    fn proved(&self) -> MutexGuard<'_, HashMap<(String, String), (Password, Instant)>> {
        // A map is right after every single change.
        self.proved.lock().unwrap_or_else(PoisonError::into_inner)
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
