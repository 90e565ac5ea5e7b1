//! Whose turn it is in a session, told from the messages that pass by.
//!
//! Nothing is read but each message's kind and length, and of ReadyForQuery the one byte that says
//! whether a transaction is open.

use tokio::time::Instant;

/// What happens in a session.
#[derive(Debug)]
pub(super) struct Activity {
    requests: Messages,
    answers: Messages,
    /// Requests that the server ends with a ReadyForQuery, and that it hasn't ended yet.
    running: usize,
    /// Whether requests are on their way that no Sync follows yet.
    needs_sync: bool,
    /// Whether the server waits for the client's data (COPY … FROM STDIN).
    copies_in: bool,
    in_transaction: bool,
    ended_by_client: bool,
    /// Whether the client is listened to. It isn't while the server has no room for what it said.
    listens: bool,
    last_words: Instant,
    last_taken: Instant,
}

impl Activity {
    /// A session right after its first ReadyForQuery.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            requests: Messages::default(),
            answers: Messages::default(),
            running: 0,
            needs_sync: false,
            copies_in: false,
            in_transaction: false,
            ended_by_client: false,
            listens: true,
            last_words: now,
            last_taken: now,
        }
    }

    /// The client says something, which the server gets now.
    pub(super) fn requested(&mut self, bytes: &[u8]) {
        self.last_words = Instant::now();
        self.listens = false;
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

    /// The server says something.
    pub(super) fn answered(&mut self, bytes: &[u8]) {
        self.last_words = Instant::now();
        let (running, copies_in, in_transaction) = (
            &mut self.running,
            &mut self.copies_in,
            &mut self.in_transaction,
        );
        self.answers.scan(bytes, |kind, first| match kind {
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

    /// The server took what the client said.
    pub(super) fn listen(&mut self) {
        self.listens = true;
    }

    /// The client took what the server said.
    pub(super) fn taken(&mut self) {
        self.last_taken = Instant::now();
    }

    /// Whether it is the server's turn. It is not while it waits for more of a request.
    pub(super) fn server_works(&self) -> bool {
        self.running > 0 && !self.copies_in
    }

    /// Whether the server may be doing something for the client.
    pub(super) fn has_begun(&self) -> bool {
        self.running > 0 || self.needs_sync
    }

    /// Whether nothing at all is under way, so that nobody loses anything if the session ends.
    pub(super) fn is_quiet(&self) -> bool {
        self.running == 0
            && !self.needs_sync
            && !self.in_transaction
            && self.requests.is_at_boundary()
            && self.answers.is_at_boundary()
    }

    /// Whether something of ours can be put between the server's messages.
    pub(super) fn can_interject(&self) -> bool {
        self.answers.is_at_boundary()
    }

    /// Whether the client said that it is done.
    pub(super) fn was_ended_by_client(&self) -> bool {
        self.ended_by_client
    }

    /// Since when the server has waited for the client.
    pub(super) fn idle_since(&self) -> Instant {
        if self.server_works() {
            Instant::now()
        } else {
            self.last_words
        }
    }

    /// Since when the client has taken nothing, and, as its connection tells, said nothing since
    /// `heard`, although it was asked to.
    pub(super) fn silent_since(&self, heard: Instant) -> Instant {
        if self.listens {
            self.last_taken.max(heard)
        } else {
            Instant::now()
        }
    }
}

/// Finds where messages begin and end in a stream of them, cut anywhere.
#[derive(Debug, Default)]
struct Messages {
    /// What has come of the kind (one byte) and the length (four).
    head: Vec<u8>,
    /// How much of the current message is still to come, once its head is there.
    rest: usize,
    /// The first byte of its body.
    first: Option<u8>,
}

const HEAD: usize = 5;

impl Messages {
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
                // A length under four is nonsense, and the server's to complain about.
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
    fn messages_are_found_however_they_are_cut() {
        let stream = [
            message(b'T', b"columns"),
            message(b'Z', b"T"),
            message(b'n', b""),
            message(b'Z', b"I"),
        ]
        .concat();
        for size in 1..=stream.len() {
            let mut messages = Messages::default();
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
    fn quiet_is_when_all_was_answered_and_no_transaction_is_open() {
        let mut activity = Activity::new();
        assert!(activity.is_quiet());
        let query = message(b'Q', b"select 1\0");
        activity.requested(&query[..3]);
        assert!(!activity.is_quiet() && !activity.server_works());
        activity.requested(&query[3..]);
        activity.requested(&query);
        activity.answered(&message(b'Z', b"I"));
        assert!(!activity.is_quiet(), "the second is still running");
        assert!(activity.server_works());
        activity.answered(&message(b'Z', b"T"));
        assert!(!activity.is_quiet(), "a transaction is open");
        assert!(!activity.server_works());

        activity.requested(&message(b'P', b"\0commit\0\0\0"));
        activity.requested(&message(b'S', b""));
        activity.answered(&message(b'Z', b"I")[..5]);
        assert!(!activity.can_interject());
        activity.answered(b"I");
        assert!(activity.is_quiet() && activity.can_interject());
        activity.requested(&message(b'P', b"\0select 1\0\0\0"));
        assert!(!activity.is_quiet(), "no sync came yet");
        assert!(activity.has_begun() && !activity.server_works());
    }

    #[test]
    fn during_a_copy_it_is_the_clients_turn() {
        let mut activity = Activity::new();
        activity.requested(&message(b'Q', b"copy t from stdin\0"));
        assert!(activity.server_works());
        activity.answered(&message(b'G', b"\0\0\0"));
        assert!(!activity.server_works() && !activity.is_quiet());
        activity.requested(&message(b'd', b"1\n"));
        activity.requested(&message(b'c', b""));
        activity.answered(&message(b'C', b"COPY 1\0"));
        assert!(activity.server_works());
        activity.answered(&message(b'Z', b"I"));
        assert!(activity.is_quiet());
    }

    #[test]
    fn nonsense_does_no_harm() {
        let mut activity = Activity::new();
        activity.requested(&[0; 64]);
        activity.requested(&[255; 64]);
        activity.answered(&message(b'Z', b""));
        assert!(!activity.is_quiet());
    }
}
