//! Client of the queue: sends job messages in Amazon SQS's JSON protocol, which Scaleway's queues speak too
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>).

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Request};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use spin_sdk::http::FullBody;
use tirage_guest::timeout::within;
use tirage_guest::{Error, Service as Dependency, settings};
use tirage_jobs::{Message, Secret};
use tirage_sigv4::{Credentials, Payload, Service, Signer};

const MAX_RESPONSE_BYTES: usize = 64 << 10;
/// Time limit of a call, for which a client waits. The sweep sends what was not sent in time.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A queue.
pub(crate) struct Queue {
    endpoint: String,
    name: String,
    signer: Signer,
    secret: Secret,
}

impl Queue {
    /// The queue that the component's variables name. Sends nothing yet.
    ///
    /// # Errors
    /// 500 if the variables are missing or invalid.
    pub(crate) async fn open() -> Result<Self, Error> {
        let secret = settings::variable("job_secret").await?;
        Ok(Self {
            endpoint: settings::variable("queue_endpoint").await?,
            name: settings::variable("queue_name").await?,
            signer: Signer {
                credentials: Credentials::new(
                    settings::variable("sqs_access_key_id").await?,
                    settings::variable("sqs_secret_access_key").await?,
                ),
                region: settings::variable("s3_region").await?,
                service: Service::SQS,
            },
            secret: Secret::new(&secret).map_err(Error::internal)?,
        })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// 503 if the queue is unavailable, 500 if it refuses the message.
    pub(crate) async fn send(&self, message: &Message) -> Result<(), Error> {
        let url = self.url().await?;
        let body = serde_json::json!({
            "QueueUrl": url,
            "MessageBody": message.seal(&self.secret),
        });
        self.call("SendMessage", body).await.map(drop)
    }

    /// URL of the queue, which only the service knows. Each instance requests it once.
    async fn url(&self) -> Result<&'static str, Error> {
        static URL: OnceLock<String> = OnceLock::new();
        if let Some(url) = URL.get() {
            return Ok(url);
        }
        let response = self
            .call("GetQueueUrl", serde_json::json!({ "QueueName": self.name }))
            .await?;
        let response: serde_json::Value =
            serde_json::from_slice(&response).map_err(Error::internal)?;
        match response["QueueUrl"].as_str() {
            Some(url) => Ok(URL.get_or_init(|| url.to_owned())),
            None => Err(Error::internal(
                "the response to GetQueueUrl has no QueueUrl",
            )),
        }
    }

    async fn call(&self, action: &str, body: serde_json::Value) -> Result<Bytes, Error> {
        let body = body.to_string();
        let (mut head, ()) = Request::builder()
            .method(Method::POST)
            .uri(&self.endpoint)
            .header(CONTENT_TYPE, "application/x-amz-json-1.0")
            .header(CONTENT_LENGTH, body.len())
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .body(())
            .map_err(Error::internal)?
            .into_parts();
        self.signer
            .sign(&mut head, Payload::Bytes(body.as_bytes()), Timestamp::now())
            .map_err(Error::internal)?;
        let request = Request::from_parts(head, FullBody::new(Bytes::from(body)));
        let sent = async {
            let response = spin_sdk::http::send(request)
                .await
                .map_err(|code| unavailable(format!("{code:?}")))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES)
                .collect()
                .await
                .map_err(unavailable)?
                .to_bytes();
            if status.is_success() {
                return Ok(body);
            }
            let reason = format!("{status}: {}", String::from_utf8_lossy(&body));
            Err(match status.is_server_error() {
                true => unavailable(reason),
                false => Error::internal(format!("the queue refused {action}: {reason}")),
            })
        };
        within(TIMEOUT, sent)
            .await
            .unwrap_or_else(|| Err(unavailable("no response in time")))
    }
}

fn unavailable(reason: impl std::fmt::Display) -> Error {
    Error::unavailable(Dependency::Queue, reason)
}
