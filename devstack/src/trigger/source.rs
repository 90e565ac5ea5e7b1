//! The queue as the trigger sees it: a small client of SQS's JSON protocol.

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

/// How long a receive waits for a message: the most that SQS allows.
const WAIT_SECONDS: u64 = 20;

/// How long other answers may take, and those of a receive beyond its wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a delete is tried. If the queue stays away, the message comes again.
const DELETES: u32 = 4;

/// Which queue, and what to sign with.
pub struct Queue {
    /// The address of the SQS API.
    pub endpoint: Uri,
    /// The region that signatures are for.
    pub region: String,
    /// The queue's name.
    pub name: String,
    /// Who signs.
    pub credentials: Credentials,
}

/// A message in flight.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Message {
    #[serde(rename = "MessageId")]
    pub(super) id: String,
    pub(super) body: String,
    receipt_handle: String,
}

/// What went wrong between the queue and us.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}")]
    NoAnswer(#[from] crate::http_client::NoAnswer),
    #[error("it answered {0}")]
    Refused(String),
    #[error("its answer makes no sense: {0}")]
    Nonsense(#[from] serde_json::Error),
    #[error("the request cannot be signed: {0}")]
    Unsigned(#[from] tirage_sigv4::Error),
}

pub(super) struct Source {
    endpoint: Uri,
    name: String,
    signer: Signer,
    client: HttpClient,
    /// Asked for once.
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

    /// Up to `most` messages, or none if none came for a while.
    pub(super) async fn receive(&self, most: usize) -> Result<Vec<Message>, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Received {
            #[serde(default)]
            messages: Vec<Message>,
        }
        let input = json!({
            "QueueUrl": self.url().await?,
            "MaxNumberOfMessages": most,
            "WaitTimeSeconds": WAIT_SECONDS,
        });
        let patience = Duration::from_secs(WAIT_SECONDS) + PATIENCE;
        let received: Received = self.call("ReceiveMessage", &input, patience).await?;
        Ok(received.messages)
    }

    /// Deletes a message. If the queue stays away it will come again, which is said and no more:
    /// the message was taken, and whoever took it knows it when it comes again.
    pub(super) async fn delete(&self, message: &Message) {
        for attempt in 1..=DELETES {
            match self.of_message("DeleteMessage", message, json!({})).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(message = message.id, "taken, but not deleted: {error}");
                }
            }
            if attempt < DELETES {
                tokio::time::sleep(Duration::from_secs(attempt.into())).await;
            }
        }
    }

    /// Makes a message visible again. If that fails, it will be when its time is up.
    pub(super) async fn release(&self, message: &Message) {
        let input = json!({ "VisibilityTimeout": 0 });
        if let Err(error) = self
            .of_message("ChangeMessageVisibility", message, input)
            .await
        {
            tracing::debug!(message = message.id, "not given back: {error}");
        }
    }

    async fn of_message(
        &self,
        action: &str,
        message: &Message,
        mut input: Value,
    ) -> Result<(), Error> {
        input["QueueUrl"] = self.url().await?.into();
        input["ReceiptHandle"] = message.receipt_handle.as_str().into();
        let _: Value = self.call(action, &input, PATIENCE).await?;
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
            let found: Found = self.call("GetQueueUrl", &input, PATIENCE).await?;
            Ok::<_, Error>(found.queue_url)
        };
        Ok(self.url.get_or_try_init(find).await?)
    }

    async fn call<Output: DeserializeOwned>(
        &self,
        action: &str,
        input: &Value,
        patience: Duration,
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
        let response = self.client.send(request, patience).await?;
        if !response.status().is_success() {
            return Err(refusal(&response));
        }
        // Actions without output answer with nothing, or with an empty object.
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
