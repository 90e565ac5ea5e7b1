//! All queues of a server: what each operation does to them, and what has to be written down for
//! it.
//!
//! No clock and no disk. Every operation leaves its [`Change`]s behind, and those, applied in order
//! to what is on disk, give the same state again.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::attributes::{Attributes, Counts, QueueName};
use super::fault::{Code, Fault};
use super::fifo::{DeduplicationId, Memory, Sent};
use super::message::{Content, Message, Moment, Number, Receipt};
use super::messages::Messages;

/// What has to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Queue(QueueName, Kept),
    NoQueue(QueueName),
    Message(QueueName, Number, Message),
    NoMessage(QueueName, Number),
    NoMessages(QueueName),
    Sent(QueueName, DeduplicationId, Sent),
    NoSent(QueueName, DeduplicationId),
}

/// What is written down of a queue, besides its messages.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Kept {
    pub(super) attributes: Attributes,
    pub(super) created: Moment,
}

#[derive(Debug, Default)]
pub(super) struct Queues {
    queues: BTreeMap<QueueName, Queue>,
    /// Given to the next message.
    next: Number,
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Queue {
    kept: Kept,
    messages: Messages,
    /// Of a FIFO queue.
    memory: Memory,
}

impl Queues {
    /// Puts back what was written down.
    pub(super) fn restore(
        queues: impl IntoIterator<Item = (QueueName, Kept)>,
        messages: impl IntoIterator<Item = (QueueName, Number, Message)>,
        sent: impl IntoIterator<Item = (QueueName, DeduplicationId, Sent)>,
    ) -> Self {
        let mut restored = Self::default();
        for (name, kept) in queues {
            restored.insert(name, kept);
        }
        for (name, number, message) in messages {
            restored.next = restored.next.max(number.saturating_add(1));
            // The messages of a queue go with it in one transaction, so each has its queue.
            if let Some(queue) = restored.queues.get_mut(&name) {
                queue.messages.insert(number, message);
            }
        }
        for (name, id, sent) in sent {
            restored.next = restored.next.max(sent.number.saturating_add(1));
            if let Some(queue) = restored.queues.get_mut(&name) {
                queue.memory.insert(id, sent);
            }
        }
        restored
    }

    /// What has to be written down since the last call.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Makes a queue. One with the same attributes may be there already.
    pub(super) fn create(
        &mut self,
        name: QueueName,
        attributes: Attributes,
        now: Moment,
    ) -> Result<(), Fault> {
        if let Some(queue) = self.queues.get(&name) {
            return match queue.kept.attributes == attributes {
                true => Ok(()),
                false => Err(Fault::new(
                    Code::QueueNameExists,
                    "there is a queue of that name, with other attributes",
                )),
            };
        }
        self.check_redrive(&name, &attributes)?;
        let kept = Kept {
            attributes,
            created: now,
        };
        self.changes.push(Change::Queue(name.clone(), kept.clone()));
        self.insert(name, kept);
        Ok(())
    }

    /// Makes a queue, or takes the one that is there, and sets its attributes.
    pub(super) fn ensure(
        &mut self,
        name: QueueName,
        set: impl FnOnce(&mut Attributes),
        now: Moment,
    ) {
        let mut kept = match self.queues.get(&name) {
            Some(queue) => queue.kept.clone(),
            None => Kept {
                attributes: Attributes::default(),
                created: now,
            },
        };
        set(&mut kept.attributes);
        self.changes.push(Change::Queue(name.clone(), kept.clone()));
        match self.queues.get_mut(&name) {
            Some(queue) => queue.kept = kept,
            None => self.insert(name, kept),
        }
    }

    pub(super) fn set_attributes(
        &mut self,
        name: &QueueName,
        texts: &BTreeMap<String, String>,
    ) -> Result<(), Fault> {
        let attributes = self.queue(name)?.kept.attributes.clone();
        let attributes = attributes.with(name, texts)?;
        self.check_redrive(name, &attributes)?;
        let queue = self.queue_mut(name)?;
        queue.kept.attributes = attributes;
        let kept = queue.kept.clone();
        self.changes.push(Change::Queue(name.clone(), kept));
        Ok(())
    }

