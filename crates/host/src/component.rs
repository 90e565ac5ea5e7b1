//! One component that serves calls.
//!
//! A call waits for a permit of the component's concurrency limit, gets a new or a running instance,
//! and holds the permit until the end of the response's body. If the guest fails, the caller gets a
//! [`CallError`]; other and later calls are not affected.

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
use crate::instance::{InstanceFactory, RequestContext};
use crate::metrics::ComponentMetrics;
use crate::{CallError, Request, Response};

/// Time until the next attempt to create an instance when the pool is full. Instances that have ended
/// release their slots within this time.
const SLOT_RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// Time after the deadline for the timers of the instance to fire, before the call itself gives up.
const DEADLINE_GRACE: Duration = Duration::from_millis(500);

/// A component that serves HTTP requests. Cheap to clone.
#[derive(Clone)]
pub struct Component(Arc<Inner>);

struct Inner {
    handler: ProxyHandler<InstanceFactory>,
    permits: Arc<Semaphore>,
    limits: Limits,
    metrics: ComponentMetrics,
}

impl Component {
    pub(crate) fn new(instances: InstanceFactory) -> Self {
        let limits = instances.limits;
        let metrics = instances.metrics.clone();
        Self(Arc::new(Inner {
            handler: ProxyHandler::new(instances),
            permits: Arc::new(Semaphore::new(limits.max_concurrency.get())),
            limits,
            metrics,
        }))
    }

    /// Sends `request` to the component and returns its response, whose body still streams.
    ///
    /// # Errors
    /// [`CallError`] if the component returns no response. A failure after the response's head is an
    /// error of its body.
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
        let permit = self.acquire_permit().await?;

        let exceeded = Arc::new(AtomicBool::new(false));
        let request = request.map(|body| match http_body::Body::is_end_stream(&body) {
            true => body,
            false => limit_request(body, limit, Arc::clone(&exceeded)),
        });
        let context = RequestContext::new(&request);
        let response = tokio::time::timeout(
            self.limits.timeout + DEADLINE_GRACE,
            self.handle(&context, request, arrived),
        )
        .await
        .unwrap_or(Err(CallError::DeadlineExceeded));
        if exceeded.load(Ordering::Acquire) {
            return Err(too_large);
        }
        // Every response comes from an instance, so `None` doesn't occur.
        let status = context.instance_status().cloned();
        Ok(response?.map(|body| match status {
            Some(status) => watch_response(body, status, permit),
            None => body,
        }))
    }

    async fn acquire_permit(&self) -> Result<OwnedSemaphorePermit, CallError> {
        let permits = || Arc::clone(&self.permits);
        if let Ok(permit) = permits().try_acquire_owned() {
            return Ok(permit);
        }
        match tokio::time::timeout(self.limits.queue_timeout, permits().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(CallError::TooBusy),
        }
    }

    /// Passes the request to an instance. Retries while the pool is full: it has a slot for each
    /// permit, but an instance that has just ended may not have released its slot yet.
    async fn handle(
        &self,
        context: &RequestContext,
        mut request: Request,
        arrived: Instant,
    ) -> Result<Response, CallError> {
        loop {
            let error = match self.handler.handle(context.clone(), request).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let error = match error.downcast::<InstantiationError<RequestContext>>() {
                Ok(error) => error,
                Err(error) => return Err(classify(&error, context)),
            };
            if !error.error.is::<wasmtime::PoolConcurrencyLimitError>() {
                tracing::error!("cannot instantiate the component: {:?}", error.error);
                return Err(CallError::Failed("cannot instantiate the component".into()));
            }
            if arrived.elapsed() >= self.limits.queue_timeout {
                return Err(CallError::TooBusy);
            }
            tokio::time::sleep(SLOT_RETRY_INTERVAL).await;
            request = error
                .request
                .into_inner()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}

fn classify(error: &wasmtime::Error, context: &RequestContext) -> CallError {
    if error.is::<ExpirationError>() {
        return CallError::DeadlineExceeded;
    }
    let status = context.instance_status();
    if status.is_some_and(|status| status.expired()) {
        CallError::DeadlineExceeded
    } else if status.is_some_and(|status| status.memory_refused()) {
        CallError::OutOfMemory
    } else if error.is::<TrapOrPanicError>() || error.is::<wasmtime::Trap>() {
        CallError::Trapped
    } else {
        CallError::Failed(format!("{error:#}"))
    }
}
