//! A message and its receipt handle.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use s3s::crypto::{Checksum as _, Md5};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::{ApiError, Code};

/// Upper bound on the bytes of a message body (SQS's default).
const MAX_BODY: usize = 256 * 1024;

/// A point in time, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Moment(pub(super) u64);

impl Moment {
    pub(super) fn now() -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(now.as_millis().try_into().unwrap_or(u64::MAX))
    }

    pub(super) fn plus_seconds(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(u64::from(seconds) * 1000))
    }
}

/// Position of a message in its queue. Later messages have larger numbers.
pub(super) type Number = u64;

/// A stored message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Message {
    pub(super) id: Uuid,
    pub(super) content: Content,
    pub(super) sent_at: Moment,
    /// Hidden from receivers until then.
    pub(super) visible_from: Moment,
    /// Number of receives so far.
    pub(super) receives: u32,
}

/// The part of a message that the sender gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) body: String,
}

impl Content {
    /// Checks the length and characters of a body (SQS API reference, `SendMessage`).
    pub(super) fn new(body: String) -> Result<Self, ApiError> {
        if body.is_empty() {
            return Err(ApiError::parameter("MessageBody", "it must not be empty"));
        }
        if body.len() > MAX_BODY {
            let reason = format!("at most {MAX_BODY} bytes are allowed");
            return Err(ApiError::parameter("MessageBody", &reason));
        }
        if body.contains(is_forbidden) {
            return Err(ApiError::new(
                Code::InvalidMessageContents,
                "the message has characters that XML 1.0 excludes",
            ));
        }
        Ok(Self { body })
    }

    /// Digest that SDKs compare with the body that they sent or received.
    pub(super) fn md5(&self) -> String {
        hex::encode(Md5::checksum(self.body.as_bytes()))
    }
}

/// `true` if XML 1.0, and therefore SQS, excludes the character.
fn is_forbidden(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}'
    )
}

/// A receipt handle: names a message and one of its receives. It needn't be secret, since every
/// request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) number: Number,
    pub(super) id: Uuid,
    pub(super) receive: u32,
}

impl Receipt {
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        let parse = || {
            let mut parts = text.splitn(3, '.');
            Some(Self {
                number: parts.next()?.parse().ok()?,
                receive: parts.next()?.parse().ok()?,
                id: parts.next()?.parse().ok()?,
            })
        };
        parse().ok_or_else(|| {
            let message = "the receipt handle was not issued by this server";
            ApiError::new(Code::ReceiptHandleIsInvalid, message)
        })
    }

    /// `true` if the message wasn't received again after this receive.
    pub(super) fn is_current(self, message: &Message) -> bool {
        message.id == self.id && message.receives == self.receive
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.number, self.receive, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_round_trip_and_invalid_ones_are_refused() {
        let receipt = Receipt {
            number: 7,
            id: Uuid::from_u128(1),
            receive: 3,
        };
        assert_eq!(Receipt::parse(&receipt.to_string()), Ok(receipt));
        for text in [
            "",
            "7",
            "7.3",
            "7.3.x",
            "-7.3.00000000-0000-0000-0000-000000000001",
        ] {
            assert_eq!(
                Receipt::parse(text).unwrap_err().code,
                Code::ReceiptHandleIsInvalid
            );
        }
    }

    #[test]
    fn bodies_that_xml_excludes_are_refused() {
        for body in ["a\u{0}", "\u{b}", "\u{1f}", "\u{ffff}"] {
            let error = Content::new(body.to_owned()).unwrap_err();
            assert_eq!(error.code, Code::InvalidMessageContents, "{body:?}");
        }
        for body in ["\t\n\r ~", "\u{e000}\u{fffd}\u{10ffff}"] {
            assert!(Content::new(body.to_owned()).is_ok());
        }
    }

    #[test]
    fn messages_of_older_versions_are_read() {
        let stored = r#"{"id":"00000000-0000-0000-0000-000000000001","content":{"body":"a",
            "attributes":{"n":{"DataType":"String","StringValue":"v"}}},"sent_at":1,
            "visible_from":2,"receives":3,"deduplication_id":"d"}"#;
        let message: Message = serde_json::from_str(stored).unwrap();
        assert_eq!((message.content.body.as_str(), message.receives), ("a", 3));
    }
}
