//! Bytes on their way in: received into a file that nobody sees, and compared with all that was said
//! of them.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use futures::StreamExt;
use http::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3Result, TrailingHeaders, s3_error};
use tempfile::NamedTempFile;
use tokio::io::{AsyncWriteExt, BufWriter};

use super::error::{bad_request, internal};
use super::object_file::Checksums;
use crate::hexadecimal::hex;

/// A client that sends nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);
const BUFFER: usize = 256 * 1024;
const CHECKSUM: &str = "x-amz-checksum-";

/// A whole body that is what was announced. Goes away unless somebody keeps the file.
pub(super) struct Incoming {
    pub(super) file: NamedTempFile,
    pub(super) size: u64,
    /// MD5 in hexadecimal.
    pub(super) etag: String,
    pub(super) checksums: Checksums,
}

/// What the request says of its body.
pub(super) struct Announced<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) trailers: Option<TrailingHeaders>,
    /// The largest that is taken, in bytes.
    pub(super) limit: u64,
}

impl Incoming {
    /// Receives a body into a file in `folder`.
    ///
    /// If this is dropped, or the client goes away, the file goes too.
    pub(super) async fn receive(
        folder: &Path,
        body: StreamingBlob,
        announced: Announced<'_>,
    ) -> S3Result<Self> {
        let length = announced.length()?;
        if length > announced.limit {
            return Err(s3_error!(EntityTooLarge));
        }
        let mut hasher = announced.hasher();
        let mut md5 = Md5::new();

        let file = NamedTempFile::new_in(folder).map_err(internal)?;
        let handle = file.reopen().map_err(internal)?;
        let mut out = BufWriter::with_capacity(BUFFER, tokio::fs::File::from_std(handle));
        let mut size: u64 = 0;
        let mut body = body;
        while let Some(bytes) = next_within(SILENCE, body.next()).await? {
            let bytes = bytes.map_err(|error| broken_off(&*error))?;
            size = size.saturating_add(u64::try_from(bytes.len()).map_err(internal)?);
            if size > length {
                return Err(s3_error!(
                    IncompleteBody,
                    "the body is longer than was announced"
                ));
            }
            hasher.update(&bytes);
            md5.update(&bytes);
            out.write_all(&bytes).await.map_err(internal)?;
        }
        out.flush().await.map_err(internal)?;
        if size != length {
            return Err(s3_error!(
                IncompleteBody,
                "the body is shorter than was announced"
            ));
        }

        let md5 = md5.finalize();
        announced.check_md5(md5.as_ref())?;
        let checksums = Checksums::from(hasher.finalize());
        announced.check(&checksums)?;
        Ok(Self {
            file,
            size,
            etag: hex(md5.as_ref()),
            checksums,
        })
    }
}

impl Announced<'_> {
    /// How long the body is; of one in chunks (`aws-chunked`), what is in them.
    fn length(&self) -> S3Result<u64> {
        let number = |name: &str| {
            let value = self.headers.get(name)?;
            Some(value.to_str().ok()?.parse().ok())
        };
        number("x-amz-decoded-content-length")
            .or_else(|| number("content-length"))
            .ok_or_else(|| s3_error!(MissingContentLength))?
            .ok_or_else(|| s3_error!(InvalidArgument, "the length is not a number"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Sums up all kinds that the headers have, ask for, or promise at the end.
    fn hasher(&self) -> ChecksumHasher {
        let asked = self
            .header("x-amz-sdk-checksum-algorithm")
            .unwrap_or_default();
        let promised = self.header("x-amz-trailer").unwrap_or_default();
        let wanted = |kind: &str| {
            let name = format!("{CHECKSUM}{kind}");
            self.headers.contains_key(&name)
                || asked.eq_ignore_ascii_case(kind)
                || promised
                    .split(',')
                    .any(|promise| promise.trim().eq_ignore_ascii_case(&name))
        };
        ChecksumHasher {
            crc32: wanted("crc32").then(Default::default),
            crc32c: wanted("crc32c").then(Default::default),
            crc64nvme: wanted("crc64nvme").then(Default::default),
            sha1: wanted("sha1").then(Default::default),
            sha256: wanted("sha256").then(Default::default),
        }
    }

    fn check(&self, found: &Checksums) -> S3Result<()> {
        let trailers = self.trailers.as_ref().and_then(TrailingHeaders::take);
        let promised = self
            .header("x-amz-trailer")
            .unwrap_or_default()
            .to_ascii_lowercase();
        for (kind, found) in [
            ("crc32", &found.crc32),
            ("crc32c", &found.crc32c),
            ("crc64nvme", &found.crc64nvme),
            ("sha1", &found.sha1),
            ("sha256", &found.sha256),
        ] {
            let name = format!("{CHECKSUM}{kind}");
            let in_trailers = trailers.as_ref().and_then(|trailers| trailers.get(&name));
            let is_promised = promised.split(',').any(|promise| promise.trim() == name);
            if is_promised && in_trailers.is_none() {
                return Err(bad_request(
                    "MalformedTrailerError",
                    "a promised checksum didn't come",
                ));
            }
            for said in self.headers.get(&name).into_iter().chain(in_trailers) {
                if found
                    .as_ref()
                    .is_none_or(|found| said.as_bytes() != found.as_bytes())
                {
                    return Err(s3_error!(
                        BadDigest,
                        "the body doesn't have the {kind} that was sent"
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_md5(&self, found: &[u8]) -> S3Result<()> {
        let Some(said) = self.headers.get("content-md5") else {
            return Ok(());
        };
        if said.as_bytes() == base64(found).as_bytes() {
            Ok(())
        } else {
            Err(s3_error!(
                BadDigest,
                "the body doesn't have the MD5 that was sent"
            ))
        }
    }
}

async fn next_within<T>(
    silence: Duration,
    next: impl Future<Output = Option<T>>,
) -> S3Result<Option<T>> {
    let next: Pin<&mut _> = std::pin::pin!(next);
    tokio::time::timeout(silence, next)
        .await
        .map_err(|_| s3_error!(RequestTimeout))
}

/// The client went away, or what it sent is not what it signed. s3s has no types for these.
fn broken_off(error: &(dyn std::error::Error + Send + Sync)) -> S3Error {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        bad_request(
            "XAmzContentSHA256Mismatch",
            "the body doesn't have the SHA-256 in x-amz-content-sha256",
        )
    } else if text.contains("SignatureMismatch") {
        s3_error!(SignatureDoesNotMatch, "a chunk has another signature")
    } else {
        s3_error!(IncompleteBody)
    }
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine as _;
    ::base64::prelude::BASE64_STANDARD.encode(bytes)
}
