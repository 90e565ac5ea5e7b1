//! Interactive sessions: who gets one, what it is, and how it ends.

use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use futures::SinkExt as _;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use serde_json::json;
use tirage_postgres::{Config, Password};
use tirage_sqlgateway::{Accounts, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::interactive::{Interactive, SqlError, password_message, query, startup};
use crate::support::{Client, Server, new_role, run_as_superuser, superuser};

/// A server with one account, `role`, whose password is `p`.
async fn server(role: &str, settings: Settings) -> Server {
    let config = new_role(role).await;
    Server::start(Accounts::own([(Password::new("p"), config)]), settings).await
}

async fn log_in(server: &Server, role: &str) -> Interactive {
    Interactive::log_in(server.address, role, "p", "tirage")
        .await
        .unwrap()
}

fn sql_error(code: &str, message: &str) -> SqlError {
    SqlError(code.to_owned(), message.to_owned())
}

/// Waits until as many of the role's connections to Postgres meet the condition.
async fn wait_for_connections(role: &str, condition: &str, expected: u32) {
    let watcher = Client::new();
    let query = format!(
        "select count(*)::int as n from pg_stat_activity where usename = '{role}' and {condition}"
    );
    while watcher.rows(&query).await != json!([{ "n": expected }]) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn accounts_of_the_gateway_s_own() {
    let server = server("relay_own", Settings::default()).await;
    let mut session = log_in(&server, "relay_own").await;
    assert_eq!(
        session
            .query("select current_user, current_database(), null")
            .await
            .unwrap(),
        [[
            Some("relay_own".to_owned()),
            Some("tirage".to_owned()),
            None
        ]]
    );
    assert!(
        session
            .parameters
            .iter()
            .any(|(name, value)| name == "server_version" && !value.is_empty())
    );

    for (user, password, database, expected) in [
        // The password that Postgres knows is not the one that the gateway knows.
        (
            "relay_own",
            "secret",
            "tirage",
            sql_error(
                "28P01",
                "password authentication failed for user \"relay_own\"",
            ),
        ),
        (
            "relay_own",
            "",
            "tirage",
            sql_error(
                "28P01",
                "password authentication failed for user \"relay_own\"",
            ),
        ),
        (
            "postgres",
            "p",
            "tirage",
            sql_error(
                "28P01",
                "password authentication failed for user \"postgres\"",
            ),
        ),
        (
            "relay_own",
            "p",
            "nowhere",
            sql_error("3D000", "database \"nowhere\" does not exist"),
        ),
    ] {
        let refused = Interactive::log_in(server.address, user, password, database)
            .await
            .err();
        assert_eq!(refused, Some(expected), "{user} {password} {database}");
    }
    drop(session);
    server.stop().await;
}

#[tokio::test]
async fn whoever_postgres_lets_in() {
    new_role("relay_let_in").await;
    let upstream: Config = superuser().with_user("nobody", None);
    let server = Server::start(Accounts::of_postgres(upstream), Settings::default()).await;
    let log_in = |password| Interactive::log_in(server.address, "relay_let_in", password, "tirage");
    let mut session = log_in("secret").await.unwrap();
    assert_eq!(session.value("select current_user").await, "relay_let_in");
    let wrong = sql_error(
        "28P01",
        "password authentication failed for user \"relay_let_in\"",
    );
    assert_eq!(log_in("wrong").await.err().as_ref(), Some(&wrong));

    run_as_superuser("alter role relay_let_in password 'changed'").await;
    assert_eq!(log_in("secret").await.err().as_ref(), Some(&wrong));
    assert!(log_in("changed").await.is_ok());
    drop(session);
    server.stop().await;
}

#[tokio::test]
async fn step_by_step_or_all_at_once() {
    let server = server("relay_steps", Settings::default()).await;
    let begin = startup(&[("user", "relay_steps"), ("database", "tirage")]);

    let mut patient = Interactive::open(server.address).await;
    patient.send(begin.clone()).await;
    assert!(matches!(
        patient.message().await,
        Some(Message::AuthenticationCleartextPassword)
    ));
    patient.send(password_message("p")).await;
    patient.welcomed().await.unwrap();
    assert_eq!(patient.value("select 1").await, "1");

    let mut hasty = Interactive::open(server.address).await;
    let all = [
        &begin[..],
        &password_message("p"),
        &query("select 2"),
        &query("select 3"),
    ]
    .concat();
    hasty.send(all.clone()).await;
    hasty.welcomed().await.unwrap();
    assert_eq!(hasty.result().await.unwrap(), [[Some("2".to_owned())]]);
    assert_eq!(hasty.result().await.unwrap(), [[Some("3".to_owned())]]);

    // However it is cut.
    let mut meticulous = Interactive::open(server.address).await;
    for byte in all {
        meticulous.send(vec![byte]).await;
    }
    meticulous.welcomed().await.unwrap();
    assert_eq!(meticulous.result().await.unwrap(), [[Some("2".to_owned())]]);

    drop((patient, hasty, meticulous));
    server.stop().await;
}

#[tokio::test]
async fn what_a_session_begins_with() {
    let server = server("relay_begins", Settings::default()).await;
    let with = async |settings: &[(&str, &str)]| {
        let mut session = Interactive::open(server.address).await;
        let who = [("user", "relay_begins"), ("database", "tirage")];
        let mut bytes = startup(&[&who, settings].concat());
        bytes.extend_from_slice(&password_message("p"));
        session.send(bytes).await;
        session.welcomed().await.map(|()| session)
    };
    let mut session = with(&[
        ("application_name", "mine"),
        ("client_encoding", "UTF8"),
        ("search_path", "elsewhere"),
        ("options", "-c statement_timeout=1234ms"),
        ("replication", "off"),
    ])
    .await
    .unwrap();
    for (setting, expected) in [
        ("application_name", "mine"),
        ("search_path", "elsewhere"),
        ("statement_timeout", "1234ms"),
    ] {
        assert_eq!(session.value(&format!("show {setting}")).await, expected);
    }
    for (setting, code) in [
        (("nonsense", "1"), "42704"),
        (("statement_timeout", "nonsense"), "22023"),
        (("log_statement", "none"), "42501"),
        (("replication", "database"), "0A000"),
    ] {
        let refused = with(&[setting]).await.err().unwrap();
        assert_eq!(refused.0, code, "{setting:?}: {}", refused.1);
    }
    drop(session);
    server.stop().await;
}

#[tokio::test]
async fn encryption_and_newer_protocols_are_declined() {
    let server = server("relay_declines", Settings::default()).await;
    let mut session = Interactive::open(server.address).await;
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    session.send(request).await;
    assert_eq!(session.bytes().await.unwrap(), "N");
    // 3.2, with an option that nobody has heard of
    let rest = b"user\0relay_declines\0database\0tirage\0_pq_.news\0yes\0\0";
    let mut request = BytesMut::new();
    request.put_u32(u32::try_from(rest.len()).unwrap() + 8);
    request.put_u32((3 << 16) + 2);
    request.put_slice(rest);
    session.send(request).await;
    let mut answer = session.bytes().await.unwrap();
    assert_eq!(
        answer.split_to(23),
        b"v\0\0\0\x16\0\x03\0\0\0\0\0\x01_pq_.news\0"[..]
    );
    session.send(password_message("p")).await;
    assert_eq!(answer[..], b"R\0\0\0\x08\0\0\0\x03"[..]);
    session.welcomed().await.unwrap();
    assert_eq!(session.value("select 1").await, "1");
    drop(session);
    server.stop().await;
}

#[tokio::test]
async fn a_session_keeps_its_state_to_itself() {
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
    // A hundred megabytes find no room between here and there.
    wait_for_connections("relay_slow", "wait_event = 'ClientWrite'", 1).await;
    assert_eq!(session.result().await.unwrap().len(), 100_000);
    assert_eq!(session.value("select 1").await, "1");
    drop(session);
    server.stop().await;
}

#[tokio::test]
async fn requests_and_answers_that_fill_every_buffer_do_not_block_each_other() {
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
async fn a_client_that_leaves_has_its_statement_cancelled() {
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
async fn the_server_s_end_is_the_session_s() {
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
    let expected = sql_error("53300", "too many sessions: at most 1 at once are served");
    assert_eq!(second.end().await, (Some(expected), Some(1013)));

    // Its statement can be cancelled all the same.
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

async fn cancel(server: &Server, (process_id, secret_key): (i32, i32)) {
    let mut request = BytesMut::new();
    frontend::cancel_request(process_id, secret_key, &mut request);
    let mut session = Interactive::open(server.address).await;
    session.send(request).await;
    assert_eq!(session.end().await, (None, Some(1000)));
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

#[tokio::test]
async fn what_is_not_the_protocol_is_refused() {
    let settings = Settings {
        max_frame_bytes: 20_000,
        ..Settings::default()
    };
    let server = server("relay_refuses", settings).await;

    // Before the login
    for (garbage, code) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "08P01"),
        (b"\0\0\0\x04", "08P01"),
        (b"\0\0\0\x08\0\x02\0\0", "0A000"),
        (b"\0\0\0\x0a\0\x03\0\0u\0", "08P01"),
        (b"\0\0\0\x09\0\x03\0\0\0", "28000"),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", "08P01"),
    ] {
        let mut session = Interactive::open(server.address).await;
        session.send(garbage).await;
        let (error, close) = session.end().await;
        assert_eq!(error.unwrap().0, code, "{garbage:?}");
        assert_eq!(close, Some(1002), "{garbage:?}");
    }
    let mut session = Interactive::open(server.address).await;
    let mut bytes = startup(&[("user", "relay_refuses")]);
    bytes.extend_from_slice(&query("select 1"));
    session.send(bytes).await;
    let (error, close) = session.end().await;
    assert_eq!(
        (error.unwrap().1.as_str(), close),
        (
            "expected password response, got message type 81",
            Some(1002)
        )
    );

    for is_logged_in in [false, true] {
        for (frame, close) in [
            (Frame::text("select 1"), 1003),
            (Frame::binary(vec![0; 20_001]), 1009),
        ] {
            let mut session = if is_logged_in {
                log_in(&server, "relay_refuses").await
            } else {
                Interactive::open(server.address).await
            };
            session.socket.send(frame).await.unwrap();
            assert_eq!(session.end().await, (None, Some(close)));
        }
    }
    let mut session = log_in(&server, "relay_refuses").await;
    // A frame that isn't masked, as a client's have to be
    let stream = session.socket.get_mut();
    stream.write_all(b"\x82\x01x").await.unwrap();
    assert_eq!(session.end().await, (None, Some(1002)));
    // Of what is inside, Postgres is the judge. It tells nobody but its log.
    let mut session = log_in(&server, "relay_refuses").await;
    session.send(&b"Q\0\0\0\0"[..]).await;
    assert_eq!(session.end().await, (None, Some(1011)));
    wait_for_connections("relay_refuses", "true", 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_is_no_websocket() {
    let server = server("relay_upgrades", Settings::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET /v2 HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426"), "{answer}");
    assert!(answer.contains("upgrade: websocket"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn whoever_is_too_slow() {
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
    // While the server works nobody is idle.
    session.query("select pg_sleep(1)").await.unwrap();
    session.query("begin").await.unwrap();
    let expected = sql_error("57P05", "the session was idle for too long");
    assert_eq!(session.end().await, (Some(expected), Some(1001)));
    wait_for_connections("relay_waits", "true", 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_client_of_which_nothing_is_heard_is_gone() {
    let settings = Settings {
        session_silence: Duration::from_millis(600),
        ..Settings::default()
    };
    let server = server("relay_silent", settings).await;
    // Whoever doesn't read doesn't see that it is asked.
    let silent = log_in(&server, "relay_silent").await;
    wait_for_connections("relay_silent", "true", 1).await;
    wait_for_connections("relay_silent", "true", 0).await;
    drop(silent);

    // One that waits for its answer gives signs of life, and so does one that is slow to speak.
    let mut session = log_in(&server, "relay_silent").await;
    session.query("select pg_sleep(1.5)").await.unwrap();
    let statement = query("select 1");
    let stream = session.socket.get_mut();
    let head = [0x82, 0x80 | u8::try_from(statement.len()).unwrap()];
    // A mask of zeros masks nothing.
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
async fn stopping_waits_for_nobody_for_ever() {
    let server = server("relay_stays", Settings::default()).await;
    let mut session = log_in(&server, "relay_stays").await;
    session.send(query("select pg_sleep(600)")).await;
    wait_for_connections("relay_stays", "wait_event = 'PgSleep'", 1).await;
    let ((), end) = tokio::join!(server.stop(), session.end());
    let stopping = sql_error("57P01", "the gateway is stopping");
    assert_eq!(end, (Some(stopping), Some(1001)));
    wait_for_connections("relay_stays", "true", 0).await;
}
