//! Opens the byte stream of a connection or a cancel request: TCP or a Unix socket, with TLS if
//! `sslmode` requires it.
//!
//! TLS begins in the middle of the stream, after an SSLRequest
//! (<https://www.postgresql.org/docs/current/protocol-flow.html>, 54.2.10). Exactly one byte of the
//! reply is read before the handshake, so that clear text which an attacker injects before it is never
//! mistaken for the server's.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::config::SslMode;
use crate::{Config, Error, Host, tls};

/// Any stream to Postgres.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Socket for T {}

/// Idle time after which the kernel probes the peer.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// An open stream.
pub(crate) struct Opened {
    pub(crate) stream: Box<dyn Socket>,
    /// Channel binding data of an encrypted stream.
    pub(crate) binding: Option<Vec<u8>>,
}

impl Opened {
    fn plain(stream: impl Socket + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            binding: None,
        }
    }
}

/// Opens a stream to the server. The caller sets a timeout.
pub(crate) async fn open(config: &Config) -> Result<Opened, Error> {
    if let Some(file) = config.socket_file() {
        return match UnixStream::connect(&file).await {
            Ok(stream) => Ok(Opened::plain(stream)),
            Err(source) => Err(unreachable(config, source)),
        };
    }
    let Host::Tcp(host) = config.host() else {
        return Err(Error::Broken);
    };
    let mut stream = TcpStream::connect((host.as_str(), config.port()))
        .await
        .map_err(|source| unreachable(config, source))?;
    stream.set_nodelay(true).map_err(Error::Lost)?;
    SockRef::from(&stream)
        .set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
        .map_err(Error::Lost)?;

    if config.ssl_mode == SslMode::Disable {
        return Ok(Opened::plain(stream));
    }
    if server_offers_tls(&mut stream).await.map_err(Error::Lost)? {
        let stream = tls::handshake(config, host, stream).await?;
        return Ok(Opened {
            binding: tls::server_end_point(&stream),
            stream: Box::new(stream),
        });
    }
    match config.ssl_mode {
        SslMode::Disable | SslMode::Prefer => Ok(Opened::plain(stream)),
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Err(Error::TlsRefused),
    }
}

async fn server_offers_tls(stream: &mut TcpStream) -> io::Result<bool> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await?;
    // A server that is too old to know the request sends an error ('E').
    Ok(stream.read_u8().await? == b'S')
}

fn unreachable(config: &Config, source: io::Error) -> Error {
    Error::Unreachable {
        address: config.to_string(),
        source,
    }
}
