//! What trails behind an exchange, with a real server: nobody waits for it, and the next exchange is the
//! first to hear of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::sync::LazyLock;
use std::time::Duration;

use tirage_devstack::postgres::Cluster;
use tirage_postgres::{Connection, Error, Event, Routine, Standing, TransactionStatus};

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start_temporary().unwrap());

static BEGIN: Routine = Routine {
    name: "begin",
    statements: &["BEGIN"],
};

static MARK: Routine = Routine {
    name: "mark",
    statements: &["SET application_name TO 'marked'", "COMMIT"],
};

static FAIL: Routine = Routine {
    name: "fail",
    statements: &["SELECT 1 / 0", "COMMIT"],
};

async fn connect() -> Connection {
    let config = CLUSTER.superuser_url().parse().unwrap();
    let mut connection = Connection::connect(&config).await.unwrap();
    connection.keep_statements(100);
    connection
}

/// One exchange: a statement and its sync, `trailing` behind it, and all events.
async fn exchange(
    connection: &mut Connection,
    statement: &str,
    trailing: Option<&'static Routine>,
) -> Result<Option<String>, Error> {
    connection.queue_repeated(statement, []).unwrap();
    connection.queue_sync();
    if let Some(trailing) = trailing {
        connection.queue_trailing(&[&BEGIN, trailing]).unwrap();
    }
    let mut value = None;
    loop {
        match connection.next_event().await? {
            Event::Row(row) => value = row.text(0).map(str::to_owned),
            Event::Ready(_) => return Ok(value),
            Event::Columns(_) | Event::Complete(_) => {}
        }
    }
}

const NAME: &str = "select current_setting('application_name')";

#[tokio::test]
async fn an_exchange_is_over_before_what_trails_and_the_next_finds_it_done() {
    let mut connection = connect().await;
    for _ in 0..5 {
        connection
            .execute("set application_name to 'unmarked'", &[])
            .await
            .unwrap();
        let name = exchange(&mut connection, NAME, Some(&MARK)).await.unwrap();
        assert_eq!(name.unwrap(), "unmarked");
        assert!(connection.trails() && !connection.is_busy());
        let name = exchange(&mut connection, NAME, None).await.unwrap();
        assert_eq!(name.unwrap(), "marked");
        assert!(!connection.trails() && !connection.is_busy());
    }
}

#[tokio::test]
async fn what_fails_has_the_next_exchange_skipped_whole() {
    let mut connection = connect().await;
    connection
        .batch_execute("create temp table added (n int)")
        .await
        .unwrap();
    let count = "select count(*) from added";
    for _ in 0..5 {
        exchange(&mut connection, count, Some(&FAIL)).await.unwrap();
        let add = "insert into added values (1)";
        match exchange(&mut connection, add, Some(&MARK)).await {
            Err(Error::Skipped(error)) => assert_eq!(error.code, "22012"),
            other => panic!("{other:?}"),
        }
        assert_eq!(
            connection.ready().await.unwrap(),
            TransactionStatus::Failed,
            "what trailed was a transaction"
        );
        connection.batch_execute("rollback").await.unwrap();
        let counted = exchange(&mut connection, count, None).await.unwrap();
        assert_eq!(counted.unwrap(), "0");
    }
}

#[tokio::test]
async fn a_look_tells_what_has_failed() {
    let mut connection = connect().await;
    exchange(&mut connection, "select 1", Some(&MARK))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(connection.look(), Standing::Fine);
    exchange(&mut connection, "select 1", Some(&FAIL))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(connection.look(), Standing::TrailingFailed);
    assert_eq!(connection.ready().await.unwrap(), TransactionStatus::Failed);
}

#[tokio::test]
async fn a_rest_waits_for_it() {
    let mut connection = connect().await;
    connection.rest().await.unwrap();
    for _ in 0..3 {
        exchange(&mut connection, "select 1", Some(&MARK))
            .await
            .unwrap();
        connection.rest().await.unwrap();
        assert!(!connection.trails() && !connection.is_busy());
        exchange(&mut connection, "select 1", Some(&FAIL))
            .await
            .unwrap();
        let failed = connection.rest().await.unwrap_err();
        assert!(matches!(failed, Error::Skipped(_)), "{failed:?}");
        assert!(!connection.trails() && !connection.is_busy());
        connection.batch_execute("rollback").await.unwrap();
    }
}

/// The server leaves after what trails, so what it says of that is heard before the farewell.
#[tokio::test]
async fn a_server_that_leaves_behind_it_has_not_looked_at_the_next_exchange() {
    let mut connection = connect().await;
    let pid = exchange(&mut connection, "select pg_backend_pid()", Some(&MARK))
        .await
        .unwrap();
    connect()
        .await
        .execute(
            "select pg_terminate_backend($1::int, 5000)",
            &[pid.as_deref()],
        )
        .await
        .unwrap();
    let error = exchange(&mut connection, "select 1", None)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Stale), "{error:?}");
}
