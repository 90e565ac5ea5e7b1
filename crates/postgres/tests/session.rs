//! One session with a real server: statements, errors, pipelines, cancelling, abandoned futures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use tirage_devstack::postgres::Cluster;
use tirage_postgres::{Config, Connection, Error, Event, Outcome, TransactionStatus};

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start_temporary().unwrap());

fn config() -> Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG
        .get_or_init(|| CLUSTER.superuser_url().parse().unwrap())
        .clone()
}

async fn connect() -> Connection {
    Connection::connect(&config()).await.unwrap()
}

fn texts(outcome: &Outcome) -> Vec<Vec<Option<&str>>> {
    outcome
        .rows
        .iter()
        .map(|row| {
            (0..outcome.columns.len())
                .map(|column| row.text(column))
                .collect()
        })
        .collect()
}

#[tokio::test]
async fn a_statement_returns_text() {
    let mut connection = connect().await;
    let outcome = connection
        .execute(
            "select $1::int + 1 as n, $2 as t, null::bool as b, '{a,NULL}'::text[] as a",
            &[Some("41"), Some("héllo")],
        )
        .await
        .unwrap();
    assert_eq!(
        texts(&outcome),
        [[Some("42"), Some("héllo"), None, Some("{a,NULL}")]]
    );
    assert_eq!(outcome.tag, "SELECT 1");
    let columns: Vec<_> = outcome
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.type_oid))
        .collect();
    assert_eq!(columns, [("n", 23), ("t", 25), ("b", 16), ("a", 1009)]);
    assert_eq!(outcome.columns[0].type_size, 4);
    assert_eq!(outcome.columns[0].type_modifier, -1);
}

#[tokio::test]
async fn statements_without_rows_have_only_a_tag() {
    let mut connection = connect().await;
    for (statement, tag) in [
        ("create temp table t (n int)", "CREATE TABLE"),
        ("insert into t values (1), (2)", "INSERT 0 2"),
        ("", ""),
        ("-- nothing", ""),
    ] {
        let outcome = connection.execute(statement, &[]).await.unwrap();
        assert_eq!(
            (outcome.tag.as_str(), outcome.columns.len()),
            (tag, 0),
            "{statement}"
        );
    }
}

#[tokio::test]
async fn an_error_has_every_field_and_leaves_the_connection_usable() {
    let mut connection = connect().await;
    connection
        .batch_execute("create temp table child (n int constraint positive check (n > 0))")
        .await
        .unwrap();
    let error = connection
        .execute("insert into child values (-1)", &[])
        .await
        .unwrap_err();
    let error = error.server().unwrap();
    assert_eq!(
        (error.code.as_str(), error.severity.as_str()),
        ("23514", "ERROR")
    );
    assert_eq!(error.table.as_deref(), Some("child"));
    assert_eq!(error.constraint.as_deref(), Some("positive"));
    assert!(error.schema.as_deref().unwrap().starts_with("pg_temp"));
    assert_eq!(error.detail.as_deref(), Some("Failing row contains (-1)."));
    assert!(error.file.is_some() && error.line.is_some() && error.routine.is_some());

    let error = connection.execute("select\nnope", &[]).await.unwrap_err();
    assert_eq!(error.server().unwrap().position.as_deref(), Some("8"));
    assert_eq!(
        texts(&connection.execute("select 1", &[]).await.unwrap()),
        [[Some("1")]]
    );
}

#[tokio::test]
async fn mistakes_read_as_if_the_server_had_been_asked_step_by_step() {
    let mut connection = connect().await;
    for (statement, parameters, message) in [
        (
            "select $1, $2",
            &[Some("1")][..],
            "bind message supplies 1 parameters, but prepared statement \"\" requires 2",
        ),
        (
            "select 1",
            &[Some("1")],
            "bind message supplies 1 parameters, but prepared statement \"\" requires 0",
        ),
        (
            "select 1; select 2",
            &[],
            "cannot insert multiple commands into a prepared statement",
        ),
        (
            "select $1::int",
            &[Some("x")],
            "invalid input syntax for type integer: \"x\"",
        ),
        (
            "select $1::text",
            &[Some("a\0b")],
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ),
        ("select 1/0", &[], "division by zero"),
    ] {
        let error = connection.execute(statement, parameters).await.unwrap_err();
        assert_eq!(error.server().unwrap().message, message);
    }
}

#[tokio::test]
async fn what_cannot_be_encoded_is_refused_and_not_queued() {
    let mut connection = connect().await;
    let error = connection.execute("select '\0'", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Encode(_)), "{error:?}");
    let error = connection
        .execute("select 1", &vec![None; 65_536])
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Encode(_)), "{error:?}");
    assert_eq!(
        texts(&connection.execute("select 1", &[]).await.unwrap()),
        [[Some("1")]]
    );
}

