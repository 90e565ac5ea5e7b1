//! A queue's name and settings, as SQS writes them: texts by name.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::fault::{Code, Fault};
use super::fifo::SUFFIX;
use super::message::Moment;

/// A queue's name: 1 to 80 ASCII letters, digits, hyphens and underscores, at the end of which `.fifo` may
/// stand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueName(String);

/// A text that cannot be a queue's name.
#[derive(Debug, thiserror::Error)]
#[error(
    "a queue's name has 1 to 80 letters, digits, hyphens and underscores, perhaps with .fifo at its end"
)]
pub struct InvalidQueueName;

impl QueueName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that a queue's URL ends with.
    pub(super) fn from_url(url: &str) -> Result<Self, Fault> {
        let (_, name) = url.rsplit_once('/').unwrap_or(("", url));
        name.parse().map_err(|InvalidQueueName| {
            Fault::value("QueueUrl", "it doesn't end with a queue's name")
        })
    }

    /// The name of the queue that takes this one's dead letters.
    pub(super) fn dead_letters(&self) -> Result<Self, InvalidQueueName> {
        match self.0.strip_suffix(SUFFIX) {
            Some(name) => format!("{name}-dead{SUFFIX}").parse(),
            None => format!("{self}-dead").parse(),
        }
    }

    /// Whether its messages come in order.
    pub(super) fn is_fifo(&self) -> bool {
        self.0.ends_with(SUFFIX)
    }

    /// The queue's name in a redrive policy, as Scaleway writes it.
    fn arn(&self) -> String {
        format!("arn:scw:sqs:fr-par:000000000000:{self}")
    }
}

impl FromStr for QueueName {
    type Err = InvalidQueueName;

    fn from_str(text: &str) -> Result<Self, InvalidQueueName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let name = text.strip_suffix(SUFFIX).unwrap_or(text);
        if !name.is_empty() && text.len() <= 80 && name.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidQueueName)
        }
    }
}

impl std::fmt::Display for QueueName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a queue is set to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attributes {
    /// How long a received message is hidden.
    pub(super) visibility_seconds: u32,
    /// How long a message that nobody deletes is kept.
    pub(super) retention_seconds: u32,
    /// Bytes of body and attributes.
    pub(super) max_message_size: u32,
    /// How long a receive that doesn't say waits for a message.
    pub(super) wait_seconds: u32,
    pub(super) redrive: Option<Redrive>,
    /// In a FIFO queue: whether a message that doesn't say is known by its body.
    #[serde(default)]
    pub(super) content_based_deduplication: bool,
}

/// Where messages go that were received too often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Redrive {
    pub(super) dead_letters: QueueName,
    /// A message that was received this often is not received again.
    pub(super) max_receives: u32,
}

/// SQS's defaults.
impl Default for Attributes {
    fn default() -> Self {
        Self {
            visibility_seconds: 30,
            retention_seconds: 4 * 24 * 60 * 60,
            max_message_size: 256 * 1024,
            wait_seconds: 0,
            redrive: None,
            content_based_deduplication: false,
        }
    }
}

impl Attributes {
    /// These, with what `texts` sets for the queue of that name.
    pub(super) fn with(
        mut self,
        queue: &QueueName,
        texts: &BTreeMap<String, String>,
    ) -> Result<Self, Fault> {
        for (name, text) in texts {
            match name.as_str() {
                "VisibilityTimeout" => self.visibility_seconds = number(name, text, 0, 43_200)?,
                "MessageRetentionPeriod" => {
                    self.retention_seconds = number(name, text, 60, 1_209_600)?;
                }
                "MaximumMessageSize" => self.max_message_size = number(name, text, 1024, 262_144)?,
                "ReceiveMessageWaitTimeSeconds" => self.wait_seconds = number(name, text, 0, 20)?,
                "RedrivePolicy" if text.is_empty() => self.redrive = None,
                "RedrivePolicy" => self.redrive = Some(Redrive::parse(text)?),
                // That it is one, its name says.
                "FifoQueue" if queue.is_fifo() && text == "true" => {}
                "FifoQueue" => {
                    return Err(Fault::value(
                        name,
                        "it is true for queues whose name ends with .fifo, and not set for others",
                    ));
                }
                "ContentBasedDeduplication" if queue.is_fifo() => {
                    self.content_based_deduplication = text.parse().map_err(|_| {
                        let reason = format!("{name} must be true or false");
                        Fault::new(Code::InvalidAttributeValue, reason)
                    })?;
                }
                other if NOT_AT_SCALEWAY.contains(&other) => return Err(Fault::unsupported(other)),
                other => return Err(unknown(other)),
            }
        }
        Ok(self)
    }

