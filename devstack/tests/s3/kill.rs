//! `kill -9` at any time: answered uploads stay, other objects are whole or absent.

use std::io::Write;

use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::support::{Server, files, key, put, sha256};
use crate::uploads::{begin, eventually};

#[tokio::test]
async fn a_kill_during_an_upload_leaves_only_the_other_objects() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (stored, cut_off, body) = (key(), key(), vec![1; 1 << 20]);
    assert_eq!(server.put(&stored, b"stays", true).await.failure(), None);
    let request = server
        .bucket()
        .put(&put(&cut_off, &body), Timestamp::now())
        .unwrap();
    let mut connection = begin(&server, &request);
    connection.write_all(&body[..900_000]).unwrap();
    eventually("the server has a part of it", || {
        files(folder.path()).len() == 2
    })
    .await;
    let ready = server.ready.clone();
    server.kill_9();

    let server = Server::start(folder.path());
    assert_eq!(server.ready, ready, "same port, same keys");
    assert_eq!(
        files(folder.path()).len(),
        1,
        "the interrupted upload is removed"
    );
    assert_eq!(server.get(&stored).await.body, b"stays");
    assert_eq!(server.get(&cut_off).await.code(), "NoSuchKey");
    assert_eq!(server.keys("").await, [stored.to_string()]);
}

/// Kills the server while clients write and overwrite without pause.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_every_object_is_whole_and_every_answered_upload_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let server = Server::start(folder.path());
        let bucket = server.bucket();
        let mut writers = JoinSet::new();
        for writer in 0..4_u8 {
            let (bucket, client) = (bucket.clone(), server.client.clone());
            writers.spawn(async move {
                let key = key();
                let mut answered = None;
                for version in 0..=u8::MAX {
                    let body = vec![version; 10_000 + usize::from(writer)];
                    let mut put = put(&key, &body);
                    put.sha256 = Some(sha256(&body));
                    let request = bucket.put(&put, Timestamp::now()).unwrap();
                    let sent = client
                        .put(request.uri().to_string())
                        .headers(request.headers().clone())
                        .body(body)
                        .send();
                    match sent.await {
                        Ok(answer) if answer.status() == 200 => answered = Some(version),
                        // Killed.
                        _ => return (key, answered),
                    }
                }
                (key, answered)
            });
        }
        eventually("something is stored", || !files(folder.path()).is_empty()).await;
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        server.kill_9();

        let server = Server::start(folder.path());
        while let Some(written) = writers.join_next().await {
            let (key, answered) = written.unwrap();
            let Some(answered) = answered else { continue };
            let found = server.get(&key).await;
            assert_eq!(found.failure(), None, "an answered upload is stored");
            let version = found.body[0];
            // The next upload may be stored too, with its response lost.
            assert!([answered, answered.saturating_add(1)].contains(&version));
            assert!(found.body.iter().all(|byte| *byte == version), "whole");
        }
        assert_eq!(server.stop().0.code(), Some(0));
    }
}
