//! The life of one instance: how it is made, how many requests it takes, when it has to end.
//!
//! wasmtime's `ProxyHandler` drives the instances and asks this module at each turn. A deadline is
//! enforced twice: a timer inside the store's event loop ends one request and leaves the others
//! alone; a timer outside of it ends the whole instance, because a guest that computes without
//! pause keeps the event loop from turning (wasmtime issues 11869 and 11870).
//!
//! What became of an instance is kept in its [`Fate`], which outlives it: the caller learns of a
//! lost instance only that it is gone, and a body that is cut short looks to it like one that
//! ended.

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
use crate::outgoing::Depth;
use crate::state::{InstanceState, Surroundings};

/// How long an instance without work is kept for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes that a guest may hand to the host in one call.
const HOSTCALL_BYTES: usize = 16 << 20;

/// Component-model handles (futures, streams, subtasks) that one instance may hold.
const MAX_COMPONENT_HANDLES: usize = 10_000;

/// What happened to an instance, readable after it is gone.
pub(crate) struct Fate {
    born: Instant,
    /// Milliseconds after `born` when a body last moved.
    last_progress: AtomicU64,
    /// Response bodies that somebody still reads.
    open_bodies: AtomicUsize,
    expired: AtomicBool,
    failed: AtomicBool,
    memory_refused: Arc<AtomicBool>,
}

impl Fate {
    fn new() -> Self {
        Self {
            born: Instant::now(),
            last_progress: AtomicU64::new(0),
            open_bodies: AtomicUsize::new(0),
            expired: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            memory_refused: Arc::new(AtomicBool::new(false)),
        }
    }

    /// A piece of a response's body has gone out: the guest is alive.
    pub(crate) fn progressed(&self) {
        let elapsed = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_progress.store(elapsed, Ordering::Relaxed);
    }

    /// A response's body has begun; it ends with [`Fate::body_closed`].
    pub(crate) fn body_opened(&self) {
        self.progressed();
        self.open_bodies.fetch_add(1, Ordering::Relaxed);
    }

    /// A response's body is through, or nobody wants it any more.
    pub(crate) fn body_closed(&self) {
        self.open_bodies.fetch_sub(1, Ordering::Relaxed);
    }

    fn has_open_bodies(&self) -> bool {
        self.open_bodies.load(Ordering::Relaxed) > 0
    }

    fn last_progress(&self) -> Instant {
        self.born + Duration::from_millis(self.last_progress.load(Ordering::Relaxed))
    }

    /// The instance ended in a trap, by its deadline or by a panic of the host. Set before the
    /// store is dropped, that is before any of its bodies can end for that reason.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// The instance was ended by its deadline.
    pub(crate) fn expired(&self) -> bool {
        self.expired.load(Ordering::Acquire)
    }

    /// The guest wanted more memory than it may have.
    pub(crate) fn memory_refused(&self) -> bool {
        self.memory_refused.load(Ordering::Relaxed)
    }
}

/// What goes with a request to the instance that takes it, and comes back from there. Clones are the
/// same.
#[derive(Clone)]
pub(crate) struct Assignment {
    depth: Depth,
    /// Empty until an instance took the request.
    fate: Arc<OnceLock<Arc<Fate>>>,
}

impl Assignment {
    pub(crate) fn of(request: &Request) -> Self {
        Self {
            depth: Depth::of(request),
            fate: Arc::default(),
        }
    }

    /// What became of the instance that took the request, if one did.
    pub(crate) fn fate(&self) -> Option<&Arc<Fate>> {
        self.fate.get()
    }
}

/// Makes instances of one component.
pub(crate) struct Instances {
    pub(crate) engine: Engine,
    pub(crate) pre: ProxyPre<InstanceState>,
    pub(crate) surroundings: Surroundings,
    pub(crate) limits: Limits,
    pub(crate) metrics: ComponentMetrics,
}

impl HandlerState for Instances {
    type StoreData = InstanceState;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<InstanceState, Expiration, Worker>> {
        let fate = Arc::new(Fate::new());
        let state = InstanceState::new(&self.surroundings, Arc::clone(&fate.memory_refused))?;
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.memory);
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        store.set_max_component_handles(MAX_COMPONENT_HANDLES);

        let proxy =
            tokio::time::timeout(self.limits.timeout, self.pre.instantiate_async(&mut store))
                .await
                .map_err(|_| wasmtime::format_err!("instantiation exceeded the deadline"))??;
        // WASI 0.2 knows no second request while the first runs, and its guests expect a fresh start.
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
                fate: Arc::clone(&fate),
                sleep: Box::pin(tokio::time::sleep(self.limits.timeout)),
            },
            state: Worker {
                component: Arc::clone(&self.surroundings.component),
                requests,
                concurrent_requests,
                timeout: self.limits.timeout,
                metrics: self.metrics.clone(),
                fate,
            },
        })
    }
}

/// Ends an instance from outside its event loop.
pub(crate) struct Expiration {
    timeout: Duration,
    fate: Arc<Fate>,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        loop {
            let deadline = match status {
                WorkerStatus::Idle if !self.fate.has_open_bodies() => start + IDLE_TIMEOUT,
                WorkerStatus::Requests => start + self.timeout,
                // A guest may be done while the host still streams for it, a file for example.
                WorkerStatus::Idle | WorkerStatus::PostReturn => {
                    start.max(self.fate.last_progress()) + self.timeout
                }
            };
            // Nobody wakes this task when a body ends, so it looks again once in a while.
            let next_look = Instant::now() + IDLE_TIMEOUT;
            let wake = match status {
                WorkerStatus::Idle => deadline.min(next_look),
                WorkerStatus::Requests | WorkerStatus::PostReturn => deadline,
            };
            if Instant::now() >= deadline {
                if status != WorkerStatus::Idle || self.fate.has_open_bodies() {
                    self.fate.expired.store(true, Ordering::Release);
                    self.fate.failed.store(true, Ordering::Release);
                }
                return Poll::Ready(());
            }
            // A timer that rings too early costs one more look; one that is set anew at each turn of
            // the event loop costs every request.
            if self.sleep.deadline() > wake.into() || self.sleep.is_elapsed() {
                self.sleep.as_mut().reset(wake.into());
            }
            if self.sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// Decides how much one instance takes on, and records how it ends.
pub(crate) struct Worker {
    component: Arc<str>,
    requests: usize,
    concurrent_requests: usize,
    timeout: Duration,
    metrics: ComponentMetrics,
    fate: Arc<Fate>,
}

impl WorkerState for Worker {
    type StoreData = InstanceState;
    type RequestData = Assignment;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        // After a refused allocation the instance's heap is full: the next guest shall not pay.
        if total >= self.requests || (self.fate.memory_refused() && total > 0) {
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
        assignment: Assignment,
        task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        // A request is accepted once; were it accepted again, its first instance would stand.
        let _ = assignment.fate.set(Arc::clone(&self.fate));
        store.data_mut().callers().begin(task, assignment.depth);
        Box::pin(tokio::time::sleep(self.timeout))
    }

    fn drop(&self, store: Store<InstanceState>, result: wasmtime::Result<()>) {
        if let Err(error) = result {
            self.fate.failed.store(true, Ordering::Release);
            let component = &*self.component;
            if self.fate.expired() {
                tracing::warn!(component, "instance ended: its deadline passed");
            } else if self.fate.memory_refused() {
                tracing::warn!(component, "instance ended: out of memory: {error:#}");
            } else {
                tracing::warn!(component, "instance ended: {error:?}");
            }
        }
        drop(store);
        self.metrics.instance_ended();
    }
}
