//! Address of a bucket: the service's address and the position of the bucket's name in it.

use std::net::Ipv4Addr;

use http::Uri;
use http::uri::{Authority, Scheme};

/// Position of the bucket's name in a URL.
///
/// The default is [`Virtual`](Self::Virtual), which all clouds support. It is [`Path`](Self::Path) where
/// virtual hosts rarely work: for an IP address, `localhost`, a host of one label, an address with a port
/// or a path, and over HTTPS for a bucket name with dots, which no wildcard certificate covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// `https://host/bucket/key`
    Path,
    /// `https://bucket.host/key`
    Virtual,
}

/// Error of parsing the address of an S3 service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not `http://` or `https://` and a host.
    #[error("expected http:// or https:// and a host")]
    Address,
    /// The address contains a user; credentials have settings of their own.
    #[error("the address must not contain a user or password")]
    User,
    /// The address contains a query.
    #[error("the address must not contain a query")]
    Query,
}

/// Address of a bucket.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    scheme: Scheme,
    authority: Authority,
    /// Path before the key: empty, or begins with a slash and ends without one.
    path: String,
}

impl Endpoint {
    pub(crate) fn parse(
        address: &str,
        bucket: &str,
        addressing: Option<Addressing>,
    ) -> Result<Self, EndpointError> {
        let parts = address
            .parse::<Uri>()
            .map_err(|_| EndpointError::Address)?
            .into_parts();
        let scheme = parts.scheme.ok_or(EndpointError::Address)?;
        let authority = parts.authority.ok_or(EndpointError::Address)?;
        if authority.as_str().contains('@') {
            return Err(EndpointError::User);
        }
        if (scheme != Scheme::HTTP && scheme != Scheme::HTTPS) || authority.host().is_empty() {
            return Err(EndpointError::Address);
        }
        let (path, query) = match &parts.path_and_query {
            Some(path) => (path.path().trim_end_matches('/'), path.query()),
            None => ("", None),
        };
        if query.is_some() {
            return Err(EndpointError::Query);
        }
        let secure = scheme == Scheme::HTTPS;
        match addressing.unwrap_or_else(|| default_addressing(secure, &authority, path, bucket)) {
            Addressing::Path => Ok(Self {
                path: format!("{path}/{bucket}"),
                scheme,
                authority,
            }),
            Addressing::Virtual => Ok(Self {
                path: path.to_owned(),
                scheme,
                authority: format!("{bucket}.{authority}")
                    .parse()
                    .map_err(|_| EndpointError::Address)?,
            }),
        }
    }

    /// URL of `path` in the bucket (escaped, without the first slash) with `query`.
    pub(crate) fn uri(&self, path: &str, query: &str) -> Result<Uri, http::Error> {
        let slash = if path.is_empty() && !self.path.is_empty() {
            ""
        } else {
            "/"
        };
        let mark = if query.is_empty() { "" } else { "?" };
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(format!("{}{slash}{path}{mark}{query}", self.path))
            .build()
    }
}

fn default_addressing(secure: bool, authority: &Authority, path: &str, bucket: &str) -> Addressing {
    let host = authority.host();
    let address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
    let local = !host.contains('.') || host.ends_with(".localhost");
    let uncertified = secure && bucket.contains('.');
    if address || local || uncertified || authority.port().is_some() || !path.is_empty() {
        Addressing::Path
    } else {
        Addressing::Virtual
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_determines_the_position_of_the_bucket_s_name() {
        for (address, bucket, addressing, expected) in [
            (
                "https://s3.fr-par.scw.cloud",
                "b-1",
                None,
                "https://b-1.s3.fr-par.scw.cloud/k",
            ),
            (
                "https://s3.fr-par.scw.cloud/",
                "b-1",
                None,
                "https://b-1.s3.fr-par.scw.cloud/k",
            ),
            (
                "https://s3.example",
                "b.1",
                None,
                "https://s3.example/b.1/k",
            ),
            (
                "http://127.0.0.1:9000",
                "b-1",
                None,
                "http://127.0.0.1:9000/b-1/k",
            ),
            ("http://10.0.0.1", "b-1", None, "http://10.0.0.1/b-1/k"),
            ("http://[::1]", "b-1", None, "http://[::1]/b-1/k"),
            ("http://localhost", "b-1", None, "http://localhost/b-1/k"),
            (
                "http://s3.localhost",
                "b-1",
                None,
                "http://s3.localhost/b-1/k",
            ),
            ("http://minio", "b-1", None, "http://minio/b-1/k"),
            (
                "https://s3.example:8443",
                "b-1",
                None,
                "https://s3.example:8443/b-1/k",
            ),
            (
                "https://a.example/storage/s3/",
                "b-1",
                None,
                "https://a.example/storage/s3/b-1/k",
            ),
            (
                "https://s3.example",
                "b-1",
                Some(Addressing::Path),
                "https://s3.example/b-1/k",
            ),
            (
                "http://s3.localhost:9000",
                "b-1",
                Some(Addressing::Virtual),
                "http://b-1.s3.localhost:9000/k",
            ),
        ] {
            let endpoint = Endpoint::parse(address, bucket, addressing).unwrap();
            assert_eq!(
                endpoint.uri("k", "").unwrap().to_string(),
                expected,
                "{address}"
            );
        }
    }

    #[test]
    fn an_empty_path_addresses_the_bucket() {
        for (addressing, expected) in [
            (Addressing::Path, "https://s3.example/prints?a=b"),
            (Addressing::Virtual, "https://prints.s3.example/?a=b"),
        ] {
            let endpoint = Endpoint::parse("https://s3.example", "prints", Some(addressing));
            assert_eq!(
                endpoint.unwrap().uri("", "a=b").unwrap().to_string(),
                expected
            );
        }
    }

    #[test]
    fn an_invalid_address_is_refused() {
        for (address, expected) in [
            ("", EndpointError::Address),
            ("s3.example", EndpointError::Address),
            ("/path", EndpointError::Address),
            ("ftp://s3.example", EndpointError::Address),
            ("https://", EndpointError::Address),
            ("https://id:key@s3.example", EndpointError::User),
            ("https://s3.example/?key=1", EndpointError::Query),
        ] {
            let refused = Endpoint::parse(address, "prints", None).unwrap_err();
            assert_eq!(refused, expected, "{address}");
        }
    }
}
