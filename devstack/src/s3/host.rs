//! Virtual-hosted addressing: maps `<bucket>.localhost` to the bucket.
//!
//! Names below `localhost` resolve to this machine (RFC 6761, 6.3). With any other name the bucket is in
//! the path.

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

const DOMAIN: &str = "localhost";

/// Maps host names as the module describes.
pub(super) struct Localhost;

impl S3Host for Localhost {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let server = VirtualHost::new(host);
        Ok(match bucket(host) {
            Some(bucket) => server.with_bucket(bucket),
            None => server,
        })
    }
}

/// Returns the bucket of `bucket.localhost:9000` in lower case.
fn bucket(host: &str) -> Option<String> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.to_ascii_lowercase();
    let bucket = name.strip_suffix(DOMAIN)?.strip_suffix('.')?;
    (!bucket.is_empty()).then(|| bucket.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_below_localhost_are_buckets() {
        for (host, expected) in [
            ("prints.localhost", Some("prints")),
            ("prints.localhost:9000", Some("prints")),
            ("Prints.LocalHost", Some("prints")),
            ("a.b.localhost", Some("a.b")),
            ("localhost:9000", None),
            ("notlocalhost", None),
            (".localhost", None),
            ("s3.example:9000", None),
            ("localhost.example", None),
        ] {
            assert_eq!(bucket(host).as_deref(), expected, "{host}");
        }
    }
}
