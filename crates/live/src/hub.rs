//! Many followers of one feed share one reader, which runs only while the feed has followers, so that an
//! idle database can sleep.
//!
//! A follower first reads what it missed from the source itself, then receives what the reader finds. If it
//! falls behind, or a number is missing, it reads from the source again: numbers, not deliveries, decide what
//! is complete. When the source can't be read the stream ends, and the client reconnects.

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

/// Changes that a follower may lag behind the reader before it reads from the source itself.
const BUFFERED: usize = 256;

/// A read in progress.
type Reading<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A source of feeds; [`crate::TableFunctions`] reads one from a database.
pub trait Source: Send + Sync + 'static {
    /// Reads the range of a feed's changes.
    fn frontier<'a>(&'a self, feed: &'a str) -> Reading<'a, Frontier>;
    /// Reads the changes after `after`, in ascending order; the first of them, if there are many.
    fn changes<'a>(&'a self, feed: &'a str, after: u64) -> Reading<'a, Vec<Change>>;
}

/// Intervals of a hub.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Time between two reads of a feed that has followers.
    pub poll_interval: Duration,
    /// Longest silence of a stream.
    pub heartbeat_interval: Duration,
}

/// All feeds that have followers.
pub struct Hub<O> {
    source: O,
    pace: Pace,
    feeds: Mutex<HashMap<String, broadcast::Sender<Arc<Change>>>>,
    closing: watch::Sender<bool>,
}

impl<O: Source> Hub<O> {
    /// A hub of the feeds of `source`.
    pub fn new(source: O, pace: Pace) -> Arc<Self> {
        Arc::new(Self {
            source,
            pace,
            feeds: Mutex::default(),
            closing: watch::Sender::new(false),
        })
    }

    /// Follows a feed from the client's position.
    ///
    /// # Errors
    /// The source's.
    pub async fn follow(
        self: &Arc<Self>,
        feed: &str,
        last_event_id: Option<LastEventId>,
    ) -> Result<Follower<O>, Error> {
        // Subscribes before it reads, so that a change in between arrives twice rather than never.
        let found = self.feeds().get(feed).map(broadcast::Sender::subscribe);
        let frontier = self.source.frontier(feed).await?;
        let changes = found.unwrap_or_else(|| self.subscribe(feed, frontier.last));
        let cursor = Cursor::resume(last_event_id, frontier);
        Ok(Follower {
            hub: Arc::clone(self),
            feed: feed.to_owned(),
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

    /// Ends all streams, also those that begin later.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Number of feeds that are being read.
    pub fn feeds_read(&self) -> usize {
        self.feeds().len()
    }

    fn subscribe(self: &Arc<Self>, feed: &str, after: u64) -> broadcast::Receiver<Arc<Change>> {
        let mut feeds = self.feeds();
        if let Some(sender) = feeds.get(feed) {
            return sender.subscribe();
        }
        let (sender, receiver) = broadcast::channel(BUFFERED);
        feeds.insert(feed.to_owned(), sender.clone());
        tokio::spawn(Arc::clone(self).read(feed.to_owned(), sender, after));
        receiver
    }

    async fn read(
        self: Arc<Self>,
        feed: String,
        sender: broadcast::Sender<Arc<Change>>,
        mut after: u64,
    ) {
        loop {
            sleep(self.pace.poll_interval).await;
            {
                // Under the lock, so that no follower subscribes while the reader ends.
                let mut feeds = self.feeds();
                if sender.receiver_count() == 0 {
                    feeds.remove(&feed);
                    return;
                }
            }
            match self.source.changes(&feed, after).await {
                Ok(changes) => {
                    for change in changes {
                        after = change.sequence;
                        // Without followers this fails; the next round ends the reader.
                        let _ = sender.send(Arc::new(change));
                    }
                }
                Err(error) => tracing::debug!(%error, "cannot read a feed; trying again"),
            }
        }
    }

    fn feeds(&self) -> MutexGuard<'_, HashMap<String, broadcast::Sender<Arc<Change>>>> {
        // Each change leaves the map consistent, so a panic elsewhere does no harm.
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One client's stream.
pub struct Follower<O> {
    hub: Arc<Hub<O>>,
    feed: String,
    changes: broadcast::Receiver<Arc<Change>>,
    closing: watch::Receiver<bool>,
    first: Option<Bytes>,
    /// Number of the last change that was sent.
    sequence: u64,
    /// `true` if the source may have changes that the reader won't send.
    is_behind: bool,
}

impl<O: Source> Follower<O> {
    /// Waits for the next piece of the stream; `None` at its end. Dropping the future loses nothing.
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
                        tracing::debug!(%error, "ending a stream: cannot read its feed");
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

    /// Reads from the source what was not sent yet.
    async fn catch_up(&mut self) -> Result<Option<Bytes>, Error> {
        let missed = self.hub.source.changes(&self.feed, self.sequence);
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

    /// A source in memory: these tests are about delivery.
    #[derive(Clone, Default)]
    struct Changes(Arc<Mutex<Vec<Change>>>);

    impl Changes {
        fn add(&self) {
            let mut changes = self.0.lock().unwrap();
            let sequence = changes.len() as u64 + 1;
            changes.push(Change {
                sequence,
                data: "{}".to_owned(),
            });
        }
    }

    impl Source for Changes {
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

    /// A heartbeat tells the tests that nothing more comes, so it is much longer than a poll.
    const PACE: Pace = Pace {
        poll_interval: Duration::from_millis(5),
        heartbeat_interval: Duration::from_millis(700),
    };

    /// Numbers of the changes until the next heartbeat.
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
    async fn every_follower_gets_each_change_once_and_in_order() {
        let source = Changes::default();
        (0..5).for_each(|_| source.add());
        let hub = Hub::new(source.clone(), PACE);
        let mut new = hub.follow("w", None).await.unwrap();
        let mut back = hub.follow("w", Some(LastEventId(1))).await.unwrap();
        source.add();
        source.add();
        assert_eq!(sequences(&mut new).await, [6, 7]);
        assert_eq!(sequences(&mut back).await, [2, 3, 4, 5, 6, 7]);
        source.add();
        assert_eq!(sequences(&mut new).await, [8]);
        assert_eq!(sequences(&mut back).await, [8]);
    }

    #[tokio::test]
    async fn a_follower_that_lags_far_behind_reads_from_the_source() {
        let source = Changes::default();
        let hub = Hub::new(source.clone(), PACE);
        let mut slow = hub.follow("w", None).await.unwrap();
        let mut all = 0;
        while all < 2 * BUFFERED as u64 {
            source.add();
            all += 1;
        }
        sleep(PACE.poll_interval * 40).await;
        let expected: Vec<_> = (1..=all).collect();
        assert_eq!(sequences(&mut slow).await, expected);
    }

    #[tokio::test]
    async fn a_feed_without_followers_is_not_read() {
        let hub = Hub::new(Changes::default(), PACE);
        let follower = hub.follow("w", None).await.unwrap();
        assert_eq!(hub.feeds_read(), 1);
        drop(follower);
        while hub.feeds_read() > 0 {
            sleep(PACE.poll_interval).await;
        }
    }

    #[tokio::test]
    async fn closing_the_hub_ends_all_streams() {
        let hub = Hub::new(Changes::default(), PACE);
        let mut follower = hub.follow("w", None).await.unwrap();
        assert!(follower.next().await.unwrap().starts_with(b"retry:"));
        hub.close();
        assert_eq!(follower.next().await, None);
    }
}
