//! On whose behalf a guest calls out, so that calls in process can't go round in circles.
//!
//! Each request carries its [`Depth`], the number of calls that it stands on, beside it and not in its
//! headers: the guest neither sees nor chooses it. An instance works on several requests at once, so
//! for each call that it makes the host asks wasmtime which of its tasks makes it.
//!
//! Without this, a component that calls itself would take its own turns one by one, until all were
//! waiting for the last.

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

/// How many calls in process may stand on each other. Deeper than any design that means it.
const MAX_DEPTH: u8 = 16;

/// How many calls in process a request stands on: none, if it came from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Depth(u8);

impl Depth {
    /// What the request carries.
    pub(crate) fn of<B>(request: &http::Request<B>) -> Self {
        request.extensions().get().copied().unwrap_or_default()
    }

    /// Itself, if that isn't too deep.
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

/// The requests that an instance works on.
#[derive(Clone, Default)]
pub(crate) struct Callers {
    /// Of those that another component sent. wasmtime gives the numbers of ended tasks to new ones, so
    /// there are never more entries than tasks have been alive at once.
    depths: HashMap<GuestTaskId, Depth>,
    /// Of the request whose task is calling out.
    current: Depth,
}

impl Callers {
    /// The task begins to work on a request.
    pub(crate) fn begin(&mut self, task: GuestTaskId, depth: Depth) {
        match depth == Depth::default() {
            true => self.depths.remove(&task),
            false => self.depths.insert(task, depth),
        };
        // A component of WASI 0.2 has one request and no other client than its own.
        self.current = depth;
    }

    /// The depth of a request that the current caller sends.
    pub(super) fn depth_of_next(&self) -> Depth {
        self.current.next()
    }

    fn resume(&mut self, tasks: &[GuestTaskId]) {
        self.current = tasks
            .iter()
            .find_map(|task| self.depths.get(task).copied())
            .unwrap_or_default();
    }
}

/// `wasi:http/client@0.3.0`, which first finds out who calls.
pub(crate) struct AttributedClient;

impl HasData for AttributedClient {
    type Data<'a> = WasiHttpCtxView<'a>;
}

impl client::HostWithStore<InstanceState> for AttributedClient {
    async fn send(
        accessor: &Accessor<InstanceState, Self>,
        request: Resource<Request>,
    ) -> Result<Resource<Response>, TrappableError<ErrorCode>> {
        accessor
            .with(|mut access| attribute(access.as_context_mut()))
            .map_err(TrappableError::trap)?;
        // This calls our hooks before it waits for anything: in between, nobody else can call.
        let accessor = accessor.with_getter::<WasiHttp>(InstanceState::http);
        <WasiHttp as client::HostWithStore<InstanceState>>::send(&accessor, request).await
    }
}

fn attribute(mut store: StoreContextMut<'_, InstanceState>) -> wasmtime::Result<()> {
    let tasks: Vec<_> = store.async_call_stack()?.collect();
    store.data_mut().callers().resume(&tasks);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_from_outside_has_room_for_many_calls_but_not_for_any_number() {
        let request = http::Request::new(());
        let mut depth = Depth::of(&request);
        for _ in 0..MAX_DEPTH {
            depth = depth.next().checked().unwrap();
        }
        assert!(matches!(depth.next().checked(), Err(Error::LoopDetected)));
    }
}
