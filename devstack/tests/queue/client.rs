//! A client of the JSON protocol that shows tests what goes over the wire.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tirage_sigv4::{Credentials, Payload, Service, Signer};

use crate::part::Part;

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) output: Value,
}

impl Reply {
    /// Returns the error's name without its namespace.
    pub(crate) fn error(&self) -> &str {
        let text = self.output["__type"].as_str().unwrap_or_default();
        text.rsplit('#').next().unwrap()
    }
}

#[derive(Clone)]
pub(crate) struct Sqs {
    pub(crate) endpoint: String,
    pub(crate) queue_url: String,
    pub(crate) signer: Signer,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Sqs {
    /// Returns a client of a part's queue.
    pub(crate) fn of(queue: &Part) -> Self {
        let text = |name: &str| queue.ready[name].as_str().unwrap().to_owned();
        Self {
            endpoint: text("endpoint"),
            queue_url: text("queue_url"),
            signer: Signer {
                credentials: Credentials::new(text("access_key_id"), text("secret_access_key")),
                region: text("region"),
                service: Service::SQS,
            },
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Returns a client of the dead-letter queue.
    pub(crate) fn dead_letters(&self) -> Self {
        Self {
            queue_url: format!("{}-dead", self.queue_url),
            ..self.clone()
        }
    }

    /// Calls an action, on the queue unless the input names another.
    pub(crate) async fn call(&self, action: &str, input: Value) -> Reply {
        self.try_call(action, input).await.unwrap()
    }

    pub(crate) async fn try_call(&self, action: &str, mut input: Value) -> Result<Reply, Error> {
        if action != "ListQueues" && input["QueueUrl"].is_null() {
            input["QueueUrl"] = self.queue_url.as_str().into();
        }
        let body = Bytes::from(input.to_string());
        let request = Request::post(&self.endpoint)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .body(())
            .unwrap();
        let (mut head, ()) = request.into_parts();
        self.signer
            .sign(&mut head, Payload::Bytes(&body), jiff::Timestamp::now())
            .unwrap();
        self.send(Request::from_parts(head, body)).await
    }

    /// Sends a request unchanged.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Reply, Error> {
        let response = self.client.request(request.map(Full::new)).await?;
        let (head, body) = response.into_parts();
        // No test reads the response of a server that it kills.
        let body = body.collect().await.unwrap().to_bytes();
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            output: serde_json::from_slice(&body).unwrap(),
        })
    }

    pub(crate) async fn send_message(&self, body: &str) {
        let reply = self
            .call("SendMessage", json!({ "MessageBody": body }))
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    }

    /// Receives up to ten messages; waits at most `wait` seconds for the first.
    pub(crate) async fn receive(&self, wait: u32) -> Vec<Message> {
        let input = json!({
            "MaxNumberOfMessages": 10,
            "WaitTimeSeconds": wait,
            "AttributeNames": ["All"],
        });
        let reply = self.call("ReceiveMessage", input).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        let messages = reply.output["Messages"].as_array().cloned();
        messages
            .unwrap_or_default()
            .into_iter()
            .map(Message)
            .collect()
    }

    pub(crate) async fn delete(&self, message: &Message) {
        let input = json!({ "ReceiptHandle": message.receipt() });
        let reply = self.call("DeleteMessage", input).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    }

    pub(crate) async fn change_visibility(&self, message: &Message, seconds: u32) -> Reply {
        let input = json!({
            "ReceiptHandle": message.receipt(),
            "VisibilityTimeout": seconds,
        });
        self.call("ChangeMessageVisibility", input).await
    }

    /// Returns the numbers of messages that were never received and that were.
    pub(crate) async fn counts(&self) -> (u32, u32) {
        let input = json!({ "AttributeNames": ["All"] });
        let reply = self.call("GetQueueAttributes", input).await;
        let number = |name: &str| reply.output["Attributes"][name].as_str().unwrap().parse();
        (
            number("ApproximateNumberOfMessages").unwrap(),
            number("ApproximateNumberOfMessagesNotVisible").unwrap(),
        )
    }
}

/// A received message.
#[derive(Debug)]
pub(crate) struct Message(pub(crate) Value);

impl Message {
    pub(crate) fn body(&self) -> &str {
        self.0["Body"].as_str().unwrap()
    }

    pub(crate) fn receipt(&self) -> &str {
        self.0["ReceiptHandle"].as_str().unwrap()
    }

    pub(crate) fn receives(&self) -> &str {
        self.0["Attributes"]["ApproximateReceiveCount"]
            .as_str()
            .unwrap()
    }
}

/// Returns the bodies, sorted.
pub(crate) fn bodies(messages: &[Message]) -> Vec<&str> {
    let mut bodies: Vec<_> = messages.iter().map(Message::body).collect();
    bodies.sort_unstable();
    bodies
}
