//! TLS with the semantics of libpq's `sslmode`.
//!
//! As in libpq, `require` encrypts but verifies nothing, except the authority if `sslrootcert` is set.
//! `verify-ca` verifies the authority, and `verify-full` the server's name as well.
//!
//! The authorities are those in `sslrootcert`, if set, else those that all clients trust
//! (`tirage_net::tls`).

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tirage_net::tls;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::asn1_rs::Oid;
use x509_parser::oid_registry::*;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::signature_algorithm::SignatureAlgorithm;

use crate::config::SslMode;
use crate::{Config, Error};

/// Starts TLS on the stream, and verifies the server as the configuration requires.
pub(crate) async fn handshake(
    config: &Config,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Error> {
    let name = ServerName::try_from(host.to_owned()).map_err(failed)?;
    TlsConnector::from(Arc::new(client_config(config)?))
        .connect(name, stream)
        .await
        .map_err(failed)
}

/// Returns the channel binding data of the stream (`tls-server-end-point`, RFC 5929, section 4): the hash
/// of the server's certificate by the hash function of its signature, with SHA-256 in place of MD5 and
/// SHA-1. `None` for signatures without a hash function of their own, such as Ed25519.
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

fn client_config(config: &Config) -> Result<ClientConfig, Error> {
    let verifies_authority = match config.ssl_mode {
        SslMode::VerifyFull => {
            let builder = tls::builder().with_root_certificates(roots(config)?);
            return Ok(builder.with_no_client_auth());
        }
        SslMode::VerifyCa => true,
        SslMode::Require => config.ssl_root_cert.is_some(),
        SslMode::Disable | SslMode::Prefer => false,
    };
    let authority = match verifies_authority {
        true => Some(
            WebPkiServerVerifier::builder_with_provider(roots(config)?, tls::provider())
                .build()
                .map_err(failed)?,
        ),
        false => None,
    };
    Ok(tls::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Nameless { authority }))
        .with_no_client_auth())
}

/// Returns the authorities in `sslrootcert`, or else the default ones.
fn roots(config: &Config) -> Result<Arc<RootCertStore>, Error> {
    let path = match &config.ssl_root_cert {
        Some(path) if path.as_os_str() != "system" => path,
        _ => return Ok(tls::roots()),
    };
    let unreadable =
        |reason: &dyn std::fmt::Display| Error::Tls(format!("{}: {reason}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))? {
        roots
            .add(certificate.map_err(|error| unreadable(&error))?)
            .map_err(|error| unreadable(&error))?;
    }
    Ok(roots.into())
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Tls(error.to_string())
}

/// A verifier for modes that don't verify the server's name. The server always has to prove that it holds
/// the certificate's key.
#[derive(Debug)]
struct Nameless {
    /// `verify-ca`: the certificate's authority is verified. `None` accepts any certificate.
    authority: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Nameless {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        // webpki verifies the name last, so everything else was valid.
        match authority.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        ) {
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
        let algorithms = tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
