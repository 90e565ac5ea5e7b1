//! The state of a session, derived from the messages that pass through it.
//!
//! Only the kind and the length of each message are parsed, and the byte of ReadyForQuery that tells
//! whether a transaction is open.

use tokio::time::Instant;

/// The state of a session.
#[derive(Debug)]
pub(super) struct Activity {
    requests: MessageScanner,
    replies: MessageScanner,
    /// Number of ReadyForQuery messages that the server still has to send.
    running: usize,
    /// `true` if the client has sent requests that no Sync follows yet.
    needs_sync: bool,
    /// `true` if the server waits for data from the client (COPY … FROM STDIN).
    copies_in: bool,
    in_transaction: bool,
    ended_by_client: bool,
    /// `false` while the server has not taken the last request, so that nothing is read from the client.
    reads_client: bool,
    last_message: Instant,
    last_reply_written: Instant,
}

impl Activity {
    /// Returns the state of a session after its first ReadyForQuery.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            requests: MessageScanner::default(),
            replies: MessageScanner::default(),
            running: 0,
            needs_sync: false,
            copies_in: false,
            in_transaction: false,
            ended_by_client: false,
            reads_client: true,
            last_message: now,
            last_reply_written: now,
        }
    }

    /// Handles bytes of the client, before the server gets them.
    pub(super) fn requested(&mut self, bytes: &[u8]) {
        self.last_message = Instant::now();
        self.reads_client = false;
        let (running, needs_sync, ended) = (
            &mut self.running,
            &mut self.needs_sync,
            &mut self.ended_by_client,
        );
        self.requests.scan(bytes, |kind, _| match kind {
            // Query, FunctionCall, Sync
            b'Q' | b'F' | b'S' => {
                *running += 1;
                *needs_sync = false;
            }
            // Terminate
            b'X' => *ended = true,
            // CopyData, CopyDone, CopyFail belong to a request that was counted.
            b'd' | b'c' | b'f' => {}
            _ => *needs_sync = true,
        });
    }

    /// Handles bytes of the server.
    pub(super) fn replied(&mut self, bytes: &[u8]) {
        self.last_message = Instant::now();
        let (running, copies_in, in_transaction) = (
            &mut self.running,
            &mut self.copies_in,
            &mut self.in_transaction,
        );
        self.replies.scan(bytes, |kind, first| match kind {
            // ReadyForQuery
            b'Z' => {
                *running = running.saturating_sub(1);
                *copies_in = false;
                *in_transaction = first != Some(b'I');
            }
            // CopyInResponse
            b'G' => *copies_in = true,
            // CommandComplete, ErrorResponse
            b'C' | b'E' => *copies_in = false,
            _ => {}
        });
    }

    /// Notes that the server has taken the last bytes of the client.
    pub(super) fn request_written(&mut self) {
        self.reads_client = true;
    }

    /// Notes that the client has taken the last bytes of the server.
    pub(super) fn reply_written(&mut self) {
        self.last_reply_written = Instant::now();
    }

    /// `true` if the server executes something, and doesn't wait for more of a request.
    pub(super) fn is_executing(&self) -> bool {
        self.running > 0 && !self.copies_in
    }

    /// `true` if the server may execute something or wait for more of a request.
    pub(super) fn may_be_executing(&self) -> bool {
        self.running > 0 || self.needs_sync
    }

    /// `true` if no request is pending and no transaction is open, so that ending the session loses
    /// nothing.
    pub(super) fn is_quiescent(&self) -> bool {
        self.running == 0
            && !self.needs_sync
            && !self.in_transaction
            && self.requests.is_at_boundary()
            && self.replies.is_at_boundary()
    }

    /// `true` between two messages of the server, where the gateway can insert its own.
    pub(super) fn can_insert_message(&self) -> bool {
        self.replies.is_at_boundary()
    }

    /// `true` if the client has sent Terminate.
    pub(super) fn was_ended_by_client(&self) -> bool {
        self.ended_by_client
    }

    /// Returns the time since which the server waits for the client.
    pub(super) fn idle_since(&self) -> Instant {
        if self.is_executing() {
            Instant::now()
        } else {
            self.last_message
        }
    }

    /// Returns the time since which the client has neither received nor sent anything; it last sent
    /// something at `last_received`.
    pub(super) fn silent_since(&self, last_received: Instant) -> Instant {
        if self.reads_client {
            self.last_reply_written.max(last_received)
        } else {
            Instant::now()
        }
    }
}

