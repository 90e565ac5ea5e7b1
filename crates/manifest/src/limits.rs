//! Limits of a component: how much it may use, and for how long.
//!
//! Each limit is a key of `[component.x.tool.tirage]` and has a default that is safe without any
//! key. No limit can be zero or unlimited. The host (`crates/host`) enforces them.

use std::{
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    time::Duration,
};

use serde::Serialize;

use crate::{component_options::World, document::Table, error::Error};

/// Limits of one component, all its instances together unless a field says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Linear memory of one instance, all its memories together, in MiB. Default 128, maximum 4096
    /// (a 32-bit address space). Beyond it the guest's allocation fails; a request that is lost to
    /// that is answered 507.
    pub memory_mib: NonZeroU32,
    /// Time until the head of the response, then the longest pause between two pieces of its body.
    /// Default 30 s, maximum one day. Beyond it the request is answered 504, or the body is aborted.
    #[serde(rename = "timeout_ms", serialize_with = "milliseconds")]
    pub timeout: Duration,
    /// Time that a request waits for a permit when `max_concurrency` requests are in flight. Default
    /// 5 s, maximum one day. Beyond it the request is answered 503.
    #[serde(rename = "queue_timeout_ms", serialize_with = "milliseconds")]
    pub queue_timeout: Duration,
    /// Requests in flight, each until the end of its response's body. Default 64, maximum a million.
    pub max_concurrency: NonZeroUsize,
    /// Requests that one instance serves before it is discarded. Default 128 (steps: 1), maximum a
    /// million. Components of WASI 0.2 always get a fresh instance.
    pub requests_per_instance: NonZeroUsize,
    /// Requests that one instance serves concurrently. Default 16 (steps: 1), maximum a million.
    pub concurrent_requests_per_instance: NonZeroUsize,
    /// Bytes of a request's body. Default 10 MiB, maximum 1 TiB. Beyond it the request is answered
    /// 413.
    pub max_request_body_bytes: NonZeroU64,
    /// Limits of its calls to the network: the keys `outgoing_…`.
    pub outgoing: OutgoingLimits,
}

/// Limits of one component's calls to the network. Calls between components have the limits of the
/// component that is called.
///
/// A guest may ask for shorter timeouts than these. It receives the named error of `wasi:http` when
/// a limit is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OutgoingLimits {
    /// Calls in flight, each until the end of its response's body. Default 64, maximum a million. A
    /// call that gets no permit within `connect_timeout` fails with `connection-limit-reached`.
    pub max_concurrency: NonZeroUsize,
    /// Time for name resolution, the TCP and the TLS handshake together. Default 10 s, maximum one
    /// day. Beyond: `connection-timeout`.
    #[serde(rename = "connect_timeout_ms", serialize_with = "milliseconds")]
    pub connect_timeout: Duration,
    /// Time until the head of the response (beyond: `HTTP-response-timeout`), then the longest pause
    /// between two pieces of its body (`connection-read-timeout`). Default 60 s, maximum one day.
    #[serde(rename = "timeout_ms", serialize_with = "milliseconds")]
    pub timeout: Duration,
    /// Time for a whole call, including the response's body. Default 5 min, maximum one day. Beyond:
    /// `HTTP-response-timeout`.
    #[serde(rename = "total_timeout_ms", serialize_with = "milliseconds")]
    pub total_timeout: Duration,
    /// Bytes of a response's status line and headers. Default 64 KiB, maximum 1 MiB. Beyond:
    /// `HTTP-response-header-section-size`.
    pub max_response_header_bytes: NonZeroU32,
    /// Headers of a response. Default 100, maximum 1000. Beyond: `HTTP-response-header-section-size`.
    pub max_response_headers: NonZeroUsize,
    /// Bytes of a response's body. Default 100 MiB, maximum 1 TiB. Beyond: `HTTP-response-body-size`.
    pub max_response_body_bytes: NonZeroU64,
}

const MAX_COUNT: u64 = 1_000_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const MEBIBYTE: u64 = 1 << 20;
const TEBIBYTE: u64 = 1 << 40;

