//! Helpers that start a host with guests and send requests to them.

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

/// Folder of the built guests.
pub(crate) fn guests() -> PathBuf {
    std::env::var_os("TIRAGE_GUESTS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../build/guests")),
        PathBuf::from,
    )
}

/// Limits with short timeouts.
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

/// The guest `name` in the world `api`, without allowed hosts.
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
    let no_components: [&ComponentId; 0] = [];
    AllowedHosts::new(
        entries.iter().map(|entry| entry.parse().unwrap()),
        no_components,
    )
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

/// Asserts that a component which echoes the request's body streams in both directions: each chunk
/// is sent only after the one before has come back, so no side buffers the whole body.
pub(crate) async fn assert_streams(host: &Host, component: &str) {
    let (sender, request) = post_in_chunks();
    let response = host.call(component, request).await.unwrap();
    let mut body = response.into_body();
    for chunk in ["one", "two", "three"] {
        sender.send(Bytes::from(chunk)).await.unwrap();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), chunk);
    }
    drop(sender);
    assert!(body.frame().await.is_none());
}

/// A POST request whose body consists of the chunks sent on the channel, until the sender is dropped.
fn post_in_chunks() -> (mpsc::Sender<Bytes>, Request) {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
    let chunks = futures::stream::poll_fn(move |context| {
        receiver
            .poll_recv(context)
            .map(|chunk| chunk.map(|chunk| Ok::<_, BodyError>(Frame::data(chunk))))
    });
    let request = http::Request::post("http://tests/")
        .body(StreamBody::new(chunks).boxed_unsync())
        .unwrap();
    (sender, request)
}

pub(crate) async fn text(body: Body) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Sends GET `target` to the guest and returns the body of its response.
pub(crate) async fn get_text(host: &Host, guest: &str, target: &str) -> String {
    let response = host
        .call(guest, get(target))
        .await
        .unwrap_or_else(|error| panic!("{guest}: {error}"));
    assert_eq!(response.status(), 200);
    text(response.into_body()).await
}

pub(crate) async fn get_json(host: &Host, guest: &str, target: &str) -> serde_json::Value {
    serde_json::from_str(&get_text(host, guest, target).await).unwrap()
}

/// Returns the error of a failed call.
pub(crate) fn error(result: Result<Response, CallError>) -> CallError {
    match result {
        Ok(response) => panic!("answered {} instead of failing", response.status()),
        Err(error) => error,
    }
}
