//! Parses the packets before the login: the startup packet
//! (<https://www.postgresql.org/docs/current/protocol-message-formats.html>) and the password.

use bytes::{Buf, Bytes};
use tirage_postgres::Password;

/// Maximum length of a startup packet in bytes, the same as in Postgres.
const MAX_PACKET: usize = 10_000;
/// Maximum length of a password message, the same as in Postgres.
const MAX_PASSWORD: usize = 65_535;

/// Protocol 3.0, the only supported version.
pub(super) const PROTOCOL: u32 = 3 << 16;
const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// A startup packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Startup {
    /// A request for TLS or GSS.
    Encryption,
    /// A cancel request.
    Cancel(CancelKey),
    /// A request for a session.
    Session(SessionRequest),
}

/// The key that authorizes cancelling a session's statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CancelKey {
    pub(super) process_id: i32,
    pub(super) secret_key: i32,
}

/// A request for a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SessionRequest {
    pub(super) user: String,
    pub(super) database: String,
    /// Settings that the session begins with.
    pub(super) settings: Vec<(String, String)>,
    /// Protocol options that are not supported; `None` if the client asks for [`PROTOCOL`] without any.
    pub(super) unsupported: Option<Vec<String>>,
}

/// Error of a startup packet or a password message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StartupError {
    #[error("invalid length of startup packet")]
    Length,
    #[error("invalid startup packet layout")]
    Layout,
    #[error("unsupported frontend protocol {}.{}: server supports 3.0 to 3.0", .0 >> 16, .0 & 0xffff)]
    Protocol(u32),
    #[error("no PostgreSQL user name specified in startup packet")]
    NoUser,
    #[error("replication is not supported")]
    Replication,
    #[error("expected password response, got message type {0}")]
    NoPassword(u8),
    #[error("invalid password packet size")]
    PasswordLength,
}

impl StartupError {
    /// Returns the SQLSTATE, the same as Postgres'.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Protocol(_) | Self::Replication => "0A000",
            Self::NoUser => "28000",
            Self::Length | Self::Layout | Self::NoPassword(_) | Self::PasswordLength => "08P01",
        }
    }
}

/// Returns the number of bytes that follow the length of a startup packet.
///
/// # Errors
/// [`StartupError::Length`].
pub(super) fn packet_length(length: [u8; 4]) -> Result<usize, StartupError> {
    body_length(length)
        .filter(|body| (4..=MAX_PACKET).contains(body))
        .ok_or(StartupError::Length)
}

/// Returns the number of bytes that follow the kind and the length of a password message.
///
/// # Errors
/// [`StartupError::NoPassword`] and [`StartupError::PasswordLength`].
pub(super) fn password_length(kind: u8, length: [u8; 4]) -> Result<usize, StartupError> {
    if kind != b'p' {
        return Err(StartupError::NoPassword(kind));
    }
    body_length(length)
        .filter(|body| (1..=MAX_PASSWORD).contains(body))
        .ok_or(StartupError::PasswordLength)
}

/// Parses the body of a password message.
///
/// # Errors
/// [`StartupError::PasswordLength`] unless the only NUL is at the end.
pub(super) fn password(body: &[u8]) -> Result<Password, StartupError> {
    match body.split_last() {
        Some((0, password)) if !password.contains(&0) => Ok(Password::new(password)),
        _ => Err(StartupError::PasswordLength),
    }
}

impl Startup {
    /// Parses a packet without its length.
    ///
    /// # Errors
    /// Any [`StartupError`] except those about passwords.
    pub(super) fn read(mut packet: Bytes) -> Result<Self, StartupError> {
        let code = packet
            .try_get_u32()
            .map_err(|_short| StartupError::Length)?;
        match code {
            TLS | GSS => Ok(Self::Encryption),
            CANCEL => {
                let mut number = || packet.try_get_i32().map_err(|_short| StartupError::Length);
                Ok(Self::Cancel(CancelKey {
                    process_id: number()?,
                    secret_key: number()?,
                }))
            }
            version if version >> 16 == 3 => {
                SessionRequest::read(version, &packet).map(Self::Session)
            }
            version => Err(StartupError::Protocol(version)),
        }
    }
}

impl SessionRequest {
    fn read(version: u32, packet: &[u8]) -> Result<Self, StartupError> {
        let (mut user, mut database) = (None, None);
        let mut settings = Vec::new();
        let mut unsupported = Vec::new();
        let mut strings = packet.split(|byte| *byte == 0);
        let mut next = || {
            let string = strings.next().ok_or(StartupError::Layout)?;
            String::from_utf8(string.to_vec()).map_err(|_error| StartupError::Layout)
        };
        loop {
            let name = next()?;
            if name.is_empty() {
                break;
            }
            let value = next()?;
            match name.as_str() {
                "user" => user = Some(value),
                "database" => database = Some(value),
                "replication" if is_off(&value) => {}
                "replication" => return Err(StartupError::Replication),
                _ if name.starts_with("_pq_.") => unsupported.push(name),
                _ => settings.push((name, value)),
            }
        }
        let user = user.filter(|user| !user.is_empty());
        let user = user.ok_or(StartupError::NoUser)?;
        Ok(Self {
            database: database
                .filter(|database| !database.is_empty())
                .unwrap_or_else(|| user.clone()),
            user,
            settings,
            unsupported: (version != PROTOCOL || !unsupported.is_empty()).then_some(unsupported),
        })
    }
}

