//! Compares signatures with those of AWS's own SDK, and checks which requests a server accepts.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::request::Parts;
use jiff::Timestamp;
use proptest::prelude::*;
use tirage_sigv4::{Credentials, Payload, Refusal, Secret, Service, Signer, verify};

const EXPIRES: Duration = Duration::from_secs(900);

/// A request to sign.
#[derive(Clone, Debug)]
struct Sample {
    method: &'static str,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    seconds: i64,
    s3: bool,
}

impl Sample {
    fn head(&self) -> Parts {
        let uri = format!("https://storage.example:8443{}{}", self.path, self.query);
        let mut request = http::Request::builder().method(self.method).uri(uri);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.seconds).unwrap()
    }

    fn signer(&self) -> Signer {
        Signer {
            credentials: Credentials::new("AKIDEXAMPLE", "a secret"),
            region: "fr-par".to_owned(),
            service: if self.s3 { Service::S3 } else { Service::SQS },
        }
    }

    /// Returns the signature that AWS's SDK computes.
    fn oracle(&self, location: SignatureLocation) -> String {
        let in_query = location == SignatureLocation::QueryParams;
        let mut settings = SigningSettings::default();
        settings.signature_location = location;
        if in_query {
            settings.expires_in = Some(EXPIRES);
        }
        if self.s3 {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity =
            aws_credential_types::Credentials::new("AKIDEXAMPLE", "a secret", None, None, "test")
                .into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("fr-par")
            .name(if self.s3 { "s3" } else { "sqs" })
            .time(SystemTime::from(self.now()))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let head = self.head();
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let body = match (in_query, self.s3) {
            (true, true) => SignableBody::UnsignedPayload,
            (true, false) => SignableBody::Bytes(b""),
            (false, _) => SignableBody::Bytes(&self.body),
        };
        let request =
            SignableRequest::new(self.method, head.uri.to_string(), headers, body).unwrap();
        sign(request, &parameters).unwrap().signature().to_owned()
    }
}

fn samples() -> impl Strategy<Value = Sample> {
    let method = prop::sample::select(vec!["GET", "PUT", "POST", "DELETE", "HEAD"]);
    // Escaped as S3's clients do it: only where they must. The SDK takes paths as they are.
    let segment = "([A-Za-z0-9._~-]|%20|%24|%2B|%C3%A9|%25){0,6}";
    let path =
        prop::collection::vec(segment, 1..4).prop_map(|parts| format!("/{}", parts.join("/")));
    let pair = (
        "[a-zA-Z0-9._~-]{1,5}",
        "([A-Za-z0-9._~-]|%20|%2F|%3D|%C3%A9){0,5}",
    )
        .prop_map(|(name, value)| format!("{name}={value}"));
    let query = prop::collection::vec(pair, 0..4).prop_map(|pairs| match pairs.as_slice() {
        [] => String::new(),
        _ => format!("?{}", pairs.join("&")),
    });
    let header = ("x-[a-z]{1,8}(-[a-z]{1,4})?", "[!-~]([ -~]{0,12}[!-~])?");
    (
        method,
        path,
        query,
        prop::collection::vec(header, 0..4),
        prop::collection::vec(any::<u8>(), 0..32),
        0..4_102_444_800_i64,
        any::<bool>(),
    )
        .prop_map(|(method, path, query, headers, body, seconds, s3)| Sample {
            method,
            path,
            query,
            headers,
            body,
            seconds,
            s3,
        })
}

proptest! {
    #[test]
    fn header_signatures_match_the_sdk(sample in samples()) {
        let mut head = sample.head();
        sample.signer().sign(&mut head, Payload::Bytes(&sample.body), sample.now()).unwrap();
        let ours = head.headers[AUTHORIZATION].to_str().unwrap();
        let theirs = format!("Signature={}", sample.oracle(SignatureLocation::Headers));
        prop_assert!(ours.ends_with(&theirs), "{ours}\n{theirs}");
    }

    #[test]
    fn presigned_urls_match_the_sdk(sample in samples()) {
        let url = sample.signer().presign(&sample.head(), EXPIRES, sample.now()).unwrap();
        let theirs = sample.oracle(SignatureLocation::QueryParams);
        let theirs = format!("X-Amz-Signature={theirs}");
        prop_assert!(url.to_string().ends_with(&theirs), "{url}\n{theirs}");
    }

    #[test]
    fn only_unchanged_requests_are_accepted(sample in samples(), change in 0..7_u8) {
        let mut head = sample.head();
        sample.signer().sign(&mut head, Payload::Bytes(&sample.body), sample.now()).unwrap();
        let mut now = sample.now();
        let mut payload = hash(&sample.body);
        let mut secret = "a secret";
        let service = sample.signer().service;
        let accepted = verify(&head, payload, "fr-par", &service, |_| Some(Secret::new(secret)), now);
        prop_assert_eq!(accepted, Ok("AKIDEXAMPLE"));

        let skew = Duration::from_secs(15 * 60 + 1);
        let region = if change == 0 { "nl-ams" } else { "fr-par" };
        let expected = match change {
            0 => Refusal::Scope,
            1 => {
                payload[0] ^= 1;
                if sample.s3 { Refusal::Payload } else { Refusal::Signature }
            }
            2 => {
                secret = "another";
                Refusal::Signature
            }
            3 => {
                now += skew;
                Refusal::Skew
            }
            4 => {
                head.headers.insert("x-amz-late", HeaderValue::from_static("1"));
                Refusal::HeaderNotSigned
            }
            5 => {
                head.method = http::Method::PATCH;
                Refusal::Signature
            }
            _ => {
                head.headers.remove(AUTHORIZATION);
                Refusal::NotSigned
            }
        };
        let refused = verify(&head, payload, region, &service, |_| Some(Secret::new(secret)), now);
        prop_assert_eq!(refused, Err(expected));
    }

    /// Random Authorization headers are refused without a panic.
    #[test]
    fn random_authorization_is_refused(text in "(AWS4-HMAC-SHA256 )?[ -~]{0,80}") {
        let mut head = http::Request::get("http://a/").body(()).unwrap().into_parts().0;
        head.headers.insert(AUTHORIZATION, HeaderValue::from_str(&text).unwrap());
        head.headers.insert(
            HeaderName::from_static("x-amz-date"),
            HeaderValue::from_static("20130524T000000Z"),
        );
        let now = "2013-05-24T00:00:00Z".parse().unwrap();
        prop_assert!(verify(&head, hash(b""), "r", &Service::SQS, |_| None, now).is_err());
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}
