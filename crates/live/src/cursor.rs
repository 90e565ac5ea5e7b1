//! Where a client's stream begins, and whether the changes that it missed are still known.

use crate::event::LastEventId;

/// The range of a feed's changes at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frontier {
    /// Number of the last change; 0 before the first.
    pub last: u64,
    /// Number of the oldest change that is still known.
    pub oldest: Option<u64>,
}

/// Position of a client in a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Number of the last change that the client knows of.
    pub sequence: u64,
    /// `true` if changes before it were lost, so that the client must load everything anew.
    pub is_reset: bool,
}

impl Cursor {
    /// The position of a client that resumes after `last_event_id`, or connects for the first time.
    pub fn resume(last_event_id: Option<LastEventId>, frontier: Frontier) -> Self {
        let now = |is_reset| Self {
            sequence: frontier.last,
            is_reset,
        };
        let Some(LastEventId(seen)) = last_event_id else {
            return now(false);
        };
        // The number comes from another database, or from this one before a restore.
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
    fn a_new_client_begins_after_the_last_change() {
        assert_eq!(resume(None, 9, Some(3)), (9, false));
        assert_eq!(resume(None, 0, None), (0, false));
    }

    #[test]
    fn a_client_resumes_after_the_last_number_it_saw() {
        assert_eq!(resume(Some(5), 9, Some(3)), (5, false));
        assert_eq!(resume(Some(2), 9, Some(3)), (2, false));
        assert_eq!(resume(Some(9), 9, None), (9, false));
    }

    #[test]
    fn a_client_whose_number_is_unknown_is_reset() {
        assert_eq!(resume(Some(1), 9, Some(3)), (9, true));
        assert_eq!(resume(Some(8), 9, None), (9, true));
        assert_eq!(resume(Some(10), 9, Some(3)), (9, true));
        assert_eq!(resume(Some(u64::MAX), 9, Some(3)), (9, true));
    }
}
