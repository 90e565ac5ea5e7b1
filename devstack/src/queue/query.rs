//! Amazon's older protocol, which SDKs spoke until 2023: a form comes, XML goes.
//!
//! [`input`] makes of the form what the JSON protocol would have sent, and [`output`] makes XML of
//! what it would have answered, so that there is one implementation of the actions. The shapes are
//! those of the AWS Query protocol with flattened lists (`AttributeName.1=…`), as SQS's API
//! reference of 2012-11-05 shows them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::fault::{Code, Fault};

const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

/// The action and its input. Where the form doesn't name the queue, the address does.
pub(super) fn input(path: &str, body: &[u8]) -> Result<(String, Value), Fault> {
    let mut root = Node::default();
    for (name, value) in url::form_urlencoded::parse(body) {
        root.put(&name, value.into_owned());
    }
    let action = root.branches.remove("Action").map(|node| node.leaf);
    let action = action.filter(|action| !action.is_empty()).ok_or_else(|| {
        Fault::new(
            Code::UnknownOperationException,
            "neither X-Amz-Target nor a form with an Action",
        )
    })?;
    root.branches.remove("Version");
    if !root.branches.contains_key("QueueUrl") && path != "/" {
        root.put("QueueUrl", path.to_owned());
    }
    Ok((action, root.structure()))
}

/// What is between the dots of the form's names: `Attribute.1.Name=…`.
#[derive(Default)]
struct Node {
    leaf: String,
    branches: BTreeMap<String, Node>,
}

impl Node {
    fn put(&mut self, name: &str, value: String) {
        let node = name.split('.').fold(self, |node, part| {
            node.branches.entry(part.to_owned()).or_default()
        });
        node.leaf = value;
    }

    /// The object that the JSON protocol has here.
    fn structure(self) -> Value {
        let mut object = Map::new();
        for (name, node) in self.branches {
            let (name, value) = match name.as_str() {
                "AttributeName" | "MessageAttributeName" | "MessageSystemAttributeName" => {
                    let texts = node.numbered().map(|node| node.leaf);
                    (format!("{name}s"), texts.collect::<Vec<_>>().into())
                }
                "Attribute" | "MessageAttribute" | "MessageSystemAttribute" | "Tag" => {
                    (format!("{name}s"), node.map())
                }
                "DelaySeconds"
                | "MaxNumberOfMessages"
                | "MaxResults"
                | "VisibilityTimeout"
                | "WaitTimeSeconds" => {
                    // What is no number stays a text, and is refused as one.
                    let number = node.leaf.parse::<u64>().map(Value::from);
                    (name, number.unwrap_or(Value::String(node.leaf)))
                }
                _ if name.ends_with("RequestEntry") => {
                    let entries = node.numbered().map(Node::structure);
                    ("Entries".to_owned(), entries.collect::<Vec<_>>().into())
                }
                _ => (name, node.value()),
            };
            object.insert(name, value);
        }
        object.into()
    }

    fn value(self) -> Value {
        match self.branches.is_empty() {
            true => self.leaf.into(),
            false => self.structure(),
        }
    }

    /// Entries with a name (tags call it key) and a value.
    fn map(self) -> Value {
        let entries = self.numbered().filter_map(|mut entry| {
            let name = entry
                .branches
                .remove("Name")
                .or(entry.branches.remove("Key"))?;
            let value = entry.branches.remove("Value")?;
            Some((name.leaf, value.value()))
        });
        entries.collect::<Map<_, _>>().into()
    }

    /// The entries in the order of their numbers.
    fn numbered(self) -> impl Iterator<Item = Self> {
        let number = |(text, node): (String, Self)| Some((text.parse::<u32>().ok()?, node));
        let entries: BTreeMap<_, _> = self.branches.into_iter().filter_map(number).collect();
        entries.into_values()
    }
}

/// The answer to an action.
pub(super) fn output(action: &str, output: &Value, request_id: &str) -> String {
    let mut xml = String::new();
    xml.push_str(&format!(
        "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>"
    ));
    members(&mut xml, action, output);
    xml.push_str(&format!("</{action}Result><ResponseMetadata>"));
    element(&mut xml, action, "RequestId", &request_id.into());
    xml.push_str(&format!("</ResponseMetadata></{action}Response>"));
    xml
}

