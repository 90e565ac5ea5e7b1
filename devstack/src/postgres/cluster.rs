//! The cluster as others see it: started, with its addresses, stopped.

use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Instant;

use super::binaries::{Binaries, Source};
use super::credentials::Credentials;
use super::error::{Doing, Error};
use super::folder::Folder;
use super::server::{Launch, Server};
use super::syncing::Syncing;
use super::{orphans, setup};

/// What to start.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The cluster's folder, made if it isn't there.
    pub folder: PathBuf,
    /// The port on 127.0.0.1. If `None`: that of the last start while it is free, else a free one.
    pub port: Option<u16>,
    /// Where the programs come from.
    pub source: Source,
    /// Whether to clear what is in the folder first.
    pub reset: bool,
    /// Whether a commit survives the loss of power. Without, everything is faster, and it still
    /// survives the loss of any process.
    pub durable: bool,
}

impl Settings {
    /// A durable cluster in `folder`, kept from start to start, with the programs that
    /// [`Source::from_environment`] says.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            port: None,
            source: Source::from_environment(),
            reset: false,
            durable: true,
        }
    }
}

/// A running Postgres cluster of our own. Dropping it stops the server.
///
/// The calls block: a start takes about a second the first time, and a tenth of one later.
pub struct Cluster {
    // Dropped, and so stopped, before the folder is unlocked.
    server: Server,
    _syncing: Syncing,
    launch: Launch,
    folder: Folder,
    credentials: Credentials,
}

impl Cluster {
    /// Starts the cluster that `settings` describe, and sets it up first if it is new.
    ///
    /// # Errors
    /// Each of [`Error`] says what it is about. A start that failed leaves nothing running, and
    /// may be tried again.
    pub fn start(settings: &Settings) -> Result<Self, Error> {
        let folder = Folder::open(&settings.folder, settings.reset)?;
        Self::launch(folder, &settings.source, settings.port, settings.durable)
    }

    /// Starts a new cluster for one test or one test binary, on a port of its own, not durable. It
    /// goes away with the value, or with the process, if the value is in a `static`.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_temporary() -> Result<Self, Error> {
        Self::start_temporary_from(&Source::from_environment())
    }

    /// The same with the programs that `source` says.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_temporary_from(source: &Source) -> Result<Self, Error> {
        Self::launch(Folder::temporary()?, source, None, false)
    }

    /// The URL of `tirage`, a role that may connect to the database `tirage` and nothing else. The
    /// passwords of the components' roles are derived from the one in it, which never changes.
    pub fn url(&self) -> String {
        self.url_of("tirage", &self.credentials.user, "tirage")
    }

    /// The URL of `tirage_owner`, who owns the database and may make roles and databases, but is
    /// no superuser. Migrations run over it.
    pub fn admin_url(&self) -> String {
        self.url_of("tirage_owner", &self.credentials.owner, "tirage")
    }

    /// The URL of the superuser `postgres`, for tests that need one.
    pub fn superuser_url(&self) -> String {
        self.url_of("postgres", &self.credentials.superuser, "tirage")
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.launch.port
    }

    /// The folder of the Unix socket, which only the server's user and root may enter; `None` if
    /// the path would have been too long for a socket.
    pub fn socket_folder(&self) -> Option<&Path> {
        self.launch.socket_folder.as_deref()
    }

    /// The data directory. Not always below the cluster's folder.
    pub fn data_folder(&self) -> &Path {
        &self.launch.data
    }

    /// The server's version, such as `15.18`.
    pub fn version(&self) -> &str {
        self.launch.binaries.version()
    }

    /// The process id of the server's first process, the postmaster.
    pub fn postmaster(&self) -> u32 {
        self.server.pid()
    }

    /// How the server ended, if it has: nobody but a crash or a kill ends it while this lives.
    ///
    /// # Errors
    /// [`Error::Io`], if the system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.server.ended()
    }

    /// Starts the server again, on the same port, after stopping what is left of it.
    ///
    /// # Errors
    /// As [`Cluster::start`]; [`Error::PortTaken`] if somebody was quicker.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.server.stop()?;
        orphans::stop(&self.launch.data)?;
        self.server = Server::start(&self.launch)?;
        Ok(())
    }

    /// Stops the server, as dropping does, but says what went wrong.
    ///
    /// # Errors
    /// [`Error::Io`], if the system does not say how the server ended.
    pub fn stop(mut self) -> Result<(), Error> {
        self.server.stop()
    }

    fn launch(
        folder: Folder,
        source: &Source,
        port: Option<u16>,
        durable: bool,
    ) -> Result<Self, Error> {
        let began = Instant::now();
        let account = folder.account()?;
        let binaries = Binaries::find(source, account, &folder.data())?;
        let credentials = folder.credentials()?;
        setup::ensure(&folder, &binaries, account, &credentials, durable)?;
        orphans::stop(&folder.data())?;
        let mut launch = Launch {
            binaries,
            account,
            data: folder.data(),
            socket_folder: folder.socket_folder(account)?,
            port: 0,
            durable,
            remove: folder.vanishing().map(Path::to_owned),
        };
        let server = start_on(port, folder.last_port()?, &mut launch)?;
        folder.keep_port(launch.port)?;
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
            _syncing: Syncing::begin(&folder),
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
            .field("folder", &self.folder.path())
            .field("port", &self.launch.port)
            .finish_non_exhaustive()
    }
}

/// Starts on the port that is asked for; else on the last one if it is free; else on a free one,
/// trying again when somebody takes it between our look and the server's.
fn start_on(
    asked_for: Option<u16>,
    last: Option<u16>,
    launch: &mut Launch,
) -> Result<Server, Error> {
    if let Some(port) = asked_for {
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
        .doing(|| "find a free port on 127.0.0.1".to_owned())
}
