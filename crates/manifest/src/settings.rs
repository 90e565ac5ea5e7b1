//! `[component.x.tool.tirage]`: what only this host needs to know about a component.
//!
//! Spin ignores `tool` tables. The tables of other tools are free; in this one an unknown key is
//! an error.

use std::{
    collections::BTreeSet,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    time::Duration,
};

use serde::Serialize;

use crate::{
    document::{Item, Keys, Table},
    error::Error,
    id::{DatabaseRole, Mode},
};

/// What only this host needs to know about a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// What the component may import.
    pub world: World,
    /// The modes in which it runs, besides the one that runs everything.
    pub modes: BTreeSet<Mode>,
    /// The database role whose rights its SQL has.
    pub database_role: Option<DatabaseRole>,
    /// What it may use up.
    pub limits: Limits,
}

/// A kind of component, named after the world in `wit/` that says what it may import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum World {
    /// Bytes in, bytes out; nothing that reaches out.
    Step,
    /// Serves files.
    Site,
    /// Answers the API: outgoing HTTP and variables.
    Api,
    /// Works off jobs: outgoing HTTP and variables.
    Worker,
}

/// What a component may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// The memory of one instance. 128 MiB, at most 4096 (a 32-bit address space).
    pub memory_mib: NonZeroU32,
    /// How long until the head of the response, and how long each pause in its body may be. 30 s, at
    /// most a day.
    #[serde(rename = "timeout_ms", serialize_with = "milliseconds")]
    pub timeout: Duration,
    /// How long a request waits for its turn once `max_concurrency` is reached. 5 s, at most a day.
    #[serde(rename = "queue_timeout_ms", serialize_with = "milliseconds")]
    pub queue_timeout: Duration,
    /// The requests in flight in all instances. 64, at most a million.
    pub max_concurrency: NonZeroUsize,
    /// The requests that an instance serves before it is thrown away. 128 (steps: 1), at most a
    /// million.
    pub requests_per_instance: NonZeroUsize,
    /// The requests that an instance serves at the same time. 16 (steps: 1), at most a million.
    pub concurrent_requests_per_instance: NonZeroUsize,
    /// The bytes of a request's body. 10 MiB, at most 1 TiB.
    pub max_request_body_bytes: NonZeroU64,
    /// What its calls to the network may use up: `outgoing_…`.
    pub outgoing: OutgoingLimits,
}

/// What a component's calls to the network may use up. Calls between components have the limits of
/// the one that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OutgoingLimits {
    /// The calls at once, each until the end of its response. 64, at most a million.
    pub max_concurrency: NonZeroUsize,
    /// How long a connection may take to come about. 10 s, at most a day.
    #[serde(rename = "connect_timeout_ms", serialize_with = "milliseconds")]
    pub connect_timeout: Duration,
    /// How long until the head of the response, and how long each pause in its body may be. 60 s, at
    /// most a day.
    #[serde(rename = "timeout_ms", serialize_with = "milliseconds")]
    pub timeout: Duration,
    /// How long a call may take as a whole. 5 min, at most a day.
    #[serde(rename = "total_timeout_ms", serialize_with = "milliseconds")]
    pub total_timeout: Duration,
    /// The bytes of a response's headers. 64 KiB, at most 1 MiB.
    pub max_response_header_bytes: NonZeroU32,
    /// The headers of a response. 100, at most a thousand.
    pub max_response_headers: NonZeroUsize,
    /// The bytes of a response's body. 100 MiB, at most 1 TiB.
    pub max_response_body_bytes: NonZeroU64,
}

