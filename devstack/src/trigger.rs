//! What takes messages from a queue and POSTs them to the application, as Scaleway's SQS trigger
//! does ([add a trigger to a container][scaleway]).
//!
//! Promises:
//! - The request's body is the message's, byte for byte, with `Content-Type: application/json`.
//! - An answer below 300 deletes the message. Anything else, and no answer, is retried up to three
//!   times, after 1, 2 and 4 seconds (Scaleway doesn't say after how many). After that the message
//!   stays in the queue, becomes visible again when its time is up, and goes to the dead-letter
//!   queue in the end.
//! - At most ten messages are in flight, those that wait for a retry among them. No message is
//!   taken from the queue before there is a place for it.
//! - Messages come at least once. One comes twice when the application answered and the queue could
//!   not be told, or when answer and retries took longer than the queue hides a message.
//! - It outlives both ends: while the queue is away it asks again every few seconds.
//! - At the end it takes no more messages, waits a little for those in flight, and gives those that
//!   wait for a retry back to the queue.
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

/// Scaleway's limit.
const MAX_IN_FLIGHT: usize = 10;

/// The pauses before the retries.
const RETRIES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// The pauses while the queue is away; the last one counts for all that follow.
const QUEUE_AWAY: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// The pause after an answer without messages.
const PAUSE: Duration = Duration::from_millis(250);

/// How long the queue has to see that nobody waits there any more.
const FAREWELL: Duration = Duration::from_millis(100);

/// How long messages in flight get at the end.
const DRAIN: Duration = Duration::from_secs(5);

/// What a trigger is started with.
pub struct Settings {
    /// What is POSTed to.
    pub target: Uri,
    /// Where messages come from.
    pub queue: Queue,
    /// How long the application may take for one answer.
    pub patience: Duration,
}

/// Takes messages and POSTs them until `shutdown` is ready.
pub async fn run(settings: Settings, shutdown: impl Future<Output = ()>) {
    let client = HttpClient::new();
    let (end, ending) = watch::channel(false);
    let delivery = Arc::new(Delivery {
        source: Source::new(settings.queue, client.clone()),
        client,
        target: settings.target,
        patience: settings.patience,
        ending,
    });
    let mut deliveries = JoinSet::new();
    tokio::select! {
        () = take(&delivery, &mut deliveries) => {}
        () = pin!(shutdown) => {}
    }
    // Whoever still waits at the queue in our name would be handed what is given back: the queue has to
    // see first that the connection is gone.
    tokio::time::sleep(FAREWELL).await;
    // The receiver is in `delivery`, so somebody listens.
    let _ = end.send(true);
    let drained = async { while deliveries.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!(
            "the trigger stops although not all was answered: those messages will come again"
        );
    }
}

/// Takes messages for as long as nobody drops it, no more than there are places.
async fn take(delivery: &Arc<Delivery>, deliveries: &mut JoinSet<()>) {
    let places = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
    let mut away = 0;
    let mut last_error = String::new();
    loop {
        let free = free(&places).await;
        match delivery.source.receive(free.len()).await {
            Ok(messages) => {
                if away > 0 {
                    tracing::info!("the queue is back");
                }
                away = 0;
                last_error.clear();
                if messages.is_empty() {
                    // A queue that doesn't wait, as it was asked to, must not be asked without end.
                    tokio::time::sleep(PAUSE).await;
                }
                for (message, place) in messages.into_iter().zip(free) {
                    deliveries.spawn(delivery.clone().deliver(message, place));
                }
            }
            Err(error) => {
                // Once, as long as it stays the same.
                let error = error.to_string();
                if error != last_error {
                    tracing::warn!("cannot receive from the queue: {error}; trying again");
                    last_error = error;
                }
                let pause = QUEUE_AWAY.get(away).or(QUEUE_AWAY.last());
                tokio::time::sleep(pause.copied().unwrap_or_default()).await;
                away += 1;
            }
        }
        while deliveries.try_join_next().is_some() {}
    }
}

/// All places that are free, once there is one.
async fn free(places: &Arc<Semaphore>) -> Vec<OwnedSemaphorePermit> {
    // Nobody closes the semaphore, so there is a first.
    let first = places.clone().acquire_owned().await;
    let others = std::iter::from_fn(|| places.clone().try_acquire_owned().ok());
    first.into_iter().chain(others).collect()
}

struct Delivery {
    source: Source,
    client: HttpClient,
    target: Uri,
    patience: Duration,
    ending: watch::Receiver<bool>,
}

impl Delivery {
    /// POSTs the message until it is taken or the retries are used up. `_place` is free again
    /// afterwards.
    async fn deliver(self: Arc<Self>, message: Message, _place: OwnedSemaphorePermit) {
        let mut retries = RETRIES.iter();
        loop {
            match self.post(&message).await {
                Ok(()) => return self.source.delete(&message).await,
                Err(why) => tracing::warn!(message = message.id, "not delivered: {why}"),
            }
            let Some(pause) = retries.next() else {
                tracing::warn!(
                    message = message.id,
                    "left to the queue after {} tries",
                    RETRIES.len() + 1
                );
                return;
            };
            if self.ends_within(*pause).await {
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
        match self.client.send(request, self.patience).await {
            Ok(response) if response.status().as_u16() < 300 => Ok(()),
            Ok(response) => Err(format!("answered {}", response.status())),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn ends_within(&self, pause: Duration) -> bool {
        let mut ending = self.ending.clone();
        let end = ending.wait_for(|ending| *ending);
        tokio::time::timeout(pause, end).await.is_ok()
    }
}
