//! Hosts WASI HTTP components: `wasi:http/handler@0.3` ones, and `wasi:http/incoming-handler@0.2`.
//!
//! Guarantees:
//! - A component that imports more than its world grants never runs.
//! - A guest that traps, loops, exceeds its memory or stalls fails its own requests with a
//!   [`CallError`]; requests to other instances are not affected. Instances are discarded after a
//!   number of requests, those of steps after one.
//! - Calls between components stay in the process and stream in both directions.
//! - Outgoing requests go only to hosts that the manifest allows, and to private addresses only if it
//!   names them.
//!
//! Routing, listening sockets and settings are not part of this crate but of the router.

mod body;
mod component;
mod engine;
mod error;
mod guest_log;
mod host;
mod instance;
mod memory_limiter;
mod metrics;
mod outgoing;
mod precompiled;
mod state;
mod variables;
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

/// A request to a component, with a streaming body.
pub type Request = http::Request<Body>;
/// A response of a component, with a streaming body.
pub type Response = http::Response<Body>;
