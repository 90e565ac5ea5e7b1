//! AWS's published test vectors.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::request::Parts;
use jiff::Timestamp;
use tirage_sigv4::{Credentials, Payload, Secret, Service, Signer, verify};

fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn signature_in_header(head: &Parts) -> &str {
    let value = head.headers[AUTHORIZATION].to_str().unwrap();
    value.rsplit_once("Signature=").unwrap().1
}

/// AWS's Signature Version 4 test suite, as its SDKs carry it
/// (<https://github.com/awslabs/aws-c-auth/tree/main/tests/aws-signing-test-suite/v4>). Paths that no
/// URI can hold are tested in `canonical.rs`.
mod suite {
    use super::*;

    struct Case {
        name: &'static str,
        method: &'static str,
        path: &'static str,
        headers: &'static [(&'static str, &'static str)],
        /// `header-signature.txt` and `query-signature.txt`.
        signatures: (&'static str, &'static str),
    }

    const fn case(
        name: &'static str,
        [method, path]: [&'static str; 2],
        headers: &'static [(&'static str, &'static str)],
        signatures: (&'static str, &'static str),
    ) -> Case {
        Case {
            name,
            method,
            path,
            headers,
            signatures,
        }
    }

    const VANILLA: (&str, &str) = (
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        "e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d",
    );

    const CASES: [Case; 23] = [
        case("get-vanilla", ["GET", "/"], &[], VANILLA),
        case(
            "get-relative-normalized",
            ["GET", "/example/.."],
            &[],
            VANILLA,
        ),
        case(
            "get-relative-relative-normalized",
            ["GET", "/example1/example2/../.."],
            &[],
            VANILLA,
        ),
        case(
            "get-slash-dot-slash-normalized",
            ["GET", "/./"],
            &[],
            VANILLA,
        ),
        case("get-slash-normalized", ["GET", "//"], &[], VANILLA),
        case(
            "get-slash-pointless-dot-normalized",
            ["GET", "/./example"],
            &[],
            (
                "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
                "35034b1a0bdd969f346975386daf8aedfd4976573b8348cf4f67eaa41c5857de",
            ),
        ),
        case(
            "get-slashes-normalized",
            ["GET", "//example//"],
            &[],
            (
                "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
                "c1834e8fb0307243711f0f907f6ab7311ed300d87f13792d7ee4da89ab93e082",
            ),
        ),
        case(
            "get-unreserved",
            [
                "GET",
                "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            ],
            &[],
            (
                "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
                "95968482db1b9e0fadef6efc1bd24689f77c77d9ef56919c96a28cc92e0d6005",
            ),
        ),
        case(
            "get-utf8",
            ["GET", "/ሴ"],
            &[],
            (
                "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
                "10eae3f14a260bd3911cc6d008d3c576d143b05b62f09782a7a4b37f52178e44",
            ),
        ),
        case(
            "get-header-key-duplicate",
            ["GET", "/"],
            &[
                ("my-header1", "value2"),
                ("my-header1", "value2"),
                ("my-header1", "value1"),
            ],
            (
                "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
                "3349ee0b81b4b589da0ff28a395c3591e04de515651dd74f298fa992d1507a97",
            ),
        ),
        case(
            "get-header-value-order",
            ["GET", "/"],
            &[
                ("my-header1", "value4"),
                ("my-header1", "value1"),
                ("my-header1", "value3"),
                ("my-header1", "value2"),
            ],
            (
                "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
                "313720e71ca6202fdcfa9b20f88de01a4eb0638a83c833b1c184359a4eda864e",
            ),
        ),
        case(
            "get-header-value-trim",
            ["GET", "/"],
            &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
            (
                "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
                "e7bb0fd515e125e1aec2ecc4c0c17484fb06f6846b927c35e46005dd3df3acd4",
            ),
        ),
        case(
            "get-vanilla-empty-query-key",
            ["GET", "/?Param1=value1"],
            &[],
            (
                "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
                "49096700cbbaa5753443850f40df10f904fc2fdb544dc9512203cc77c471a9de",
            ),
        ),
        case(
            "get-vanilla-query-order-encoded",
            ["GET", "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1"],
            &[],
            (
                "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
                "c5f1848ceec943ac2ca68ee720460c23aaae30a2300586597ada94c4a65e4787",
            ),
        ),
        case(
            "get-vanilla-query-order-key-case",
            ["GET", "/?Param2=value2&Param1=value1"],
            &[],
            (
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
                "86012e2c9ad4d77369f5d81c11f75158aae4f895a085212cc6d3f923d300bed5",
            ),
        ),
        case(
            "get-vanilla-query-unreserved",
            [
                "GET",
                "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=\
                 -._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            ],
            &[],
            (
                "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
                "8e76a88a7433637b12778d5592799b29ad21ecd6cf6325051c21d86f0acda2bf",
            ),
        ),
        case(
            "get-vanilla-utf8-query",
            ["GET", "/?ሴ=bar"],
            &[],
            (
                "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
                "0bdd809b1519ac4f0c1dc3540e2cc46bd0c7f778eda408b2ebf3b913d21ff600",
            ),
        ),
        case(
            "post-vanilla",
            ["POST", "/"],
            &[],
            (
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
                "2ce6e6d2e0cf2f9d1b55fafec88cd20574c31dc2e7631979f71ba2310083e95b",
            ),
        ),
        case(
            "post-vanilla-query",
            ["POST", "/?Param1=value1"],
            &[],
            (
                "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
                "a9ef26247f293bffe40eeff86a0480ba8c14d31503b2e0c3399e3a16bf1a3682",
            ),
        ),
        case(
            "post-header-key-sort",
            ["POST", "/"],
            &[("my-header1", "value1")],
            (
                "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
                "c09d07e0d55871f10f2a6d350d994acf6825a3cae70673d7def55616e6119dd7",
            ),
        ),
        case(
            "post-header-value-case",
            ["POST", "/"],
            &[("my-header1", "VALUE1")],
            (
                "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
                "0698bc9e4f7f9139065ba2909c0e99da257e8e2a42492a097bcd46d792391fed",
            ),
        ),
        case(
            "a header that is not signed",
            ["GET", "/"],
            &[("user-agent", "any"), ("x-amzn-trace-id", "any")],
            VANILLA,
        ),
        case(
            "a host in a header",
            ["GET", "/"],
            &[("host", "example.amazonaws.com")],
            VANILLA,
        ),
    ];

    fn signer() -> Signer {
        Signer {
            credentials: Credentials::new(
                "AKIDEXAMPLE",
                "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            ),
            region: "us-east-1".to_owned(),
            service: Service::Other("service".into()),
        }
    }

    fn now() -> Timestamp {
        "2015-08-30T12:36:00Z".parse().unwrap()
    }

    fn check(name: &str, signer: &Signer, mut head: Parts, (in_header, in_query): (&str, &str)) {
        let url = signer
            .presign(&head, Duration::from_secs(3600), now())
            .unwrap();
        let (_, signature) = url
            .query()
            .unwrap()
            .rsplit_once("X-Amz-Signature=")
            .unwrap();
        assert_eq!(signature, in_query, "{name}, presigned");

        signer.sign(&mut head, Payload::Bytes(b""), now()).unwrap();
        assert_eq!(signature_in_header(&head), in_header, "{name}");
    }

    #[test]
    fn signatures_match_the_suite() {
        for case in CASES {
            let uri = format!("https://example.amazonaws.com{}", case.path);
            let head = head(case.method, &uri, case.headers);
            check(case.name, &signer(), head, case.signatures);
        }
    }

    #[test]
    fn a_body_is_signed() {
        let mut head = head(
            "POST",
            "https://example.amazonaws.com/",
            &[
                ("content-type", "application/x-www-form-urlencoded"),
                ("content-length", "13"),
                (
                    "x-amz-content-sha256",
                    "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
                ),
            ],
        );
        signer()
            .sign(&mut head, Payload::Bytes(b"Param1=value1"), now())
            .unwrap();
        assert_eq!(
            signature_in_header(&head),
            "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
            "post-x-www-form-urlencoded"
        );
    }
}

/// The examples in S3's documentation:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html> and
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>.
mod s3 {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    const EMPTY: [u8; 32] = [
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ];

    fn signer() -> Signer {
        Signer {
            credentials: Credentials::new("AKIAIOSFODNN7EXAMPLE", SECRET),
            region: "us-east-1".to_owned(),
            service: Service::S3,
        }
    }

    fn now() -> Timestamp {
        "2013-05-24T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn header_signatures_match_the_documentation() {
        let put = [
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        type Headers<'a> = &'a [(&'a str, &'a str)];
        let cases: [(&str, &str, Headers<'_>, Payload<'_>, &str); 4] = [
            (
                "GET",
                "/test.txt",
                &[("range", "bytes=0-9")],
                Payload::Sha256(EMPTY),
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "PUT",
                "/test%24file.text",
                &put,
                Payload::Bytes(b"Welcome to Amazon S3."),
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            (
                "GET",
                "/?lifecycle",
                &[],
                Payload::Bytes(b""),
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "GET",
                "/?max-keys=2&prefix=J",
                &[],
                Payload::Bytes(b""),
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ];
        for (method, path, headers, payload, expected) in cases {
            let uri = format!("https://examplebucket.s3.amazonaws.com{path}");
            let mut head = head(method, &uri, headers);
            signer().sign(&mut head, payload, now()).unwrap();
            assert_eq!(signature_in_header(&head), expected, "{method} {path}");
        }
    }

    #[test]
    fn presigned_url_matches_the_documentation() {
        let head = head(
            "GET",
            "https://examplebucket.s3.amazonaws.com/test.txt",
            &[],
        );
        let url = signer()
            .presign(&head, Duration::from_secs(86400), now())
            .unwrap();
        assert_eq!(
            url.to_string(),
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }

    /// Verifies the documentation's signed request.
    #[test]
    fn signature_in_the_documentation_is_accepted() {
        let head = head(
            "GET",
            "/test.txt",
            &[
                ("host", "examplebucket.s3.amazonaws.com"),
                (
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
                     SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
                     Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
                ),
                ("range", "bytes=0-9"),
                (
                    "x-amz-content-sha256",
                    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                ),
                ("x-amz-date", "20130524T000000Z"),
            ],
        );
        let secret_of = |id: &str| (id == "AKIAIOSFODNN7EXAMPLE").then(|| Secret::new(SECRET));
        assert_eq!(
            verify(&head, EMPTY, "us-east-1", &Service::S3, secret_of, now()),
            Ok("AKIAIOSFODNN7EXAMPLE")
        );
    }
}
