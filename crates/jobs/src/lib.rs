//! Job messages, authenticated with a MAC.
//!
//! A queue delivers a message at least once, late, and in any order. Its trigger forwards nothing but the
//! body, to an address that is public. So the body identifies the task completely and carries a MAC under
//! a secret (`JOB_SECRET`) that only the api and the worker share:
//!
//! ```json
//! {"v":1,"task":"0199…","kind":"photo","attempt":1,"mac":"9f86…"}
//! ```
//!
//! A MAC doesn't expire, so a message can be replayed. Replays are harmless: a task is processed once per
//! attempt, however often its message arrives.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

/// Upper bound on the length of a message, in bytes; a real one has less than a quarter of it.
pub const MAX_MESSAGE_BYTES: usize = 1024;

/// Header with the MAC of a scheduled call. A schedule sends the same call each time, so the MAC covers the
/// path only.
pub const SCHEDULE_HEADER: &str = "tirage-mac";

/// Minimum length of a secret in bytes: the length of the hash, as RFC 2104, section 3, recommends.
const MIN_SECRET_BYTES: usize = 32;

/// Secret for MACs (`JOB_SECRET`). `Debug` doesn't show it.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

impl Secret {
    /// Accepts a secret of at least 32 bytes.
    ///
    /// # Errors
    /// [`WeakSecret`] for a shorter one.
    pub fn new(secret: &str) -> Result<Self, WeakSecret> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(WeakSecret);
        }
        Hmac::new_from_slice(secret.as_bytes())
            .map(Self)
            .map_err(|_| WeakSecret)
    }

    /// Value of [`SCHEDULE_HEADER`] for calls to this path.
    pub fn schedule_mac(&self, path: &str) -> String {
        hex::encode(self.mac(&schedule_text(path)).finalize().into_bytes())
    }

    /// `true` if `value` is the right [`SCHEDULE_HEADER`] for calls to this path. Takes constant time.
    pub fn is_schedule_mac(&self, path: &str, value: &[u8]) -> bool {
        self.matches(&schedule_text(path), value)
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        self.0.clone().chain_update(text)
    }

    fn matches(&self, text: &str, hexadecimal: &[u8]) -> bool {
        hex::decode(hexadecimal).is_ok_and(|mac| self.mac(text).verify_slice(&mac).is_ok())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// The secret is too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("JOB_SECRET must have at least {MIN_SECRET_BYTES} bytes")]
pub struct WeakSecret;

/// Kind of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Variants and metadata of a photo.
    Photo,
}

impl Kind {
    /// Name in messages, in the database, and in the path `/jobs/<kind>`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Photo => "photo",
        }
    }

    /// Parses a name.
    pub fn parse(name: &str) -> Option<Self> {
        (name == Self::Photo.as_str()).then_some(Self::Photo)
    }
}

/// Message that announces a queued task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Id of the task.
    pub task: Uuid,
    /// Kind of the task.
    pub kind: Kind,
    /// Attempt, from 1. A retry invalidates the messages of earlier attempts.
    pub attempt: u32,
}

impl Message {
    /// Serializes the message, with its MAC.
    pub fn seal(&self, secret: &Secret) -> String {
        let sealed = Sealed {
            v: VERSION,
            task: self.task,
            kind: self.kind,
            attempt: self.attempt,
            mac: hex::encode(secret.mac(&self.text()).finalize().into_bytes()),
        };
        #[expect(
            clippy::expect_used,
            reason = "strings and numbers always serialize to JSON"
        )]
        serde_json::to_string(&sealed).expect("a message serializes")
    }

    /// Parses a body and verifies its MAC.
    ///
    /// # Errors
    /// [`InvalidMessage`], which repeats nothing of the body.
    pub fn open(body: &[u8], secret: &Secret) -> Result<Self, InvalidMessage> {
        if body.len() > MAX_MESSAGE_BYTES {
            return Err(InvalidMessage::Malformed);
        }
        let sealed: Sealed = serde_json::from_slice(body).map_err(|_| InvalidMessage::Malformed)?;
        if sealed.v != VERSION {
            return Err(InvalidMessage::Version(sealed.v));
        }
        let message = Self {
            task: sealed.task,
            kind: sealed.kind,
            attempt: sealed.attempt,
        };
        match secret.matches(&message.text(), sealed.mac.as_bytes()) {
            true => Ok(message),
            false => Err(InvalidMessage::Forged),
        }
    }

    fn text(&self) -> String {
        let kind = self.kind.as_str();
        format!("v{VERSION}\n{}\n{kind}\n{}", self.task, self.attempt)
    }
}

