//! Measures the gateway in process beside tokio-postgres with a prepared statement, on one database.
//!
//! `cargo run --release -p tirage-sqlgateway --example latency`. Both run in this process against a
//! private server; what counts is the ratio. An argument chooses what is measured by its name, such as
//! `"one statement, 16"`.
#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has failed"
)]

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tirage_devstack::postgres::Cluster;
use tirage_postgres::{Config, Connection};
use tirage_sqlgateway::{Gateway, Identity, Role, Settings};
use tokio::sync::Semaphore;

/// As many for the peer as the gateway's pool has.
const CONNECTIONS: usize = 20;

const STATEMENT: &str = "select id, text from measured where id = $1";
const SINGLE: &str = r#"{"query":"select id, text from measured where id = $1","params":[42]}"#;
const BATCH: &str = r#"{"queries":[
    {"query":"select set_config('tirage.workspace', $1, true)","params":["x"]},
    {"query":"select id, text from measured where id = $1","params":[42]},
    {"query":"select id, text from measured where id = $1","params":[43]}]}"#;

#[tokio::main]
async fn main() {
    let cluster = tokio::task::spawn_blocking(Cluster::start_temporary)
        .await
        .unwrap()
        .unwrap();
    let config: Config = cluster.url().parse().unwrap();
    Connection::connect(&cluster.superuser_url().parse().unwrap())
        .await
        .unwrap()
        .batch_execute(
            "create table measured (id int primary key, text text);
             insert into measured select n, 'text ' || n from generate_series(1, 1000) n;
             grant select on measured to public;",
        )
        .await
        .unwrap();
    let gateway = Gateway::new(Settings::default());
    let role = gateway.role(config.clone());

    println!(
        "{:<34} {:>8} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "", "clients", "p50", "p99", "per second", "ours, µs", "server's"
    );
    for clients in [1, 16, 64] {
        let peers = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..clients.min(CONNECTIONS) {
            let (client, connection) =
                tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls)
                    .await
                    .unwrap();
            tokio::spawn(connection);
            let statement = client.prepare(STATEMENT).await.unwrap();
            peers.lock().unwrap().push((client, statement));
        }
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        measure(
            &cluster,
            "tokio-postgres, prepared",
            clients,
            move |_client| {
                let (permits, peers) = (permits.clone(), peers.clone());
                async move {
                    let _permit = permits.acquire().await.unwrap();
                    let peer = peers.lock().unwrap().pop().unwrap();
                    let rows = peer.0.query(&peer.1, &[&42_i32]).await.unwrap();
                    assert_eq!(rows[0].get::<_, &str>(1), "text 42");
                    peers.lock().unwrap().push(peer);
                }
            },
        )
        .await;
        for (name, body) in [
            ("gateway, one statement", SINGLE),
            ("gateway, batch of three", BATCH),
        ] {
            let (gateway, role) = (gateway.clone(), role.clone());
            measure(&cluster, name, clients, move |_client| {
                ask(gateway.clone(), role.clone(), body)
            })
            .await;
        }
    }
}

async fn ask(gateway: Gateway, role: Role, body: &'static str) {
    let request = Request::post("/sql")
        .header("neon-raw-text-output", "true")
        .header("neon-array-mode", "true")
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap();
    let response = gateway.serve(Identity::Role(&role), request).await;
    assert_eq!(response.status(), StatusCode::OK);
}

/// Lets `clients` run side by side for two seconds after a warm-up.
async fn measure<F, Done>(cluster: &Cluster, name: &str, clients: usize, request: F)
where
    F: Fn(usize) -> Done + Clone + Send + Sync + 'static,
    Done: Future<Output = ()> + Send + 'static,
{
    let only = std::env::args().nth(1).unwrap_or_default();
    if !format!("{name}, {clients}").contains(&only) {
        return;
    }
    let mut durations = Vec::new();
    let (mut ours, mut servers) = (0, 0);
    for length in [Duration::from_millis(300), Duration::from_secs(2)] {
        (ours, servers) = (processor_time(std::process::id()), server_time(cluster));
        let end = Instant::now() + length;
        let runs = (0..clients).map(|client| {
            let request = request.clone();
            tokio::spawn(async move {
                let mut durations = Vec::new();
                while Instant::now() < end {
                    let began = Instant::now();
                    request(client).await;
                    durations.push(began.elapsed());
                }
                durations
            })
        });
        let runs: Vec<_> = runs.collect();
        let done = futures::future::join_all(runs).await.into_iter();
        durations = done.collect::<Result<Vec<_>, _>>().unwrap().concat();
    }
    let each = |nanoseconds: u64| nanoseconds as f64 / 1000.0 / durations.len() as f64;
    let ours = each(processor_time(std::process::id()) - ours);
    let servers = each(server_time(cluster) - servers);
    durations.sort();
    let at = |share: usize| durations[(durations.len() - 1) * share / 100];
    println!(
        "{name:<34} {clients:>8} {:>10.0?} {:>10.0?} {:>10} {ours:>10.1} {servers:>10.1}",
        at(50),
        at(99),
        durations.len() / 2
    );
}

/// The processor time that the server's sessions have used so far, in nanoseconds.
fn server_time(cluster: &Cluster) -> u64 {
    let postmaster = cluster.postmaster();
    let children = format!("/proc/{postmaster}/task/{postmaster}/children");
    let children = std::fs::read_to_string(children).unwrap_or_default();
    let ids = children.split_whitespace().filter_map(|id| id.parse().ok());
    ids.map(processor_time).sum()
}

/// The processor time that all threads of a process have used so far, in nanoseconds.
fn processor_time(process: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{process}/task"));
    let of_thread = |entry: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
        let figures = std::fs::read_to_string(entry.ok()?.path().join("schedstat")).ok()?;
        figures.split(' ').next()?.parse().ok()
    };
    threads.into_iter().flatten().filter_map(of_thread).sum()
}
