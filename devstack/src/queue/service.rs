//! The queues while they are served: one at a time changes them, every change is on disk before it
//! is answered, and a receive may wait for a message.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::attributes::QueueName;
use super::fault::{Code, Fault};
use super::message::{Message, Moment, Receipt};
use super::queues::Queues;
use super::store::Writing;

pub(super) struct Service {
    queues: Mutex<Queues>,
    writing: Writing,
    clock: Clock,
    /// Rung when messages may have become visible, and when the server ends.
    arrivals: Notify,
    ending: AtomicBool,
}

impl Service {
    pub(super) fn new(queues: Queues, writing: Writing) -> Self {
        Self {
            queues: Mutex::new(queues),
            writing,
            clock: Clock::start(),
            arrivals: Notify::new(),
            ending: AtomicBool::new(false),
        }
    }

    /// Does something to the queues, and comes back when it is on disk. Once begun it is done, also
    /// when the caller is dropped meanwhile.
    pub(super) async fn apply<T>(
        &self,
        operation: impl FnOnce(&mut Queues, Moment) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (result, written) = {
            // Who panicked in the middle has not handed its changes in; the next one's go with
            // them.
            let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            let result = operation(&mut queues, self.clock.now());
            let changes = queues.take_changes();
            (
                result,
                (!changes.is_empty()).then(|| self.writing.hand_in(changes)),
            )
        };
        let Some(written) = written else {
            return result;
        };
        self.arrivals.notify_waiters();
        match written.await {
            Ok(()) => result,
            Err(_) => Err(Fault::new(
                Code::InternalFailure,
                "messages cannot be written any more",
            )),
        }
    }

    /// Takes up to `most` messages, waiting for the first for `patience` at most. A caller that is
    /// dropped while it waits takes none.
    pub(super) async fn receive(
        &self,
        name: &QueueName,
        most: usize,
        patience: Option<Duration>,
    ) -> Result<Vec<(Receipt, Message)>, Fault> {
        let began = Instant::now();
        loop {
            let arrival = self.arrivals.notified();
            tokio::pin!(arrival);
            // From here on, so that what arrives while we look isn't missed.
            arrival.as_mut().enable();
            let (received, own_patience, next) = self
                .apply(|queues, now| {
                    let received = queues.receive(name, most, now)?;
                    let (kept, _) = queues.describe(name, now)?;
                    let seconds = u64::from(kept.attributes.wait_seconds);
                    let next = queues.next_visible_from(name);
                    let next = next.map(|next| Duration::from_millis(next.0.saturating_sub(now.0)));
                    Ok((received, Duration::from_secs(seconds), next))
                })
                .await?;
            let left = patience
                .unwrap_or(own_patience)
                .saturating_sub(began.elapsed());
            if !received.is_empty() || left.is_zero() || self.ending.load(Ordering::SeqCst) {
                return Ok(received);
            }
            let wait = next.map_or(left, |next| next.min(left));
            // Either way we look again.
            let _ = tokio::time::timeout(wait, arrival).await;
        }
    }

    /// Sends those home who wait for messages.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        self.arrivals.notify_waiters();
    }
}

/// The time of day when the server started, and since then a clock that nobody sets: messages must
/// not stay hidden because the machine's clock was put back.
struct Clock {
    at_start: Moment,
    start: Instant,
}

impl Clock {
    fn start() -> Self {
        Self {
            at_start: Moment::now(),
            start: Instant::now(),
        }
    }

    fn now(&self) -> Moment {
        self.at_start.plus(self.start.elapsed())
    }
}
