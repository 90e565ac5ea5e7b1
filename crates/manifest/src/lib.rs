//! Reads `spin.toml`, manifest version 2, as Spin 4 reads it.
//!
//! The same manifest serves `spin up` and this host, so Spin defines its meaning. Each module names
//! the part of Spin that it follows, and the input that only this host rejects. This crate reads
//! files and does nothing else: it has no network access, no async code, and doesn't read the
//! environment.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let manifest = tirage_manifest::Manifest::parse(r#"
//!     spin_manifest_version = 2
//!     application.name = "hello"
//!     [[trigger.http]]
//!     route = "/hello/:name"
//!     component = "hello"
//!     [component.hello]
//!     source = "build/hello.wasm"
//!     tool.tirage.world = "api"
//! "#)?;
//! let selection = manifest.select("all")?;
//! let (routes, warnings) = selection.routes();
//! assert!(warnings.is_empty());
//! let found = routes.find("/hello/world").ok_or("no route")?;
//! assert_eq!(found.captures().next(), Some(("name", "world")));
//! # Ok(()) }
//! ```
//!
//! Steps from a manifest to a routed request:
//!
//! 1. [`Manifest::read`]: text to types. Unknown keys, broken references, invalid routes and hosts
//!    are errors with file, line and column.
//! 2. [`Manifest::select`]: components and triggers of this mode.
//! 3. [`Selection::resolve`]: variables and allowed hosts of each component, from the environment.
//! 4. [`Selection::routes`], then [`Routes::find`] and [`RouteMatch::spin_headers`] per request.

mod application_options;
mod component;
mod component_options;
mod document;
mod error;
mod files;
mod headers;
mod hosts;
mod id;
mod limits;
mod manifest;
mod normalize;
mod route;
mod routes;
mod selection;

mod template;
mod trigger;
mod variables;

pub use application_options::{ApplicationOptions, LiveFeed};
pub use component::{Build, Component};
pub use component_options::{ComponentOptions, World};
pub use error::{Error, Location, Problem};
pub use files::{FileMount, FilePattern, Files, FilesError, MountedFile};
pub use headers::strip_spin_headers;
pub use hosts::{AllowedHost, AllowedHosts, Grant, HostError, HostTemplate, chained_component};
pub use id::{ComponentId, DatabaseRole, IdError, Mode, VariableName};
pub use limits::{Limits, OutgoingLimits};
pub use manifest::{Application, Manifest};
pub use route::{Route, RouteError};
pub use routes::{RouteMatch, Routes, Shadowed};
pub use selection::{ResolveError, Resolved, RouteWarning, SelectError, Selection};
pub use template::{Part, Template, TemplateError};
pub use trigger::{HttpTrigger, StaticResponse, Target, TriggerRoute};
pub use variables::{MissingVariables, Unresolved, Value, Values, Variable, Variables};
