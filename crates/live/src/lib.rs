//! Live feeds: numbered changes, sent to clients as server-sent events that can be resumed.
//!
//! ```text
//! id: 42
//! event: change
//! data: {"kind":"order","id":"0199…","action":"updated"}
//! ```
//!
//! What `data` holds is the application's choice: two table functions of the database ([`TableFunctions`])
//! return the range of a feed's numbers and its changes, as opaque JSON. An event should name what changed and
//! not its new value: a client that needs the value asks the API, which applies the client's rights.
//!
//! Numbers have no gaps within a feed, so a client that resumes with the last number it saw
//! (`Last-Event-ID`) misses nothing. If that number is no longer known, the client gets a `reset` and has
//! to load everything anew.
//!
//! The format is that of <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

mod cursor;
mod event;
#[cfg(feature = "native")]
mod hub;
mod table_functions;

pub use cursor::{Cursor, Frontier};
pub use event::{Change, HEARTBEAT, HEARTBEAT_INTERVAL, LastEventId, change, reset, start};
#[cfg(feature = "native")]
pub use hub::{Follower, Hub, Pace, Source};
pub use table_functions::TableFunctions;