/// The answer to what is refused.
pub(super) fn refusal(fault: &Fault, request_id: &str) -> String {
    let error = json!({
        "Type": fault.code.blame(),
        "Code": fault.code.query(),
        "Message": fault.message,
    });
    let mut xml = format!("<ErrorResponse xmlns=\"{NAMESPACE}\">");
    element(&mut xml, "", "Error", &error);
    element(&mut xml, "", "RequestId", &request_id.into());
    xml.push_str("</ErrorResponse>");
    xml
}

fn members(xml: &mut String, action: &str, value: &Value) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let repeated = match name.as_str() {
            "Messages" => Some("Message".to_owned()),
            "QueueUrls" => Some("QueueUrl".to_owned()),
            "Successful" => Some(format!("{action}ResultEntry")),
            "Failed" => Some("BatchResultErrorEntry".to_owned()),
            _ => None,
        };
        match (repeated, name.as_str()) {
            (Some(name), _) => {
                for value in value.as_array().into_iter().flatten() {
                    element(xml, action, &name, value);
                }
            }
            (None, "Attributes" | "MessageAttributes") => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    let entry = json!({ "Name": key, "Value": value });
                    element(xml, action, name.trim_end_matches('s'), &entry);
                }
            }
            (None, name) => element(xml, action, name, value),
        }
    }
}

fn element(xml: &mut String, action: &str, name: &str, value: &Value) {
    xml.push_str(&format!("<{name}>"));
    match value {
        Value::Object(_) => members(xml, action, value),
        Value::String(text) => escape(xml, text),
        other => xml.push_str(&other.to_string()),
    }
    xml.push_str(&format!("</{name}>"));
}

fn escape(xml: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            // Readers would make a line feed of it (XML 1.0, 2.11).
            '\r' => xml.push_str("&#13;"),
            other => xml.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_become_what_the_json_protocol_sends() {
        let form = "Action=SendMessageBatch&Version=2012-11-05\
            &SendMessageBatchRequestEntry.2.Id=b&SendMessageBatchRequestEntry.2.MessageBody=2\
            &SendMessageBatchRequestEntry.10.Id=c&SendMessageBatchRequestEntry.10.MessageBody=%C3%A9+%26\
            &SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.DelaySeconds=5\
            &SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=n\
            &SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType=String\
            &SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue=v";
        let (action, input) = input("/0/jobs", form.as_bytes()).unwrap();
        assert_eq!(action, "SendMessageBatch");
        let expected = json!({
            "QueueUrl": "/0/jobs",
            "Entries": [
                {
                    "Id": "a",
                    "DelaySeconds": 5,
                    "MessageAttributes": { "n": { "DataType": "String", "StringValue": "v" } },
                },
                { "Id": "b", "MessageBody": "2" },
                { "Id": "c", "MessageBody": "é &" },
            ],
        });
        assert_eq!(input, expected);
    }

    #[test]
    fn attributes_are_maps_and_names_are_lists() {
        let form = "Action=X&QueueUrl=u&Attribute.1.Name=VisibilityTimeout&Attribute.1.Value=5\
            &AttributeName.1=All&Tag.1.Key=k&Tag.1.Value=v&MaxNumberOfMessages=ten";
        let (_, input) = input("/0/jobs", form.as_bytes()).unwrap();
        let expected = json!({
            "QueueUrl": "u",
            "Attributes": { "VisibilityTimeout": "5" },
            "AttributeNames": ["All"],
            "Tags": { "k": "v" },
            "MaxNumberOfMessages": "ten",
        });
        assert_eq!(input, expected);
    }

    #[test]
    fn answers_become_xml_that_keeps_every_character() {
        let value = json!({
            "Messages": [{ "Body": "<a>&\r\n", "Attributes": { "SentTimestamp": "1" } }],
            "Failed": [{ "SenderFault": true }],
        });
        assert_eq!(
            output("ReceiveMessage", &value, "id"),
            "<ReceiveMessageResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\">\
             <ReceiveMessageResult>\
             <BatchResultErrorEntry><SenderFault>true</SenderFault></BatchResultErrorEntry>\
             <Message><Attribute><Name>SentTimestamp</Name><Value>1</Value></Attribute>\
             <Body>&lt;a&gt;&amp;&#13;\n</Body></Message>\
             </ReceiveMessageResult>\
             <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata>\
             </ReceiveMessageResponse>"
        );
    }
}
