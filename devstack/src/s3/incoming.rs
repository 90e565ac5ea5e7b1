//! Receives a body into a temporary file, and compares its length and checksums with the request's.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
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

/// Longest pause between two pieces of a body.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Upper bound on the bytes of one body, as with S3.
const MAX_BODY: u64 = 5 << 30;
const BUFFER: usize = 256 * 1024;
const CHECKSUM: &str = "x-amz-checksum-";

/// A complete, verified body. The file is deleted when the value is dropped.
pub(super) struct Incoming {
    pub(super) file: NamedTempFile,
    pub(super) size: u64,
    /// MD5 in hexadecimal.
    pub(super) etag: String,
    pub(super) checksums: Checksums,
}

/// Headers and trailers of the request, which describe its body.
pub(super) struct Metadata<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) trailers: Option<TrailingHeaders>,
}

impl Incoming {
    /// Receives a body into a file in `folder`.
    ///
    /// The file is deleted if the client disconnects or the future is dropped.
    pub(super) async fn receive(
        folder: &Path,
        body: StreamingBlob,
        metadata: Metadata<'_>,
    ) -> S3Result<Self> {
        let length = metadata.length()?;
        if length > MAX_BODY {
            return Err(s3_error!(EntityTooLarge));
        }
        let mut hasher = metadata.hasher();
        let mut md5 = Md5::new();

        let file = NamedTempFile::new_in(folder).map_err(internal)?;
        let handle = file.reopen().map_err(internal)?;
        let mut out = BufWriter::with_capacity(BUFFER, tokio::fs::File::from_std(handle));
        let mut size: u64 = 0;
        let mut body = body;
        while let Some(bytes) = next_piece(body.next()).await? {
            let bytes = bytes.map_err(|error| interrupted(&*error))?;
            size = size.saturating_add(u64::try_from(bytes.len()).map_err(internal)?);
            if size > length {
                return Err(s3_error!(
                    IncompleteBody,
                    "the body is longer than its Content-Length"
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
                "the body is shorter than its Content-Length"
            ));
        }

        let md5 = md5.finalize();
        metadata.check_md5(&md5)?;
        let checksums = Checksums::from(hasher.finalize());
        metadata.check(&checksums)?;
        Ok(Self {
            file,
            size,
            etag: hex::encode(md5),
            checksums,
        })
    }
}

impl Metadata<'_> {
    /// Returns the body's length, without the framing of chunks (`aws-chunked`).
    fn length(&self) -> S3Result<u64> {
        let number = |name: &str| {
            let value = self.headers.get(name)?;
            Some(value.to_str().ok()?.parse().ok())
        };
        number("x-amz-decoded-content-length")
            .or_else(|| number("content-length"))
            .ok_or_else(|| s3_error!(MissingContentLength))?
            .ok_or_else(|| s3_error!(InvalidArgument, "Content-Length is not a number"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns a hasher for all algorithms that the headers give, request, or announce as trailers.
    fn hasher(&self) -> ChecksumHasher {
        let requested = self
            .header("x-amz-sdk-checksum-algorithm")
            .unwrap_or_default();
        let wanted = |kind: &str| {
            let name = format!("{CHECKSUM}{kind}");
            self.headers.contains_key(&name)
                || requested.eq_ignore_ascii_case(kind)
                || self.has_trailer(&name)
        };
        ChecksumHasher {
            crc32: wanted("crc32").then(Default::default),
            crc32c: wanted("crc32c").then(Default::default),
            crc64nvme: wanted("crc64nvme").then(Default::default),
            sha1: wanted("sha1").then(Default::default),
            sha256: wanted("sha256").then(Default::default),
        }
    }

    /// `true` if `x-amz-trailer` announces this header at the end of the body.
    fn has_trailer(&self, name: &str) -> bool {
        let trailers = self.header("x-amz-trailer").unwrap_or_default();
        trailers
            .split(',')
            .any(|trailer| trailer.trim().eq_ignore_ascii_case(name))
    }

    fn check(&self, found: &Checksums) -> S3Result<()> {
        let trailers = self.trailers.as_ref().and_then(TrailingHeaders::take);
        for (kind, found) in [
            ("crc32", &found.crc32),
            ("crc32c", &found.crc32c),
            ("crc64nvme", &found.crc64nvme),
            ("sha1", &found.sha1),
            ("sha256", &found.sha256),
        ] {
            let name = format!("{CHECKSUM}{kind}");
            let in_trailers = trailers.as_ref().and_then(|trailers| trailers.get(&name));
            if self.has_trailer(&name) && in_trailers.is_none() {
                return Err(bad_request(
                    "MalformedTrailerError",
                    "a checksum that x-amz-trailer announces is missing",
                ));
            }
            for given in self.headers.get(&name).into_iter().chain(in_trailers) {
                if found
                    .as_ref()
                    .is_none_or(|found| given.as_bytes() != found.as_bytes())
                {
                    return Err(s3_error!(
                        BadDigest,
                        "the body's {kind} differs from the request's"
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_md5(&self, found: &[u8]) -> S3Result<()> {
        let Some(given) = self.headers.get("content-md5") else {
            return Ok(());
        };
        if given.as_bytes() == BASE64_STANDARD.encode(found).as_bytes() {
            Ok(())
        } else {
            Err(s3_error!(
                BadDigest,
                "the body's MD5 differs from Content-MD5"
            ))
        }
    }
}

async fn next_piece<T>(next: impl Future<Output = Option<T>>) -> S3Result<Option<T>> {
    tokio::time::timeout(READ_TIMEOUT, next)
        .await
        .map_err(|_| s3_error!(RequestTimeout))
}

/// Maps an error of the body stream: the client disconnected, or the body isn't the signed one. s3s has
/// no public types for these.
fn interrupted(error: &(dyn std::error::Error + Send + Sync)) -> S3Error {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        bad_request(
            "XAmzContentSHA256Mismatch",
            "the body's SHA-256 differs from x-amz-content-sha256",
        )
    } else if text.contains("SignatureMismatch") {
        s3_error!(SignatureDoesNotMatch, "a chunk's signature does not match")
    } else {
        s3_error!(IncompleteBody)
    }
}