    pub(super) fn delete_queue(&mut self, name: &QueueName) -> Result<(), Fault> {
        self.queues.remove(name).ok_or_else(no_queue)?;
        self.changes.push(Change::NoQueue(name.clone()));
        Ok(())
    }

    /// Names that begin with `prefix`, in order.
    pub(super) fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a QueueName> {
        self.queues
            .keys()
            .filter(move |name| name.as_str().starts_with(prefix))
    }

    /// What is kept of a queue, and how many messages it has.
    pub(super) fn describe(
        &mut self,
        name: &QueueName,
        now: Moment,
    ) -> Result<(&Kept, Counts), Fault> {
        self.expire(name, now)?;
        let queue = self.queue(name)?;
        Ok((&queue.kept, queue.messages.counts()))
    }

    /// Accepts a message. In a FIFO queue, one of the last five minutes is not taken again: what is given
    /// back is the first.
    pub(super) fn send(
        &mut self,
        name: &QueueName,
        id: Uuid,
        content: Content,
        deduplication_id: Option<DeduplicationId>,
        now: Moment,
    ) -> Result<Sent, Fault> {
        let queue = self.queue(name)?;
        let attributes = &queue.kept.attributes;
        let deduplication_id = DeduplicationId::of(name, attributes, deduplication_id, &content)?;
        let known = deduplication_id.as_ref();
        if let Some(sent) = known.and_then(|id| queue.memory.find(id, now)) {
            return Ok(sent);
        }
        let limit = attributes.max_message_size;
        if content.size() > limit as usize {
            return Err(Fault::value(
                "MessageBody",
                &format!("with its attributes the message is larger than {limit} bytes"),
            ));
        }
        let message = Message {
            id,
            content,
            sent_at: now,
            visible_from: now,
            receives: 0,
            deduplication_id: deduplication_id.clone(),
        };
        let number = self.put(name, message)?;
        let sent = Sent {
            id,
            number,
            at: now,
        };
        if let Some(id) = deduplication_id {
            self.remember(name, id, sent)?;
        }
        Ok(sent)
    }

    /// Takes up to `most` messages, and hides them. Those that were received too often go to the
    /// dead-letter queue instead.
    pub(super) fn receive(
        &mut self,
        name: &QueueName,
        most: usize,
        now: Moment,
    ) -> Result<Vec<(Receipt, Message)>, Fault> {
        self.expire(name, now)?;
        // As Scaleway keeps them in order.
        let most = if name.is_fifo() { most.min(1) } else { most };
        let mut received = Vec::new();
        while received.len() < most {
            let queue = self.queue_mut(name)?;
            let Some((number, message)) = queue.messages.next(now) else {
                break;
            };
            let receives = message.receives;
            let dead_letters = queue
                .kept
                .attributes
                .redrive
                .as_ref()
                .filter(|redrive| receives >= redrive.max_receives)
                .map(|redrive| redrive.dead_letters.clone())
                // One that is gone can take nothing, so the message stays.
                .filter(|dead_letters| self.queues.contains_key(dead_letters));
            match dead_letters {
                Some(dead_letters) => self.bury(name, number, &dead_letters, now)?,
                None => received.extend(self.hand_out(name, number, now)?),
            }
        }
        Ok(received)
    }

    /// When a message of the queue will be visible next, if nothing changes.
    pub(super) fn next_visible_from(&self, name: &QueueName) -> Option<Moment> {
        self.queues.get(name)?.messages.next_visible_from()
    }

    pub(super) fn delete(&mut self, name: &QueueName, receipt: Receipt) -> Result<(), Fault> {
        if let Some(number) = self.queue_mut(name)?.messages.delete(receipt) {
            self.changes.push(Change::NoMessage(name.clone(), number));
        }
        Ok(())
    }

    /// Hides a message in flight for `seconds` from now: 0, or the queue's own timeout.
    pub(super) fn change_visibility(
        &mut self,
        name: &QueueName,
        receipt: Receipt,
        seconds: u32,
        now: Moment,
    ) -> Result<(), Fault> {
        let queue = self.queue_mut(name)?;
        let own = queue.kept.attributes.visibility_seconds;
        if seconds != 0 && seconds != own {
            return Err(Fault::value(
                "VisibilityTimeout",
                &format!("Scaleway Queues allows 0 and the queue's own, {own}"),
            ));
        }
        let until = now.plus_seconds(seconds);
        let message = queue.messages.change_visibility(receipt, until, now)?;
        let change = Change::Message(name.clone(), receipt.number, message.clone());
        self.changes.push(change);
        Ok(())
    }

