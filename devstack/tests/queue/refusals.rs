//! What is refused: what Scaleway doesn't have, and what SQS doesn't take.

use http::StatusCode;
use serde_json::{Value, json};

use crate::client::Sqs;
use crate::part::{Part, command};

#[tokio::test]
async fn what_scaleway_does_not_have_is_refused_and_named() {
    let queue = Part::start(command("queue").arg("--temporary"));
    let sqs = Sqs::of(&queue);
    for (action, input, named) in [
        (
            "SendMessage",
            json!({ "MessageBody": "a", "DelaySeconds": 1 }),
            "DelaySeconds",
        ),
        (
            "SendMessage",
            json!({ "MessageBody": "a", "MessageGroupId": "g" }),
            "MessageGroupId",
        ),
        (
            "ReceiveMessage",
            json!({ "VisibilityTimeout": 5 }),
            "VisibilityTimeout",
        ),
        (
            "ReceiveMessage",
            json!({ "AttributeNames": ["ApproximateFirstReceiveTimestamp"] }),
            "ApproximateFirstReceiveTimestamp",
        ),
        (
            "CreateQueue",
            json!({ "QueueName": "x", "tags": { "a": "b" } }),
            "tags",
        ),
        (
            "CreateQueue",
            json!({ "QueueName": "x", "Attributes": { "DelaySeconds": "1" } }),
            "DelaySeconds",
        ),
        (
            "CreateQueue",
            json!({ "QueueName": "x", "Attributes": { "DeduplicationScope": "queue" } }),
            "DeduplicationScope",
        ),
        (
            "SetQueueAttributes",
            json!({ "Attributes": { "KmsMasterKeyId": "k" } }),
            "KmsMasterKeyId",
        ),
        ("ListQueues", json!({ "MaxResults": 3 }), "MaxResults"),
        ("TagQueue", json!({ "Tags": { "a": "b" } }), "TagQueue"),
        ("StartMessageMoveTask", json!({}), "StartMessageMoveTask"),
    ] {
        let answer = sqs.call(action, input).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{action}: {answer:?}"
        );
        assert_eq!(answer.error(), "UnsupportedOperation", "{action}");
        let message = answer.output["message"].as_str().unwrap();
        assert!(message.contains(named), "{action}: {message}");
    }
    assert_eq!(sqs.counts().await, (0, 0), "nothing was done by halves");
}

#[tokio::test]
async fn only_nothing_or_the_queues_own_visibility_can_be_set() {
    let queue = Part::start(command("queue").args(["--temporary", "--visibility-seconds=60"]));
    let sqs = Sqs::of(&queue);
    sqs.send_message("a").await;
    let received = sqs.receive(0).await;
    for seconds in [1, 59, 61, 43_200] {
        let answer = sqs.change_visibility(&received[0], seconds).await;
        assert_eq!(answer.error(), "InvalidParameterValue", "{seconds}");
    }
    assert_eq!(
        sqs.change_visibility(&received[0], 60).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn what_is_no_request_of_sqs_is_refused() {
    let queue = Part::start(command("queue").arg("--temporary"));
    let sqs = Sqs::of(&queue);
    let entry = |id: &str| json!({ "Id": id, "MessageBody": "a" });
    let batch = |entries: Vec<Value>| json!({ "Entries": entries });
    let large = "x".repeat(256 * 1024 + 1);
    let half = "x".repeat(128 * 1024 + 1);
    for (action, input, expected) in [
        ("SendMessage", json!({}), "MissingParameter"),
        (
            "SendMessage",
            json!({ "MessageBody": "a", "MessageDeduplicationId": "d" }),
            "InvalidParameterValue",
        ),
        (
            "CreateQueue",
            json!({ "QueueName": "x.fifo" }),
            "InvalidParameterValue",
        ),
        (
            "CreateQueue",
            json!({ "QueueName": "x", "Attributes": { "FifoQueue": "true" } }),
            "InvalidParameterValue",
        ),
        (
            "SendMessage",
            json!({ "MessageBody": 3 }),
            "SerializationException",
        ),
        (
            "SendMessage",
            json!({ "MessageBody": "" }),
            "InvalidParameterValue",
        ),
        (
            "SendMessage",
            json!({ "MessageBody": "\u{1}" }),
            "InvalidMessageContents",
        ),
        (
            "SendMessage",
            json!({ "MessageBody": large }),
            "InvalidParameterValue",
        ),
        (
            "SendMessage",
            json!({ "MessageBody": "a", "QueueUrl": format!("{}/1/none", sqs.endpoint) }),
            "QueueDoesNotExist",
        ),
        ("SendMessageBatch", batch(vec![]), "EmptyBatchRequest"),
        (
            "SendMessageBatch",
            batch((0..11).map(|id| entry(&id.to_string())).collect()),
            "TooManyEntriesInBatchRequest",
        ),
        (
            "SendMessageBatch",
            batch(vec![entry("a"), entry("a")]),
            "BatchEntryIdsNotDistinct",
        ),
        (
            "SendMessageBatch",
            batch(vec![entry("a b")]),
            "InvalidBatchEntryId",
        ),
        (
            "SendMessageBatch",
            batch(vec![
                json!({ "Id": "1", "MessageBody": half }),
                json!({ "Id": "2", "MessageBody": half }),
            ]),
            "BatchRequestTooLong",
        ),
        (
            "ReceiveMessage",
            json!({ "MaxNumberOfMessages": 11 }),
            "InvalidParameterValue",
        ),
        (
            "ReceiveMessage",
            json!({ "MaxNumberOfMessages": 0 }),
            "InvalidParameterValue",
        ),
        (
            "ReceiveMessage",
            json!({ "WaitTimeSeconds": 21 }),
            "InvalidParameterValue",
        ),
        (
            "DeleteMessage",
            json!({ "ReceiptHandle": "x" }),
            "ReceiptHandleIsInvalid",
        ),
        (
            "CreateQueue",
            json!({ "QueueName": "a/b" }),
            "InvalidParameterValue",
        ),
        (
            "SetQueueAttributes",
            json!({ "Attributes": { "Nothing": "1" } }),
            "InvalidAttributeName",
        ),
        (
            "SetQueueAttributes",
            json!({ "Attributes": { "VisibilityTimeout": "43201" } }),
            "InvalidAttributeValue",
        ),
        (
            "SetQueueAttributes",
            json!({ "Attributes": { "RedrivePolicy": "{}" } }),
            "InvalidAttributeValue",
        ),
        ("Nothing", json!({}), "UnknownOperationException"),
    ] {
        let answer = sqs.call(action, input).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{action}: {answer:?}"
        );
        assert_eq!(answer.error(), expected, "{action}");
    }
    assert_eq!(sqs.counts().await, (0, 0));

    let answer = sqs
        .call(
            "SendMessage",
            json!({ "MessageBody": "x".repeat(256 * 1024) }),
        )
        .await;
    assert_eq!(answer.status, StatusCode::OK, "256 KiB are allowed");
    let answer = sqs
        .call("SendMessage", json!({ "MessageBody": "x".repeat(3 << 20) }))
        .await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}
