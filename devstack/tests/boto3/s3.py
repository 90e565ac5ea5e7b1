"""boto3 against the devstack's S3 server, whose address and keys are in the environment."""

import hashlib
import io
import os
import socket
import unittest
import urllib.error
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.client import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["S3_ENDPOINT"]
BUCKET = os.environ["S3_BUCKET"]
MIB = 1 << 20

resolve = socket.getaddrinfo


def resolve_localhost(host, *arguments, **more):
    """Resolves names below localhost (RFC 6761, 6.3), which not every system does."""
    if host.endswith(".localhost"):
        host = "127.0.0.1"
    return resolve(host, *arguments, **more)


socket.getaddrinfo = resolve_localhost


def client(addressing="path", endpoint=ENDPOINT, **settings):
    config = Config(s3={"addressing_style": addressing}, retries={"max_attempts": 1}, **settings)
    return boto3.client("s3", endpoint_url=endpoint, config=config)


def fetch(url, method="GET", body=None, headers=None):
    """Returns the status and body of a response, errors included."""
    request = urllib.request.Request(url, body, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class S3(unittest.TestCase):
    def setUp(self):
        self.s3 = client()
        # Each test begins with an empty bucket.
        for object in self.keys():
            self.s3.delete_object(Bucket=BUCKET, Key=object)

    def keys(self, **arguments):
        pages = self.s3.get_paginator("list_objects_v2")
        pages = pages.paginate(Bucket=BUCKET, **arguments)
        return [object["Key"] for page in pages for object in page.get("Contents", [])]

    def assert_fails(self, code, status, call, **arguments):
        with self.assertRaises(ClientError) as failure:
            call(Bucket=BUCKET, **arguments)
        self.assertEqual(failure.exception.response["Error"]["Code"], code)
        answer = failure.exception.response["ResponseMetadata"]
        self.assertEqual(answer["HTTPStatusCode"], status)

    def test_put_get_head_delete(self):
        body = b"the bytes"
        stored = self.s3.put_object(
            Bucket=BUCKET,
            Key="a folder/ä+b &.txt",
            Body=body,
            ContentType="text/plain; charset=utf-8",
            CacheControl="private",
            Metadata={"camera": "one"},
        )
        self.assertEqual(stored["ETag"], '"%s"' % hashlib.md5(body).hexdigest())
        got = self.s3.get_object(Bucket=BUCKET, Key="a folder/ä+b &.txt")
        self.assertEqual(got["Body"].read(), body)
        head = self.s3.head_object(Bucket=BUCKET, Key="a folder/ä+b &.txt")
        for answer in (got, head):
            self.assertEqual(answer["ContentLength"], len(body))
            self.assertEqual(answer["ContentType"], "text/plain; charset=utf-8")
            self.assertEqual(answer["CacheControl"], "private")
            self.assertEqual(answer["Metadata"], {"camera": "one"})
            self.assertEqual(answer["ETag"], stored["ETag"])
            self.assertNotIn("ContentEncoding", answer)
        part = self.s3.get_object(Bucket=BUCKET, Key="a folder/ä+b &.txt", Range="bytes=4-")
        self.assertEqual(part["Body"].read(), b"bytes")
        self.assertEqual(part["ResponseMetadata"]["HTTPStatusCode"], 206)
        self.s3.delete_object(Bucket=BUCKET, Key="a folder/ä+b &.txt")
        self.assert_fails("NoSuchKey", 404, self.s3.get_object, Key="a folder/ä+b &.txt")
        self.assert_fails("404", 404, self.s3.head_object, Key="a folder/ä+b &.txt")

    def test_every_kind_of_checksum(self):
        for kind in ("CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"):
            try:
                stored = self.s3.put_object(
                    Bucket=BUCKET, Key=kind, Body=b"bytes", ChecksumAlgorithm=kind
                )
            except Exception as error:
                # What needs the package awscrt, boto3 cannot do.
                if type(error).__name__ == "MissingDependencyException":
                    continue
                raise
            name = "Checksum" + kind
            self.assertIn(name, stored)
            head = self.s3.head_object(Bucket=BUCKET, Key=kind, ChecksumMode="ENABLED")
            self.assertEqual(head[name], stored[name])
            # boto3 compares the checksum with what it reads.
            got = self.s3.get_object(Bucket=BUCKET, Key=kind, ChecksumMode="ENABLED")
            self.assertEqual(got["Body"].read(), b"bytes")

    def test_a_stream_of_unknown_checksum(self):
        """Sent in chunks with the checksum after them."""
        body = os.urandom(3 * MIB + 7)
        self.s3.put_object(Bucket=BUCKET, Key="stream", Body=io.BytesIO(body))
        got = self.s3.get_object(Bucket=BUCKET, Key="stream")
        self.assertEqual(got["Body"].read(), body)

    def test_wrong_checksums(self):
        for wrong in (
            {"ChecksumSHA256": "A" * 43 + "="},
            {"ContentMD5": "A" * 22 + "=="},
            {"ChecksumCRC32": "AAAAAA=="},
        ):
            self.assert_fails("BadDigest", 400, self.s3.put_object, Key="x", Body=b"x", **wrong)
        self.assertEqual(self.keys(), [])

    def test_conditions(self):
        stored = self.s3.put_object(Bucket=BUCKET, Key="x", Body=b"1", IfNoneMatch="*")
        failed = ("PreconditionFailed", 412, self.s3.put_object)
        self.assert_fails(*failed, Key="x", Body=b"2", IfNoneMatch="*")
        unsupported = ("NotImplemented", 501, self.s3.put_object)
        self.assert_fails(*unsupported, Key="x", Body=b"2", IfMatch=stored["ETag"])
        self.assert_fails("PreconditionFailed", 412, self.s3.get_object, Key="x", IfMatch='"a"')
        now = self.s3.head_object(Bucket=BUCKET, Key="x")["ETag"]
        self.assert_fails("304", 304, self.s3.get_object, Key="x", IfNoneMatch=now)

    def test_lists(self):
        keys = ["a", "b/1", "b/2", "b/c/3", "ä", "z z"]
        for key in reversed(keys):
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
        in_order = sorted(keys, key=str.encode)
        self.assertEqual(self.keys(), in_order)
        self.assertEqual(self.keys(PaginationConfig={"PageSize": 2}), in_order)
        self.assertEqual(self.keys(Prefix="b/"), ["b/1", "b/2", "b/c/3"])
        self.assertEqual(self.keys(StartAfter="b/2"), ["b/c/3", "z z", "ä"])
        page = self.s3.list_objects_v2(Bucket=BUCKET, Prefix="b/", Delimiter="/")
        self.assertEqual([object["Key"] for object in page["Contents"]], ["b/1", "b/2"])
        self.assertEqual([group["Prefix"] for group in page["CommonPrefixes"]], ["b/c/"])
        self.assertEqual(page["Contents"][0]["Size"], 1)
        old = self.s3.list_objects(Bucket=BUCKET, MaxKeys=2)
        self.assertEqual([object["Key"] for object in old["Contents"]], ["a", "b/1"])
        self.assertTrue(old["IsTruncated"])

    def test_deletion_of_many(self):
        for key in ("1", "2", "3"):
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
        answer = self.s3.delete_objects(
            Bucket=BUCKET, Delete={"Objects": [{"Key": "1"}, {"Key": "3"}, {"Key": "none"}]}
        )
        self.assertEqual([gone["Key"] for gone in answer["Deleted"]], ["1", "3", "none"])
        self.assertEqual(self.keys(), ["2"])

    def test_multipart_upload(self):
        body = os.urandom(20 * MIB)
        config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=6 * MIB)
        self.s3.upload_fileobj(
            io.BytesIO(body), BUCKET, "big", ExtraArgs={"ContentType": "image/tiff"}, Config=config
        )
        head = self.s3.head_object(Bucket=BUCKET, Key="big")
        self.assertTrue(head["ETag"].endswith('-4"'), head["ETag"])
        self.assertEqual(head["ContentType"], "image/tiff")
        got = io.BytesIO()
        self.s3.download_fileobj(BUCKET, "big", got, Config=config)
        self.assertEqual(got.getvalue(), body)

    def test_invalid_parts(self):
        upload = {"Key": "parts"}
        upload["UploadId"] = self.s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
        part = self.s3.upload_part(Bucket=BUCKET, PartNumber=1, Body=b"short", **upload)
        last = self.s3.upload_part(Bucket=BUCKET, PartNumber=2, Body=b"last", **upload)
        listed = self.s3.list_parts(Bucket=BUCKET, **upload)["Parts"]
        self.assertEqual([(part["PartNumber"], part["Size"]) for part in listed], [(1, 5), (2, 4)])

        def complete(*parts):
            parts = [{"PartNumber": number, "ETag": etag} for number, etag in parts]
            return {"MultipartUpload": {"Parts": parts}, **upload}

        call = self.s3.complete_multipart_upload
        one, two = (1, part["ETag"]), (2, last["ETag"])
        self.assert_fails("EntityTooSmall", 400, call, **complete(one, two))
        self.assert_fails("InvalidPartOrder", 400, call, **complete(two, one))
        self.assert_fails("InvalidPart", 400, call, **complete((1, '"another"')))
        self.assertEqual(self.keys(), [])
        self.s3.complete_multipart_upload(Bucket=BUCKET, **complete(two))
        self.assertEqual(self.s3.get_object(Bucket=BUCKET, Key="parts")["Body"].read(), b"last")
        self.assert_fails("NoSuchUpload", 404, self.s3.list_parts, **upload)

    def test_aborted_multipart_upload(self):
        upload = {"Bucket": BUCKET, "Key": "parts"}
        upload["UploadId"] = self.s3.create_multipart_upload(**upload)["UploadId"]
        self.s3.upload_part(PartNumber=1, Body=b"x", **upload)
        self.s3.abort_multipart_upload(**upload)
        with self.assertRaises(ClientError):
            self.s3.upload_part(PartNumber=1, Body=b"x", **upload)
        self.assertEqual(self.keys(), [])

    def test_presigned_urls(self):
        s3 = client(signature_version="s3v4")
        put = s3.generate_presigned_url(
            "put_object",
            Params={"Bucket": BUCKET, "Key": "a/b c", "ContentType": "image/png"},
            ExpiresIn=60,
        )
        status, _ = fetch(put, "PUT", b"bytes", {"Content-Type": "text/html"})
        self.assertEqual(status, 403)
        status, _ = fetch(put, "PUT", b"bytes", {"Content-Type": "image/png"})
        self.assertEqual(status, 200)
        get = s3.generate_presigned_url(
            "get_object", Params={"Bucket": BUCKET, "Key": "a/b c"}, ExpiresIn=60
        )
        self.assertEqual(fetch(get), (200, b"bytes"))
        too_long = s3.generate_presigned_url(
            "get_object", Params={"Bucket": BUCKET, "Key": "a/b c"}, ExpiresIn=7 * 86400 + 1
        )
        self.assertEqual(fetch(too_long)[0], 400)
        self.assertEqual(fetch(get.replace("Expires=60", "Expires=61"))[0], 403)
        self.assertEqual(fetch(f"{ENDPOINT}/{BUCKET}/a/b%20c")[0], 403)

    def test_virtual_hosted_addressing(self):
        endpoint = ENDPOINT.replace("127.0.0.1", "localhost")
        s3 = client("virtual", endpoint, signature_version="s3v4")
        hosts = []
        s3.meta.events.register("before-send.s3", lambda request, **_: hosts.append(request.url))
        s3.put_object(Bucket=BUCKET, Key="a/ä b", Body=b"bytes")
        self.assertEqual(s3.get_object(Bucket=BUCKET, Key="a/ä b")["Body"].read(), b"bytes")
        listed = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
        self.assertEqual([object["Key"] for object in listed], ["a/ä b"])
        self.assertEqual(self.keys(), ["a/ä b"])
        url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "a/ä b"})
        self.assertEqual(fetch(url), (200, b"bytes"))
        for url in [*hosts, url]:
            self.assertTrue(url.startswith(f"http://{BUCKET}.localhost:"), url)

    def test_there_is_one_bucket(self):
        names = [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]]
        self.assertEqual(names, [BUCKET])
        self.s3.head_bucket(Bucket=BUCKET)
        with self.assertRaises(ClientError):
            self.s3.head_bucket(Bucket="another-one")
        with self.assertRaises(ClientError) as failure:
            self.s3.create_bucket(Bucket="another-one")
        self.assertEqual(failure.exception.response["Error"]["Code"], "NotImplemented")

    def test_the_bucket_as_a_resource(self):
        bucket = boto3.resource("s3", endpoint_url=ENDPOINT).Bucket(BUCKET)
        for key in ("1", "2"):
            bucket.put_object(Key=key, Body=b"x")
        self.assertEqual([object.key for object in bucket.objects.all()], ["1", "2"])
        bucket.objects.delete()
        self.assertEqual(self.keys(), [])


if __name__ == "__main__":
    unittest.main()
