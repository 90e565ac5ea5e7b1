"""The devstack's queue as boto3 uses it: messages, visibility, dead letters, batches, refusals.

The queue hides a received message for 2 seconds and hands it out twice.
"""

import json
import os
import time
import unittest

import boto3
from botocore.exceptions import ClientError

ENDPOINT = os.environ["QUEUE_ENDPOINT"]
QUEUE = os.environ["QUEUE_URL"]
DEAD = QUEUE + "-dead"

sqs = boto3.client("sqs", endpoint_url=ENDPOINT)


def receive(queue=QUEUE, **options):
    options = {"AttributeNames": ["All"], "MessageAttributeNames": ["All"], **options}
    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, **options)
    return received.get("Messages", [])


def counts(queue=QUEUE):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return tuple(int(attributes[name]) for name in names)


class QueueTest(unittest.TestCase):
    def setUp(self):
        sqs.purge_queue(QueueUrl=QUEUE)
        sqs.purge_queue(QueueUrl=DEAD)

    def assert_refused(self, code, call, **parameters):
        with self.assertRaises(ClientError) as refused:
            call(**parameters)
        self.assertEqual(refused.exception.response["Error"]["Code"], code)

    def test_the_queue_is_found_by_name(self):
        self.assertEqual(sqs.get_queue_url(QueueName=os.environ["QUEUE_NAME"])["QueueUrl"], QUEUE)
        self.assertEqual(sqs.list_queues()["QueueUrls"], [QUEUE, DEAD])
        with self.assertRaises(sqs.exceptions.QueueDoesNotExist):
            sqs.get_queue_url(QueueName="none")

    def test_a_message_is_sent_received_and_deleted(self):
        attributes = {
            "number": {"DataType": "Number.int", "StringValue": "12"},
            "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        }
        body = 'é <&> "\r\n\t'
        # boto3 itself checks the body's digest, of what it sends and of what it receives.
        sent = sqs.send_message(QueueUrl=QUEUE, MessageBody=body, MessageAttributes=attributes)
        [received] = receive()
        self.assertEqual(received["Body"], body)
        self.assertEqual(received["MessageId"], sent["MessageId"])
        self.assertEqual(received["MessageAttributes"], attributes)
        self.assertEqual(received["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"])
        self.assertEqual(received["Attributes"]["ApproximateReceiveCount"], "1")
        sqs.delete_message(QueueUrl=QUEUE, ReceiptHandle=received["ReceiptHandle"])
        self.assertEqual(counts(), (0, 0))

    def test_visibility_then_the_dead_letters(self):
        sqs.send_message(QueueUrl=QUEUE, MessageBody="poison")
        began = time.monotonic()
        [first] = receive()
        self.assertEqual(receive(), [])
        [second] = receive(WaitTimeSeconds=10)
        self.assertGreaterEqual(time.monotonic() - began, 2)
        self.assertEqual(second["Attributes"]["ApproximateReceiveCount"], "2")
        self.assertNotEqual(second["ReceiptHandle"], first["ReceiptHandle"])
        sqs.change_message_visibility(
            QueueUrl=QUEUE, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=0
        )
        self.assertEqual(receive(), [])
        [dead] = receive(DEAD)
        self.assertEqual(dead["Body"], "poison")

    def test_batches(self):
        entries = [{"Id": str(n), "MessageBody": f"body {n}"} for n in range(10)]
        sent = sqs.send_message_batch(QueueUrl=QUEUE, Entries=entries)
        self.assertEqual([entry["Id"] for entry in sent["Successful"]], [str(n) for n in range(10)])
        received = receive()
        bodies = [message["Body"] for message in received]
        self.assertEqual(bodies, [f"body {n}" for n in range(10)])
        entries = [
            {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]}
            for n, message in enumerate(received)
        ]
        hidden = sqs.change_message_visibility_batch(
            QueueUrl=QUEUE, Entries=[{**entry, "VisibilityTimeout": 2} for entry in entries]
        )
        self.assertEqual(len(hidden["Successful"]), 10)
        deleted = sqs.delete_message_batch(QueueUrl=QUEUE, Entries=entries)
        self.assertEqual(len(deleted["Successful"]), 10)
        self.assertEqual(counts(), (0, 0))

    def test_queues_are_made_and_set(self):
        [arn] = sqs.get_queue_attributes(QueueUrl=DEAD, AttributeNames=["QueueArn"])[
            "Attributes"
        ].values()
        policy = {"deadLetterTargetArn": arn, "maxReceiveCount": "3"}
        attributes = {"VisibilityTimeout": "7", "RedrivePolicy": json.dumps(policy)}
        url = sqs.create_queue(QueueName="other", Attributes=attributes)["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "8"})
        kept = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        self.assertEqual(kept["VisibilityTimeout"], "8")
        self.assertEqual(json.loads(kept["RedrivePolicy"])["maxReceiveCount"], 3)
        sqs.delete_queue(QueueUrl=url)
        with self.assertRaises(sqs.exceptions.QueueDoesNotExist):
            receive(url)

    def test_a_queue_in_order(self):
        attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        url = sqs.create_queue(QueueName="ordered.fifo", Attributes=attributes)["QueueUrl"]
        kept = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        self.assertEqual({name: kept[name] for name in attributes}, attributes)

        sent = [sqs.send_message(QueueUrl=url, MessageBody=body) for body in ("a", "b", "a")]
        self.assertEqual(sent[2]["MessageId"], sent[0]["MessageId"], "sent again")
        self.assertEqual(sent[2]["SequenceNumber"], sent[0]["SequenceNumber"])
        self.assertLess(sent[0]["SequenceNumber"], sent[1]["SequenceNumber"])
        entries = [
            {"Id": str(n), "MessageBody": "c", "MessageDeduplicationId": id}
            for n, id in enumerate(["mine", "other", "mine"])
        ]
        batch = sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]
        self.assertEqual(batch[2]["MessageId"], batch[0]["MessageId"])

        came = []
        while messages := receive(url):
            [message] = messages
            self.assertEqual(receive(url), [], "one in flight holds back the others")
            came.append((message["Body"], message["Attributes"]["SequenceNumber"]))
            if message["Body"] == "c":
                self.assertIn(message["Attributes"]["MessageDeduplicationId"], ["mine", "other"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        numbers = [answer["SequenceNumber"] for answer in (*sent[:2], *batch[:2])]
        self.assertEqual(came, list(zip("abcc", numbers)))

        unsupported = "AWS.SimpleQueueService.UnsupportedOperation"
        self.assert_refused(
            unsupported, sqs.send_message, QueueUrl=url, MessageBody="a", MessageGroupId="g"
        )
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"ContentBasedDeduplication": "false"})
        self.assert_refused(
            "InvalidParameterValue", sqs.send_message, QueueUrl=url, MessageBody="d"
        )
        sqs.delete_queue(QueueUrl=url)

    def test_what_scaleway_does_not_have(self):
        unsupported = "AWS.SimpleQueueService.UnsupportedOperation"
        self.assert_refused(
            unsupported, sqs.send_message, QueueUrl=QUEUE, MessageBody="a", DelaySeconds=1
        )
        self.assert_refused(unsupported, sqs.receive_message, QueueUrl=QUEUE, VisibilityTimeout=1)
        self.assert_refused(unsupported, sqs.create_queue, QueueName="tagged", tags={"a": "b"})
        self.assert_refused(unsupported, sqs.tag_queue, QueueUrl=QUEUE, Tags={"a": "b"})
        sqs.send_message(QueueUrl=QUEUE, MessageBody="a")
        [message] = receive()
        self.assert_refused(
            "InvalidParameterValue",
            sqs.change_message_visibility,
            QueueUrl=QUEUE,
            ReceiptHandle=message["ReceiptHandle"],
            VisibilityTimeout=1,
        )

    def test_a_wrong_key(self):
        stranger = boto3.client(
            "sqs",
            endpoint_url=ENDPOINT,
            aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key="wrong",
        )
        with self.assertRaises(ClientError) as refused:
            stranger.send_message(QueueUrl=QUEUE, MessageBody="a")
        self.assertEqual(refused.exception.response["ResponseMetadata"]["HTTPStatusCode"], 403)


unittest.main()
