//! What a component may reach: `allowed_outbound_hosts` as Spin reads it.
//!
//! An empty list denies everything. Entries are templates; one that becomes empty, or only
//! `http://` or `https://`, because its variable is empty allows nothing and is no error, so that
//! an endpoint can be optional. `http://*.spin.internal` stands for the components that run
//! together, not for any name.
//!
//! This is the manifest's word only. Whether an allowed name resolves to an address that should
//! not be reached is decided where the connection is made; for that, [`Grant`] tells whether the
//! manifest named the host or merely did not exclude it.

mod entry;

use serde::Serialize;
use url::Host;

use self::entry::HostPattern;
pub use self::entry::{AllowedHost, HostError};
use crate::{
    document::Item,
    error::{Error, Location},
    id::ComponentId,
    template::Template,
    variables::{Unresolved, Value, Values, Variables},
};

/// The hosts that a component may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts(Vec<AllowedHost>);

/// An entry of `allowed_outbound_hosts` as the manifest has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct HostTemplate {
    /// `scheme://host[:port]`, with variables.
    pub template: Template,
    /// Where it is written.
    #[serde(skip)]
    pub location: Location,
}

/// How an entry came to allow a host; the strongest is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// A `*` covers it.
    Wildcard,
    /// A network (CIDR) that contains the address is named.
    Network,
    /// The host itself is named.
    Named,
}

/// What follows a component's id in the host name that leads to it.
const CHAINING_SUFFIX: &str = ".spin.internal";

impl AllowedHosts {
    /// The list of these entries, for an application of these components.
    pub fn new<'c>(
        entries: impl IntoIterator<Item = AllowedHost>,
        components: impl IntoIterator<Item = &'c ComponentId, IntoIter: Clone>,
    ) -> Self {
        let components = components.into_iter();
        let mut hosts = Vec::new();
        for entry in entries {
            if entry.host.is_every_component() {
                hosts.extend(components.clone().map(|id| {
                    let name = format!("{}{CHAINING_SUFFIX}", id.as_str().to_ascii_lowercase());
                    entry.with_host(HostPattern::Is(Host::Domain(name)))
                }));
            } else {
                hosts.push(entry);
            }
        }
        Self(hosts)
    }

    /// Whether a request to this host is allowed.
    ///
    /// `scheme` is in lower case; `host` is a name or an address, IPv6 in brackets; without
    /// `port`, the scheme's own is meant.
    pub fn allows(&self, scheme: &str, host: &str, port: Option<u16>) -> bool {
        self.grant(scheme, host, port).is_some()
    }

    /// Like [`AllowedHosts::allows`], and how: by the strongest of the entries that allow it.
    pub fn grant(&self, scheme: &str, host: &str, port: Option<u16>) -> Option<Grant> {
        let host = Host::parse(host).ok()?;
        self.0
            .iter()
            .filter_map(|entry| entry.grant(scheme, &host, port))
            .max()
    }

    /// Whether a request to the application itself, by a URL without host, is allowed.
    pub fn allows_self(&self) -> bool {
        self.0.iter().any(AllowedHost::allows_self)
    }
}

impl HostTemplate {
    /// Fills in the variables; `None` if that leaves nothing.
    ///
    /// # Errors
    ///
    /// The result is not an allowed host; the error has the place in the manifest.
    pub fn resolve(&self, values: &Values) -> Result<Option<AllowedHost>, Error> {
        match values.render(&self.template) {
            Ok(value) => self.check(&value),
            Err(unresolved) => Err(self.location.clone().error(unresolved)),
        }
    }

    /// Checks what can be checked before the environment is known: all, if every variable has a
    /// default, and nothing else.
    pub(crate) fn check_defaults(&self, defaults: &Values) -> Result<Option<AllowedHost>, Error> {
        match defaults.render(&self.template) {
            Ok(value) => self.check(&value),
            Err(Unresolved(_)) => Ok(None),
        }
    }

    pub(crate) fn read(item: &Item<'_>, variables: &Variables) -> Result<Self, Error> {
        Ok(Self {
            template: variables.template(item)?,
            location: item.location(),
        })
    }

    fn check(&self, value: &Value) -> Result<Option<AllowedHost>, Error> {
        let text = value.reveal();
        if !self.template.is_literal() && matches!(text, "" | "http://" | "https://") {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|error: HostError| {
            let error = error.of_template(self.template.to_string(), value.is_secret());
            self.location.clone().error(error)
        })
    }
}

impl AllowedHost {
    /// The component that this entry names, if it names one.
    pub fn component(&self) -> Option<&str> {
        match &self.host {
            HostPattern::Is(Host::Domain(domain)) => chained_component(domain),
            _ => None,
        }
    }
}

/// The id of the component that the host `<id>.spin.internal` (with or without port) leads to.
pub fn chained_component(host: &str) -> Option<&str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let id = name.strip_suffix(CHAINING_SUFFIX)?;
    (!id.is_empty() && !id.contains('.')).then_some(id)
}

#[cfg(test)]
mod tests;
