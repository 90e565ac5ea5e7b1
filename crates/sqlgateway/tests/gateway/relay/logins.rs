//! Logins: accounts, settings of a session, and invalid packets.

use bytes::{BufMut as _, BytesMut};
use futures::SinkExt as _;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tirage_postgres::Config;
use tirage_sqlgateway::{Accounts, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::{log_in, server, sql_error, wait_for_connections};
use crate::interactive::{Interactive, password_message, query, startup};
use crate::support::{Server, new_role, run_as_superuser, superuser};

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
        // Postgres' password, which is not the gateway's.
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
async fn roles_of_postgres() {
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
async fn a_login_in_one_write_or_in_several() {
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

    // However the bytes are split.
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
async fn settings_of_a_session() {
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
    // 3.2, with an unknown option
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
async fn invalid_packets_are_refused() {
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
    // A frame without the mask that clients must use
    let stream = session.socket.get_mut();
    stream.write_all(b"\x82\x01x").await.unwrap();
    assert_eq!(session.end().await, (None, Some(1002)));
    // Postgres validates the messages after the login, and reports errors only in its log.
    let mut session = log_in(&server, "relay_refuses").await;
    session.send(&b"Q\0\0\0\0"[..]).await;
    assert_eq!(session.end().await, (None, Some(1011)));
    wait_for_connections("relay_refuses", "true", 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_request_without_an_upgrade_is_refused() {
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
