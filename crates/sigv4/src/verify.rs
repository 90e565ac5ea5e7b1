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
use crate::scope::{ALGORITHM, Scope, Service, parse_time};
use crate::signer::{CONTENT_SHA256, DATE, UNSIGNED_PAYLOAD};

/// Largest accepted difference between the client's and the server's clocks.
pub const MAX_SKEW: Duration = Duration::from_secs(15 * 60);

/// A reason to refuse a request. No message repeats a signature or a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no Authorization header.
    #[error("the request is not signed")]
    NotSigned,
    /// The signature, or a header that it needs, can't be parsed.
    #[error("{0}")]
    Malformed(&'static str),
    /// The signature is for another day, region or service.
    #[error("the signature is for another day, region or service")]
    Scope,
    /// The server doesn't know the access key.
    #[error("unknown access key")]
    UnknownKey,
    /// The clocks are more than [`MAX_SKEW`] apart.
    #[error("the request's time differs from the server's by more than 15 minutes")]
    Skew,
    /// `host`, or a header that begins with `x-amz-`, isn't signed.
    #[error("`host` and all `x-amz-` headers must be signed")]
    HeaderNotSigned,
    /// The body isn't the signed one.
    #[error("the body's SHA-256 differs from the signed one")]
    Payload,
    /// The signature doesn't match the request.
    #[error("the signature doesn't match")]
    Signature,
}

/// Checks the signature in `head`'s Authorization header and returns the access key's id.
///
/// `payload_sha256` is the hash of the received body. `secret_of` returns the secret of an access key.
/// An unsigned body (`UNSIGNED-PAYLOAD`) is accepted for S3 only.
///
/// Signatures are compared in constant time.
///
/// # Errors
/// The first reason to refuse that is found.
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
        .ok_or(Refusal::Malformed("X-Amz-Date is missing"))?;
    let sent = parse_time(time).ok_or(Refusal::Malformed(
        "X-Amz-Date is not of the form 20130524T000000Z",
    ))?;

    let scope = Scope::new(time, region, service);
    if authorization.scope != scope.to_string() {
        return Err(Refusal::Scope);
    }
    if now.duration_since(sent).unsigned_abs() > MAX_SKEW {
        return Err(Refusal::Skew);
    }
    authorization.check_signed_headers(head)?;

    let payload = match head.headers.get(CONTENT_SHA256) {
        Some(value) if value == UNSIGNED_PAYLOAD && *service == Service::S3 => {
            UNSIGNED_PAYLOAD.to_owned()
        }
        Some(value) if value.as_bytes() != hex::encode(payload_sha256).as_bytes() => {
            return Err(Refusal::Payload);
        }
        _ => hex::encode(payload_sha256),
    };
    let secret = secret_of(authorization.access_key_id).ok_or(Refusal::UnknownKey)?;
    let query = head.uri.query().unwrap_or_default();
    let request = canonical::request(head, query, &authorization.signed, &payload, service)
        .ok_or(Refusal::Malformed("the request names no host"))?;
    let expected = hex::encode(scope.signature(&secret, &request));
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
    /// Sorted, without duplicates.
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
                    return Err(Refusal::Malformed("Authorization has an unknown field"));
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

    fn check_signed_headers(&self, head: &Parts) -> Result<(), Refusal> {
        let signed: BTreeSet<_> = self.signed.iter().map(HeaderName::as_str).collect();
        let present = head.headers.keys().map(HeaderName::as_str);
        let all = present
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
