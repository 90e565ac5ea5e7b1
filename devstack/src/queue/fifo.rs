//! What queues have whose messages come in order, as Scaleway has them: names that end with `.fifo`, one
//! message in flight at a time, and no message twice within five minutes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::attributes::{Attributes, QueueName};
use super::fault::Fault;
use super::message::{Content, Moment, Number};
use crate::hexadecimal::hex;

/// What the names of such queues end with.
pub(super) const SUFFIX: &str = ".fifo";

/// Amazon's deduplication interval.
const INTERVAL_SECONDS: u32 = 5 * 60;

/// By what a message is known that is sent again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct DeduplicationId(String);

impl DeduplicationId {
    /// What a message is known by: what its sender gave, or its body; nothing in a queue that isn't FIFO.
    pub(super) fn of(
        queue: &QueueName,
        attributes: &Attributes,
        given: Option<Self>,
        content: &Content,
    ) -> Result<Option<Self>, Fault> {
        let refused = |reason| Err(Fault::value("MessageDeduplicationId", reason));
        match (queue.is_fifo(), given) {
            (false, None) => Ok(None),
            (false, Some(_)) => refused("the queue is no FIFO queue"),
            (true, Some(id)) => Ok(Some(id)),
            (true, None) if attributes.content_based_deduplication => {
                Ok(Some(Self(hex(&Sha256::digest(content.body.as_bytes())))))
            }
            (true, None) => refused("a FIFO queue needs it, or ContentBasedDeduplication"),
        }
    }

    /// The sender's own.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte.is_ascii_punctuation();
        match (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
            true => Ok(Self(text.to_owned())),
            false => Err(Fault::value(
                "MessageDeduplicationId",
                "it has 1 to 128 letters, digits and punctuation marks",
            )),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A message that was accepted, whatever became of it since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sent {
    pub(super) id: Uuid,
    pub(super) number: Number,
    pub(super) at: Moment,
}

impl Sent {
    /// As clients compare it: as a text, later ones are larger.
    pub(super) fn sequence_number(number: Number) -> String {
        format!("{number:020}")
    }
}

/// The messages of the last minutes, deleted ones among them.
#[derive(Debug, Default)]
pub(super) struct Memory(BTreeMap<DeduplicationId, Sent>);

impl Memory {
    pub(super) fn find(&self, id: &DeduplicationId, now: Moment) -> Option<Sent> {
        let sent = self.0.get(id)?;
        (!is_over(sent, now)).then_some(*sent)
    }

    pub(super) fn insert(&mut self, id: DeduplicationId, sent: Sent) {
        self.0.insert(id, sent);
    }

    /// Forgets those that may be sent again, and says which.
    pub(super) fn forget(&mut self, now: Moment) -> Vec<DeduplicationId> {
        let over = self.0.extract_if(.., |_, sent| is_over(sent, now));
        over.map(|(id, _)| id).collect()
    }
}

fn is_over(sent: &Sent, now: Moment) -> bool {
    sent.at.plus_seconds(INTERVAL_SECONDS) <= now
}
