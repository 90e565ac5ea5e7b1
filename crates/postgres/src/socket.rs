//! Opens the byte stream that a connection or a cancel request talks over: TCP or a Unix socket,
//! with TLS where `sslmode` asks for it.
//!
//! TLS begins in the middle of the stream, after an SSLRequest
//! (<https://www.postgresql.org/docs/current/protocol-flow.html>, 54.2.10). Exactly one byte of the
//! answer is read before the handshake, so nothing that somebody slipped in before it in clear
//! text is ever taken for the server's word.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::{Config, Error, Host, SslMode, tls};

/// Any of the streams that Postgres is reached over.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Socket for T {}

/// Silence after which the kernel asks whether the peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// An open stream.
pub(crate) struct Opened {
    pub(crate) stream: Box<dyn Socket>,
    /// What binds a login to this stream and no other, where it is encrypted.
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

/// Opens a stream to the configured server. The caller bounds the time.
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

    if config.ssl_mode() == SslMode::Disable {
        return Ok(Opened::plain(stream));
    }
    if server_offers_tls(&mut stream).await.map_err(Error::Lost)? {
        let stream = tls::handshake(config, host, stream).await?;
        return Ok(Opened {
            binding: tls::server_end_point(&stream),
            stream: Box::new(stream),
        });
    }
    match config.ssl_mode() {
        SslMode::Disable | SslMode::Prefer => Ok(Opened::plain(stream)),
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Err(Error::TlsRefused),
    }
}

async fn server_offers_tls(stream: &mut TcpStream) -> io::Result<bool> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await?;
    // A server too old to know the request answers with an error ('E'), and so offers none.
    Ok(stream.read_u8().await? == b'S')
}

fn unreachable(config: &Config, source: io::Error) -> Error {
    Error::Unreachable {
        address: config.to_string(),
        source,
    }
}
