//! The scope of a signature (one day, one region, one service), and the signing key derived for it.

use std::borrow::Cow;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use crate::Secret;

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
const TIME_FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// The service that a request is for. It is part of the signature, and S3 canonicalises paths
/// differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// S3: a path is an object's key, so it is neither normalised nor encoded twice.
    S3,
    /// Any other service, by its signing name (`sqs`): paths are normalised, then encoded once more.
    Other(Cow<'static, str>),
}

impl Service {
    /// Amazon SQS and compatible queues.
    pub const SQS: Self = Self::Other(Cow::Borrowed("sqs"));

    /// Returns the signing name.
    pub fn name(&self) -> &str {
        match self {
            Self::S3 => "s3",
            Self::Other(name) => name,
        }
    }
}

/// Formats a time as `20130524T000000Z`, to the second.
pub(crate) fn format_time(time: Timestamp) -> String {
    time.strftime(TIME_FORMAT).to_string()
}

/// Parses the format of [`format_time`]; `None` if the text is in any other.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    // strptime also accepts numbers with fewer digits, so two texts could mean the same time.
    if text.len() != 16 {
        return None;
    }
    let time = DateTime::strptime(TIME_FORMAT, text).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// A day (UTC), a region and a service.
pub(crate) struct Scope<'a> {
    time: &'a str,
    region: &'a str,
    service: &'a Service,
}

impl<'a> Scope<'a> {
    /// Creates a scope; `time` is in the format of [`format_time`].
    pub(crate) fn new(time: &'a str, region: &'a str, service: &'a Service) -> Self {
        Self {
            time,
            region,
            service,
        }
    }

    fn day(&self) -> &'a str {
        self.time.get(..8).unwrap_or(self.time)
    }

    /// Returns the signature of a canonical request.
    pub(crate) fn signature(&self, secret: &Secret, canonical_request: &[u8]) -> [u8; 32] {
        let hash = hex::encode(Sha256::digest(canonical_request));
        let string_to_sign = format!("{ALGORITHM}\n{}\n{self}\n{hash}", self.time);
        hmac(&self.key(secret), string_to_sign.as_bytes())
    }

    fn key(&self, secret: &Secret) -> [u8; 32] {
        let mut first = Vec::with_capacity(4 + secret.expose().len());
        first.extend_from_slice(b"AWS4");
        first.extend_from_slice(secret.expose().as_bytes());
        let mut key = hmac(&first, self.day().as_bytes());
        for part in [self.region, self.service.name(), TERMINATOR] {
            key = hmac(&key, part.as_bytes());
        }
        key
    }
}

/// `20130524/us-east-1/s3/aws4_request`
impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (day, service) = (self.day(), self.service.name());
        write!(f, "{day}/{}/{service}/{TERMINATOR}", self.region)
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    hmac.update(text);
    hmac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_formatted_time_is_parsed() {
        let time = "2015-08-30T12:36:00Z".parse().unwrap();
        assert_eq!(format_time(time), "20150830T123600Z");
        assert_eq!(parse_time("20150830T123600Z"), Some(time));
        for wrong in [
            "",
            "20150830",
            "20150830T1236Z",
            "2015830T0123600Z",
            "20150830T123600+",
        ] {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
    }

    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
    #[test]
    fn signing_key_matches_the_example_of_aws() {
        let service = Service::Other("iam".into());
        let scope = Scope::new("20150830T123600Z", "us-east-1", &service);
        assert_eq!(scope.to_string(), "20150830/us-east-1/iam/aws4_request");
        assert_eq!(
            hex::encode(scope.key(&Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))),
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
        );
    }
}
