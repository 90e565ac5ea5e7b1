//! Batches: up to ten entries, each with a result of its own, all on disk before the answer.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::{Code, Fault};
use super::operations::{OfMessage, of_queue, parse};
use super::service::Service;

/// Bytes of all bodies and attributes of a batch.
const MAX_BATCH_SIZE: usize = 256 * 1024;

/// Does `operation` for each entry of the input.
pub(super) async fn perform(
    service: &Service,
    input: Value,
    operation: OfMessage,
) -> Result<Value, Fault> {
    let queue = of_queue(&input)?;
    let entries = entries(input)?;
    service
        .apply(|queues, now| {
            // Said once for all, as the actions on one message say it.
            queues.describe(&queue, now)?;
            let mut successful = Vec::new();
            let mut failed = Vec::new();
            for (id, entry) in entries {
                match operation(queues, &queue, entry, now) {
                    Ok(mut output) => {
                        output["Id"] = id.into();
                        successful.push(output);
                    }
                    Err(fault) => failed.push(json!({
                        "Id": id,
                        "SenderFault": fault.code.is_senders(),
                        "Code": fault.code.query(),
                        "Message": fault.message,
                    })),
                }
            }
            Ok(json!({ "Successful": successful, "Failed": failed }))
        })
        .await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    entries: Vec<Value>,
}

fn entries(input: Value) -> Result<Vec<(String, Value)>, Fault> {
    let Batch { entries } = parse(input)?;
    if entries.is_empty() {
        return Err(Fault::new(Code::EmptyBatchRequest, "there are no entries"));
    }
    if entries.len() > 10 {
        let text = "a batch has ten entries at most";
        return Err(Fault::new(Code::TooManyEntriesInBatchRequest, text));
    }
    let size: usize = entries.iter().map(size).sum();
    if size > MAX_BATCH_SIZE {
        let text = format!("a batch has {MAX_BATCH_SIZE} bytes at most");
        return Err(Fault::new(Code::BatchRequestTooLong, text));
    }
    let mut ids = BTreeSet::new();
    entries
        .into_iter()
        .map(|entry| {
            let id = entry["Id"].as_str().unwrap_or_default().to_owned();
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if !(1..=80).contains(&id.len()) || !id.bytes().all(allowed) {
                let text = "an entry's Id has 1 to 80 letters, digits, hyphens and underscores";
                return Err(Fault::new(Code::InvalidBatchEntryId, text));
            }
            match ids.insert(id.clone()) {
                true => Ok((id, entry)),
                false => Err(Fault::new(
                    Code::BatchEntryIdsNotDistinct,
                    "two entries have the same Id",
                )),
            }
        })
        .collect()
}

/// Bytes of an entry that count: the body, and each attribute's name, type and value.
fn size(entry: &Value) -> usize {
    let length = |value: &Value| value.as_str().map_or(0, str::len);
    let attributes = entry["MessageAttributes"].as_object();
    let attributes = attributes.into_iter().flatten().map(|(name, attribute)| {
        // Three bytes are four characters of base64.
        name.len()
            + length(&attribute["DataType"])
            + length(&attribute["StringValue"])
            + length(&attribute["BinaryValue"]) / 4 * 3
    });
    length(&entry["MessageBody"]) + attributes.sum::<usize>()
}
