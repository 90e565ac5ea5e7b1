//! Sessions and transactions: no request sees the session of another, and a batch is atomic.

use http::StatusCode;
use serde_json::json;
use tirage_sqlgateway::Settings;

use crate::support::{Client, new_role, superuser};

/// A client with one connection, so that every leak is visible.
fn one_connection() -> Client {
    Client::with(
        superuser(),
        Settings {
            max_connections: 1,
            ..Settings::default()
        },
    )
}

#[tokio::test]
async fn nothing_of_a_session_is_seen_by_the_next_request() {
    let client = one_connection();
    client
        .rows("create table if not exists leaks (n serial)")
        .await;
    let pid = client.rows("select pg_backend_pid() as pid").await;
    for (leak, look, clean) in [
        (
            "set search_path = elsewhere",
            "show search_path",
            "\"$user\", public",
        ),
        (
            "set intervalstyle = iso_8601",
            "select '0'::interval::text as v",
            "00:00:00",
        ),
        (
            "set session characteristics as transaction read only",
            "show transaction_read_only",
            "off",
        ),
        (
            "set time zone 'Asia/Tokyo'",
            "select (current_setting('TimeZone') = 'Asia/Tokyo')::text as v",
            "false",
        ),
        (
            "set role pg_monitor",
            "select current_user::text as v",
            "postgres",
        ),
        (
            "set session authorization pg_monitor",
            "select session_user::text as v",
            "postgres",
        ),
        (
            "select set_config('tirage.account', 'me', false)",
            "select coalesce(current_setting('tirage.account', true), '') as v",
            "",
        ),
        (
            "create temp table leaked (n int)",
            "select coalesce(to_regclass('leaked')::text, '') as v",
            "",
        ),
        (
            "prepare leaked as select 1",
            "select count(*)::text from pg_prepared_statements where from_sql",
            "0",
        ),
        (
            "declare leaked cursor with hold for select 1",
            "select count(*)::text from pg_cursors where name = 'leaked'",
            "0",
        ),
        (
            "listen leaked",
            "select count(*)::text from pg_listening_channels()",
            "0",
        ),
        (
            "select pg_advisory_lock(4711)",
            "select count(*)::text from pg_locks where locktype = 'advisory'",
            "0",
        ),
        (
            "insert into leaks default values",
            "select count(*)::text as v from leaks where n = 0",
            "0",
        ),
    ] {
        client.query(leak, json!([])).await;
        let rows = client
            .send(
                &[("neon-array-mode", "true")],
                json!({"query": look}).to_string(),
            )
            .await;
        assert_eq!(rows.json()["rows"], json!([[clean]]), "{leak}");
    }
    client.query("begin", json!([])).await;
    assert_eq!(
        client.error("savepoint a", json!([])).await["code"],
        "25P01"
    );
    let error = client
        .error("select currval('leaks_n_seq')", json!([]))
        .await;
    assert_eq!(error["code"], "55000");
    assert_eq!(
        client.rows("select pg_backend_pid() as pid").await,
        pid,
        "it was one session"
    );
}

#[tokio::test]
async fn what_begin_left_open_is_rolled_back() {
    let client = one_connection();
    client.rows("create table left_open (n int)").await;
    for statement in ["begin", "insert into left_open values (1)", "commit"] {
        client.query(statement, json!([])).await;
    }
    // Each was a request of its own, so the second was a transaction of its own.
    assert_eq!(
        client.rows("select n from left_open").await,
        json!([{"n": 1}])
    );
    client
        .batch(&["insert into left_open values (2)", "savepoint a"])
        .await;
    client.send(&[], r#"{"queries":[{"query":"insert into left_open values (3)"},{"query":"rollback"},{"query":"begin"},{"query":"insert into left_open values (4)"}]}"#).await;
    assert_eq!(
        client.rows("select n from left_open").await,
        json!([{"n": 1}, {"n": 2}, {"n": 4}])
    );
}

#[tokio::test]
async fn a_failed_statement_affects_no_later_request() {
    let client = one_connection();
    for _ in 0..3 {
        client.error("select 1/0", json!([])).await;
        assert_eq!(
            client
                .batch(&["select 1", "select 1/0", "select 2"])
                .await
                .status,
            StatusCode::BAD_REQUEST
        );
        assert_eq!(client.rows("select 1 as n").await, json!([{"n": 1}]));
    }
}

#[tokio::test]
async fn a_batch_commits_completely_or_not_at_all() {
    let client = Client::new();
    client
        .rows("create table whole (n int unique deferrable initially deferred)")
        .await;
    let answer = client
        .batch(&[
            "insert into whole values (1)",
            "insert into whole values (2) returning n",
        ])
        .await;
    assert_eq!(answer.json()["results"][1]["rows"], json!([{"n": 2}]));

    for (queries, code) in [
        (
            &[
                "insert into whole values (3)",
                "select 1/0",
                "insert into whole values (4)",
            ][..],
            "22012",
        ),
        // COMMIT fails, after each statement has succeeded.
        (
            &[
                "insert into whole values (5)",
                "insert into whole values (5)",
            ],
            "23505",
        ),
        // A syntax error.
        (&["insert into whole values (6)", "syntax error"], "42601"),
    ] {
        let answer = client.batch(queries).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.json()["code"], code);
    }
    assert_eq!(
        client.rows("select n from whole order by n").await,
        json!([{"n": 1}, {"n": 2}])
    );
}

