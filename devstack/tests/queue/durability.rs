//! Durability: every response is on disk, at any time of a kill.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::client::{Sqs, bodies};
use crate::part::{Part, queue_command};

fn start(folder: &TempDir) -> (Part, Sqs) {
    start_hiding(folder, 3)
}

fn start_hiding(folder: &TempDir, seconds: u32) -> (Part, Sqs) {
    let mut command = queue_command(folder.path());
    let queue = Part::start(command.arg(format!("--visibility-seconds={seconds}")));
    let sqs = Sqs::of(&queue);
    (queue, sqs)
}

#[tokio::test]
async fn a_restart_keeps_messages_and_brings_no_deleted_one_back() {
    for kill in [false, true] {
        let folder = TempDir::new().unwrap();
        let (queue, sqs) = start_hiding(&folder, 600);
        for body in ["kept", "deleted", "in flight"] {
            sqs.send_message(body).await;
        }
        let received = sqs.receive(0).await;
        assert_eq!(received.len(), 3);
        for message in &received {
            match message.body() {
                "kept" => drop(sqs.change_visibility(message, 0).await),
                "deleted" => sqs.delete(message).await,
                _ => {}
            }
        }
        match kill {
            true => queue.kill_9(),
            false => assert!(queue.stop().0.success()),
        }
        let (queue, sqs) = start_hiding(&folder, 600);
        let again = sqs.receive(0).await;
        assert_eq!(
            bodies(&again),
            ["kept"],
            "the one in flight is still hidden"
        );
        assert_eq!(again[0].receives(), "2");
        sqs.delete(&again[0]).await;
        let in_flight = received
            .iter()
            .find(|message| message.body() == "in flight");
        sqs.delete(in_flight.unwrap()).await;
        assert_eq!(
            sqs.counts().await,
            (0, 0),
            "receipts are valid across restarts"
        );
        queue.kill_9();

        let (_queue, sqs) = start_hiding(&folder, 600);
        assert_eq!(sqs.counts().await, (0, 0));
        assert_eq!(sqs.receive(0).await.len(), 0);
    }
}

#[tokio::test]
async fn a_purge_and_the_dead_letters_survive_a_kill() {
    let folder = TempDir::new().unwrap();
    let start = || {
        let mut command = queue_command(folder.path());
        let queue = Part::start(command.arg("--max-receives=1"));
        let sqs = Sqs::of(&queue);
        (queue, sqs)
    };
    let (queue, sqs) = start();
    sqs.send_message("dead").await;
    let received = sqs.receive(0).await;
    sqs.change_visibility(&received[0], 0).await;
    assert_eq!(sqs.receive(0).await.len(), 0);
    sqs.send_message("purged").await;
    sqs.call("PurgeQueue", json!({})).await;
    queue.kill_9();

    let (_queue, sqs) = start();
    assert_eq!(sqs.counts().await, (0, 0));
    assert_eq!(bodies(&sqs.dead_letters().receive(0).await), ["dead"]);
}

