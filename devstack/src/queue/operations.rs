//! SQS's actions: from the JSON protocol's input to its output ([API reference][reference]).
//!
//! [reference]: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::attributes::{Attributes, QueueName};
use super::batch;
use super::fault::{Code, Fault};
use super::fifo::{DeduplicationId, Sent};
use super::message::{Content, Message, MessageAttribute, Moment, Receipt, md5_of_attributes};
use super::queues::Queues;
use super::service::Service;

/// What the answers need to know of the request.
pub(super) struct Caller<'a> {
    /// Where the queues' URLs begin, without the slash at the end.
    pub(super) base_url: &'a str,
    /// Who signed.
    pub(super) access_key_id: &'a str,
}

/// Does what a request asks for.
pub(super) async fn perform(
    service: &Service,
    caller: &Caller<'_>,
    action: &str,
    input: Value,
) -> Result<Value, Fault> {
    match action {
        "CreateQueue" => create_queue(service, caller, input).await,
        "GetQueueUrl" => get_queue_url(service, caller, input).await,
        "ListQueues" => list_queues(service, caller, input).await,
        "DeleteQueue" => {
            let queue = of_queue(&input)?;
            service
                .apply(|queues, _| queues.delete_queue(&queue))
                .await?;
            Ok(json!({}))
        }
        "PurgeQueue" => {
            let queue = of_queue(&input)?;
            service.apply(|queues, _| queues.purge(&queue)).await?;
            Ok(json!({}))
        }
        "GetQueueAttributes" => get_queue_attributes(service, input).await,
        "SetQueueAttributes" => set_queue_attributes(service, input).await,
        "SendMessage" => one(service, input, send).await,
        "SendMessageBatch" => batch::perform(service, input, send).await,
        "ReceiveMessage" => receive(service, caller, input).await,
        "DeleteMessage" => one(service, input, delete).await,
        "DeleteMessageBatch" => batch::perform(service, input, delete).await,
        "ChangeMessageVisibility" => one(service, input, change_visibility).await,
        "ChangeMessageVisibilityBatch" => batch::perform(service, input, change_visibility).await,
        "AddPermission"
        | "RemovePermission"
        | "TagQueue"
        | "UntagQueue"
        | "ListQueueTags"
        | "ListDeadLetterSourceQueues"
        | "StartMessageMoveTask"
        | "CancelMessageMoveTask"
        | "ListMessageMoveTasks" => Err(Fault::unsupported(action)),
        _ => Err(Fault::new(
            Code::UnknownOperationException,
            "there is no such action",
        )),
    }
}

/// What is done to one message, alone or as an entry of a batch.
pub(super) type OfMessage = fn(&mut Queues, &QueueName, Value, Moment) -> Result<Value, Fault>;

