//! Server-sent events as text.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

/// One change of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Position in the feed, from 1, without gaps.
    pub sequence: u64,
    /// The application's description of the change: JSON.
    pub data: String,
}

/// A comment, sent after [`HEARTBEAT_INTERVAL`] without an event, so that no proxy takes the connection
/// for dead. Clients ignore it.
pub const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// Longest silence of a stream.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// The beginning of a stream: the delay before the client reconnects, and the number that it resumes with
/// if nothing happens. The delay is one to three seconds, chosen at random, so that clients that lose their
/// streams together don't reconnect together.
pub fn start(sequence: u64) -> Bytes {
    let retry = 1000 + RandomState::new().hash_one(sequence) % 2000;
    Bytes::from(format!(
        "retry: {retry}\nid: {sequence}\nevent: ready\ndata: {{}}\n\n"
    ))
}

/// The event of one change.
pub fn change(change: &Change) -> Bytes {
    Bytes::from(format!(
        "id: {}\nevent: change\ndata: {}\n\n",
        change.sequence,
        compact(&change.data)
    ))
}

/// Tells the client that changes were lost; `sequence` is where the stream goes on.
pub fn reset(sequence: u64) -> Bytes {
    Bytes::from(format!("id: {sequence}\nevent: reset\ndata: {{}}\n\n"))
}

/// Removes the whitespace between JSON tokens: a line break in the data would end the event's field.
fn compact(json: &str) -> String {
    let mut is_in_string = false;
    let mut is_escaped = false;
    let is_kept = |character: &char| {
        if is_in_string {
            is_in_string = is_escaped || *character != '"';
            is_escaped = !is_escaped && *character == '\\';
            return true;
        }
        is_in_string = *character == '"';
        !matches!(character, ' ' | '\t' | '\r' | '\n')
    };
    json.chars().filter(is_kept).collect()
}

/// Number of the last event that a client saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastEventId(pub u64);

impl LastEventId {
    /// Reads the header `Last-Event-ID`, which browsers send when they reconnect, or the query parameter
    /// `last_event_id`, for clients that can't set headers. `None` if neither holds a number.
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
    fn a_change_is_one_event_with_one_line_of_data() {
        let data = "{\"kind\" : \"order\",\n \"id\" : \"0199\", \"action\" : \"updated\", \
                    \"state\" : \"a\\nb \\\" :\\\\\", \"at\" : \"2026-11-25T10:00:00Z\"}";
        let sent = change(&Change {
            sequence: 7,
            data: data.to_owned(),
        });
        assert_eq!(
            sent,
            "id: 7\nevent: change\ndata: {\"kind\":\"order\",\"id\":\"0199\",\"action\":\"updated\",\
             \"state\":\"a\\nb \\\" :\\\\\",\"at\":\"2026-11-25T10:00:00Z\"}\n\n"
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
