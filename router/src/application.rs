//! From a manifest to something that answers: selects what this mode runs, resolves variables,
//! gives each component what its part of the manifest says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use tempfile::TempDir;
use tirage_host::{
    Allocator, ComponentSpec, Host, InternalService, Limits, OutgoingLimits, ReadOnlyFolder,
};
use tirage_manifest::{
    Component, ComponentId, FileMount, Manifest, Resolved, RouteMatch, Routes, Selection, Target,
};

use crate::access_log::AccessLog;
use crate::itself::Itself;
use crate::live::{self, Live};
use crate::metrics::Metrics;
use crate::service::{Application, Destination};
use crate::sql;

/// What an application is made from, besides its manifest.
pub(crate) struct Parts {
    pub(crate) allocator: Allocator,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: AccessLog,
    /// The gateway to the database.
    pub(crate) sql: Arc<dyn InternalService>,
    /// How many may follow the change feed at once.
    pub(crate) max_streams: usize,
}

/// Loads the components that `selection` names.
///
/// # Errors
/// When a component can't be had as the manifest wants it.
pub(crate) fn load(
    manifest: &Manifest,
    selection: &Selection<'_>,
    mut resolved: BTreeMap<&ComponentId, Resolved>,
    folder: &Path,
    parts: Parts,
) -> anyhow::Result<Arc<Application>> {
    let itself = Arc::new(Itself::default());
    let mut builder = Host::builder()
        .allocator(parts.allocator)
        .metrics(&parts.metrics.host)
        .itself(Arc::clone(&itself) as _);
    builder = builder.service(sql::HOST_NAME, Arc::clone(&parts.sql));
    let with_gateway: BTreeSet<String> = selection
        .components()
        .iter()
        .filter(|(id, component)| {
            let calls =
                |resolved: &Resolved| resolved.allowed_hosts.allows("http", sql::HOST_NAME, None);
            component.settings.database_role.is_some() && resolved.get(*id).is_some_and(calls)
        })
        .map(|(id, _)| id.to_string())
        .collect();
    let mut mounted = Vec::new();
    for (id, component) in selection.components() {
        let (folders, temporary) =
            folders(component, folder).with_context(|| format!("component \"{id}\""))?;
        mounted.extend(temporary);
        let resolved = resolved
            .remove(*id)
            .context("every component is resolved")?;
        builder = builder.component(ComponentSpec {
            id: id.to_string(),
            source: folder.join(&component.source),
            world: component.settings.world,
            limits: limits(&component.settings.limits),
            environment: component.environment.clone().into_iter().collect(),
            folders,
            variables: resolved
                .variables
                .into_iter()
                .map(|(name, value)| (name.to_string(), value.reveal().to_owned()))
                .collect(),
            allowed_hosts: resolved.allowed_hosts,
        });
    }
    let host = builder.build()?;
    let routes = routes(selection, &host)?;
    let application = Arc::new(Application {
        live: live(&routes, &with_gateway, parts.sql, parts.max_streams)?,
        routes,
        _host: host,
        info: info(manifest),
        metrics: parts.metrics,
        access_log: parts.access_log,
        _mounted: mounted,
    });
    itself.is(&application);
    Ok(application)
}

/// The change feed, if its path leads to a component that speaks to the database through the gateway of
/// this process. One that speaks to another answers for itself.
fn live(
    routes: &Routes<Destination>,
    with_gateway: &BTreeSet<String>,
    sql: Arc<dyn InternalService>,
    max_streams: usize,
) -> anyhow::Result<Option<Live>> {
    match routes.find(live::PATH).as_ref().map(RouteMatch::value) {
        Some(Destination::Component { id, .. }) if with_gateway.contains(&**id) => {
            Live::new(sql, id, max_streams).map(Some)
        }
        _ => Ok(None),
    }
}

fn limits(limits: &tirage_manifest::Limits) -> Limits {
    Limits {
        memory_bytes: (limits.memory_mib.get() as usize) << 20,
        timeout: limits.timeout,
        max_concurrency: limits.max_concurrency.get(),
        queue_timeout: limits.queue_timeout,
        requests_per_instance: limits.requests_per_instance.get(),
        concurrent_requests_per_instance: limits.concurrent_requests_per_instance.get(),
        max_request_body_bytes: limits.max_request_body_bytes.get(),
        outgoing: outgoing_limits(&limits.outgoing),
    }
}

fn outgoing_limits(limits: &tirage_manifest::OutgoingLimits) -> OutgoingLimits {
    OutgoingLimits {
        max_concurrency: limits.max_concurrency.get(),
        connect_timeout: limits.connect_timeout,
        timeout: limits.timeout,
        total_timeout: limits.total_timeout,
        max_response_header_bytes: limits.max_response_header_bytes.get(),
        max_response_headers: limits.max_response_headers.get(),
        max_response_body_bytes: limits.max_response_body_bytes.get(),
    }
}

fn routes(selection: &Selection<'_>, host: &Host) -> anyhow::Result<Routes<Destination>> {
    let (routes, warnings) = selection.routes();
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    routes.try_map(|trigger| match &trigger.target {
        Target::StaticResponse(response) => Ok(Destination::Fixed(response.clone())),
        Target::Component(id) => {
            let component = host
                .component(id.as_str())
                .with_context(|| format!("a route leads to \"{id}\", which does not run"))?;
            Ok(Destination::Component {
                id: id.as_str().into(),
                component: component.clone(),
            })
        }
    })
}

/// What Spin answers at `/.well-known/spin/info`.
fn info(manifest: &Manifest) -> Bytes {
    let application = &manifest.application;
    Bytes::from(
        serde_json::json!({"name": application.name, "version": application.version}).to_string(),
    )
}

/// The folders that the component reads. One whole folder is shown as it is, and so are changes to
/// it; anything else is gathered in a folder of its own, which lives as long as the application.
fn folders(
    component: &Component,
    manifest_folder: &Path,
) -> anyhow::Result<(Vec<ReadOnlyFolder>, Option<TempDir>)> {
    let files = &component.files;
    if files.mounts.is_empty() {
        return Ok((Vec::new(), None));
    }
    let expanded = files.expand(manifest_folder)?;
    if let [
        FileMount::Placement {
            source,
            destination,
        },
    ] = &files.mounts[..]
        && files.exclude.is_empty()
        && manifest_folder.join(source).is_dir()
    {
        let folder = ReadOnlyFolder {
            source: manifest_folder.join(source),
            destination: destination.clone(),
        };
        return Ok((vec![folder], None));
    }
    let gathered = TempDir::with_prefix("tirage-files-")?;
    for file in expanded {
        let target = gathered.path().join(file.guest.trim_start_matches('/'));
        place(&file.host, &target)
            .with_context(|| format!("cannot place {}", file.host.display()))?;
    }
    let folder = ReadOnlyFolder {
        source: gathered.path().to_owned(),
        destination: "/".to_owned(),
    };
    Ok((vec![folder], Some(gathered)))
}

fn place(file: &Path, target: &PathBuf) -> std::io::Result<()> {
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // A link costs nothing where both are on one file system.
    std::fs::hard_link(file, target).or_else(|_| std::fs::copy(file, target).map(|_| ()))
}
