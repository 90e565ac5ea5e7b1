//! Names of queues.

use std::fmt;
use std::str::FromStr;

/// A queue's name: 1 to 80 ASCII letters, digits, hyphens and underscores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueName(String);

/// A text that isn't a valid queue name.
#[derive(Debug, thiserror::Error)]
#[error("a queue's name has 1 to 80 letters, digits, hyphens and underscores")]
pub struct InvalidQueueName;

impl QueueName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of this queue's dead-letter queue.
    pub(super) fn dead_letters(&self) -> Result<Self, InvalidQueueName> {
        format!("{self}-dead").parse()
    }
}

impl FromStr for QueueName {
    type Err = InvalidQueueName;

    fn from_str(text: &str) -> Result<Self, InvalidQueueName> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        match (1..=80).contains(&text.len()) && text.bytes().all(is_allowed) {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidQueueName),
        }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
