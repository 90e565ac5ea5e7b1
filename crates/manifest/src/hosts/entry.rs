//! One entry of `allowed_outbound_hosts`: `scheme://host[:port]`.
//!
//! | part | may be |
//! |---|---|
//! | scheme | letters, or `*` |
//! | host | a name, an address (IPv6 in brackets), `*`, `*.` before a domain, a network (`10.0.0.0/8`), `self` |
//! | port | a number, `*`, or `first..end` without the end; the default is the scheme's |
//!
//! One `/` may follow, a path may not. The rules are those of Spin's
//! `crates/outbound-networking-config`. In addition, entries that can't match any host are errors (an
//! upper-case scheme, an empty range).

use std::{fmt, ops::Range, str::FromStr};

use ipnet::IpNet;
use url::Host;

use super::{CHAINING_SUFFIX, Grant};

/// An entry of `allowed_outbound_hosts`, with its variables rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    scheme: Scheme,
    pub(super) host: HostPattern,
    ports: Ports,
}

/// An invalid entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostError {
    /// The entry in the manifest, before its variables are rendered.
    written: String,
    /// The rendered entry, if it differs and isn't secret.
    rendered: Option<String>,
    reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scheme {
    Any,
    Exact(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostPattern {
    Any,
    /// The component's own application (`self`).
    OwnApplication,
    /// Every name with this suffix, which begins with a dot.
    Suffix(String),
    Network(IpNet),
    Exact(Host),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ports {
    Any,
    Exact(u16),
    Range(Range<u16>),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("expected scheme://host[:port] (\"*://*:*\" allows every host)")]
    Form,
    #[error("invalid scheme `{0}`: expected lower-case letters or `*`")]
    Scheme(String),
    #[error("the scheme `{0}` has no default port: add a port (`:*` allows every port)")]
    NoPort(String),
    #[error("invalid port `{0}`: expected a number, a range `first..end`, or `*`")]
    Port(String),
    #[error("the port range `{0}` is empty: it does not include its end")]
    EmptyRange(String),
    #[error("an allowed host has no path")]
    Path,
    #[error("a `*` must be the whole host or the first label (`*.example.com`)")]
    Wildcard,
    #[error("invalid host name `{0}`")]
    Host(String),
    #[error("its value is not of the form scheme://host[:port]; it is secret and not shown")]
    Secret,
}

impl AllowedHost {
    pub(super) fn grant(&self, scheme: &str, host: &Host, port: Option<u16>) -> Option<Grant> {
        let scheme_allowed = match &self.scheme {
            Scheme::Any => true,
            Scheme::Exact(allowed) => allowed == scheme,
        };
        let port_allowed = match (&self.ports, port.or_else(|| default_port(scheme))) {
            (Ports::Any, _) => true,
            (_, None) => false,
            (Ports::Exact(allowed), Some(port)) => *allowed == port,
            (Ports::Range(allowed), Some(port)) => allowed.contains(&port),
        };
        let grant = self.host.grant(host)?;
        (scheme_allowed && port_allowed).then_some(grant)
    }

    /// `true` if the entry allows requests to the component's own application.
    pub(super) fn allows_self(&self) -> bool {
        let http = match &self.scheme {
            Scheme::Any => true,
            Scheme::Exact(scheme) => matches!(scheme.as_str(), "http" | "https"),
        };
        http && matches!(self.host, HostPattern::Any | HostPattern::OwnApplication)
    }

    /// Returns the same entry for another host.
    pub(super) fn with_host(&self, host: HostPattern) -> Self {
        Self {
            host,
            ..self.clone()
        }
    }
}

impl FromStr for AllowedHost {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        Self::parse(text).map_err(|reason| HostError {
            written: text.to_owned(),
            rendered: None,
            reason,
        })
    }
}

impl AllowedHost {
    fn parse(text: &str) -> Result<Self, Reason> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(Reason::Form)?;
        // IPv6 addresses and networks contain colons: if the whole text is a host, it has no port.
        let (host, port) = match (HostPattern::parse(rest), rest.rsplit_once(':')) {
            (Err(_), Some((host, port))) => (HostPattern::parse(host), port),
            (whole, _) => (whole, ""),
        };
        Ok(Self {
            ports: Ports::parse(port, scheme)?,
            scheme: Scheme::parse(scheme)?,
            host: host?,
        })
    }
}

