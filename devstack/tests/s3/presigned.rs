//! Presigned URLs: valid only for what they were signed for.

use std::time::Duration;

use http::{HeaderMap, Method};
use jiff::{SignedDuration, Timestamp};
use tirage_s3::{Presigned, PresignedGet};

use crate::support::{Answer, Server, key, put, sha256};

const MINUTE: Duration = Duration::from_secs(60);

async fn send(server: &Server, presigned: &Presigned, body: impl Into<reqwest::Body>) -> Answer {
    let request = server
        .client
        .request(presigned.method.clone(), &presigned.url)
        .headers(presigned.headers.clone())
        .body(body);
    Answer::read(request.send().await.unwrap()).await
}

fn download(server: &Server, key: &tirage_s3::Key, now: Timestamp) -> Presigned {
    let get = PresignedGet {
        key,
        content_disposition: None,
        content_type: None,
    };
    server.bucket().presign_get(&get, MINUTE, now).unwrap()
}

#[tokio::test]
async fn a_client_without_keys_uploads_and_downloads() {
    let (server, _folder) = Server::temporary();
    let (key, body) = (key(), vec![7; 300_000]);
    let mut put = put(&key, &body);
    put.sha256 = Some(sha256(&body));
    let upload = server
        .bucket()
        .presign_put(&put, MINUTE, Timestamp::now())
        .unwrap();
    let answer = send(&server, &upload, body.clone()).await;
    assert_eq!(answer.failure(), None);

    let get = PresignedGet {
        key: &key,
        content_disposition: Some("attachment; filename=\"a b.jpg\""),
        content_type: Some("image/x-test"),
    };
    let url = server
        .bucket()
        .presign_get(&get, MINUTE, Timestamp::now())
        .unwrap();
    let answer = send(&server, &url, "").await;
    assert_eq!(answer.body, body);
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename=\"a b.jpg\""
    );
    assert_eq!(answer.header("content-type"), "image/x-test");
}

#[tokio::test]
async fn expired_and_forged_urls_are_refused() {
    let (server, _folder) = Server::temporary();
    let key = key();
    server.put(&key, b"private", false).await;
    let old = Timestamp::now() - SignedDuration::from_secs(62);
    let answer = send(&server, &download(&server, &key, old), "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (403, "AccessDenied")
    );
    assert!(String::from_utf8_lossy(&answer.body).contains("expired"));

    let get = PresignedGet {
        key: &key,
        content_disposition: None,
        content_type: None,
    };
    let forged = server.bucket_with("S3_SECRET_ACCESS_KEY", "wrong");
    let forged = forged.presign_get(&get, MINUTE, Timestamp::now()).unwrap();
    let answer = send(&server, &forged, "").await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.code(), "SignatureDoesNotMatch");
}

#[tokio::test]
async fn a_url_is_valid_for_one_object_and_one_method() {
    let (server, _folder) = Server::temporary();
    let (key, other) = (key(), key());
    server.put(&key, b"private", false).await;
    server.put(&other, b"private", false).await;
    let good = download(&server, &key, Timestamp::now());
    let mut elsewhere = good.clone();
    elsewhere.url = good.url.replace(&key.to_string(), &other.to_string());
    let mut longer = good.clone();
    longer.url = good.url.replace("X-Amz-Expires=60", "X-Amz-Expires=600");
    let mut delete = good.clone();
    delete.method = Method::DELETE;
    for changed in [elsewhere, longer, delete] {
        assert_ne!((&changed.url, &changed.method), (&good.url, &good.method));
        let answer = send(&server, &changed, "").await;
        assert_eq!(answer.code(), "SignatureDoesNotMatch");
    }
    assert_eq!(send(&server, &good, "").await.body, b"private");
}

#[tokio::test]
async fn an_upload_must_match_what_was_signed() {
    let (server, _folder) = Server::temporary();
    let (key, body) = (key(), b"twelve bytes".as_slice());
    let mut put = put(&key, body);
    put.sha256 = Some(sha256(body));
    let upload = server
        .bucket()
        .presign_put(&put, MINUTE, Timestamp::now())
        .unwrap();
    let with = |change: fn(&mut HeaderMap)| {
        let mut changed = upload.clone();
        change(&mut changed.headers);
        changed
    };
    let another_type = with(|headers| {
        headers.insert("content-type", "text/html".parse().unwrap());
    });
    let no_checksum = with(|headers| {
        headers.remove("x-amz-checksum-sha256");
    });
    for (changed, body, code) in [
        (&another_type, "twelve bytes", "SignatureDoesNotMatch"),
        (&no_checksum, "twelve bytes", "SignatureDoesNotMatch"),
        (&upload, "thirteen bytes", "SignatureDoesNotMatch"),
        (&upload, "less", "SignatureDoesNotMatch"),
        (&upload, "TWELVE BYTES", "BadDigest"),
    ] {
        let answer = send(&server, changed, body).await;
        assert_eq!(answer.code(), code, "{body}");
        assert_eq!(answer.status, if code == "BadDigest" { 400 } else { 403 });
    }
    // A chunked body has no Content-Length to compare.
    let parts = futures::stream::iter([Ok::<_, std::io::Error>("twelve "), Ok("bytes")]);
    let answer = send(&server, &upload, reqwest::Body::wrap_stream(parts)).await;
    assert_eq!(answer.code(), "SignatureDoesNotMatch");

    assert!(
        server.keys("").await.is_empty(),
        "no refused upload is stored"
    );
    assert_eq!(send(&server, &upload, body).await.failure(), None);
}
