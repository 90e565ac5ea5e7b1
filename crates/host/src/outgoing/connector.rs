//! Opens connections for outgoing requests: resolves the name, checks the addresses, and connects to
//! a checked address.
//!
//! The check follows name resolution and covers each address, so a name that resolves into a private
//! network is refused. There is no second look-up that could return another address (DNS rebinding).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tirage_manifest::{AllowedHosts, Grant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;
use wasmtime_wasi_http::Error;

use super::address::scope;
use super::destination::Destination;

/// Open connections per concurrent call of a component. Idle connections of earlier calls count, so
/// that they can't use up the file descriptors of the process.
const CONNECTIONS_PER_CALL: usize = 4;

tokio::task_local! {
    /// Timeout of connecting for the current request: name resolution, the TCP and the TLS handshake
    /// together. hyper's client can pass it to the connector in no other way.
    pub(super) static CONNECT_TIMEOUT: Duration;
}

/// An error of opening a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("invalid destination URI")]
    Destination,
    #[error("the component may not connect to this address")]
    Prohibited,
    #[error("the component has too many open connections")]
    TooMany,
    #[error("cannot resolve the host name: {0}")]
    Resolve(io::Error),
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("TLS handshake failed: {0}")]
    Tls(io::Error),
    #[error("timeout while connecting")]
    Timeout,
}

impl From<&ConnectError> for Error {
    fn from(error: &ConnectError) -> Self {
        match error {
            ConnectError::Destination => Self::HttpRequestUriInvalid,
            ConnectError::Prohibited => Self::DestinationIpProhibited,
            ConnectError::TooMany => Self::ConnectionLimitReached,
            ConnectError::Timeout => Self::ConnectionTimeout,
            ConnectError::Connect(_) => Self::ConnectionRefused,
            ConnectError::Tls(error) => match error.get_ref() {
                Some(inner) if is_certificate_error(inner) => Self::TlsCertificateError,
                _ => Self::TlsProtocolError,
            },
            ConnectError::Resolve(_) => Self::DnsError {
                rcode: None,
                info_code: None,
            },
        }
    }
}

fn is_certificate_error(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    matches!(
        error.downcast_ref::<rustls::Error>(),
        Some(rustls::Error::InvalidCertificate(_))
    )
}

/// Connector of one component.
#[derive(Clone)]
pub(super) struct Connector {
    allowed: AllowedHosts,
    tls: Arc<rustls::ClientConfig>,
    connections: Arc<Semaphore>,
}

impl Connector {
    /// Creates the connector of a component that makes at most `max_calls` concurrent calls.
    pub(super) fn new(allowed: AllowedHosts, max_calls: usize) -> Self {
        let connections = max_calls
            .saturating_mul(CONNECTIONS_PER_CALL)
            .min(Semaphore::MAX_PERMITS);
        Self {
            allowed,
            tls: Arc::new(tirage_net::tls::client_config(&[])),
            connections: Arc::new(Semaphore::new(connections)),
        }
    }

    async fn connect(self, uri: Uri) -> Result<Stream, ConnectError> {
        let destination = Destination::parse(&uri).map_err(|_| ConnectError::Destination)?;
        let Ok(permit) = self.connections.acquire_owned().await else {
            return Err(ConnectError::TooMany);
        };
        let Destination { scheme, host, port } = &destination;
        let grant = self.allowed.grant(scheme, &host.to_string(), Some(*port));
        let permitted = permitted(resolve(host, *port).await?, grant, host)?;
        let stream = TcpStream::connect(&*permitted)
            .await
            .map_err(ConnectError::Connect)?;
        // Nagle's algorithm would delay small requests until earlier data is acknowledged.
        stream.set_nodelay(true).map_err(ConnectError::Connect)?;
        if *scheme == "http" {
            return Ok(Stream::Plain { stream, permit });
        }
        let stream = TlsConnector::from(self.tls)
            .connect(server_name(host)?, stream)
            .await
            .map_err(ConnectError::Tls)?;
        Ok(Stream::Tls {
            stream: Box::new(stream),
            permit,
        })
    }
}

fn server_name(host: &Host) -> Result<ServerName<'static>, ConnectError> {
    match host {
        Host::Domain(name) => ServerName::try_from(name.clone())
            .map_err(|error| ConnectError::Tls(io::Error::other(error))),
        Host::Ipv4(address) => Ok(IpAddr::from(*address).into()),
        Host::Ipv6(address) => Ok(IpAddr::from(*address).into()),
    }
}

async fn resolve(host: &Host, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let addresses: Vec<_> = match host {
        Host::Ipv4(address) => vec![(*address, port).into()],
        Host::Ipv6(address) => vec![(*address, port).into()],
        Host::Domain(name) if is_below_localhost(name) => vec![
            (Ipv4Addr::LOCALHOST, port).into(),
            (Ipv6Addr::LOCALHOST, port).into(),
        ],
        Host::Domain(name) => tokio::net::lookup_host((name.as_str(), port))
            .await
            .map_err(ConnectError::Resolve)?
            .collect(),
    };
    match addresses.is_empty() {
        true => Err(ConnectError::Resolve(io::Error::other(
            "the host name has no address",
        ))),
        false => Ok(addresses),
    }
}