impl Scheme {
    fn parse(scheme: &str) -> Result<Self, Reason> {
        match scheme {
            "*" => Ok(Self::Any),
            _ if !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_lowercase()) => {
                Ok(Self::Exact(scheme.to_owned()))
            }
            _ => Err(Reason::Scheme(scheme.to_owned())),
        }
    }
}

impl HostPattern {
    fn parse(host: &str) -> Result<Self, Reason> {
        match host.trim() {
            "*" => Ok(Self::Any),
            // Some SDKs can't send a URL without host; Spin accepts `self.alt` from them instead.
            "self" | "self.alt" => Ok(Self::OwnApplication),
            host => match host.parse::<IpNet>() {
                Ok(network) => Ok(Self::Network(network.trunc())),
                Err(_) => Self::parse_name(host.strip_suffix('/').unwrap_or(host)),
            },
        }
    }

    /// Parses a name, an address, or `*.` and a name.
    fn parse_name(host: &str) -> Result<Self, Reason> {
        let parse = |host: &str| Host::parse(host).map_err(|_| Reason::Host(host.to_owned()));
        match host {
            _ if host.contains('/') => Err(Reason::Path),
            _ if host.starts_with('{') => Err(Reason::Host(host.to_owned())),
            _ => match host.strip_prefix("*.") {
                Some(domain) if domain.contains('*') => Err(Reason::Wildcard),
                Some(domain) => match parse(domain)? {
                    Host::Domain(domain) => Ok(Self::Suffix(format!(".{domain}"))),
                    Host::Ipv4(_) | Host::Ipv6(_) => Err(Reason::Wildcard),
                },
                None if host.contains('*') => Err(Reason::Wildcard),
                None => parse(host).map(Self::Exact),
            },
        }
    }

    fn grant(&self, host: &Host) -> Option<Grant> {
        let (allowed, grant) = match (self, host) {
            (Self::Any, _) => (true, Grant::Wildcard),
            (Self::Suffix(suffix), Host::Domain(domain)) => {
                (domain.ends_with(suffix), Grant::Wildcard)
            }
            (Self::Network(network), Host::Ipv4(address)) => (
                network.contains(&std::net::IpAddr::from(*address)),
                Grant::Network,
            ),
            (Self::Network(network), Host::Ipv6(address)) => (
                network.contains(&std::net::IpAddr::from(*address)),
                Grant::Network,
            ),
            (Self::Exact(name), _) => (name == host, Grant::Named),
            (Self::Suffix(_) | Self::Network(_) | Self::OwnApplication, _) => return None,
        };
        allowed.then_some(grant)
    }

    pub(super) fn is_any_component(&self) -> bool {
        matches!(self, Self::Suffix(suffix) if suffix == CHAINING_SUFFIX)
    }
}

impl Ports {
    fn parse(port: &str, scheme: &str) -> Result<Self, Reason> {
        let port = match port.split_once('/') {
            Some((_, path)) if !path.is_empty() => return Err(Reason::Path),
            Some((port, _)) => port,
            None => port,
        };
        let number = |text: &str| text.parse().map_err(|_| Reason::Port(port.to_owned()));
        match (port, port.split_once("..")) {
            ("", _) => default_port(scheme)
                .map(Self::Exact)
                .ok_or_else(|| Reason::NoPort(scheme.to_owned())),
            ("*", _) => Ok(Self::Any),
            (_, None) => number(port).map(Self::Exact),
            (_, Some((first, end))) => {
                let range = number(first)?..number(end)?;
                if range.is_empty() {
                    return Err(Reason::EmptyRange(port.to_owned()));
                }
                Ok(Self::Range(range))
            }
        }
    }
}

impl HostError {
    /// Converts the error of a rendered entry into the error of its template. Hides a secret value.
    pub(crate) fn for_template(self, template: String, secret: bool) -> Self {
        if secret {
            Self {
                written: template,
                rendered: None,
                reason: Reason::Secret,
            }
        } else {
            Self {
                rendered: (template != self.written).then_some(self.written),
                written: template,
                reason: self.reason,
            }
        }
    }
}

impl std::error::Error for HostError {}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid allowed outbound host {:?}", self.written)?;
        if let Some(rendered) = &self.rendered {
            write!(f, " (with its variables: {rendered:?})")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Returns the default port of a scheme, for the schemes that Spin knows.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "postgres" => Some(5432),
        "mysql" => Some(3306),
        "redis" => Some(6379),
        "mqtt" => Some(1883),
        _ => None,
    }
}
