//! Depth of nested calls between components, which ends call loops.
//!
//! Each request carries its [`CallDepth`] as an extension, not as a header, so that the guest can
//! neither read nor set it. An instance serves several requests concurrently; for each outgoing call
//! the host asks wasmtime which guest task (that is, which request) makes it.
//!
//! Without this limit, a component that calls itself would take all of its own concurrency permits
//! and then wait for the last one.

use std::collections::HashMap;

use wasmtime::AsContextMut as _;
use wasmtime::StoreContextMut;
use wasmtime::component::{Accessor, GuestTaskId, HasData, Resource};
use wasmtime_wasi::TrappableError;
use wasmtime_wasi_http::p3::bindings::http::client;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{Request, Response};
use wasmtime_wasi_http::{Error, WasiHttp, WasiHttpCtxView, WasiHttpView as _};

use crate::state::InstanceState;

/// Maximum depth of nested calls. No application is expected to come close to it.
const MAX_DEPTH: u8 = 16;

/// Number of nested calls that led to a request; 0 for a request of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallDepth(u8);

impl CallDepth {
    /// Returns the depth that a request carries.
    pub(crate) fn of<B>(request: &http::Request<B>) -> Self {
        request.extensions().get().copied().unwrap_or_default()
    }

    /// Returns `self`, or an error if it exceeds [`MAX_DEPTH`].
    pub(super) fn checked(self) -> Result<Self, Error> {
        match self.0 > MAX_DEPTH {
            true => Err(Error::LoopDetected),
            false => Ok(self),
        }
    }

    fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Call depths of the requests that an instance serves.
#[derive(Clone, Default)]
pub(crate) struct CallDepths {
    /// Depths of requests that another component sent. wasmtime reuses the ids of ended guest tasks,
    /// so the number of entries is at most that of concurrent guest tasks.
    by_task: HashMap<GuestTaskId, CallDepth>,
    /// Depth of the request whose guest task is making a call.
    current: CallDepth,
}

impl CallDepths {
    /// Records the depth of the request that a guest task begins to serve.
    pub(crate) fn start(&mut self, task: GuestTaskId, depth: CallDepth) {
        match depth == CallDepth::default() {
            true => self.by_task.remove(&task),
            false => self.by_task.insert(task, depth),
        };
        // A component of WASI 0.2 serves one request, and its calls don't pass `DepthTrackingClient`.
        self.current = depth;
    }

    /// Returns the depth of a call that the current guest task makes.
    pub(super) fn next(&self) -> CallDepth {
        self.current.next()
    }

    fn set_current(&mut self, tasks: &[GuestTaskId]) {
        self.current = tasks
            .iter()
            .find_map(|task| self.by_task.get(task).copied())
            .unwrap_or_default();
    }
}

/// Implementation of `wasi:http/client@0.3.0` that determines the calling guest task first.
pub(crate) struct DepthTrackingClient;

impl HasData for DepthTrackingClient {
    type Data<'a> = WasiHttpCtxView<'a>;
}

impl client::HostWithStore<InstanceState> for DepthTrackingClient {
    async fn send(
        accessor: &Accessor<InstanceState, Self>,
        request: Resource<Request>,
    ) -> Result<Resource<Response>, TrappableError<ErrorCode>> {
        accessor
            .with(|mut access| set_current_depth(access.as_context_mut()))
            .map_err(TrappableError::trap)?;
        // This calls the hooks before its first await point, so no other guest task can call in between.
        let accessor = accessor.with_getter::<WasiHttp>(InstanceState::http);
        <WasiHttp as client::HostWithStore<InstanceState>>::send(&accessor, request).await
    }
}

fn set_current_depth(mut store: StoreContextMut<'_, InstanceState>) -> wasmtime::Result<()> {
    let tasks: Vec<_> = store.async_call_stack()?.collect();
    store.data_mut().call_depths().set_current(&tasks);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_of_calls_is_limited() {
        let request = http::Request::new(());
        let mut depth = CallDepth::of(&request);
        for _ in 0..MAX_DEPTH {
            depth = depth.next().checked().unwrap();
        }
        assert!(matches!(depth.next().checked(), Err(Error::LoopDetected)));
    }
}
