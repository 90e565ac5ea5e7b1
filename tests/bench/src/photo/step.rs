//! Ours: the component `photo` in wasmtime, run as in the router: precompiled, from the pool, an instance per
//! photo. On this thread, with request and response in memory.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use tokio::runtime::Runtime;
use wasmtime::component::GuestTaskId;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, ResourceLimiter, Store,
    StoreContextMut,
};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyHandler, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState,
    WorkerStatus,
};

use crate::wasi::{self, State};

/// Memory limit of an instance, the same as in the manifest.
const MEMORY: usize = 512 << 20;

/// The loaded component.
pub(crate) struct Step {
    runtime: Runtime,
    handler: ProxyHandler<Instances>,
    peak: Arc<AtomicUsize>,
}

/// The time and memory that the step used, and its output.
pub(crate) struct Measured {
    pub(crate) milliseconds: Vec<f64>,
    pub(crate) cpu_milliseconds: f64,
    /// Largest memory of any instance.
    pub(crate) peak_bytes: usize,
    /// The variants of the last photo.
    pub(crate) variants: Vec<Bytes>,
}

impl Step {
    pub(crate) fn load(component: &Path) -> anyhow::Result<Self> {
        let peak = Arc::new(AtomicUsize::new(0));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let instances = Instances::load(component, &peak)
            .map_err(|error| anyhow::anyhow!("{error:?}"))
            .context("cannot load the component: run cargo xtask build")?;
        let handler = runtime.block_on(async { ProxyHandler::new(instances) });
        Ok(Self {
            runtime,
            handler,
            peak,
        })
    }

    /// Makes the variants of one photo repeatedly.
    pub(crate) fn measure(
        &self,
        file: &[u8],
        query: &str,
        rounds: usize,
    ) -> anyhow::Result<Measured> {
        self.peak.store(0, Ordering::Relaxed);
        let file = Bytes::copy_from_slice(file);
        let mut milliseconds = Vec::new();
        let mut response = (String::new(), Bytes::new());
        let cpu = thread_cpu_milliseconds()?;
        for _ in 0..rounds {
            let begin = Instant::now();
            response = self.runtime.block_on(self.process(file.clone(), query))?;
            milliseconds.push(begin.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(Measured {
            milliseconds,
            cpu_milliseconds: thread_cpu_milliseconds()? - cpu,
            peak_bytes: self.peak.load(Ordering::Relaxed),
            variants: variants(&response.0, &response.1).context("the response is incomplete")?,
        })
    }

    async fn process(&self, file: Bytes, query: &str) -> anyhow::Result<(String, Bytes)> {
        let body = Full::new(file)
            .map_err(|never| match never {})
            .boxed_unsync();
        let request = http::Request::post(format!("http://photo.spin.internal/?{query}"))
            .header(http::header::HOST, "photo.spin.internal")
            .body(body)?;
        let response = self
            .handler
            .handle((), request)
            .await
            .map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let (head, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!("{error:?}"))?
            .to_bytes();
        if head.status != http::StatusCode::OK {
            bail!("{}: {}", head.status, String::from_utf8_lossy(&body));
        }
        let content_type = head.headers.get(http::header::CONTENT_TYPE);
        let boundary = content_type
            .and_then(|value| value.to_str().ok()?.split_once("boundary="))
            .context("the response has no boundary")?
            .1;
        Ok((boundary.to_owned(), body))
    }
}

/// Returns the parts of a multipart response after the first, by their `Content-Length`.
fn variants(boundary: &str, response: &Bytes) -> Option<Vec<Bytes>> {
    let boundary = format!("--{boundary}\r\n");
    let mut parts = Vec::new();
    let mut at = 0;
    while response.get(at..)?.starts_with(boundary.as_bytes()) {
        let head_length = response
            .get(at..)?
            .windows(4)
            .position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(response.get(at..at + head_length)?).ok()?;
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))?
            .parse()
            .ok()?;
        let start = at + head_length + 4;
        parts.push(response.slice(start..start + length));
        at = start + length + 2;
    }
    (!parts.is_empty()).then(|| parts.split_off(1))
}

/// Returns the CPU time of this thread (proc(5), `schedstat`).
fn thread_cpu_milliseconds() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = text
        .split_whitespace()
        .next()
        .context("schedstat is empty")?
        .parse()?;
    Ok(nanoseconds / 1e6)
}

/// Limits an instance's memory, and records the largest of all instances.
struct Memory(Arc<AtomicUsize>);

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.0.fetch_max(desired, Ordering::Relaxed);
        Ok(desired <= MEMORY)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

struct Instances {
    engine: Engine,
    pre: ProxyPre<State<Memory>>,
    peak: Arc<AtomicUsize>,
}

impl Instances {
    fn load(component: &Path, peak: &Arc<AtomicUsize>) -> wasmtime::Result<Self> {
        let mut pool = PoolingAllocationConfig::default();
        pool.max_memory_size(MEMORY).total_memories(4);
        let mut config = Config::new();
        config
            .wasm_component_model_async(true)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config)?;
        let pre = wasi::load(&engine, component)?;
        Ok(Self {
            engine,
            pre,
            peak: peak.clone(),
        })
    }
}

impl HandlerState for Instances {
    type StoreData = State<Memory>;
    type WorkerExpiration = Never;
    type WorkerState = OneRequest;

    async fn instantiate(&self) -> wasmtime::Result<Instance<State<Memory>, Never, OneRequest>> {
        let state = State::new(Memory(self.peak.clone()));
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.own);
        let proxy = self.pre.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy,
            view: WasiHttpView::http,
            expiration: Never,
            state: OneRequest,
        })
    }
}

/// Instances have no deadline.
struct Never;

impl WorkerExpiration for Never {
    fn poll(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        status: WorkerStatus,
        _: Instant,
    ) -> Poll<()> {
        match status {
            WorkerStatus::Idle => Poll::Ready(()),
            WorkerStatus::Requests | WorkerStatus::PostReturn => Poll::Pending,
        }
    }
}

struct OneRequest;

impl WorkerState for OneRequest {
    type StoreData = State<Memory>;
    type RequestData = ();

    fn should_accept_request(&self, _: usize, total: usize) -> ShouldAccept {
        if total == 0 {
            ShouldAccept::Yes
        } else {
            ShouldAccept::Never
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, State<Memory>>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<State<Memory>>, _: wasmtime::Result<()>) {
        drop(store);
    }
}
