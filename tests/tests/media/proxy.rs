//! Stands between the functions and what they call, and can act at any call: that is how a test kills
//! something at one step and not the next.
//!
//! Each call is forwarded as it is, signature and all.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Database,
    ObjectStore,
    Queue,
}

/// Whether the call still has its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

/// What to do at one call.
struct Plan {
    /// Counted from 1.
    call: usize,
    when: When,
    act: Box<dyn FnOnce() + Send>,
}

#[derive(Default)]
struct State {
    calls: AtomicUsize,
    plan: Mutex<Option<Plan>>,
}

pub(crate) struct Proxy {
    addresses: [SocketAddr; 3],
    state: Arc<State>,
}

impl Proxy {
    pub(crate) async fn start(database: String, objects: String, queue: String) -> Self {
        let state = Arc::new(State::default());
        let mut addresses = Vec::new();
        for upstream in [database, objects, queue] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(listener.local_addr().unwrap());
            tokio::spawn(serve(listener, upstream, Arc::clone(&state)));
        }
        Self {
            addresses: addresses.try_into().unwrap(),
            state,
        }
    }

    pub(crate) fn url(&self, target: Target) -> String {
        let address = match target {
            Target::Database => self.addresses[0],
            Target::ObjectStore => self.addresses[1],
            Target::Queue => self.addresses[2],
        };
        format!("http://{address}")
    }

    /// Counts from now on, and acts at this call.
    pub(crate) fn plan(&self, call: usize, when: When, act: impl FnOnce() + Send + 'static) {
        let act = Box::new(act);
        *self.state.plan.lock().unwrap() = Some(Plan { call, when, act });
        self.state.calls.store(0, Ordering::SeqCst);
    }

    /// Whether what was planned has happened; it won't any more.
    pub(crate) fn has_acted(&self) -> bool {
        self.state.plan.lock().unwrap().take().is_none()
    }

    /// The calls since [`Self::plan`].
    pub(crate) fn calls(&self) -> usize {
        self.state.calls.load(Ordering::SeqCst)
    }
}

impl State {
    /// What is planned for this call.
    fn due(&self, call: usize) -> Option<Plan> {
        let mut plan = self.plan.lock().unwrap();
        match &*plan {
            Some(planned) if planned.call == call => plan.take(),
            _ => None,
        }
    }
}

async fn serve(listener: TcpListener, upstream: String, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let upstream = upstream.clone();
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let answer = service_fn(|request| forward(request, &upstream, &state));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

async fn forward(
    request: Request<Incoming>,
    upstream: &str,
    state: &State,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let call = state.calls.fetch_add(1, Ordering::SeqCst) + 1;
    let due = state.due(call);
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(failed());
    };
    let (before, after) = match due {
        Some(plan) if plan.when == When::Before => (Some(plan.act), None),
        Some(plan) => (None, Some(plan.act)),
        None => (None, None),
    };
    if let Some(act) = before {
        act();
        return Ok(failed());
    }
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let answered = reqwest::Client::new()
        .request(head.method, format!("{upstream}{path}"))
        // The caller's own `Host` is among them, which is signed.
        .headers(head.headers)
        .body(body.to_bytes())
        .send()
        .await;
    let Ok(answered) = answered else {
        return Ok(failed());
    };
    let mut response = Response::new(());
    *response.status_mut() = answered.status();
    *response.headers_mut() = answered.headers().clone();
    let Ok(bytes) = answered.bytes().await else {
        return Ok(failed());
    };
    if let Some(act) = after {
        act();
        return Ok(failed());
    }
    response.headers_mut().remove("transfer-encoding");
    Ok(response.map(|()| Full::new(bytes)))
}

/// As a dead peer's load balancer would say it.
fn failed() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = http::StatusCode::BAD_GATEWAY;
    response
}
