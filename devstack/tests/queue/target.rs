//! An application for trigger and cron: records requests, counts concurrent ones, and responds as a test
//! tells it to.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A received request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
}

impl Call {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Returns the status and the delay of the response.
pub(crate) type Respond = Box<dyn Fn(&Call) -> (StatusCode, Duration) + Send + Sync>;

#[derive(Default)]
struct Seen {
    calls: Vec<Call>,
    now: usize,
    most: usize,
}

pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _connections: JoinSet<()>,
}

/// Counts a request down when it ends, in any way.
struct Present(Arc<Mutex<Seen>>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.lock().unwrap().now -= 1;
    }
}

impl Target {
    pub(crate) async fn start(respond_with: Respond) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), respond_with).await
    }

    pub(crate) async fn start_at(address: SocketAddr, respond_with: Respond) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let respond_with = Arc::new(respond_with);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, seen.clone(), respond_with));
        Self {
            address,
            seen,
            _connections: accepting,
        }
    }

    /// Returns the URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.seen.lock().unwrap().calls.clone()
    }

    /// Returns the highest number of concurrent requests.
    pub(crate) fn most_concurrent(&self) -> usize {
        self.seen.lock().unwrap().most
    }
}

async fn accept(listener: TcpListener, seen: Arc<Mutex<Seen>>, respond_with: Arc<Respond>) {
    // Dropped with this future.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (seen, respond_with) = (seen.clone(), respond_with.clone());
        let service =
            service_fn(move |request| respond(request, seen.clone(), respond_with.clone()));
        connections.spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    seen: Arc<Mutex<Seen>>,
    respond_with: Arc<Respond>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let call = Call {
        method: head.method,
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes(),
        at: Instant::now(),
    };
    {
        let mut seen = seen.lock().unwrap();
        seen.calls.push(call.clone());
        seen.now += 1;
        seen.most = seen.most.max(seen.now);
    }
    let _present = Present(seen);
    let (status, pause) = respond_with(&call);
    tokio::time::sleep(pause).await;
    let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
    *response.status_mut() = status;
    Ok(response)
}