/// `true` for names below `localhost`, which RFC 6761, section 6.3, reserves for loopback addresses.
/// Few resolvers implement that.
fn is_below_localhost(name: &str) -> bool {
    name.strip_suffix('.')
        .unwrap_or(name)
        .ends_with(".localhost")
}

/// Returns the addresses to which a connection is permitted.
fn permitted(
    mut addresses: Vec<SocketAddr>,
    grant: Option<Grant>,
    host: &Host,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let is_literal = !matches!(host, Host::Domain(_));
    addresses.retain(|address| scope(address.ip()).permits(grant, is_literal));
    match addresses.is_empty() {
        true => Err(ConnectError::Prohibited),
        false => Ok(addresses),
    }
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
        let timeout = CONNECT_TIMEOUT.try_with(|timeout| *timeout);
        Box::pin(async move {
            let timeout = timeout.map_err(|_| ConnectError::Timeout)?;
            tokio::time::timeout(timeout, connecting)
                .await
                .map_err(|_| ConnectError::Timeout)?
                .map(TokioIo::new)
        })
    }
}

pin_project_lite::pin_project! {
    /// An open connection, with or without TLS. Holds its permit until it is closed.
    #[project = StreamProjection]
    pub(super) enum Stream {
        Plain { #[pin] stream: TcpStream, permit: OwnedSemaphorePermit },
        Tls { #[pin] stream: Box<TlsStream<TcpStream>>, permit: OwnedSemaphorePermit },
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
            StreamProjection::Plain { stream, .. } => stream.poll_read(context, buffer),
            StreamProjection::Tls { stream, .. } => stream.poll_read(context, buffer),
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
            StreamProjection::Plain { stream, .. } => stream.poll_write(context, bytes),
            StreamProjection::Tls { stream, .. } => stream.poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.project() {
            StreamProjection::Plain { stream, .. } => stream.poll_flush(context),
            StreamProjection::Tls { stream, .. } => stream.poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.project() {
            StreamProjection::Plain { stream, .. } => stream.poll_shutdown(context),
            StreamProjection::Tls { stream, .. } => stream.poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted_addresses(
        host: &str,
        grant: Grant,
        addresses: &[&str],
    ) -> Result<Vec<String>, ConnectError> {
        let addresses = addresses
            .iter()
            .map(|address| SocketAddr::new(address.parse().unwrap(), 80))
            .collect();
        let permitted = permitted(addresses, Some(grant), &Host::parse(host).unwrap())?;
        Ok(permitted.iter().map(|a| a.ip().to_string()).collect())
    }

    #[test]
    fn a_wildcard_permits_only_the_public_addresses_of_a_name() {
        let mixed = ["127.0.0.1", "1.1.1.1", "10.0.0.1", "::1", "2606:4700::1"];
        let public = permitted_addresses("rebind.test", Grant::Wildcard, &mixed).unwrap();
        assert_eq!(public, ["1.1.1.1", "2606:4700::1"]);
        let private =
            permitted_addresses("rebind.test", Grant::Wildcard, &["127.0.0.1", "10.0.0.1"]);
        assert!(matches!(private, Err(ConnectError::Prohibited)));
    }

    #[test]
    fn a_named_host_may_resolve_to_a_private_but_not_to_a_link_local_address() {
        let addresses = ["10.0.0.1", "169.254.169.254", "fe80::1"];
        let permitted = permitted_addresses("db.internal", Grant::Named, &addresses).unwrap();
        assert_eq!(permitted, ["10.0.0.1"]);
    }

    #[tokio::test]
    async fn a_name_below_localhost_is_loopback_and_must_be_named() {
        for name in ["bucket.localhost", "bucket.localhost."] {
            let host = Host::parse(name).unwrap();
            let addresses = resolve(&host, 80).await.unwrap();
            assert!(addresses.iter().all(|address| address.ip().is_loopback()));
            assert!(permitted(addresses.clone(), Some(Grant::Wildcard), &host).is_err());
            assert!(permitted(addresses, Some(Grant::Named), &host).is_ok());
        }
    }

    #[test]
    fn a_link_local_address_must_be_named_literally() {
        let address = "169.254.169.254";
        assert!(permitted_addresses(address, Grant::Wildcard, &[address]).is_err());
        assert!(permitted_addresses(address, Grant::Named, &[address]).is_ok());
        assert!(permitted_addresses(address, Grant::Network, &[address]).is_ok());
        assert!(permitted_addresses("0.0.0.0", Grant::Named, &["0.0.0.0"]).is_err());
    }
}
