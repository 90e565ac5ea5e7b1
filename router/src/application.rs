//! Loads the application of a manifest: starts the components of the mode, and gives each the variables,
//! hosts, files and limits that the manifest sets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use tempfile::TempDir;
use tirage_host::{Allocator, ComponentSpec, Host, InternalService, ReadOnlyFolder};
use tirage_manifest::{
    Component, ComponentId, FileMount, Manifest, Resolved, RouteMatch, Routes, Selection, Target,
};

use crate::access_log::AccessLog;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::self_call::SelfCall;
use crate::service::{Application, Destination};
use crate::sql;

/// Dependencies of an application.
pub(crate) struct Dependencies {
    pub(crate) allocator: Allocator,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: AccessLog,
    /// The gateway to the database.
    pub(crate) sql: Arc<dyn InternalService>,
    /// Upper bound on streams of the live feed.
    pub(crate) max_streams: usize,
}

/// Loads the components of `selection`.
///
/// # Errors
/// When a component can't be loaded as the manifest says, or a public route leads to the live feed's
/// admission path.
pub(crate) fn load(
    manifest: &Manifest,
    selection: &Selection<'_>,
    mut resolved: BTreeMap<&ComponentId, Resolved>,
    folder: &Path,
    dependencies: Dependencies,
) -> anyhow::Result<Arc<Application>> {
    let self_call = Arc::new(SelfCall::default());
    let mut builder = Host::builder()
        .allocator(dependencies.allocator)
        .metrics(&dependencies.metrics.host)
        .own_application(Arc::clone(&self_call) as _);
    builder = builder.service(sql::HOST_NAME, Arc::clone(&dependencies.sql));
    let with_gateway: BTreeSet<String> = selection
        .components()
        .iter()
        .filter(|(id, component)| {
            let calls =
                |resolved: &Resolved| resolved.allowed_hosts.allows("http", sql::HOST_NAME, None);
            component.options.database_role.is_some() && resolved.get(*id).is_some_and(calls)
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
            .context("a component of the selection was not resolved")?;
        builder = builder.component(ComponentSpec {
            id: id.to_string(),
            source: folder.join(&component.source),
            world: component.options.world,
            limits: component.options.limits,
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
    let live = live(
        manifest,
        &routes,
        &host,
        &with_gateway,
        dependencies.sql,
        dependencies.max_streams,
    )?;
    let application = Arc::new(Application {
        live,
        routes,
        _host: host,
        info: info(manifest),
        metrics: dependencies.metrics,
        access_log: dependencies.access_log,
        _mounted: mounted,
    });
    self_call.set_application(&application);
    Ok(application)
}

/// Returns the live feed of the manifest, if its component runs in this mode and uses the database through
/// the gateway of this process. Otherwise the component may answer the route itself.
fn live(
    manifest: &Manifest,
    routes: &Routes<Destination>,
    host: &Host,
    with_gateway: &BTreeSet<String>,
    sql: Arc<dyn InternalService>,
    max_streams: usize,
) -> anyhow::Result<Option<Live>> {
    let Some(feed) = &manifest.application.options.live else {
        return Ok(None);
    };
    let admits = |found: RouteMatch<'_, Destination>| match found.value() {
        Destination::Component { id, .. } => **id == *feed.component.as_str(),
        Destination::Fixed(_) => false,
    };
    if routes.find(&feed.admission).is_some_and(admits) {
        anyhow::bail!(
            "[application.tool.tirage.live]: a public route leads to the admission path {} of component \
             \"{}\": choose a path that no route leads to",
            feed.admission,
            feed.component
        );
    }
    match host.component(feed.component.as_str()) {
        Some(component) if with_gateway.contains(feed.component.as_str()) => {
            Live::new(feed, component.clone(), sql, max_streams).map(Some)
        }
        _ => Ok(None),
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
            let component = host.component(id.as_str()).with_context(|| {
                format!("a route leads to \"{id}\", which does not run in this mode")
            })?;
            Ok(Destination::Component {
                id: id.as_str().into(),
                component: component.clone(),
            })
        }
    })
}

/// Returns the body of `/.well-known/spin/info`, as Spin sends it.
fn info(manifest: &Manifest) -> Bytes {
    let application = &manifest.application;
    Bytes::from(
        serde_json::json!({"name": application.name, "version": application.version}).to_string(),
    )
}

/// Returns the folders that the component may read. A single folder is mounted as it is, so that changes
/// to it are visible; anything else is copied to a temporary folder, which is removed with the application.
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
    let temporary = TempDir::with_prefix("tirage-files-")?;
    for file in expanded {
        let target = temporary.path().join(file.guest.trim_start_matches('/'));
        link_or_copy(&file.host, &target)
            .with_context(|| format!("cannot copy {}", file.host.display()))?;
    }
    let folder = ReadOnlyFolder {
        source: temporary.path().to_owned(),
        destination: "/".to_owned(),
    };
    Ok((vec![folder], Some(temporary)))
}

fn link_or_copy(file: &Path, target: &PathBuf) -> std::io::Result<()> {
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // A link is free, and fails if the two are on different file systems.
    std::fs::hard_link(file, target).or_else(|_| std::fs::copy(file, target).map(|_| ()))
}
