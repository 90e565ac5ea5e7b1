//! A running cluster: start, addresses, stop.

use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Instant;

use super::binaries::{Binaries, Source};
use super::credentials::Credentials;
use super::folder::Folder;
use super::server::{Launch, Server};
use super::{orphans, setup};
use crate::error::{Error, IoContext};

/// Configuration of a cluster.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Data folder, created if absent.
    pub folder: PathBuf,
    /// Port on 127.0.0.1; `None` for that of the last start, or a free one.
    pub port: Option<u16>,
    /// Origin of Postgres' programs.
    pub source: Source,
}

impl Settings {
    /// Configures a permanent cluster in `folder` with the programs of [`Source::from_environment`].
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            port: None,
            source: Source::from_environment(),
        }
    }
}

/// A running cluster. Dropping it stops the server.
///
/// Calls block: the first start takes about a second, later ones a tenth of that.
pub struct Cluster {
    // Stopped before the folder is unlocked.
    server: Server,
    launch: Launch,
    folder: Folder,
    credentials: Credentials,
}

impl Cluster {
    /// Starts a cluster, and sets it up first if it is new.
    ///
    /// # Errors
    /// [`Error`] says what is missing. A failed start leaves nothing running and can be repeated.
    pub fn start(settings: &Settings) -> Result<Self, Error> {
        let folder = Folder::open(&settings.folder)?;
        Self::launch(folder, &settings.source, settings.port)
    }

    /// Starts a new cluster for a test or a test binary, on a free port. It is removed when the value
    /// is dropped, or when the process ends (for a `static`).
    ///
    /// It doesn't sync to disk: its data survive the kill of a process, not a loss of power.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_temporary() -> Result<Self, Error> {
        Self::start_temporary_from(&Source::from_environment())
    }

    /// Like [`Cluster::start_temporary`], with the programs of `source`.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_temporary_from(source: &Source) -> Result<Self, Error> {
        Self::launch(Folder::temporary()?, source, None)
    }

    /// Returns the URL of `tirage`, a role that may only connect. The passwords of the components'
    /// roles are derived from its password, which never changes.
    pub fn url(&self) -> String {
        self.url_of("tirage", &self.credentials.user, "tirage")
    }

    /// Returns the URL of `tirage_owner`, which owns the database and may create roles and databases,
    /// but isn't a superuser. Migrations use it.
    pub fn admin_url(&self) -> String {
        self.url_of("tirage_owner", &self.credentials.owner, "tirage")
    }

    /// Returns the URL of the superuser `postgres`, for tests.
    pub fn superuser_url(&self) -> String {
        self.url_of("postgres", &self.credentials.superuser, "tirage")
    }

    /// Returns the port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.launch.port
    }

    /// Returns the folder of the Unix socket, which only the server's user and root may enter; `None`
    /// if its path is too long for a socket.
    pub fn socket_folder(&self) -> Option<&Path> {
        self.launch.socket_folder.as_deref()
    }

    /// Returns the data directory, which isn't always below the cluster's folder.
    pub fn data_folder(&self) -> &Path {
        &self.launch.data
    }

    /// Returns the server's version, such as `15.18`.
    pub fn version(&self) -> &str {
        self.launch.binaries.version()
    }

    /// Returns the process id of the server's first process, the postmaster.
    pub fn postmaster(&self) -> u32 {
        self.server.pid()
    }

    /// Returns the server's exit status if it has ended, which only a crash or a kill causes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.server.ended()
    }

    /// Stops what is left of the server, and starts it again on the same port.
    ///
    /// # Errors
    /// As [`Cluster::start`]; [`Error::PortTaken`] if another program took the port.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.server.stop()?;
        orphans::stop(&self.launch.data)?;
        self.server = Server::start(&self.launch)?;
        Ok(())
    }

    /// Stops the server, as dropping does, and returns errors.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn stop(mut self) -> Result<(), Error> {
        self.server.stop()
    }

    fn launch(folder: Folder, source: &Source, port: Option<u16>) -> Result<Self, Error> {
        let began = Instant::now();
        let account = folder.account()?;
        let binaries = Binaries::find(source, account, &folder.data())?;
        let credentials = folder.credentials()?;
        setup::ensure(&folder, &binaries, account, &credentials)?;
        orphans::stop(&folder.data())?;
        let mut launch = Launch {
            binaries,
            account,
            data: folder.data(),
            socket_folder: folder.socket_folder(account)?,
            port: 0,
            temporary: folder.data_folder.temporary_path().map(Path::to_owned),
        };
        let server = start_on(port, folder.data_folder.last_port()?, &mut launch)?;
        folder.data_folder.keep_port(launch.port)?;
        tracing::info!(
            "Postgres {} from {} listens on 127.0.0.1:{}, data in {}, ready in {} ms",
            launch.binaries.version(),
            launch.binaries.folder().display(),
            launch.port,
            launch.data.display(),
            began.elapsed().as_millis(),
        );
        Ok(Self {
            server,
            launch,
            folder,
            credentials,
        })
    }

    fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        format!(
            "postgres://{user}:{password}@127.0.0.1:{}/{database}",
            self.launch.port
        )
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("folder", &self.folder.data_folder.path())
            .field("port", &self.launch.port)
            .finish_non_exhaustive()
    }
}

/// Starts on the requested port, else on that of the last start, else on a free one. Tries again if
/// another program takes the free port before the server does.
fn start_on(
    requested: Option<u16>,
    last: Option<u16>,
    launch: &mut Launch,
) -> Result<Server, Error> {
    if let Some(port) = requested {
        launch.port = port;
        return Server::start(launch);
    }
    let mut last = last.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    let mut attempts = 5;
    loop {
        launch.port = match last.take() {
            Some(port) => port,
            None => free_port()?,
        };
        attempts -= 1;
        match Server::start(launch) {
            Err(Error::PortTaken(_)) if attempts > 0 => {}
            result => return result,
        }
    }
}

fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .with_action(|| "find a free port on 127.0.0.1".to_owned())
}