/// Finds the boundaries of messages in a stream that is split anywhere.
#[derive(Debug, Default)]
struct MessageScanner {
    /// Received part of the kind (one byte) and the length (four bytes).
    head: Vec<u8>,
    /// Number of missing bytes of the current message, once its head is complete.
    rest: usize,
    /// First byte of the body.
    first: Option<u8>,
}

const HEAD: usize = 5;

impl MessageScanner {
    /// Calls `each` with the kind and the first byte of every message that ends in `bytes`.
    fn scan(&mut self, mut bytes: &[u8], mut each: impl FnMut(u8, Option<u8>)) {
        loop {
            let wanted = HEAD.saturating_sub(self.head.len()).min(bytes.len());
            let (head, body) = bytes.split_at(wanted);
            self.head.extend_from_slice(head);
            bytes = body;
            let [kind, length @ ..] = self.head.as_slice() else {
                return;
            };
            let Ok(length) = <[u8; 4]>::try_from(length) else {
                return;
            };
            if wanted > 0 {
                // The server reports an error for a length under four.
                let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                self.rest = length.saturating_sub(4);
                self.first = None;
            }
            let (body, after) = bytes.split_at(self.rest.min(bytes.len()));
            self.first = self.first.or(body.first().copied());
            self.rest -= body.len();
            bytes = after;
            if self.rest > 0 {
                return;
            }
            each(*kind, self.first);
            self.head.clear();
        }
    }

    fn is_at_boundary(&self) -> bool {
        self.head.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind], &length.to_be_bytes()[..], body].concat()
    }

    #[test]
    fn messages_are_found_however_the_stream_is_split() {
        let stream = [
            message(b'T', b"columns"),
            message(b'Z', b"T"),
            message(b'n', b""),
            message(b'Z', b"I"),
        ]
        .concat();
        for size in 1..=stream.len() {
            let mut messages = MessageScanner::default();
            let mut found = Vec::new();
            for piece in stream.chunks(size) {
                messages.scan(piece, |kind, first| found.push((kind, first)));
            }
            assert_eq!(
                found,
                [
                    (b'T', Some(b'c')),
                    (b'Z', Some(b'T')),
                    (b'n', None),
                    (b'Z', Some(b'I'))
                ],
                "{size}"
            );
            assert!(messages.is_at_boundary());
        }
    }

    #[test]
    fn a_session_without_pending_requests_and_transactions_is_quiescent() {
        let mut activity = Activity::new();
        assert!(activity.is_quiescent());
        let query = message(b'Q', b"select 1\0");
        activity.requested(&query[..3]);
        assert!(!activity.is_quiescent() && !activity.is_executing());
        activity.requested(&query[3..]);
        activity.requested(&query);
        activity.replied(&message(b'Z', b"I"));
        assert!(!activity.is_quiescent(), "the second is still running");
        assert!(activity.is_executing());
        activity.replied(&message(b'Z', b"T"));
        assert!(!activity.is_quiescent(), "a transaction is open");
        assert!(!activity.is_executing());

        activity.requested(&message(b'P', b"\0commit\0\0\0"));
        activity.requested(&message(b'S', b""));
        activity.replied(&message(b'Z', b"I")[..5]);
        assert!(!activity.can_insert_message());
        activity.replied(b"I");
        assert!(activity.is_quiescent() && activity.can_insert_message());
        activity.requested(&message(b'P', b"\0select 1\0\0\0"));
        assert!(!activity.is_quiescent(), "no sync came yet");
        assert!(activity.may_be_executing() && !activity.is_executing());
    }

    #[test]
    fn during_copy_in_the_server_waits_for_the_client() {
        let mut activity = Activity::new();
        activity.requested(&message(b'Q', b"copy t from stdin\0"));
        assert!(activity.is_executing());
        activity.replied(&message(b'G', b"\0\0\0"));
        assert!(!activity.is_executing() && !activity.is_quiescent());
        activity.requested(&message(b'd', b"1\n"));
        activity.requested(&message(b'c', b""));
        activity.replied(&message(b'C', b"COPY 1\0"));
        assert!(activity.is_executing());
        activity.replied(&message(b'Z', b"I"));
        assert!(activity.is_quiescent());
    }

    #[test]
    fn invalid_messages_are_harmless() {
        let mut activity = Activity::new();
        activity.requested(&[0; 64]);
        activity.requested(&[255; 64]);
        activity.replied(&message(b'Z', b""));
        assert!(!activity.is_quiescent());
    }
}