async fn one(service: &Service, input: Value, operation: OfMessage) -> Result<Value, Fault> {
    let queue = of_queue(&input)?;
    service
        .apply(|queues, now| operation(queues, &queue, input, now))
        .await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Send {
    message_body: String,
    #[serde(default)]
    message_attributes: BTreeMap<String, MessageAttribute>,
    message_deduplication_id: Option<String>,
}

fn send(queues: &mut Queues, queue: &QueueName, input: Value, now: Moment) -> Result<Value, Fault> {
    refuse(
        &input,
        &["DelaySeconds", "MessageGroupId", "MessageSystemAttributes"],
    )?;
    let input: Send = parse(input)?;
    let content = Content::new(input.message_body, input.message_attributes)?;
    let deduplication_id = input.message_deduplication_id.as_deref();
    let deduplication_id = deduplication_id.map(DeduplicationId::parse).transpose()?;
    let mut output = json!({ "MD5OfMessageBody": content.md5_of_body() });
    if let Some(digest) = md5_of_attributes(content.attributes.iter()) {
        output["MD5OfMessageAttributes"] = digest.into();
    }
    let sent = queues.send(queue, Uuid::new_v4(), content, deduplication_id, now)?;
    output["MessageId"] = json!(sent.id);
    if queue.is_fifo() {
        output["SequenceNumber"] = Sent::sequence_number(sent.number).into();
    }
    Ok(output)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfReceipt {
    receipt_handle: String,
}

fn delete(queues: &mut Queues, queue: &QueueName, input: Value, _: Moment) -> Result<Value, Fault> {
    let input: OfReceipt = parse(input)?;
    queues.delete(queue, Receipt::parse(&input.receipt_handle)?)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeVisibility {
    receipt_handle: String,
    visibility_timeout: u32,
}

fn change_visibility(
    queues: &mut Queues,
    queue: &QueueName,
    input: Value,
    now: Moment,
) -> Result<Value, Fault> {
    let input: ChangeVisibility = parse(input)?;
    let receipt = Receipt::parse(&input.receipt_handle)?;
    queues.change_visibility(queue, receipt, input.visibility_timeout, now)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Receive {
    queue_url: String,
    max_number_of_messages: Option<usize>,
    wait_time_seconds: Option<u64>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
}

async fn receive(service: &Service, caller: &Caller<'_>, input: Value) -> Result<Value, Fault> {
    refuse(&input, &["VisibilityTimeout", "ReceiveRequestAttemptId"])?;
    let mut input: Receive = parse(input)?;
    let queue = QueueName::from_url(&input.queue_url)?;
    let most = input.max_number_of_messages.unwrap_or(1);
    if !(1..=10).contains(&most) {
        return Err(Fault::value("MaxNumberOfMessages", "1 to 10"));
    }
    if input.wait_time_seconds.is_some_and(|seconds| seconds > 20) {
        return Err(Fault::value("WaitTimeSeconds", "0 to 20"));
    }
    input
        .attribute_names
        .append(&mut input.message_system_attribute_names);
    for name in &input.attribute_names {
        match name.as_str() {
            "All" | "SenderId" | "SentTimestamp" | "ApproximateReceiveCount" => {}
            "ApproximateFirstReceiveTimestamp" | "AWSTraceHeader" | "MessageGroupId" => {
                return Err(Fault::unsupported(name));
            }
            // Those of FIFO queues.
            "MessageDeduplicationId" | "SequenceNumber" => {}
            _ => {
                let text = format!("there is no attribute {name}");
                return Err(Fault::new(Code::InvalidAttributeName, text));
            }
        }
    }
    let patience = input.wait_time_seconds.map(Duration::from_secs);
    let received = service.receive(&queue, most, patience).await?;
    let messages: Vec<_> = received
        .iter()
        .map(|(receipt, message)| describe(*receipt, message, caller, &input))
        .collect();
    match messages.is_empty() {
        true => Ok(json!({})),
        false => Ok(json!({ "Messages": messages })),
    }
}

fn describe(receipt: Receipt, message: &Message, caller: &Caller<'_>, asked: &Receive) -> Value {
    let mut output = json!({
        "MessageId": message.id,
        "ReceiptHandle": receipt.to_string(),
        "Body": message.content.body,
        "MD5OfBody": message.content.md5_of_body(),
    });
    let mut system = BTreeMap::from([
        ("SenderId", caller.access_key_id.to_owned()),
        ("SentTimestamp", message.sent_at.0.to_string()),
        ("ApproximateReceiveCount", message.receives.to_string()),
    ]);
    if let Some(id) = &message.deduplication_id {
        let number = Sent::sequence_number(receipt.number);
        system.insert("MessageDeduplicationId", id.as_str().to_owned());
        system.insert("SequenceNumber", number);
    }
    if !asked.attribute_names.iter().any(|name| name == "All") {
        system.retain(|name, _| asked.attribute_names.iter().any(|asked| asked == name));
    }
    if !system.is_empty() {
        output["Attributes"] = json!(system);
    }
    let attributes: BTreeMap<_, _> = message
        .content
        .attributes
        .iter()
        .filter(|(name, _)| {
            asked
                .message_attribute_names
                .iter()
                .any(|asked| selects(asked, name))
        })
        .collect();
    if !attributes.is_empty() {
        let pairs = attributes
            .iter()
            .map(|(name, attribute)| (*name, *attribute));
        output["MD5OfMessageAttributes"] = json!(md5_of_attributes(pairs));
        output["MessageAttributes"] = json!(attributes);
    }
    output
}

/// Whether what was asked for is the attribute, or a prefix of it (`prefix.*`), or all.
fn selects(asked: &str, name: &str) -> bool {
    match asked.strip_suffix(".*") {
        Some("") => true,
        Some(prefix) => name.starts_with(prefix),
        None => asked == "All" || asked == name,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfName {
    queue_name: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

async fn create_queue(
    service: &Service,
    caller: &Caller<'_>,
    input: Value,
) -> Result<Value, Fault> {
    refuse(&input, &["tags", "Tags"])?;
    let input: OfName = parse(input)?;
    let queue = queue_name(&input.queue_name)?;
    if queue.is_fifo() && !input.attributes.contains_key("FifoQueue") {
        return Err(Fault::value(
            "QueueName",
            "only queues with the attribute FifoQueue end with .fifo",
        ));
    }
    let attributes = Attributes::default().with(&queue, &input.attributes)?;
    let name = queue.clone();
    service
        .apply(|queues, now| queues.create(name, attributes, now))
        .await?;
    Ok(json!({ "QueueUrl": url(caller.base_url, &queue) }))
}

async fn get_queue_url(
    service: &Service,
    caller: &Caller<'_>,
    input: Value,
) -> Result<Value, Fault> {
    let input: OfName = parse(input)?;
    let queue = queue_name(&input.queue_name)?;
    service
        .apply(|queues, now| queues.describe(&queue, now).map(|_| ()))
        .await?;
    Ok(json!({ "QueueUrl": url(caller.base_url, &queue) }))
}

async fn list_queues(service: &Service, caller: &Caller<'_>, input: Value) -> Result<Value, Fault> {
    refuse(&input, &["MaxResults", "NextToken"])?;
    let prefix = input["QueueNamePrefix"].as_str().unwrap_or_default();
    let urls: Vec<_> = service
        .apply(|queues, _| {
            Ok(queues
                .names(prefix)
                .map(|name| url(caller.base_url, name))
                .collect())
        })
        .await?;
    match urls.is_empty() {
        true => Ok(json!({})),
        false => Ok(json!({ "QueueUrls": urls })),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetAttributes {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

async fn get_queue_attributes(service: &Service, input: Value) -> Result<Value, Fault> {
    let input: GetAttributes = parse(input)?;
    let queue = QueueName::from_url(&input.queue_url)?;
    let texts = service
        .apply(|queues, now| {
            let (kept, counts) = queues.describe(&queue, now)?;
            let asked = &input.attribute_names;
            kept.attributes.texts(&queue, kept.created, counts, asked)
        })
        .await?;
    match texts.is_empty() {
        true => Ok(json!({})),
        false => Ok(json!({ "Attributes": texts })),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetAttributes {
    queue_url: String,
    attributes: BTreeMap<String, String>,
}

async fn set_queue_attributes(service: &Service, input: Value) -> Result<Value, Fault> {
    let input: SetAttributes = parse(input)?;
    let queue = QueueName::from_url(&input.queue_url)?;
    service
        .apply(|queues, _| queues.set_attributes(&queue, &input.attributes))
        .await?;
    Ok(json!({}))
}

/// The queue that the input's URL names.
pub(super) fn of_queue(input: &Value) -> Result<QueueName, Fault> {
    match &input["QueueUrl"] {
        Value::String(url) => QueueName::from_url(url),
        _ => Err(Fault::new(Code::MissingParameter, "QueueUrl is missing")),
    }
}

fn queue_name(text: &str) -> Result<QueueName, Fault> {
    text.parse()
        .map_err(|error| Fault::value("QueueName", &format!("{error}")))
}

/// A queue's URL, as Amazon's look: account, then name.
pub(super) fn url(base_url: &str, queue: &QueueName) -> String {
    format!("{base_url}/000000000000/{queue}")
}

/// Refuses what Scaleway doesn't have, rather than do without it.
fn refuse(input: &Value, parameters: &[&str]) -> Result<(), Fault> {
    match parameters.iter().find(|name| !input[**name].is_null()) {
        Some(name) => Err(Fault::unsupported(name)),
        None => Ok(()),
    }
}

pub(super) fn parse<T: DeserializeOwned>(input: Value) -> Result<T, Fault> {
    serde_json::from_value(input).map_err(|error| {
        let text = error.to_string();
        match text.starts_with("missing field") {
            true => Fault::new(Code::MissingParameter, text),
            false => Fault::new(Code::SerializationException, text),
        }
    })
}
