//! `[component.x.tool.tirage]`: the keys of a component that only this host reads.
//!
//! Spin ignores `tool` tables. Tables of other tools may have any keys; an unknown key in this one is
//! an error.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    document::{Item, Keys, Table},
    error::Error,
    id::{DatabaseRole, Mode},
    limits::Limits,
};

/// The keys of a component that only this host reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComponentOptions {
    /// The interfaces that the component may import.
    pub world: World,
    /// The modes in which the component runs, besides `all`, which runs every component.
    pub modes: BTreeSet<Mode>,
    /// The database role under which its SQL runs.
    pub database_role: Option<DatabaseRole>,
    /// Limits of memory, time and concurrency.
    pub limits: Limits,
}

/// A kind of component, named after the world in `wit/` that lists its permitted imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum World {
    /// A pure function from a request to a response, without network, files or variables.
    Step,
    /// Serves files.
    Site,
    /// Serves the API: outgoing HTTP and variables.
    Api,
    /// Works off tasks: outgoing HTTP and variables.
    Worker,
}

impl ComponentOptions {
    /// Reads the `tool` table of a component; its table `tirage` is required.
    pub(crate) fn read(component: &mut Table<'_>) -> Result<Self, Error> {
        const KEYS: Keys = Keys {
            known: &[
                "world",
                "modes",
                "database_role",
                "memory_mib",
                "timeout_ms",
                "queue_timeout_ms",
                "max_concurrency",
                "requests_per_instance",
                "concurrent_requests_per_instance",
                "max_request_body_bytes",
                "outgoing_max_concurrency",
                "outgoing_connect_timeout_ms",
                "outgoing_timeout_ms",
                "outgoing_total_timeout_ms",
                "outgoing_max_response_header_bytes",
                "outgoing_max_response_headers",
                "outgoing_max_response_body_bytes",
            ],
            unsupported: &[],
        };
        let mut table = match take_tool(component)? {
            Some(item) => item.table(&KEYS)?,
            None => return Err(component.missing("tool.tirage.world")),
        };
        let world = World::read(&table.require("world")?)?;
        Ok(Self {
            world,
            modes: table
                .array("modes")?
                .iter()
                .map(Item::parse)
                .collect::<Result<_, _>>()?,
            database_role: table
                .take("database_role")
                .map(|item| item.parse())
                .transpose()?,
            limits: Limits::read(&mut table, world)?,
        })
    }
}

/// Takes the table `tirage` out of the table `tool`. Every entry of `tool` must be a table.
pub(crate) fn take_tool<'d>(parent: &mut Table<'d>) -> Result<Option<Item<'d>>, Error> {
    let mut ours = None;
    for (name, tool) in parent.entries("tool")? {
        if !tool.is_table() {
            return Err(tool.wrong_type("a table"));
        }
        if name.string()? == "tirage" {
            ours = Some(tool);
        }
    }
    Ok(ours)
}

impl World {
    /// Returns the name of the world, as in the manifest and in `wit/`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Site => "site",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }

    fn read(item: &Item<'_>) -> Result<Self, Error> {
        item.choice(
            &["step", "site", "api", "worker"],
            &[Self::Step, Self::Site, Self::Api, Self::Worker],
        )
    }
}
