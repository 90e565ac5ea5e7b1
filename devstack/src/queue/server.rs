//! The queue on a socket of its own: HTTP/1.1 on 127.0.0.1, from the first request to the last.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::Error;
use super::answer::Answers;
use super::attributes::{Attributes, QueueName, Redrive};
use super::folder::{Folder, Keys};
use super::message::Moment;
use super::queues::Queues;
use super::service::Service;
use super::store::Store;

/// How long a client may take to send a request's headers.
const HEADERS: Duration = Duration::from_secs(10);

/// How long requests in flight get when the server ends. Those that wait for messages are answered
/// at once.
const DRAIN: Duration = Duration::from_secs(5);

/// The pause after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(20);

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where messages, keys and port are kept; made if it isn't there.
    pub folder: PathBuf,
    /// The port on 127.0.0.1. Without: that of the last start, or a free one.
    pub port: Option<u16>,
    /// The queue that is there from the start. Its dead-letter queue has `-dead` after the name.
    pub queue: QueueName,
    /// How long that queue hides a received message.
    pub visibility_seconds: u32,
    /// How often that queue hands a message out, before it goes to the dead-letter queue.
    pub max_receives: u32,
}

/// A server with its folder and its port, ready to be served.
pub struct Server {
    listener: std::net::TcpListener,
    address: SocketAddr,
    keys: Keys,
    queue: QueueName,
    store: Store,
    queues: Queues,
    failed: oneshot::Receiver<()>,
}

impl Server {
    /// Opens the folder, reads what is kept there, and takes the port.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        let folder = Folder::open(&settings.folder)?;
        let dead_letters = settings.queue.dead_letters()?;
        let (failure, failed) = oneshot::channel();
        // First, since it keeps other processes out.
        let prepare = |queues: &mut Queues| prepare(queues, settings, dead_letters);
        let (store, queues) = Store::open(folder.path(), prepare, failure)?;
        let keys = folder.keys()?;
        let listener = match (settings.port, folder.last_port()?) {
            (Some(port), _) => bind(port).map_err(|_| Error::PortTaken(port))?,
            (None, Some(last)) => bind(last).or_else(|_| bind(0)).map_err(no_port)?,
            (None, None) => bind(0).map_err(no_port)?,
        };
        let address = listener.local_addr().map_err(no_port)?;
        folder.keep_port(address.port())?;
        Ok(Self {
            listener,
            address,
            keys,
            queue: settings.queue.clone(),
            store,
            queues,
            failed,
        })
    }

    /// Where the server is, as clients have to be told.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What clients have to sign with.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The URL of the queue that the settings name.
    #[must_use]
    pub fn queue_url(&self) -> String {
        super::operations::url(&self.endpoint(), &self.queue)
    }

    /// Serves until `shutdown` is ready, then ends in good order.
    ///
    /// # Errors
    /// When messages can no longer be written, or connections no longer be accepted.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let listener = self
            .listener
            .set_nonblocking(true)
            .and_then(|()| TcpListener::from_std(self.listener))
            .map_err(no_port)?;
        let service = Arc::new(Service::new(self.queues, self.store.writing()));
        let endpoint = format!("http://{}", self.address);
        let answers = Arc::new(Answers::new(service.clone(), endpoint, self.keys));
        let graceful = GracefulShutdown::new();
        let result = accept(&listener, &answers, &graceful, shutdown, self.failed).await;
        drop(listener);
        service.end();
        if tokio::time::timeout(DRAIN, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("the queue stops although not all was answered");
        }
        self.store.close();
        result
    }
}

/// Makes the settings' queue and its dead-letter queue, or sets those that are there.
fn prepare(queues: &mut Queues, settings: &Settings, dead_letters: QueueName) {
    queues.ensure(dead_letters.clone(), |_| {}, Moment::now());
    let set = |attributes: &mut Attributes| {
        attributes.visibility_seconds = settings.visibility_seconds;
        attributes.redrive = Some(Redrive {
            dead_letters,
            max_receives: settings.max_receives,
        });
    };
    queues.ensure(settings.queue.clone(), set, Moment::now());
}

async fn accept(
    listener: &TcpListener,
    answers: &Arc<Answers>,
    graceful: &GracefulShutdown,
    shutdown: impl Future<Output = ()>,
    mut failed: oneshot::Receiver<()>,
) -> Result<(), Error> {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS);
    let mut shutdown = pin!(shutdown);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // A client that left, or no more files for now; neither is for good.
                    tracing::warn!(%error, "the queue could not accept a connection");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
            () = &mut shutdown => return Ok(()),
            _ = &mut failed => return Err(Error::Unwritable),
        };
        let _delay = stream.set_nodelay(true);
        let answers = answers.clone();
        let service = service_fn(move |request| {
            let answers = answers.clone();
            async move { Ok::<_, Infallible>(answers.answer(request).await) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the queue ended");
            }
        });
    }
}

fn bind(port: u16) -> io::Result<std::net::TcpListener> {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

fn no_port(error: io::Error) -> Error {
    Error::Io {
        doing: "listen on 127.0.0.1".to_owned(),
        error,
    }
}
