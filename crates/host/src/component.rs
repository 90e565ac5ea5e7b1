//! One component, ready to be called.
//!
//! A call waits for its turn, gets an instance (a fresh one, or one that has room), and gives the
//! turn back when the response's body is through. Whatever becomes of the guest, the caller gets
//! an answer or one of [`CallError`]'s, and the next call is served as if nothing had happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tirage_manifest::Limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use wasmtime_wasi_http::handler::{
    ExpirationError, InstantiationError, ProxyHandler, TrapOrPanicError,
};

use crate::body::{limit_request, watch_response};
use crate::metrics::ComponentMetrics;
use crate::worker::{Assignment, Instances};
use crate::{CallError, Request, Response};

/// How long to wait before an instance is asked for again when the pool had no room: instances
/// that have ended give their slots back within this time.
const SLOT_RETRY: Duration = Duration::from_millis(5);

/// Time beyond the deadline after which the host no longer waits for its own timers.
const DEADLINE_GRACE: Duration = Duration::from_millis(500);

/// A component that serves HTTP requests. Cheap to clone.
#[derive(Clone)]
pub struct Component(Arc<Inner>);

struct Inner {
    handler: ProxyHandler<Instances>,
    turns: Arc<Semaphore>,
    limits: Limits,
    metrics: ComponentMetrics,
}

impl Component {
    pub(crate) fn new(instances: Instances) -> Self {
        let limits = instances.limits;
        let metrics = instances.metrics.clone();
        Self(Arc::new(Inner {
            handler: ProxyHandler::new(instances),
            turns: Arc::new(Semaphore::new(limits.max_concurrency.get())),
            limits,
            metrics,
        }))
    }

    /// Sends `request` to the component and returns its response, whose body still streams.
    ///
    /// # Errors
    /// [`CallError`]: whatever kept the component from answering. A failure after the response's
    /// head shows as an error of its body.
    pub async fn call(&self, request: Request) -> Result<Response, CallError> {
        let result = self.0.call(request).await;
        if let Err(error) = &result {
            self.0.metrics.failed(error);
        }
        result
    }
}

impl Inner {
    async fn call(&self, request: Request) -> Result<Response, CallError> {
        let limit = self.limits.max_request_body_bytes.get();
        let too_large = CallError::BodyTooLarge { limit };
        if http_body::Body::size_hint(request.body()).lower() > limit {
            return Err(too_large);
        }
        let arrived = Instant::now();
        let turn = self.turn().await?;

        let exceeded = Arc::new(AtomicBool::new(false));
        let request = request.map(|body| match http_body::Body::is_end_stream(&body) {
            true => body,
            false => limit_request(body, limit, Arc::clone(&exceeded)),
        });
        let assignment = Assignment::of(&request);
        let answer = tokio::time::timeout(
            self.limits.timeout + DEADLINE_GRACE,
            self.handle(&assignment, request, arrived),
        )
        .await
        .unwrap_or(Err(CallError::DeadlineExceeded));
        if exceeded.load(Ordering::Acquire) {
            return Err(too_large);
        }
        // A response without an instance can't be; if it were, its body has nobody to watch.
        let fate = assignment.fate().cloned();
        Ok(answer?.map(|body| match fate {
            Some(fate) => watch_response(body, fate, turn),
            None => body,
        }))
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, CallError> {
        let turns = || Arc::clone(&self.turns);
        if let Ok(turn) = turns().try_acquire_owned() {
            return Ok(turn);
        }
        match tokio::time::timeout(self.limits.queue_timeout, turns().acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(CallError::TooBusy),
        }
    }

    /// Hands the request to an instance. While the pool has no slot, asks again: each turn has a
    /// slot of its own, but one that just ended may need a moment to give it back.
    async fn handle(
        &self,
        assignment: &Assignment,
        mut request: Request,
        arrived: Instant,
    ) -> Result<Response, CallError> {
        loop {
            let error = match self.handler.handle(assignment.clone(), request).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let error = match error.downcast::<InstantiationError<Assignment>>() {
                Ok(error) => error,
                Err(error) => return Err(classify(&error, assignment)),
            };
            let no_slot = error.error.is::<wasmtime::PoolConcurrencyLimitError>();
            if !no_slot {
                tracing::error!("instantiation failed: {:?}", error.error);
                return Err(CallError::Failed("it could not be started".into()));
            }
            if arrived.elapsed() >= self.limits.queue_timeout {
                return Err(CallError::TooBusy);
            }
            tokio::time::sleep(SLOT_RETRY).await;
            request = error
                .request
                .into_inner()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}

fn classify(error: &wasmtime::Error, assignment: &Assignment) -> CallError {
    if error.is::<ExpirationError>() {
        return CallError::DeadlineExceeded;
    }
    let fate = assignment.fate();
    if fate.is_some_and(|fate| fate.expired()) {
        CallError::DeadlineExceeded
    } else if fate.is_some_and(|fate| fate.memory_refused()) {
        CallError::OutOfMemory
    } else if error.is::<TrapOrPanicError>() || error.is::<wasmtime::Trap>() {
        CallError::Trapped
    } else {
        CallError::Failed(format!("{error:#}"))
    }
}
