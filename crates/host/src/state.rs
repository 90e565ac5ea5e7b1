//! What one instance can see: the store's data.
//!
//! Everything a guest may touch is listed here. What its world doesn't grant is inert: no
//! environment, no folder, no standard input, no network.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::guest_log::GuestLog;
use crate::memory_limiter::MemoryLimiter;
use crate::outgoing::{Callers, Outgoing};
use crate::variables::Variables;

/// Handles (streams, bodies, requests, …) that one instance may hold at once.
const MAX_HANDLES: usize = 10_000;

/// A folder of the host's that a component may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOnlyFolder {
    /// Where it is on the host.
    pub source: PathBuf,
    /// Where the guest sees it.
    pub destination: String,
}

/// What every instance of one component gets.
#[derive(Clone)]
pub(crate) struct Surroundings {
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
    /// `memory_refused` is set when the guest wanted more memory than it may have.
    pub(crate) fn new(
        surroundings: &Surroundings,
        memory_refused: Arc<AtomicBool>,
    ) -> wasmtime::Result<Self> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.envs(&surroundings.environment)
            .stdout(GuestLog::stdout(&surroundings.component))
            .stderr(GuestLog::stderr(&surroundings.component));
        for folder in &surroundings.folders {
            wasi.preopened_dir(&folder.source, &folder.destination, FsPerms::ReadOnly)?;
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        Ok(Self {
            wasi: wasi.build(),
            table,
            http: WasiHttpCtx::new(),
            outgoing: surroundings.outgoing.clone(),
            variables: surroundings.variables.clone(),
            memory: MemoryLimiter::new(surroundings.memory_bytes, memory_refused),
        })
    }
}

impl InstanceState {
    /// The requests that the instance works on.
    pub(crate) fn callers(&mut self) -> &mut Callers {
        &mut self.outgoing.callers
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
