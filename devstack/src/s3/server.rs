//! The server: listens on loopback, answers until it is stopped.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Version};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{HttpError, HttpResponse};

use super::access::Access;
use super::cors::Cors;
use super::credentials::Credentials;
use super::error::{Doing, Error};
use super::folder::Folder;
use super::host::Localhost;
use super::operations::Operations;
use super::storage::Storage;

/// The region that signatures are for.
pub const REGION: &str = "fr-par";
/// The bucket that is there from the start.
pub const BUCKET: &str = "tirage";

/// How long requests under way may take once the server is told to stop.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client may take to say what it wants.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// After an error to accept, as when there are no more file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// What is served, and to whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder, made if it isn't there; `None` for one that goes away with the server.
    pub folder: Option<PathBuf>,
    /// The port on 127.0.0.1; `None` for that of the last run, or a free one.
    pub port: Option<u16>,
    /// Origins whose pages may send requests and read answers; `*` for all.
    pub allowed_origins: Vec<String>,
    /// The largest object that is taken, in bytes.
    pub max_object_size: u64,
}

impl Settings {
    /// 5 GiB, as with S3.
    pub const MAX_OBJECT_SIZE: u64 = 5 << 30;
}

impl Default for Settings {
    /// A temporary server, open to all origins.
    fn default() -> Self {
        Self {
            folder: None,
            port: None,
            allowed_origins: vec!["*".to_owned()],
            max_object_size: Self::MAX_OBJECT_SIZE,
        }
    }
}

/// A server that holds its folder and its port, and answers once it is served.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    credentials: Credentials,
    handler: Handler,
    _folder: Folder,
}

impl Server {
    /// Takes folder and port. From then on connections wait to be accepted.
    ///
    /// # Errors
    /// When the folder is in use or can't be used, or the port is taken.
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        let folder = match &settings.folder {
            Some(folder) => Folder::open(folder)?,
            None => Folder::temporary()?,
        };
        let credentials = Credentials::read_or_create(&folder.path().join("credentials.json"))?;
        let storage = Storage::open(folder.path(), settings.max_object_size)?;
        storage
            .create_bucket(BUCKET)
            .doing(|| format!("make the bucket {BUCKET}"))?;
        let listener = listen(settings.port, folder.last_port())?;
        let address = listener
            .local_addr()
            .doing(|| "find out the port".to_owned())?;
        folder.keep_port(address.port())?;
        Ok(Self {
            listener,
            address,
            handler: Handler {
                s3: service(storage, &credentials),
                cors: Cors::new(settings.allowed_origins.clone()),
            },
            credentials,
            _folder: folder,
        })
    }

    /// `http://127.0.0.1:<port>`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The keys.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Answers until `stop` is ready; then accepts nothing new, and waits for requests under way, 5
    /// seconds at most.
    ///
    /// # Errors
    /// When the runtime doesn't take the socket.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let listener = tokio::net::TcpListener::from_std(self.listener)
            .doing(|| format!("listen on {}", self.address))?;
        let connections = GracefulShutdown::new();
        accept(&listener, &self.handler, &connections, stop).await;
        drop(listener);
        let ended = tokio::time::timeout(PATIENCE, connections.shutdown());
        if ended.await.is_err() {
            tracing::warn!("requests were still under way after {PATIENCE:?}");
        }
        Ok(())
    }
}

/// The wished port, or else that of the last run if nobody has taken it, or else any.
fn listen(wished: Option<u16>, last: Option<u16>) -> Result<TcpListener, Error> {
    let bind = |port| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    if let Some(port) = wished {
        return bind(port).doing(|| format!("listen on 127.0.0.1:{port}"));
    }
    if let Some(port) = last {
        match bind(port) {
            Ok(listener) => return Ok(listener),
            Err(error) => tracing::warn!("port {port} of the last run is not free: {error}"),
        }
    }
    bind(0).doing(|| "listen on 127.0.0.1".to_owned())
}

fn service(storage: Storage, credentials: &Credentials) -> S3Service {
    let mut builder = S3ServiceBuilder::new(Operations(Arc::new(storage)));
    builder.set_auth(SimpleAuth::from_single(
        credentials.access_key_id.clone(),
        credentials.secret_access_key.clone(),
    ));
    builder.set_access(Access { region: REGION });
    builder.set_host(Localhost);
    builder.build()
}

#[derive(Clone)]
struct Handler {
    s3: S3Service,
    cors: Cors,
}

impl Handler {
    async fn answer(&self, request: http::Request<Incoming>) -> Result<HttpResponse, HttpError> {
        if let Some(response) = self.cors.preflight(&request) {
            return Ok(response);
        }
        let origin = self.cors.origin(request.headers());
        // A refusal may come before the body was read, and then the connection can't be used again: that is
        // said, or the client would send its next request into a connection that is being closed.
        let may_have_unread =
            request.version() < Version::HTTP_2 && !request.body().is_end_stream();
        let mut response = self.s3.call(request.map(s3s::Body::from)).await?;
        if may_have_unread && !response.status().is_success() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        self.cors.expose(origin, response.headers_mut());
        Ok(response)
    }
}

/// Accepts until `stop` is ready.
async fn accept(
    listener: &tokio::net::TcpListener,
    handler: &Handler,
    connections: &GracefulShutdown,
    stop: impl Future<Output = ()>,
) {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    http.http2().timer(TokioTimer::new());
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Without it small answers wait for acknowledgements.
        let _ = stream.set_nodelay(true);
        let handler = handler.clone();
        let answer = service_fn(move |request| {
            let handler = handler.clone();
            async move { handler.answer(request).await }
        });
        let connection = http.serve_connection(TokioIo::new(stream), answer);
        let connection = connections.watch(connection.into_owned());
        tokio::spawn(async move {
            // A client that leaves is nobody's fault.
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended: {error}");
            }
        });
    }
}
