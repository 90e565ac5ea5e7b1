//! Many followers, one reader: a workspace's feed is read by one task for all who follow it, and only
//! while somebody does, so that an idle database can sleep.
//!
//! A follower first gets what it missed from the outbox itself, then what the reader finds. If it falls
//! behind, or a number is missing, it goes back to the outbox: the numbers, not the deliveries, say
//! what is complete. Where the outbox can't be read the stream ends, and the client comes back.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tirage_sqlhttp::Error;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{sleep, timeout};

use crate::cursor::{Cursor, Frontier};
use crate::event::{self, Change, HEARTBEAT, LastEventId};

/// How many changes a follower may be behind the reader before it reads for itself.
const BUFFERED: usize = 256;

/// What is being read.
type Reading<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Where the feeds are kept; [`crate::frontier`] and [`crate::changes`] are what it takes.
pub trait Outbox: Send + Sync + 'static {
    /// What a workspace's feed holds now.
    fn frontier<'a>(&'a self, workspace: &'a str) -> Reading<'a, Frontier>;
    /// The changes after this one, in their order, or as many of them as are read at once.
    fn changes<'a>(&'a self, workspace: &'a str, after: u64) -> Reading<'a, Vec<Change>>;
}

/// How often things happen.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How often a feed is read while somebody follows it.
    pub poll_interval: Duration,
    /// How long a stream is silent at most.
    pub heartbeat_interval: Duration,
}

/// All feeds that somebody follows.
pub struct Hub<O> {
    outbox: O,
    pace: Pace,
    feeds: Mutex<HashMap<String, broadcast::Sender<Arc<Change>>>>,
    closing: watch::Sender<bool>,
}

impl<O: Outbox> Hub<O> {
    /// Feeds of this outbox.
    pub fn new(outbox: O, pace: Pace) -> Arc<Self> {
        Arc::new(Self {
            outbox,
            pace,
            feeds: Mutex::default(),
            closing: watch::Sender::new(false),
        })
    }

    /// Follows the feed of a workspace from where the client was.
    ///
    /// # Errors
    /// The outbox's.
    pub async fn follow(
        self: &Arc<Self>,
        workspace: &str,
        last_event_id: Option<LastEventId>,
    ) -> Result<Follower<O>, Error> {
        // Listens first and looks then: what happens in between comes twice, and never not at all.
        let found = self
            .feeds()
            .get(workspace)
            .map(broadcast::Sender::subscribe);
        let frontier = self.outbox.frontier(workspace).await?;
        let changes = found.unwrap_or_else(|| self.subscribe(workspace, frontier.last));
        let cursor = Cursor::resume(last_event_id, frontier);
        Ok(Follower {
            hub: Arc::clone(self),
            workspace: workspace.to_owned(),
            changes,
            closing: self.closing.subscribe(),
            first: Some(match cursor.is_reset {
                true => event::reset(cursor.sequence),
                false => event::start(cursor.sequence),
            }),
            sequence: cursor.sequence,
            is_behind: true,
        })
    }

    /// Ends all streams, and those that begin from now on.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// How many feeds are being read.
    pub fn feeds_read(&self) -> usize {
        self.feeds().len()
    }

    fn subscribe(
        self: &Arc<Self>,
        workspace: &str,
        after: u64,
    ) -> broadcast::Receiver<Arc<Change>> {
        let mut feeds = self.feeds();
        if let Some(sender) = feeds.get(workspace) {
            return sender.subscribe();
        }
        let (sender, receiver) = broadcast::channel(BUFFERED);
        feeds.insert(workspace.to_owned(), sender.clone());
        tokio::spawn(Arc::clone(self).read(workspace.to_owned(), sender, after));
        receiver
    }

    async fn read(
        self: Arc<Self>,
        workspace: String,
        sender: broadcast::Sender<Arc<Change>>,
        mut after: u64,
    ) {
        loop {
            sleep(self.pace.poll_interval).await;
            {
                // Under the lock nobody can join while we leave.
                let mut feeds = self.feeds();
                if sender.receiver_count() == 0 {
                    feeds.remove(&workspace);
                    return;
                }
            }
            match self.outbox.changes(&workspace, after).await {
                Ok(changes) => {
                    for change in changes {
                        after = change.sequence;
                        // That all have just left is seen in the next round.
                        let _ = sender.send(Arc::new(change));
                    }
                }
                Err(error) => tracing::debug!(%error, "the change feed can't be read now"),
            }
        }
    }

    fn feeds(&self) -> MutexGuard<'_, HashMap<String, broadcast::Sender<Arc<Change>>>> {
        // The map is right after every single change.
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One client's stream.
pub struct Follower<O> {
    hub: Arc<Hub<O>>,
    workspace: String,
    changes: broadcast::Receiver<Arc<Change>>,
    closing: watch::Receiver<bool>,
    first: Option<Bytes>,
    /// The last change that was sent.
    sequence: u64,
    /// There may be changes in the outbox that the reader won't bring.
    is_behind: bool,
}

impl<O: Outbox> Follower<O> {
    /// The next piece of the stream; none at its end.
    pub async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let heartbeat = self.hub.pace.heartbeat_interval;
        let mut closing = self.closing.clone();
        tokio::select! {
            _ = closing.wait_for(|closing| *closing) => None,
            piece = timeout(heartbeat, self.news()) => piece.unwrap_or(Some(HEARTBEAT)),
        }
    }

