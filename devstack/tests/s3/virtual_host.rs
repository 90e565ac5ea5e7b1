//! Virtual-hosted addressing, with signed requests and presigned URLs.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Client;
use tempfile::TempDir;
use tirage_s3::{Bucket, List, Listing, PresignedGet};

use crate::support::{Answer, Server, key, put, sha256};

/// Starts a server with a client that resolves the bucket's host, since not every system's resolver knows
/// names below `localhost`.
fn server() -> (Server, TempDir) {
    let (mut server, folder) = Server::temporary();
    server.client = Client::builder()
        .resolve(
            &format!("{}.localhost", server.ready.bucket),
            // 0 keeps the URL's port.
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        )
        .build()
        .unwrap();
    (server, folder)
}

/// Returns the bucket with virtual-hosted addressing and this secret.
fn bucket(server: &Server, secret: &str) -> Bucket {
    let ready = &server.ready;
    let endpoint = ready.endpoint.replace("127.0.0.1", "localhost");
    Bucket::from_settings(|setting| {
        let value = match setting {
            "S3_ENDPOINT" => &endpoint,
            "S3_ADDRESSING" => "virtual",
            "S3_REGION" => &ready.region,
            "S3_BUCKET" => &ready.bucket,
            "S3_ACCESS_KEY_ID" => &ready.access_key_id,
            "S3_SECRET_ACCESS_KEY" => secret,
            _ => return None,
        };
        Some(value.to_owned())
    })
    .unwrap()
}

#[tokio::test]
async fn the_host_names_the_bucket() {
    let (server, _folder) = server();
    let bucket = bucket(&server, &server.ready.secret_access_key);
    let (key, body) = (key(), b"the bytes".as_slice());
    let now = Timestamp::now();
    let request = bucket.put(&put(&key, body), now).unwrap();
    assert_eq!(
        request.uri().to_string(),
        server
            .ready
            .endpoint
            .replace("127.0.0.1", &format!("{}.localhost", server.ready.bucket))
            + &format!("/{key}")
    );
    assert_eq!(server.send(request, body).await.failure(), None);
    let request = bucket.get(&key, None, now).unwrap();
    assert_eq!(server.send(request, "").await.body, body);
    // The same object as with the bucket in the path.
    assert_eq!(server.get(&key).await.body, body);

    let list = List {
        prefix: "",
        continuation: None,
        max_keys: None,
    };
    let request = bucket.list(&list, now).unwrap();
    let listing = Listing::parse(&server.send(request, "").await.body).unwrap();
    assert_eq!(listing.objects[0].key, key.to_string());

    let request = bucket.delete(&key, now).unwrap();
    assert_eq!(server.send(request, "").await.failure(), None);
    assert_eq!(server.get(&key).await.status, 404);
}

#[tokio::test]
async fn presigned_urls_work_with_the_bucket_in_the_host() {
    let (server, _folder) = server();
    let (key, body) = (key(), vec![7; 300_000]);
    let mut put = put(&key, &body);
    put.sha256 = Some(sha256(&body));
    let minute = Duration::from_secs(60);
    let get = PresignedGet {
        key: &key,
        content_disposition: None,
        content_type: None,
    };
    let send = async |bucket: &Bucket, upload| {
        let now = Timestamp::now();
        let presigned = match upload {
            true => bucket.presign_put(&put, minute, now),
            false => bucket.presign_get(&get, minute, now),
        }
        .unwrap();
        let request = server
            .client
            .request(presigned.method, &presigned.url)
            .headers(presigned.headers)
            .body(if upload { body.clone() } else { Vec::new() });
        Answer::read(request.send().await.unwrap()).await
    };
    let ours = bucket(&server, &server.ready.secret_access_key);
    assert_eq!(send(&ours, true).await.failure(), None);
    assert_eq!(send(&ours, false).await.body, body);
    let forged = bucket(&server, "wrong");
    assert_eq!(send(&forged, false).await.code(), "SignatureDoesNotMatch");
}
