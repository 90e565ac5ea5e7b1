//! Where a database is and who connects to it: `postgres://` addresses as libpq reads them.
//!
//! An address becomes a [`Config`] or an error that names what is wrong with it; nothing is read
//! from `PG*` variables or a password file, so what a log line shows is what is used. The grammar
//! and the meaning of each parameter are libpq's
//! (<https://www.postgresql.org/docs/current/libpq-connect.html>, 34.1.1.2 and 34.1.2), with these
//! limits: one host, and only the parameters listed at [`Config`]. A parameter that would weaken or
//! change the connection if it were ignored is an error.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use subtle::ConstantTimeEq;

/// How to reach one database as one role.
///
/// Made from an address with [`FromStr`]:
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
/// Parameters understood after `?`: `host` (a path means a Unix socket's folder), `port`, `user`,
/// `password`, `dbname`, `sslmode`, `sslrootcert` (a PEM file, or `system`), `application_name`,
/// `options`, `connect_timeout` (seconds, default 10, 0 means no limit).
#[derive(Clone)]
pub struct Config {
    host: Host,
    port: u16,
    user: String,
    password: Option<Password>,
    database: String,
    ssl_mode: SslMode,
    ssl_root_cert: Option<PathBuf>,
    channel_binding: ChannelBinding,
    application_name: String,
    options: Option<String>,
    connect_timeout: Option<Duration>,
}

impl Config {
    /// The server's host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The server's port; for a Unix socket it is part of the socket's file name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The role to log in as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The role's password, if the address has one.
    pub fn password(&self) -> Option<&Password> {
        self.password.as_ref()
    }

    /// The database's name; the user's name if the address has none, as with libpq.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// How much TLS is asked for. Unix sockets never use TLS.
    pub fn ssl_mode(&self) -> SslMode {
        self.ssl_mode
    }

    /// The PEM file with the certificate authorities to trust instead of the usual ones.
    pub fn ssl_root_cert(&self) -> Option<&Path> {
        self.ssl_root_cert.as_deref()
    }

    /// Whether the login is bound to its TLS connection.
    pub fn channel_binding(&self) -> ChannelBinding {
        self.channel_binding
    }

    /// The name that `pg_stat_activity` shows; `tirage` by default.
    pub fn application_name(&self) -> &str {
        &self.application_name
    }

    /// Command-line options for the session (`-c name=value`).
    pub fn options(&self) -> Option<&str> {
        self.options.as_deref()
    }

    /// The longest that connecting may take, from the first packet to the end of authentication.
    pub fn connect_timeout(&self) -> Option<Duration> {
        self.connect_timeout
    }

    /// The same server and database, as another role.
    pub fn with_user(&self, user: impl Into<String>, password: Option<Password>) -> Self {
        Self {
            user: user.into(),
            password,
            ..self.clone()
        }
    }

    /// The same server and role, in another database.
    pub fn with_database(&self, database: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            ..self.clone()
        }
    }

    /// The same, under another name in `pg_stat_activity`.
    pub fn with_application_name(&self, name: impl Into<String>) -> Self {
        Self {
            application_name: name.into(),
            ..self.clone()
        }
    }

    /// The Unix socket's file, as libpq names it: `<folder>/.s.PGSQL.<port>`.
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

        let mut parts = Parts::default();
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        };
        parts.user = text("user", user)?;
        parts.password = password.map(bytes);
        parts.database = text("database", path)?;
        parts.read_location(location)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| ParseConfigError::NoValue(pair.to_owned()))?;
            parts.read_parameter(&text("parameter", key)?, value)?;
        }
        parts.finish()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Config({self})")
    }
}

/// The address without its password and parameters, for logs and messages.
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

/// RFC 3986's unreserved characters stay readable.
const RESERVED: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name or an IP address (without brackets).
    Tcp(String),
    /// The folder of a Unix socket.
    Unix(PathBuf),
}

/// How much TLS a connection asks for, in libpq's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server offers it; nothing is verified. The default, as with libpq.
    #[default]
    Prefer,
    /// Always; the certificate is verified only where `sslrootcert` says against what.
    Require,
    /// Always, with a certificate that a trusted authority signed, whatever name it bears.
    VerifyCa,
    /// Always, with a certificate that a trusted authority signed for this host.
    VerifyFull,
}

/// Whether a login is bound to its TLS connection, so that nobody between us and the server can pass it
/// on (SCRAM-SHA-256-PLUS, RFC 5802 and 7677), in libpq's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where the server offers it. The default, as with libpq.
    #[default]
    Prefer,
    /// Always; a login without it is refused.
    Require,
}

/// A password that is never shown and is compared in constant time.
#[derive(Clone)]
pub struct Password(Vec<u8>);