    async fn news(&mut self) -> Option<Bytes> {
        loop {
            if self.is_behind {
                match self.catch_up().await {
                    Ok(Some(piece)) => return Some(piece),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::debug!(%error, "a stream of changes ends");
                        return None;
                    }
                }
            }
            match self.changes.recv().await {
                Ok(change) if change.sequence <= self.sequence => {}
                Ok(change) if change.sequence == self.sequence + 1 => {
                    self.sequence = change.sequence;
                    return Some(event::change(&change));
                }
                Ok(_) | Err(RecvError::Lagged(_)) => self.is_behind = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// What the outbox has that was not sent yet.
    async fn catch_up(&mut self) -> Result<Option<Bytes>, Error> {
        let missed = self.hub.outbox.changes(&self.workspace, self.sequence);
        let missed = missed.await?;
        let Some(last) = missed.last() else {
            self.is_behind = false;
            return Ok(None);
        };
        self.sequence = last.sequence;
        let mut piece = BytesMut::new();
        for change in &missed {
            piece.extend_from_slice(&event::change(change));
        }
        Ok(Some(piece.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An outbox in memory: what is tested here is who gets what, not where it comes from.
    #[derive(Clone, Default)]
    struct Changes(Arc<Mutex<Vec<Change>>>);

    impl Changes {
        fn add(&self) {
            let mut changes = self.0.lock().unwrap();
            let sequence = changes.len() as u64 + 1;
            changes.push(Change {
                sequence,
                kind: "media".to_owned(),
                subject: "a".to_owned(),
                action: "updated".to_owned(),
                state: None,
                created_at: String::new(),
            });
        }
    }

    impl Outbox for Changes {
        fn frontier<'a>(&'a self, _: &'a str) -> Reading<'a, Frontier> {
            let changes = self.0.lock().unwrap();
            let frontier = Frontier {
                last: changes.len() as u64,
                oldest: changes.first().map(|change| change.sequence),
            };
            Box::pin(async move { Ok(frontier) })
        }

        fn changes<'a>(&'a self, _: &'a str, after: u64) -> Reading<'a, Vec<Change>> {
            let changes = self.0.lock().unwrap();
            let later = changes.iter().filter(|change| change.sequence > after);
            let later = later.take(3).cloned().collect();
            Box::pin(async move { Ok(later) })
        }
    }

    /// Silence tells the tests that nothing more comes, so it is much longer than a poll.
    const PACE: Pace = Pace {
        poll_interval: Duration::from_millis(5),
        heartbeat_interval: Duration::from_millis(700),
    };

    /// The numbers of the changes that come before the next heartbeat.
    async fn sequences(follower: &mut Follower<Changes>) -> Vec<u64> {
        let mut sequences = Vec::new();
        loop {
            let piece = follower.next().await.unwrap();
            if piece == HEARTBEAT {
                return sequences;
            }
            let text = String::from_utf8(piece.to_vec()).unwrap();
            for event in text.split_inclusive("\n\n") {
                if event.contains("event: change") {
                    let id = event.lines().find_map(|line| line.strip_prefix("id: "));
                    sequences.push(id.unwrap().parse().unwrap());
                }
            }
        }
    }

    #[tokio::test]
    async fn everybody_gets_everything_once_and_in_order() {
        let outbox = Changes::default();
        (0..5).for_each(|_| outbox.add());
        let hub = Hub::new(outbox.clone(), PACE);
        let mut new = hub.follow("w", None).await.unwrap();
        let mut back = hub.follow("w", Some(LastEventId(1))).await.unwrap();
        outbox.add();
        outbox.add();
        assert_eq!(sequences(&mut new).await, [6, 7]);
        assert_eq!(sequences(&mut back).await, [2, 3, 4, 5, 6, 7]);
        outbox.add();
        assert_eq!(sequences(&mut new).await, [8]);
        assert_eq!(sequences(&mut back).await, [8]);
    }

    #[tokio::test]
    async fn one_that_falls_far_behind_reads_for_itself() {
        let outbox = Changes::default();
        let hub = Hub::new(outbox.clone(), PACE);
        let mut slow = hub.follow("w", None).await.unwrap();
        let mut all = 0;
        while all < 2 * BUFFERED as u64 {
            outbox.add();
            all += 1;
        }
        sleep(PACE.poll_interval * 40).await;
        let expected: Vec<_> = (1..=all).collect();
        assert_eq!(sequences(&mut slow).await, expected);
    }

    #[tokio::test]
    async fn nothing_is_read_that_nobody_follows() {
        let hub = Hub::new(Changes::default(), PACE);
        let follower = hub.follow("w", None).await.unwrap();
        assert_eq!(hub.feeds_read(), 1);
        drop(follower);
        while hub.feeds_read() > 0 {
            sleep(PACE.poll_interval).await;
        }
    }

    #[tokio::test]
    async fn closing_ends_all_streams() {
        let hub = Hub::new(Changes::default(), PACE);
        let mut follower = hub.follow("w", None).await.unwrap();
        assert!(follower.next().await.unwrap().starts_with(b"retry:"));
        hub.close();
        assert_eq!(follower.next().await, None);
    }
}
