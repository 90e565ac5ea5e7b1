//! The router: how long from start to the first answer with all components, how many requests it
//! serves beside a bare `ProxyHandler` loop, how much memory it holds when nobody asks.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tirage_devstack::postgres::Cluster;

use crate::load::{first_answer, requests_per_second};
use crate::statistics::{at_least, at_most, median, range};

const STARTS: usize = 21;
const START_TARGET_MS: f64 = 30.0;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(3);
const CONNECTIONS: usize = 16;
const THROUGHPUT_TARGET: f64 = 0.95;

const MEMORY_TARGET_MB: f64 = 60.0;

/// Measures, and prints what was measured, met or not.
///
/// # Errors
/// When something can't be started or doesn't answer.
pub(crate) fn run() -> anyhow::Result<()> {
    let repository = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let database = Cluster::start_temporary().context("cannot start Postgres")?;
    let bundle = |address: SocketAddr| {
        let mut command = router(&repository.join("spin.toml"), address);
        command
            .env("DATABASE_ADMIN_URL", database.admin_url())
            .env("DATABASE_URL", database.url());
        command
    };
    start(&bundle)?;
    memory(&bundle)?;
    throughput(repository)
}

fn start(bundle: &dyn Fn(SocketAddr) -> Command) -> anyhow::Result<()> {
    let mut milliseconds = Vec::new();
    // The first start makes the database's tables, and warms the page cache.
    for round in 0..=STARTS {
        let address = free_address()?;
        let begin = Instant::now();
        let running = Running(bundle(address).stdout(Stdio::null()).spawn()?);
        first_answer(address, "/api/health")?;
        let elapsed = begin.elapsed().as_secs_f64() * 1000.0;
        drop(running);
        if round > 0 {
            milliseconds.push(elapsed);
        }
    }
    let measured = median(&milliseconds);
    println!(
        "start to first 200, all components: {measured:.1} ms median of {STARTS} ({}); target {START_TARGET_MS} ms: {}",
        range(&milliseconds),
        at_most(measured, START_TARGET_MS)
    );
    Ok(())
}

fn memory(bundle: &dyn Fn(SocketAddr) -> Command) -> anyhow::Result<()> {
    let address = free_address()?;
    let running = Running(bundle(address).stdout(Stdio::null()).spawn()?);
    first_answer(address, "/api/health")?;
    std::thread::sleep(Duration::from_secs(3));
    let fresh = resident_megabytes(&running.0)?;
    tokio::runtime::Runtime::new()?.block_on(requests_per_second(
        address,
        "/api/health",
        CONNECTIONS,
        ROUND,
    ))?;
    std::thread::sleep(Duration::from_secs(3));
    let after = resident_megabytes(&running.0)?;
    println!(
        "resident memory, idle: {fresh:.1} MB after the start, {after:.1} MB after load; target {MEMORY_TARGET_MB} MB: {}",
        at_most(fresh.max(after), MEMORY_TARGET_MB)
    );
    Ok(())
}

fn throughput(repository: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let hello = repository.join("build/guests/hello.wasm").canonicalize()?;
    let manifest = folder.path().join("spin.toml");
    std::fs::write(
        &manifest,
        format!(
            r#"
spin_manifest_version = 2
[application]
name = "bench"
[[trigger.http]]
route = "/..."
component = "hello"
[component.hello]
source = "{}"
[component.hello.tool.tirage]
world = "step"
requests_per_instance = 128
concurrent_requests_per_instance = 16
"#,
            "hello.wasm"
        ),
    )?;
    std::os::unix::fs::symlink(&hello, folder.path().join("hello.wasm"))?;

    let address = free_address()?;
    let _ours = Running(router(&manifest, address).stdout(Stdio::null()).spawn()?);
    first_answer(address, "/")?;
    let mut peer = Command::new(std::env::current_exe()?);
    peer.arg("peer").arg(&hello).stdout(Stdio::piped());
    let mut peer = Running(peer.spawn()?);
    let peer_address = listening_address(&mut peer.0)?;
    first_answer(peer_address, "/")?;

    let runtime = tokio::runtime::Runtime::new()?;
    let measure = |address| runtime.block_on(requests_per_second(address, "/", CONNECTIONS, ROUND));
    measure(address)?;
    measure(peer_address)?;
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // In turn and in changing order, so that a machine that drifts favours neither.
        let (mine, other) = if round % 2 == 0 {
            let mine = measure(address)?;
            (mine, measure(peer_address)?)
        } else {
            let other = measure(peer_address)?;
            (measure(address)?, other)
        };
        ours.push(mine);
        theirs.push(other);
        ratios.push(mine / other);
    }
    let ratio = median(&ratios);
    println!(
        "requests per second at {CONNECTIONS} connections: router {:.0}, bare ProxyHandler {:.0} (medians of {ROUNDS}); ratio {ratio:.2} ({}); target {THROUGHPUT_TARGET}: {}",
        median(&ours),
        median(&theirs),
        range(&ratios),
        at_least(ratio, THROUGHPUT_TARGET)
    );
    Ok(())
}

/// The router as it is in production: its log goes nowhere, but it is written.
fn router(manifest: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(beside_this("tirage"));
    command
        .arg("serve")
        .arg("--manifest")
        .arg(manifest)
        .env_clear()
        .env("HTTP_ADDR", address.to_string())
        .stderr(Stdio::null());
    command
}

fn beside_this(name: &str) -> PathBuf {
    std::env::current_exe().map_or_else(|_| name.into(), |path| path.with_file_name(name))
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn listening_address(child: &mut Child) -> anyhow::Result<SocketAddr> {
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("its output is piped")?).read_line(&mut line)?;
    let address = line.trim().strip_prefix("listening on http://");
    Ok(address.context("it did not start")?.parse()?)
}

/// The resident set of a process, from Linux' /proc, in MB of a million bytes.
fn resident_megabytes(child: &Child) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let kibibytes: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .context("no VmRSS")?
        .parse()?;
    Ok(kibibytes * 1024.0 / 1e6)
}

/// A process that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