/// Kills the server again and again under senders and receivers at full speed. An accepted message that
/// wasn't deleted must still exist; a deleted one must not.
#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_lose_no_response() {
    let folder = TempDir::new().unwrap();
    let accepted = Arc::new(Mutex::new(BTreeSet::new()));
    let deleted = Arc::new(Mutex::new(BTreeSet::new()));
    // Deletes whose response was lost: the message may exist or not.
    let unsure = Arc::new(Mutex::new(BTreeSet::new()));
    for round in 0..6 {
        let (queue, sqs) = start(&folder);
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for sender in 0..3 {
            let (sqs, stop, accepted) = (sqs.clone(), stop.clone(), accepted.clone());
            clients.push(tokio::spawn(async move {
                for number in 0.. {
                    let body = format!("{round}-{sender}-{number}");
                    let input = json!({ "MessageBody": body });
                    match sqs.try_call("SendMessage", input).await {
                        Ok(reply) if reply.status == StatusCode::OK => {
                            accepted.lock().await.insert(body);
                        }
                        _ if stop.load(Ordering::SeqCst) => return,
                        other => panic!("{other:?}"),
                    }
                }
            }));
        }
        for _ in 0..2 {
            let (sqs, deleted, unsure) = (sqs.clone(), deleted.clone(), unsure.clone());
            clients.push(tokio::spawn(async move {
                let input = json!({ "MaxNumberOfMessages": 3 });
                while let Ok(reply) = sqs.try_call("ReceiveMessage", input.clone()).await {
                    for message in reply.output["Messages"].as_array().into_iter().flatten() {
                        let body = message["Body"].as_str().unwrap().to_owned();
                        let input = json!({ "ReceiptHandle": message["ReceiptHandle"] });
                        match sqs.try_call("DeleteMessage", input).await {
                            Ok(_) => deleted.lock().await.insert(body),
                            Err(_) => unsure.lock().await.insert(body),
                        };
                    }
                }
            }));
        }
        tokio::time::sleep(Duration::from_millis(150 + 90 * round)).await;
        stop.store(true, Ordering::SeqCst);
        queue.kill_9();
        for client in clients {
            client.await.unwrap();
        }
    }
    let (_queue, sqs) = start(&folder);
    let mut left = BTreeSet::new();
    loop {
        let received = sqs.receive(4).await;
        if received.is_empty() {
            break;
        }
        for message in received {
            left.insert(message.body().to_owned());
            sqs.delete(&message).await;
        }
    }
    // Dead letters aren't lost.
    let dead = sqs.dead_letters().receive(0).await;
    left.extend(dead.iter().map(|message| message.body().to_owned()));
    let (accepted, deleted, unsure) = (
        accepted.lock().await,
        deleted.lock().await,
        unsure.lock().await,
    );
    println!(
        "{} accepted, {} deleted, {} left, {} unsure, {} dead",
        accepted.len(),
        deleted.len(),
        left.len(),
        unsure.len(),
        dead.len()
    );
    assert!(accepted.len() > 20 && deleted.len() > 5 && !left.is_empty());
    let lost: Vec<_> = accepted
        .iter()
        .filter(|body| !left.contains(*body) && !deleted.contains(*body) && !unsure.contains(*body))
        .collect();
    assert!(lost.is_empty(), "accepted, but lost: {lost:?}");
    let back: Vec<_> = left.intersection(&deleted).collect();
    assert!(back.is_empty(), "deleted, but received: {back:?}");
}

/// The shell limits the size of files; writes beyond it fail as on a full disk.
#[tokio::test]
async fn on_a_full_disk_it_ends_and_keeps_accepted_messages() {
    let folder = TempDir::new().unwrap();
    drop(start(&folder));
    let mut limited = std::process::Command::new("/bin/sh");
    limited
        .args(["-c", r#"trap '' XFSZ; ulimit -f 8192; exec "$0" "$@""#])
        .arg(env!("CARGO_BIN_EXE_tirage-devstack"))
        .arg("queue")
        .arg("--data")
        .arg(folder.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let queue = Part::start(&mut limited);
    let sqs = Sqs::of(&queue);
    let mut accepted = 0;
    let refused = loop {
        let body = format!("{accepted}:{}", "x".repeat(200 << 10));
        let input = json!({ "MessageBody": body });
        match sqs.try_call("SendMessage", input).await {
            Ok(reply) if reply.status == StatusCode::OK => accepted += 1,
            other => break other,
        }
        assert!(accepted < 200, "8 MiB cannot hold that");
    };
    if let Ok(reply) = &refused {
        assert_eq!(reply.error(), "InternalFailure");
    }
    let (status, _, log) = tokio::task::spawn_blocking(|| queue.wait()).await.unwrap();
    assert!(!status.success());
    assert!(log.contains("cannot write messages"), "{log}");

    let (_queue, sqs) = start(&folder);
    let (kept, _) = sqs.counts().await;
    println!("{accepted} accepted, {kept} kept");
    // The message whose send failed may exist too.
    assert!(accepted > 0 && (kept == accepted || kept == accepted + 1));
}
