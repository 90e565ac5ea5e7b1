//! A proxy between the functions and the services that they call. It can run an action at a chosen call, so
//! that a test kills a part at exactly that step.
//!
//! Each call is forwarded unchanged, except that its body is collected and so has a length. Responses are
//! unchanged, too, unless a test requests a fault.

use std::io;
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

use crate::server::serve;

/// A service behind the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Database,
    ObjectStore,
    Queue,
}

/// The time of an action: before the call, which is then not forwarded, or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

/// The call at which to act.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// The service whose calls are counted; `None` counts all.
    pub(crate) target: Option<Target>,
    /// The number of the call, from 1.
    pub(crate) call: usize,
    pub(crate) when: When,
}

/// A fault while an original is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection breaks after half of the original.
    Cut,
    /// The connection stalls after half of the original.
    Stall,
    /// Another server than the object store responds with 404.
    WrongServer,
}

/// An action at one call.
struct Plan {
    step: Step,
    calls_before: usize,
    action: Box<dyn FnOnce() + Send>,
}

/// The planned action, until it has run.
type State = Mutex<Option<Plan>>;

pub(crate) struct Proxy {
    urls: [String; 3],
    state: Arc<State>,
    options: Arc<Options>,
}

/// Changes to calls that aren't bound to a call's number.
#[derive(Default)]
struct Options {
    /// Sends each message twice.
    duplicate_messages: AtomicBool,
    /// Delays the statement that records that a message was sent.
    delay_sent_records: AtomicBool,
    /// The fault of the next complete read of an original.
    fault: Mutex<Option<Fault>>,
}

/// Long enough for a worker to start.
const DELAY: Duration = Duration::from_millis(1500);

impl Proxy {
    pub(crate) async fn start(database: String, objects: String, queue: String) -> Self {
        let state = Arc::new(State::default());
        let options = Arc::new(Options::default());
        let mut urls = Vec::new();
        for (target, upstream) in [
            (Target::Database, database),
            (Target::ObjectStore, objects),
            (Target::Queue, queue),
        ] {
            let forwarder = Arc::new(Forwarder {
                target,
                upstream,
                state: Arc::clone(&state),
                options: Arc::clone(&options),
            });
            let handle = move |request| {
                let forwarder = Arc::clone(&forwarder);
                async move { forwarder.forward(request).await }
            };
            urls.push(serve(handle).await);
        }
        Self {
            urls: urls.try_into().unwrap(),
            state,
            options,
        }
    }

    /// Injects a fault into the next complete read of an original.
    pub(crate) fn inject_fault(&self, fault: Fault) {
        *self.options.fault.lock().unwrap() = Some(fault);
    }

    /// `true` if the fault has been injected.
    pub(crate) fn has_injected_fault(&self) -> bool {
        self.options.fault.lock().unwrap().is_none()
    }

    /// Sends each message twice from now on.
    pub(crate) fn duplicate_messages(&self) {
        let duplicate = &self.options.duplicate_messages;
        duplicate.store(true, Ordering::Relaxed);
    }

    /// Delays the statements that record that a message was sent, so that workers are faster.
    pub(crate) fn delay_sent_records(&self) {
        let delay = &self.options.delay_sent_records;
        delay.store(true, Ordering::Relaxed);
    }

    pub(crate) fn url(&self, target: Target) -> String {
        let [database, object_store, queue] = &self.urls;
        match target {
            Target::Database => database.clone(),
            Target::ObjectStore => object_store.clone(),
            Target::Queue => queue.clone(),
        }
    }

    /// Counts calls from now on, and runs `action` at this step.
    pub(crate) fn plan(&self, step: Step, action: impl FnOnce() + Send + 'static) {
        *self.state.lock().unwrap() = Some(Plan {
            step,
            calls_before: 0,
            action: Box::new(action),
        });
    }

    /// `true` if the planned action has run. It won't run after this call.
    pub(crate) fn has_acted(&self) -> bool {
        self.state.lock().unwrap().take().is_none()
    }
}

