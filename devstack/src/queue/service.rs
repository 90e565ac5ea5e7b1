//! Runs actions on the store, and lets receives wait for messages.
//!
//! One thread writes. All actions that arrive while it syncs a transaction share the next one, so that
//! concurrent clients share the wait for the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::error::{ApiError, Code};
use super::message::{Message, Moment, Receipt};
use super::store::{Messages, Queue, Store};
use crate::error::{Error, IoContext};

/// Upper bound on the actions of one transaction.
const MAX_BATCH: usize = 1024;

pub(super) struct Service {
    queues: [Queue; 2],
    jobs: Sender<Job>,
    /// Notified when messages may have become visible, and when the server stops.
    arrivals: Notify,
    stopping: AtomicBool,
    /// Notified when the store fails.
    failed: Notify,
}

/// The thread that writes.
pub(super) struct Writer(JoinHandle<()>);

enum Job {
    Run(Action),
    Stop,
}

/// Changes messages. An action that fails has changed nothing.
type Action = Box<dyn FnOnce(&mut Messages<'_>) -> Respond + Send>;

/// Sends the action's result once its transaction is committed, or an error.
type Respond = Box<dyn FnOnce(Result<(), ApiError>) + Send>;

impl Service {
    /// Starts the thread that writes.
    pub(super) fn start(store: Store, queues: [Queue; 2]) -> Result<(Arc<Self>, Writer), Error> {
        let (jobs, received) = channel();
        let service = Arc::new(Self {
            queues,
            jobs,
            arrivals: Notify::new(),
            stopping: AtomicBool::new(false),
            failed: Notify::new(),
        });
        let notified = Arc::clone(&service);
        let thread = std::thread::Builder::new()
            .name("queue-writer".to_owned())
            .spawn(move || notified.write(&store, &received))
            .with_action(|| "start a thread".to_owned())?;
        Ok((service, Writer(thread)))
    }

    pub(super) fn queues(&self) -> &[Queue; 2] {
        &self.queues
    }

    /// Returns the queue that a queue URL ends with.
    pub(super) fn queue(&self, url: &str) -> Result<&Queue, ApiError> {
        let (_, name) = url.rsplit_once('/').unwrap_or(("", url));
        let mut queues = self.queues.iter();
        queues
            .find(|queue| queue.name.as_str() == name)
            .ok_or_else(|| {
                let [queue, dead_letters] = &self.queues;
                let (queue, dead) = (&queue.name, &dead_letters.name);
                let message = format!("no queue {name:?}: this server has {queue} and {dead}");
                ApiError::new(Code::QueueDoesNotExist, message)
            })
    }

    /// Runs an action, and returns when it is on disk. It is completed even if the future is dropped.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        action: impl FnOnce(&mut Messages<'_>, Moment) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (sender, result) = oneshot::channel();
        let action: Action = Box::new(move |messages| {
            let result = action(messages, Moment::now());
            Box::new(move |committed| {
                // The client may have disconnected.
                let _ = sender.send(committed.and(result));
            })
        });
        // If the writer has ended, the action and its sender are dropped.
        let _ = self.jobs.send(Job::Run(action));
        result.await.unwrap_or_else(|_| Err(ApiError::unwritable()))
    }

    /// Receives up to `limit` messages, and waits at most `timeout` for the first. If the future is
    /// dropped while it waits, no message is received.
    pub(super) async fn receive(
        &self,
        queue: &Queue,
        limit: usize,
        timeout: Duration,
    ) -> Result<Vec<(Receipt, Message)>, ApiError> {
        let began = Instant::now();
        loop {
            let arrival = self.arrivals.notified();
            tokio::pin!(arrival);
            // Registered before the scan, so that no arrival is missed.
            arrival.as_mut().enable();
            let scanned = queue.clone();
            let (received, now) = self
                .run(move |messages, now| Ok((messages.receive(&scanned, limit, now)?, now)))
                .await?;
            let left = timeout.saturating_sub(began.elapsed());
            if !received.messages.is_empty()
                || left.is_zero()
                || self.stopping.load(Ordering::SeqCst)
            {
                return Ok(received.messages);
            }
            let next = received.next_visible_from;
            let hidden = next.map(|next| Duration::from_millis(next.0.saturating_sub(now.0)));
            let wait = hidden.map_or(left, |hidden| hidden.min(left));
            // Scans again in both cases.
            let _ = tokio::time::timeout(wait, arrival).await;
        }
    }

    /// Answers all waiting receives, and lets later ones return immediately.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.arrivals.notify_waiters();
    }

    /// Waits until the store fails.
    pub(super) async fn failed(&self) {
        self.failed.notified().await;
    }

    /// Ends the thread that writes, which closes the file. Later actions fail.
    pub(super) fn close(&self, writer: Writer) {
        // The thread has already ended if a write failed.
        let _ = self.jobs.send(Job::Stop);
        if writer.0.join().is_err() {
            tracing::error!("the thread that writes messages panicked");
        }
    }

    /// Runs actions until [`Job::Stop`], or until a write fails.
    fn write(&self, store: &Store, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let mut responses: Vec<Respond> = Vec::new();
            let mut is_stopped = false;
            let written = store.write(|messages| {
                for job in std::iter::once(first).chain(jobs.try_iter().take(MAX_BATCH)) {
                    match job {
                        Job::Run(action) => responses.push(action(messages)),
                        Job::Stop => {
                            is_stopped = true;
                            break;
                        }
                    }
                }
                Ok(())
            });
            let committed = written.as_ref().map(|_| ()).map_err(Clone::clone);
            for respond in responses {
                respond(committed.clone());
            }
            match written {
                Ok(((), true)) => self.arrivals.notify_waiters(),
                Ok(((), false)) => {}
                Err(_) => return self.failed.notify_one(),
            }
            if is_stopped {
                return;
            }
        }
    }
}
