//! Who may: whoever has the keys, and signs for this region.

use http::header::AUTHORIZATION;
use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Result, s3_error};

/// s3s has checked the signature, if there is one. It takes one for any region, which the real services
/// don't, and also Version 2, which they are giving up.
pub(super) struct Access {
    pub(super) region: &'static str,
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "requests must be signed"));
        }
        let header = context.headers().get(AUTHORIZATION);
        let header = header.and_then(|value| value.to_str().ok());
        let scope = format!("/{}/s3/aws4_request", self.region);
        let in_header = header.is_some_and(|header| header.contains(&scope));
        let query = context.uri().query().unwrap_or_default();
        let in_query = query.split('&').any(|pair| {
            pair.strip_prefix("X-Amz-Credential=")
                .is_some_and(|value| value.replace("%2F", "/").ends_with(&scope))
        });
        if in_header || in_query {
            Ok(())
        } else {
            Err(s3_error!(
                AuthorizationHeaderMalformed,
                "the signature has to be of Version 4, for the region {}",
                self.region
            ))
        }
    }
}
