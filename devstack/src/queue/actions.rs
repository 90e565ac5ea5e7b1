//! SQS's actions: from the JSON protocol's input to its output ([API reference][reference]).
//!
//! Input with a field that isn't supported is refused by name, instead of being ignored.
//!
//! [reference]: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::error::{ApiError, Code};
use super::message::{Content, Message, Receipt};
use super::name::QueueName;
use super::service::Service;

/// Runs an action. `endpoint` is the server's own address, without a slash at the end.
pub(super) async fn run(
    service: &Service,
    endpoint: &str,
    action: &str,
    input: &[u8],
) -> Result<Value, ApiError> {
    match action {
        "SendMessage" => send(service, parse(input)?).await,
        "ReceiveMessage" => receive(service, parse(input)?).await,
        "DeleteMessage" => delete(service, parse(input)?).await,
        "ChangeMessageVisibility" => change_visibility(service, parse(input)?).await,
        "PurgeQueue" => purge(service, parse(input)?).await,
        "GetQueueAttributes" => attributes(service, parse(input)?).await,
        "GetQueueUrl" => {
            let input: NamedQueue = parse(input)?;
            let queue = service.queue(&input.queue_name)?;
            Ok(json!({ "QueueUrl": queue_url(endpoint, &queue.name) }))
        }
        "ListQueues" => {
            let NoInput {} = parse(input)?;
            let urls = service.queues().iter();
            let urls: Vec<_> = urls.map(|queue| queue_url(endpoint, &queue.name)).collect();
            Ok(json!({ "QueueUrls": urls }))
        }
        _ => Err(ApiError::new(
            Code::UnsupportedOperation,
            format!("the action {action} is not supported here"),
        )),
    }
}

