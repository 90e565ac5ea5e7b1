//! Data of one instance's store: everything that the guest can access.
//!
//! Interfaces that its world doesn't grant are inert: an empty environment, no folders, empty standard
//! input, no network.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::guest_log::GuestLog;
use crate::memory_limiter::MemoryLimiter;
use crate::outgoing::{CallDepths, Outgoing};
use crate::variables::Variables;

/// Maximum number of resource handles (streams, bodies, requests, …) of one instance.
const MAX_HANDLES: usize = 10_000;

/// A folder of the host that a component may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOnlyFolder {
    /// Path on the host.
    pub source: PathBuf,
    /// Path in the guest.
    pub destination: String,
}

/// Configuration that all instances of a component share.
#[derive(Clone)]
pub(crate) struct InstanceConfig {
    pub(crate) component: Arc<str>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) folders: Vec<ReadOnlyFolder>,
    pub(crate) variables: Variables,
    pub(crate) outgoing: Outgoing,
    pub(crate) memory_bytes: usize,
}

/// The data of one instance's store.
pub(crate) struct InstanceState {
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    outgoing: Outgoing,
    pub(crate) variables: Variables,
    pub(crate) memory: MemoryLimiter,
}

impl InstanceState {
    /// Creates the data of a new instance. `memory_refused` is set when the guest exceeds its memory
    /// limit.
    pub(crate) fn new(
        config: &InstanceConfig,
        memory_refused: Arc<AtomicBool>,
    ) -> wasmtime::Result<Self> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.envs(&config.environment)
            .stdout(GuestLog::stdout(&config.component))
            .stderr(GuestLog::stderr(&config.component));
        for folder in &config.folders {
            wasi.preopened_dir(&folder.source, &folder.destination, FsPerms::ReadOnly)?;
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        Ok(Self {
            wasi: wasi.build(),
            table,
            http: WasiHttpCtx::new(),
            outgoing: config.outgoing.clone(),
            variables: config.variables.clone(),
            memory: MemoryLimiter::new(config.memory_bytes, memory_refused),
        })
    }

    /// Returns the call depths of the requests that the instance serves.
    pub(crate) fn call_depths(&mut self) -> &mut CallDepths {
        &mut self.outgoing.call_depths
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.outgoing,
        }
    }
}