    pub(super) fn purge(&mut self, name: &QueueName) -> Result<(), Fault> {
        self.queue_mut(name)?.messages.clear();
        self.changes.push(Change::NoMessages(name.clone()));
        Ok(())
    }

    fn hand_out(
        &mut self,
        name: &QueueName,
        number: Number,
        now: Moment,
    ) -> Result<Option<(Receipt, Message)>, Fault> {
        let queue = self.queue_mut(name)?;
        let until = now.plus_seconds(queue.kept.attributes.visibility_seconds);
        let Some(message) = queue.messages.receive(number, until).cloned() else {
            return Ok(None);
        };
        self.changes
            .push(Change::Message(name.clone(), number, message.clone()));
        let receipt = Receipt {
            number,
            id: message.id,
            receive: message.receives,
        };
        Ok(Some((receipt, message)))
    }

    fn bury(
        &mut self,
        name: &QueueName,
        number: Number,
        dead_letters: &QueueName,
        now: Moment,
    ) -> Result<(), Fault> {
        let Some(mut message) = self.queue_mut(name)?.messages.remove(number) else {
            return Ok(());
        };
        self.changes.push(Change::NoMessage(name.clone(), number));
        message.receives = 0;
        message.visible_from = now;
        self.put(dead_letters, message).map(|_| ())
    }

    /// So that it is known when it is sent again.
    fn remember(&mut self, name: &QueueName, id: DeduplicationId, sent: Sent) -> Result<(), Fault> {
        let memory = &mut self.queue_mut(name)?.memory;
        let forgotten = memory.forget(sent.at).into_iter();
        memory.insert(id.clone(), sent);
        let forgotten = forgotten.map(|id| Change::NoSent(name.clone(), id));
        self.changes.extend(forgotten);
        self.changes.push(Change::Sent(name.clone(), id, sent));
        Ok(())
    }

    /// Drops what is older than the queue keeps messages.
    fn expire(&mut self, name: &QueueName, now: Moment) -> Result<(), Fault> {
        let queue = self.queues.get_mut(name).ok_or_else(no_queue)?;
        let retention = queue.kept.attributes.retention_seconds;
        while let Some((number, message)) = queue.messages.oldest()
            && message.sent_at.plus_seconds(retention) <= now
        {
            queue.messages.remove(number);
            self.changes.push(Change::NoMessage(name.clone(), number));
        }
        Ok(())
    }

    fn put(&mut self, name: &QueueName, message: Message) -> Result<Number, Fault> {
        let number = self.next;
        let change = Change::Message(name.clone(), number, message.clone());
        self.queue_mut(name)?.messages.insert(number, message);
        self.next += 1;
        self.changes.push(change);
        Ok(number)
    }

    fn insert(&mut self, name: QueueName, kept: Kept) {
        let queue = Queue {
            kept,
            messages: Messages::new(name.is_fifo()),
            memory: Memory::default(),
        };
        self.queues.insert(name, queue);
    }

    fn check_redrive(&self, name: &QueueName, attributes: &Attributes) -> Result<(), Fault> {
        match &attributes.redrive {
            Some(redrive) if redrive.dead_letters.is_fifo() != name.is_fifo() => Err(Fault::new(
                Code::InvalidAttributeValue,
                "RedrivePolicy: the dead-letter queue of a FIFO queue is one, and no other's is",
            )),
            Some(redrive) if !self.queues.contains_key(&redrive.dead_letters) => Err(Fault::new(
                Code::InvalidAttributeValue,
                "RedrivePolicy: the dead-letter queue does not exist",
            )),
            _ => Ok(()),
        }
    }

    fn queue(&self, name: &QueueName) -> Result<&Queue, Fault> {
        self.queues.get(name).ok_or_else(no_queue)
    }

    fn queue_mut(&mut self, name: &QueueName) -> Result<&mut Queue, Fault> {
        self.queues.get_mut(name).ok_or_else(no_queue)
    }
}

fn no_queue() -> Fault {
    Fault::new(Code::QueueDoesNotExist, "there is no such queue")
}

#[cfg(test)]
mod tests;
