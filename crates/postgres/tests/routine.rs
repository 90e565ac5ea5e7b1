//! Routines with a real server: when they have names, and what becomes of those.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::sync::LazyLock;

use tirage_devstack::postgres::Cluster;
use tirage_postgres::{Connection, Error, Event, Routine};

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start_temporary().unwrap());

static ROUTINE: Routine = Routine {
    name: "test",
    statements: &[
        "RESET ALL",
        "SELECT generate_series(1, 3)",
        "SET application_name TO 'routine'",
    ],
};

async fn connect(statements_kept: usize) -> Connection {
    let config = CLUSTER.superuser_url().parse().unwrap();
    let mut connection = Connection::connect(&config).await.unwrap();
    connection.keep_statements(statements_kept);
    connection
}

/// Everything up to ReadyForQuery.
async fn answers(connection: &mut Connection) -> Vec<Result<Event, Error>> {
    let mut answers = Vec::new();
    loop {
        match connection.next_event().await {
            Ok(Event::Ready(_)) => return answers,
            answer => answers.push(answer),
        }
    }
}

/// Runs it; its answers are rows, which nobody asked for, and one end without a tag.
async fn run(connection: &mut Connection) {
    connection.queue_routine(&ROUTINE).unwrap();
    connection.queue_sync();
    let answers = answers(connection).await;
    let ends: Vec<_> = answers
        .iter()
        .filter(|answer| !matches!(answer, Ok(Event::Row(_))))
        .collect();
    assert!(
        matches!(ends[..], [Ok(Event::Complete(tag))] if tag.is_empty()),
        "{answers:?}"
    );
    assert_eq!(ask(connection, "show application_name").await, "routine");
}

async fn ask(connection: &mut Connection, question: &str) -> String {
    let outcome = connection.execute(question, &[]).await.unwrap();
    outcome.rows[0].text(0).unwrap().to_owned()
}

async fn names(connection: &mut Connection) -> String {
    let names =
        "select coalesce(string_agg(name, ' ' order by name), '') from pg_prepared_statements";
    ask(connection, names).await
}

const NAMES: &str = "tirage_test_0 tirage_test_1 tirage_test_2";

#[tokio::test]
async fn a_routine_has_names_from_the_first_time_on() {
    let mut connection = connect(1).await;
    for _ in 0..3 {
        run(&mut connection).await;
        assert_eq!(names(&mut connection).await, NAMES);
    }
}

#[tokio::test]
async fn where_no_statements_are_kept_it_has_none() {
    let mut connection = connect(0).await;
    for _ in 0..2 {
        run(&mut connection).await;
        assert_eq!(names(&mut connection).await, "");
    }
}

#[tokio::test]
async fn names_that_somebody_deallocated_are_outdated_once() {
    let mut connection = connect(1).await;
    run(&mut connection).await;
    connection.batch_execute("deallocate all").await.unwrap();
    connection.queue_routine(&ROUTINE).unwrap();
    connection.queue_sync();
    let answers = answers(&mut connection).await;
    assert!(
        matches!(answers[..], [Err(Error::Outdated(_))]),
        "{answers:?}"
    );
    run(&mut connection).await;
}

/// The server skips what follows a failed statement, names included.
#[tokio::test]
async fn a_routine_that_was_skipped_begins_anew() {
    let mut connection = connect(1).await;
    connection.queue_statement("select 1/0", []).unwrap();
    connection.queue_routine(&ROUTINE).unwrap();
    connection.queue_sync();
    let failed = answers(&mut connection).await;
    assert!(
        matches!(failed.last(), Some(Err(Error::Server(_)))),
        "{failed:?}"
    );
    assert_eq!(names(&mut connection).await, "");
    run(&mut connection).await;
    // With names it is skipped and keeps them.
    connection.queue_statement("select 1/0", []).unwrap();
    connection.queue_routine(&ROUTINE).unwrap();
    connection.queue_sync();
    answers(&mut connection).await;
    assert_eq!(names(&mut connection).await, NAMES);
    run(&mut connection).await;
}
