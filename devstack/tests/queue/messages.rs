//! What a message lives through: sent, received, hidden, received again, deleted, or dead.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};

use crate::client::{Sqs, bodies};
use crate::part::{Part, command, eventually};

fn queue(arguments: &[&str]) -> (Part, Sqs) {
    let queue = Part::start(command("queue").arg("--temporary").args(arguments));
    let sqs = Sqs::of(&queue);
    (queue, sqs)
}

#[tokio::test]
async fn sent_received_and_deleted() {
    let (_queue, sqs) = queue(&[]);
    let answer = sqs
        .call(
            "SendMessage",
            json!({ "MessageBody": "This is a test message" }),
        )
        .await;
    // The digest that Amazon's API reference shows for this body.
    assert_eq!(
        answer.output["MD5OfMessageBody"],
        "fafb00f5732ab283681e124bf8747ed1"
    );
    let received = sqs.receive(0).await;
    assert_eq!(bodies(&received), ["This is a test message"]);
    assert_eq!(
        received[0].0["MD5OfBody"],
        "fafb00f5732ab283681e124bf8747ed1"
    );
    assert_eq!(received[0].0["MessageId"], answer.output["MessageId"]);
    assert_eq!(received[0].receives(), "1");
    assert_eq!(sqs.counts().await, (0, 1));
    sqs.delete(&received[0]).await;
    assert_eq!(sqs.counts().await, (0, 0));
    // Twice is no error.
    sqs.delete(&received[0]).await;
}

#[tokio::test]
async fn hidden_until_its_time_is_up_then_counted_again() {
    let (_queue, sqs) = queue(&["--visibility-seconds=2"]);
    sqs.send_message("a").await;
    let began = Instant::now();
    let first = sqs.receive(0).await;
    assert_eq!(sqs.receive(0).await.len(), 0);
    // Nobody sends: the wait ends because the message's time is up.
    let second = sqs.receive(20).await;
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert!(began.elapsed() < Duration::from_secs(15));
    assert_eq!(bodies(&second), ["a"]);
    assert_eq!(second[0].receives(), "2");
    assert_ne!(second[0].receipt(), first[0].receipt());
    // Once received, it counts as not visible until it is deleted, as at Scaleway.
    sqs.change_visibility(&second[0], 0).await;
    assert_eq!(sqs.counts().await, (0, 1));
}

#[tokio::test]
async fn given_back_it_comes_at_once() {
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
        "its receipt is outdated"
    );
}

#[tokio::test]
async fn received_too_often_it_goes_to_the_dead_letters() {
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
async fn somebody_who_waits_for_the_dead_letters_gets_them() {
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
async fn a_receive_that_waits_answers_when_something_is_sent() {
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
async fn a_receiver_that_left_takes_nothing() {
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
    assert_eq!(all.len(), 200, "none came twice");
    assert_eq!(sqs.counts().await, (0, 0));
}

#[tokio::test]
async fn purged_all_are_gone_those_in_flight_too() {
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

#[tokio::test]
async fn in_batches_each_entry_has_its_own_result() {
    let (_queue, sqs) = queue(&[]);
    let entries = json!([
        { "Id": "good", "MessageBody": "a" },
        { "Id": "empty", "MessageBody": "" },
        { "Id": "late", "MessageBody": "b", "DelaySeconds": 5 },
    ]);
    let answer = sqs
        .call("SendMessageBatch", json!({ "Entries": entries }))
        .await;
    let ids = |entries: &Value| -> Vec<String> {
        let entries = entries.as_array().unwrap().iter();
        entries
            .map(|entry| entry["Id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&answer.output["Successful"]), ["good"]);
    assert_eq!(ids(&answer.output["Failed"]), ["empty", "late"]);
    let code = &answer.output["Failed"][1]["Code"];
    assert_eq!(code, "AWS.SimpleQueueService.UnsupportedOperation");

    let received = sqs.receive(0).await;
    assert_eq!(bodies(&received), ["a"]);
    let entries = json!([
        { "Id": "good", "ReceiptHandle": received[0].receipt(), "VisibilityTimeout": 0 },
        { "Id": "bad", "ReceiptHandle": "x", "VisibilityTimeout": 0 },
    ]);
    let answer = sqs
        .call(
            "ChangeMessageVisibilityBatch",
            json!({ "Entries": entries }),
        )
        .await;
    assert_eq!(ids(&answer.output["Successful"]), ["good"]);
    assert_eq!(answer.output["Failed"][0]["Code"], "ReceiptHandleIsInvalid");
    let received = sqs.receive(0).await;
    let entries = json!([
        { "Id": "1", "ReceiptHandle": received[0].receipt() },
        { "Id": "2", "ReceiptHandle": "x" },
    ]);
    let answer = sqs
        .call("DeleteMessageBatch", json!({ "Entries": entries }))
        .await;
    assert_eq!(ids(&answer.output["Successful"]), ["1"]);
    assert_eq!(ids(&answer.output["Failed"]), ["2"]);
    assert_eq!(sqs.counts().await, (0, 0));
}

#[tokio::test]
async fn queues_are_made_set_and_deleted() {
    let (_queue, sqs) = queue(&[]);
    let make = |attributes: Value| json!({ "QueueName": "other", "Attributes": attributes });
    let answer = sqs
        .call("CreateQueue", make(json!({ "VisibilityTimeout": "11" })))
        .await;
    let url = answer.output["QueueUrl"].as_str().unwrap().to_owned();
    let other = sqs.for_queue(url.clone());
    // The same again is no error; another one of that name is.
    let answer = sqs
        .call("CreateQueue", make(json!({ "VisibilityTimeout": "11" })))
        .await;
    assert_eq!(answer.output["QueueUrl"], url);
    let refused = sqs.call("CreateQueue", make(json!({}))).await;
    assert_eq!(refused.error(), "QueueNameExists");

    let arn = "arn:scw:sqs:fr-par:000000000000:tirage-jobs-dead";
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"1"}}"#);
    let attributes = json!({ "RedrivePolicy": policy, "VisibilityTimeout": "0" });
    let answer = other
        .call("SetQueueAttributes", json!({ "Attributes": attributes }))
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    other.send_message("a").await;
    assert_eq!(other.receive(0).await.len(), 1);
    assert_eq!(other.receive(0).await.len(), 0);
    eventually("the dead letter is there", async || {
        sqs.dead_letters().counts().await == (1, 0)
    })
    .await;

    assert_eq!(
        other.call("DeleteQueue", json!({})).await.status,
        StatusCode::OK
    );
    let refused = other
        .call("SendMessage", json!({ "MessageBody": "a" }))
        .await;
    assert_eq!(refused.error(), "QueueDoesNotExist");
    let code = refused.headers["x-amzn-query-error"].to_str().unwrap();
    assert_eq!(code, "AWS.SimpleQueueService.NonExistentQueue;Sender");
    let answer = sqs
        .call("ListQueues", json!({ "QueueNamePrefix": "oth" }))
        .await;
    assert!(answer.output["QueueUrls"].is_null());
}
