//! Events, as text.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};

/// A change, as the database keeps it and clients get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its place in its workspace, from 1.
    #[serde(skip_serializing)]
    pub sequence: u64,
    /// What has changed: `media` or `task`.
    pub kind: String,
    /// Which.
    #[serde(rename(serialize = "id"))]
    pub subject: String,
    /// `created`, `updated` or `deleted`.
    pub action: String,
    /// The state that it went into.
    pub state: Option<String>,
    /// When (RFC 3339).
    #[serde(rename(serialize = "at"))]
    pub created_at: String,
}

/// Sent when there was nothing to send for [`HEARTBEAT_INTERVAL`], so that nothing in between takes the
/// connection for dead. A comment: clients don't see it.
pub const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// How long a stream is silent at most.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// The beginning of a stream: how long a client waits before it comes back, and the number it has to come
/// back with even if nothing happens. They wait for one to three seconds, so that those who lose their
/// streams together don't come back together.
pub fn start(sequence: u64) -> Bytes {
    let retry = 1000 + RandomState::new().hash_one(sequence) % 2000;
    Bytes::from(format!(
        "retry: {retry}\nid: {sequence}\nevent: ready\ndata: {{}}\n\n"
    ))
}

/// One change.
pub fn change(change: &Change) -> Bytes {
    #[expect(
        clippy::expect_used,
        reason = "strings and numbers always have a form in JSON"
    )]
    let data = serde_json::to_string(change).expect("a change can be written");
    Bytes::from(format!(
        "id: {}\nevent: change\ndata: {data}\n\n",
        change.sequence
    ))
}

/// Says that changes were missed which nobody knows any more; `sequence` is where the stream goes on.
pub fn reset(sequence: u64) -> Bytes {
    Bytes::from(format!("id: {sequence}\nevent: reset\ndata: {{}}\n\n"))
}

/// The number of the last event that a client saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastEventId(pub u64);

impl LastEventId {
    /// From the header `Last-Event-ID`, which browsers send when they come back, or `?last_event_id=`,
    /// for clients that can't set headers. What is no number counts as none.
    pub fn of(headers: &HeaderMap, query: Option<&str>) -> Option<Self> {
        let header = headers
            .get("last-event-id")
            .and_then(|value| value.to_str().ok());
        let parameter = query
            .into_iter()
            .flat_map(|query| query.split('&'))
            .find_map(|pair| pair.strip_prefix("last_event_id="));
        header.or(parameter)?.trim().parse().ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_change_is_one_event_of_one_line_of_data() {
        let sent = change(&Change {
            sequence: 7,
            kind: "media".to_owned(),
            subject: "0199".to_owned(),
            action: "updated".to_owned(),
            state: Some("a\nb".to_owned()),
            created_at: "2026-11-25T10:00:00Z".to_owned(),
        });
        assert_eq!(
            sent,
            "id: 7\nevent: change\ndata: {\"kind\":\"media\",\"id\":\"0199\",\"action\":\"updated\",\
             \"state\":\"a\\nb\",\"at\":\"2026-11-25T10:00:00Z\"}\n\n"
        );
    }

    #[test]
    fn the_last_event_s_number_comes_by_header_or_query() {
        let of = |header: Option<&'static str>, query| {
            let headers = header.map(|value| {
                (
                    "last-event-id".parse().unwrap(),
                    HeaderValue::from_static(value),
                )
            });
            LastEventId::of(&headers.into_iter().collect(), query)
        };
        assert_eq!(of(Some("5"), Some("last_event_id=9")), Some(LastEventId(5)));
        assert_eq!(of(None, Some("a=b&last_event_id=9")), Some(LastEventId(9)));
        assert_eq!(of(Some("x"), None), None);
        assert_eq!(of(None, None), None);
    }
}
