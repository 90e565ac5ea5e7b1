//! Messages on disk, and what each action does to them.
//!
//! The file is the only state. A transaction is synced to disk before it returns; one that changes nothing
//! writes nothing. Receives scan the queue from its oldest message, which is fast while few messages are
//! hidden at a time.

use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use redb::{Database, Durability, ReadableTable, Table, TableDefinition};
use uuid::Uuid;

use super::error::{ApiError, Code};
use super::message::{Content, Message, Moment, Number, Receipt};
use super::name::QueueName;
use crate::error::{Error, IoContext};

/// Messages as JSON, by queue and number.
const MESSAGES: TableDefinition<'_, (&str, Number), &[u8]> = TableDefinition::new("messages");

/// Time after which a message is deleted (SQS's default, four days).
const RETENTION_SECONDS: u32 = 4 * 24 * 60 * 60;

/// A queue and its settings.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    pub(super) name: QueueName,
    /// Time for which a received message is hidden.
    pub(super) visibility_seconds: u32,
    pub(super) redrive: Option<Redrive>,
}

/// Moves messages that were received too often.
#[derive(Debug, Clone)]
pub(super) struct Redrive {
    pub(super) dead_letters: QueueName,
    /// A message that was received this often isn't received again.
    pub(super) max_receives: u32,
}

/// Result of a receive.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) messages: Vec<(Receipt, Message)>,
    /// Time at which the next hidden message becomes visible, as far as the scan went.
    pub(super) next_visible_from: Option<Moment>,
}

/// Numbers of messages, counted as Scaleway does: a message that was received once counts as not
/// visible until it is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) never_received: usize,
    pub(super) received: usize,
}

/// The file of messages.
pub(super) struct Store {
    database: Database,
    durability: Durability,
}

/// The messages of all queues in one transaction.
pub(super) struct Messages<'t> {
    table: Table<'t, (&'static str, Number), &'static [u8]>,
    changed: bool,
}

impl Store {
    /// Opens the file in `folder`, creates it if it is absent, and checks that the messages of
    /// `queues` can be parsed. Messages of other queues stay in the file untouched.
    pub(super) fn open(folder: &Path, queues: &[Queue]) -> Result<Self, Error> {
        let file = folder.join("messages.redb");
        let failed = |error: redb::Error| Error::MessageStore {
            file: file.clone(),
            error: Box::new(error),
        };
        let mut database = Database::create(&file).map_err(|error| failed(error.into()))?;
        // Message bodies are private.
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600))
            .with_action(|| format!("set the mode of {}", file.display()))?;
        // The file has grown to the largest size that it ever needed.
        database.compact().map_err(|error| failed(error.into()))?;
        let store = Self {
            database,
            durability: Durability::Immediate,
        };
        for queue in queues {
            let parsed = store.write(|messages| messages.counts(queue, Moment(0)));
            parsed.map_err(|error| Error::Damaged {
                file: file.clone(),
                why: error.message,
            })?;
        }
        Ok(store)
    }

    /// Runs `action` as one transaction, which is rolled back if it fails. Also returns `true` if
    /// anything changed.
    pub(super) fn write<T>(
        &self,
        action: impl FnOnce(&mut Messages<'_>) -> Result<T, ApiError>,
    ) -> Result<(T, bool), ApiError> {
        let mut transaction = self.database.begin_write().map_err(ApiError::store)?;
        transaction
            .set_durability(self.durability)
            .map_err(ApiError::store)?;
        let table = transaction.open_table(MESSAGES).map_err(ApiError::store)?;
        let mut messages = Messages {
            table,
            changed: false,
        };
        let result = action(&mut messages)?;
        let changed = messages.changed;
        drop(messages);
        match changed {
            true => transaction.commit().map_err(ApiError::store)?,
            false => transaction.abort().map_err(ApiError::store)?,
        }
        Ok((result, changed))
    }
}