#[tokio::test]
async fn copy_is_refused() {
    for statement in ["copy pg_class to stdout", "copy pg_class from stdin"] {
        let mut connection = connect().await;
        let error = connection.execute(statement, &[]).await.unwrap_err();
        assert!(matches!(error, Error::Copy), "{error:?}");
        assert!(connection.is_broken());
        let error = connection.execute("select 1", &[]).await.unwrap_err();
        assert!(matches!(error, Error::Broken), "{error:?}");
    }
}

#[tokio::test]
async fn a_pipeline_longer_than_the_sockets_buffers_does_not_deadlock() {
    let mut connection = connect().await;
    let long = "x".repeat(100_000);
    for _ in 0..200 {
        connection
            .queue_statement("select $1::text", [Some(long.as_str())])
            .unwrap();
    }
    connection.queue_sync();
    let mut rows = 0;
    loop {
        match connection.next_event().await.unwrap() {
            Event::Row(row) => rows += usize::from(row.text(0) == Some(&long)),
            Event::Ready(status) => break assert_eq!(status, TransactionStatus::Idle),
            Event::Columns(_) | Event::Complete(_) => {}
        }
    }
    assert_eq!(rows, 200);
}

#[tokio::test]
async fn what_follows_an_error_is_skipped_up_to_the_sync() {
    let mut connection = connect().await;
    connection.queue_statement("begin", []).unwrap();
    connection.queue_statement("select 1/0", []).unwrap();
    connection.queue_statement("select 2", []).unwrap();
    connection.queue_sync();
    let error = loop {
        match connection.next_event().await {
            Ok(Event::Columns(_) | Event::Complete(_)) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.server().unwrap().code, "22012");
    assert_eq!(connection.ready().await.unwrap(), TransactionStatus::Failed);
    connection.batch_execute("rollback").await.unwrap();
    assert_eq!(connection.transaction_status(), TransactionStatus::Idle);
}

#[tokio::test]
async fn a_connection_recovers_after_a_dropped_future() {
    let mut connection = connect().await;
    let canceller = connection.cancel_token();
    tokio::time::timeout(
        Duration::from_millis(100),
        connection.execute("select pg_sleep(60)", &[]),
    )
    .await
    .unwrap_err();
    assert!(connection.is_busy());
    canceller.cancel(Duration::from_secs(5)).await.unwrap();
    connection.ready().await.unwrap();
    assert_eq!(
        texts(&connection.execute("select 1", &[]).await.unwrap()),
        [[Some("1")]]
    );
}

#[tokio::test]
async fn a_cancelled_statement_fails_with_57014() {
    let mut connection = connect().await;
    let canceller = connection.cancel_token();
    let (outcome, cancelled) =
        tokio::join!(connection.execute("select pg_sleep(60)", &[]), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            canceller.cancel(Duration::from_secs(5)).await
        });
    cancelled.unwrap();
    assert_eq!(outcome.unwrap_err().server().unwrap().code, "57014");
}

#[tokio::test]
async fn an_idle_connection_that_the_server_has_closed_is_detected() {
    let mut connection = connect().await;
    assert!(!connection.is_closed());
    terminate(&mut connection).await;
    let mut waited = Duration::ZERO;
    while !connection.is_closed() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        waited += Duration::from_millis(10);
        assert!(waited < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_request_that_the_server_never_read_is_stale() {
    let mut connection = connect().await;
    terminate(&mut connection).await;
    let error = connection.execute("select 1", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Stale), "{error:?}");
    assert!(connection.is_broken());

    // The server was executing the statement.
    let mut connection = connect().await;
    let error = connection
        .execute(
            "select pg_terminate_backend(pg_backend_pid()), pg_sleep(1)",
            &[],
        )
        .await
        .unwrap_err();
    assert_eq!(error.server().unwrap().code, "57P01");
}

async fn terminate(victim: &mut Connection) {
    let outcome = victim
        .execute("select pg_backend_pid()", &[])
        .await
        .unwrap();
    connect()
        .await
        .execute(
            "select pg_terminate_backend($1::int, 5000)",
            &[outcome.rows[0].text(0)],
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused() {
    let mut connection = connect().await;
    connection.limit_messages(10_000);
    connection
        .execute("select repeat('x', 9000)", &[])
        .await
        .unwrap();
    let error = connection
        .execute("select repeat('x', 100000000)", &[])
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::TooLong { limit: 10_000, .. }),
        "{error:?}"
    );
    assert!(connection.is_broken());
}

#[tokio::test]
async fn concurrent_connections_do_not_mix() {
    let queries = (0..20).map(|number: i32| async move {
        let mut connection = connect().await;
        for _ in 0..20 {
            let text = number.to_string();
            let outcome = connection
                .execute("select $1", &[Some(&text)])
                .await
                .unwrap();
            assert_eq!(outcome.rows[0].text(0), Some(text.as_str()));
        }
    });
    futures::future::join_all(queries).await;
}
