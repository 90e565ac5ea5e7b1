//! Puts components together: loads them, checks them against their worlds, links them, and lets
//! them find each other.

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
use crate::metrics::HostMetrics;
use crate::outgoing::{AttributedClient, InternalService, Network, Outgoing};
use crate::precompiled::{self, LoadError};
use crate::state::{InstanceState, ReadOnlyFolder, Surroundings};
use crate::variables::{self, Variables};
use crate::worker::Instances;
use crate::world::{WorldError, check_imports};
use crate::{CallError, Request, Response};

/// One component as the manifest wants it, everything resolved.
#[derive(Clone, Debug)]
pub struct ComponentSpec {
    /// Its name: in logs, in metrics, and in `http://<id>.spin.internal`.
    pub id: String,
    /// The `.wasm`; its `.cwasm` beside it is used if it is current.
    pub source: PathBuf,
    /// What it may import.
    pub world: World,
    /// What it may use.
    pub limits: Limits,
    /// The environment variables that it sees.
    pub environment: Vec<(String, String)>,
    /// The folders that it may read.
    pub folders: Vec<ReadOnlyFolder>,
    /// Its values for `spin:variables`.
    pub variables: Variables,
    /// Where its outgoing requests may go.
    pub allowed_hosts: AllowedHosts,
}

/// No host could be made of these components.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The engine could not be set up.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A component's file can't be used.
    #[error("component \"{id}\": {source}")]
    Load {
        /// The component.
        id: String,
        /// Why.
        source: LoadError,
    },
    /// A component wants more than its world grants.
    #[error("component \"{id}\" {source}")]
    World {
        /// The component.
        id: String,
        /// The import.
        source: WorldError,
    },
    /// A component does not serve HTTP, or can't be linked.
    #[error("component \"{id}\" cannot serve requests: {source:#}")]
    Link {
        /// The component.
        id: String,
        /// What wasmtime said.
        source: wasmtime::Error,
    },
}

/// Collects what a [`Host`] is made of.
#[derive(Default)]
pub struct HostBuilder {
    allocator: Allocator,
    metrics: HostMetrics,
    services: Vec<(String, Arc<dyn InternalService>)>,
    itself: Option<Arc<dyn InternalService>>,
    components: Vec<ComponentSpec>,
}

impl HostBuilder {
    /// Where instances get their memory from.
    #[must_use]
    pub fn allocator(mut self, allocator: Allocator) -> Self {
        self.allocator = allocator;
        self
    }

    /// Where the host counts; a registry of nobody's by default.
    #[must_use]
    pub fn metrics(mut self, metrics: &HostMetrics) -> Self {
        self.metrics = metrics.clone();
        self
    }

    /// Answers components' requests to `host_name` in process. Their manifests must allow it.
    #[must_use]
    pub fn service(mut self, host_name: &str, service: Arc<dyn InternalService>) -> Self {
        self.services.push((host_name.to_owned(), service));
        self
    }

    /// Answers components that call their own application (`http://self.alt`), as its clients do.
    /// Their manifests must allow it (`http://self`).
    #[must_use]
    pub fn itself(mut self, service: Arc<dyn InternalService>) -> Self {
        self.itself = Some(service);
        self
    }

    /// Adds a component.
    #[must_use]
    pub fn component(mut self, spec: ComponentSpec) -> Self {
        self.components.push(spec);
        self
    }

    /// Loads, checks and links everything. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`HostError`], naming the component.
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
        let network = Arc::new_cyclic(|network| Network {
            services: self.services.into_iter().collect(),
            itself: self.itself,
            components: linked
                .into_iter()
                .map(|(spec, pre)| {
                    let id: Arc<str> = spec.id.into();
                    let metrics = metrics.for_component(&id);
                    let outgoing = Outgoing::new(
                        Arc::clone(&id),
                        spec.allowed_hosts,
                        spec.limits.outgoing,
                        network.clone(),
                        metrics.clone(),
                    );
                    let component = Component::new(Instances {
                        engine: engine.clone(),
                        pre,
                        surroundings: Surroundings {
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
        Ok(Host(network))
    }
}

/// Components that run. Cheap to clone; ends when the last clone is dropped.
#[derive(Clone)]
pub struct Host(Arc<Network>);

impl Host {
    /// Starts collecting.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// The component of that name.
    pub fn component(&self, id: &str) -> Option<&Component> {
        self.0.components.get(id)
    }

    /// Sends a request to the component of that name.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call(&self, id: &str, request: Request) -> Result<Response, CallError> {
        match self.component(id) {
            Some(component) => component.call(request).await,
            None => Err(CallError::NoSuchComponent(id.to_owned())),
        }
    }
}

/// Checks that the component file `wasm` imports no more than `world` grants. Runs nothing and
/// compiles nothing.
///
/// # Errors
/// When the file is no component, or imports more.
#[cfg(feature = "compiler")]
pub fn check(wasm: &Path, world: World) -> Result<(), HostError> {
    let id = name_of(wasm);
    let imports = precompiled::imports(wasm).map_err(|source| HostError::Load {
        id: id.clone(),
        source,
    })?;
    check_imports(world, imports.iter().map(String::as_str))
        .map_err(|source| HostError::World { id, source })
}

/// Compiles `wasm` to `compiled`, in one step.
///
/// # Errors
/// When the file is no component, or one of them can't be read or written.
#[cfg(feature = "compiler")]
pub fn precompile(wasm: &Path, compiled: &Path) -> Result<(), HostError> {
    let engine = engine::for_compiling()?;
    precompiled::precompile(&engine, wasm, compiled).map_err(|source| HostError::Load {
        id: name_of(wasm),
        source,
    })
}

fn name_of(wasm: &Path) -> String {
    wasm.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Room for each component's busiest hour, and some for instances that are just ending.
fn pool_size(components: &[ComponentSpec]) -> PoolSize {
    let busy: usize = components
        .iter()
        .map(|spec| spec.limits.max_concurrency.get())
        .sum();
    PoolSize {
        instances: u32::try_from(busy + busy / 4 + 8).unwrap_or(u32::MAX),
        memory_bytes: components
            .iter()
            .map(|spec| spec.limits.memory_bytes())
            .max()
            .unwrap_or(1 << 20),
    }
}

/// Everything that any world grants. What a component's own world doesn't, it can't import.
fn linker(engine: &Engine) -> Result<Linker<InstanceState>, HostError> {
    let mut linker = Linker::new(engine);
    let linked = wasmtime_wasi::p2::add_to_linker_async(&mut linker)
        .and_then(|()| wasmtime_wasi::p3::add_to_linker(&mut linker))
        .and_then(|()| wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker))
        .and_then(|()| p3::types::add_to_linker::<_, WasiHttp>(&mut linker, InstanceState::http))
        .and_then(|()| {
            p3::client::add_to_linker::<_, AttributedClient>(&mut linker, InstanceState::http)
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

/// An interface without functions grants nothing: Rust's libc names the types of sockets, to be able
/// to close one, and has no function to get one from.
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

/// WASI 0.3's handler if the component has one, else 0.2's.
fn handler_of(pre: InstancePre<InstanceState>) -> wasmtime::Result<ProxyPre<InstanceState>> {
    match wasmtime_wasi_http::p3::bindings::ServicePre::new(pre.clone()) {
        Ok(service) => Ok(ProxyPre::P3(service)),
        Err(no_service) => wasmtime_wasi_http::p2::bindings::ProxyPre::new(pre)
            .map(ProxyPre::P2)
            .map_err(|_| no_service),
    }
}