#[tokio::test]
async fn statements_of_a_batch_see_what_came_before() {
    let client = Client::new();
    let answer = client
        .batch(&[
            "create table seen (id serial primary key, n int)",
            "insert into seen (n) values (10), (20)",
            "alter table seen add column s text default 'x'",
            "select * from seen order by id",
            "select set_config('tirage.account', 'me', true)",
            "select current_setting('tirage.account') as account",
            "drop table seen",
        ])
        .await;
    let results = answer.json()["results"].take();
    assert_eq!(
        results[3]["rows"],
        json!([{"id": 1, "n": 10, "s": "x"}, {"id": 2, "n": 20, "s": "x"}])
    );
    assert_eq!(results[5]["rows"], json!([{"account": "me"}]));
    assert_eq!(results[6]["command"], "DROP");
}

#[tokio::test]
async fn an_empty_batch_and_a_long_one() {
    let client = Client::new();
    assert_eq!(client.batch(&[]).await.json(), json!({"results": []}));
    let queries = vec!["select 1 as n"; 5000];
    let results = client.batch(&queries).await.json()["results"].take();
    assert_eq!(results.as_array().unwrap().len(), 5000);
    assert_eq!(results[4999]["rows"], json!([{"n": 1}]));
}

#[tokio::test]
async fn headers_set_the_transaction_options_and_are_repeated() {
    let client = Client::new();
    let body = json!({"queries": [
        {"query": "select current_setting('transaction_isolation') as i, \
          current_setting('transaction_read_only') as r, current_setting('transaction_deferrable') as d"},
    ]})
    .to_string();
    for (level, name) in [
        ("ReadUncommitted", "read uncommitted"),
        ("ReadCommitted", "read committed"),
        ("RepeatableRead", "repeatable read"),
        ("Serializable", "serializable"),
    ] {
        for flag in ["true", "false"] {
            let headers = [
                ("Neon-Batch-Isolation-Level", level),
                ("Neon-Batch-Read-Only", flag),
                ("Neon-Batch-Deferrable", flag),
            ];
            let answer = client.send(&headers, body.clone()).await;
            let on = if flag == "true" { "on" } else { "off" };
            assert_eq!(
                answer.json()["results"][0]["rows"],
                json!([{"i": name, "r": on, "d": on}])
            );
            assert_eq!(answer.headers["neon-batch-isolation-level"], level);
            for header in ["neon-batch-read-only", "neon-batch-deferrable"] {
                assert_eq!(answer.headers.contains_key(header), flag == "true");
            }
        }
    }
    let answer = client
        .send(&[("Neon-Batch-Isolation-Level", "serializable")], body)
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["message"], "invalid isolation level");
    let answer = client
        .send(
            &[("Neon-Batch-Read-Only", "true")],
            r#"{"queries":[{"query":"create table t ()"}]}"#,
        )
        .await;
    assert_eq!(answer.json()["code"], "25006");
}

#[tokio::test]
async fn a_component_cannot_change_its_role() {
    let config = new_role("bound_guest").await;
    let client = Client::with(
        config,
        Settings {
            max_connections: 1,
            ..Settings::default()
        },
    );
    let who = r#"{"query":"select current_user::text as c, session_user::text as s"}"#;
    let superuser = superuser();
    let other = format!(
        "postgres://postgres:{}@127.0.0.1/postgres",
        String::from_utf8_lossy(superuser.password().unwrap().as_bytes())
    );
    for headers in [
        &[][..],
        &[("neon-connection-string", other.as_str())],
        &[
            ("neon-connection-string", "nonsense"),
            ("authorization", "Bearer x"),
        ],
    ] {
        let rows = client.send(headers, who).await.json()["rows"].take();
        assert_eq!(rows, json!([{"c": "bound_guest", "s": "bound_guest"}]));
    }
    for statement in [
        "reset role",
        "reset session authorization",
        "set session authorization default",
    ] {
        let answer = client
            .batch(&[statement, "select current_user::text as c"])
            .await;
        assert_eq!(
            answer.json()["results"][1]["rows"],
            json!([{"c": "bound_guest"}]),
            "{statement}"
        );
    }
    for statement in ["set role postgres", "set session authorization postgres"] {
        assert_eq!(client.error(statement, json!([])).await["code"], "42501");
    }
    assert_eq!(
        client.send(&[], who).await.json()["rows"],
        json!([{"c": "bound_guest", "s": "bound_guest"}])
    );
}
