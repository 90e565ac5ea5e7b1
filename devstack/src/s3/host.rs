//! Which bucket a host's name stands for, where it stands for one.
//!
//! `<bucket>.localhost` is that bucket, on any port: names below `localhost` are this machine
//! (RFC 6761, 6.3). Every other name is the server's own, and the bucket is in the path.

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

const DOMAIN: &str = "localhost";

/// See the module.
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

/// The bucket in `bucket.localhost:9000`; in lower case, as buckets are.
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
    fn a_name_below_localhost_is_a_buckets_and_no_other_is() {
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
