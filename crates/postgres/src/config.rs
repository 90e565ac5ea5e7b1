//! Parses `postgres://` addresses with libpq's grammar.
//!
//! An address becomes a [`Config`] or an error with the reason. `PG*` variables and password files are
//! not read, so the address in the log is the one in use. The grammar and the parameters are libpq's
//! (<https://www.postgresql.org/docs/current/libpq-connect.html>, 34.1.1.2 and 34.1.2). Limits: one
//! host, and only the parameters listed at [`Config`]. An unsupported parameter is an error, because
//! ignoring it could weaken or change the connection.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use subtle::ConstantTimeEq;

/// The address of one database for one role.
///
/// [`FromStr`] parses it:
///
/// ```
/// # fn main() -> Result<(), tirage_postgres::ParseConfigError> {
/// let config: tirage_postgres::Config =
///     "postgres://api:s%3Acret@db.example/tirage?sslmode=verify-full".parse()?;
/// assert_eq!(config.database(), "tirage");
/// assert!(!format!("{config:?}").contains("cret"));
/// # Ok(())
/// # }
/// ```
///
/// Supported parameters after `?`: `host` (a path is the folder of a Unix socket), `port`, `user`,
/// `password`, `dbname`, `sslmode`, `sslrootcert` (a PEM file, or `system`), `application_name`,
/// `options`, `connect_timeout` (seconds, default 10, 0 means no limit).
#[derive(Clone)]
pub struct Config {
    host: Host,
    port: u16,
    user: String,
    password: Option<Password>,
    database: String,
    /// Use of TLS. Unix sockets never use it.
    pub(crate) ssl_mode: SslMode,
    /// PEM file with the certificate authorities to trust instead of the default ones, or `system`.
    pub(crate) ssl_root_cert: Option<PathBuf>,
    pub(crate) channel_binding: ChannelBinding,
    /// Name in `pg_stat_activity`; default: `tirage`.
    pub(crate) application_name: String,
    /// Command-line options for the session (`-c name=value`).
    pub(crate) options: Option<String>,
    /// Time limit for connecting, from the first packet to the end of the login.
    pub(crate) connect_timeout: Option<Duration>,
}

impl Config {
    /// Returns the server's host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the server's port. For a Unix socket it is part of the socket's file name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the role to log in as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the role's password, if the address has one.
    pub fn password(&self) -> Option<&Password> {
        self.password.as_ref()
    }

    /// Returns the database's name; the user's name if the address has none, as with libpq.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Returns the same address with another role.
    pub fn with_user(&self, user: impl Into<String>, password: Option<Password>) -> Self {
        Self {
            user: user.into(),
            password,
            ..self.clone()
        }
    }

    /// Returns the same address with another database.
    pub fn with_database(&self, database: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            ..self.clone()
        }
    }

    /// Returns the same address with another name in `pg_stat_activity`.
    pub fn with_application_name(&self, name: impl Into<String>) -> Self {
        Self {
            application_name: name.into(),
            ..self.clone()
        }
    }

    /// Returns the file of the Unix socket, as libpq names it: `<folder>/.s.PGSQL.<port>`.
    pub(crate) fn socket_file(&self) -> Option<PathBuf> {
        match &self.host {
            Host::Unix(folder) => Some(folder.join(format!(".s.PGSQL.{}", self.port))),
            Host::Tcp(_) => None,
        }
    }
}

impl FromStr for Config {
    type Err = ParseConfigError;

    fn from_str(address: &str) -> Result<Self, ParseConfigError> {
        let rest = address
            .strip_prefix("postgres://")
            .or_else(|| address.strip_prefix("postgresql://"))
            .ok_or(ParseConfigError::Scheme)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, location) = authority.rsplit_once('@').unwrap_or(("", authority));

        let mut config = Self {
            host: Host::Tcp(String::new()),
            port: 5432,
            user: String::new(),
            password: None,
            database: String::new(),
            ssl_mode: SslMode::Prefer,
            ssl_root_cert: None,
            channel_binding: ChannelBinding::Prefer,
            application_name: "tirage".to_owned(),
            options: None,
            connect_timeout: Some(Duration::from_secs(10)),
        };
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        };
        config.user = text("user", user)?;
        config.password = password.map(bytes);
        config.database = text("database", path)?;
        config.read_location(location)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| ParseConfigError::NoValue(pair.to_owned()))?;
            config.read_parameter(&text("parameter", key)?, value)?;
        }
        if config.user.is_empty() {
            return Err(ParseConfigError::NoUser);
        }
        if config.database.is_empty() {
            config.database.clone_from(&config.user);
        }
        match &config.host {
            Host::Tcp(host) if host.is_empty() => Err(ParseConfigError::NoHost),
            _ => Ok(config),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Config({self})")
    }
}

/// Writes the address without password and parameters, for logs and messages.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@", encode(&self.user))?;
        match &self.host {
            Host::Tcp(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port)?,
            Host::Tcp(host) => write!(f, "{host}:{}", self.port)?,
            Host::Unix(folder) => write!(f, "{}:{}", encode(&folder.to_string_lossy()), self.port)?,
        }
        write!(f, "/{}", encode(&self.database))
    }
}

