//! A client that signs and says everything itself, so that tests see what goes over the wire.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tirage_sigv4::{Credentials, Payload, Service, Signer};

use crate::part::Part;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) output: Value,
}

impl Answer {
    /// The error's name, without what stands before the `#`.
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
    /// For the queue that the part made.
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

    /// The same for the dead-letter queue.
    pub(crate) fn dead_letters(&self) -> Self {
        self.for_queue(format!("{}-dead", self.queue_url))
    }

    /// The same for another queue.
    pub(crate) fn for_queue(&self, queue_url: String) -> Self {
        Self {
            queue_url,
            ..self.clone()
        }
    }

    /// Calls an action on the queue.
    pub(crate) async fn call(&self, action: &str, input: Value) -> Answer {
        self.try_call(action, input).await.unwrap()
    }

    pub(crate) async fn try_call(&self, action: &str, mut input: Value) -> Result<Answer, Error> {
        if input["QueueUrl"].is_null() {
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

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Answer, Error> {
        let (status, headers, body) = self.exchange(request).await?;
        Ok(Answer {
            status,
            headers,
            output: serde_json::from_slice(&body).unwrap(),
        })
    }

    /// The same, whatever the answer is written in.
    pub(crate) async fn exchange(
        &self,
        request: Request<Bytes>,
    ) -> Result<(StatusCode, HeaderMap, Bytes), Error> {
        let response = self.client.request(request.map(Full::new)).await?;
        let (head, body) = response.into_parts();
        // A server that is killed may leave half an answer; no test reads one.
        let body = body.collect().await.unwrap().to_bytes();
        Ok((head.status, head.headers, body))
    }

    pub(crate) async fn send_message(&self, body: &str) {
        let answer = self
            .call("SendMessage", json!({ "MessageBody": body }))
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }

    /// Up to ten messages, waiting for the first for `wait` seconds.
    pub(crate) async fn receive(&self, wait: u32) -> Vec<Message> {
        let input = json!({
            "MaxNumberOfMessages": 10,
            "WaitTimeSeconds": wait,
            "AttributeNames": ["All"],
        });
        let answer = self.call("ReceiveMessage", input).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let messages = answer.output["Messages"].as_array().cloned();
        messages
            .unwrap_or_default()
            .into_iter()
            .map(Message)
            .collect()
    }

    pub(crate) async fn delete(&self, message: &Message) {
        let input = json!({ "ReceiptHandle": message.receipt() });
        let answer = self.call("DeleteMessage", input).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }

    pub(crate) async fn change_visibility(&self, message: &Message, seconds: u32) -> Answer {
        let input = json!({
            "ReceiptHandle": message.receipt(),
            "VisibilityTimeout": seconds,
        });
        self.call("ChangeMessageVisibility", input).await
    }

    /// How many were never received, and how many were.
    pub(crate) async fn counts(&self) -> (u32, u32) {
        let input = json!({ "AttributeNames": ["All"] });
        let answer = self.call("GetQueueAttributes", input).await;
        let number = |name: &str| answer.output["Attributes"][name].as_str().unwrap().parse();
        (
            number("ApproximateNumberOfMessages").unwrap(),
            number("ApproximateNumberOfMessagesNotVisible").unwrap(),
        )
    }
}

/// A message as it was received.
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

/// Their bodies, sorted.
pub(crate) fn bodies(messages: &[Message]) -> Vec<&str> {
    let mut bodies: Vec<_> = messages.iter().map(Message::body).collect();
    bodies.sort_unstable();
    bodies
}
