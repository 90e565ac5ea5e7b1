//! The change feed as clients see it: server-sent events, numbered in the order in which the changes
//! were committed.
//!
//! ```text
//! id: 42
//! event: change
//! data: {"kind":"media","id":"0199…","action":"updated","state":"ready","at":"2026-11-25T10:00:00Z"}
//! ```
//!
//! An event says what has changed, not what it is now: a client that needs to know asks the API, and
//! sees what its rights let it see. Numbers have no gaps within a workspace, so a client that comes back
//! with the last one it saw (`Last-Event-ID`) misses nothing; when that is too long ago, it gets a
//! `reset` instead, and has to load everything anew.
//!
//! The format is that of <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

mod cursor;
mod event;
#[cfg(feature = "native")]
mod hub;
mod outbox;

pub use cursor::{Cursor, Frontier};
pub use event::{Change, HEARTBEAT, HEARTBEAT_INTERVAL, LastEventId, change, reset, start};
#[cfg(feature = "native")]
pub use hub::{Follower, Hub, Outbox, Pace};
pub use outbox::{changes, frontier};
