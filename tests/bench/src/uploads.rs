//! The whole system under load: several clients upload real photos in parallel, through API, object store,
//! queue, trigger, worker and step, until their variants can be fetched.
//!
//! There is no peer for the whole system. The cost of a photo is its processor time, at the prices of
//! Scaleway's Serverless Containers.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::future::try_join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::processes::{Running, beside_this};
use crate::statistics::percentile;

const CLIENTS: usize = 4;
const UPLOADS: usize = 60;
/// Uploads before the measurement, which warm up instances, caches and connections.
const WARM_UP: usize = 6;
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const TIMEOUT: Duration = Duration::from_secs(120);
const SECRET: &str = "a secret of this benchmark, which is long enough";

/// Price in euros of a vCPU for a second, and of a GB, in a Serverless Container (Scaleway's price list,
/// October 2026).
const VCPU_SECOND: f64 = 0.000_01;
const GB_SECOND: f64 = 0.000_002;
/// Memory of a container for each vCPU, in GB.
const GB_PER_VCPU: f64 = 1.0;

/// Runs the benchmark and prints the results.
///
/// # Errors
/// When a program doesn't start, or a photo fails.
pub(crate) fn run() -> anyhow::Result<()> {
    let Some(photo) = photo() else {
        println!("uploads: no photo to measure with (../shared/data/photos/nokia-8.3.jpg)");
        return Ok(());
    };
    let stack = Stack::start()?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(measure(&stack, &std::fs::read(photo)?))
}

fn photo() -> Option<PathBuf> {
    let data = std::env::var_os("TIRAGE_DATA").map_or("../shared/data".into(), PathBuf::from);
    Some(data.join("photos/nokia-8.3.jpg")).filter(|file| file.exists())
}

async fn measure(stack: &Stack, photo: &[u8]) -> anyhow::Result<()> {
    upload_all(stack, photo, WARM_UP).await?;
    let cpu_before = stack.router_cpu_seconds()?;
    let begin = Instant::now();
    let mut times = upload_all(stack, photo, UPLOADS).await?;
    let elapsed = begin.elapsed().as_secs_f64();
    let cpu = (stack.router_cpu_seconds()? - cpu_before) / count(UPLOADS);
    times.sort_by(f64::total_cmp);

    let euro = 1e6 * cpu * (VCPU_SECOND + GB_PER_VCPU * GB_SECOND);
    println!(
        "{UPLOADS} photos of {:.1} MB, {CLIENTS} clients in parallel, everything on this machine:",
        count(photo.len()) / 1e6
    );
    println!("  uploads per second     {:>8.2}", count(UPLOADS) / elapsed);
    println!(
        "  upload to done, p50    {:>8.0} ms",
        1e3 * percentile(&times, 50)
    );
    println!(
        "  upload to done, p99    {:>8.0} ms",
        1e3 * percentile(&times, 99)
    );
    println!(
        "  router's processor time{:>8.0} ms for each photo",
        1e3 * cpu
    );
    println!(
        "  at Scaleway's prices   {euro:>8.2} € for a million photos (without storage and traffic)"
    );
    Ok(())
}

/// Uploads photos, and returns the seconds from the first request to the last variant of each.
async fn upload_all(stack: &Stack, photo: &[u8], uploads: usize) -> anyhow::Result<Vec<f64>> {
    let next = AtomicUsize::new(0);
    let clients = (0..CLIENTS).map(|_| async {
        let client = reqwest::Client::new();
        let mut times = Vec::new();
        while next.fetch_add(1, Ordering::Relaxed) < uploads {
            let begin = Instant::now();
            upload(&client, &stack.url, photo).await?;
            times.push(begin.elapsed().as_secs_f64());
        }
        anyhow::Ok(times)
    });
    Ok(try_join_all(clients).await?.concat())
}

