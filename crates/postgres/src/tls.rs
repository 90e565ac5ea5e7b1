//! TLS as `sslmode` understands it.
//!
//! libpq verifies nothing unless it is told to, and people's addresses count on that: `require`
//! means that nobody who only listens can read. Whoever wants to be sure of the server says
//! `verify-full`. As with libpq, `require` together with `sslrootcert` verifies the authority.
//!
//! The authorities are those in `sslrootcert`, if given; else the system's together with Mozilla's
//! (compiled in), so that an image without certificates works too. Cryptography is ring's.

use std::sync::{Arc, LazyLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::asn1_rs::Oid;
use x509_parser::oid_registry::*;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::signature_algorithm::SignatureAlgorithm;

use crate::{Config, Error, SslMode};

/// Makes the stream a TLS one, verified as far as the configuration asks.
pub(crate) async fn handshake(
    config: &Config,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Error> {
    let name = ServerName::try_from(host.to_owned()).map_err(failed)?;
    TlsConnector::from(client_config(config)?)
        .connect(name, stream)
        .await
        .map_err(failed)
}

/// What a login over this stream is bound to (`tls-server-end-point`, RFC 5929, section 4): the hash
/// of the server's certificate, by the hash function of its signature, but never MD5 or SHA-1.
/// Nothing for signatures that have no hash function of their own, such as Ed25519.
pub(crate) fn server_end_point(stream: &TlsStream<TcpStream>) -> Option<Vec<u8>> {
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates()?.first()?;
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let algorithm = SignatureAlgorithm::try_from(&parsed.signature_algorithm).ok()?;
    let parameters_hash = match &algorithm {
        SignatureAlgorithm::RSASSA_PSS(parameters) => Some(parameters.hash_algorithm_oid()),
        _ => None,
    };
    let oid = parameters_hash.unwrap_or(&parsed.signature_algorithm.algorithm);
    let is_one_of = |oids: &[Oid<'_>]| oids.contains(oid);
    if is_one_of(&[
        OID_PKCS1_MD5WITHRSAENC,
        OID_PKCS1_SHA1WITHRSA,
        OID_PKCS1_SHA256WITHRSA,
        OID_SIG_ECDSA_WITH_SHA256,
        OID_HASH_SHA1,
        OID_NIST_HASH_SHA256,
    ]) {
        Some(Sha256::digest(certificate).to_vec())
    } else if is_one_of(&[
        OID_PKCS1_SHA384WITHRSA,
        OID_SIG_ECDSA_WITH_SHA384,
        OID_NIST_HASH_SHA384,
    ]) {
        Some(Sha384::digest(certificate).to_vec())
    } else if is_one_of(&[
        OID_PKCS1_SHA512WITHRSA,
        OID_SIG_ECDSA_WITH_SHA512,
        OID_NIST_HASH_SHA512,
    ]) {
        Some(Sha512::digest(certificate).to_vec())
    } else {
        None
    }
}

fn client_config(config: &Config) -> Result<Arc<ClientConfig>, Error> {
    let root_cert = config
        .ssl_root_cert()
        .filter(|path| path.as_os_str() != "system");
    let verification = match config.ssl_mode() {
        SslMode::VerifyFull => Verification::Name,
        SslMode::VerifyCa => Verification::Authority,
        SslMode::Require if config.ssl_root_cert().is_some() => Verification::Authority,
        SslMode::Disable | SslMode::Prefer | SslMode::Require => Verification::Nothing,
    };
    match (verification, root_cert) {
        (Verification::Nothing, _) => Ok(UNVERIFIED.clone()),
        (Verification::Name, None) => USUAL_ROOTS.clone().map_err(Error::Tls),
        (Verification::Authority, None) => verifying(usual_roots(), verification),
        (_, Some(path)) => {
            let unreadable = |reason: &dyn std::fmt::Display| {
                Error::Tls(format!("{}: {reason}", path.display()))
            };
            let mut roots = RootCertStore::empty();
            for certificate in
                CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?
            {
                roots
                    .add(certificate.map_err(|error| unreadable(&error))?)
                    .map_err(|error| unreadable(&error))?;
            }
            verifying(roots, verification)
        }
    }
}

/// Encrypts and believes whoever answers.
static UNVERIFIED: LazyLock<Arc<ClientConfig>> =
    LazyLock::new(|| with_verifier(Arc::new(Unverified(PROVIDER.clone()))));

/// `verify-full` without `sslrootcert`; kept because reading the system's store takes a while.
static USUAL_ROOTS: LazyLock<Result<Arc<ClientConfig>, String>> = LazyLock::new(|| {
    verifying(usual_roots(), Verification::Name).map_err(|error| error.to_string())
});

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));

#[derive(Clone, Copy)]
enum Verification {
    Nothing,
    Authority,
    Name,
}

fn usual_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    // Certificates of the system's that can't be read are left out; the others count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn verifying(roots: RootCertStore, verification: Verification) -> Result<Arc<ClientConfig>, Error> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), PROVIDER.clone())
        .build()
        .map_err(failed)?;
    Ok(match verification {
        Verification::Name | Verification::Nothing => with_verifier(verifier),
        Verification::Authority => with_verifier(Arc::new(AuthorityOnly(verifier))),
    })
}

fn with_verifier(verifier: Arc<dyn ServerCertVerifier>) -> Arc<ClientConfig> {
    #[expect(
        clippy::expect_used,
        reason = "ring's provider supports rustls' default versions"
    )]
    let builder = ClientConfig::builder_with_provider(PROVIDER.clone())
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3");
    Arc::new(
        builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth(),
    )
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Tls(error.to_string())
}

/// `require`: any certificate will do, but whoever shows it must hold its key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// `verify-ca`: everything but the name.
#[derive(Debug)]
struct AuthorityOnly(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AuthorityOnly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The name is the last thing that webpki looks at, so all else was right.
        match self
            .0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
