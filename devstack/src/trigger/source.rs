//! A small client of SQS's JSON protocol.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tirage_sigv4::{Credentials, Payload, Service, Signer};
use tokio::sync::OnceCell;

use crate::http_client::HttpClient;

/// Time for which a receive waits for a message (SQS's maximum).
const WAIT_SECONDS: u64 = 20;

/// Timeout of a request; a receive has it in addition to its wait.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Attempts to delete a message. If all fail, it is delivered again.
const DELETE_ATTEMPTS: u32 = 4;

/// A queue and the credentials for it.
pub struct Queue {
    /// Address of the SQS API.
    pub endpoint: Uri,
    /// Region that requests are signed for.
    pub region: String,
    /// Name of the queue.
    pub name: String,
    /// Key that requests are signed with.
    pub credentials: Credentials,
}

/// A received message.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Message {
    #[serde(rename = "MessageId")]
    pub(super) id: String,
    pub(super) body: String,
    receipt_handle: String,
}

/// Reason why a request to the queue failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}")]
    NoResponse(#[from] crate::http_client::NoResponse),
    #[error("it answered {0}")]
    Refused(String),
    #[error("cannot parse its response: {0}")]
    InvalidResponse(#[from] serde_json::Error),
    #[error("cannot sign the request: {0}")]
    Unsigned(#[from] tirage_sigv4::Error),
}

pub(super) struct Source {
    endpoint: Uri,
    name: String,
    signer: Signer,
    client: HttpClient,
    /// The queue's URL, requested once.
    url: OnceCell<String>,
}

impl Source {
    pub(super) fn new(queue: Queue, client: HttpClient) -> Self {
        Self {
            endpoint: queue.endpoint,
            name: queue.name,
            signer: Signer {
                credentials: queue.credentials,
                region: queue.region,
                service: Service::SQS,
            },
            client,
            url: OnceCell::new(),
        }
    }

    /// Receives up to `limit` messages. Waits at most [`WAIT_SECONDS`] for the first.
    pub(super) async fn receive(&self, limit: usize) -> Result<Vec<Message>, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Received {
            #[serde(default)]
            messages: Vec<Message>,
        }
        let input = json!({
            "QueueUrl": self.url().await?,
            "MaxNumberOfMessages": limit,
            "WaitTimeSeconds": WAIT_SECONDS,
        });
        let timeout = Duration::from_secs(WAIT_SECONDS) + TIMEOUT;
        let received: Received = self.call("ReceiveMessage", &input, timeout).await?;
        Ok(received.messages)
    }

    /// Deletes a delivered message. A failure is only logged: the message is delivered again, and the
    /// application recognizes it.
    pub(super) async fn delete(&self, message: &Message) {
        for attempt in 1..=DELETE_ATTEMPTS {
            match self.on_message("DeleteMessage", message, json!({})).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(message = message.id, "delivered, but not deleted: {error}");
                }
            }
            if attempt < DELETE_ATTEMPTS {
                tokio::time::sleep(Duration::from_secs(attempt.into())).await;
            }
        }
    }

    /// Makes a message visible again. If that fails, its visibility timeout does.
    pub(super) async fn release(&self, message: &Message) {
        let input = json!({ "VisibilityTimeout": 0 });
        if let Err(error) = self
            .on_message("ChangeMessageVisibility", message, input)
            .await
        {
            tracing::debug!(message = message.id, "not released: {error}");
        }
    }

    async fn on_message(
        &self,
        action: &str,
        message: &Message,
        mut input: Value,
    ) -> Result<(), Error> {
        input["QueueUrl"] = self.url().await?.into();
        input["ReceiptHandle"] = message.receipt_handle.as_str().into();
        let _: Value = self.call(action, &input, TIMEOUT).await?;
        Ok(())
    }

    async fn url(&self) -> Result<&str, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Found {
            queue_url: String,
        }
        let find = async || {
            let input = json!({ "QueueName": self.name });
            let found: Found = self.call("GetQueueUrl", &input, TIMEOUT).await?;
            Ok::<_, Error>(found.queue_url)
        };
        Ok(self.url.get_or_try_init(find).await?)
    }

    async fn call<Output: DeserializeOwned>(
        &self,
        action: &str,
        input: &Value,
        timeout: Duration,
    ) -> Result<Output, Error> {
        let body = Bytes::from(input.to_string());
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        let headers = request.headers_mut();
        let json = HeaderValue::from_static("application/x-amz-json-1.0");
        headers.insert(CONTENT_TYPE, json);
        if let Ok(target) = HeaderValue::from_str(&format!("AmazonSQS.{action}")) {
            headers.insert("x-amz-target", target);
        }
        let (mut head, ()) = request.into_parts();
        self.signer
            .sign(&mut head, Payload::Bytes(&body), jiff::Timestamp::now())?;
        let request = Request::from_parts(head, body);
        let response = self.client.send(request, timeout).await?;
        if !response.status().is_success() {
            return Err(refusal(&response));
        }
        // The body is empty or an empty object for actions without output.
        match response.body().is_empty() {
            true => Ok(serde_json::from_str("{}")?),
            false => Ok(serde_json::from_slice(response.body())?),
        }
    }
}

fn refusal(response: &http::Response<Bytes>) -> Error {
    let output: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let text = |name: &str| output[name].as_str().unwrap_or_default().to_owned();
    Error::Refused(format!(
        "{} {} {}",
        response.status(),
        text("__type"),
        text("message")
    ))
}
