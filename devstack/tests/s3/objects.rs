//! Operations of the functions on objects.

use jiff::Timestamp;
use tirage_s3::{FailureKind, Key, ObjectInfo, Range};
use uuid::Uuid;

use crate::support::{Server, key, put, sha256};

#[tokio::test]
async fn an_object_is_returned_with_its_metadata() {
    let (server, _folder) = Server::temporary();
    let (key, body) = (key(), b"the bytes".as_slice());
    let mut put = put(&key, body);
    put.sha256 = Some(sha256(body));
    put.cache_control = Some("private, max-age=60");
    let request = server.bucket().put(&put, Timestamp::now()).unwrap();
    let stored = server.send(request, body).await;
    assert_eq!(stored.failure(), None);

    let request = server.bucket().head(&key, Timestamp::now()).unwrap();
    let head = server.send(request, "").await;
    let info = ObjectInfo::from_headers(&head.headers).unwrap();
    assert_eq!(info.size, 9);
    assert_eq!(info.content_type.as_deref(), Some("image/jpeg"));
    assert_eq!(info.cache_control.as_deref(), Some("private, max-age=60"));
    assert_eq!(info.sha256, Some(sha256(body)));
    assert_eq!(info.etag.as_deref(), Some(stored.header("etag")));
    assert_eq!(server.get(&key).await.body, body);
}

#[tokio::test]
async fn ranges_of_an_object_are_returned() {
    let (server, _folder) = Server::temporary();
    let key = key();
    server.put(&key, b"0123456789", false).await;
    for (range, status, body, described) in [
        (Range::Between(2, 4), 206, "234", "bytes 2-4/10"),
        (Range::Between(8, 99), 206, "89", "bytes 8-9/10"),
        (Range::From(7), 206, "789", "bytes 7-9/10"),
        (Range::Last(3), 206, "789", "bytes 7-9/10"),
    ] {
        let request = server.bucket().get(&key, Some(range), Timestamp::now());
        let answer = server.send(request.unwrap(), "").await;
        assert_eq!(answer.status.as_u16(), status, "{range}");
        assert_eq!(answer.body, body.as_bytes(), "{range}");
        assert_eq!(answer.header("content-range"), described, "{range}");
    }
    let request = server
        .bucket()
        .get(&key, Some(Range::From(10)), Timestamp::now());
    let answer = server.send(request.unwrap(), "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (416, "InvalidRange")
    );
}

#[tokio::test]
async fn only_one_of_concurrent_conditional_uploads_is_stored() {
    let (server, _folder) = Server::temporary();
    let key = key();
    let mut put = put(&key, b"x");
    put.if_absent = true;
    let send = async |body: &'static str| {
        let request = server.bucket().put(&put, Timestamp::now()).unwrap();
        server.send(request, body).await
    };
    // Concurrently, so that the check and the change must be one step.
    let (a, b, c, d) = tokio::join!(send("a"), send("b"), send("c"), send("d"));
    let kinds: Vec<_> = [&a, &b, &c, &d]
        .iter()
        .filter_map(|answer| answer.failure())
        .map(|failure| failure.kind)
        .collect();
    assert_eq!(kinds, [FailureKind::PreconditionFailed; 3]);
    let stored = server.get(&key).await.body;
    let won = [(a, "a"), (b, "b"), (c, "c"), (d, "d")];
    let (_, winner) = won.iter().find(|(answer, _)| answer.status == 200).unwrap();
    assert_eq!(stored, winner.as_bytes());
}

#[tokio::test]
async fn a_deleted_object_is_gone_and_can_be_deleted_again() {
    let (server, _folder) = Server::temporary();
    let (one, other) = (key(), key());
    server.put(&one, b"1", false).await;
    server.put(&other, b"2", false).await;
    for _ in 0..2 {
        let request = server.bucket().delete(&one, Timestamp::now()).unwrap();
        assert_eq!(server.send(request, "").await.failure(), None);
    }
    let failure = server.get(&one).await.failure().unwrap();
    assert_eq!(failure.kind, FailureKind::NotFound);
    let request = server.bucket().head(&one, Timestamp::now()).unwrap();
    let failure = server.send(request, "").await.failure().unwrap();
    assert_eq!(failure.kind, FailureKind::NotFound);
    assert_eq!(server.keys("").await, [other.to_string()]);
}

#[tokio::test]
async fn lists_are_complete_in_order_and_limited_to_the_prefix() {
    let (server, _folder) = Server::temporary();
    let (workspace, media) = (Uuid::now_v7(), Uuid::now_v7());
    let mut expected = Vec::new();
    for name in [
        "thumb.1",
        "original",
        "small.1",
        "display-1600.2",
        "display-2048.1",
    ] {
        let key = Key::new(workspace, media, name.parse().unwrap());
        server.put(&key, b"x", false).await;
        expected.push(key.to_string());
    }
    server.put(&key(), b"another workspace's", false).await;
    expected.sort();
    assert_eq!(
        server.keys(&Key::prefix_of_media(workspace, media)).await,
        expected
    );
    assert_eq!(
        server.keys(&Key::prefix_of_workspace(workspace)).await,
        expected
    );
    assert_eq!(server.keys("").await.len(), 6);
}

#[tokio::test]
async fn a_missing_bucket_is_not_a_missing_object() {
    let (server, _folder) = Server::temporary();
    let bucket = server.bucket_with("S3_BUCKET", "another");
    let request = bucket.get(&key(), None, Timestamp::now()).unwrap();
    let failure = server.send(request, "").await.failure().unwrap();
    assert_eq!(failure.code.as_deref(), Some("NoSuchBucket"));
    assert_eq!(failure.kind, FailureKind::Other);
}

#[tokio::test]
async fn requests_need_a_signature_with_the_right_key_region_and_time() {
    let (server, _folder) = Server::temporary();
    let key = key();
    server.put(&key, b"private", false).await;
    let now = Timestamp::now();
    let minutes = |minutes: i64| jiff::SignedDuration::from_mins(minutes);
    for (bucket, time, code) in [
        (
            server.bucket_with("S3_SECRET_ACCESS_KEY", "wrong"),
            now,
            "SignatureDoesNotMatch",
        ),
        (
            server.bucket_with("S3_REGION", "nl-ams"),
            now,
            "AuthorizationHeaderMalformed",
        ),
        (server.bucket(), now + minutes(16), "RequestTimeTooSkewed"),
        (server.bucket(), now - minutes(16), "RequestTimeTooSkewed"),
    ] {
        let request = bucket.get(&key, None, time).unwrap();
        let answer = server.send(request, "").await;
        assert_eq!(answer.code(), code);
        assert!(answer.status.is_client_error());
    }
    let bucket = server.bucket_with("S3_ACCESS_KEY_ID", "nobody");
    let request = bucket.get(&key, None, now).unwrap();
    assert_eq!(server.send(request, "").await.status, 403);
    for offset in [-14, 14] {
        let request = server.bucket().get(&key, None, now + minutes(offset));
        assert_eq!(server.send(request.unwrap(), "").await.body, b"private");
    }

    let good = server.bucket().get(&key, None, now).unwrap();
    let mut unsigned = good.clone();
    unsigned.headers_mut().clear();
    let mut more = good.clone();
    let unsigned_header = "x-amz-meta-late".parse::<http::HeaderName>().unwrap();
    more.headers_mut()
        .insert(unsigned_header, "1".parse().unwrap());
    for request in [unsigned, more] {
        let answer = server.send(request, "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (403, "AccessDenied")
        );
    }
    assert_eq!(server.send(good, "").await.body, b"private");
}
