//! The application that is called: writes down what comes, counts how many are there at once, and
//! answers what a test tells it to.

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

/// A request that came.
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

/// What is answered, and after how long.
pub(crate) type Answer = Box<dyn Fn(&Call) -> (StatusCode, Duration) + Send + Sync>;

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

/// Goes down when the request ends, however it ends.
struct Present(Arc<Mutex<Seen>>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.lock().unwrap().now -= 1;
    }
}

impl Target {
    pub(crate) async fn start(answer: Answer) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), answer).await
    }

    pub(crate) async fn start_at(address: SocketAddr, answer: Answer) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let answer = Arc::new(answer);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, seen.clone(), answer));
        Self {
            address,
            seen,
            _connections: accepting,
        }
    }

    /// The URL of a path here.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.seen.lock().unwrap().calls.clone()
    }

    /// How many were there at once, at most.
    pub(crate) fn most_at_once(&self) -> usize {
        self.seen.lock().unwrap().most
    }
}

async fn accept(listener: TcpListener, seen: Arc<Mutex<Seen>>, answer: Arc<Answer>) {
    // They end with this task.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (seen, answer) = (seen.clone(), answer.clone());
        let service = service_fn(move |request| respond(request, seen.clone(), answer.clone()));
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
    answer: Arc<Answer>,
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
    let (status, pause) = answer(&call);
    tokio::time::sleep(pause).await;
    let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
    *response.status_mut() = status;
    Ok(response)
}
