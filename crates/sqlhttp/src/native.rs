//! The transport of ordinary programs: hyper over TCP, with TLS where the address is `https`.
//!
//! It follows no redirects and asks no proxies: what is in a request, credentials among it, goes to
//! the address that was named. Connections are kept and shared by clones. It needs a Tokio runtime
//! with time and network.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::transport::{Transport, TransportError};

/// How long an unused connection is kept. Neon keeps them longer, most proxies do.
const IDLE: Duration = Duration::from_secs(50);

/// Sends over the network.
#[derive(Clone)]
pub struct Native {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    max_answer_bytes: usize,
}

/// How a [`Native`] behaves.
#[derive(Clone, Debug)]
pub struct NativeSettings {
    /// How much of an answer is collected, in bytes. Default: 10 MiB, which is Neon's own limit.
    pub max_answer_bytes: usize,
    /// How long a TCP connection may take to come about. Default: 5 s.
    pub connect_timeout: Duration,
    /// Whose word on `https` counts.
    pub authorities: Authorities,
}

/// Who may vouch for a server.
#[derive(Clone, Debug, Default)]
pub enum Authorities {
    /// The system's authorities together with Mozilla's, which are compiled in.
    #[default]
    Usual,
    /// These certificates (PEM) and no others.
    Only(Vec<u8>),
}

/// The authorities can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the authorities' certificates can't be used: {0}")]
pub struct AuthoritiesError(String);

impl Default for NativeSettings {
    fn default() -> Self {
        Self {
            max_answer_bytes: 10 << 20,
            connect_timeout: Duration::from_secs(5),
            authorities: Authorities::default(),
        }
    }
}

impl Native {
    /// A transport. Nothing is sent yet.
    ///
    /// # Errors
    /// [`AuthoritiesError`] if there are no authorities, or they aren't certificates in PEM.
    pub fn new(settings: NativeSettings) -> Result<Self, AuthoritiesError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // Small requests and answers must not wait for each other's acknowledgement.
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(settings.connect_timeout));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(&settings.authorities)?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        Ok(Self {
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .build(connector),
            max_answer_bytes: settings.max_answer_bytes,
        })
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Native")
            .field("max_answer_bytes", &self.max_answer_bytes)
            .finish_non_exhaustive()
    }
}

impl Transport for Native {
    async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let response = self
            .client
            .request(request.map(Full::new))
            .await
            .map_err(|error| failure(&error))?;
        let (head, body) = response.into_parts();
        let limit = self.max_answer_bytes;
        let body = Limited::new(body, limit).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                TransportError::AnswerTooLarge { limit }
            } else {
                TransportError::Broken(error.to_string())
            }
        })?;
        Ok(http::Response::from_parts(head, body.to_bytes()))
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(duration)
    }
}

/// Nothing was sent if there was no connection, or if the one there was had ended before hyper gave
/// the request to it.
fn failure(error: &ClientError) -> TransportError {
    let never_sent = error
        .source()
        .and_then(|source| source.downcast_ref::<hyper::Error>())
        .is_some_and(hyper::Error::is_canceled);
    if error.is_connect() || never_sent {
        TransportError::Unreachable(explain(error))
    } else {
        TransportError::Broken(explain(error))
    }
}

/// The error with its causes: hyper's own text names none.
fn explain(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn tls(authorities: &Authorities) -> Result<ClientConfig, AuthoritiesError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    #[expect(clippy::expect_used, reason = "ring supports the default versions")]
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3");
    Ok(builder
        .with_root_certificates(roots(authorities)?)
        .with_no_client_auth())
}

fn roots(authorities: &Authorities) -> Result<RootCertStore, AuthoritiesError> {
    let unusable = |error: &dyn fmt::Display| AuthoritiesError(error.to_string());
    let mut roots = RootCertStore::empty();
    match authorities {
        Authorities::Usual => {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            // Certificates of the system's that can't be read are left out; the others count.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Authorities::Only(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots
                    .add(certificate.map_err(|error| unusable(&error))?)
                    .map_err(|error| unusable(&error))?;
            }
        }
    }
    match roots.is_empty() {
        true => Err(AuthoritiesError("there are none".to_owned())),
        false => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(pem: &[u8]) -> Result<Native, AuthoritiesError> {
        Native::new(NativeSettings {
            authorities: Authorities::Only(pem.to_vec()),
            ..NativeSettings::default()
        })
    }

    #[test]
    fn authorities_that_say_nothing_are_refused_and_not_replaced_by_the_usual_ones() {
        for pem in [
            &b""[..],
            b"nothing",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(only(pem).is_err());
        }
        assert!(Native::new(NativeSettings::default()).is_ok());
    }
}