impl Limits {
    /// Returns the limits of a component of this world without any keys.
    ///
    /// An instance of a step serves one request, so that data of one file can't leak into the output
    /// of another.
    pub const fn default_for(world: World) -> Self {
        let (requests, concurrent) = match world {
            World::Step => const { (NonZeroUsize::MIN, NonZeroUsize::MIN) },
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
            max_request_body_bytes: const { NonZeroU64::new(10 * MEBIBYTE).unwrap() },
            outgoing: OutgoingLimits::DEFAULT,
        }
    }

    /// Returns `memory_mib` in bytes; on a 32-bit host at most its address space.
    pub const fn memory_bytes(&self) -> usize {
        (self.memory_mib.get() as usize).saturating_mul(MEBIBYTE as usize)
    }

    pub(crate) fn read(table: &mut Table<'_>, world: World) -> Result<Self, Error> {
        let mut limits = Self::default_for(world);
        let Self {
            memory_mib,
            timeout,
            queue_timeout,
            max_concurrency,
            requests_per_instance: requests,
            concurrent_requests_per_instance: concurrent,
            max_request_body_bytes: body,
            outgoing,
        } = &mut limits;
        number(table, "memory_mib", 4096, memory_mib)?;
        time(table, "timeout_ms", timeout)?;
        time(table, "queue_timeout_ms", queue_timeout)?;
        number(table, "max_concurrency", MAX_COUNT, max_concurrency)?;
        number(table, "requests_per_instance", MAX_COUNT, requests)?;
        number(
            table,
            "concurrent_requests_per_instance",
            MAX_COUNT,
            concurrent,
        )?;
        number(table, "max_request_body_bytes", TEBIBYTE, body)?;
        outgoing.read(table)?;
        Ok(limits)
    }
}

impl OutgoingLimits {
    /// Limits of a component without any `outgoing_…` key.
    pub const DEFAULT: Self = Self {
        max_concurrency: const { NonZeroUsize::new(64).unwrap() },
        connect_timeout: Duration::from_secs(10),
        timeout: Duration::from_secs(60),
        total_timeout: Duration::from_secs(300),
        max_response_header_bytes: const { NonZeroU32::new(64 << 10).unwrap() },
        max_response_headers: const { NonZeroUsize::new(100).unwrap() },
        max_response_body_bytes: const { NonZeroU64::new(100 * MEBIBYTE).unwrap() },
    };

    fn read(&mut self, table: &mut Table<'_>) -> Result<(), Error> {
        let Self {
            max_concurrency,
            connect_timeout,
            timeout,
            total_timeout,
            max_response_header_bytes: header_bytes,
            max_response_headers: headers,
            max_response_body_bytes: body,
        } = self;
        number(
            table,
            "outgoing_max_concurrency",
            MAX_COUNT,
            max_concurrency,
        )?;
        time(table, "outgoing_connect_timeout_ms", connect_timeout)?;
        time(table, "outgoing_timeout_ms", timeout)?;
        time(table, "outgoing_total_timeout_ms", total_timeout)?;
        number(
            table,
            "outgoing_max_response_header_bytes",
            MEBIBYTE,
            header_bytes,
        )?;
        number(table, "outgoing_max_response_headers", 1000, headers)?;
        number(table, "outgoing_max_response_body_bytes", TEBIBYTE, body)
    }
}

/// Replaces `limit` by the value of `key`, if the table has the key.
fn number<N: TryFrom<NonZeroU64>>(
    table: &mut Table<'_>,
    key: &str,
    maximum: u64,
    limit: &mut N,
) -> Result<(), Error> {
    if let Some(item) = table.take(key) {
        *limit = item.positive(maximum)?;
    }
    Ok(())
}

/// Replaces `limit` by the value of `key`, a number of milliseconds, if the table has the key.
fn time(table: &mut Table<'_>, key: &str, limit: &mut Duration) -> Result<(), Error> {
    if let Some(item) = table.take(key) {
        *limit = Duration::from_millis(item.positive::<NonZeroU64>(DAY_MS)?.get());
    }
    Ok(())
}

fn milliseconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(time.as_millis())
}
