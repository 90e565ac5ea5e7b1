//! The hosts that a component may call: `allowed_outbound_hosts`, as Spin reads it.
//!
//! An empty list denies every host. Entries are templates. A template that renders to nothing but
//! `http://` or `https://`, or to the empty string, allows nothing and is no error, so that an
//! endpoint can be optional. `http://*.spin.internal` stands for the components that run together, not
//! for every such name.
//!
//! This module checks names only. The host's connector checks the addresses that an allowed name
//! resolves to; [`Grant`] tells it whether the manifest names the host or only a wildcard covers it.

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

/// The hosts that a component may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts(Vec<AllowedHost>);

/// An entry of `allowed_outbound_hosts`, before its variables are rendered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct HostTemplate {
    /// `scheme://host[:port]`, may contain variables.
    pub template: Template,
    /// Location of the entry.
    #[serde(skip)]
    pub location: Location,
}

/// The kind of entry that allows a host, in ascending order of strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// A `*` matches it.
    Wildcard,
    /// The entry is a network (CIDR) that contains the address.
    Network,
    /// The entry is the host itself.
    Named,
}

/// Suffix of a component's host name, `<id>.spin.internal`. Spin calls these requests service
/// chaining.
const CHAINING_SUFFIX: &str = ".spin.internal";

impl AllowedHosts {
    /// Creates the list. `components` are the ids that `http://*.spin.internal` stands for.
    pub fn new<'c>(
        entries: impl IntoIterator<Item = AllowedHost>,
        components: impl IntoIterator<Item = &'c ComponentId, IntoIter: Clone>,
    ) -> Self {
        let components = components.into_iter();
        let mut hosts = Vec::new();
        for entry in entries {
            if entry.host.is_any_component() {
                hosts.extend(components.clone().map(|id| {
                    let name = format!("{}{CHAINING_SUFFIX}", id.as_str().to_ascii_lowercase());
                    entry.with_host(HostPattern::Exact(Host::Domain(name)))
                }));
            } else {
                hosts.push(entry);
            }
        }
        Self(hosts)
    }

    /// `true` if requests to this host are allowed.
    ///
    /// `scheme` is in lower case; `host` is a name or an address, IPv6 in brackets; the default of
    /// `port` is the scheme's.
    pub fn allows(&self, scheme: &str, host: &str, port: Option<u16>) -> bool {
        self.grant(scheme, host, port).is_some()
    }

    /// Returns the strongest grant among the entries that allow this host, or `None` if none does.
    pub fn grant(&self, scheme: &str, host: &str, port: Option<u16>) -> Option<Grant> {
        let host = Host::parse(host).ok()?;
        self.0
            .iter()
            .filter_map(|entry| entry.grant(scheme, &host, port))
            .max()
    }

    /// `true` if requests to the component's own application are allowed.
    pub fn allows_self(&self) -> bool {
        self.0.iter().any(AllowedHost::allows_self)
    }
}

impl HostTemplate {
    /// Renders the variables. Returns `None` if the result is empty.
    ///
    /// # Errors
    ///
    /// The result is invalid, or a variable has no value.
    pub fn resolve(&self, values: &Values) -> Result<Option<AllowedHost>, Error> {
        match values.render(&self.template) {
            Ok(value) => self.check(&value),
            Err(unresolved) => Err(self.location.clone().error(unresolved)),
        }
    }

    /// Checks the entry before the environment is known. Succeeds without a check if one of its
    /// variables has no default.
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
            let error = error.for_template(self.template.to_string(), value.is_secret());
            self.location.clone().error(error)
        })
    }
}

impl AllowedHost {
    /// Returns the id of the component that this entry names, if it names one.
    pub fn component(&self) -> Option<&str> {
        match &self.host {
            HostPattern::Exact(Host::Domain(domain)) => chained_component(domain),
            _ => None,
        }
    }
}

/// Returns the component id in the host `<id>.spin.internal` (with or without port).
pub fn chained_component(host: &str) -> Option<&str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let id = name.strip_suffix(CHAINING_SUFFIX)?;
    (!id.is_empty() && !id.contains('.')).then_some(id)
}

#[cfg(test)]
mod tests;