impl Password {
    /// Wraps a password's bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes themselves, for whoever must use them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the guess is right, in a time that tells only the guess's length.
    pub fn matches(&self, guess: &[u8]) -> bool {
        self.0.ct_eq(guess).into()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Why an address is refused. No message repeats a password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseConfigError {
    /// The address is not a Postgres address.
    #[error("a database address starts with postgres:// or postgresql://")]
    Scheme,
    /// A percent escape hides bytes that are not UTF-8.
    #[error("the {0} is not UTF-8 once decoded")]
    NotUtf8(&'static str),
    /// Nobody to log in as.
    #[error("the address names no user")]
    NoUser,
    /// Nowhere to connect to.
    #[error("the address names no host (for a Unix socket: ?host=/folder)")]
    NoHost,
    /// A list of hosts.
    #[error("the address names several hosts; one is supported")]
    SeveralHosts,
    /// A port that is no number from 1 to 65535.
    #[error("`{0}` is not a port")]
    Port(String),
    /// An unknown or unsupported parameter.
    #[error("the parameter `{0}` is not supported")]
    Parameter(String),
    /// A parameter without `=`.
    #[error("the parameter `{0}` has no value")]
    NoValue(String),
    /// A known parameter with a value that has no meaning.
    #[error("`{value}` is not a value of the parameter `{parameter}`")]
    Value {
        /// The parameter.
        parameter: &'static str,
        /// What it was set to.
        value: String,
    },
}

/// What has been read of an address so far.
#[derive(Default)]
struct Parts {
    host: Option<Host>,
    port: Option<u16>,
    user: String,
    password: Option<Password>,
    database: String,
    ssl_mode: SslMode,
    ssl_root_cert: Option<PathBuf>,
    channel_binding: ChannelBinding,
    application_name: Option<String>,
    options: Option<String>,
    connect_timeout: Option<u64>,
}

impl Parts {
    /// Reads `host`, `host:port`, `[v6]:port`, `%2Ffolder:port` or nothing.
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
            self.host = Some(Host::Unix(host.into()));
        } else if !host.is_empty() {
            self.host = Some(Host::Tcp(host.to_owned()));
        }
        Ok(())
    }

    fn read_port(&mut self, port: &str) -> Result<(), ParseConfigError> {
        match port.parse() {
            Ok(number @ 1..) => self.port = Some(number),
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
            "application_name" => self.application_name = Some(value),
            "options" => self.options = Some(value),
            "connect_timeout" => {
                self.connect_timeout =
                    Some(value.parse().map_err(|_error| wrong("connect_timeout"))?);
            }
            "channel_binding" => {
                self.channel_binding = match &*value {
                    "disable" => ChannelBinding::Disable,
                    "prefer" => ChannelBinding::Prefer,
                    "require" => ChannelBinding::Require,
                    _ => return Err(wrong("channel_binding")),
                };
            }
            // These change nothing here, because what they ask for is what happens anyway.
            "gssencmode" if matches!(&*value, "prefer" | "disable") => {}
            "target_session_attrs" if value == "any" => {}
            _ => return Err(ParseConfigError::Parameter(key.to_owned())),
        }
        Ok(())
    }

    fn finish(self) -> Result<Config, ParseConfigError> {
        if self.user.is_empty() {
            return Err(ParseConfigError::NoUser);
        }
        let database = if self.database.is_empty() {
            self.user.clone()
        } else {
            self.database
        };
        Ok(Config {
            host: self.host.ok_or(ParseConfigError::NoHost)?,
            port: self.port.unwrap_or(5432),
            user: self.user,
            password: self.password,
            database,
            ssl_mode: self.ssl_mode,
            ssl_root_cert: self.ssl_root_cert,
            channel_binding: self.channel_binding,
            application_name: self.application_name.unwrap_or_else(|| "tirage".to_owned()),
            options: self.options,
            connect_timeout: match self.connect_timeout.unwrap_or(10) {
                0 => None,
                seconds => Some(Duration::from_secs(seconds)),
            },
        })
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
    use super::*;

    fn parse(address: &str) -> Result<Config, ParseConfigError> {
        address.parse()
    }

    #[test]
    fn every_part_of_an_address_is_read() {
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
        assert_eq!(config.ssl_mode(), SslMode::Require);
        assert_eq!(config.ssl_root_cert(), Some(Path::new("/etc/ca.pem")));
        assert_eq!(config.application_name(), "test");
        assert_eq!(config.options(), Some("-c work_mem=1MB"));
        assert_eq!(config.connect_timeout(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn defaults_are_those_of_libpq() {
        let config = parse("postgres://me@localhost").unwrap();
        assert_eq!((config.port(), config.database()), (5432, "me"));
        assert_eq!(config.ssl_mode(), SslMode::Prefer);
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
    fn what_is_wrong_is_named() {
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
