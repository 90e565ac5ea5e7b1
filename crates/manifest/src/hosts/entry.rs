//! One entry of `allowed_outbound_hosts`: `scheme://host[:port]`.
//!
//! | part | may be |
//! |---|---|
//! | scheme | letters, or `*` |
//! | host | a name, an address (IPv6 in brackets), `*`, `*.` before a domain, a network (`10.0.0.0/8`), `self` |
//! | port | a number, `*`, `first..end` without the end; left out, the scheme's own |
//!
//! A single `/` may follow, a path may not. The rules are those of Spin's
//! `crates/outbound-networking-config`; stricter than there are only entries that could never
//! allow anything (an upper-case scheme, an empty range).

use std::{fmt, ops::Range, str::FromStr};

use ipnet::IpNet;
use url::Host;

use super::{CHAINING_SUFFIX, Grant};

/// An entry of `allowed_outbound_hosts`, with its variables filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    scheme: Scheme,
    pub(super) host: HostPattern,
    ports: Ports,
}

/// Why an entry was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostError {
    /// The entry as the manifest has it, templates and all.
    written: String,
    /// What it became, unless that is the same, or secret.
    resolved: Option<String>,
    reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scheme {
    Any,
    Is(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostPattern {
    Any,
    /// The application itself, reached by a URL without host.
    Itself,
    /// Whatever ends with this, which begins with a dot.
    Under(String),
    Network(IpNet),
    Is(Host),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ports {
    Any,
    Is(u16),
    Within(Range<u16>),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("it is not of the form scheme://host[:port] (\"*://*:*\" allows everything)")]
    Form,
    #[error("the scheme `{0}` is not `*` or lower-case letters")]
    Scheme(String),
    #[error("the scheme `{0}` has no port of its own, so the entry must name one (`:*` is any)")]
    NoPort(String),
    #[error("`{0}` is not a port, a range `first..end`, or `*`")]
    Port(String),
    #[error("the range `{0}` is empty: its end does not belong to it")]
    EmptyRange(String),
    #[error("it has a path")]
    Path,
    #[error("a `*` in the host stands alone or for all that is before a domain (`*.example.com`)")]
    Wildcard,
    #[error("`{0}` is not a host")]
    Host(String),
    #[error("its value, which is secret and so not shown, is not scheme://host[:port]")]
    Secret,
}

impl AllowedHost {
    pub(super) fn grant(&self, scheme: &str, host: &Host, port: Option<u16>) -> Option<Grant> {
        let scheme_allowed = match &self.scheme {
            Scheme::Any => true,
            Scheme::Is(allowed) => allowed == scheme,
        };
        let port_allowed = match (&self.ports, port.or_else(|| default_port(scheme))) {
            (Ports::Any, _) => true,
            (_, None) => false,
            (Ports::Is(allowed), Some(port)) => *allowed == port,
            (Ports::Within(allowed), Some(port)) => allowed.contains(&port),
        };
        let grant = self.host.grant(host)?;
        (scheme_allowed && port_allowed).then_some(grant)
    }

    /// Whether a URL without host, meant for the application itself, is allowed.
    pub(super) fn allows_self(&self) -> bool {
        let http = match &self.scheme {
            Scheme::Any => true,
            Scheme::Is(scheme) => matches!(scheme.as_str(), "http" | "https"),
        };
        http && matches!(self.host, HostPattern::Any | HostPattern::Itself)
    }

    /// The same entry for another host.
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
            resolved: None,
            reason,
        })
    }
}

impl AllowedHost {
    fn parse(text: &str) -> Result<Self, Reason> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(Reason::Form)?;
        // An IPv6 address or network has colons of its own: what is a host as a whole has no port.
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
                Ok(Self::Is(scheme.to_owned()))
            }
            _ => Err(Reason::Scheme(scheme.to_owned())),
        }
    }
}

impl HostPattern {
    fn parse(host: &str) -> Result<Self, Reason> {
        match host.trim() {
            "*" => Ok(Self::Any),
            // Some SDKs cannot send a URL without host; Spin lets them write `self.alt` instead.
            "self" | "self.alt" => Ok(Self::Itself),
            host => match host.parse::<IpNet>() {
                Ok(network) => Ok(Self::Network(network.trunc())),
                Err(_) => Self::named(host.strip_suffix('/').unwrap_or(host)),
            },
        }
    }

    /// A name or an address, or `*.` and a name.
    fn named(host: &str) -> Result<Self, Reason> {
        let parse = |host: &str| Host::parse(host).map_err(|_| Reason::Host(host.to_owned()));
        match host {
            _ if host.contains('/') => Err(Reason::Path),
            _ if host.starts_with('{') => Err(Reason::Host(host.to_owned())),
            _ => match host.strip_prefix("*.") {
                Some(domain) if domain.contains('*') => Err(Reason::Wildcard),
                Some(domain) => match parse(domain)? {
                    Host::Domain(domain) => Ok(Self::Under(format!(".{domain}"))),
                    Host::Ipv4(_) | Host::Ipv6(_) => Err(Reason::Wildcard),
                },
                None if host.contains('*') => Err(Reason::Wildcard),
                None => parse(host).map(Self::Is),
            },
        }
    }

    fn grant(&self, host: &Host) -> Option<Grant> {
        let (allowed, grant) = match (self, host) {
            (Self::Any, _) => (true, Grant::Wildcard),
            (Self::Under(suffix), Host::Domain(domain)) => {
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
            (Self::Is(name), _) => (name == host, Grant::Named),
            (Self::Under(_) | Self::Network(_) | Self::Itself, _) => return None,
        };
        allowed.then_some(grant)
    }

    pub(super) fn is_every_component(&self) -> bool {
        matches!(self, Self::Under(suffix) if suffix == CHAINING_SUFFIX)
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
                .map(Self::Is)
                .ok_or_else(|| Reason::NoPort(scheme.to_owned())),
            ("*", _) => Ok(Self::Any),
            (_, None) => number(port).map(Self::Is),
            (_, Some((first, end))) => {
                let range = number(first)?..number(end)?;
                if range.is_empty() {
                    return Err(Reason::EmptyRange(port.to_owned()));
                }
                Ok(Self::Within(range))
            }
        }
    }
}

impl HostError {
    /// The error of a template that became this entry.
    pub(crate) fn of_template(self, template: String, secret: bool) -> Self {
        if secret {
            Self {
                written: template,
                resolved: None,
                reason: Reason::Secret,
            }
        } else {
            Self {
                resolved: (template != self.written).then_some(self.written),
                written: template,
                reason: self.reason,
            }
        }
    }
}

impl std::error::Error for HostError {}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an allowed outbound host: ", self.written)?;
        if let Some(resolved) = &self.resolved {
            write!(f, "it becomes {resolved:?}, and ")?;
        }
        self.reason.fmt(f)
    }
}

/// The port that a URL of this scheme means when it names none, as Spin knows them.
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
