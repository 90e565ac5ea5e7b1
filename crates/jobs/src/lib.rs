//! The messages that bring jobs to workers, and the proof that they are ours.
//!
//! Queues deliver a message at least once, late, and in any order; their triggers tell a worker nothing
//! but the message's body, and anybody may POST to a public address. So the body says all there is to
//! know, and carries a MAC under a secret that only those who send jobs and those who do them share:
//!
//! ```json
//! {"v":1,"task":"0199…","kind":"photo","attempt":1,"mac":"9f86…"}
//! ```
//!
//! A MAC doesn't grow old: whoever has seen a message can send it again. That does no harm, because a
//! task is done once for each attempt, however often its message comes.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

/// The longest message that is read, in bytes; real ones have less than a quarter of it.
pub const MAX_MESSAGE_BYTES: usize = 1024;

/// The header that a schedule's calls carry, since a schedule sends the same body each time.
pub const SCHEDULE_HEADER: &str = "tirage-mac";

/// The shortest secret that is accepted, in bytes: as long as the MAC's own key material should be
/// (RFC 2104, section 3).
const MIN_SECRET_BYTES: usize = 32;

/// What makes and checks MACs (`JOB_SECRET`). `Debug` doesn't show it.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

impl Secret {
    /// A secret of at least 32 bytes.
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

    /// The value of [`SCHEDULE_HEADER`] for calls to this path.
    pub fn schedule_mac(&self, path: &str) -> String {
        hex(&self.mac(&schedule_text(path)).finalize().into_bytes())
    }

    /// Whether this is the value of [`SCHEDULE_HEADER`] for calls to this path. Takes as long for a
    /// wrong value as for the right one.
    pub fn is_schedule_mac(&self, path: &str, value: &[u8]) -> bool {
        self.matches(&schedule_text(path), value)
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        self.0.clone().chain_update(text)
    }

    fn matches(&self, text: &str, hexadecimal: &[u8]) -> bool {
        unhex(hexadecimal).is_some_and(|mac| self.mac(text).verify_slice(&mac).is_ok())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// Too short to be secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("JOB_SECRET must have at least {MIN_SECRET_BYTES} characters")]
pub struct WeakSecret;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Prints and metadata of a photo.
    Photo,
}

impl Kind {
    /// The name, in messages, in the database, and in the path `/jobs/<kind>`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Photo => "photo",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        (name == Self::Photo.as_str()).then_some(Self::Photo)
    }
}

/// Says that a task waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Which.
    pub task: Uuid,
    /// What is to be done.
    pub kind: Kind,
    /// The attempt that it belongs to, from 1: a retry makes earlier messages meaningless.
    pub attempt: u32,
}

impl Message {
    /// The body, with its MAC.
    pub fn seal(&self, secret: &Secret) -> String {
        let sealed = Sealed {
            v: VERSION,
            task: self.task,
            kind: self.kind,
            attempt: self.attempt,
            mac: hex(&secret.mac(&self.text()).finalize().into_bytes()),
        };
        #[expect(
            clippy::expect_used,
            reason = "strings and numbers always have a form in JSON"
        )]
        serde_json::to_string(&sealed).expect("a message can be written")
    }

    /// Reads a body, and believes it only with the right MAC.
    ///
    /// # Errors
    /// [`NotAMessage`] says what is wrong without repeating any of it.
    pub fn open(body: &[u8], secret: &Secret) -> Result<Self, NotAMessage> {
        if body.len() > MAX_MESSAGE_BYTES {
            return Err(NotAMessage::Malformed);
        }
        let sealed: Sealed = serde_json::from_slice(body).map_err(|_| NotAMessage::Malformed)?;
        if sealed.v != VERSION {
            return Err(NotAMessage::Version(sealed.v));
        }
        let message = Self {
            task: sealed.task,
            kind: sealed.kind,
            attempt: sealed.attempt,
        };
        match secret.matches(&message.text(), sealed.mac.as_bytes()) {
            true => Ok(message),
            false => Err(NotAMessage::Forged),
        }
    }

    fn text(&self) -> String {
        let kind = self.kind.as_str();
        format!("v{VERSION}\n{}\n{kind}\n{}", self.task, self.attempt)
    }
}

/// This is no message of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAMessage {
    /// Not JSON of the right shape.
    #[error("not a job message")]
    Malformed,
    /// Of a version that this program doesn't know.
    #[error("a job message of version {0}")]
    Version(u32),
    /// The MAC is not ours.
    #[error("a job message with a wrong MAC")]
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.chunks(2).map(|pair| match *pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    });
    pairs.collect()
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

    /// Computed with another implementation (Python's hmac).
    #[test]
    fn a_message_is_sealed_as_others_would() {
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
    fn what_was_sealed_opens_and_nothing_else() {
        let sealed = message().seal(&secret("a"));
        let open = |body: &str| Message::open(body.as_bytes(), &secret("a"));
        assert_eq!(open(&sealed), Ok(message()));
        assert_eq!(
            open(&sealed.replace("\"attempt\":2", "\"attempt\":3")),
            Err(NotAMessage::Forged)
        );
        assert_eq!(
            open(&sealed.replace("0199", "0198")),
            Err(NotAMessage::Forged)
        );
        assert_eq!(
            Message::open(sealed.as_bytes(), &secret("b")),
            Err(NotAMessage::Forged)
        );
        assert_eq!(
            open(&sealed.replace("\"v\":1", "\"v\":2")),
            Err(NotAMessage::Version(2))
        );
        for malformed in ["", "{}", "null", &sealed.replace("photo", "video")] {
            assert_eq!(open(malformed), Err(NotAMessage::Malformed), "{malformed}");
        }
        for mac in ["", "zz", "é", "0"] {
            let forged = format!(
                r#"{{"v":1,"task":"{}","kind":"photo","attempt":2,"mac":"{mac}"}}"#,
                message().task
            );
            assert_eq!(open(&forged), Err(NotAMessage::Forged), "{mac}");
        }
        let long = format!("{sealed}{}", " ".repeat(MAX_MESSAGE_BYTES));
        assert_eq!(open(&long), Err(NotAMessage::Malformed));
    }

    #[test]
    fn a_schedule_s_mac_is_for_one_path() {
        let mac = secret("a").schedule_mac("/jobs/sweep");
        let is_right = |path, mac: &str| secret("a").is_schedule_mac(path, mac.as_bytes());
        assert!(is_right("/jobs/sweep", &mac));
        assert!(!is_right("/jobs/photo", &mac));
        assert!(!is_right("/jobs/sweep", ""));
        assert!(!is_right("/jobs/sweep", &mac[2..]));
    }

    #[test]
    fn a_secret_is_long_and_isn_t_shown() {
        assert_eq!(Secret::new("short").unwrap_err(), WeakSecret);
        assert_eq!(format!("{:?}", secret("a")), "Secret");
    }
}
