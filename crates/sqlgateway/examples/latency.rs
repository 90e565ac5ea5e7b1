//! Measures the gateway in process beside tokio-postgres with a prepared statement, on one database.
//!
//! `cargo run --release -p tirage-sqlgateway --example latency`. Both run in this process against a
//! private server; what counts is the ratio.
#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has failed"
)]

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tirage_devstack::postgres::Cluster;
use tirage_postgres::{Config, Connection};
use tirage_sqlgateway::{Gateway, Identity, Role, Settings};

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
    let config: Config = cluster.superuser_url().parse().unwrap();
    Connection::connect(&config)
        .await
        .unwrap()
        .batch_execute(
            "create table measured (id int primary key, text text);
             insert into measured select n, 'text ' || n from generate_series(1, 1000) n;",
        )
        .await
        .unwrap();
    let gateway = Gateway::new(Settings::default());
    let role = gateway.role(config.clone());

    println!(
        "{:<34} {:>8} {:>10} {:>10} {:>10}",
        "", "clients", "p50", "p99", "per second"
    );
    for clients in [1, 16, 64] {
        let mut connections = Vec::new();
        for _ in 0..clients.min(20) {
            let (client, connection) =
                tokio_postgres::connect(&cluster.superuser_url(), tokio_postgres::NoTls)
                    .await
                    .unwrap();
            tokio::spawn(connection);
            let statement = client
                .prepare("select id, text from measured where id = $1")
                .await
                .unwrap();
            connections.push(Arc::new((client, statement)));
        }
        measure("tokio-postgres, prepared", clients, |client| {
            let connection = connections[client % connections.len()].clone();
            async move {
                let (client, statement) = &*connection;
                let rows = client.query(statement, &[&42_i32]).await.unwrap();
                assert_eq!(rows[0].get::<_, &str>(1), "text 42");
            }
        })
        .await;
        let mut sessions = Vec::new();
        for _ in 0..clients.min(20) {
            let session = Connection::connect(&config).await.unwrap();
            sessions.push(Arc::new(tokio::sync::Mutex::new(session)));
        }
        measure("our connection, never reset", clients, |client| {
            let session = sessions[client % sessions.len()].clone();
            async move {
                let mut session = session.lock().await;
                let statement = "select id, text from measured where id = $1";
                let outcome = session.execute(statement, &[Some("42")]).await.unwrap();
                assert_eq!(outcome.rows[0].text(1), Some("text 42"));
            }
        })
        .await;
        for (name, body) in [
            ("gateway, one statement", SINGLE),
            ("gateway, batch of three", BATCH),
        ] {
            measure(name, clients, |_client| {
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
async fn measure<F, Done>(name: &str, clients: usize, request: F)
where
    F: Fn(usize) -> Done + Clone + Send + Sync,
    Done: Future<Output = ()> + Send + 'static,
{
    let mut durations = Vec::new();
    for length in [Duration::from_millis(300), Duration::from_secs(2)] {
        let end = Instant::now() + length;
        let runs = (0..clients).map(|client| {
            let request = request.clone();
            async move {
                let mut durations = Vec::new();
                while Instant::now() < end {
                    let began = Instant::now();
                    tokio::spawn(request(client)).await.unwrap();
                    durations.push(began.elapsed());
                }
                durations
            }
        });
        durations = futures::future::join_all(runs).await.concat();
    }
    durations.sort();
    let at = |share: usize| durations[(durations.len() - 1) * share / 100];
    println!(
        "{name:<34} {clients:>8} {:>10.0?} {:>10.0?} {:>10}",
        at(50),
        at(99),
        durations.len() / 2
    );
}
