//! The router: the time from start to the first response with all components, its throughput compared with
//! a bare `ProxyHandler` loop, and its memory when idle.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use http::{HeaderMap, HeaderName, HeaderValue};
use tirage_devstack::postgres::Cluster;

use crate::load::{requests_per_second, wait_for_success};
use crate::processes::{Running, beside_this, listening_address};
use crate::statistics::{at_least, at_most, median, range};

const STARTS: usize = 21;
const START_TARGET_MS: f64 = 30.0;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(3);
const CONNECTIONS: usize = 16;
const THROUGHPUT_TARGET: f64 = 0.95;

const MEMORY_TARGET_MB: f64 = 60.0;

/// Runs the benchmark and prints the results.
///
/// # Errors
/// When a program doesn't start or a request fails.
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
    // The first start creates the database's tables and warms the page cache.
    for round in 0..=STARTS {
        let address = free_address()?;
        let begin = Instant::now();
        let running = Running(bundle(address).stdout(Stdio::null()).spawn()?);
        wait_for_success(address, "/api/health")?;
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
    wait_for_success(address, "/api/health")?;
    std::thread::sleep(Duration::from_secs(3));
    let fresh = resident_megabytes(&running.0)?;
    tokio::runtime::Runtime::new()?.block_on(requests_per_second(
        address,
        "/api/health",
        &HeaderMap::new(),
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
    wait_for_success(address, "/")?;
    let mut peer = Command::new(std::env::current_exe()?);
    peer.arg("peer").arg(&hello).stdout(Stdio::piped());
    let mut peer = Running(peer.spawn()?);
    let peer_address = listening_address(&mut peer.0)?;
    wait_for_success(peer_address, "/")?;

    let runtime = tokio::runtime::Runtime::new()?;
    let contenders = [
        (address, HeaderMap::new()),
        (peer_address, HeaderMap::new()),
        (peer_address, router_headers(address)?),
    ];
    let measure = |which: usize| {
        let (address, headers) = contenders.get(which).context("one of three")?;
        runtime.block_on(requests_per_second(
            *address,
            "/",
            headers,
            CONNECTIONS,
            ROUND,
        ))
    };
    let mut measured = [const { Vec::new() }; 3];
    // The first round warms up. The order rotates, so that drift of the machine favours none.
    for round in 0..=ROUNDS {
        for position in 0..contenders.len() {
            let which = (round + position) % contenders.len();
            let rate = measure(which)?;
            if let Some(rates) = measured.get_mut(which).filter(|_| round > 0) {
                rates.push(rate);
            }
        }
    }
    let [ours, bare, with_headers] = measured;
    let ratios = |theirs: &[f64]| -> Vec<_> {
        let pairs = ours.iter().zip(theirs);
        pairs.map(|(ours, theirs)| ours / theirs).collect()
    };
    println!(
        "requests per second at {CONNECTIONS} connections (medians of {ROUNDS}): router {:.0}, bare ProxyHandler {:.0}, and {:.0} when it is sent the headers that the router adds",
        median(&ours),
        median(&bare),
        median(&with_headers)
    );
    let (plain, same_headers) = (ratios(&bare), ratios(&with_headers));
    println!(
        "  router beside the bare ProxyHandler: {:.2} ({}); target {THROUGHPUT_TARGET}: {}",
        median(&plain),
        range(&plain),
        at_least(median(&plain), THROUGHPUT_TARGET)
    );
    println!(
        "  router beside it with the same headers: {:.2} ({})",
        median(&same_headers),
        range(&same_headers)
    );
    Ok(())
}

/// Returns the headers that the router adds for each component. The guest's library copies each header
/// into the guest, so a peer without them does less work.
fn router_headers(address: SocketAddr) -> anyhow::Result<HeaderMap> {
    let own = format!("http://{address}/");
    [
        ("spin-full-url", own.as_str()),
        ("spin-path-info", "/"),
        ("spin-matched-route", "/..."),
        ("spin-component-route", ""),
        ("spin-raw-component-route", "/..."),
        ("spin-base-path", "/"),
        ("spin-client-addr", "127.0.0.1:50000"),
        ("x-request-id", "01931b2c-5d7e-7f00-8000-000000000000"),
    ]
    .into_iter()
    .map(|(name, value)| Ok((HeaderName::from_static(name), HeaderValue::from_str(value)?)))
    .collect()
}

/// Returns a command that runs the router as in production. Its log is written and discarded.
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

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Returns the resident set size of a process, from Linux' /proc, in megabytes (10⁶ bytes).
fn resident_megabytes(child: &Child) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let kibibytes: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .context("no VmRSS")?
        .parse()?;
    Ok(kibibytes * 1024.0 / 1e6)
}
