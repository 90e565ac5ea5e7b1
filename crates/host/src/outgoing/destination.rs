//! Destination of an outgoing request. It is parsed once, so that the policy, the connection and the
//! `host` header use the same host.
//!
//! Hosts are parsed as in browsers (<https://url.spec.whatwg.org/#host-parsing>). So every notation of
//! an address (`0x7f.1`, `2130706433`) or a name (upper case, IDN) means the same in all parts of this
//! program.

use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method, Uri};
use url::Host;
use wasmtime_wasi_http::Error;

use crate::Request;

/// Host name by which a component calls its own application. Spin also accepts URLs without a host,
/// which the bindings of WASI 0.3 can't send.
const OWN_APPLICATION: &str = "self.alt";

/// Scheme, host and port of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    pub(super) host: Host,
    pub(super) port: u16,
}

impl Destination {
    /// Parses the destination of `uri`.
    ///
    /// # Errors
    /// The scheme isn't `http` or `https`, or the authority isn't a host with an optional port. User
    /// information (`http://allowed@127.0.0.1`) is refused, because it serves only to mislead (RFC 9110,
    /// section 4.2.4).
    pub(super) fn parse(uri: &Uri) -> Result<Self, Error> {
        let (scheme, default_port) = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => ("http", 80),
            Some(scheme) if *scheme == Scheme::HTTPS => ("https", 443),
            _ => return Err(Error::HttpProtocolError),
        };
        let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
        // `Authority::port` returns `None` both for an invalid and for an absent port.
        let host = authority.host();
        let port = match authority.as_str().strip_prefix(host) {
            Some("" | ":") => Some(default_port),
            Some(port) => port.strip_prefix(':').and_then(|port| {
                let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
                port.parse().ok().filter(|_| is_number)
            }),
            // The authority begins with user information.
            None => None,
        };
        Ok(Self {
            scheme,
            host: Host::parse(host).map_err(|_| Error::HttpRequestUriInvalid)?,
            port: port.ok_or(Error::HttpRequestUriInvalid)?,
        })
    }

    /// Returns the host name; `None` for an address.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.host {
            Host::Domain(name) => Some(name),
            Host::Ipv4(_) | Host::Ipv6(_) => None,
        }
    }

    /// `true` if it is the component's own application.
    pub(super) fn is_own_application(&self) -> bool {
        self.name() == Some(OWN_APPLICATION)
    }

    /// Sets the authority and the `host` header of a request to this destination.
    ///
    /// # Errors
    /// The method is `CONNECT`, which requests a tunnel to another host.
    pub(super) fn write_to(&self, request: &mut Request) -> Result<(), Error> {
        if request.method() == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let invalid = |_| Error::HttpRequestUriInvalid;
        let authority = self.to_string();
        let host = HeaderValue::try_from(&authority).map_err(|_| Error::HttpRequestUriInvalid)?;
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.authority = Some(Authority::try_from(authority).map_err(invalid)?);
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Error::HttpRequestUriInvalid)?;
        request.headers_mut().insert(HOST, host);
        Ok(())
    }
}

/// Formats the destination as an authority, with the port unless it is the scheme's default.
impl std::fmt::Display for Destination {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.scheme, self.port) {
            ("http", 80) | ("https", 443) => self.host.fmt(formatter),
            _ => write!(formatter, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Empty};

    use super::*;

    fn parse(uri: &str) -> Result<String, Error> {
        Destination::parse(&uri.parse().unwrap()).map(|destination| destination.to_string())
    }

    #[test]
    fn addresses_are_normalized() {
        for (uri, host) in [
            ("http://2130706433/", "127.0.0.1"),
            ("http://0x7f.1/", "127.0.0.1"),
            ("http://017700000001/", "127.0.0.1"),
            ("http://127.1/", "127.0.0.1"),
            ("http://0/", "0.0.0.0"),
            ("http://[0:0::1]:8080/", "[::1]:8080"),
            ("http://[::ffff:7f00:1]/", "[::ffff:7f00:1]"),
        ] {
            assert_eq!(parse(uri).unwrap(), host, "{uri}");
        }
    }

    #[test]
    fn names_and_ports_are_normalized() {
        for (uri, host) in [
            ("HTTP://EXAMPLE.com:80/a", "example.com"),
            ("https://example.com:443", "example.com"),
            ("https://example.com:80", "example.com:80"),
            ("http://xn--mnchen-3ya.test", "xn--mnchen-3ya.test"),
            ("http://localhost./", "localhost."),
            ("http://example.com:", "example.com"),
            ("http://example.com:080", "example.com"),
        ] {
            assert_eq!(parse(uri).unwrap(), host, "{uri}");
        }
    }

    #[test]
    fn misleading_authorities_are_errors() {
        for uri in [
            "http://allowed@127.0.0.1/",
            "http://allowed:80@127.0.0.1/",
            "http://@127.0.0.1/",
            "http://127.0.0.1:99999/",
            "http://127.0.0.1:+80/",
            "http://example.com@example.com/",
            "http://1.2.3.4.5/",
            "http://256.1.1.1/",
            "http://a_b|c/",
        ] {
            // Some aren't URIs.
            let Ok(uri) = uri.parse() else { continue };
            assert!(Destination::parse(&uri).is_err(), "{uri}");
        }
        for uri in ["ftp://example.com", "/relative"] {
            assert!(parse(uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn the_authority_and_the_host_header_are_replaced() {
        let request = |method: Method| {
            http::Request::builder()
                .method(method)
                .uri("http://0x7f.1:8080/path?query")
                .header(HOST, "other.test")
                .header(HOST, "third.test")
                .body(Empty::new().map_err(|never| match never {}).boxed_unsync())
                .unwrap()
        };
        let mut get = request(Method::GET);
        Destination::parse(get.uri())
            .unwrap()
            .write_to(&mut get)
            .unwrap();
        assert_eq!(get.uri(), "http://127.0.0.1:8080/path?query");
        let hosts: Vec<_> = get.headers().get_all(HOST).iter().collect();
        assert_eq!(hosts, ["127.0.0.1:8080"]);

        let mut connect = request(Method::CONNECT);
        let destination = Destination::parse(connect.uri()).unwrap();
        assert!(matches!(
            destination.write_to(&mut connect),
            Err(Error::HttpRequestMethodInvalid)
        ));
    }

    #[test]
    fn the_own_application_has_one_name() {
        let is_own_application = |uri: &str| {
            Destination::parse(&uri.parse().unwrap())
                .unwrap()
                .is_own_application()
        };
        assert!(is_own_application("http://self.alt/path"));
        assert!(is_own_application("https://SELF.alt:8080/"));
        assert!(!is_own_application("http://self/"));
        assert!(!is_own_application("http://self.alt.test/"));
    }
}
