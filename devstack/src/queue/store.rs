//! What is on disk: the queues and their messages, in one file.
//!
//! One thread writes. It takes all changes that have gathered while it wrote the last ones, writes
//! them in one transaction, in their order, and only then lets those who wait for them answer. So
//! many senders share one wait for the disk, and what a receiver was told is never ahead of what is
//! written.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::Error;
use super::attributes::QueueName;
use super::fifo::DeduplicationId;
use super::queues::{Change, Queues};

const QUEUES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("queues");
const MESSAGES: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("messages");

/// What was sent to FIFO queues, by deduplication ids.
const SENT: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("sent");

/// How many requests may wait for the disk before those who come next wait to be let in.
const WAITING: usize = 1024;

pub(super) struct Store {
    batches: SyncSender<Batch>,
    writer: JoinHandle<()>,
}

/// Where changes are handed in.
#[derive(Clone)]
pub(super) struct Writing(SyncSender<Batch>);

/// Resolves when the changes are on disk; fails if they never will be.
pub(super) type Written = oneshot::Receiver<()>;

enum Batch {
    Changes(Vec<Change>, oneshot::Sender<()>),
    End,
}

impl Store {
    /// Opens the file, made if it isn't there, reads all that is in it, and lets `prepare` change
    /// that. Waits a little for another process that is about to leave. `failed` is told if a later
    /// write fails; nothing is written then.
    pub(super) fn open(
        folder: &Path,
        prepare: impl FnOnce(&mut Queues),
        failed: oneshot::Sender<()>,
    ) -> Result<(Self, Queues), Error> {
        let database = open(folder)?;
        let mut queues = read(&database, folder)?;
        prepare(&mut queues);
        write(&database, &queues.take_changes())?;
        let (batches, received) = sync_channel(WAITING);
        let writer = std::thread::Builder::new()
            .name("queue-writer".to_owned())
            .spawn(move || {
                if let Err(error) = write_all(&database, &received) {
                    tracing::error!("cannot write messages: {error}");
                    // Whoever would be told may be leaving as well.
                    let _ = failed.send(());
                }
            })
            .map_err(|error| Error::Io {
                doing: "start the thread that writes".to_owned(),
                error,
            })?;
        Ok((Self { batches, writer }, queues))
    }

    pub(super) fn writing(&self) -> Writing {
        Writing(self.batches.clone())
    }

    /// Writes what was handed in, and closes the file. What is handed in later fails.
    pub(super) fn close(self) {
        // It has ended already if a write failed.
        let _ = self.batches.send(Batch::End);
        if self.writer.join().is_err() {
            tracing::error!("the thread that writes messages panicked");
        }
    }
}

impl Writing {
    /// Hands changes in. Whoever calls this holds the lock under which the changes were made: their
    /// order is the order on disk.
    pub(super) fn hand_in(&self, changes: Vec<Change>) -> Written {
        let (written, when_written) = oneshot::channel();
        // If the writer has ended, `written` is dropped here, which is how that is heard.
        let _ = self.0.send(Batch::Changes(changes, written));
        when_written
    }
}

const PATIENCE: Duration = Duration::from_secs(5);

fn open(folder: &Path) -> Result<Database, Error> {
    let file = folder.join("messages.redb");
    let began = Instant::now();
    let mut database = loop {
        match Database::create(&file) {
            Ok(database) => break database,
            Err(DatabaseError::DatabaseAlreadyOpen) if began.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(Error::Busy(folder.to_owned())),
            Err(error) => return Err(redb::Error::from(error).into()),
        }
    };
    // Message bodies are other people's business.
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(
        |error| Error::Io {
            doing: format!("guard {}", file.display()),
            error,
        },
    )?;
    // The file grows with the most that it ever held; a start is when nobody waits.
    database.compact().map_err(redb::Error::from)?;
    // So that reading finds the tables.
    write(&database, &[])?;
    Ok(database)
}

