//! Messages: sent, received, hidden, received again, deleted, dead.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::json;

use crate::client::{Sqs, bodies};
use crate::part::{Part, command};

fn queue(arguments: &[&str]) -> (Part, Sqs) {
    let queue = Part::start(command("queue").arg("--temporary").args(arguments));
    let sqs = Sqs::of(&queue);
    (queue, sqs)
}

#[tokio::test]
async fn a_message_is_sent_received_and_deleted() {
    let (_queue, sqs) = queue(&[]);
    let reply = sqs
        .call(
            "SendMessage",
            json!({ "MessageBody": "This is a test message" }),
        )
        .await;
    // The digest of this body in Amazon's API reference.
    assert_eq!(
        reply.output["MD5OfMessageBody"],
        "fafb00f5732ab283681e124bf8747ed1"
    );
    let received = sqs.receive(0).await;
    assert_eq!(bodies(&received), ["This is a test message"]);
    assert_eq!(
        received[0].0["MD5OfBody"],
        "fafb00f5732ab283681e124bf8747ed1"
    );
    assert_eq!(received[0].0["MessageId"], reply.output["MessageId"]);
    assert_eq!(received[0].receives(), "1");
    assert_eq!(sqs.counts().await, (0, 1));
    sqs.delete(&received[0]).await;
    assert_eq!(sqs.counts().await, (0, 0));
    // A second delete isn't an error.
    sqs.delete(&received[0]).await;
}

#[tokio::test]
async fn a_received_message_is_hidden_then_received_and_counted_again() {
    let (_queue, sqs) = queue(&["--visibility-seconds=2"]);
    sqs.send_message("a").await;
    let began = Instant::now();
    let first = sqs.receive(0).await;
    assert_eq!(sqs.receive(0).await.len(), 0);
    // No message is sent: the wait ends with the visibility timeout.
    let second = sqs.receive(20).await;
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert!(began.elapsed() < Duration::from_secs(15));
    assert_eq!(bodies(&second), ["a"]);
    assert_eq!(second[0].receives(), "2");
    assert_ne!(second[0].receipt(), first[0].receipt());
    // A received message counts as not visible until it is deleted, as at Scaleway.
    sqs.change_visibility(&second[0], 0).await;
    assert_eq!(sqs.counts().await, (0, 1));
}

#[tokio::test]
async fn a_released_message_is_received_immediately() {
    let (_queue, sqs) = queue(&["--visibility-seconds=100"]);
    sqs.send_message("a").await;
    let first = sqs.receive(0).await;
    assert_eq!(
        sqs.change_visibility(&first[0], 100).await.status,
        StatusCode::OK
    );
    assert_eq!(sqs.receive(0).await.len(), 0);
    assert_eq!(
        sqs.change_visibility(&first[0], 0).await.status,
        StatusCode::OK
    );
    assert_eq!(sqs.receive(0).await.len(), 1);
    let refused = sqs.change_visibility(&first[0], 0).await;
    assert_eq!(
        refused.error(),
        "InvalidParameterValue",
        "the receipt is outdated"
    );
}

#[tokio::test]
async fn a_message_received_too_often_moves_to_the_dead_letters() {
    let (_queue, sqs) = queue(&["--max-receives=2"]);
    let dead = sqs.dead_letters();
    sqs.send_message("poison").await;
    for receives in ["1", "2"] {
        let received = sqs.receive(0).await;
        assert_eq!(received[0].receives(), receives);
        sqs.change_visibility(&received[0], 0).await;
    }
    assert_eq!(dead.receive(0).await.len(), 0);
    assert_eq!(sqs.receive(0).await.len(), 0);
    assert_eq!(sqs.counts().await, (0, 0));
    assert_eq!(dead.counts().await, (1, 0));
    let received = dead.receive(0).await;
    assert_eq!(bodies(&received), ["poison"]);
    dead.delete(&received[0]).await;
    assert_eq!(dead.counts().await, (0, 0));
}

#[tokio::test]
async fn a_receive_that_waits_for_dead_letters_gets_them() {
    let (_queue, sqs) = queue(&["--max-receives=1"]);
    let dead = sqs.dead_letters();
    let waiting = tokio::spawn(async move { dead.receive(20).await.len() });
    sqs.send_message("poison").await;
    let received = sqs.receive(0).await;
    sqs.change_visibility(&received[0], 0).await;
    assert_eq!(sqs.receive(0).await.len(), 0);
    assert_eq!(waiting.await.unwrap(), 1);
}

#[tokio::test]
async fn a_waiting_receive_gets_a_message_that_is_sent_later() {
    let (_queue, sqs) = queue(&[]);
    let waiting = tokio::spawn({
        let sqs = sqs.clone();
        async move {
            let began = Instant::now();
            let received = sqs.receive(20).await;
            (received.len(), began.elapsed())
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    sqs.send_message("a").await;
    let (received, waited) = waiting.await.unwrap();
    assert_eq!(received, 1);
    assert!(waited > Duration::from_millis(250) && waited < Duration::from_secs(15));

    let began = Instant::now();
    assert_eq!(sqs.receive(1).await.len(), 0);
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_disconnected_receiver_takes_no_message() {
    let (_queue, sqs) = queue(&["--visibility-seconds=600"]);
    let leaving = tokio::spawn({
        let sqs = sqs.clone();
        async move { sqs.receive(20).await.len() }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    tokio::time::sleep(Duration::from_millis(300)).await;
    sqs.send_message("a").await;
    assert_eq!(sqs.receive(5).await.len(), 1);
}

#[tokio::test]
async fn each_of_many_messages_goes_to_one_of_many_receivers() {
    let (_queue, sqs) = queue(&["--visibility-seconds=600"]);
    let receivers: Vec<_> = (0..8)
        .map(|_| {
            let sqs = sqs.clone();
            tokio::spawn(async move {
                let mut all = Vec::new();
                loop {
                    let received = sqs.receive(2).await;
                    if received.is_empty() {
                        return all;
                    }
                    for message in received {
                        sqs.delete(&message).await;
                        all.push(message.body().to_owned());
                    }
                }
            })
        })
        .collect();
    let senders: Vec<_> = (0..8)
        .map(|sender| {
            let sqs = sqs.clone();
            tokio::spawn(async move {
                for number in 0..25 {
                    sqs.send_message(&format!("{sender}-{number}")).await;
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    let mut all = Vec::new();
    for receiver in receivers {
        all.extend(receiver.await.unwrap());
    }
    assert_eq!(all.len(), 200);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 200, "none was received twice");
    assert_eq!(sqs.counts().await, (0, 0));
}

#[tokio::test]
async fn a_purge_deletes_messages_in_flight_too() {
    let (_queue, sqs) = queue(&["--visibility-seconds=1"]);
    for body in ["a", "b", "c"] {
        sqs.send_message(body).await;
    }
    let one = json!({ "MaxNumberOfMessages": 1 });
    sqs.call("ReceiveMessage", one).await;
    assert_eq!(sqs.counts().await, (2, 1));
    assert_eq!(
        sqs.call("PurgeQueue", json!({})).await.status,
        StatusCode::OK
    );
    assert_eq!(sqs.counts().await, (0, 0));
    assert_eq!(sqs.receive(2).await.len(), 0);
}
