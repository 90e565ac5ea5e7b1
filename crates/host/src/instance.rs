//! Lifecycle of one instance: its creation, the requests that it accepts, and its end.
//!
//! wasmtime's `ProxyHandler` runs each instance in a tokio task of its own and calls the traits that
//! this module implements (wasmtime calls that task a worker). Two timers enforce a deadline. The one
//! in the store's event loop ends one request. The one outside of the event loop ends the whole
//! instance, because a guest that computes without pause blocks the event loop (wasmtime issues 11869
//! and 11870).
//!
//! [`InstanceStatus`] outlives the instance, because wasmtime tells a caller only that the instance is
//! gone, and ends a truncated body like a complete one.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tirage_manifest::Limits;
use wasmtime::component::GuestTaskId;
use wasmtime::{Engine, Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState,
    WorkerStatus,
};

use crate::Request;
use crate::metrics::ComponentMetrics;
use crate::outgoing::CallDepth;
use crate::state::{InstanceConfig, InstanceState};

/// Time for which an idle instance waits for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum number of bytes that a guest may pass to the host in one call.
const MAX_HOSTCALL_BYTES: usize = 16 << 20;

/// Maximum number of component-model handles (futures, streams, subtasks) of one instance.
const MAX_COMPONENT_HANDLES: usize = 10_000;

/// Status of an instance, which can be read after the instance has ended.
pub(crate) struct InstanceStatus {
    created: Instant,
    /// Milliseconds from `created` until the last progress of a response's body.
    last_progress: AtomicU64,
    /// Number of response bodies that are still being read.
    open_bodies: AtomicUsize,
    expired: AtomicBool,
    failed: AtomicBool,
    memory_refused: Arc<AtomicBool>,
}

