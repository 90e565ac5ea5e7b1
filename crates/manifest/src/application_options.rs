//! `[application.tool.tirage]`: the keys of the application that only this host reads.

use std::path::{Component as PathComponent, Path, PathBuf};

use serde::Serialize;

use crate::{
    document::{Item, Keys},
    error::Error,
    id::ComponentId,
};

/// Options of the application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ApplicationOptions {
    /// Folder of the database migrations, relative to the manifest's folder.
    pub migrations: Option<PathBuf>,
    /// The live feed.
    pub live: Option<LiveFeed>,
}

/// `[application.tool.tirage.live]`: a feed of changes that this host serves as server-sent events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiveFeed {
    /// Public path, which the host serves itself.
    pub route: String,
    /// The component that admits clients. Its database role reads the feed.
    pub component: ComponentId,
    /// Path of that component at which it admits clients; no public route may lead there.
    pub admission: String,
    /// Table function that returns the range of a feed's changes.
    pub frontier: String,
    /// Table function that returns changes.
    pub changes: String,
}

impl ApplicationOptions {
    /// `true` if the manifest sets no option.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn read(item: Item<'_>) -> Result<Self, Error> {
        const KEYS: Keys = Keys {
            known: &["migrations", "live"],
            unsupported: &[],
        };
        let mut table = item.table(&KEYS)?;
        Ok(Self {
            migrations: table
                .take("migrations")
                .map(|item| folder(&item))
                .transpose()?,
            live: table.take("live").map(LiveFeed::read).transpose()?,
        })
    }
}

impl LiveFeed {
    fn read(item: Item<'_>) -> Result<Self, Error> {
        const KEYS: Keys = Keys {
            known: &["route", "component", "admission", "frontier", "changes"],
            unsupported: &[],
        };
        let mut table = item.table(&KEYS)?;
        Ok(Self {
            route: path(&table.require("route")?)?,
            component: table.require("component")?.parse()?,
            admission: path(&table.require("admission")?)?,
            frontier: function(&table.require("frontier")?)?,
            changes: function(&table.require("changes")?)?,
        })
    }
}

fn folder(item: &Item<'_>) -> Result<PathBuf, Error> {
    let folder = Path::new(item.string()?);
    let is_below = folder
        .components()
        .all(|part| matches!(part, PathComponent::Normal(_) | PathComponent::CurDir));
    match is_below && folder != Path::new("") {
        true => Ok(folder.to_owned()),
        false => Err(item.invalid(item.string()?, "expected a folder below the manifest's")),
    }
}

/// A path of a URL without parameters or wildcards.
fn path(item: &Item<'_>) -> Result<String, Error> {
    let path = item.string()?;
    let is_valid = |segment: &str| {
        !matches!(segment, "" | "." | ".." | "...")
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
    };
    match path.strip_prefix('/') {
        Some(rest) if rest.split('/').all(is_valid) => Ok(path.to_owned()),
        _ => Err(item.invalid(path, "expected an exact path such as /api/live, made of ASCII letters, digits, `-`, `_`, `.` and `~`")),
    }
}

/// The name of a function in SQL, which can stand in a query as it is.
fn function(item: &Item<'_>) -> Result<String, Error> {
    let name = item.string()?;
    let is_identifier = |part: &str| {
        (1..=63).contains(&part.len())
            && !part.starts_with(|first: char| first.is_ascii_digit())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    match name.split('.').all(is_identifier) && name.matches('.').count() <= 1 {
        true => Ok(name.to_owned()),
        false => Err(item.invalid(name, "expected an SQL identifier (lower-case ASCII letters, `_` and, after the first character, \
             digits), with or without a schema before it")),
    }
}
