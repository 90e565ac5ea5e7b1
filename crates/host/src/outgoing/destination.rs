//! Where a request goes, read once: what policy judges is what is connected to, and what is said to
//! be the host.
//!
//! Hosts are read as browsers read them (<https://url.spec.whatwg.org/#host-parsing>), so there is no
//! spelling of an address (`0x7f.1`, `2130706433`) or name (upper case, IDN) that one part of this
//! program takes for something else than another part does.

use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method, Uri};
use url::Host;
use wasmtime_wasi_http::Error;

use crate::Request;

/// How a component calls its own application. Spin takes URLs without host for that as well; the
/// bindings of WASI 0.3 can't send one.
const ITSELF: &str = "self.alt";

/// A host, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    pub(super) host: Host,
    pub(super) port: u16,
}

impl Destination {
    /// Where `uri` leads.
    ///
    /// # Errors
    /// If the scheme is another, or the authority isn't a host with maybe a port. One with a user's
    /// name (`http://allowed@127.0.0.1`) is refused: nobody needs it, and it is there to mislead
    /// (RFC 9110, section 4.2.4).
    pub(super) fn of(uri: &Uri) -> Result<Self, Error> {
        let (scheme, default_port) = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => ("http", 80),
            Some(scheme) if *scheme == Scheme::HTTPS => ("https", 443),
            _ => return Err(Error::HttpProtocolError),
        };
        let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
        // `Authority::port` doesn't tell a port that is none from none at all.
        let host = authority.host();
        let port = match authority.as_str().strip_prefix(host) {
            Some("" | ":") => Some(default_port),
            Some(port) => port.strip_prefix(':').and_then(|port| {
                let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
                port.parse().ok().filter(|_| is_number)
            }),
            // A user's name comes first.
            None => None,
        };
        Ok(Self {
            scheme,
            host: Host::parse(host).map_err(|_| Error::HttpRequestUriInvalid)?,
            port: port.ok_or(Error::HttpRequestUriInvalid)?,
        })
    }

    /// Its name, if it isn't an address.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.host {
            Host::Domain(name) => Some(name),
            Host::Ipv4(_) | Host::Ipv6(_) => None,
        }
    }

    /// Whether it is the component's own application.
    pub(super) fn is_itself(&self) -> bool {
        self.name() == Some(ITSELF)
    }

    /// Writes it into a request, whose other words for it are replaced.
    ///
    /// # Errors
    /// For `CONNECT`, which asks for a tunnel to somewhere else.
    pub(super) fn apply(&self, request: &mut Request) -> Result<(), Error> {
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

/// As an authority: the port only if it isn't the scheme's own.
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

    fn read(uri: &str) -> Result<String, Error> {
        Destination::of(&uri.parse().unwrap()).map(|destination| destination.to_string())
    }

    #[test]
    fn an_address_has_one_spelling() {
        for (uri, host) in [
            ("http://2130706433/", "127.0.0.1"),
            ("http://0x7f.1/", "127.0.0.1"),
            ("http://017700000001/", "127.0.0.1"),
            ("http://127.1/", "127.0.0.1"),
            ("http://0/", "0.0.0.0"),
            ("http://[0:0::1]:8080/", "[::1]:8080"),
            ("http://[::ffff:7f00:1]/", "[::ffff:7f00:1]"),
        ] {
            assert_eq!(read(uri).unwrap(), host, "{uri}");
        }
    }

    #[test]
    fn a_name_has_one_spelling_and_a_port_only_where_it_says_something() {
        for (uri, host) in [
            ("HTTP://EXAMPLE.com:80/a", "example.com"),
            ("https://example.com:443", "example.com"),
            ("https://example.com:80", "example.com:80"),
            ("http://xn--mnchen-3ya.test", "xn--mnchen-3ya.test"),
            ("http://localhost./", "localhost."),
            ("http://example.com:", "example.com"),
            ("http://example.com:080", "example.com"),
        ] {
            assert_eq!(read(uri).unwrap(), host, "{uri}");
        }
    }

    #[test]
    fn what_misleads_is_refused() {
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
            // Some are no URI at all.
            let Ok(uri) = uri.parse() else { continue };
            assert!(Destination::of(&uri).is_err(), "{uri}");
        }
        for uri in ["ftp://example.com", "/relative"] {
            assert!(read(uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn a_request_says_where_it_goes_and_nothing_else() {
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
        Destination::of(get.uri()).unwrap().apply(&mut get).unwrap();
        assert_eq!(get.uri(), "http://127.0.0.1:8080/path?query");
        let hosts: Vec<_> = get.headers().get_all(HOST).iter().collect();
        assert_eq!(hosts, ["127.0.0.1:8080"]);

        let mut connect = request(Method::CONNECT);
        let destination = Destination::of(connect.uri()).unwrap();
        assert!(matches!(
            destination.apply(&mut connect),
            Err(Error::HttpRequestMethodInvalid)
        ));
    }

    #[test]
    fn itself_is_one_name() {
        let is_itself = |uri: &str| Destination::of(&uri.parse().unwrap()).unwrap().is_itself();
        assert!(is_itself("http://self.alt/path"));
        assert!(is_itself("https://SELF.alt:8080/"));
        assert!(!is_itself("http://self/"));
        assert!(!is_itself("http://self.alt.test/"));
    }
}