    /// The attributes that were asked for, or all.
    pub(super) fn texts(
        &self,
        name: &QueueName,
        created: Moment,
        counts: Counts,
        asked: &[String],
    ) -> Result<BTreeMap<&'static str, String>, Fault> {
        let mut all = BTreeMap::from([
            (
                "ApproximateNumberOfMessages",
                counts.never_received.to_string(),
            ),
            (
                "ApproximateNumberOfMessagesNotVisible",
                counts.received.to_string(),
            ),
            ("CreatedTimestamp", (created.0 / 1000).to_string()),
            ("MaximumMessageSize", self.max_message_size.to_string()),
            ("MessageRetentionPeriod", self.retention_seconds.to_string()),
            ("QueueArn", name.arn()),
            (
                "ReceiveMessageWaitTimeSeconds",
                self.wait_seconds.to_string(),
            ),
            ("VisibilityTimeout", self.visibility_seconds.to_string()),
        ]);
        if let Some(redrive) = &self.redrive {
            all.insert("RedrivePolicy", redrive.text());
        }
        if name.is_fifo() {
            let by_content = self.content_based_deduplication.to_string();
            all.insert("ContentBasedDeduplication", by_content);
            all.insert("FifoQueue", true.to_string());
        }
        if asked.iter().any(|name| name == "All") {
            return Ok(all);
        }
        for name in asked {
            match name.as_str() {
                // It may be unset.
                "RedrivePolicy" => {}
                other if NOT_AT_SCALEWAY.contains(&other) => return Err(Fault::unsupported(other)),
                other if all.contains_key(other) => {}
                other => return Err(unknown(other)),
            }
        }
        all.retain(|name, _| asked.iter().any(|asked| asked == name));
        Ok(all)
    }
}

/// How many messages a queue has, counted as Scaleway does: once received, a message counts as not
/// visible until it is deleted, even when it is visible again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) never_received: usize,
    pub(super) received: usize,
}

const NOT_AT_SCALEWAY: [&str; 10] = [
    "ApproximateNumberOfMessagesDelayed",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoThroughputLimit",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "LastModifiedTimestamp",
    "Policy",
    "RedriveAllowPolicy",
    "SqsManagedSseEnabled",
];

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedrivePolicy {
    dead_letter_target_arn: String,
    max_receive_count: serde_json::Value,
}

impl Redrive {
    fn parse(text: &str) -> Result<Self, Fault> {
        let invalid = |reason: &str| {
            Fault::new(
                Code::InvalidAttributeValue,
                format!("RedrivePolicy: {reason}"),
            )
        };
        let policy: RedrivePolicy =
            serde_json::from_str(text).map_err(|error| invalid(&error.to_string()))?;
        let (_, name) = policy
            .dead_letter_target_arn
            .rsplit_once(':')
            .ok_or_else(|| invalid("deadLetterTargetArn is no ARN"))?;
        // Clients write the number as a text as well.
        let max_receives = match &policy.max_receive_count {
            serde_json::Value::String(text) => text.parse().ok(),
            value => value.as_u64().and_then(|number| number.try_into().ok()),
        };
        Ok(Self {
            dead_letters: name.parse().map_err(|error| invalid(&format!("{error}")))?,
            max_receives: max_receives
                .filter(|number| (1..=1000).contains(number))
                .ok_or_else(|| invalid("maxReceiveCount must be 1 to 1000"))?,
        })
    }

    fn text(&self) -> String {
        serde_json::json!(RedrivePolicy {
            dead_letter_target_arn: self.dead_letters.arn(),
            max_receive_count: self.max_receives.into(),
        })
        .to_string()
    }
}

fn number(name: &str, text: &str, least: u32, most: u32) -> Result<u32, Fault> {
    text.parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| {
            Fault::new(
                Code::InvalidAttributeValue,
                format!("{name} must be a number, {least} to {most}"),
            )
        })
}

fn unknown(name: &str) -> Fault {
    Fault::new(
        Code::InvalidAttributeName,
        format!("there is no attribute {name}"),
    )
}
