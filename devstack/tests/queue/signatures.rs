//! Authentication: requests must be signed with the key.

use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::json;
use tirage_sigv4::{Credentials, Payload};

use crate::client::Sqs;
use crate::part::{Part, command};

#[tokio::test]
async fn requests_without_a_valid_signature_are_refused() {
    let queue = Part::start(command("queue").arg("--temporary"));
    let sqs = Sqs::of(&queue);
    let key = &sqs.signer.credentials.access_key_id;
    for (id, secret, region, expected) in [
        (key.as_str(), "wrong", "fr-par", "SignatureDoesNotMatch"),
        ("SCWUNKNOWN", "wrong", "fr-par", "InvalidClientTokenId"),
        (
            key.as_str(),
            queue.ready["secret_access_key"].as_str().unwrap(),
            "nl-ams",
            "SignatureDoesNotMatch",
        ),
    ] {
        let mut stranger = sqs.clone();
        stranger.signer.credentials = Credentials::new(id, secret);
        stranger.signer.region = region.to_owned();
        let reply = stranger
            .call("SendMessage", json!({ "MessageBody": "a" }))
            .await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        assert_eq!(reply.error(), expected);
        let text = reply.output.to_string();
        assert!(!text.contains(secret), "{text}");
    }
    let unsigned = Request::post(&sqs.endpoint)
        .header("x-amz-target", "AmazonSQS.ListQueues")
        .body(Bytes::from_static(b"{}"))
        .unwrap();
    let reply = sqs.send(unsigned).await.unwrap();
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert_eq!(reply.error(), "MissingAuthenticationToken");
    assert_eq!(sqs.counts().await, (0, 0));
}

#[tokio::test]
async fn a_signature_is_valid_for_one_body_and_one_action_and_expires() {
    let queue = Part::start(command("queue").arg("--temporary"));
    let sqs = Sqs::of(&queue);
    let sign = |body: &'static str, now: jiff::Timestamp| {
        let request = Request::post(&sqs.endpoint)
            .header("x-amz-target", "AmazonSQS.ListQueues")
            .body(())
            .unwrap();
        let (mut head, ()) = request.into_parts();
        sqs.signer
            .sign(&mut head, Payload::Bytes(body.as_bytes()), now)
            .unwrap();
        head
    };
    let now = jiff::Timestamp::now();
    let head = sign("{}", now);
    let good = Request::from_parts(head.clone(), Bytes::from_static(b"{}"));
    assert_eq!(sqs.send(good).await.unwrap().status, StatusCode::OK);

    let other_body = Request::from_parts(head.clone(), Bytes::from_static(b"{ }"));
    let mut other_action = head;
    let action = "AmazonSQS.PurgeQueue".parse().unwrap();
    other_action.headers.insert("x-amz-target", action);
    let other_action = Request::from_parts(other_action, Bytes::from_static(b"{}"));
    let long_ago = sign("{}", now - std::time::Duration::from_secs(16 * 60));
    let long_ago = Request::from_parts(long_ago, Bytes::from_static(b"{}"));
    for request in [other_body, other_action, long_ago] {
        let reply = sqs.send(request).await.unwrap();
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{reply:?}");
        assert_eq!(reply.error(), "SignatureDoesNotMatch");
    }
}
