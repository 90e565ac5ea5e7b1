//! Opens connections for outgoing requests: resolve, check, connect to exactly what was checked.
//!
//! The check comes after name resolution and on each address, so a name that points into a private
//! network opens nothing, and there is no second look-up in between that could answer otherwise.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tirage_manifest::{AllowedHosts, Grant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address::{Reach, reach};

/// Longest time for name resolution, the TCP and the TLS handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// No connection could be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the address is not a destination that this component may reach")]
    Prohibited,
    #[error("the name cannot be resolved: {0}")]
    Resolve(io::Error),
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    #[error("connecting took too long")]
    Timeout,
}

/// One component's connector.
#[derive(Clone)]
pub(super) struct Connector {
    allowed: AllowedHosts,
    tls: Arc<rustls::ClientConfig>,
}

impl Connector {
    pub(super) fn new(allowed: AllowedHosts) -> Self {
        let roots = rustls::RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.into(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        #[expect(clippy::expect_used, reason = "ring supports the default versions")]
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider supports TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            allowed,
            tls: Arc::new(tls),
        }
    }

    async fn connect(self, uri: Uri) -> Result<Stream, ConnectError> {
        let https = uri.scheme() == Some(&Scheme::HTTPS);
        let (scheme, default_port) = if https { ("https", 443) } else { ("http", 80) };
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(default_port);

        // A wildcard allows the internet; the private network behind it has to be named.
        let may_be_private = matches!(
            self.allowed.grant(scheme, host, Some(port)),
            Some(Grant::Named | Grant::Network)
        );
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = connect_to_any(host, port, may_be_private).await?;
        // Small requests and answers must not wait for each other's acknowledgement.
        stream.set_nodelay(true).map_err(ConnectError::Connect)?;
        if !https {
            return Ok(Stream::Plain { stream });
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| ConnectError::Tls(io::Error::other(error)))?;
        let stream = TlsConnector::from(self.tls)
            .connect(name, stream)
            .await
            .map_err(ConnectError::Tls)?;
        Ok(Stream::Tls {
            stream: Box::new(stream),
        })
    }
}

async fn connect_to_any(
    host: &str,
    port: u16,
    may_be_private: bool,
) -> Result<TcpStream, ConnectError> {
    let mut last = ConnectError::Resolve(io::Error::other("the name has no address"));
    for address in resolve(host, port).await? {
        match reach(address.ip()) {
            Reach::Public => {}
            Reach::Private if may_be_private => {}
            Reach::Private | Reach::Forbidden => {
                last = ConnectError::Prohibited;
                continue;
            }
        }
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = ConnectError::Connect(error),
        }
    }
    Err(last)
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    Ok(tokio::net::lookup_host((host, port))
        .await
        .map_err(ConnectError::Resolve)?
        .collect())
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.clone().connect(uri);
        Box::pin(async {
            tokio::time::timeout(CONNECT_TIMEOUT, connecting)
                .await
                .map_err(|_| ConnectError::Timeout)?
                .map(TokioIo::new)
        })
    }
}

pin_project_lite::pin_project! {
    /// An open connection, encrypted or not.
    #[project = StreamProjection]
    pub(super) enum Stream {
        Plain { #[pin] stream: TcpStream },
        Tls { #[pin] stream: Box<TlsStream<TcpStream>> },
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.project() {
            StreamProjection::Plain { stream } => stream.poll_read(context, buffer),
            StreamProjection::Tls { stream } => stream.poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.project() {
            StreamProjection::Plain { stream } => stream.poll_write(context, bytes),
            StreamProjection::Tls { stream } => stream.poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.project() {
            StreamProjection::Plain { stream } => stream.poll_flush(context),
            StreamProjection::Tls { stream } => stream.poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.project() {
            StreamProjection::Plain { stream } => stream.poll_shutdown(context),
            StreamProjection::Tls { stream } => stream.poll_shutdown(context),
        }
    }
}
