//! The server as a child process, and a client that uses `tirage-s3`.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use http::{HeaderMap, Request, StatusCode};
use jiff::Timestamp;
use reqwest::{Body, Client};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tirage_s3::{Bucket, Failure, Key, List, Listing, Put};
use tirage_sigv4::{Credentials, Payload, Service, Signer};
use uuid::Uuid;

/// The line that the server prints when it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ready {
    pub(crate) endpoint: String,
    pub(crate) region: String,
    pub(crate) bucket: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
}

/// A running `tirage-devstack s3`.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) ready: Ready,
    stdout: BufReader<ChildStdout>,
    pub(crate) client: Client,
}

/// Returns the command `tirage-devstack s3 --data <data>` with a pipe as stdin.
pub(crate) fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tirage-devstack"));
    command
        .args(["s3", "--data"])
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// A complete response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Server {
    pub(crate) fn start(data: &Path) -> Self {
        Self::spawn(&mut command(data))
    }

    /// Starts a server on a temporary folder.
    pub(crate) fn temporary() -> (Self, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Self::start(folder.path()), folder)
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        Self {
            child,
            ready: serde_json::from_str(&line).unwrap(),
            stdout,
            client: Client::new(),
        }
    }

    /// Returns the bucket with one setting replaced.
    pub(crate) fn bucket_with(&self, name: &str, value: &str) -> Bucket {
        Bucket::from_settings(|setting| {
            let value = match setting {
                _ if setting == name => value,
                "S3_ENDPOINT" => &self.ready.endpoint,
                "S3_REGION" => &self.ready.region,
                "S3_BUCKET" => &self.ready.bucket,
                "S3_ACCESS_KEY_ID" => &self.ready.access_key_id,
                "S3_SECRET_ACCESS_KEY" => &self.ready.secret_access_key,
                _ => return None,
            };
            Some(value.to_owned())
        })
        .unwrap()
    }

    pub(crate) fn bucket(&self) -> Bucket {
        self.bucket_with("", "")
    }

    /// Adds a header to the request, and signs it again.
    pub(crate) fn with_header(
        &self,
        request: Request<()>,
        name: &'static str,
        value: &str,
    ) -> Request<()> {
        let (mut head, ()) = request.into_parts();
        head.headers.insert(name, value.parse().unwrap());
        let ready = &self.ready;
        let signer = Signer {
            credentials: Credentials::new(&ready.access_key_id, &ready.secret_access_key),
            region: ready.region.clone(),
            service: Service::S3,
        };
        signer
            .sign(&mut head, Payload::Unsigned, Timestamp::now())
            .unwrap();
        Request::from_parts(head, ())
    }

    pub(crate) async fn send(&self, request: Request<()>, body: impl Into<Body>) -> Answer {
        let (head, ()) = request.into_parts();
        let answer = self
            .client
            .request(head.method, head.uri.to_string())
            .headers(head.headers)
            .body(body)
            .send();
        Answer::read(answer.await.unwrap()).await
    }

    /// Stores `body`, with or without a checksum.
    pub(crate) async fn put(&self, key: &Key, body: &[u8], checksum: bool) -> Answer {
        let mut put = put(key, body);
        put.sha256 = checksum.then(|| sha256(body));
        let request = self.bucket().put(&put, Timestamp::now()).unwrap();
        self.send(request, body.to_vec()).await
    }

    pub(crate) async fn get(&self, key: &Key) -> Answer {
        let request = self.bucket().get(key, None, Timestamp::now());
        self.send(request.unwrap(), "").await
    }

    /// Lists all keys, in pages of two.
    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let mut continuation = None;
        loop {
            let list = List {
                prefix,
                continuation: continuation.as_deref(),
                max_keys: Some(2),
            };
            let request = self.bucket().list(&list, Timestamp::now()).unwrap();
            let answer = self.send(request, "").await;
            assert_eq!(answer.failure(), None);
            let page = Listing::parse(&answer.body).unwrap();
            keys.extend(page.objects.into_iter().map(|object| object.key));
            continuation = page.continuation;
            if continuation.is_none() {
                return keys;
            }
        }
    }

    /// Closes stdin and waits. Returns the rest of stdout.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }

    pub(crate) fn kill_9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    pub(crate) async fn read(answer: reqwest::Response) -> Self {
        Self {
            status: answer.status(),
            headers: answer.headers().clone(),
            body: answer.bytes().await.unwrap().to_vec(),
        }
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        Failure::of(self.status, &self.body)
    }

    /// Returns S3's error code.
    pub(crate) fn code(&self) -> String {
        self.failure()
            .unwrap_or_else(|| panic!("{self:?} is not an error"))
            .code
            .unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// Returns a new key.
pub(crate) fn key() -> Key {
    Key::original(Uuid::now_v7(), Uuid::now_v7())
}

pub(crate) fn put<'a>(key: &'a Key, body: &[u8]) -> Put<'a> {
    Put {
        key,
        content_type: "image/jpeg",
        content_length: u64::try_from(body.len()).unwrap(),
        sha256: None,
        cache_control: None,
        if_absent: false,
    }
}

pub(crate) fn sha256(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// Lists all files in the data folder's `objects`, `uploads` and `incoming`.
pub(crate) fn files(data: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let mut folders: Vec<_> = ["objects", "uploads", "incoming"]
        .iter()
        .map(|name| data.join(name))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}
