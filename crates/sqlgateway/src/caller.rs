//! The caller on a socket, as the header `Neon-Connection-String` names it over HTTP:
//! `postgres://user:password@host/database?...`.
//!
//! The host and the parameters after `?` are ignored. The client used the host to find the gateway, and
//! the parameters describe a connection that the gateway doesn't make.

use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode_str;
use tirage_postgres::Password;
use url::Url;

/// User and database that a client asks for, and its password.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) user: String,
    pub(crate) password: Password,
    pub(crate) database: String,
}

/// Error of a connection string, with Neon's messages.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectionStringError {
    #[error("invalid header: neon-connection-string")]
    Header,
    #[error("invalid connection string: {0}")]
    Url(#[from] url::ParseError),
    #[error("incorrect scheme")]
    Scheme,
    #[error("missing database name")]
    NoDatabase,
    #[error("missing username")]
    NoUser,
    #[error("invalid username: not UTF-8")]
    NotUtf8,
    #[error("missing authentication credentials: required password")]
    NoPassword,
}

impl Caller {
    /// Parses the header.
    ///
    /// # Errors
    /// Each of [`ConnectionStringError`]; none repeats the password.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, ConnectionStringError> {
        let text = connection_string(headers)?
            .to_str()
            .map_err(|_error| ConnectionStringError::Header)?;
        let url = Url::parse(text)?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(ConnectionStringError::Scheme);
        }
        let decode = |encoded| {
            percent_decode_str(encoded)
                .decode_utf8()
                .map(String::from)
                .map_err(|_error| ConnectionStringError::NotUtf8)
        };
        let database = url
            .path_segments()
            .and_then(|mut segments| segments.next())
            .filter(|database| !database.is_empty())
            .ok_or(ConnectionStringError::NoDatabase)?;
        if url.username().is_empty() {
            return Err(ConnectionStringError::NoUser);
        }
        // Bearer tokens are not supported.
        let password = url
            .password()
            .filter(|_password| !headers.contains_key(http::header::AUTHORIZATION))
            .ok_or(ConnectionStringError::NoPassword)?;
        Ok(Self {
            user: decode(url.username())?,
            password: Password::new(percent_decode_str(password).collect::<Vec<_>>()),
            database: decode(database)?,
        })
    }
}

/// Returns the header. Two of them are refused, because a proxy in front of the gateway may have checked
/// the other one.
///
/// # Errors
/// [`ConnectionStringError::Header`].
fn connection_string(headers: &HeaderMap) -> Result<&HeaderValue, ConnectionStringError> {
    let mut values = headers.get_all("neon-connection-string").iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(ConnectionStringError::Header),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Caller, ConnectionStringError> {
        let mut headers = HeaderMap::new();
        headers.insert("neon-connection-string", text.parse().unwrap());
        Caller::read(&headers)
    }

    #[test]
    fn each_part_is_decoded() {
        let read =
            read("postgresql://http%2Bauth$$:%25+$%5E&*%40!@db.example/my%20db?x=y").unwrap();
        assert_eq!(
            (read.user.as_str(), read.database.as_str()),
            ("http+auth$$", "my db")
        );
        assert!(read.password.matches(b"%+$^&*@!"));
    }

    #[test]
    fn the_error_names_what_is_missing() {
        for (text, expected) in [
            ("mysql://u:p@h/db", ConnectionStringError::Scheme),
            ("postgres://u:p@h", ConnectionStringError::NoDatabase),
            ("postgres://u:p@h/", ConnectionStringError::NoDatabase),
            ("postgres://h/db", ConnectionStringError::NoUser),
            ("postgres://u@h/db", ConnectionStringError::NoPassword),
            ("postgres://%ff:p@h/db", ConnectionStringError::NotUtf8),
            (
                "db",
                ConnectionStringError::Url(url::ParseError::RelativeUrlWithoutBase),
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), expected, "{text}");
        }
        let none = Caller::read(&HeaderMap::new()).unwrap_err();
        assert_eq!(none, ConnectionStringError::Header);
    }
}
