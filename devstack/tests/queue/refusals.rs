//! Refused requests: unsupported ones and invalid ones.

use http::StatusCode;
use serde_json::json;

use crate::client::Sqs;
use crate::part::{Part, command};

#[tokio::test]
async fn unsupported_actions_and_parameters_are_refused_by_name() {
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
            "SendMessage",
            json!({ "MessageBody": "a", "MessageAttributes": {} }),
            "MessageAttributes",
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
            "GetQueueAttributes",
            json!({ "AttributeNames": ["KmsMasterKeyId"] }),
            "KmsMasterKeyId",
        ),
        ("ListQueues", json!({ "MaxResults": 3 }), "MaxResults"),
        ("CreateQueue", json!({ "QueueName": "x" }), "CreateQueue"),
        (
            "SendMessageBatch",
            json!({ "Entries": [] }),
            "SendMessageBatch",
        ),
        ("TagQueue", json!({ "Tags": { "a": "b" } }), "TagQueue"),
        ("Nothing", json!({}), "Nothing"),
    ] {
        let reply = sqs.call(action, input).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{action}: {reply:?}");
        assert_eq!(reply.error(), "UnsupportedOperation", "{action}");
        let message = reply.output["message"].as_str().unwrap();
        assert!(message.contains(named), "{action}: {message}");
    }
    assert_eq!(sqs.counts().await, (0, 0), "nothing was sent");
}

#[tokio::test]
async fn visibility_can_only_change_to_zero_or_the_queues_timeout() {
    let queue = Part::start(command("queue").args(["--temporary", "--visibility-seconds=60"]));
    let sqs = Sqs::of(&queue);
    sqs.send_message("a").await;
    let received = sqs.receive(0).await;
    for seconds in [1, 59, 61, 43_200] {
        let reply = sqs.change_visibility(&received[0], seconds).await;
        assert_eq!(reply.error(), "InvalidParameterValue", "{seconds}");
    }
    assert_eq!(
        sqs.change_visibility(&received[0], 60).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn invalid_requests_are_refused() {
    let queue = Part::start(command("queue").arg("--temporary"));
    let sqs = Sqs::of(&queue);
    let large = "x".repeat(256 * 1024 + 1);
    for (action, input, expected) in [
        ("SendMessage", json!({}), "MissingParameter"),
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
            "GetQueueUrl",
            json!({ "QueueUrl": sqs.queue_url }),
            "UnsupportedOperation",
        ),
    ] {
        let reply = sqs.call(action, input).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{action}: {reply:?}");
        assert_eq!(reply.error(), expected, "{action}");
        // SDKs take the error's code from this header.
        let code = reply.headers["x-amzn-query-error"].to_str().unwrap();
        let expected = match expected {
            "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue;Sender".to_owned(),
            "UnsupportedOperation" => format!("AWS.SimpleQueueService.{expected};Sender"),
            expected => format!("{expected};Sender"),
        };
        assert_eq!(code, expected, "{action}");
    }
    assert_eq!(sqs.counts().await, (0, 0));

    let reply = sqs
        .call(
            "SendMessage",
            json!({ "MessageBody": "x".repeat(256 * 1024) }),
        )
        .await;
    assert_eq!(reply.status, StatusCode::OK, "256 KiB are allowed");
    let reply = sqs
        .call("SendMessage", json!({ "MessageBody": "x".repeat(3 << 20) }))
        .await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
}
