//! Concurrent requests on few connections: each gets its own response, sees nothing of the others, and
//! takes effect once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use tirage_postgres::{Config, Connection};
use tirage_sqlgateway::Settings;
use tokio::time::{sleep, timeout};

use crate::leaks::LEAKS;
use crate::support::{Answer, Client, ask, new_role, run_as_superuser, superuser};

/// Number of concurrent requests.
const CALLERS: usize = 40;

fn with_connections(config: Config, max_connections: usize) -> Arc<Client> {
    with_settings(
        config,
        Settings {
            max_connections,
            ..Settings::default()
        },
    )
}

fn with_settings(config: Config, settings: Settings) -> Arc<Client> {
    Arc::new(Client::with(config, settings))
}

/// The only value of the only row.
fn value(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["rows"][0][0].take()
}

/// Sends a statement so often that it is prepared.
async fn make_known(client: &Client, query: &str, params: Value) {
    for _ in 0..10 {
        value(&ask(client, query, params.clone()).await);
    }
}

/// Sends requests concurrently, each from a tokio task of its own.
async fn all_at_once(
    client: &Arc<Client>,
    query: &'static str,
    params: impl IntoIterator<Item = Value>,
) -> Vec<Answer> {
    let asked = params.into_iter().map(|params| {
        let client = Arc::clone(client);
        tokio::spawn(async move { ask(&client, query, params).await })
    });
    let answers = join_all(asked).await.into_iter();
    answers.collect::<Result<_, _>>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_gets_its_own_response() {
    let client = with_connections(superuser(), 3);
    let query = "select $1::text || ' ' || pg_backend_pid()";
    make_known(&client, query, json!(["x"])).await;
    for _ in 0..10 {
        let params = (0..CALLERS).map(|number| json!([number.to_string()]));
        let answers = all_at_once(&client, query, params).await;
        let mut sessions = HashSet::new();
        for (number, answer) in answers.iter().enumerate() {
            let value = value(answer).as_str().unwrap().to_owned();
            let (own, session) = value.split_once(' ').unwrap();
            assert_eq!(own, number.to_string());
            sessions.insert(session.to_owned());
        }
        assert!(sessions.len() <= 3, "{} sessions", sessions.len());
    }
}

/// Everything in [`LEAKS`], between concurrent requests on one connection.
#[tokio::test]
async fn nothing_leaks_from_one_to_the_next() {
    let little = new_role("leaves_concurrently").await;
    run_as_superuser("grant pg_monitor to leaves_concurrently").await;
    for config in [superuser(), little.clone()] {
        with_connections(config, 1)
            .rows(
                "create function leave_concurrently(what text) returns void language plpgsql as \
                 'begin execute what; end'",
            )
            .await;
    }
    for (leak, look, clean) in LEAKS {
        // A plain role may not do that.
        let may = if leak.starts_with("set session authorization") {
            1
        } else {
            2
        };
        for config in [superuser(), little.clone()].into_iter().take(may) {
            // A fresh session for each leak.
            let client = with_connections(config, 1);
            let leave = "select leave_concurrently($1)::text";
            make_known(&client, leave, json!(["select 1"])).await;
            make_known(&client, look, json!([])).await;
            for _ in 0..5 {
                let asked = (0..CALLERS).map(|number| {
                    let client = Arc::clone(&client);
                    tokio::spawn(async move {
                        if number % 3 == 1 {
                            (None, ask(&client, leave, json!([leak])).await)
                        } else {
                            (Some(clean), ask(&client, look, json!([])).await)
                        }
                    })
                });
                for asked in join_all(asked).await {
                    let (expected, answer) = asked.unwrap();
                    let value = value(&answer);
                    if let Some(expected) = expected {
                        assert_eq!(value, expected, "{leak}");
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_request_fails_alone() {
    let client = with_connections(superuser(), 1);
    let query = "select (12 / $1::int)::text";
    make_known(&client, query, json!(["1"])).await;
    for _ in 0..20 {
        let divisors: Vec<_> = (0..CALLERS).map(|number| number % 5).collect();
        let params = divisors.iter().map(|divisor| json!([divisor.to_string()]));
        let answers = all_at_once(&client, query, params).await;
        for (divisor, answer) in divisors.iter().zip(&answers) {
            match 12_usize.checked_div(*divisor) {
                Some(quotient) => assert_eq!(value(answer), quotient.to_string()),
                None => assert_eq!(answer.json()["code"], "22012", "{}", answer.text()),
            }
        }
        make_known(&client, query, json!(["1"])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_request_delays_no_other() {
    const SLOW: [usize; 3] = [2, 17, 29];
    let client = with_connections(superuser(), 4);
    let query = "select $1::text || pg_sleep($1::float8)::text";
    make_known(&client, query, json!(["0"])).await;
    let begin = Instant::now();
    let asked = (0..CALLERS).map(|number| {
        let client = Arc::clone(&client);
        tokio::spawn(async move {
            let seconds = if SLOW.contains(&number) { "3" } else { "0" };
            let answer = ask(&client, query, json!([seconds])).await;
            assert_eq!(value(&answer), seconds);
            begin.elapsed()
        })
    });
    for (number, took) in join_all(asked).await.into_iter().enumerate() {
        let took = took.unwrap();
        let is_slow = took > Duration::from_secs(2);
        assert_eq!(
            is_slow,
            SLOW.contains(&number),
            "caller {number} took {took:?}"
        );
    }
}

/// A client holds a lock until the other requests are answered, one of which waits for the lock.
#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_request_blocks_no_other() {
    let client = with_connections(superuser(), 4);
    let mut holder = Connection::connect(&superuser()).await.unwrap();
    let query = "select pg_advisory_xact_lock($1::int)::text || $1";
    make_known(&client, query, json!(["1"])).await;
    holder
        .batch_execute("begin; select pg_advisory_xact_lock(7)")
        .await
        .unwrap();
    let mut asked: Vec<_> = (0..CALLERS)
        .map(|number| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { ask(&client, query, json!([number.to_string()])).await })
        })
        .collect();
    let blocked = asked.remove(7);
    let others = timeout(Duration::from_secs(5), join_all(asked)).await;
    for answer in others.expect("no request waits for the blocked one") {
        assert_eq!(answer.unwrap().status, StatusCode::OK);
    }
    assert!(!blocked.is_finished());
    holder.batch_execute("commit").await.unwrap();
    assert_eq!(value(&blocked.await.unwrap()), "7");
}

/// A select whose function writes: each response stands for one effect.
#[tokio::test(flavor = "multi_thread")]
async fn each_response_is_one_effect() {
    let client = with_connections(superuser(), 3);
    client.rows("create table effects (caller text)").await;
    client
        .rows(
            "create function effect(caller text, seconds float8) returns text language plpgsql as \
             'begin insert into effects values (caller); perform pg_sleep(seconds); return caller; end'",
        )
        .await;
    let query = "select effect($1, $2::float8)";
    let calm = json!(["x", "0"]);
    make_known(&client, query, calm.clone()).await;
    client.rows("delete from effects").await;
    let mut answered = 0;
    for round in 0..30 {
        let params = (0..CALLERS).map(|number| {
            let seconds = if round % 10 == 0 && number % 11 == 3 {
                "0.25"
            } else {
                "0"
            };
            json!([format!("{round} {number}"), seconds])
        });
        for answer in all_at_once(&client, query, params).await {
            value(&answer);
            answered += 1;
        }
    }
    let counted = ask(
        &client,
        "select count(*) || ' ' || count(distinct caller) from effects",
        json!([]),
    );
    assert_eq!(value(&counted.await), format!("{answered} {answered}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_affects_no_other() {
    let client = with_connections(superuser(), 1);
    let query = "select $1::text";
    make_known(&client, query, json!(["x"])).await;
    for round in 0..50 {
        let asked: Vec<_> = (0..CALLERS)
            .map(|number| {
                let client = Arc::clone(&client);
                tokio::spawn(async move { ask(&client, query, json!([number.to_string()])).await })
            })
            .collect();
        sleep(Duration::from_micros(20 * round)).await;
        for (number, asked) in asked.iter().enumerate() {
            if number % 2 == 0 {
                asked.abort();
            }
        }
        for (number, asked) in asked.into_iter().enumerate() {
            match asked.await {
                Ok(answer) => assert_eq!(value(&answer), number.to_string()),
                Err(error) => assert!(error.is_cancelled() && number % 2 == 0),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_over_the_limit_affects_no_other() {
    let settings = Settings {
        max_connections: 1,
        max_response_bytes: 4096,
        ..Settings::default()
    };
    let client = with_settings(superuser(), settings);
    let query = "select repeat('x', $1::int)";
    make_known(&client, query, json!(["1"])).await;
    for _ in 0..10 {
        let lengths: Vec<_> = (0..CALLERS)
            .map(|number| if number % 7 == 3 { 5000 } else { number })
            .collect();
        let params = lengths.iter().map(|length| json!([length.to_string()]));
        for (length, answer) in lengths
            .iter()
            .zip(all_at_once(&client, query, params).await)
        {
            if *length == 5000 {
                assert_eq!(answer.status, StatusCode::INSUFFICIENT_STORAGE);
            } else {
                assert_eq!(value(&answer), "x".repeat(*length));
            }
        }
    }
}
