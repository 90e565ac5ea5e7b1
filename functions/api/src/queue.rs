//! The queue: messages out, nothing else. In Amazon SQS's protocol (JSON 1.0), which Scaleway speaks too
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>).

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use spin_sdk::http::FullBody;
use tirage_jobs::{Message, Secret};
use tirage_problem::{Kind, Problem};
use tirage_sigv4::{Credentials, Payload, Service, Signer};

use crate::settings;

const MAX_ANSWER_BYTES: usize = 64 << 10;
/// A client waits for this; what was not sent by then, the sweep sends.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The queue that the component's variables name.
pub(crate) struct Queue {
    endpoint: String,
    name: String,
    signer: Signer,
    secret: Secret,
}

impl Queue {
    /// The queue; nothing is sent yet.
    ///
    /// # Errors
    /// 500 if the variables are missing or make no sense.
    pub(crate) async fn open() -> Result<Self, Problem> {
        let secret = settings::required("job_secret").await?;
        Ok(Self {
            endpoint: settings::required("queue_endpoint").await?,
            name: settings::required("queue_name").await?,
            signer: Signer {
                credentials: Credentials::new(
                    settings::required("sqs_access_key_id").await?,
                    settings::required("sqs_secret_access_key").await?,
                ),
                region: settings::required("s3_region").await?,
                service: Service::SQS,
            },
            secret: Secret::new(&secret).map_err(settings::internal)?,
        })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// 503 if the queue can't take it now, 500 if it never will.
    pub(crate) async fn send(&self, message: &Message) -> Result<(), Problem> {
        let url = self.url().await?;
        let body = serde_json::json!({
            "QueueUrl": url,
            "MessageBody": message.seal(&self.secret),
        });
        self.call("SendMessage", body).await.map(drop)
    }

    /// Queues are addressed by URLs, which only the service can make. This instance asks once.
    async fn url(&self) -> Result<&'static str, Problem> {
        static URL: OnceLock<String> = OnceLock::new();
        if let Some(url) = URL.get() {
            return Ok(url);
        }
        let answer = self
            .call("GetQueueUrl", serde_json::json!({ "QueueName": self.name }))
            .await?;
        let answer: serde_json::Value =
            serde_json::from_slice(&answer).map_err(settings::internal)?;
        match answer["QueueUrl"].as_str() {
            Some(url) => Ok(URL.get_or_init(|| url.to_owned())),
            None => Err(settings::internal("the queue has no URL")),
        }
    }

    async fn call(&self, action: &str, body: serde_json::Value) -> Result<Bytes, Problem> {
        let body = body.to_string();
        let (mut head, ()) = Request::builder()
            .method(Method::POST)
            .uri(&self.endpoint)
            .header(CONTENT_TYPE, "application/x-amz-json-1.0")
            .header(CONTENT_LENGTH, body.len())
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .body(())
            .map_err(settings::internal)?
            .into_parts();
        self.signer
            .sign(&mut head, Payload::Bytes(body.as_bytes()), Timestamp::now())
            .map_err(settings::internal)?;
        let request = Request::from_parts(head, FullBody::new(Bytes::from(body)));
        let answered = std::pin::pin!(async {
            let response = spin_sdk::http::send(request)
                .await
                .map_err(|code| unavailable(format!("{code:?}")))?;
            let status = response.status();
            let answer = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
                .collect()
                .await
                .map_err(unavailable)?
                .to_bytes();
            if status.is_success() {
                return Ok(answer);
            }
            let told = format!("{status}: {}", String::from_utf8_lossy(&answer));
            Err(match status.is_server_error() {
                true => unavailable(told),
                false => settings::internal(format!("the queue refuses: {told}")),
            })
        });
        let patience = std::pin::pin!(spin_sdk::time::sleep(TIMEOUT));
        match futures::future::select(answered, patience).await {
            futures::future::Either::Left((answer, _)) => answer,
            futures::future::Either::Right(((), _)) => Err(unavailable("no answer in time")),
        }
    }
}

fn unavailable(error: impl std::fmt::Display) -> Problem {
    eprintln!("the queue is not available: {error}");
    Problem::new(Kind::UNAVAILABLE)
        .detail("The queue cannot be reached at the moment")
        .header(RETRY_AFTER, HeaderValue::from_static("5"))
}
