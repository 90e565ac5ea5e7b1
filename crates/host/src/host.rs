//! The host: loads components, checks them against their worlds, links them, and connects them to
//! each other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tirage_manifest::{AllowedHosts, Limits, World};
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{InstancePre, Linker};
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::p3::bindings::http as p3;
use wasmtime_wasi_http::{WasiHttp, WasiHttpView as _};

use crate::component::Component;
use crate::engine::{self, Allocator, EngineError, PoolSize};
use crate::instance::InstanceFactory;
use crate::metrics::HostMetrics;
use crate::outgoing::{DepthTrackingClient, InternalService, LocalDestinations, Outgoing};
use crate::precompiled::{self, LoadError};
use crate::state::{InstanceConfig, InstanceState, ReadOnlyFolder};
use crate::variables::{self, Variables};
use crate::world::{WorldError, check_imports};
use crate::{CallError, Request, Response};

/// Configuration of one component, with resolved variables.
#[derive(Clone, Debug)]
pub struct ComponentSpec {
    /// Id: in logs, in metrics, and in `http://<id>.spin.internal`.
    pub id: String,
    /// Path of the `.wasm` file. A current `.cwasm` file next to it is used instead.
    pub source: PathBuf,
    /// Interfaces that it may import.
    pub world: World,
    /// Limits of memory, time and concurrency.
    pub limits: Limits,
    /// Environment variables of the guest.
    pub environment: Vec<(String, String)>,
    /// Folders that it may read.
    pub folders: Vec<ReadOnlyFolder>,
    /// Values of `spin:variables`.
    pub variables: Variables,
    /// Hosts that it may call.
    pub allowed_hosts: AllowedHosts,
}

/// An error of building a host, or of checking or compiling a component.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The engine can't be created.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A component's file can't be loaded.
    #[error("component \"{id}\": {source}")]
    Load {
        /// Id of the component.
        id: String,
        /// The cause.
        source: LoadError,
    },
    /// A component imports more than its world grants.
    #[error("component \"{id}\" {source}")]
    World {
        /// Id of the component.
        id: String,
        /// The refused import.
        source: WorldError,
    },
    /// A component doesn't export an HTTP handler, or can't be linked.
    #[error("component \"{id}\" cannot serve requests: {source:#}")]
    Link {
        /// Id of the component.
        id: String,
        /// Error of wasmtime.
        source: wasmtime::Error,
    },
}

/// Builder of a [`Host`].
#[derive(Default)]
pub struct HostBuilder {
    allocator: Allocator,
    metrics: HostMetrics,
    services: Vec<(String, Arc<dyn InternalService>)>,
    own_application: Option<Arc<dyn InternalService>>,
    components: Vec<ComponentSpec>,
}

impl HostBuilder {
    /// Sets the allocation of instances.
    #[must_use]
    pub fn allocator(mut self, allocator: Allocator) -> Self {
        self.allocator = allocator;
        self
    }

    /// Sets the metrics. By default they are not registered anywhere.
    #[must_use]
    pub fn metrics(mut self, metrics: &HostMetrics) -> Self {
        self.metrics = metrics.clone();
        self
    }

    /// Adds a service that serves components' requests to `host_name` in the process. A component needs
    /// the host among its allowed hosts.
    #[must_use]
    pub fn service(mut self, host_name: &str, service: Arc<dyn InternalService>) -> Self {
        self.services.push((host_name.to_owned(), service));
        self
    }

    /// Sets the service that serves components' requests to their own application
    /// (`http://self.alt`). A component needs `http://self` among its allowed hosts.
    #[must_use]
    pub fn own_application(mut self, service: Arc<dyn InternalService>) -> Self {
        self.own_application = Some(service);
        self
    }

    /// Adds a component.
    #[must_use]
    pub fn component(mut self, spec: ComponentSpec) -> Self {
        self.components.push(spec);
        self
    }

    /// Loads, checks and links the components. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`HostError`], which names the component.
    pub fn build(self) -> Result<Host, HostError> {
        let engine = engine::start(self.allocator, pool_size(&self.components))?;
        let linker = linker(&engine)?;
        let linked = self
            .components
            .into_iter()
            .map(|spec| {
                let pre = link(&engine, &linker, &spec)?;
                Ok((spec, pre))
            })
            .collect::<Result<Vec<_>, HostError>>()?;

        let metrics = self.metrics;
        let local = Arc::new_cyclic(|local| LocalDestinations {
            services: self.services.into_iter().collect(),
            own_application: self.own_application,
            components: linked
                .into_iter()
                .map(|(spec, pre)| {
                    let id: Arc<str> = spec.id.into();
                    let metrics = metrics.for_component(&id);
                    let outgoing = Outgoing::new(
                        Arc::clone(&id),
                        spec.allowed_hosts,
                        spec.limits.outgoing,
                        local.clone(),
                        metrics.clone(),
                    );
                    let component = Component::new(InstanceFactory {
                        engine: engine.clone(),
                        pre,
                        config: InstanceConfig {
                            component: Arc::clone(&id),
                            environment: spec.environment,
                            folders: spec.folders,
                            variables: spec.variables,
                            outgoing,
                            memory_bytes: spec.limits.memory_bytes(),
                        },
                        limits: spec.limits,
                        metrics,
                    });
                    (id, component)
                })
                .collect(),
        });
        Ok(Host(local))
    }
}

