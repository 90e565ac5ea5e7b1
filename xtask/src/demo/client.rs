//! A client of the media API.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use ureq::http::{Request, Response, StatusCode};
use ureq::{Agent, Body, SendBody};

/// Interval at which the state of a media item is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Time limit for processing, within which the queue and the sweep retry several times.
const PROCESSING_TIMEOUT: Duration = Duration::from_secs(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// A client of a running application.
pub(super) struct Client {
    agent: Agent,
    url: String,
}

/// The result of an uploaded file.
#[derive(Debug)]
pub(super) struct Uploaded {
    /// `ready`, `failed`, or the state when the time limit was reached.
    pub(super) state: String,
    /// Time from the announcement to the final state.
    pub(super) time: Duration,
    pub(super) variants: usize,
    pub(super) bytes: u64,
    /// Size of all variants together.
    pub(super) variant_bytes: u64,
    /// The reason of a failure, or another remark.
    pub(super) note: Option<String>,
}

#[derive(Deserialize)]
struct Announced {
    media: MediaItem,
    upload: Option<Upload>,
}

#[derive(Deserialize)]
struct Upload {
    url: String,
    headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct MediaItem {
    id: String,
    state: String,
    failure: Option<Value>,
    variants: Vec<Variant>,
}

#[derive(Deserialize)]
struct Variant {
    size: u64,
}

impl Client {
    /// Connects to the application at `url`.
    ///
    /// # Errors
    /// When no server answers there, or another one.
    pub(super) fn connect(url: &str) -> Result<Self> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(RESPONSE_TIMEOUT))
            .timeout_recv_body(Some(RESPONSE_TIMEOUT))
            .build();
        let client = Self {
            agent: Agent::new_with_config(config),
            url: url.trim_end_matches('/').to_owned(),
        };
        match client.agent.get(client.at("/api/health")).call() {
            Ok(response) if response.status() == StatusCode::OK => Ok(client),
            Ok(response) => bail!(
                "the server at {url} is not Tirage: its health check answers {}",
                response.status()
            ),
            Err(error) => bail!(
                "cannot reach {url} ({error}): run `cargo xtask up` in another terminal, and pass the \
                 URL that it prints as --url"
            ),
        }
    }

    /// Uploads a file, shows the progress, and waits until it is processed.
    ///
    /// # Errors
    /// When the file can't be read, or the upload is refused.
    pub(super) fn upload(&self, path: &Path, bar: &ProgressBar) -> Result<Uploaded> {
        bar.set_message("reading");
        let (bytes, sha256) = measure(path).context("cannot read the file")?;
        let began = Instant::now();
        let announced: Announced = self.post(
            "/api/media",
            &json!({
                "filename": path.file_name().unwrap_or_default().to_string_lossy(),
                "content_type": content_type(path),
                "size": bytes,
                "sha256": sha256,
            }),
        )?;
        let mut item = announced.media;
        if let Some(upload) = &announced.upload {
            bar.set_length(bytes);
            bar.set_message("uploading");
            self.put(upload, path, bytes, bar)?;
            item = self.post(&format!("/api/media/{}/complete", item.id), &Value::Null)?;
        }
        bar.set_message("processing");
        item = self.wait_until_settled(item)?;
        let is_settled = item.is_settled();
        Ok(Uploaded {
            time: began.elapsed(),
            variants: item.variants.len(),
            bytes,
            variant_bytes: item.variants.iter().map(|variant| variant.size).sum(),
            note: match item.failure {
                Some(failure) => Some(reason(&failure)),
                None if !is_settled => {
                    Some(format!("still processing: GET /api/media/{}", item.id))
                }
                None if announced.upload.is_none() => Some("was uploaded before".to_owned()),
                None => None,
            },
            state: item.state,
        })
    }

    fn put(&self, upload: &Upload, path: &Path, bytes: u64, bar: &ProgressBar) -> Result<()> {
        let mut file = bar.wrap_read(File::open(path).context("cannot read the file")?);
        let mut request = Request::put(&upload.url).header("content-length", bytes);
        for (name, value) in &upload.headers {
            request = request.header(name, value);
        }
        let request = request.body(SendBody::from_reader(&mut file))?;
        let response = self
            .agent
            .run(request)
            .context("no response from storage")?;
        if !response.status().is_success() {
            bail!("storage answers {}", response.status());
        }
        Ok(())
    }

    /// Polls until the media item is ready or failed, or until the time limit, and returns it. Failed
    /// connections and server errors are retried.
    fn wait_until_settled(&self, mut item: MediaItem) -> Result<MediaItem> {
        let began = Instant::now();
        while !item.is_settled() && began.elapsed() < PROCESSING_TIMEOUT {
            sleep(POLL_INTERVAL);
            let url = self.at(&format!("/api/media/{}", item.id));
            match self.agent.get(url).call() {
                Ok(response) if !response.status().is_server_error() => item = read(response)?,
                _ => {}
            }
        }
        Ok(item)
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        let request = self.agent.post(self.at(path));
        let response = match body {
            Value::Null => request.send_empty(),
            body => request
                .header("content-type", "application/json")
                .send(body.to_string()),
        };
        read(response.context("no response from the application")?)
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

impl MediaItem {
    fn is_settled(&self) -> bool {
        matches!(self.state.as_str(), "ready" | "failed")
    }
}

/// Returns a file's length and SHA-256.
fn measure(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let (mut bytes, mut hash) = (0, Sha256::new());
    loop {
        let chunk = file.fill_buf()?;
        if chunk.is_empty() {
            return Ok((bytes, hex::encode(hash.finalize())));
        }
        hash.update(chunk);
        let length = chunk.len();
        bytes += length as u64;
        file.consume(length);
    }
}

fn read<T: DeserializeOwned>(mut response: Response<Body>) -> Result<T> {
    let status = response.status();
    let body = response.body_mut().read_to_vec()?;
    if !status.is_success() {
        match serde_json::from_slice::<Value>(&body) {
            Ok(problem) => bail!("{}", reason(&problem)),
            Err(_) => bail!("the application answers {status}"),
        }
    }
    serde_json::from_slice(&body).context("unexpected response of the application")
}

/// Returns the most specific message of a problem document (RFC 9457).
fn reason(problem: &Value) -> String {
    ["/errors/0/detail", "/detail", "/title"]
        .iter()
        .find_map(|place| problem.pointer(place)?.as_str())
        .unwrap_or("no reason was given")
        .to_owned()
}

/// Guesses the content type by the file name's extension. The server detects the real one.
fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    match extension.to_ascii_lowercase().as_str() {
        "avif" => "image/avif",
        "gif" => "image/gif",
        "heic" | "heif" => "image/heif",
        "jpeg" | "jpg" => "image/jpeg",
        "mov" => "video/quicktime",
        "mp4" => "video/mp4",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "tif" | "tiff" => "image/tiff",
        "webp" => "image/webp",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;
