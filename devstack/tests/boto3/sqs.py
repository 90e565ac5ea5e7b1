"""The devstack's queue with boto3: messages, visibility, dead letters, refusals.

The queue hides a received message for 2 seconds. A message can be received twice.
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
        body = 'é <&> "\r\n\t'
        # boto3 itself checks the body's digest, of what it sends and of what it receives.
        sent = sqs.send_message(QueueUrl=QUEUE, MessageBody=body)
        [received] = receive()
        self.assertEqual(received["Body"], body)
        self.assertEqual(received["MessageId"], sent["MessageId"])
        self.assertEqual(received["Attributes"]["ApproximateReceiveCount"], "1")
        sqs.delete_message(QueueUrl=QUEUE, ReceiptHandle=received["ReceiptHandle"])
        self.assertEqual(counts(), (0, 0))

    def test_a_queue_as_a_resource(self):
        queue = boto3.resource("sqs", endpoint_url=ENDPOINT).get_queue_by_name(
            QueueName=os.environ["QUEUE_NAME"]
        )
        queue.send_message(MessageBody="a")
        [message] = queue.receive_messages(MessageSystemAttributeNames=["SentTimestamp"])
        self.assertEqual(message.body, "a")
        self.assertLessEqual(int(message.attributes["SentTimestamp"]), time.time() * 1000)
        message.delete()
        self.assertEqual(counts(), (0, 0))
        queue.send_message(MessageBody="b")
        queue.purge()
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

    def test_attributes_describe_the_queue(self):
        names = ["VisibilityTimeout", "RedrivePolicy"]
        attributes = sqs.get_queue_attributes(QueueUrl=QUEUE, AttributeNames=names)["Attributes"]
        self.assertEqual(attributes["VisibilityTimeout"], "2")
        policy = json.loads(attributes["RedrivePolicy"])
        self.assertEqual(policy["maxReceiveCount"], 2)
        self.assertTrue(DEAD.endswith(policy["deadLetterTargetArn"].split(":")[-1]))

    def test_unsupported_requests(self):
        unsupported = "AWS.SimpleQueueService.UnsupportedOperation"
        self.assert_refused(
            unsupported, sqs.send_message, QueueUrl=QUEUE, MessageBody="a", DelaySeconds=1
        )
        self.assert_refused(unsupported, sqs.receive_message, QueueUrl=QUEUE, VisibilityTimeout=1)
        self.assert_refused(unsupported, sqs.create_queue, QueueName="other")
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
