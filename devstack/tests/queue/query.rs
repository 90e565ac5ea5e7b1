//! The older protocol: a form comes, XML goes.

use bytes::Bytes;
use http::{Request, StatusCode};
use tirage_sigv4::Payload;

use crate::client::Sqs;
use crate::part::{Part, command};

async fn call(sqs: &Sqs, url: &str, form: &[(&str, &str)]) -> (StatusCode, String) {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .append_pair("Version", "2012-11-05")
        .finish();
    let request = Request::post(url)
        .header(
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        )
        .body(())
        .unwrap();
    let (mut head, ()) = request.into_parts();
    sqs.signer
        .sign(
            &mut head,
            Payload::Bytes(body.as_bytes()),
            jiff::Timestamp::now(),
        )
        .unwrap();
    let (status, headers, body) = sqs
        .exchange(Request::from_parts(head, Bytes::from(body)))
        .await
        .unwrap();
    assert_eq!(headers["content-type"], "text/xml");
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// The text of the first element of that name.
fn text<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap();
    rest.split_once(&format!("</{name}>")).unwrap().0
}

#[tokio::test]
async fn a_message_lives_through_the_older_protocol() {
    let queue = Part::start(command("queue").args(["--temporary", "--visibility-seconds=60"]));
    let sqs = Sqs::of(&queue);
    let form = [("Action", "GetQueueUrl"), ("QueueName", "tirage-jobs")];
    let (_, xml) = call(&sqs, &sqs.endpoint, &form).await;
    assert_eq!(text(&xml, "QueueUrl"), sqs.queue_url);

    // Here the address names the queue.
    let form = [
        ("Action", "SendMessage"),
        ("MessageBody", "<é&>"),
        ("MessageAttribute.1.Name", "kind"),
        ("MessageAttribute.1.Value.DataType", "String"),
        ("MessageAttribute.1.Value.StringValue", "photo"),
    ];
    let (status, sent) = call(&sqs, &sqs.queue_url, &form).await;
    assert_eq!(status, StatusCode::OK, "{sent}");

    // And here the form does.
    let form = [
        ("Action", "ReceiveMessage"),
        ("QueueUrl", &sqs.queue_url),
        ("MaxNumberOfMessages", "10"),
        ("AttributeName.1", "ApproximateReceiveCount"),
        ("MessageAttributeName.1", "All"),
    ];
    let (_, received) = call(&sqs, &sqs.endpoint, &form).await;
    assert_eq!(text(&received, "Body"), "&lt;é&amp;&gt;");
    for name in ["MessageId", "MD5OfMessageAttributes"] {
        assert_eq!(text(&received, name), text(&sent, name));
    }
    assert_eq!(
        text(&received, "Attribute"),
        "<Name>ApproximateReceiveCount</Name><Value>1</Value>"
    );
    assert_eq!(text(&received, "StringValue"), "photo");

    let receipt = text(&received, "ReceiptHandle");
    let form = [
        ("Action", "ChangeMessageVisibilityBatch"),
        ("ChangeMessageVisibilityBatchRequestEntry.1.Id", "good"),
        (
            "ChangeMessageVisibilityBatchRequestEntry.1.ReceiptHandle",
            receipt,
        ),
        (
            "ChangeMessageVisibilityBatchRequestEntry.1.VisibilityTimeout",
            "60",
        ),
        ("ChangeMessageVisibilityBatchRequestEntry.2.Id", "bad"),
        (
            "ChangeMessageVisibilityBatchRequestEntry.2.ReceiptHandle",
            receipt,
        ),
        (
            "ChangeMessageVisibilityBatchRequestEntry.2.VisibilityTimeout",
            "61",
        ),
    ];
    let (_, xml) = call(&sqs, &sqs.queue_url, &form).await;
    assert!(
        text(&xml, "ChangeMessageVisibilityBatchResultEntry").contains("<Id>good</Id>"),
        "{xml}"
    );
    assert!(
        text(&xml, "BatchResultErrorEntry").contains("<Id>bad</Id>"),
        "{xml}"
    );

    let form = [("Action", "DeleteMessage"), ("ReceiptHandle", receipt)];
    let (status, _) = call(&sqs, &sqs.queue_url, &form).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(sqs.counts().await, (0, 0));
}

#[tokio::test]
async fn its_refusals_are_xml_too() {
    let queue = Part::start(command("queue").arg("--temporary"));
    let sqs = Sqs::of(&queue);
    let mut stranger = sqs.clone();
    stranger.signer.credentials.access_key_id = "SCWUNKNOWN".to_owned();
    let late = [
        ("Action", "SendMessage"),
        ("MessageBody", "a"),
        ("DelaySeconds", "5"),
    ];
    let list = [("Action", "ListQueues")];
    let nothing = [("Hello", "world")];
    let cases: [(&Sqs, &[_], _, _); 3] = [
        (
            &sqs,
            &late,
            StatusCode::BAD_REQUEST,
            "AWS.SimpleQueueService.UnsupportedOperation",
        ),
        (
            &stranger,
            &list,
            StatusCode::FORBIDDEN,
            "InvalidClientTokenId",
        ),
        (&sqs, &nothing, StatusCode::BAD_REQUEST, "InvalidAction"),
    ];
    for (sqs, form, status, code) in cases {
        let (answered, xml) = call(sqs, &sqs.queue_url, form).await;
        assert_eq!(answered, status);
        assert_eq!(text(&xml, "Code"), code);
        assert_eq!(text(&xml, "Type"), "Sender");
    }
}