/// Error of [`Message::open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    /// Not JSON, or not of the right shape.
    #[error("malformed job message")]
    Malformed,
    /// Unknown version.
    #[error("unknown version {0} of a job message")]
    Version(u32),
    /// Wrong MAC.
    #[error("job message with a wrong MAC")]
    Forged,
}

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Sealed {
    v: u32,
    task: Uuid,
    kind: Kind,
    attempt: u32,
    mac: String,
}

fn schedule_text(path: &str) -> String {
    format!("v{VERSION}\ncron\n{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(&text.repeat(32)).unwrap()
    }

    fn message() -> Message {
        Message {
            task: Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001),
            kind: Kind::Photo,
            attempt: 2,
        }
    }

    /// Expected values computed with Python's hmac.
    #[test]
    fn the_mac_equals_that_of_another_implementation() {
        assert_eq!(
            message().seal(&secret("a")),
            r#"{"v":1,"task":"01990000-0000-7000-8000-000000000001","kind":"photo","attempt":2,"mac":"083297e98dc05915f997921d4f7ce627236f315217c6da88c8c4d0e1ecc960ce"}"#
        );
        assert_eq!(
            secret("a").schedule_mac("/jobs/sweep"),
            "e91329b9360d7271989b49050ed3d4ffa7a7597c2b10cdee1851c5e9844d04ce"
        );
    }

    #[test]
    fn only_an_unchanged_message_opens() {
        let sealed = message().seal(&secret("a"));
        let open = |body: &str| Message::open(body.as_bytes(), &secret("a"));
        assert_eq!(open(&sealed), Ok(message()));
        assert_eq!(
            open(&sealed.replace("\"attempt\":2", "\"attempt\":3")),
            Err(InvalidMessage::Forged)
        );
        assert_eq!(
            open(&sealed.replace("0199", "0198")),
            Err(InvalidMessage::Forged)
        );
        assert_eq!(
            Message::open(sealed.as_bytes(), &secret("b")),
            Err(InvalidMessage::Forged)
        );
        assert_eq!(
            open(&sealed.replace("\"v\":1", "\"v\":2")),
            Err(InvalidMessage::Version(2))
        );
        for malformed in ["", "{}", "null", &sealed.replace("photo", "video")] {
            assert_eq!(
                open(malformed),
                Err(InvalidMessage::Malformed),
                "{malformed}"
            );
        }
        for mac in ["", "zz", "é", "0"] {
            let forged = format!(
                r#"{{"v":1,"task":"{}","kind":"photo","attempt":2,"mac":"{mac}"}}"#,
                message().task
            );
            assert_eq!(open(&forged), Err(InvalidMessage::Forged), "{mac}");
        }
        let long = format!("{sealed}{}", " ".repeat(MAX_MESSAGE_BYTES));
        assert_eq!(open(&long), Err(InvalidMessage::Malformed));
    }

    #[test]
    fn the_mac_of_a_schedule_is_bound_to_one_path() {
        let mac = secret("a").schedule_mac("/jobs/sweep");
        let is_right = |path, mac: &str| secret("a").is_schedule_mac(path, mac.as_bytes());
        assert!(is_right("/jobs/sweep", &mac));
        assert!(!is_right("/jobs/photo", &mac));
        assert!(!is_right("/jobs/sweep", ""));
        assert!(!is_right("/jobs/sweep", &mac[2..]));
    }

    #[test]
    fn a_short_secret_is_refused_and_debug_shows_none() {
        assert_eq!(Secret::new("short").unwrap_err(), WeakSecret);
        assert_eq!(format!("{:?}", secret("a")), "Secret");
    }
}