/// Counts a call, and takes the plan if it is for this call.
fn due(state: &State, target: Target) -> Option<Plan> {
    let mut state = state.lock().unwrap();
    let plan = state.as_mut()?;
    if plan.step.target.is_none_or(|counted| counted == target) {
        plan.calls_before += 1;
    }
    state.take_if(|plan| plan.calls_before == plan.step.call)
}

/// Forwards calls to one of the services.
struct Forwarder {
    target: Target,
    upstream: String,
    state: Arc<State>,
    options: Arc<Options>,
}

type BoxResponse = Response<UnsyncBoxBody<Bytes, io::Error>>;

impl Forwarder {
    async fn forward(&self, request: Request<Incoming>) -> BoxResponse {
        let due = due(&self.state, self.target);
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return bad_gateway();
        };
        let body = body.to_bytes();
        let (before, after) = match due {
            Some(plan) if plan.step.when == When::Before => (Some(plan.action), None),
            Some(plan) => (None, Some(plan.action)),
            None => (None, None),
        };
        if let Some(act) = before {
            act();
            return bad_gateway();
        }
        let options = &self.options;
        if options.delay_sent_records.load(Ordering::Relaxed) && self.is_sent_record(&body) {
            tokio::time::sleep(DELAY).await;
        }
        if options.duplicate_messages.load(Ordering::Relaxed) && is_message(&head) {
            let _ = self.send(&head, body.clone()).await;
        }
        let Ok(upstream) = self.send(&head, body).await else {
            return bad_gateway();
        };
        let mut response = Response::new(());
        *response.status_mut() = upstream.status();
        *response.headers_mut() = upstream.headers().clone();
        let Ok(bytes) = upstream.bytes().await else {
            return bad_gateway();
        };
        if let Some(act) = after {
            act();
            return bad_gateway();
        }
        response.headers_mut().remove("transfer-encoding");
        let fault = match is_original(&head) {
            true => options.fault.lock().unwrap().take(),
            false => None,
        };
        match fault {
            None => response.map(|()| whole(bytes)),
            Some(Fault::WrongServer) => wrong_server(),
            Some(fault) => response.map(|()| half(&bytes, fault)),
        }
    }

    async fn send(&self, head: &Parts, body: Bytes) -> reqwest::Result<reqwest::Response> {
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        reqwest::Client::new()
            .request(head.method.clone(), format!("{}{path}", self.upstream))
            // Includes the caller's `Host`, which is signed.
            .headers(head.headers.clone())
            .body(body)
            .send()
            .await
    }

    fn is_sent_record(&self, body: &[u8]) -> bool {
        self.target == Target::Database && String::from_utf8_lossy(body).contains("set sent_at")
    }
}

fn is_message(head: &Parts) -> bool {
    let action = head.headers.get("x-amz-target");
    action.is_some_and(|action| action == "AmazonSQS.SendMessage")
}

/// `true` for a complete read of an original. The api reads only its start.
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

/// Returns a body of half the length that the headers announce.
fn half(bytes: &Bytes, fault: Fault) -> UnsyncBoxBody<Bytes, io::Error> {
    let half = bytes.slice(..bytes.len() / 2);
    let half = futures::stream::iter([Ok(Frame::data(half))]);
    match fault {
        // hyper closes the connection when the body fails.
        Fault::Cut => {
            let end = futures::stream::once(async {
                // After the half has been sent.
                tokio::time::sleep(Duration::from_millis(100)).await;
                Err(io::Error::other("cut"))
            });
            StreamBody::new(half.chain(end)).boxed_unsync()
        }
        _ => StreamBody::new(half.chain(futures::stream::pending())).boxed_unsync(),
    }
}

/// The response of a load balancer whose server is dead.
fn bad_gateway() -> BoxResponse {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = http::StatusCode::BAD_GATEWAY;
    response
}

/// The response of a load balancer with a wrong route.
fn wrong_server() -> BoxResponse {
    let mut response = Response::new(whole(Bytes::from_static(b"<h1>Not found</h1>")));
    *response.status_mut() = http::StatusCode::NOT_FOUND;
    response
}