fn read(database: &Database, folder: &Path) -> Result<Queues, Error> {
    let file = folder.join("messages.redb");
    let damaged = |why: &dyn std::fmt::Display| Error::Damaged {
        file: file.clone(),
        why: why.to_string(),
    };
    let name = |text: &str| text.parse::<QueueName>().map_err(|error| damaged(&error));
    let transaction = database.begin_read().map_err(redb::Error::from)?;
    let mut queues = Vec::new();
    let table = transaction.open_table(QUEUES).map_err(redb::Error::from)?;
    for entry in table.iter().map_err(redb::Error::from)? {
        let (key, value) = entry.map_err(redb::Error::from)?;
        queues.push((
            name(key.value())?,
            parse(value.value()).map_err(|error| damaged(&error))?,
        ));
    }
    let mut messages = Vec::new();
    let table = transaction
        .open_table(MESSAGES)
        .map_err(redb::Error::from)?;
    for entry in table.iter().map_err(redb::Error::from)? {
        let (key, value) = entry.map_err(redb::Error::from)?;
        let (queue, number) = key.value();
        let message = parse(value.value()).map_err(|error| damaged(&error))?;
        messages.push((name(queue)?, number, message));
    }
    let mut sent = Vec::new();
    let table = transaction.open_table(SENT).map_err(redb::Error::from)?;
    for entry in table.iter().map_err(redb::Error::from)? {
        let (key, value) = entry.map_err(redb::Error::from)?;
        let (queue, id) = key.value();
        let id = DeduplicationId::parse(id).map_err(|fault| damaged(&fault.message))?;
        let value = parse(value.value()).map_err(|error| damaged(&error))?;
        sent.push((name(queue)?, id, value));
    }
    Ok(Queues::restore(queues, messages, sent))
}

fn write_all(database: &Database, batches: &Receiver<Batch>) -> Result<(), redb::Error> {
    while let Ok(first) = batches.recv() {
        let (mut changes, mut waiting, mut ended) = (Vec::new(), Vec::new(), false);
        for batch in std::iter::once(first).chain(batches.try_iter().take(WAITING)) {
            match batch {
                Batch::Changes(more, written) => {
                    changes.extend(more);
                    waiting.push(written);
                }
                Batch::End => {
                    ended = true;
                    break;
                }
            }
        }
        write(database, &changes)?;
        for written in waiting {
            // Who asked may have left.
            let _ = written.send(());
        }
        if ended {
            break;
        }
    }
    Ok(())
}

/// Writes changes in one transaction and waits for the disk, which is redb's default.
fn write(database: &Database, changes: &[Change]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut queues = transaction.open_table(QUEUES)?;
        let mut messages = transaction.open_table(MESSAGES)?;
        let mut sent = transaction.open_table(SENT)?;
        for change in changes {
            match change {
                Change::Queue(name, kept) => {
                    queues.insert(name.as_str(), text(kept)?.as_slice())?;
                }
                Change::NoQueue(name) => {
                    queues.remove(name.as_str())?;
                    messages.retain_in(all_of(name), |_, _| false)?;
                    sent.retain(|(queue, _), _| queue != name.as_str())?;
                }
                Change::Message(name, number, message) => {
                    messages.insert((name.as_str(), *number), text(message)?.as_slice())?;
                }
                Change::NoMessage(name, number) => {
                    messages.remove((name.as_str(), *number))?;
                }
                Change::NoMessages(name) => messages.retain_in(all_of(name), |_, _| false)?,
                Change::Sent(name, id, what) => {
                    sent.insert((name.as_str(), id.as_str()), text(what)?.as_slice())?;
                }
                Change::NoSent(name, id) => drop(sent.remove((name.as_str(), id.as_str()))?),
            }
        }
    }
    Ok(transaction.commit()?)
}

fn all_of(name: &QueueName) -> std::ops::RangeInclusive<(&str, u64)> {
    (name.as_str(), 0)..=(name.as_str(), u64::MAX)
}

fn text(value: &impl Serialize) -> Result<Vec<u8>, redb::Error> {
    serde_json::to_vec(value).map_err(|error| redb::Error::Io(error.into()))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes)
}
