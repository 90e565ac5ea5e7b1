//! Who may: whoever has the keys, and signs as the real services want it.
//!
//! s3s has checked the signature, if there is one. It takes more than they do: any region, Version 2
//! (which they are giving up), URLs that last for ever, and `x-amz-` headers that nobody signed. What works
//! here should work there.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;
use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Result, s3_error};

use super::error::bad_request;

/// 7 days, in seconds.
const MAX_EXPIRY: u64 = 7 * 24 * 60 * 60;

/// Checks each request before anything is done for it.
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
                "the signature has to be of Version 4, for the region {}",
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

/// What a signature of Version 4 says of itself.
struct Signature<'a> {
    credential: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    /// Of a URL: for how many seconds. What can't be read is for ever.
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

    /// Whether all is signed that has to be. The body's hash needn't be in a URL, made before the body.
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
