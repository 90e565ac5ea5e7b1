//! Sessions: their state is private, all messages are relayed, and a slow client slows the server down.

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tirage_sqlgateway::Settings;

use super::{cancel, log_in, server, sql_error, wait_for_connections};
use crate::interactive::query;

#[tokio::test]
async fn a_session_has_its_own_state() {
    let server = server("relay_state", Settings::default()).await;
    let mut session = log_in(&server, "relay_state").await;
    let mut other = log_in(&server, "relay_state").await;
    session
        .query("create table relay_state.t (n int); set work_mem = '5MB'; create temp table own ()")
        .await
        .unwrap();
    session.query("begin").await.unwrap();
    session.query("insert into t values (1)").await.unwrap();
    assert_eq!(session.value("select count(*) from t").await, "1");
    assert_eq!(other.value("select count(*) from t").await, "0");
    assert_eq!(
        session.query("select 1/0").await,
        Err(sql_error("22012", "division by zero"))
    );
    assert_eq!(session.query("select 1").await.unwrap_err().0, "25P02");
    session.query("rollback").await.unwrap();
    assert_eq!(session.value("select count(*) from t").await, "0");
    assert_eq!(session.value("show work_mem").await, "5MB");

    assert_ne!(other.value("show work_mem").await, "5MB");
    let pid = session.value("select pg_backend_pid()").await;
    assert_ne!(pid, other.value("select pg_backend_pid()").await);
    session.socket.close(None).await.unwrap();
    assert_eq!(session.end().await, (None, None));
    let mut next = log_in(&server, "relay_state").await;
    assert_ne!(pid, next.value("select pg_backend_pid()").await);
    assert_ne!(next.value("show work_mem").await, "5MB");
    assert_eq!(
        next.value("select coalesce(to_regclass('own')::text, 'none')")
            .await,
        "none"
    );
    drop((other, next));
    server.stop().await;
}

#[tokio::test]
async fn copy_and_notifications_pass_through() {
    let server = server("relay_passes", Settings::default()).await;
    let mut session = log_in(&server, "relay_passes").await;
    let mut other = log_in(&server, "relay_passes").await;
    session.query("create table copied (n int)").await.unwrap();
    session.send(query("copy copied from stdin")).await;
    assert!(matches!(
        session.message().await,
        Some(Message::CopyInResponse(_))
    ));
    let mut data = BytesMut::new();
    frontend::CopyData::new(&b"1\n2\n"[..])
        .unwrap()
        .write(&mut data);
    frontend::copy_done(&mut data);
    session.send(data).await;
    session.result().await.unwrap();
    assert_eq!(session.value("select sum(n) from copied").await, "3");

    session.query("listen news").await.unwrap();
    other.query("notify news, 'hello'").await.unwrap();
    let Some(Message::NotificationResponse(body)) = session.message().await else {
        panic!("it is a notification");
    };
    assert_eq!(body.message().unwrap(), "hello");
    drop((session, other));
    server.stop().await;
}

#[tokio::test]
async fn a_slow_reader_slows_the_server_down_and_gets_everything() {
    let server = server("relay_slow", Settings::default()).await;
    let mut session = log_in(&server, "relay_slow").await;
    session
        .send(query(
            "select repeat('x', 1000) from generate_series(1, 100000)",
        ))
        .await;
    // A hundred megabytes exceed all buffers.
    wait_for_connections("relay_slow", "wait_event = 'ClientWrite'", 1).await;
    assert_eq!(session.result().await.unwrap().len(), 100_000);
    assert_eq!(session.value("select 1").await, "1");
    drop(session);
    server.stop().await;
}

#[tokio::test]
async fn requests_and_replies_that_fill_every_buffer_do_not_block_each_other() {
    let server = server("relay_fills", Settings::default()).await;
    let mut session = log_in(&server, "relay_fills").await;
    let statement = format!("select '{}'", "x".repeat(100_000));
    let all: Vec<_> = std::iter::repeat_n(query(&statement), 90)
        .flatten()
        .collect();
    for _ in 0..2 {
        session.send(all.clone()).await;
    }
    for _ in 0..180 {
        let rows = session.result().await.unwrap();
        assert_eq!(rows[0][0].as_ref().unwrap().len(), 100_000);
    }
    drop(session);
    server.stop().await;
}

#[tokio::test]
async fn only_the_key_that_a_session_was_given_cancels_it() {
    let server = server("relay_cancels", Settings::default()).await;
    let mut session = log_in(&server, "relay_cancels").await;
    let other = log_in(&server, "relay_cancels").await;
    let (process_id, secret_key) = session.key;
    let pid = session.value("select pg_backend_pid()").await;
    assert_ne!(
        process_id.to_string(),
        pid,
        "Postgres' own is not given away"
    );
    assert!(process_id >= 0);

    session.send(query("select pg_sleep(600)")).await;
    wait_for_connections("relay_cancels", "wait_event = 'PgSleep'", 1).await;
    for key in [
        other.key,
        (process_id, secret_key.wrapping_add(1)),
        (process_id.wrapping_add(1), secret_key),
        (pid.parse().unwrap(), secret_key),
        (0, 0),
    ] {
        cancel(&server, key).await;
    }
    wait_for_connections("relay_cancels", "wait_event = 'PgSleep'", 1).await;
    cancel(&server, session.key).await;
    assert_eq!(session.result().await.unwrap_err().0, "57014");
    assert_eq!(session.value("select 1").await, "1");
    drop((session, other));
    server.stop().await;
}
