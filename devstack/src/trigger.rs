//! Receives messages from a queue and POSTs them to the application, as Scaleway's SQS trigger does
//! ([add a trigger to a container][scaleway]).
//!
//! Guarantees:
//! - The request's body is the message's, byte for byte, with `Content-Type: application/json`.
//! - A status below 300 deletes the message. After another status, or none, the POST is retried up to
//!   three times, after 1, 2 and 4 seconds (Scaleway doesn't document its pauses). Then the message
//!   stays in the queue until its visibility timeout ends, and finally moves to the dead-letter queue.
//! - At most ten messages are in flight, including those that wait for a retry. No message is received
//!   before there is a permit for it.
//! - Messages are delivered at least once. A message is delivered again if it could not be deleted, or if
//!   POST and retries took longer than the visibility timeout.
//! - It works when queue or application are restarted: it asks an unreachable queue every few seconds.
//! - At a graceful shutdown it receives no more messages, waits for POSTs in flight, and releases
//!   messages that wait for a retry.
//!
//! [scaleway]: https://www.scaleway.com/en/docs/serverless-containers/how-to/add-trigger-to-a-container/

mod source;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Uri};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use self::source::{Message, Source};
use crate::http_client::HttpClient;

pub use self::source::Queue;

/// Upper bound on messages in flight, as with Scaleway.
const MAX_IN_FLIGHT: usize = 10;

/// Pauses before the retries.
const RETRY_PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// Back-off while the queue is unreachable; the last pause is repeated.
const BACK_OFF: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// Pause after a receive without messages, for queues that don't wait as requested.
const EMPTY_PAUSE: Duration = Duration::from_millis(250);

/// Time for the queue to notice that the pending receive is cancelled.
const CANCEL_PAUSE: Duration = Duration::from_millis(100);

/// Time for messages in flight during a graceful shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Configuration of a trigger.
pub struct Settings {
    /// Address for the POSTs.
    pub target: Uri,
    /// Queue to receive from.
    pub queue: Queue,
    /// Timeout of a POST.
    pub timeout: Duration,
}

/// Receives messages and POSTs them until `stop` resolves.
pub async fn run(settings: Settings, stop: impl Future<Output = ()>) {
    let client = HttpClient::new();
    let (stop_sender, stopping) = watch::channel(false);
    let delivery = Arc::new(Delivery {
        source: Source::new(settings.queue, client.clone()),
        client,
        target: settings.target,
        timeout: settings.timeout,
        stopping,
    });
    let mut deliveries = JoinSet::new();
    tokio::select! {
        () = receive(&delivery, &mut deliveries) => {}
        () = pin!(stop) => {}
    }
    // Otherwise the queue could hand released messages to the receive that was just cancelled.
    tokio::time::sleep(CANCEL_PAUSE).await;
    // `delivery` holds a receiver, so sending succeeds.
    let _ = stop_sender.send(true);
    let drained = async { while deliveries.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
        tracing::warn!("stopping with POSTs in flight: their messages will be delivered again");
    }
}

/// Receives messages without end, no more than there are permits.
async fn receive(delivery: &Arc<Delivery>, deliveries: &mut JoinSet<()>) {
    let semaphore = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
    let mut failures = 0;
    let mut last_error = String::new();
    loop {
        let permits = free_permits(&semaphore).await;
        match delivery.source.receive(permits.len()).await {
            Ok(messages) => {
                if failures > 0 {
                    tracing::info!("the queue is reachable again");
                }
                failures = 0;
                last_error.clear();
                if messages.is_empty() {
                    tokio::time::sleep(EMPTY_PAUSE).await;
                }
                for (message, permit) in messages.into_iter().zip(permits) {
                    deliveries.spawn(delivery.clone().deliver(message, permit));
                }
            }
            Err(error) => {
                // Logs an error that repeats only once.
                let error = error.to_string();
                if error != last_error {
                    tracing::warn!("cannot receive from the queue: {error}; trying again");
                    last_error = error;
                }
                let pause = BACK_OFF.get(failures).or(BACK_OFF.last());
                tokio::time::sleep(pause.copied().unwrap_or_default()).await;
                failures += 1;
            }
        }
        while deliveries.try_join_next().is_some() {}
    }
}

/// Waits for a permit, and returns all that are free then.
async fn free_permits(semaphore: &Arc<Semaphore>) -> Vec<OwnedSemaphorePermit> {
    // The semaphore is never closed, so there is a first permit.
    let first = semaphore.clone().acquire_owned().await;
    let others = std::iter::from_fn(|| semaphore.clone().try_acquire_owned().ok());
    first.into_iter().chain(others).collect()
}

struct Delivery {
    source: Source,
    client: HttpClient,
    target: Uri,
    timeout: Duration,
    stopping: watch::Receiver<bool>,
}

impl Delivery {
    /// POSTs the message until it succeeds or the retries are exhausted.
    async fn deliver(self: Arc<Self>, message: Message, _permit: OwnedSemaphorePermit) {
        let mut pauses = RETRY_PAUSES.iter();
        loop {
            match self.post(&message).await {
                Ok(()) => return self.source.delete(&message).await,
                Err(why) => tracing::warn!(message = message.id, "not delivered: {why}"),
            }
            let Some(pause) = pauses.next() else {
                let attempts = RETRY_PAUSES.len() + 1;
                tracing::warn!(message = message.id, attempts, "left in the queue");
                return;
            };
            if self.stops_within(*pause).await {
                return self.source.release(&message).await;
            }
        }
    }

    async fn post(&self, message: &Message) -> Result<(), String> {
        let mut request = Request::new(Bytes::from(message.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone();
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self.client.send(request, self.timeout).await {
            Ok(response) if response.status().as_u16() < 300 => Ok(()),
            Ok(response) => Err(format!("status {}", response.status())),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn stops_within(&self, pause: Duration) -> bool {
        let mut stopping = self.stopping.clone();
        let stopped = stopping.wait_for(|stopping| *stopping);
        tokio::time::timeout(pause, stopped).await.is_ok()
    }
}
