//! The messages of one queue, in the order in which they may be received. No clock and no disk: the
//! caller says what time it is and keeps what changed.

use std::collections::{BTreeMap, BTreeSet};

use super::attributes::Counts;
use super::fault::{Code, Fault};
use super::message::{Message, Moment, Number, Receipt};

#[derive(Debug)]
pub(super) struct Messages {
    /// Whether the oldest holds back the others, also while it is hidden.
    in_order: bool,
    all: BTreeMap<Number, Message>,
    /// The same by when they may be received.
    by_time: BTreeSet<(Moment, Number)>,
}

impl Messages {
    pub(super) fn new(in_order: bool) -> Self {
        Self {
            in_order,
            all: BTreeMap::new(),
            by_time: BTreeSet::new(),
        }
    }

    pub(super) fn insert(&mut self, number: Number, message: Message) {
        self.by_time.insert((message.visible_from, number));
        self.all.insert(number, message);
    }

    pub(super) fn remove(&mut self, number: Number) -> Option<Message> {
        let message = self.all.remove(&number)?;
        self.by_time.remove(&(message.visible_from, number));
        Some(message)
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.by_time.clear();
    }

    /// The message that is next to be received, if there is one by `now`.
    pub(super) fn next(&self, now: Moment) -> Option<(Number, &Message)> {
        let (from, number) = self.first()?;
        let message = self.all.get(&number).filter(|_| from <= now)?;
        Some((number, message))
    }

    /// When the next message will be visible.
    pub(super) fn next_visible_from(&self) -> Option<Moment> {
        self.first().map(|(from, _)| from)
    }

    /// The oldest message.
    pub(super) fn oldest(&self) -> Option<(Number, &Message)> {
        self.all
            .first_key_value()
            .map(|(number, message)| (*number, message))
    }

    /// Counts a receive and hides the message until `until`.
    pub(super) fn receive(&mut self, number: Number, until: Moment) -> Option<&Message> {
        let message = self.all.get_mut(&number)?;
        message.receives = message.receives.saturating_add(1);
        Self::show_from(&mut self.by_time, number, message, until);
        Some(message)
    }

    /// Deletes what the receipt stands for. A receipt that a later receive has outdated deletes
    /// nothing, and isn't refused, as SQS documents (developer guide, "`DeleteMessage`").
    pub(super) fn delete(&mut self, receipt: Receipt) -> Option<Number> {
        let message = self.all.get(&receipt.number)?;
        if message.id != receipt.id || message.receives != receipt.receive {
            return None;
        }
        self.remove(receipt.number).map(|_| receipt.number)
    }

    /// Hides a message that is in flight until `until` instead.
    pub(super) fn change_visibility(
        &mut self,
        receipt: Receipt,
        until: Moment,
        now: Moment,
    ) -> Result<&Message, Fault> {
        let message = self
            .all
            .get_mut(&receipt.number)
            .filter(|message| message.id == receipt.id && message.receives == receipt.receive)
            .ok_or_else(|| {
                Fault::value(
                    "ReceiptHandle",
                    "the message does not exist or was received again",
                )
            })?;
        if message.visible_from <= now {
            return Err(Fault::new(
                Code::MessageNotInflight,
                "the message is visible already",
            ));
        }
        Self::show_from(&mut self.by_time, receipt.number, message, until);
        Ok(message)
    }

    pub(super) fn counts(&self) -> Counts {
        let received = self
            .all
            .values()
            .filter(|message| message.receives > 0)
            .count();
        Counts {
            received,
            never_received: self.all.len() - received,
        }
    }

    /// The message whose turn it is, and when it may be received.
    fn first(&self) -> Option<(Moment, Number)> {
        match self.in_order {
            true => self
                .oldest()
                .map(|(number, message)| (message.visible_from, number)),
            false => self.by_time.first().copied(),
        }
    }

    fn show_from(
        by_time: &mut BTreeSet<(Moment, Number)>,
        number: Number,
        message: &mut Message,
        from: Moment,
    ) {
        by_time.remove(&(message.visible_from, number));
        message.visible_from = from;
        by_time.insert((from, number));
    }
}