fn encode(part: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(part, RESERVED)
}

/// Keeps RFC 3986's unreserved characters readable.
const RESERVED: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The host of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name or an IP address (without brackets).
    Tcp(String),
    /// The folder of a Unix socket.
    Unix(PathBuf),
}

/// Use of TLS, with libpq's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SslMode {
    /// No TLS.
    Disable,
    /// TLS if the server offers it; nothing is verified. The default, as with libpq.
    Prefer,
    /// TLS always; the authority is verified only if `sslrootcert` is set.
    Require,
    /// TLS always, with a certificate of a trusted authority for any name.
    VerifyCa,
    /// TLS always, with a certificate of a trusted authority for this host.
    VerifyFull,
}

/// Use of channel binding, with libpq's names. It binds a login to its TLS connection, so that a
/// man in the middle can't forward it (SCRAM-SHA-256-PLUS, RFC 5802 and 7677).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelBinding {
    /// No channel binding.
    Disable,
    /// If the server offers it. The default, as with libpq.
    Prefer,
    /// Always; a login without it is refused.
    Require,
}

/// A password that is never printed and is compared in constant time.
#[derive(Clone)]
pub struct Password(Vec<u8>);

impl Password {
    /// Wraps a password's bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Returns the password's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// `true` if the guess is right. The time depends only on the guess's length.
    pub fn matches(&self, guess: &[u8]) -> bool {
        self.0.ct_eq(guess).into()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Error of an address. No message contains a password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseConfigError {
    /// The address is not a Postgres address.
    #[error("a database address starts with postgres:// or postgresql://")]
    Scheme,
    /// A percent escape contains bytes that are not UTF-8.
    #[error("the {0} is not UTF-8 once decoded")]
    NotUtf8(&'static str),
    /// The user is missing.
    #[error("the address has no user")]
    NoUser,
    /// The host is missing.
    #[error("the address has no host (for a Unix socket: ?host=/folder)")]
    NoHost,
    /// A list of hosts.
    #[error("the address has several hosts; only one is supported")]
    SeveralHosts,
    /// A port that isn't a number from 1 to 65535.
    #[error("invalid port `{0}`: expected 1 to 65535")]
    Port(String),
    /// An unknown or unsupported parameter.
    #[error("the parameter `{0}` is not supported")]
    Parameter(String),
    /// A parameter without `=`.
    #[error("the parameter `{0}` has no value")]
    NoValue(String),
    /// A known parameter with an invalid value.
    #[error("invalid value `{value}` of the parameter `{parameter}`")]
    Value {
        /// Name of the parameter.
        parameter: &'static str,
        /// Invalid value.
        value: String,
    },
}

impl Config {
    /// Parses `host`, `host:port`, `[v6]:port`, `%2Ffolder:port` or nothing.
    fn read_location(&mut self, location: &str) -> Result<(), ParseConfigError> {
        if location.contains(',') {
            return Err(ParseConfigError::SeveralHosts);
        }
        let (host, port) = match location
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
        {
            Some((host, port)) => (host, port.strip_prefix(':').unwrap_or(port)),
            None => location.split_once(':').unwrap_or((location, "")),
        };
        self.read_host(&text("host", host)?)?;
        if !port.is_empty() {
            self.read_port(port)?;
        }
        Ok(())
    }

    fn read_host(&mut self, host: &str) -> Result<(), ParseConfigError> {
        if host.contains(',') {
            return Err(ParseConfigError::SeveralHosts);
        }
        if host.starts_with('/') {
            self.host = Host::Unix(host.into());
        } else if !host.is_empty() {
            self.host = Host::Tcp(host.to_owned());
        }
        Ok(())
    }

    fn read_port(&mut self, port: &str) -> Result<(), ParseConfigError> {
        match port.parse() {
            Ok(number @ 1..) => self.port = number,
            _ => return Err(ParseConfigError::Port(port.to_owned())),
        }
        Ok(())
    }

    fn read_parameter(&mut self, key: &str, encoded: &str) -> Result<(), ParseConfigError> {
        if key == "password" {
            self.password = Some(bytes(encoded));
            return Ok(());
        }
        let value = text("parameter", encoded)?;
        let wrong = |parameter| ParseConfigError::Value {
            parameter,
            value: value.clone(),
        };
        match key {
            "host" => self.read_host(&value)?,
            "port" => self.read_port(&value)?,
            "user" => self.user = value,
            "dbname" => self.database = value,
            "sslmode" => self.ssl_mode = ssl_mode(&value).ok_or_else(|| wrong("sslmode"))?,
            "sslrootcert" => self.ssl_root_cert = Some(value.into()),
            "application_name" => self.application_name = value,
            "options" => self.options = Some(value),
            "connect_timeout" => {
                let seconds = value.parse().map_err(|_error| wrong("connect_timeout"))?;
                self.connect_timeout = (seconds > 0).then(|| Duration::from_secs(seconds));
            }
            "channel_binding" => {
                self.channel_binding = match &*value {
                    "disable" => ChannelBinding::Disable,
                    "prefer" => ChannelBinding::Prefer,
                    "require" => ChannelBinding::Require,
                    _ => return Err(wrong("channel_binding")),
                };
            }
            // These values ask for what happens anyway.
            "gssencmode" if matches!(&*value, "prefer" | "disable") => {}
            "target_session_attrs" if value == "any" => {}
            _ => return Err(ParseConfigError::Parameter(key.to_owned())),
        }
        Ok(())
    }
}

fn ssl_mode(value: &str) -> Option<SslMode> {
    match value {
        "disable" => Some(SslMode::Disable),
        "allow" | "prefer" => Some(SslMode::Prefer),
        "require" => Some(SslMode::Require),
        "verify-ca" => Some(SslMode::VerifyCa),
        "verify-full" => Some(SslMode::VerifyFull),
        _ => None,
    }
}

fn text(part: &'static str, encoded: &str) -> Result<String, ParseConfigError> {
    percent_decode_str(encoded)
        .decode_utf8()
        .map(Into::into)
        .map_err(|_error| ParseConfigError::NotUtf8(part))
}

fn bytes(encoded: &str) -> Password {
    Password(percent_decode_str(encoded).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(address: &str) -> Result<Config, ParseConfigError> {
        address.parse()
    }

    #[test]
    fn every_part_of_an_address_is_parsed() {
        let config = parse(
            "postgresql://an%40user:p%3A%2Fss@db.example:6432/my%20db?sslmode=require\
             &sslrootcert=%2Fetc%2Fca.pem&application_name=test&options=-c%20work_mem%3D1MB\
             &connect_timeout=3&channel_binding=prefer",
        )
        .unwrap();
        assert_eq!(config.host(), &Host::Tcp("db.example".into()));
        assert_eq!(config.port(), 6432);
        assert_eq!(config.user(), "an@user");
        assert_eq!(config.password().unwrap().as_bytes(), b"p:/ss");
        assert_eq!(config.database(), "my db");
        assert_eq!(config.ssl_mode, SslMode::Require);
        assert_eq!(
            config.ssl_root_cert.as_deref(),
            Some(Path::new("/etc/ca.pem"))
        );
        assert_eq!(config.application_name, "test");
        assert_eq!(config.options.as_deref(), Some("-c work_mem=1MB"));
        assert_eq!(config.connect_timeout, Some(Duration::from_secs(3)));
    }

    #[test]
    fn defaults_are_those_of_libpq() {
        let config = parse("postgres://me@localhost").unwrap();
        assert_eq!((config.port(), config.database()), (5432, "me"));
        assert_eq!(config.ssl_mode, SslMode::Prefer);
        assert!(config.password().is_none());
    }

    #[test]
    fn unix_sockets_in_each_form() {
        for address in [
            "postgres://me@%2Fvar%2Frun:5433/db",
            "postgres://me@:5433/db?host=/var/run",
            "postgres:///db?host=/var/run&user=me&port=5433",
        ] {
            let config = parse(address).unwrap();
            assert_eq!(config.host(), &Host::Unix("/var/run".into()), "{address}");
            assert_eq!(
                config.socket_file(),
                Some("/var/run/.s.PGSQL.5433".into()),
                "{address}"
            );
        }
    }

    #[test]
    fn ipv6_hosts_have_brackets() {
        let config = parse("postgres://me@[::1]:5433/db").unwrap();
        assert_eq!(
            (config.host(), config.port()),
            (&Host::Tcp("::1".into()), 5433)
        );
        assert_eq!(config.to_string(), "postgres://me@[::1]:5433/db");
    }

    #[test]
    fn invalid_addresses_are_refused_with_a_reason() {
        let wrong = |address| parse(address).unwrap_err();
        assert_eq!(wrong("mysql://me@h/db"), ParseConfigError::Scheme);
        assert_eq!(wrong("postgres://host/db"), ParseConfigError::NoUser);
        assert_eq!(wrong("postgres://me@/db"), ParseConfigError::NoHost);
        assert_eq!(
            wrong("postgres://me@a,b/db"),
            ParseConfigError::SeveralHosts
        );
        assert_eq!(
            wrong("postgres://me@a:0/db"),
            ParseConfigError::Port("0".into())
        );
        assert_eq!(
            wrong("postgres://m%ff@a/db"),
            ParseConfigError::NotUtf8("user")
        );
        assert_eq!(
            wrong("postgres://me@a/db?channel_binding=perhaps"),
            ParseConfigError::Value {
                parameter: "channel_binding",
                value: "perhaps".into()
            }
        );
        assert_eq!(
            wrong("postgres://me@a/db?sslmode=yes"),
            ParseConfigError::Value {
                parameter: "sslmode",
                value: "yes".into()
            }
        );
    }

    #[test]
    fn the_password_is_never_shown() {
        let config = parse("postgres://me:hunter2@h/db?password=hunter3").unwrap();
        assert_eq!(format!("{config:?} {config}").matches("hunter").count(), 0);
        assert!(config.password().unwrap().matches(b"hunter3"));
        assert!(!config.password().unwrap().matches(b"hunter2"));
    }
}