/// Running components. Cheap to clone; they end when the last clone is dropped.
#[derive(Clone)]
pub struct Host(Arc<LocalDestinations>);

impl Host {
    /// Returns a builder without components.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// Returns the component of this id.
    pub fn component(&self, id: &str) -> Option<&Component> {
        self.0.components.get(id)
    }

    /// Sends a request to the component of this id.
    ///
    /// # Errors
    /// As [`Component::call`], and [`CallError::NoSuchComponent`].
    pub async fn call(&self, id: &str, request: Request) -> Result<Response, CallError> {
        match self.component(id) {
            Some(component) => component.call(request).await,
            None => Err(CallError::NoSuchComponent(id.to_owned())),
        }
    }
}

/// Checks that the component in file `wasm` imports no more than `world` grants. Doesn't compile or
/// run it.
///
/// # Errors
/// The file isn't a component, or imports more.
#[cfg(feature = "compiler")]
pub fn check(wasm: &Path, world: World) -> Result<(), HostError> {
    let id = file_stem(wasm);
    let imports = precompiled::imports(wasm).map_err(|source| HostError::Load {
        id: id.clone(),
        source,
    })?;
    check_imports(world, imports.iter().map(String::as_str))
        .map_err(|source| HostError::World { id, source })
}

/// Compiles the component in file `wasm` and writes the result to `compiled` atomically.
///
/// # Errors
/// The file isn't a component, or a file can't be read or written.
#[cfg(feature = "compiler")]
pub fn precompile(wasm: &Path, compiled: &Path) -> Result<(), HostError> {
    let engine = engine::for_compiling()?;
    precompiled::precompile(&engine, wasm, compiled).map_err(|source| HostError::Load {
        id: file_stem(wasm),
        source,
    })
}

fn file_stem(wasm: &Path) -> String {
    wasm.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Returns a pool with a slot for each concurrent request, and a quarter more for instances that are
/// ending.
fn pool_size(components: &[ComponentSpec]) -> PoolSize {
    let requests: usize = components
        .iter()
        .map(|spec| spec.limits.max_concurrency.get())
        .sum();
    PoolSize {
        instances: u32::try_from(requests + requests / 4 + 8).unwrap_or(u32::MAX),
        memory_bytes: components
            .iter()
            .map(|spec| spec.limits.memory_bytes())
            .max()
            .unwrap_or(1 << 20),
    }
}

/// Links the interfaces of all worlds. [`check_imports`] limits a component to its own world.
fn linker(engine: &Engine) -> Result<Linker<InstanceState>, HostError> {
    let mut linker = Linker::new(engine);
    let linked = wasmtime_wasi::p2::add_to_linker_async(&mut linker)
        .and_then(|()| wasmtime_wasi::p3::add_to_linker(&mut linker))
        .and_then(|()| wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker))
        .and_then(|()| p3::types::add_to_linker::<_, WasiHttp>(&mut linker, InstanceState::http))
        .and_then(|()| {
            p3::client::add_to_linker::<_, DepthTrackingClient>(&mut linker, InstanceState::http)
        })
        .and_then(|()| variables::add_to_linker(&mut linker));
    match linked {
        Ok(()) => Ok(linker),
        Err(source) => Err(HostError::Link {
            id: "every component".into(),
            source,
        }),
    }
}

fn link(
    engine: &Engine,
    linker: &Linker<InstanceState>,
    spec: &ComponentSpec,
) -> Result<ProxyPre<InstanceState>, HostError> {
    let id = || spec.id.clone();
    let component = precompiled::load(engine, &spec.source)
        .map_err(|source| HostError::Load { id: id(), source })?;
    let component_type = component.component_type();
    let imports = component_type
        .imports(engine)
        .filter(|(_, import)| !is_types_only(engine, &import.ty))
        .map(|(name, _)| name);
    check_imports(spec.world, imports).map_err(|source| HostError::World { id: id(), source })?;
    linker
        .instantiate_pre(&component)
        .and_then(handler_of)
        .map_err(|source| HostError::Link { id: id(), source })
}

/// `true` if the imported interface has no functions, so that it grants nothing. Rust's libc imports
/// the types of sockets, because it can close any descriptor.
fn is_types_only(engine: &Engine, import: &ComponentItem) -> bool {
    match import {
        ComponentItem::ComponentInstance(instance) => {
            instance.exports(engine).all(|(_, export)| {
                matches!(
                    export.ty,
                    ComponentItem::Type(_) | ComponentItem::Resource(_)
                )
            })
        }
        _ => false,
    }
}

/// Returns the handler of WASI 0.3 if the component exports it, otherwise that of WASI 0.2.
fn handler_of(pre: InstancePre<InstanceState>) -> wasmtime::Result<ProxyPre<InstanceState>> {
    match wasmtime_wasi_http::p3::bindings::ServicePre::new(pre.clone()) {
        Ok(service) => Ok(ProxyPre::P3(service)),
        Err(p3_error) => wasmtime_wasi_http::p2::bindings::ProxyPre::new(pre)
            .map(ProxyPre::P2)
            .map_err(|_| p3_error),
    }
}