impl InstanceStatus {
    fn new() -> Self {
        Self {
            created: Instant::now(),
            last_progress: AtomicU64::new(0),
            open_bodies: AtomicUsize::new(0),
            expired: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            memory_refused: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Records that a part of a response's body was read.
    pub(crate) fn record_progress(&self) {
        let elapsed = u64::try_from(self.created.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_progress.store(elapsed, Ordering::Relaxed);
    }

    /// Records the start of a response's body; [`InstanceStatus::body_closed`] records its end.
    pub(crate) fn body_opened(&self) {
        self.record_progress();
        self.open_bodies.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that a response's body ended or was dropped.
    pub(crate) fn body_closed(&self) {
        self.open_bodies.fetch_sub(1, Ordering::Relaxed);
    }

    fn has_open_bodies(&self) -> bool {
        self.open_bodies.load(Ordering::Relaxed) > 0
    }

    fn last_progress(&self) -> Instant {
        self.created + Duration::from_millis(self.last_progress.load(Ordering::Relaxed))
    }

    /// `true` if the instance ended by a trap, by its deadline or by a panic of the host. It is set
    /// before the store is dropped, so before any of its bodies can end for that reason.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// `true` if the deadline ended the instance.
    pub(crate) fn expired(&self) -> bool {
        self.expired.load(Ordering::Acquire)
    }

    /// `true` if the guest exceeded its memory limit.
    pub(crate) fn memory_refused(&self) -> bool {
        self.memory_refused.load(Ordering::Relaxed)
    }
}

/// Data that accompanies a request to the instance that accepts it. Clones share it.
#[derive(Clone)]
pub(crate) struct RequestContext {
    depth: CallDepth,
    /// Set when an instance accepts the request.
    instance_status: Arc<OnceLock<Arc<InstanceStatus>>>,
}

impl RequestContext {
    pub(crate) fn new(request: &Request) -> Self {
        Self {
            depth: CallDepth::of(request),
            instance_status: Arc::default(),
        }
    }

    /// Returns the status of the instance that accepted the request, if one did.
    pub(crate) fn instance_status(&self) -> Option<&Arc<InstanceStatus>> {
        self.instance_status.get()
    }
}

/// Creates the instances of one component.
pub(crate) struct InstanceFactory {
    pub(crate) engine: Engine,
    pub(crate) pre: ProxyPre<InstanceState>,
    pub(crate) config: InstanceConfig,
    pub(crate) limits: Limits,
    pub(crate) metrics: ComponentMetrics,
}

impl HandlerState for InstanceFactory {
    type StoreData = InstanceState;
    type WorkerExpiration = Expiration;
    type WorkerState = Lifecycle;

    async fn instantiate(
        &self,
    ) -> wasmtime::Result<Instance<InstanceState, Expiration, Lifecycle>> {
        let status = Arc::new(InstanceStatus::new());
        let state = InstanceState::new(&self.config, Arc::clone(&status.memory_refused))?;
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.memory);
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        store.set_hostcall_fuel(MAX_HOSTCALL_BYTES);
        store.set_max_component_handles(MAX_COMPONENT_HANDLES);

        let proxy =
            tokio::time::timeout(self.limits.timeout, self.pre.instantiate_async(&mut store))
                .await
                .map_err(|_| wasmtime::format_err!("instantiation exceeded the deadline"))??;
        // WASI 0.2 has no concurrent requests, and its guests expect a fresh instance.
        let (requests, concurrent_requests) = match &proxy {
            Proxy::P2(_) => (1, 1),
            Proxy::P3(_) => (
                self.limits.requests_per_instance.get(),
                self.limits.concurrent_requests_per_instance.get(),
            ),
        };
        self.metrics.instance_started();
        Ok(Instance {
            store,
            proxy,
            view: InstanceState::http,
            expiration: Expiration {
                timeout: self.limits.timeout,
                status: Arc::clone(&status),
                sleep: Box::pin(tokio::time::sleep(self.limits.timeout)),
            },
            state: Lifecycle {
                component: Arc::clone(&self.config.component),
                requests,
                concurrent_requests,
                timeout: self.limits.timeout,
                metrics: self.metrics.clone(),
                status,
            },
        })
    }
}

/// Timer that ends an instance from outside of its event loop.
pub(crate) struct Expiration {
    timeout: Duration,
    status: Arc<InstanceStatus>,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        activity: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        loop {
            let deadline = match activity {
                WorkerStatus::Idle if !self.status.has_open_bodies() => start + IDLE_TIMEOUT,
                WorkerStatus::Requests => start + self.timeout,
                // The host may still stream for a guest that has returned, for example a file.
                WorkerStatus::Idle | WorkerStatus::PostReturn => {
                    start.max(self.status.last_progress()) + self.timeout
                }
            };
            // The end of a body doesn't wake this tokio task, so it polls.
            let next_poll = Instant::now() + IDLE_TIMEOUT;
            let wake = match activity {
                WorkerStatus::Idle => deadline.min(next_poll),
                WorkerStatus::Requests | WorkerStatus::PostReturn => deadline,
            };
            if Instant::now() >= deadline {
                if activity != WorkerStatus::Idle || self.status.has_open_bodies() {
                    self.status.expired.store(true, Ordering::Release);
                    self.status.failed.store(true, Ordering::Release);
                }
                return Poll::Ready(());
            }
            // A timer that fires too early costs one more iteration. Resetting it at every poll of the
            // event loop would cost every request.
            if self.sleep.deadline() > wake.into() || self.sleep.is_elapsed() {
                self.sleep.as_mut().reset(wake.into());
            }
            if self.sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// Decides which requests one instance accepts, and records how it ends.
pub(crate) struct Lifecycle {
    component: Arc<str>,
    requests: usize,
    concurrent_requests: usize,
    timeout: Duration,
    metrics: ComponentMetrics,
    status: Arc<InstanceStatus>,
}

impl WorkerState for Lifecycle {
    type StoreData = InstanceState;
    type RequestData = RequestContext;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        // After a refused allocation the heap is full, so the next request gets a new instance.
        if total >= self.requests || (self.status.memory_refused() && total > 0) {
            ShouldAccept::Never
        } else if concurrent >= self.concurrent_requests {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, InstanceState>,
        context: RequestContext,
        task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        // Each request is accepted once, so the cell is empty.
        let _ = context.instance_status.set(Arc::clone(&self.status));
        store.data_mut().call_depths().start(task, context.depth);
        Box::pin(tokio::time::sleep(self.timeout))
    }

    fn drop(&self, store: Store<InstanceState>, result: wasmtime::Result<()>) {
        if let Err(error) = result {
            self.status.failed.store(true, Ordering::Release);
            let component = &*self.component;
            if self.status.expired() {
                tracing::warn!(component, "instance ended: deadline exceeded");
            } else if self.status.memory_refused() {
                tracing::warn!(component, "instance ended: out of memory: {error:#}");
            } else {
                tracing::warn!(component, "instance ended: {error:?}");
            }
        }
        drop(store);
        self.metrics.instance_ended();
    }
}
