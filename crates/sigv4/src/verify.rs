//! Checks the signature in a request's headers, for a server.

use std::collections::BTreeSet;
use std::time::Duration;

use http::HeaderName;
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use jiff::Timestamp;
use subtle::ConstantTimeEq;

use crate::Secret;
use crate::canonical;
use crate::scope::{ALGORITHM, Scope, Service, hex, parse_time};
use crate::signer::{CONTENT_SHA256, DATE, UNSIGNED_PAYLOAD};

/// How far the two ends' clocks may be apart.
pub const MAX_SKEW: Duration = Duration::from_secs(15 * 60);

/// Why a request is refused. No message repeats a signature or a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no Authorization header.
    #[error("the request is not signed")]
    NotSigned,
    /// The signature or what belongs to it can't be read: what.
    #[error("{0}")]
    Malformed(&'static str),
    /// It was made for another day, region or service.
    #[error("the signature is for another day, region or service")]
    Scope,
    /// Nobody has that access key.
    #[error("the access key is not known")]
    UnknownKey,
    /// The clocks are more than [`MAX_SKEW`] apart.
    #[error("the request's time is too far from the server's")]
    Skew,
    /// A header that must be signed isn't: `host`, and all that begin with `x-amz-`.
    #[error("`host` and all `x-amz-` headers must be signed")]
    HeaderNotSigned,
    /// The body is not the one that was signed.
    #[error("the body doesn't have the SHA-256 that was signed")]
    Payload,
    /// The signature is another.
    #[error("the signature doesn't match")]
    Signature,
}

/// Checks the signature in `head`'s Authorization header; answers the access key's id.
///
/// `payload_sha256` is that of the body as received. `secret_of` knows the secrets by access key. A
/// body that was deliberately not signed (`UNSIGNED-PAYLOAD`) is accepted for S3 only.
///
/// Signatures are compared in a time that tells nothing of them.
///
/// # Errors
/// Whatever is wrong first.
pub fn verify<'a>(
    head: &'a Parts,
    payload_sha256: [u8; 32],
    region: &str,
    service: &Service,
    secret_of: impl FnOnce(&str) -> Option<Secret>,
    now: Timestamp,
) -> Result<&'a str, Refusal> {
    let authorization = Authorization::read(head)?;
    let time = head
        .headers
        .get(DATE)
        .and_then(|value| value.to_str().ok())
        .ok_or(Refusal::Malformed("there is no readable X-Amz-Date"))?;
    let sent = parse_time(time).ok_or(Refusal::Malformed("X-Amz-Date is not a time"))?;

    let scope = Scope::new(time, region, service);
    if authorization.scope != scope.to_string() {
        return Err(Refusal::Scope);
    }
    if now.duration_since(sent).unsigned_abs() > MAX_SKEW {
        return Err(Refusal::Skew);
    }
    authorization.signs_what_it_must(head)?;

    let payload = match head.headers.get(CONTENT_SHA256) {
        Some(value) if value == UNSIGNED_PAYLOAD && *service == Service::S3 => {
            UNSIGNED_PAYLOAD.to_owned()
        }
        Some(value) if value.as_bytes() != hex(&payload_sha256).as_bytes() => {
            return Err(Refusal::Payload);
        }
        _ => hex(&payload_sha256),
    };
    let secret = secret_of(authorization.access_key_id).ok_or(Refusal::UnknownKey)?;
    let query = head.uri.query().unwrap_or_default();
    let request = canonical::request(head, query, &authorization.signed, &payload, service)
        .ok_or(Refusal::Malformed("the request names no host"))?;
    let expected = hex(&scope.signature(&secret, &request));
    let same: bool = expected
        .as_bytes()
        .ct_eq(authorization.signature.as_bytes())
        .into();
    if same {
        Ok(authorization.access_key_id)
    } else {
        Err(Refusal::Signature)
    }
}

/// `AWS4-HMAC-SHA256 Credential=AKID/20130524/us-east-1/s3/aws4_request, SignedHeaders=…, Signature=…`
struct Authorization<'a> {
    access_key_id: &'a str,
    scope: &'a str,
    /// Sorted, each once.
    signed: Vec<HeaderName>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn read(head: &'a Parts) -> Result<Self, Refusal> {
        let value = head.headers.get(AUTHORIZATION).ok_or(Refusal::NotSigned)?;
        let value = value
            .to_str()
            .map_err(|_| Refusal::Malformed("Authorization is not text"))?;
        let fields = value
            .strip_prefix(ALGORITHM)
            .filter(|rest| rest.starts_with(' '))
            .ok_or(Refusal::Malformed("Authorization is not AWS4-HMAC-SHA256"))?;
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for field in fields.split(',') {
            match field.trim().split_once('=') {
                Some(("Credential", value)) => credential = Some(value),
                Some(("SignedHeaders", value)) => signed = Some(value),
                Some(("Signature", value)) => signature = Some(value),
                _ => {
                    return Err(Refusal::Malformed(
                        "Authorization has a field of no meaning",
                    ));
                }
            }
        }
        let (Some(credential), Some(signed), Some(signature)) = (credential, signed, signature)
        else {
            return Err(Refusal::Malformed("Authorization lacks a field"));
        };
        let (access_key_id, scope) = credential
            .split_once('/')
            .ok_or(Refusal::Malformed("the credential has no scope"))?;
        Ok(Self {
            access_key_id,
            scope,
            signed: header_names(signed).ok_or(Refusal::Malformed(
                "SignedHeaders is not a sorted list of names",
            ))?,
            signature,
        })
    }

    fn signs_what_it_must(&self, head: &Parts) -> Result<(), Refusal> {
        let signed: BTreeSet<_> = self.signed.iter().map(HeaderName::as_str).collect();
        let must = head.headers.keys().map(HeaderName::as_str);
        let all = must
            .filter(|name| name.starts_with("x-amz-"))
            .chain([HOST.as_str()])
            .all(|name| signed.contains(name));
        if all {
            Ok(())
        } else {
            Err(Refusal::HeaderNotSigned)
        }
    }
}

fn header_names(list: &str) -> Option<Vec<HeaderName>> {
    let names: Vec<HeaderName> = list
        .split(';')
        .map(|name| HeaderName::from_lowercase(name.as_bytes()).ok())
        .collect::<Option<_>>()?;
    names
        .is_sorted_by(|one, other| one.as_str() < other.as_str())
        .then_some(names)
}