impl Messages<'_> {
    /// Appends a message. Returns its id.
    pub(super) fn send(
        &mut self,
        queue: &Queue,
        content: Content,
        now: Moment,
    ) -> Result<Uuid, ApiError> {
        let message = Message {
            id: Uuid::new_v4(),
            content,
            sent_at: now,
            visible_from: now,
            receives: 0,
        };
        self.append(&queue.name, &message)?;
        Ok(message.id)
    }

    /// Receives and hides up to `limit` messages. Messages that were received too often move to the
    /// dead-letter queue instead.
    pub(super) fn receive(
        &mut self,
        queue: &Queue,
        limit: usize,
        now: Moment,
    ) -> Result<Received, ApiError> {
        let mut next_visible_from: Option<Moment> = None;
        let (mut expired, mut dead, mut received) = (Vec::new(), Vec::new(), Vec::new());
        for entry in self.scan(&queue.name)? {
            let (number, message) = entry?;
            let redrive = queue.redrive.as_ref();
            let redrive = redrive.filter(|redrive| message.receives >= redrive.max_receives);
            if is_expired(&message, now) {
                expired.push(number);
            } else if message.visible_from > now {
                let from = message.visible_from;
                next_visible_from = Some(next_visible_from.map_or(from, |next| next.min(from)));
            } else if let Some(redrive) = redrive {
                dead.push((number, message, redrive.dead_letters.clone()));
            } else {
                received.push((number, message));
                if received.len() == limit {
                    break;
                }
            }
        }
        for number in expired {
            self.remove(&queue.name, number)?;
        }
        for (number, mut message, dead_letters) in dead {
            self.remove(&queue.name, number)?;
            message.receives = 0;
            message.visible_from = now;
            self.append(&dead_letters, &message)?;
        }
        let mut messages = Vec::new();
        for (number, mut message) in received {
            message.receives = message.receives.saturating_add(1);
            message.visible_from = now.plus_seconds(queue.visibility_seconds);
            self.insert(&queue.name, number, &message)?;
            let receipt = Receipt {
                number,
                id: message.id,
                receive: message.receives,
            };
            messages.push((receipt, message));
        }
        Ok(Received {
            messages,
            next_visible_from,
        })
    }

    /// Deletes a message. An outdated receipt deletes nothing and isn't an error (SQS developer
    /// guide, `DeleteMessage`).
    pub(super) fn delete(&mut self, queue: &Queue, receipt: Receipt) -> Result<(), ApiError> {
        match self.find(queue, receipt)? {
            Some(_) => self.remove(&queue.name, receipt.number),
            None => Ok(()),
        }
    }

    /// Hides a message in flight for `seconds` from now: 0, or the queue's visibility timeout.
    pub(super) fn change_visibility(
        &mut self,
        queue: &Queue,
        receipt: Receipt,
        seconds: u32,
        now: Moment,
    ) -> Result<(), ApiError> {
        let own = queue.visibility_seconds;
        if seconds != 0 && seconds != own {
            let reason = format!("Scaleway Queues allows 0 and the queue's own timeout, {own}");
            return Err(ApiError::parameter("VisibilityTimeout", &reason));
        }
        let Some(mut message) = self.find(queue, receipt)? else {
            let reason = "the message is deleted or was received again";
            return Err(ApiError::parameter("ReceiptHandle", reason));
        };
        if message.visible_from <= now {
            let text = "the message is already visible";
            return Err(ApiError::new(Code::MessageNotInflight, text));
        }
        message.visible_from = now.plus_seconds(seconds);
        self.insert(&queue.name, receipt.number, &message)
    }

    /// Deletes all messages of the queue.
    pub(super) fn purge(&mut self, queue: &Queue) -> Result<(), ApiError> {
        self.changed = true;
        self.table
            .retain_in(all_of(&queue.name), |_, _| false)
            .map_err(ApiError::store)
    }

    /// Counts the messages of the queue.
    pub(super) fn counts(&mut self, queue: &Queue, now: Moment) -> Result<Counts, ApiError> {
        let mut counts = Counts::default();
        for entry in self.scan(&queue.name)? {
            let (_, message) = entry?;
            match (is_expired(&message, now), message.receives) {
                (true, _) => {}
                (false, 0) => counts.never_received += 1,
                (false, _) => counts.received += 1,
            }
        }
        Ok(counts)
    }

    /// Returns the receipt's message, unless it is deleted or was received again.
    fn find(&self, queue: &Queue, receipt: Receipt) -> Result<Option<Message>, ApiError> {
        let key = (queue.name.as_str(), receipt.number);
        let Some(value) = self.table.get(key).map_err(ApiError::store)? else {
            return Ok(None);
        };
        let message = parse(value.value())?;
        Ok(receipt.is_current(&message).then_some(message))
    }

    /// Iterates over a queue from its oldest message.
    fn scan(
        &self,
        queue: &QueueName,
    ) -> Result<impl Iterator<Item = Result<(Number, Message), ApiError>>, ApiError> {
        let range = self.table.range(all_of(queue)).map_err(ApiError::store)?;
        Ok(range.map(|entry| {
            let (key, value) = entry.map_err(ApiError::store)?;
            Ok((key.value().1, parse(value.value())?))
        }))
    }

    /// Inserts a message behind all others.
    fn append(&mut self, queue: &QueueName, message: &Message) -> Result<(), ApiError> {
        let mut range = self.table.range(all_of(queue)).map_err(ApiError::store)?;
        let last = range.next_back().transpose().map_err(ApiError::store)?;
        let number = last.map_or(0, |(key, _)| key.value().1.saturating_add(1));
        drop(range);
        self.insert(queue, number, message)
    }

    fn insert(
        &mut self,
        queue: &QueueName,
        number: Number,
        message: &Message,
    ) -> Result<(), ApiError> {
        let value = serde_json::json!(message).to_string();
        self.changed = true;
        self.table
            .insert((queue.as_str(), number), value.as_bytes())
            .map(drop)
            .map_err(ApiError::store)
    }

    fn remove(&mut self, queue: &QueueName, number: Number) -> Result<(), ApiError> {
        self.changed = true;
        self.table
            .remove((queue.as_str(), number))
            .map(drop)
            .map_err(ApiError::store)
    }
}

fn is_expired(message: &Message, now: Moment) -> bool {
    message.sent_at.plus_seconds(RETENTION_SECONDS) <= now
}

fn all_of(queue: &QueueName) -> RangeInclusive<(&str, Number)> {
    (queue.as_str(), 0)..=(queue.as_str(), Number::MAX)
}

fn parse(bytes: &[u8]) -> Result<Message, ApiError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::store(redb::Error::Corrupted(error.to_string())))
}

#[cfg(test)]
mod tests;
