//! Stands between the functions and what they call, and can act at any call: that is how a test kills
//! something at one step and not the next.
//!
//! Each call is forwarded as it is, signature and all, but whole: with a length, which it may not have had
//! when it came. The answer comes back as it is, too, unless an original is to have trouble on its way.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
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

/// One call among many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Whose calls are counted; all, if none is named.
    pub(crate) target: Option<Target>,
    /// Counted from 1.
    pub(crate) call: usize,
    pub(crate) when: When,
}

/// What becomes of an original that is read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The connection breaks in the middle of it.
    Cut,
    /// Nothing comes after the middle.
    Stall,
    /// Something answers that isn't the store.
    Stranger,
}

/// What to do at one call.
struct Plan {
    step: Step,
    calls_before: usize,
    act: Box<dyn FnOnce() + Send>,
}

/// What is planned, if it hasn't been done.
type State = Mutex<Option<Plan>>;

pub(crate) struct Proxy {
    addresses: [SocketAddr; 3],
    state: Arc<State>,
    habits: Arc<Habits>,
}

/// What it does to calls without being told when.
#[derive(Default)]
struct Habits {
    /// Messages are sent twice.
    doubles: AtomicBool,
    /// That a message was sent is noted late.
    late_notes: AtomicBool,
    /// Of the next original that is read whole.
    trouble: Mutex<Option<Trouble>>,
}

/// Long enough for a worker to have begun.
const LATE: Duration = Duration::from_millis(1500);

impl Proxy {
    pub(crate) async fn start(database: String, objects: String, queue: String) -> Self {
        let state = Arc::new(State::default());
        let habits = Arc::new(Habits::default());
        let mut addresses = Vec::new();
        for (target, upstream) in [
            (Target::Database, database),
            (Target::ObjectStore, objects),
            (Target::Queue, queue),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(listener.local_addr().unwrap());
            let way = Way {
                target,
                upstream,
                state: Arc::clone(&state),
                habits: Arc::clone(&habits),
            };
            tokio::spawn(serve(listener, Arc::new(way)));
        }
        Self {
            addresses: addresses.try_into().unwrap(),
            state,
            habits,
        }
    }

    /// The next original that is read whole has this trouble, and those after it none.
    pub(crate) fn trouble_an_original(&self, trouble: Trouble) {
        *self.habits.trouble.lock().unwrap() = Some(trouble);
    }

    /// Whether an original had the trouble that it was to have.
    pub(crate) fn has_troubled(&self) -> bool {
        self.habits.trouble.lock().unwrap().is_none()
    }

    /// From now on each message goes into the queue twice.
    pub(crate) fn double_messages(&self) {
        self.habits.doubles.store(true, Ordering::Relaxed);
    }

    /// From now on a worker is quicker than the note that its message was sent.
    pub(crate) fn delay_notes(&self) {
        self.habits.late_notes.store(true, Ordering::Relaxed);
    }

    pub(crate) fn url(&self, target: Target) -> String {
        let address = match target {
            Target::Database => self.addresses[0],
            Target::ObjectStore => self.addresses[1],
            Target::Queue => self.addresses[2],
        };
        format!("http://{address}")
    }

    /// Counts from now on, and acts at this step.
    pub(crate) fn plan(&self, step: Step, act: impl FnOnce() + Send + 'static) {
        *self.state.lock().unwrap() = Some(Plan {
            step,
            calls_before: 0,
            act: Box::new(act),
        });
    }

    /// Whether what was planned has happened; it won't any more.
    pub(crate) fn has_acted(&self) -> bool {
        self.state.lock().unwrap().take().is_none()
    }
}

/// What is planned for this call, which is one more.
fn due(state: &State, target: Target) -> Option<Plan> {
    let mut state = state.lock().unwrap();
    let plan = state.as_mut()?;
    if plan.step.target.is_none_or(|counted| counted == target) {
        plan.calls_before += 1;
    }
    state.take_if(|plan| plan.calls_before == plan.step.call)
}

/// To one of the targets.
struct Way {
    target: Target,
    upstream: String,
    state: Arc<State>,
    habits: Arc<Habits>,
}

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

async fn serve(listener: TcpListener, way: Arc<Way>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let way = Arc::clone(&way);
        tokio::spawn(async move {
            let answer = service_fn(|request| forward(request, &way));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

async fn forward(request: Request<Incoming>, way: &Way) -> Result<Answer, Infallible> {
    let due = due(&way.state, way.target);
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(failed());
    };
    let body = body.to_bytes();
    let (before, after) = match due {
        Some(plan) if plan.step.when == When::Before => (Some(plan.act), None),
        Some(plan) => (None, Some(plan.act)),
        None => (None, None),
    };
    if let Some(act) = before {
        act();
        return Ok(failed());
    }
    if way.habits.late_notes.load(Ordering::Relaxed) && is_note(way.target, &body) {
        tokio::time::sleep(LATE).await;
    }
    if way.habits.doubles.load(Ordering::Relaxed) && is_message(&head) {
        let _ = way.send(&head, body.clone()).await;
    }
    let Ok(answered) = way.send(&head, body).await else {
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
    let trouble = match is_original(&head) {
        true => way.habits.trouble.lock().unwrap().take(),
        false => None,
    };
    Ok(match trouble {
        None => response.map(|()| whole(bytes)),
        Some(Trouble::Stranger) => stranger(),
        Some(trouble) => response.map(|()| half(&bytes, trouble)),
    })
}

impl Way {
    async fn send(&self, head: &Parts, body: Bytes) -> reqwest::Result<reqwest::Response> {
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        reqwest::Client::new()
            .request(head.method.clone(), format!("{}{path}", self.upstream))
            // The caller's own `Host` is among them, which is signed.
            .headers(head.headers.clone())
            .body(body)
            .send()
            .await
    }
}

fn is_message(head: &Parts) -> bool {
    let action = head.headers.get("x-amz-target");
    action.is_some_and(|action| action == "AmazonSQS.SendMessage")
}

fn is_note(target: Target, body: &[u8]) -> bool {
    target == Target::Database && String::from_utf8_lossy(body).contains("set sent_at")
}

/// Whether it is for all of an original: the api reads only its start.
fn is_original(head: &Parts) -> bool {
    head.method == Method::GET
        && head.uri.path().ends_with("/original")
        && !head.headers.contains_key("range")
}

fn whole(bytes: Bytes) -> UnsyncBoxBody<Bytes, io::Error> {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Half of what the head announces.
fn half(bytes: &Bytes, trouble: Trouble) -> UnsyncBoxBody<Bytes, io::Error> {
    let half = bytes.slice(..bytes.len() / 2);
    let half = futures::stream::iter([Ok(Frame::data(half))]);
    match trouble {
        // hyper gives the connection up, since it can't keep its promise.
        Trouble::Cut => {
            let end = futures::stream::once(async {
                // When the half is through.
                tokio::time::sleep(Duration::from_millis(100)).await;
                Err(io::Error::other("cut"))
            });
            StreamBody::new(half.chain(end)).boxed_unsync()
        }
        _ => StreamBody::new(half.chain(futures::stream::pending())).boxed_unsync(),
    }
}

/// As a dead peer's load balancer would say it.
fn failed() -> Answer {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = http::StatusCode::BAD_GATEWAY;
    response
}

/// As a load balancer would say it that has lost its way to the store.
fn stranger() -> Answer {
    let mut response = Response::new(whole(Bytes::from_static(b"<h1>Not found</h1>")));
    *response.status_mut() = http::StatusCode::NOT_FOUND;
    response
}
