//! The TLS client configuration: ring's cryptography, TLS 1.2 and 1.3, the system's root certificates.
//!
//! Mozilla's root certificates are compiled in and used where the system has none, so that an image
//! without certificates works too. Where the system has some they alone count: an operator who removes
//! an authority from the system's store means it.

use std::sync::{Arc, LazyLock};

use rustls::client::WantsClientCert;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));

/// Read once, because reading the system's store takes tens of milliseconds.
static ROOTS: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| Arc::new(load_roots()));

/// Returns a configuration that verifies servers against [`roots`] and offers `alpn` in this order.
/// An empty list sends no ALPN extension.
pub fn client_config(alpn: &[&[u8]]) -> ClientConfig {
    let builder: ConfigBuilder<ClientConfig, WantsClientCert> =
        builder().with_root_certificates(roots());
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

/// Returns a builder with the provider and the protocol versions set, for callers that verify
/// certificates in another way.
pub fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    #[expect(
        clippy::expect_used,
        reason = "ring's provider supports rustls' default versions"
    )]
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
}

/// Returns the cryptography that all clients use.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// Returns the root certificates that all clients trust, read at the first call.
pub fn roots() -> Arc<RootCertStore> {
    Arc::clone(&ROOTS)
}

fn load_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(%error, "cannot read a root certificate of the system");
    }
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        tracing::debug!("the system has no root certificates: using Mozilla's");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_trust_some_authorities_and_offer_what_the_caller_says() {
        assert!(!roots().is_empty());
        let config = client_config(&[b"h2", b"http/1.1"]);
        assert_eq!(
            config.alpn_protocols,
            [b"h2".to_vec(), b"http/1.1".to_vec()]
        );
        assert!(client_config(&[]).alpn_protocols.is_empty());
    }
}
