//! The pool: many clients on few connections, clients that disconnect, and a server that stops.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::json;
use tirage_devstack::postgres::Cluster;
use tirage_sqlgateway::{Identity, Settings};

use crate::support::{Client, new_role, superuser};

async fn connections_of(role: &str) -> i64 {
    let rows = Client::new()
        .rows(&format!(
            "select count(*)::int as n from pg_stat_activity where usename = '{role}'"
        ))
        .await;
    rows[0]["n"].as_i64().unwrap()
}

#[tokio::test]
async fn two_hundred_clients_share_five_connections() {
    let config = new_role("two_hundred").await;
    let client = Arc::new(Client::with(
        config,
        Settings {
            max_connections: 5,
            ..Settings::default()
        },
    ));
    let most = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..200)
        .map(|number| {
            let (client, most) = (client.clone(), most.clone());
            tokio::spawn(async move {
                for round in 0..5 {
                    let answer = client
                        .query(
                            "select $1::int + $2::int as n, pg_sleep(0.001)::text",
                            json!([number, round]),
                        )
                        .await;
                    assert_eq!(answer["rows"][0]["n"], number + round);
                    if number == 0 {
                        let now = usize::try_from(connections_of("two_hundred").await).unwrap();
                        most.fetch_max(now, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let most = most.load(Ordering::Relaxed);
    assert!((1..=5).contains(&most), "{most} connections");
}

#[tokio::test]
async fn a_request_waits_for_a_connection_and_then_fails() {
    let settings = Settings {
        max_connections: 1,
        wait: Duration::from_millis(300),
        ..Settings::default()
    };
    let client = Client::with(superuser(), settings);
    client.rows("select 1").await;
    let (long, short) = tokio::join!(client.query("select pg_sleep(1)::text", json!([])), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        client.send(&[], r#"{"query":"select 1"}"#).await
    });
    assert_eq!(long["rowCount"], 1);
    assert_eq!(short.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(short.headers["retry-after"], "1");
    assert!(
        short.json()["message"]
            .as_str()
            .unwrap()
            .contains("no connection")
    );
    client.rows("select 1").await;
    // A connection becomes free in time.
    let (_, waited) = tokio::join!(
        client.query("select pg_sleep(0.1)::text", json!([])),
        client.query("select 1 as n", json!([]))
    );
    assert_eq!(waited["rows"], json!([{"n": 1}]));
}

#[tokio::test]
async fn the_statement_of_an_abandoned_request_is_cancelled() {
    let client = Client::with(
        superuser(),
        Settings {
            max_connections: 1,
            ..Settings::default()
        },
    );
    client.rows("create table abandoned (n int)").await;
    let pid = client.rows("select pg_backend_pid() as pid").await;
    for body in [
        r#"{"query":"insert into abandoned select 1 from pg_sleep(60)"}"#,
        r#"{"queries":[{"query":"insert into abandoned values (1)"},{"query":"select pg_sleep(60)"}]}"#,
    ] {
        let began = Instant::now();
        let left = tokio::time::timeout(Duration::from_millis(200), client.send(&[], body)).await;
        assert!(left.is_err());
        // The only connection is free again, long before the statement would have ended.
        assert_eq!(
            client
                .rows("select count(*)::int as n from abandoned")
                .await,
            json!([{"n": 0}])
        );
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(
        client.rows("select pg_backend_pid() as pid").await,
        pid,
        "and it is the same one"
    );
}

#[tokio::test]
async fn a_late_cancel_request_never_affects_the_next_request() {
    let client = Client::with(
        superuser(),
        Settings {
            max_connections: 1,
            ..Settings::default()
        },
    );
    for round in 0..200 {
        // The hard case: the request is abandoned when its response arrives.
        let brief = Duration::from_micros(round * 10);
        let request = client.send(&[], r#"{"query":"select pg_sleep(0.001)"}"#);
        let _left = tokio::time::timeout(brief, request).await;
        assert_eq!(client.rows("select 1 as n").await, json!([{"n": 1}]));
    }
}

#[tokio::test]
async fn sessions_that_the_server_has_closed_are_replaced() {
    let config = new_role("replaced").await;
    let client = Arc::new(Client::with(config, Settings::default()));
    for wait in [0, 100] {
        // Concurrently, so that several connections are idle afterwards.
        let callers = (0..5).map(|_| client.query("select pg_sleep(0.05)::text", json!([])));
        futures::future::join_all(callers).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let ended = Client::new()
            .rows("select count(pg_terminate_backend(pid, 5000))::int as n from pg_stat_activity where usename = 'replaced'")
            .await;
        assert!(ended[0]["n"].as_i64().unwrap() > 1);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        assert_eq!(client.rows("select 1 as n").await, json!([{"n": 1}]));
        assert_eq!(
            client.batch(&["select 1 as n"]).await.status,
            StatusCode::OK
        );
    }
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let config = new_role("idler").await;
    let settings = Settings {
        idle: Duration::from_millis(200),
        ..Settings::default()
    };
    let client = Client::with(config, settings);
    client.rows("select 1").await;
    assert_eq!(connections_of("idler").await, 1);
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(connections_of("idler").await, 0);
    client.rows("select 1").await;
}

#[tokio::test]
async fn dropping_everything_closes_everything() {
    let config = new_role("dropped").await;
    let client = Client::with(config, Settings::default());
    client.rows("select 1").await;
    drop(client);
    for _ in 0..100 {
        if connections_of("dropped").await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("connections outlive their gateway");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_succeed_after_the_server_restarts_under_load() {
    under_load(|_cluster| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_succeed_after_the_server_is_killed_under_load() {
    under_load(kill).await;
}

fn kill(cluster: &Cluster) {
    let postmaster = cluster.postmaster().to_string();
    let killed = Command::new("kill").args(["-9", &postmaster]).status();
    assert!(killed.unwrap().success());
}

/// Twenty clients insert rows on five connections while the server restarts three times.
async fn under_load(before_restart: fn(&Cluster)) {
    let mut cluster = tokio::task::spawn_blocking(Cluster::start_temporary)
        .await
        .unwrap()
        .unwrap();
    let config = cluster.superuser_url().parse().unwrap();
    let settings = Settings {
        max_connections: 5,
        ..Settings::default()
    };
    let client = Arc::new(Client::with(config, settings));
    client.rows("create table counted (n int)").await;
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let (client, stop) = (client.clone(), stop.clone());
            tokio::spawn(async move {
                let (mut done, mut unknown) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    let headers = [("neon-raw-text-output", "true")];
                    let body = json!({"query": "insert into counted values (1)"}).to_string();
                    let answer = client.send(&headers, body).await;
                    match (answer.status, answer.json()["code"].as_str()) {
                        (StatusCode::OK, _) => done += 1,
                        // Unavoidable: the server was executing the statement when it stopped.
                        (StatusCode::BAD_REQUEST, Some("57P01" | "08006")) => unknown += 1,
                        _ => panic!("{}: {}", answer.status, answer.text()),
                    }
                }
                (done, unknown)
            })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cluster = tokio::task::spawn_blocking(move || {
            before_restart(&cluster);
            cluster.restart().unwrap();
            cluster
        })
        .await
        .unwrap();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    let (mut done, mut unknown) = (0, 0);
    for caller in callers {
        let (more_done, more_unknown) = caller.await.unwrap();
        done += more_done;
        unknown += more_unknown;
    }
    let rows = client.rows("select count(*)::int as n from counted").await;
    let stored = rows[0]["n"].as_i64().unwrap();
    // Every successful insert is stored, and none twice.
    assert!(
        done > 0 && (done..=done + unknown).contains(&stored),
        "{done} {unknown} {stored}"
    );
    assert!(
        unknown <= 3 * 5,
        "{unknown} requests were hit by three restarts of five connections"
    );
}

#[tokio::test]
async fn a_future_that_is_never_polled_costs_nothing() {
    let client = Client::with(
        superuser(),
        Settings {
            max_connections: 1,
            ..Settings::default()
        },
    );
    let request = Request::post("/sql")
        .body(Full::<bytes::Bytes>::from("{}"))
        .unwrap();
    drop(client.gateway.serve(Identity::Role(&client.role), request));
    client.rows("select 1").await;
}
