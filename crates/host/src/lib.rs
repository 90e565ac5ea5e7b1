//! Hosts WASI HTTP components: `wasi:http/handler@0.3` ones, and `wasi:http/incoming-handler@0.2`.
//!
//! What it promises:
//! - A component imports no more than its world grants; it is refused before it ever runs.
//! - A guest that traps, loops, floods its memory or stops talking costs its own callers an honest
//!   error ([`CallError`]) and nobody else anything. Instances are thrown away after a number of
//!   requests; steps after one.
//! - Calls between components stay in process and stream in both directions.
//! - Outgoing requests go where the manifest says and nowhere else, and never to private addresses
//!   that it doesn't name.
//!
//! What it leaves out: routes, sockets that accept, and settings. Those are the router's.

mod body;
mod component;
mod engine;
mod error;
mod guest_log;
mod host;
mod memory_limiter;
mod metrics;
mod outgoing;
mod precompiled;
mod state;
mod variables;
mod worker;
mod world;

pub use component::Component;
pub use engine::{Allocator, EngineError, PoolSize};
pub use error::CallError;
pub use host::{ComponentSpec, Host, HostBuilder, HostError};
#[cfg(feature = "compiler")]
pub use host::{check, precompile};
pub use metrics::HostMetrics;
pub use outgoing::InternalService;
pub use precompiled::LoadError;
pub use state::ReadOnlyFolder;
pub use variables::Variables;
pub use wasmtime_wasi_http::{Error as BodyError, WasiBody as Body};
pub use world::WorldError;

/// A request to a component, its body a stream.
pub type Request = http::Request<Body>;
/// A component's response, its body a stream.
pub type Response = http::Response<Body>;
