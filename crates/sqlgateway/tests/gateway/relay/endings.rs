//! Sessions end by the client, the server or a limit.

use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use serde_json::json;
use tirage_sqlgateway::Settings;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{cancel, log_in, server, sql_error, wait_for_connections};
use crate::interactive::{Interactive, password_message, query, startup};
use crate::support::{Client, run_as_superuser};

#[tokio::test]
async fn the_statement_of_a_disconnected_client_is_cancelled() {
    let server = server("relay_leaves", Settings::default()).await;
    for says_goodbye in [false, true] {
        let mut session = log_in(&server, "relay_leaves").await;
        let both = [query("select pg_sleep(600)"), query("select pg_sleep(600)")];
        session.send(both.concat()).await;
        wait_for_connections("relay_leaves", "wait_event = 'PgSleep'", 1).await;
        if says_goodbye {
            session.socket.close(None).await.unwrap();
        }
        drop(session);
        wait_for_connections("relay_leaves", "true", 0).await;
    }
    let mut session = log_in(&server, "relay_leaves").await;
    session.query("begin").await.unwrap();
    drop(session);
    wait_for_connections("relay_leaves", "true", 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_session_ends_with_its_connection_to_postgres() {
    let server = server("relay_killed", Settings::default()).await;
    let mut session = log_in(&server, "relay_killed").await;
    let pid = session.value("select pg_backend_pid()").await;
    run_as_superuser(&format!("select pg_terminate_backend({pid})")).await;
    let (error, code) = session.end().await;
    assert_eq!((error.unwrap().0.as_str(), code), ("57P01", Some(1011)));

    let mut session = log_in(&server, "relay_killed").await;
    let mut terminate = BytesMut::new();
    frontend::terminate(&mut terminate);
    session.send(terminate).await;
    assert_eq!(session.end().await, (None, Some(1000)));
    server.stop().await;
}

#[tokio::test]
async fn one_session_too_many() {
    let settings = Settings {
        max_sessions: 1,
        ..Settings::default()
    };
    let server = server("relay_full", settings).await;
    let mut only = log_in(&server, "relay_full").await;
    let mut second = Interactive::open(server.address).await;
    let mut bytes = startup(&[("user", "relay_full"), ("database", "tirage")]);
    bytes.extend_from_slice(&password_message("p"));
    second.send(bytes).await;
    let expected = sql_error(
        "53300",
        "too many sessions: at most 1 are allowed at the same time",
    );
    assert_eq!(second.end().await, (Some(expected), Some(1013)));

    // Cancel requests need no session.
    only.send(query("select pg_sleep(600)")).await;
    wait_for_connections("relay_full", "wait_event = 'PgSleep'", 1).await;
    cancel(&server, only.key).await;
    assert_eq!(only.result().await.unwrap_err().0, "57014");

    drop(only);
    wait_for_connections("relay_full", "true", 0).await;
    let mut next = Interactive::log_in(server.address, "relay_full", "p", "tirage").await;
    while next.is_err() {
        next = Interactive::log_in(server.address, "relay_full", "p", "tirage").await;
    }
    drop(next);
    server.stop().await;
}

#[tokio::test]
async fn slow_logins_and_idle_sessions_end() {
    let settings = Settings {
        session_startup: Duration::from_millis(300),
        session_idle: Duration::from_millis(300),
        ..Settings::default()
    };
    let server = server("relay_waits", settings).await;
    let mut silent = Interactive::open(server.address).await;
    let expected = sql_error("57014", "the login took too long");
    assert_eq!(silent.end().await, (Some(expected), Some(1008)));

    let mut session = log_in(&server, "relay_waits").await;
    // A session isn't idle while the server executes a statement.
    session.query("select pg_sleep(1)").await.unwrap();
    session.query("begin").await.unwrap();
    let expected = sql_error("57P05", "the session was idle for too long");
    assert_eq!(session.end().await, (Some(expected), Some(1001)));
    wait_for_connections("relay_waits", "true", 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_silent_client_is_disconnected() {
    let settings = Settings {
        session_silence: Duration::from_millis(600),
        ..Settings::default()
    };
    let server = server("relay_silent", settings).await;
    // A client that doesn't read answers no ping.
    let silent = log_in(&server, "relay_silent").await;
    wait_for_connections("relay_silent", "true", 1).await;
    wait_for_connections("relay_silent", "true", 0).await;
    drop(silent);

    // A client that waits for a reply answers pings, and one that sends slowly sends bytes.
    let mut session = log_in(&server, "relay_silent").await;
    session.query("select pg_sleep(1.5)").await.unwrap();
    let statement = query("select 1");
    let stream = session.socket.get_mut();
    let head = [0x82, 0x80 | u8::try_from(statement.len()).unwrap()];
    // A mask of zeros changes nothing.
    for byte in head.iter().chain(&[0; 4]).chain(&statement) {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(session.result().await.unwrap(), [[Some("1".to_owned())]]);
    drop(session);
    server.stop().await;
}

#[tokio::test]
async fn stopping_ends_quiet_sessions_and_lets_transactions_end() {
    let server = server("relay_stops", Settings::default()).await;
    let address = server.address;
    let mut quiet = log_in(&server, "relay_stops").await;
    let mut busy = log_in(&server, "relay_stops").await;
    busy.query("create table stopped (n int)").await.unwrap();
    busy.query("begin").await.unwrap();

    let stopping = sql_error("57P01", "the gateway is stopping");
    let ((), ()) = tokio::join!(server.stop(), async {
        assert_eq!(quiet.end().await, (Some(stopping), Some(1001)));
        assert!(TcpStream::connect(address).await.is_err());
        busy.query("insert into stopped values (1)").await.unwrap();
        busy.query("commit").await.unwrap();
        assert_eq!(busy.end().await.1, Some(1001));
    });
    assert_eq!(
        Client::new()
            .rows("select n from relay_stops.stopped")
            .await,
        json!([{"n": 1}])
    );
}

#[tokio::test]
async fn a_shutdown_ends_open_transactions_after_its_timeout() {
    let server = server("relay_stays", Settings::default()).await;
    let mut session = log_in(&server, "relay_stays").await;
    session.send(query("select pg_sleep(600)")).await;
    wait_for_connections("relay_stays", "wait_event = 'PgSleep'", 1).await;
    let ((), end) = tokio::join!(server.stop(), session.end());
    let stopping = sql_error("57P01", "the gateway is stopping");
    assert_eq!(end, (Some(stopping), Some(1001)));
    wait_for_connections("relay_stays", "true", 0).await;
}
