//! Counts the round trips to Postgres that a request takes, with a proxy in between.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::StatusCode;
use serde_json::{Value, json};
use tirage_postgres::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::leaks::{OFTEN, one_connection};
use crate::support::{CLUSTER, Client, superuser};

/// Counts how often the client sends something after the server has sent something.
#[derive(Debug, Default)]
struct RoundTrips {
    count: AtomicUsize,
    server_was_last: AtomicBool,
}

/// Starts a proxy in front of the test server.
async fn proxy(round_trips: Arc<RoundTrips>) -> SocketAddr {
    let server: Config = CLUSTER.superuser_url().parse().unwrap();
    let port = server.port();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            tokio::spawn(forward(client, server, round_trips.clone()));
        }
    });
    address
}

async fn forward(mut client: TcpStream, mut server: TcpStream, round_trips: Arc<RoundTrips>) {
    let (mut requests, mut replies) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        // Replies first, so that a request that follows them is counted as such.
        tokio::select! {
            biased;
            Ok(length @ 1..) = server.read(&mut replies) => {
                round_trips.server_was_last.store(true, Ordering::SeqCst);
                client.write_all(&replies[..length]).await.unwrap();
            }
            Ok(length @ 1..) = client.read(&mut requests) => {
                if round_trips.server_was_last.swap(false, Ordering::SeqCst) {
                    round_trips.count.fetch_add(1, Ordering::SeqCst);
                }
                server.write_all(&requests[..length]).await.unwrap();
            }
            else => return,
        }
    }
}

/// Sends each body [`OFTEN`] times on one connection, and checks the round trips of each time.
async fn assert_round_trips(expected: usize, headers: &[(&str, &str)], bodies: &[Value]) {
    let round_trips = Arc::new(RoundTrips::default());
    let address = proxy(round_trips.clone()).await;
    let config = superuser();
    let password = String::from_utf8_lossy(config.password().unwrap().as_bytes()).into_owned();
    let url = format!(
        "postgres://{}:{password}@{address}/{}",
        config.user(),
        config.database()
    );
    let client = one_connection(url.parse().unwrap());
    // Connects.
    client.rows("select 1").await;
    for body in bodies {
        for time in 0..OFTEN {
            let before = round_trips.count.load(Ordering::SeqCst);
            let answer = client.send(headers, body.to_string()).await;
            assert_eq!(answer.status, StatusCode::OK, "{body}: {}", answer.text());
            let taken = round_trips.count.load(Ordering::SeqCst) - before;
            assert_eq!(taken, expected, "{body}, time {time}");
        }
    }
}

const RAW: [(&str, &str); 2] = [
    ("neon-raw-text-output", "true"),
    ("neon-array-mode", "true"),
];

fn scope() -> Value {
    json!({"query": "select set_config('tirage.workspace', $1, true)", "params": ["w"]})
}

#[tokio::test]
async fn a_read_only_batch_takes_one_round_trip() {
    let select = json!({"query": "select $1::int + 1 as n, current_setting('tirage.workspace') as w", "params": [1]});
    let table = json!({"query": "values (1, '{a}'::text[]), (2, null)"});
    let with = json!({"query": "with w as (select 1) select * from w"});
    let selects = [
        json!({"queries": [scope(), select]}),
        json!({"queries": [scope(), select, table, select]}),
        json!({"queries": []}),
    ];
    assert_round_trips(1, &RAW, &selects).await;
    assert_round_trips(1, &[], &selects).await;
    // With the header, a statement that can also write takes one round trip too.
    let read_only = [("neon-batch-read-only", "true")];
    let bodies = [json!({"queries": [scope(), with, select]})];
    assert_round_trips(1, &read_only, &bodies).await;
}

#[tokio::test]
async fn a_single_query_takes_one_round_trip() {
    Client::new().rows("create table one_trip (n int)").await;
    let bodies = [
        json!({"query": "select 1 as n"}),
        json!({"query": "insert into one_trip values ($1) returning n", "params": [1]}),
        json!({"query": "delete from one_trip"}),
    ];
    assert_round_trips(1, &RAW, &bodies).await;
}

/// COMMIT waits until the response is known to be within its limit.
#[tokio::test]
async fn a_batch_that_may_write_takes_two_round_trips() {
    Client::new().rows("create table two_trips (n int)").await;
    let insert = json!({"query": "insert into two_trips values ($1) returning n", "params": [1]});
    let bodies = [
        json!({"queries": [scope(), insert]}),
        json!({"queries": [scope(), insert, {"query": "select 1 as n"}]}),
    ];
    assert_round_trips(2, &RAW, &bodies).await;
}
