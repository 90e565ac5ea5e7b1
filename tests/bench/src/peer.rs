//! The peer of the router: wasmtime's own `ProxyHandler` behind hyper. It has no routes, request ids, log or
//! metrics, and only the settings that a fair comparison needs: epochs, the pool, and the same reuse of
//! instances.

use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use wasmtime::component::GuestTaskId;
use wasmtime::{Config, Engine, Store, StoreContextMut};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyHandler, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState,
    WorkerStatus,
};
use wasmtime_wasi_http::{WasiBody, WasiHttpView};

use crate::wasi::{self, State};

/// Serves `component` on a free port of loopback and prints the address.
///
/// # Errors
/// When the component can't be loaded.
pub(crate) fn serve(component: &Path) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(component))
        .map_err(|error| anyhow::anyhow!("{error:?}"))
}

async fn run(component: &Path) -> wasmtime::Result<()> {
    let mut config = Config::new();
    config
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .allocation_strategy(wasmtime::InstanceAllocationStrategy::pooling());
    let engine = Engine::new(&config)?;
    let pre = wasi::load(&engine, component)?;
    std::thread::spawn({
        let engine = engine.clone();
        move || loop {
            std::thread::sleep(Duration::from_millis(10));
            engine.increment_epoch();
        }
    });
    let handler = ProxyHandler::new(Instances { engine, pre });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let handler = handler.clone();
        tokio::spawn(async move {
            let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
                let handler = handler.clone();
                async move {
                    let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
                    let response = handler.handle((), request).await;
                    Ok::<_, Infallible>(response.unwrap_or_else(|_| {
                        let mut failed = http::Response::new(WasiBody::default());
                        *failed.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                        failed
                    }))
                }
            });
            // Fails when the load closes its connections.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

struct Instances {
    engine: Engine,
    pre: ProxyPre<State<()>>,
}

impl HandlerState for Instances {
    type StoreData = State<()>;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<State<()>, Expiration, Worker>> {
        let mut store = Store::new(&self.engine, State::new(()));
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        let proxy = self.pre.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy,
            view: WasiHttpView::http,
            expiration: Expiration(Box::pin(tokio::time::sleep(Duration::from_secs(1)))),
            state: Worker,
        })
    }
}

struct Expiration(Pin<Box<tokio::time::Sleep>>);

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        let timeout = match status {
            WorkerStatus::Idle => Duration::from_secs(1),
            WorkerStatus::Requests | WorkerStatus::PostReturn => Duration::from_secs(30),
        };
        let deadline = (start + timeout).into();
        if self.0.deadline() != deadline {
            self.0.as_mut().reset(deadline);
        }
        self.0.as_mut().poll(context)
    }
}

struct Worker;

impl WorkerState for Worker {
    type StoreData = State<()>;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        match (concurrent, total) {
            (_, 128..) => ShouldAccept::Never,
            (16.., _) => ShouldAccept::No,
            _ => ShouldAccept::Yes,
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, State<()>>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        Box::pin(tokio::time::sleep(Duration::from_secs(30)))
    }

    fn drop(&self, store: Store<State<()>>, _: wasmtime::Result<()>) {
        drop(store);
    }
}
