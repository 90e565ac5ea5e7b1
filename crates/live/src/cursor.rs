//! How far a client is, and whether what it missed is still known.

use crate::event::LastEventId;

/// What a workspace's feed holds at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frontier {
    /// The number of the last change; 0 before the first.
    pub last: u64,
    /// The number of the oldest change that is still known, if one is.
    pub oldest: Option<u64>,
}

/// The number of the last change that a client knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The number.
    pub sequence: u64,
    /// Whether changes were lost before it, so that the client must load everything anew.
    pub is_reset: bool,
}

impl Cursor {
    /// Where a client goes on that comes back with this number, or comes for the first time.
    pub fn resume(last_event_id: Option<LastEventId>, frontier: Frontier) -> Self {
        let now = |is_reset| Self {
            sequence: frontier.last,
            is_reset,
        };
        let Some(LastEventId(seen)) = last_event_id else {
            return now(false);
        };
        // A number that was never given is from another database, or from one before a restore.
        if seen > frontier.last {
            return now(true);
        }
        let is_known = seen == frontier.last
            || frontier
                .oldest
                .is_some_and(|oldest| oldest <= seen.saturating_add(1));
        match is_known {
            true => Self {
                sequence: seen,
                is_reset: false,
            },
            false => now(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resume(seen: Option<u64>, last: u64, oldest: Option<u64>) -> (u64, bool) {
        let cursor = Cursor::resume(seen.map(LastEventId), Frontier { last, oldest });
        (cursor.sequence, cursor.is_reset)
    }

    #[test]
    fn a_new_client_begins_with_what_comes_next() {
        assert_eq!(resume(None, 9, Some(3)), (9, false));
        assert_eq!(resume(None, 0, None), (0, false));
    }

    #[test]
    fn one_that_comes_back_goes_on_where_it_was() {
        assert_eq!(resume(Some(5), 9, Some(3)), (5, false));
        assert_eq!(resume(Some(2), 9, Some(3)), (2, false));
        assert_eq!(resume(Some(9), 9, None), (9, false));
    }

    #[test]
    fn one_that_was_away_for_too_long_starts_anew() {
        assert_eq!(resume(Some(1), 9, Some(3)), (9, true));
        assert_eq!(resume(Some(8), 9, None), (9, true));
        assert_eq!(resume(Some(10), 9, Some(3)), (9, true));
        assert_eq!(resume(Some(u64::MAX), 9, Some(3)), (9, true));
    }
}
