//! One message, as it is kept: what was sent, and what became of it since.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fault::{Code, Fault};
use super::fifo::DeduplicationId;
use crate::hexadecimal::hex;

/// A point in time, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Moment(pub(super) u64);

impl Moment {
    /// By the machine's clock.
    pub(super) fn now() -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(now.as_millis().try_into().unwrap_or(u64::MAX))
    }

    pub(super) fn plus(self, duration: Duration) -> Self {
        let milliseconds = duration.as_millis().try_into().unwrap_or(u64::MAX);
        Self(self.0.saturating_add(milliseconds))
    }

    pub(super) fn plus_seconds(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(u64::from(seconds) * 1000))
    }
}

/// The place of a message among all that this server has. Larger means later.
pub(super) type Number = u64;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Message {
    pub(super) id: Uuid,
    pub(super) content: Content,
    pub(super) sent_at: Moment,
    /// From when on it may be received (again).
    pub(super) visible_from: Moment,
    /// How often it was received.
    pub(super) receives: u32,
    /// In a FIFO queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deduplication_id: Option<DeduplicationId>,
}

/// What the sender gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) body: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attributes: BTreeMap<String, MessageAttribute>,
}

/// A message attribute, in the JSON protocol's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MessageAttribute {
    pub(super) data_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) string_value: Option<String>,
    /// In base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) binary_value: Option<String>,
}

impl Content {
    /// Checks what a sender gave: the characters and attributes that SQS allows (API reference,
    /// "`SendMessage`").
    pub(super) fn new(
        body: String,
        attributes: BTreeMap<String, MessageAttribute>,
    ) -> Result<Self, Fault> {
        if body.is_empty() {
            return Err(Fault::value("MessageBody", "it must not be empty"));
        }
        if body.contains(is_forbidden) {
            return Err(Fault::new(
                Code::InvalidMessageContents,
                "the message has characters that XML cannot hold",
            ));
        }
        if attributes.len() > 10 {
            return Err(Fault::value("MessageAttributes", "ten at most"));
        }
        for (name, attribute) in &attributes {
            attribute
                .bytes()
                .map_err(|reason| Fault::value(&format!("MessageAttributes.{name}"), reason))?;
        }
        Ok(Self { body, attributes })
    }

    /// Bytes that count against a queue's limit: the body, and each attribute's name, type and
    /// value.
    pub(super) fn size(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, attribute)| {
            let value = attribute.bytes().map_or(0, |(_, value)| value.len());
            name.len() + attribute.data_type.len() + value
        });
        self.body.len() + attributes.sum::<usize>()
    }

    pub(super) fn md5_of_body(&self) -> String {
        hex(&Md5::digest(self.body.as_bytes()))
    }
}

impl MessageAttribute {
    /// The value's kind, as the digest numbers it (1: text, 2: bytes), and the value.
    fn bytes(&self) -> Result<(u8, Vec<u8>), &'static str> {
        let kind = self.data_type.split('.').next().unwrap_or_default();
        match (kind, &self.string_value, &self.binary_value) {
            ("String" | "Number", Some(text), None) if !text.is_empty() => {
                Ok((1, text.as_bytes().to_vec()))
            }
            ("Binary", None, Some(text)) if !text.is_empty() => match BASE64.decode(text) {
                Ok(bytes) => Ok((2, bytes)),
                Err(_) => Err("the binary value is not in base64"),
            },
            ("String" | "Number" | "Binary", ..) => {
                Err("one value is needed, not empty, and of the kind that the type names")
            }
            _ => Err("the type must begin with String, Number or Binary"),
        }
    }
}

/// Not among the characters that SQS takes: those of XML 1.0.
fn is_forbidden(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}'
    )
}

/// The digest of attributes that clients may check (SQS developer guide, "Calculating the MD5
/// message digest for message attributes"); `None` for no attributes.
pub(super) fn md5_of_attributes<'a>(
    attributes: impl Iterator<Item = (&'a String, &'a MessageAttribute)>,
) -> Option<String> {
    let mut digest = Md5::new();
    let add = |bytes: &[u8], digest: &mut Md5| {
        // The limit on messages keeps lengths far below 4 GiB.
        digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        digest.update(bytes);
    };
    let mut any = false;
    for (name, attribute) in attributes {
        let Ok((kind, value)) = attribute.bytes() else {
            continue;
        };
        any = true;
        add(name.as_bytes(), &mut digest);
        add(attribute.data_type.as_bytes(), &mut digest);
        digest.update([kind]);
        add(&value, &mut digest);
    }
    any.then(|| hex(&digest.finalize()))
}

/// A receipt handle: which message, and which of its receives. It is no secret, since every request
/// is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) number: Number,
    pub(super) id: Uuid,
    pub(super) receive: u32,
}

impl Receipt {
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let parse = || {
            let mut parts = text.splitn(3, '.');
            Some(Self {
                number: parts.next()?.parse().ok()?,
                receive: parts.next()?.parse().ok()?,
                id: parts.next()?.parse().ok()?,
            })
        };
        parse().ok_or_else(|| {
            Fault::new(
                Code::ReceiptHandleIsInvalid,
                "this is no receipt handle of this server's",
            )
        })
    }
}

impl std::fmt::Display for Receipt {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}.{}", self.number, self.receive, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> MessageAttribute {
        MessageAttribute {
            data_type: "String".to_owned(),
            string_value: Some(value.to_owned()),
            binary_value: None,
        }
    }

    #[test]
    fn a_receipt_reads_back_and_others_are_refused() {
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
    fn bodies_that_xml_cannot_hold_are_refused() {
        for body in ["a\u{0}", "\u{b}", "\u{1f}", "\u{ffff}"] {
            let refused = Content::new(body.to_owned(), BTreeMap::new()).unwrap_err();
            assert_eq!(refused.code, Code::InvalidMessageContents, "{body:?}");
        }
        for body in ["\t\n\r ~", "\u{e000}\u{fffd}\u{10ffff}"] {
            assert!(Content::new(body.to_owned(), BTreeMap::new()).is_ok());
        }
    }

    #[test]
    fn attributes_have_a_type_and_a_value_and_count() {
        let attributes = BTreeMap::from([("name".to_owned(), text("value"))]);
        let content = Content::new("body".to_owned(), attributes).unwrap();
        assert_eq!(
            content.size(),
            "body".len() + "name".len() + "String".len() + "value".len()
        );
        let mut number = text("1");
        number.data_type = "Bool".to_owned();
        let attributes = BTreeMap::from([("name".to_owned(), number)]);
        assert!(Content::new("body".to_owned(), attributes).is_err());
    }
}