impl Settings {
    /// Reads the `tool` table of a component, of which `tirage` must be one.
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

/// Takes the table of this host out of `tool`, after a look at the others, which must be tables.
pub(crate) fn take_tool<'d>(parent: &mut Table<'d>) -> Result<Option<Item<'d>>, Error> {
    let tools = parent.entries("tool")?;
    let mut ours = None;
    for (name, tool) in tools {
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
    /// The name of the world, in the manifest and in `wit/`.
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

impl Limits {
    /// What a component of this world may use up unless the manifest says otherwise.
    ///
    /// A step is thrown away after each request, so that nothing of one file can reach another.
    pub const fn of(world: World) -> Self {
        let (requests, concurrent) = match world {
            World::Step => const { (NonZeroUsize::new(1).unwrap(), NonZeroUsize::new(1).unwrap()) },
            World::Site | World::Api | World::Worker => {
                const {
                    (
                        NonZeroUsize::new(128).unwrap(),
                        NonZeroUsize::new(16).unwrap(),
                    )
                }
            }
        };
        Self {
            memory_mib: const { NonZeroU32::new(128).unwrap() },
            timeout: Duration::from_secs(30),
            queue_timeout: Duration::from_secs(5),
            max_concurrency: const { NonZeroUsize::new(64).unwrap() },
            requests_per_instance: requests,
            concurrent_requests_per_instance: concurrent,
            max_request_body_bytes: const { NonZeroU64::new(10 << 20).unwrap() },
            outgoing: OutgoingLimits::DEFAULT,
        }
    }

    fn read(table: &mut Table<'_>, world: World) -> Result<Self, Error> {
        let mut limits = Self::of(world);
        set(table, "memory_mib", &mut limits.memory_mib, 4096)?;
        set(table, "max_concurrency", &mut limits.max_concurrency, COUNT)?;
        set(
            table,
            "requests_per_instance",
            &mut limits.requests_per_instance,
            COUNT,
        )?;
        set(
            table,
            "concurrent_requests_per_instance",
            &mut limits.concurrent_requests_per_instance,
            COUNT,
        )?;
        set(
            table,
            "max_request_body_bytes",
            &mut limits.max_request_body_bytes,
            TEBIBYTE,
        )?;
        set_time(table, "timeout_ms", &mut limits.timeout)?;
        set_time(table, "queue_timeout_ms", &mut limits.queue_timeout)?;
        limits.outgoing.read(table)?;
        Ok(limits)
    }
}

impl OutgoingLimits {
    /// What holds unless the manifest says otherwise.
    pub const DEFAULT: Self = Self {
        max_concurrency: const { NonZeroUsize::new(64).unwrap() },
        connect_timeout: Duration::from_secs(10),
        timeout: Duration::from_secs(60),
        total_timeout: Duration::from_secs(300),
        max_response_header_bytes: const { NonZeroU32::new(64 << 10).unwrap() },
        max_response_headers: const { NonZeroUsize::new(100).unwrap() },
        max_response_body_bytes: const { NonZeroU64::new(100 << 20).unwrap() },
    };

    fn read(&mut self, table: &mut Table<'_>) -> Result<(), Error> {
        set(
            table,
            "outgoing_max_concurrency",
            &mut self.max_concurrency,
            COUNT,
        )?;
        set_time(
            table,
            "outgoing_connect_timeout_ms",
            &mut self.connect_timeout,
        )?;
        set_time(table, "outgoing_timeout_ms", &mut self.timeout)?;
        set_time(table, "outgoing_total_timeout_ms", &mut self.total_timeout)?;
        set(
            table,
            "outgoing_max_response_header_bytes",
            &mut self.max_response_header_bytes,
            1 << 20,
        )?;
        set(
            table,
            "outgoing_max_response_headers",
            &mut self.max_response_headers,
            1000,
        )?;
        set(
            table,
            "outgoing_max_response_body_bytes",
            &mut self.max_response_body_bytes,
            TEBIBYTE,
        )
    }
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const COUNT: u64 = 1_000_000;
const TEBIBYTE: u64 = 1 << 40;

/// Replaces a limit by what the table has for it, if it has something.
fn set<N: TryFrom<NonZeroU64>>(
    table: &mut Table<'_>,
    key: &str,
    limit: &mut N,
    most: u64,
) -> Result<(), Error> {
    if let Some(item) = table.take(key) {
        *limit = item.positive(most)?;
    }
    Ok(())
}

fn set_time(table: &mut Table<'_>, key: &str, limit: &mut Duration) -> Result<(), Error> {
    if let Some(item) = table.take(key) {
        *limit = Duration::from_millis(item.positive::<NonZeroU64>(DAY_MS)?.get());
    }
    Ok(())
}

fn milliseconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(time.as_millis())
}