fn body_length(length: [u8; 4]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(length))
        .ok()?
        .checked_sub(4)
}

/// `true` for Postgres' spellings of false.
fn is_off(value: &str) -> bool {
    ["false", "off", "no", "0"].contains(&value.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(code: u32, rest: &[u8]) -> Bytes {
        [&code.to_be_bytes(), rest].concat().into()
    }

    fn wanted(rest: &[u8]) -> Result<Startup, StartupError> {
        Startup::read(packet(PROTOCOL, rest))
    }

    #[test]
    fn a_session_request_is_parsed() {
        let Ok(Startup::Session(wanted)) =
            wanted(b"user\0me\0database\0db\0application_name\0ps\0replication\0false\0\0")
        else {
            panic!("expected a session request");
        };
        assert_eq!((&*wanted.user, &*wanted.database), ("me", "db"));
        assert_eq!(
            wanted.settings,
            [("application_name".to_owned(), "ps".to_owned())]
        );
        assert_eq!(wanted.unsupported, None);
    }

    #[test]
    fn the_default_database_is_named_like_the_user() {
        for rest in [&b"user\0me\0\0"[..], b"user\0me\0database\0\0\0"] {
            assert!(matches!(
                wanted(rest),
                Ok(Startup::Session(wanted)) if wanted.database == "me"
            ));
        }
    }

    #[test]
    fn options_of_newer_protocols_are_listed() {
        let newer = packet(PROTOCOL + 2, b"user\0me\0_pq_.x\0yes\0\0");
        assert!(matches!(
            Startup::read(newer),
            Ok(Startup::Session(wanted)) if wanted.unsupported == Some(vec!["_pq_.x".to_owned()])
                && wanted.settings.is_empty()
        ));
        assert!(matches!(
            Startup::read(packet(PROTOCOL + 2, b"user\0me\0\0")),
            Ok(Startup::Session(wanted)) if wanted.unsupported == Some(Vec::new())
        ));
    }

    #[test]
    fn encryption_and_cancel_requests() {
        for code in [TLS, GSS] {
            assert_eq!(Startup::read(packet(code, b"")), Ok(Startup::Encryption));
        }
        let key = CancelKey {
            process_id: 1,
            secret_key: -2,
        };
        assert_eq!(
            Startup::read(packet(CANCEL, b"\0\0\0\x01\xff\xff\xff\xfe")),
            Ok(Startup::Cancel(key))
        );
        assert_eq!(
            Startup::read(packet(CANCEL, b"\0\0\0\x01")),
            Err(StartupError::Length)
        );
    }

    #[test]
    fn invalid_packets_are_refused_with_a_reason() {
        for (rest, expected) in [
            (&b""[..], StartupError::NoUser),
            (b"\0", StartupError::NoUser),
            (b"user\0\0\0", StartupError::NoUser),
            (b"user", StartupError::Layout),
            (b"user\0m\xff\0\0", StartupError::Layout),
            (
                b"user\0me\0replication\0database\0\0",
                StartupError::Replication,
            ),
        ] {
            assert_eq!(wanted(rest), Err(expected), "{rest:?}");
        }
        let old = Startup::read(packet(2 << 16, b"")).unwrap_err();
        assert_eq!(
            old.to_string(),
            "unsupported frontend protocol 2.0: server supports 3.0 to 3.0"
        );
        for length in [0, 7, 10_005, u32::MAX] {
            assert_eq!(
                packet_length(length.to_be_bytes()),
                Err(StartupError::Length),
                "{length}"
            );
        }
        assert_eq!(packet_length(8_u32.to_be_bytes()), Ok(4));
    }

    #[test]
    fn a_password_ends_with_its_only_nul() {
        assert_eq!(password_length(b'p', 5_u32.to_be_bytes()), Ok(1));
        assert_eq!(
            password_length(b'Q', 5_u32.to_be_bytes()),
            Err(StartupError::NoPassword(b'Q'))
        );
        for length in [0, 4, 65_540] {
            assert!(password_length(b'p', u32::to_be_bytes(length)).is_err());
        }
        assert!(password(b"secret\0").unwrap().matches(b"secret"));
        assert!(password(b"\0").unwrap().matches(b""));
        for body in [&b""[..], b"secret", b"sec\0ret\0"] {
            assert!(password(body).is_err());
        }
    }
}
