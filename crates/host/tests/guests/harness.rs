//! Starts hosts of guests and talks to them.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use tirage_host::{
    Allocator, Body, BodyError, CallError, ComponentSpec, Host, HostError, Request, Response,
    Variables,
};
use tirage_manifest::{AllowedHosts, ComponentId, Limits, OutgoingLimits, World};
use tokio::sync::mpsc;

/// Where the guests are built to.
pub(crate) fn guests() -> PathBuf {
    std::env::var_os("TIRAGE_GUESTS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../build/guests")),
        PathBuf::from,
    )
}

/// Limits that tests don't wait long for.
pub(crate) fn limits() -> Limits {
    Limits {
        memory_mib: positive(64),
        timeout: Duration::from_millis(600),
        max_concurrency: positive(16),
        queue_timeout: Duration::from_millis(500),
        requests_per_instance: positive(128),
        concurrent_requests_per_instance: positive(16),
        max_request_body_bytes: positive(1 << 20),
        outgoing: OutgoingLimits {
            max_concurrency: positive(8),
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(10),
            max_response_header_bytes: positive(16 << 10),
            max_response_headers: positive(50),
            max_response_body_bytes: positive(1 << 20),
        },
    }
}

/// Converts a number to a `NonZero` integer of the width that the limit has.
pub(crate) fn positive<N: TryFrom<NonZeroU64>>(number: u64) -> N {
    let number = NonZeroU64::new(number).expect("limits are positive");
    N::try_from(number).ok().expect("the number fits")
}

/// The guest `name` in the world of functions, allowed to call nobody.
pub(crate) fn guest(name: &str) -> ComponentSpec {
    ComponentSpec {
        id: name.to_owned(),
        source: guests().join(name).with_extension("wasm"),
        world: World::Api,
        limits: limits(),
        environment: Vec::new(),
        folders: Vec::new(),
        variables: Variables::default(),
        allowed_hosts: AllowedHosts::default(),
    }
}

pub(crate) fn allowed(entries: &[&str]) -> AllowedHosts {
    let none: [&ComponentId; 0] = [];
    AllowedHosts::new(entries.iter().map(|entry| entry.parse().unwrap()), none)
}

pub(crate) fn start<const N: usize>(guests: [ComponentSpec; N]) -> Host {
    try_start(guests).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn try_start<const N: usize>(guests: [ComponentSpec; N]) -> Result<Host, HostError> {
    try_start_with(Allocator::Auto, guests)
}

pub(crate) fn try_start_with<const N: usize>(
    allocator: Allocator,
    guests: [ComponentSpec; N],
) -> Result<Host, HostError> {
    guests
        .into_iter()
        .fold(Host::builder().allocator(allocator), |builder, guest| {
            builder.component(guest)
        })
        .build()
}

pub(crate) fn get(target: &str) -> Request {
    http::Request::get(format!("http://tests{target}"))
        .body(Empty::new().map_err(|never| match never {}).boxed_unsync())
        .unwrap()
}

pub(crate) fn post(target: &str, body: impl Into<Bytes>) -> Request {
    let body = body.into();
    http::Request::post(format!("http://tests{target}"))
        .body(
            Full::new(body)
                .map_err(|never| match never {})
                .boxed_unsync(),
        )
        .unwrap()
}

/// A POST whose body is what is sent on the channel, until the sender is dropped.
pub(crate) fn post_in_pieces() -> (mpsc::Sender<Bytes>, Request) {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
    let pieces = futures::stream::poll_fn(move |context| {
        receiver
            .poll_recv(context)
            .map(|piece| piece.map(|piece| Ok::<_, BodyError>(Frame::data(piece))))
    });
    let request = http::Request::post("http://tests/")
        .body(StreamBody::new(pieces).boxed_unsync())
        .unwrap();
    (sender, request)
}

pub(crate) async fn text(body: Body) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// GETs `target` from the guest and returns the body of its answer.
pub(crate) async fn ask(host: &Host, guest: &str, target: &str) -> String {
    let response = host
        .call(guest, get(target))
        .await
        .unwrap_or_else(|error| panic!("{guest}: {error}"));
    assert_eq!(response.status(), 200);
    text(response.into_body()).await
}

pub(crate) async fn ask_json(host: &Host, guest: &str, target: &str) -> serde_json::Value {
    serde_json::from_str(&ask(host, guest, target).await).unwrap()
}

/// The error that the guest's failure becomes.
pub(crate) fn error(result: Result<Response, CallError>) -> CallError {
    match result {
        Ok(response) => panic!("answered {} instead of failing", response.status()),
        Err(error) => error,
    }
}
