//! The media API, as the demo uses it.

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

/// How often a media is asked for that isn't done yet.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// For how long. By then the queue has tried several times, and the sweep too.
const PATIENCE: Duration = Duration::from_secs(300);
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// An application that answers.
pub(super) struct Client {
    agent: Agent,
    url: String,
}

/// A file that was uploaded, and what became of it.
#[derive(Debug)]
pub(super) struct Uploaded {
    /// `ready`, `failed`, or where it was when we had waited long enough.
    pub(super) state: String,
    /// From its announcement to its end.
    pub(super) time: Duration,
    pub(super) prints: usize,
    pub(super) bytes: u64,
    /// Of all prints together.
    pub(super) print_bytes: u64,
    /// Why it failed, or what else there is to know.
    pub(super) note: Option<String>,
}

#[derive(Deserialize)]
struct Announced {
    media: Media,
    upload: Option<Upload>,
}

#[derive(Deserialize)]
struct Upload {
    url: String,
    headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Media {
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
    /// The application at `url`.
    ///
    /// # Errors
    /// When nothing answers there, or something else does.
    pub(super) fn connect(url: &str) -> Result<Self> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_PATIENCE))
            .timeout_recv_response(Some(ANSWER_PATIENCE))
            .timeout_recv_body(Some(ANSWER_PATIENCE))
            .build();
        let client = Self {
            agent: Agent::new_with_config(config),
            url: url.trim_end_matches('/').to_owned(),
        };
        match client.agent.get(client.at("/api/health")).call() {
            Ok(answer) if answer.status() == StatusCode::OK => Ok(client),
            Ok(answer) => bail!(
                "what answers at {url} is not Tirage: it says {}",
                answer.status()
            ),
            Err(error) => bail!(
                "nothing answers at {url} ({error}): run `cargo xtask up` in another terminal, and \
                 give what it prints as --url"
            ),
        }
    }

    /// Uploads a file and waits for its end; the bar shows how far it is.
    ///
    /// # Errors
    /// When it can't be read, or is not taken.
    pub(super) fn upload(&self, path: &Path, bar: &ProgressBar) -> Result<Uploaded> {
        bar.set_message("reading");
        let (bytes, sha256) = measure(path).context("cannot be read")?;
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
        let mut media = announced.media;
        if let Some(upload) = &announced.upload {
            bar.set_length(bytes);
            bar.set_message("uploading");
            self.put(upload, path, bytes, bar)?;
            media = self.post(&format!("/api/media/{}/complete", media.id), &Value::Null)?;
        }
        bar.set_message("making prints");
        media = self.settled(media)?;
        let is_settled = media.is_settled();
        Ok(Uploaded {
            time: began.elapsed(),
            prints: media.variants.len(),
            bytes,
            print_bytes: media.variants.iter().map(|variant| variant.size).sum(),
            note: match media.failure {
                Some(failure) => Some(reason(&failure)),
                None if !is_settled => Some(format!("not done yet: GET /api/media/{}", media.id)),
                None if announced.upload.is_none() => Some("was there before".to_owned()),
                None => None,
            },
            state: media.state,
        })
    }

    fn put(&self, upload: &Upload, path: &Path, bytes: u64, bar: &ProgressBar) -> Result<()> {
        let mut file = bar.wrap_read(File::open(path).context("cannot be read")?);
        let mut request = Request::put(&upload.url).header("content-length", bytes);
        for (name, value) in &upload.headers {
            request = request.header(name, value);
        }
        let request = request.body(SendBody::from_reader(&mut file))?;
        let answer = self.agent.run(request).context("storage gave no answer")?;
        if !answer.status().is_success() {
            bail!("storage answered {}", answer.status());
        }
        Ok(())
    }

    /// The media when it is ready or has failed, or as it is when that takes too long. That the
    /// application doesn't answer for a while is no reason to give up.
    fn settled(&self, mut media: Media) -> Result<Media> {
        let began = Instant::now();
        while !media.is_settled() && began.elapsed() < PATIENCE {
            sleep(POLL_INTERVAL);
            let address = self.at(&format!("/api/media/{}", media.id));
            match self.agent.get(address).call() {
                Ok(answer) if !answer.status().is_server_error() => media = read(answer)?,
                _ => {}
            }
        }
        Ok(media)
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        let request = self.agent.post(self.at(path));
        let answer = match body {
            Value::Null => request.send_empty(),
            body => request
                .header("content-type", "application/json")
                .send(body.to_string()),
        };
        read(answer.context("the application gave no answer")?)
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

impl Media {
    fn is_settled(&self) -> bool {
        matches!(self.state.as_str(), "ready" | "failed")
    }
}

/// A file's length and what it hashes to.
fn measure(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let (mut bytes, mut hash) = (0, Sha256::new());
    loop {
        let chunk = file.fill_buf()?;
        if chunk.is_empty() {
            let hash = hash.finalize();
            return Ok((
                bytes,
                hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            ));
        }
        hash.update(chunk);
        let length = chunk.len();
        bytes += length as u64;
        file.consume(length);
    }
}

fn read<T: DeserializeOwned>(mut answer: Response<Body>) -> Result<T> {
    let status = answer.status();
    let body = answer.body_mut().read_to_vec()?;
    if !status.is_success() {
        match serde_json::from_slice::<Value>(&body) {
            Ok(problem) => bail!("{}", reason(&problem)),
            Err(_) => bail!("the application answered {status}"),
        }
    }
    serde_json::from_slice(&body).context("the application's answer isn't as documented")
}

/// What a problem document (RFC 9457) says to people: the most exact of it.
fn reason(problem: &Value) -> String {
    ["/errors/0/detail", "/detail", "/title"]
        .iter()
        .find_map(|place| problem.pointer(place)?.as_str())
        .unwrap_or("no reason was given")
        .to_owned()
}

/// By the name's ending. Nothing depends on it: what a file is, its bytes say.
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
