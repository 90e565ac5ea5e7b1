//! HTTP servers on 127.0.0.1: the port and the accept loop.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use tirage_net::listen::{self, BoxError};

use crate::data_folder::DataFolder;
use crate::error::{Error, IoContext};

const OPTIONS: listen::Options = listen::Options {
    max_connections: 1024,
    head_timeout: Duration::from_secs(30),
    // Longer than clients keep idle connections, so that they don't send into a closing one.
    keep_alive_timeout: Duration::from_secs(100),
    drain_timeout: Duration::from_secs(5),
    max_streams: 128,
};

/// A listening socket. Connections wait until [`Loopback::serve`].
pub(crate) struct Loopback {
    listener: TcpListener,
    address: SocketAddr,
}

impl Loopback {
    /// Listens on the requested port, else on that of the folder's last start, else on a free one.
    /// Keeps the port for the next start.
    ///
    /// # Errors
    /// [`Error::PortTaken`] for a requested port, [`Error::Io`].
    pub(crate) fn bind(folder: &DataFolder, requested: Option<u16>) -> Result<Self, Error> {
        let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let last = folder.last_port()?;
        let bound = match requested {
            Some(port) => bind(port),
            None => last
                .and_then(|port| bind(port).ok())
                .map_or_else(|| bind(0), Ok),
        };
        let listener = match (bound, requested) {
            (Err(error), Some(port)) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(Error::PortTaken(port));
            }
            (bound, _) => bound.with_action(|| "listen on 127.0.0.1".to_owned())?,
        };
        let address = listener
            .set_nonblocking(true)
            .and_then(|()| listener.local_addr())
            .with_action(|| "look up the port".to_owned())?;
        folder.keep_port(address.port())?;
        Ok(Self { listener, address })
    }

    /// Returns `http://127.0.0.1:<port>`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves until `stop` resolves, then finishes requests in flight.
    ///
    /// # Errors
    /// [`Error::Io`] if the runtime refuses the socket.
    pub(crate) async fn serve<H, F, B, E>(
        self,
        handler: H,
        stop: impl Future<Output = ()>,
    ) -> Result<(), Error>
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response<B>, E>> + Send + 'static,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let listener = tokio::net::TcpListener::from_std(self.listener)
            .with_action(|| format!("listen on {}", self.address))?;
        let handler = move |_, request| handler(request);
        listen::serve(listener, OPTIONS, handler, stop).await;
        Ok(())
    }
}