async fn upload(client: &reqwest::Client, url: &str, photo: &[u8]) -> anyhow::Result<()> {
    let announced: Value = client
        .post(format!("{url}/api/media"))
        .json(&json!({"filename": "photo.jpg", "content_type": "image/jpeg", "size": photo.len()}))
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    let upload = &announced["upload"];
    let mut put = client
        .put(upload["url"].as_str().context("no URL")?)
        .body(photo.to_vec());
    for (name, value) in upload["headers"].as_object().context("no headers")? {
        put = put.header(name, value.as_str().unwrap_or_default());
    }
    put.send().await?.error_for_status()?;
    let media = format!(
        "{url}/api/media/{}",
        announced["media"]["id"].as_str().context("no id")?
    );
    client
        .post(format!("{media}/complete"))
        .send()
        .await?
        .error_for_status()?;
    let begin = Instant::now();
    loop {
        let found: Value = client.get(&media).send().await?.json().await?;
        match found["state"].as_str() {
            Some("ready") => return Ok(()),
            Some("failed") => anyhow::bail!("a photo failed: {}", found["failure"]),
            _ => anyhow::ensure!(begin.elapsed() < TIMEOUT, "timeout waiting for a photo"),
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The processes of the whole system.
struct Stack {
    url: String,
    router: Running,
    _others: Vec<Running>,
    _data: TempDir,
}

impl Stack {
    fn start() -> anyhow::Result<Self> {
        let data = TempDir::new()?;
        let (postgres, database) = start_service("postgres", data.path())?;
        let (objects, bucket) = start_service("s3", data.path())?;
        let (queue, jobs) = start_service("queue", data.path())?;
        let field = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let environment = [
            ("DATABASE_URL", field(&database, "url")),
            ("DATABASE_ADMIN_URL", field(&database, "admin_url")),
            ("S3_ENDPOINT", field(&bucket, "endpoint")),
            ("S3_REGION", field(&bucket, "region")),
            ("S3_BUCKET", field(&bucket, "bucket")),
            ("S3_ACCESS_KEY_ID", field(&bucket, "access_key_id")),
            ("S3_SECRET_ACCESS_KEY", field(&bucket, "secret_access_key")),
            ("QUEUE_ENDPOINT", field(&jobs, "endpoint")),
            ("QUEUE_NAME", field(&jobs, "queue_name")),
            ("SQS_ACCESS_KEY_ID", field(&jobs, "access_key_id")),
            ("SQS_SECRET_ACCESS_KEY", field(&jobs, "secret_access_key")),
            ("JOB_SECRET", SECRET.to_owned()),
            ("RUST_LOG", "warn".to_owned()),
        ];
        let (router, line) = start(
            Command::new(beside_this("tirage"))
                .args(["serve", "--listen", "127.0.0.1:0", "--exit-with-stdin"])
                .envs(environment.clone()),
        )?;
        let url = line.trim().strip_prefix("listening on ");
        let url = url.context("the router did not start")?.to_owned();
        let (trigger, _) = start(
            Command::new(beside_this("tirage-devstack"))
                .args(["trigger", "--target", &format!("{url}/jobs/photo")])
                .envs(environment),
        )?;
        Ok(Self {
            url,
            router,
            _others: vec![trigger, queue, objects, postgres],
            _data: data,
        })
    }

    /// Returns the router's user and system time, from `/proc` (proc(5), `stat`, fields 14 and 15).
    fn router_cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.router.0.id()))?;
        let (_, fields) = stat
            .rsplit_once(')')
            .context("unexpected format of /proc/<pid>/stat")?;
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        // Linux reports hundredths of a second to programs, independently of its own ticks.
        Ok(ticks as f64 / 100.0)
    }
}

/// Starts a service of the devstack, and returns the line that it prints when it is ready.
fn start_service(name: &str, data: &Path) -> anyhow::Result<(Running, Value)> {
    let (running, line) = start(
        Command::new(beside_this("tirage-devstack"))
            .arg(name)
            .arg("--data")
            .arg(data.join(name)),
    )?;
    Ok((running, serde_json::from_str(&line)?))
}

fn start(command: &mut Command) -> anyhow::Result<(Running, String)> {
    let mut child: Child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let line = crate::processes::first_line(&mut child)?;
    Ok((Running(child), line))
}

fn count(number: usize) -> f64 {
    number as f64
}