/// Returns a queue's URL in Amazon's form: account, then name.
pub(super) fn queue_url(endpoint: &str, queue: &QueueName) -> String {
    format!("{endpoint}/000000000000/{queue}")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SendInput {
    queue_url: String,
    message_body: String,
}

async fn send(service: &Service, input: SendInput) -> Result<Value, ApiError> {
    let queue = service.queue(&input.queue_url)?.clone();
    let content = Content::new(input.message_body)?;
    let digest = content.md5();
    let id = service
        .run(move |messages, now| messages.send(&queue, content, now))
        .await?;
    Ok(json!({ "MessageId": id, "MD5OfMessageBody": digest }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ReceiveInput {
    queue_url: String,
    #[serde(default = "one")]
    max_number_of_messages: usize,
    #[serde(default)]
    wait_time_seconds: u64,
    #[serde(default, alias = "MessageSystemAttributeNames")]
    attribute_names: Vec<String>,
    /// Ignored, because no message has such attributes.
    #[serde(default, rename = "MessageAttributeNames")]
    _message_attribute_names: IgnoredAny,
}

fn one() -> usize {
    1
}

async fn receive(service: &Service, input: ReceiveInput) -> Result<Value, ApiError> {
    let queue = service.queue(&input.queue_url)?;
    let limit = input.max_number_of_messages;
    if !(1..=10).contains(&limit) {
        return Err(ApiError::parameter("MaxNumberOfMessages", "1 to 10"));
    }
    if input.wait_time_seconds > 20 {
        return Err(ApiError::parameter("WaitTimeSeconds", "0 to 20"));
    }
    check_names(&input.attribute_names, &MESSAGE_ATTRIBUTES)?;
    let timeout = Duration::from_secs(input.wait_time_seconds);
    let received = service.receive(queue, limit, timeout).await?;
    let messages: Vec<_> = received
        .iter()
        .map(|(receipt, message)| describe(*receipt, message, &input.attribute_names))
        .collect();
    // SQS omits empty lists and maps.
    Ok(match messages.is_empty() {
        true => json!({}),
        false => json!({ "Messages": messages }),
    })
}

/// Supported system attributes of a message.
const MESSAGE_ATTRIBUTES: [&str; 2] = ["ApproximateReceiveCount", "SentTimestamp"];

fn describe(receipt: Receipt, message: &Message, requested: &[String]) -> Value {
    let values = [message.receives.to_string(), message.sent_at.0.to_string()];
    let attributes = select(MESSAGE_ATTRIBUTES.into_iter().zip(values), requested);
    let mut output = json!({
        "MessageId": message.id,
        "ReceiptHandle": receipt.to_string(),
        "Body": message.content.body,
        "MD5OfBody": message.content.md5(),
    });
    if !attributes.is_empty() {
        output["Attributes"] = json!(attributes);
    }
    output
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteInput {
    queue_url: String,
    receipt_handle: String,
}

async fn delete(service: &Service, input: DeleteInput) -> Result<Value, ApiError> {
    let queue = service.queue(&input.queue_url)?.clone();
    let receipt = Receipt::parse(&input.receipt_handle)?;
    service
        .run(move |messages, _| messages.delete(&queue, receipt))
        .await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ChangeVisibilityInput {
    queue_url: String,
    receipt_handle: String,
    visibility_timeout: u32,
}

async fn change_visibility(
    service: &Service,
    input: ChangeVisibilityInput,
) -> Result<Value, ApiError> {
    let queue = service.queue(&input.queue_url)?.clone();
    let receipt = Receipt::parse(&input.receipt_handle)?;
    let seconds = input.visibility_timeout;
    service
        .run(move |messages, now| messages.change_visibility(&queue, receipt, seconds, now))
        .await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PurgeInput {
    queue_url: String,
}

async fn purge(service: &Service, input: PurgeInput) -> Result<Value, ApiError> {
    let queue = service.queue(&input.queue_url)?.clone();
    service
        .run(move |messages, _| messages.purge(&queue))
        .await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AttributesInput {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

async fn attributes(service: &Service, input: AttributesInput) -> Result<Value, ApiError> {
    let queue = service.queue(&input.queue_url)?.clone();
    check_names(&input.attribute_names, &QUEUE_ATTRIBUTES)?;
    let counted = queue.clone();
    let counts = service
        .run(move |messages, now| messages.counts(&counted, now))
        .await?;
    let redrive = queue.redrive.map(|redrive| {
        json!({
            // Scaleway's form of a queue's name.
            "deadLetterTargetArn": format!("arn:scw:sqs:fr-par:000000000000:{}", redrive.dead_letters),
            "maxReceiveCount": redrive.max_receives,
        })
    });
    let values = [
        counts.never_received.to_string(),
        counts.received.to_string(),
        queue.visibility_seconds.to_string(),
        redrive
            .map(|redrive| redrive.to_string())
            .unwrap_or_default(),
    ];
    let attributes = QUEUE_ATTRIBUTES.into_iter().zip(values);
    // The dead-letter queue has no redrive policy.
    let attributes = attributes.filter(|(_, value)| !value.is_empty());
    Ok(json!({ "Attributes": select(attributes, &input.attribute_names) }))
}

/// Supported attributes of a queue.
const QUEUE_ATTRIBUTES: [&str; 4] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "VisibilityTimeout",
    "RedrivePolicy",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct NamedQueue {
    queue_name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoInput {}

fn check_names(requested: &[String], supported: &[&str]) -> Result<(), ApiError> {
    let is_supported = |name: &String| name == "All" || supported.contains(&name.as_str());
    match requested.iter().find(|name| !is_supported(name)) {
        None => Ok(()),
        Some(name) => Err(ApiError::new(
            Code::UnsupportedOperation,
            format!("the attribute {name} is not supported here"),
        )),
    }
}

fn select(
    attributes: impl Iterator<Item = (&'static str, String)>,
    requested: &[String],
) -> BTreeMap<&'static str, String> {
    let is_requested = |name: &str| requested.iter().any(|one| one == "All" || one == name);
    attributes.filter(|(name, _)| is_requested(name)).collect()
}

fn parse<T: DeserializeOwned>(input: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(input).map_err(|error| {
        let message = error.to_string();
        let code = match () {
            () if message.starts_with("missing field") => Code::MissingParameter,
            () if message.starts_with("unknown field") => Code::UnsupportedOperation,
            () => Code::SerializationException,
        };
        ApiError::new(code, message)
    })
}
