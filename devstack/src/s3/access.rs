//! Access checks that real S3 services make beyond s3s's.
//!
//! s3s has verified the signature, if there is one. It also accepts any region, Signature Version 2,
//! URLs without an upper bound on their lifetime, and unsigned `x-amz-` headers. These are refused, so
//! that what works here works in the cloud.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;
use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Result, s3_error};

use super::error::bad_request;

/// Longest lifetime of a presigned URL in seconds: 7 days.
const MAX_EXPIRY: u64 = 7 * 24 * 60 * 60;

/// Checks each request before its operation runs.
pub(super) struct Access {
    pub(super) region: &'static str,
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "requests must be signed"));
        }
        let query = context.uri().query().unwrap_or_default();
        let Some(signature) = Signature::in_query(query)
            .or_else(|| Signature::in_header(context.headers()))
            .filter(|signature| signature.is_for(self.region))
        else {
            return Err(s3_error!(
                AuthorizationHeaderMalformed,
                "the signature must be a Version 4 signature for the region {}",
                self.region
            ));
        };
        if signature
            .expires
            .is_some_and(|seconds| seconds > MAX_EXPIRY)
        {
            return Err(bad_request(
                "AuthorizationQueryParametersError",
                "X-Amz-Expires must be less than a week (in seconds)",
            ));
        }
        if !signature.covers(context.headers()) {
            return Err(s3_error!(
                AccessDenied,
                "There were headers present in the request which were not signed"
            ));
        }
        Ok(())
    }
}

/// Parameters of a Version 4 signature.
struct Signature<'a> {
    credential: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    /// Lifetime of a presigned URL in seconds. An invalid value counts as the longest.
    expires: Option<u64>,
}

impl<'a> Signature<'a> {
    /// `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`
    fn in_header(headers: &'a HeaderMap) -> Option<Self> {
        let fields = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let fields = fields.strip_prefix("AWS4-HMAC-SHA256")?;
        let field = |name| {
            let mut all = fields
                .split(',')
                .filter_map(|field| field.trim().split_once('='));
            all.find(|(found, _)| *found == name)
                .map(|(_, value)| value.into())
        };
        Some(Self {
            credential: field("Credential")?,
            signed_headers: field("SignedHeaders")?,
            expires: None,
        })
    }

    fn in_query(query: &'a str) -> Option<Self> {
        let parameter = |name| {
            let mut all = query.split('&').filter_map(|pair| pair.split_once('='));
            let (_, value) = all.find(|(found, _)| *found == name)?;
            percent_decode_str(value).decode_utf8().ok()
        };
        let expires = parameter("X-Amz-Expires")?;
        Some(Self {
            credential: parameter("X-Amz-Credential")?,
            signed_headers: parameter("X-Amz-SignedHeaders")?,
            expires: Some(expires.parse().unwrap_or(u64::MAX)),
        })
    }

    fn is_for(&self, region: &str) -> bool {
        self.credential
            .ends_with(&format!("/{region}/s3/aws4_request"))
    }

    /// `true` if `host` and all `x-amz-` headers are signed. A URL is signed before its body exists, so
    /// the body's hash is exempt there.
    fn covers(&self, headers: &HeaderMap) -> bool {
        headers
            .keys()
            .map(|name| name.as_str())
            .filter(|name| name.starts_with("x-amz-"))
            .filter(|name| self.expires.is_none() || *name != "x-amz-content-sha256")
            .chain(["host"])
            .all(|name| self.signed_headers.split(';').any(|signed| signed == name))
    }
}
